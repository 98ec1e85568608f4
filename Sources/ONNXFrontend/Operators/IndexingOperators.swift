import GraphIR
import TensorTypes

/// Gathers and scatters. Negative indices count from the end; here they become positive ones.
enum IndexingOperators {
  static let table: [String: OperatorImporter] = [
    "Gather": gather,
    "GatherElements": { call, b throws(CompileError) in
      let (x, axis) = try operand(call, b)
      return [try b.add(GatherElements(axis: axis), x, resolved(call.input(1), extent: b.shape(x)[axis], &b))]
    },
    "GatherND": gatherND,
    "ScatterElements": scatterElements,
    "Scatter": scatterElements,
    "ScatterND": scatterND,
    "OneHot": oneHot,
  ]

  private static func operand(_ call: OperatorCall, _ b: GraphBuilder) throws(CompileError) -> (x: ValueID, axis: Int) {
    let x = try call.input(0)
    return (x, try call.axis(call.integer("axis", default: 0), rank: b.rank(x)))
  }

  /// Indices as i32 or i64, none negative.
  private static func resolved(_ indices: ValueID, extent: Extent, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard b.element(indices) == .i32 || b.element(indices) == .i64 else { throw b.refusal("indices must be int32 or int64", operands: [indices]) }
    if let integers = constants(indices, b) {
      if integers.allSatisfy({ $0 >= 0 }) { return indices }
      if let extent = extent.constant {
        let element = b.element(indices)
        let dimensions = b.shape(indices).constants ?? []
        return try b.constant(
          Tensor(element, dimensions) { bytes in
            for (position, value) in integers.enumerated() { Tensor.store(value < 0 ? value &+ extent : value, element, bytes, position) }
          })
      }
    }
    let wrapped = try b.binary(.add, indices, b.materialize(scalar: extent, b.element(indices)))
    return try b.select(b.compare(.less, indices, 0), wrapped, indices)
  }

  private static func constants(_ indices: ValueID, _ b: GraphBuilder) -> [Int]? {
    if let tensor = b.graph.constant(indices), tensor.count <= 1 << 22 { return tensor.integers }
    return b.contents(indices).flatMap { contents in
      let integers = contents.elements.compactMap(\.integer)
      return integers.count == contents.elements.count ? integers : nil
    }
  }

  private static func gather(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, axis) = try operand(call, b)
    let indices = try call.input(1)
    let extent = b.shape(x)[axis]
    let outer = b.shape(x).extents
    guard let integers = constants(indices, b), let indexDimensions = b.shape(indices).constants else {
      return [try b.add(Gather(axis: axis), x, resolved(indices, extent: extent, &b))]
    }
    if let length = extent.constant, let wrong = integers.first(where: { $0 < -length || $0 >= length }) {
      throw b.refusal("index \(wrong) of axis \(axis), which has \(length) elements", operands: [x, indices])
    }
    let target = Shape(outer[..<axis] + indexDimensions.map { Extent($0) } + outer[(axis + 1)...])
    if let contents = b.contents(x), let dimensions = target.constants {
      let known = contents.rearranged(to: dimensions) { index in
        let position = zip(index[axis..<axis + indexDimensions.count], indexDimensions).reduce(0) { $0 * $1.1 + $1.0 }
        let chosen = integers[position]
        return index[..<axis] + [chosen < 0 ? chosen + contents.dimensions[axis] : chosen] + index[(axis + indexDimensions.count)...]
      }
      if let known {
        return [
          try b.settle(known, b.element(x)) { b throws(CompileError) in try b.add(Gather(axis: axis), x, resolved(indices, extent: extent, &b)) }
        ]
      }
    }
    // One element is a slice.
    if integers.count == 1 {
      let start = integers[0] < 0 ? extent + Extent(integers[0]) : Extent(integers[0])
      return [try b.reshape(b.slice(x, axis: axis, start: start, size: 1), to: target)]
    }
    return [try b.add(Gather(axis: axis), x, resolved(indices, extent: extent, &b))]
  }

  private static func gatherND(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, indices) = (try call.input(0), try call.input(1))
    let batchAxes = try call.integer("batch_dims", default: 0)
    return [try b.add(GatherND(batchAxes: batchAxes), x, resolvedTuples(indices, of: x, behind: batchAxes, &b))]
  }

  /// Index tuples, none negative: each component is of another axis.
  private static func resolvedTuples(_ indices: ValueID, of x: ValueID, behind skipped: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard b.element(indices) == .i32 || b.element(indices) == .i64 else { throw b.refusal("indices must be int32 or int64", operands: [x, indices]) }
    if let integers = constants(indices, b), integers.allSatisfy({ $0 >= 0 }) { return indices }
    guard let depth = b.shape(indices).last?.constant, skipped >= 0, skipped <= b.rank(x), depth >= 0, depth <= b.rank(x) - skipped else {
      throw b.refusal("index tuples that do not fit", operands: [x, indices])
    }
    let extents = Array(b.shape(x).extents[skipped..<skipped + depth])
    let wrapped = try b.binary(.add, indices, b.materialize(extents, b.element(indices)))
    return try b.select(b.compare(.less, indices, 0), wrapped, indices)
  }

  private enum Combination: String, CaseIterable { case none, add, mul, max, min }

  private static func reducer(_ call: OperatorCall) throws(CompileError) -> Reducer? {
    switch try call.word("reduction", default: Combination.none) {
    case .none: nil
    case .add: .sum
    case .mul: .product
    case .max: .maximum
    case .min: .minimum
    }
  }

  private static func scatterElements(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, axis) = try operand(call, b)
    let indices = try resolved(call.input(1), extent: b.shape(x)[axis], &b)
    return [try b.add(ScatterElements(axis: axis, combine: reducer(call)), x, indices, call.input(2))]
  }

  private static func scatterND(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let indices = try resolvedTuples(call.input(1), of: x, behind: 0, &b)
    return [try b.add(ScatterND(combine: reducer(call)), x, indices, call.input(2))]
  }

  /// `on` where the index is the position along a new axis; indices out of range are `off` everywhere.
  private static func oneHot(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (given, values) = (try call.input(0), try call.input(2))
    let depthValue = try call.input(1)
    let depth: Extent
    if b.element(depthValue).isFloatingPoint, let known = b.contents(depthValue)?.elements.first?.constant { depth = Extent(Int(clamping: known)) } else {
      let whole = try b.element(depthValue).isFloatingPoint ? b.convert(depthValue, to: .i64) : depthValue
      depth = try b.measured(b.length(whole, "`depth`"))
    }
    guard b.shape(values) == [2] else { throw b.refusal("the values of OneHot must be two", operands: [given, values]) }
    let axis = try call.axis(call.integer("axis", default: -1), rank: b.rank(given) + 1)
    let indices = try b.unsqueeze(b.convert(given, to: .i64), axis: axis)
    var shape = b.shape(indices)
    shape[axis] = depth
    let wrapped = try b.binary(.add, indices, b.materialize(scalar: depth, .i64))
    let index = try b.select(b.compare(.less, indices, 0), wrapped, indices)
    let isHot = try b.compare(.equal, b.add(Iota(.i64, shape, axis: axis)), index)
    return [try b.select(isHot, b.select(values, axis: 0, at: 1), b.select(values, axis: 0, at: 0))]
  }
}
