import GraphIR
import TensorTypes

/// A length, a position or a count that an operator works with: an extent where it is known at import, otherwise computed.
enum Length {
  case known(Extent)
  /// An i64 scalar that is computed when the model runs.
  case computed(ValueID)

  static func constant(_ value: Int) -> Length { .known(Extent(value)) }

  var extent: Extent? { if case .known(let extent) = self { extent } else { nil } }
  var constant: Int? { extent?.constant }
  var isComputed: Bool { if case .computed = self { true } else { false } }
}

/// Names for the symbols that a model computes; shared by the builders of nested graphs.
final class SymbolNames {
  private var count = 0

  /// Such as `%NonZero.3`: no symbol of an input starts that way, and messages show where it comes from.
  func fresh(for operatorName: String) -> String {
    count += 1
    let plain = operatorName.split(separator: ":").last.map(String.init) ?? ""
    return "%" + String(plain.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }.prefix(40)) + ".\(count)"
  }
}

// Arithmetic that stays symbolic as long as everything is known, and becomes operations on i64 scalars from there on.
extension GraphBuilder {
  /// The elements of an integer tensor of rank 0 or 1.
  ///
  /// - Throws: If it has an unknown number of elements, which would decide the rank of something.
  mutating func lengths(_ value: ValueID, _ what: String) throws(CompileError) -> [Length] {
    if let known = knownLengths[value] { return known }
    guard element(value).isInteger || element(value) == .bool else { throw refusal("\(what) must be integers, not \(type(value))") }
    guard rank(value) <= 1 else { throw refusal("\(what) must be a vector, not \(type(value))") }
    let found = try elements(of: value, what, depth: 0)
    knownLengths[value] = found
    return found
  }

  /// One number.
  mutating func length(_ value: ValueID, _ what: String) throws(CompileError) -> Length {
    let found = try shape(value).elementCount == 1 && rank(value) > 1 ? lengths(reshape(value, to: []), what) : lengths(value, what)
    guard found.count == 1 else { throw refusal("\(what) must be one number, not \(type(value))") }
    return found[0]
  }

  private mutating func elements(of value: ValueID, _ what: String, depth: Int) throws(CompileError) -> [Length] {
    if let found = extents(value) { return found.map { .known($0) } }
    guard let count = shape(value).elementCount.constant, count <= KnownContents.maximumCount else {
      throw unknownContents("\(origin.operatorName) takes \(what) from a tensor whose length is only known when the model runs", of: [value])
    }
    if count == 0 { return [] }
    if let node = graph.producer(of: value), depth < 32 {
      switch node.operation {
      case is Concatenate:
        var parts: [Length] = []
        for operand in node.operands { parts += try elements(of: operand, what, depth: depth + 1) }
        return parts
      case is Reshape where rank(node.operands[0]) <= 1: return try elements(of: node.operands[0], what, depth: depth + 1)
      case is Convert where element(node.operands[0]) == .i32 && element(value) == .i64: return try elements(of: node.operands[0], what, depth: depth + 1)
      default: break
      }
    }
    let wide = try convert(value, to: .i64)
    if rank(value) == 0 { return [.computed(wide)] }
    var parts: [Length] = []
    for position in 0..<count { parts.append(.computed(try select(wide, axis: 0, at: Extent(position)))) }
    return parts
  }

  /// The length as an i64 scalar.
  mutating func scalar(_ length: Length) throws(CompileError) -> ValueID {
    switch length {
    case .known(let extent): try materialize(scalar: extent, .i64)
    case .computed(let value): value
    }
  }

  mutating func apply(_ function: BinaryFunction, _ a: Length, _ b: Length) throws(CompileError) -> Length {
    if let x = a.extent, let y = b.extent {
      switch function {
      case .add: return .known(x + y)
      case .subtract: return .known(x - y)
      case .multiply: return .known(x * y)
      case .maximum: return .known(.greatest(x, y))
      case .minimum: return .known(.least(x, y))
      case .divide where (x.lowerBound ?? -1) >= 0 && (y.lowerBound ?? -1) >= 1: return .known(x.floorDivided(by: y))
      default: break
      }
    }
    switch (function, a.constant, b.constant) {
    case (.add, 0, _), (.multiply, 1, _): return b
    case (.add, _, 0), (.subtract, _, 0), (.multiply, _, 1), (.divide, _, 1): return a
    default: return .computed(try binary(function, scalar(a), scalar(b)))
    }
  }

  /// The quotient of lengths that are not negative, rounded up.
  mutating func ceilDivided(_ a: Length, by b: Length) throws(CompileError) -> Length {
    if let x = a.extent, let y = b.extent { return .known(x.ceilDivided(by: y)) }
    return try apply(.divide, apply(.subtract, apply(.add, a, b), .constant(1)), b)
  }

  /// One of two lengths, by a comparison of two others.
  mutating func choose(_ comparison: Comparison, _ a: Length, _ b: Length, _ then: Length, else otherwise: Length) throws(CompileError) -> Length {
    if let x = a.extent, let y = b.extent, let holds = KnownElement.compare(comparison, .extent(x, over: 1), .extent(y, over: 1))?.integer {
      return holds != 0 ? then : otherwise
    }
    return .computed(try select(compare(comparison, scalar(a), scalar(b)), scalar(then), scalar(otherwise)))
  }

  /// A position that counts from the end if it is negative, brought into `low...high`.
  mutating func resolved(_ position: Length, extent: Extent, within low: Extent, _ high: Extent) throws(CompileError) -> Length {
    let wrapped = try choose(.less, position, .constant(0), apply(.add, position, .known(extent)), else: position)
    return try apply(.minimum, apply(.maximum, wrapped, .known(low)), .known(high))
  }

  // MARK: Measuring

  /// The lengths as extents: what is computed becomes symbols of the model. None may be negative when the model runs.
  mutating func measured(_ lengths: [Length]) throws(CompileError) -> [Extent] {
    var unknown: [ValueID] = []
    for case .computed(let value) in lengths where measuredScalars[value] == nil && !unknown.contains(value) { unknown.append(value) }
    if !unknown.isEmpty {
      let names = unknown.map { _ in symbolNames.fresh(for: origin.operatorName) }
      let vector: ValueID
      if unknown.count == 1 { vector = unknown[0] } else {
        var parts: [ValueID] = []
        for value in unknown { parts.append(try reshape(value, to: [1])) }
        vector = try concatenate(parts, axis: 0)
      }
      _ = try add(Measure(names), vector)
      for (value, name) in zip(unknown, names) { noteMeasured(value, Extent(symbol: name)) }
    }
    return lengths.compactMap { length in
      switch length {
      case .known(let extent): extent
      case .computed(let value): measuredScalars[value]
      }
    }
  }

  mutating func measured(_ length: Length) throws(CompileError) -> Extent { try measured([length])[0] }

  /// The elements of an integer vector or scalar as extents, measured where they are not known at import.
  mutating func measured(_ value: ValueID, _ what: String) throws(CompileError) -> [Extent] { try measured(lengths(value, what)) }
}
