import GraphIR
import TensorTypes

// Tables that are asked by content: strings by their numbers, numbers by bisection.
extension GraphBuilder {
  /// For each string the entry of `table` at its first place among `names`, or the last entry.
  mutating func find(_ x: ValueID, _ names: [Text], _ table: Tensor) throws(CompileError) -> ValueID {
    guard element(x) == .string else { throw refusal("strings are needed, not \(type(x))", operands: [x]) }
    return try add(TextFind(), x, constant(Tensor(texts: names)), constant(table))
  }

  /// For each number the entry of `table` at its first place among `keys`, or the last entry. Numbers are compared as they are, NaN equals NaN.
  mutating func find(_ x: ValueID, _ keys: Tensor, _ table: Tensor) throws(CompileError) -> ValueID {
    let values = try constant(table)
    let place: ValueID
    if element(x).isFloatingPoint {
      place = try placeOfFloat(x, keys.doubles, missing: keys.count)
    } else {
      place = try placeOfInteger(convert(x, to: .i64), keys.integers, missing: keys.count)
    }
    return try add(Gather(axis: 0), values, place)
  }

  /// For each integer its first place among `keys`, or `missing`.
  mutating func placeOfInteger(_ x: ValueID, _ keys: [Int], missing: Int) throws(CompileError) -> ValueID {
    var first: [Int: Int] = [:]
    for (place, key) in keys.enumerated() where first[key] == nil { first[key] = place }
    let sorted = first.keys.sorted()
    guard let low = sorted.first, let high = sorted.last else { return try scalar(Double(missing), like: x) }
    let (span, overflowed) = high.subtractingReportingOverflow(low)
    if !overflowed, span <= 4 * sorted.count + 1024, span < 1 << 24 {
      // A table over the whole range, with an entry on either side for what lies outside.
      var table = [Int](repeating: missing, count: span + 3)
      for (key, place) in first { table[key - low + 1] = place }
      let clamped = try binary(.minimum, binary(.maximum, x, constant(integer: max(low, .min + 1) - 1)), constant(integer: min(high, .max - 1) + 1))
      let position = try binary(.subtract, clamped, constant(integer: max(low, .min + 1) - 1))
      return try add(Gather(axis: 0), constant(Tensor(table)), position)
    }
    return try bisected(x, constant(Tensor(sorted)), sorted.count, places: sorted.map { first[$0] ?? missing }, missing: missing)
  }

  private mutating func placeOfFloat(_ x: ValueID, _ keys: [Double], missing: Int) throws(CompileError) -> ValueID {
    var first: [Double: Int] = [:]
    for (place, key) in keys.enumerated() where !key.isNaN && first[key] == nil { first[key] = place }
    let sorted = first.keys.sorted()
    let found: ValueID
    if sorted.isEmpty { found = try broadcast(constant(integer: missing), to: shape(x)) } else {
      let list = try constant(Tensor(element(x), [sorted.count], sorted))
      found = try bisected(x, list, sorted.count, places: sorted.map { first[$0] ?? missing }, missing: missing)
    }
    guard let place = keys.firstIndex(where: \.isNaN) else { return found }
    return try select(unary(.isNaN, x), constant(integer: place), found)
  }

  /// The place that belongs to the largest of the ascending keys that is not above an element, if the two are equal.
  private mutating func bisected(_ x: ValueID, _ keys: ValueID, _ count: Int, places: [Int], missing: Int) throws(CompileError) -> ValueID {
    var position = try broadcast(constant(integer: 0), to: shape(x))
    var step = 1
    while step < count { step *= 2 }
    while step > 1 {
      step /= 2
      let next = try binary(.minimum, binary(.add, position, constant(integer: step)), constant(integer: count - 1))
      position = try select(compare(.lessOrEqual, add(Gather(axis: 0), keys, next), x), next, position)
    }
    let isEqual = try compare(.equal, add(Gather(axis: 0), keys, position), x)
    return try select(isEqual, add(Gather(axis: 0), constant(Tensor(places)), position), constant(integer: missing))
  }

  /// An i64 scalar.
  mutating func constant(integer value: Int) throws(CompileError) -> ValueID { try constant(Tensor([value], dimensions: [])) }
}
