import GraphIR
import TensorTypes

/// Reads a tensor [N, C, spatial...] at positions that are computed at run time and lie between its elements.
struct Sampler {
  /// What lies outside of the tensor.
  enum Padding: String, CaseIterable { case zeros, border, reflection }

  /// [N, C, elements of a plane], wide enough to sum in.
  let input: ValueID
  let batch: Extent
  let channels: Extent
  let spatial: [Extent]
  let padding: Padding
  /// True if the borders for reflection are the middles of the outer elements, not their outer edges.
  let isAligned: Bool
  private let wide: ElementType

  init(_ x: ValueID, padding: Padding, isAligned: Bool, _ b: inout GraphBuilder) throws(CompileError) {
    let shape = b.shape(x)
    (batch, channels, spatial) = (shape[0], shape[1], Array(shape.extents[2...]))
    (self.padding, self.isAligned) = (padding, isAligned)
    wide = b.accumulator(b.element(x))
    input = try b.reshape(b.convert(x, to: wide), to: [batch, channels, spatial.reduce(Extent(1)) { $0 * $1 }])
  }

  /// The elements at whole positions, one list [N, points] for each axis, as [N, C, points].
  func elements(at whole: [ValueID], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var index: ValueID?
    var isInside: ValueID?
    for (axis, position) in whole.enumerated() {
      let length = try b.materialize(scalar: spatial[axis], wide)
      let last = try b.binary(.subtract, length, 1)
      var inner = position
      switch padding {
      case .zeros:
        let fits = try b.binary(.and, b.compare(.greaterOrEqual, position, 0), b.compare(.lessOrEqual, position, last))
        isInside = try isInside.map { known throws(CompileError) in try b.binary(.and, known, fits) } ?? fits
      case .border: break
      case .reflection: inner = try reflected(position, length, &b)
      }
      inner = try b.convert(b.binary(.minimum, b.binary(.maximum, inner, 0), last), to: .i64)
      index = try index.map { known throws(CompileError) in
        try b.binary(.add, b.binary(.multiply, known, b.materialize(scalar: spatial[axis], .i64)), inner)
      } ?? inner
    }
    guard let index else { return input }
    let every = try b.broadcast(b.unsqueeze(index, axis: 1), to: [batch, channels, b.shape(index)[1]])
    let found = try b.add(GatherElements(axis: 2), input, every)
    guard let isInside else { return found }
    return try b.select(b.unsqueeze(isInside, axis: 1), found, b.scalar(0, wide))
  }

  func nearest(to positions: [ValueID], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var whole: [ValueID] = []
    for position in positions { whole.append(try b.unary(.round, position)) }
    return try elements(at: whole, &b)
  }

  func linear(at positions: [ValueID], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    try weighted(positions, taps: [0, 1], &b) { distance, b throws(CompileError) in
      try b.binary(.subtract, b.scalar(1, like: distance), b.unary(.absolute, distance))
    }
  }

  func cubic(at positions: [ValueID], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    try weighted(positions, taps: [-1, 0, 1, 2], &b) { distance, b throws(CompileError) in
      try Self.cubicKernel(b.unary(.absolute, distance), &b)
    }
  }

  /// The sum over all combinations of neighbours, each by the product of its weights.
  private func weighted(
    _ positions: [ValueID], taps: [Int], _ b: inout GraphBuilder, weight: (ValueID, inout GraphBuilder) throws(CompileError) -> ValueID
  ) throws(CompileError) -> ValueID {
    var wholes: [[ValueID]] = [], weights: [[ValueID]] = []
    for position in positions {
      let floor = try b.unary(.floor, position)
      var (axisWholes, axisWeights): ([ValueID], [ValueID]) = ([], [])
      for tap in taps {
        let whole = try tap == 0 ? floor : b.binary(.add, floor, Double(tap))
        axisWholes.append(whole)
        axisWeights.append(try weight(b.binary(.subtract, position, whole), &b))
      }
      wholes.append(axisWholes)
      weights.append(axisWeights)
    }
    var combinations: [[Int]] = [[]]
    for _ in positions {
      combinations = combinations.flatMap { chosen in taps.indices.map { chosen + [$0] } }
      guard combinations.count <= 4096 else { throw b.unsupported("\(b.origin.operatorName) over \(positions.count) axes") }
    }
    var sum: ValueID?
    for chosen in combinations {
      var factor: ValueID?
      for (axis, tap) in chosen.enumerated() {
        factor = try factor.map { known throws(CompileError) in try b.binary(.multiply, known, weights[axis][tap]) } ?? weights[axis][tap]
      }
      let values = try elements(at: chosen.enumerated().map { wholes[$0.offset][$0.element] }, &b)
      guard let factor else { return values }
      let term = try b.binary(.multiply, values, b.unsqueeze(factor, axis: 1))
      sum = try sum.map { total throws(CompileError) in try b.binary(.add, total, term) } ?? term
    }
    guard let sum else { throw b.refusal("\(b.origin.operatorName) without an axis") }
    return sum
  }

  /// Positions mirrored at the borders until they lie inside.
  private func reflected(_ position: ValueID, _ length: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let low = isAligned ? 0.0 : -0.5
    let range = isAligned ? try b.binary(.subtract, length, 1) : length
    let moved = try b.binary(.subtract, position, low)
    // A triangle wave of period 2 * range; one element alone always gives itself.
    let period = try b.binary(.maximum, b.binary(.multiply, range, 2), 1)
    let folded = try b.binary(.modulo, moved, period)
    let mirrored = try b.binary(.subtract, b.binary(.multiply, range, 2), folded)
    return try b.binary(.add, b.binary(.minimum, folded, mirrored), low)
  }

  /// The cubic kernel with coefficient -0.75 at a distance of at most 2.
  private static func cubicKernel(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let a = -0.75
    func polynomial(_ coefficients: [Double], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      var value = try b.scalar(coefficients[0], like: x)
      for coefficient in coefficients.dropFirst() { value = try b.binary(.add, b.binary(.multiply, value, x), coefficient) }
      return value
    }
    let near = try polynomial([a + 2, -(a + 3), 0, 1], &b), far = try polynomial([a, -5 * a, 8 * a, -4 * a], &b)
    return try b.select(b.compare(.lessOrEqual, x, 1), near, far)
  }
}
