import GraphIR
import TensorTypes

/// Sampling at computed positions.
enum GridOperators {
  static let table: [String: OperatorImporter] = ["GridSample": gridSample, "AffineGrid": affineGrid]

  private enum Mode: String, CaseIterable { case linear, nearest, cubic, bilinear, bicubic }
  private enum Padding: String, CaseIterable { case zeros, border, reflection }

  /// The elements of x [N, C, spatial...] at positions [N, out..., axes], given from -1 to 1, last axis first.
  private static func gridSample(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, grid) = (try call.input(0), try call.input(1))
    let mode = try call.word("mode", default: Mode.linear)
    let padding = try call.word("padding_mode", default: Padding.zeros)
    let isAligned = try call.flag("align_corners")
    let axes = b.rank(x) - 2
    guard axes >= 1, b.rank(grid) == axes + 2, b.shape(grid)[axes + 1] == Extent(axes) else { throw b.refusal("GridSample at these positions", operands: [x, grid]) }
    let element = b.element(x)
    let wide = b.accumulator(element)
    var input = try b.convert(x, to: wide)
    // Positions [N, points, 1], one for each spatial axis in the order of x.
    let shape = b.shape(x)
    let outer = Array(b.shape(grid).extents[1...axes])
    let points = outer.reduce(Extent(1)) { $0 * $1 }
    var positions: [ValueID] = []
    for axis in 0..<axes {
      let part = try b.convert(b.select(grid, axis: axes + 1, at: Extent(axes - 1 - axis)), to: wide)
      let length = try b.materialize(scalar: shape[axis + 2], wide)
      let unit = try b.binary(.add, b.reshape(part, to: [shape[0], points]), 1)
      let scaled: ValueID
      if isAligned { scaled = try b.binary(.multiply, unit, b.binary(.multiply, b.binary(.subtract, length, 1), 0.5)) } else {
        scaled = try b.binary(.multiply, b.binary(.subtract, b.binary(.multiply, unit, length), 1), 0.5)
      }
      positions.append(scaled)
    }
    let count = shape.extents[2...].reduce(Extent(1)) { $0 * $1 }
    input = try b.reshape(input, to: [shape[0], shape[1], count])

    /// The elements at whole positions, [N, C, points], with what padding says outside.
    func sample(_ whole: [ValueID], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      var index: ValueID?
      var isInside: ValueID?
      for (axis, position) in whole.enumerated() {
        let length = try b.materialize(scalar: shape[axis + 2], wide)
        let last = try b.binary(.subtract, length, 1)
        var inner = position
        switch padding {
        case .zeros:
          let fits = try b.binary(.and, b.compare(.greaterOrEqual, position, 0), b.compare(.lessOrEqual, position, last))
          isInside = try isInside.map { known throws(CompileError) in try b.binary(.and, known, fits) } ?? fits
        case .border: break
        case .reflection: inner = try reflected(position, length, isAligned, &b)
        }
        inner = try b.convert(b.binary(.minimum, b.binary(.maximum, inner, 0), last), to: .i64)
        index = try index.map { known throws(CompileError) in
          try b.binary(.add, b.binary(.multiply, known, b.materialize(scalar: shape[axis + 2], .i64)), inner)
        } ?? inner
      }
      guard let index else { return input }
      let every = try b.broadcast(b.unsqueeze(index, axis: 1), to: [shape[0], shape[1], points])
      let found = try b.add(GatherElements(axis: 2), input, every)
      guard let isInside else { return found }
      return try b.select(b.unsqueeze(isInside, axis: 1), found, b.scalar(0, wide))
    }

    let result: ValueID
    switch mode {
    case .nearest:
      var whole: [ValueID] = []
      for position in positions { whole.append(try b.unary(.round, position)) }
      result = try sample(whole, &b)
    case .linear, .bilinear: result = try weighted(positions, taps: [0, 1], wide, &b, sample) { distance, b throws(CompileError) in
        try b.binary(.subtract, b.scalar(1, like: distance), b.unary(.absolute, distance))
      }
    case .cubic, .bicubic: result = try weighted(positions, taps: [-1, 0, 1, 2], wide, &b, sample) { distance, b throws(CompileError) in
        try cubic(b.unary(.absolute, distance), &b)
      }
    }
    return [try b.convert(b.reshape(result, to: Shape([shape[0], shape[1]] + outer)), to: element)]
  }

  /// The sum over all combinations of neighbours, each by the product of its weights.
  private static func weighted(
    _ positions: [ValueID], taps: [Int], _ wide: ElementType, _ b: inout GraphBuilder,
    _ sample: ([ValueID], inout GraphBuilder) throws(CompileError) -> ValueID, weight: (ValueID, inout GraphBuilder) throws(CompileError) -> ValueID
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
    for _ in positions { combinations = combinations.flatMap { chosen in taps.indices.map { chosen + [$0] } } }
    guard combinations.count <= 4096 else { throw b.unsupported("GridSample over so many axes") }
    var sum: ValueID?
    for chosen in combinations {
      var factor: ValueID?
      for (axis, tap) in chosen.enumerated() {
        factor = try factor.map { known throws(CompileError) in try b.binary(.multiply, known, weights[axis][tap]) } ?? weights[axis][tap]
      }
      let values = try sample(chosen.enumerated().map { wholes[$0.offset][$0.element] }, &b)
      guard let factor else { return values }
      let term = try b.binary(.multiply, values, b.unsqueeze(factor, axis: 1))
      sum = try sum.map { total throws(CompileError) in try b.binary(.add, total, term) } ?? term
    }
    guard let sum else { throw b.refusal("GridSample without an axis") }
    return sum
  }

  /// Positions mirrored at the borders until they lie inside.
  private static func reflected(_ position: ValueID, _ length: ValueID, _ isAligned: Bool, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
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
  private static func cubic(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let a = -0.75
    func polynomial(_ coefficients: [Double], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      var value = try b.scalar(coefficients[0], like: x)
      for coefficient in coefficients.dropFirst() { value = try b.binary(.add, b.binary(.multiply, value, x), coefficient) }
      return value
    }
    let near = try polynomial([a + 2, -(a + 3), 0, 1], &b), far = try polynomial([a, -5 * a, 8 * a, -4 * a], &b)
    return try b.select(b.compare(.lessOrEqual, x, 1), near, far)
  }

  /// Positions of the elements of an image under affine maps [N, axes, axes + 1].
  private static func affineGrid(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let theta = try call.input(0)
    let size = try b.measured(call.input(1), "the size")
    let axes = size.count - 2
    guard axes == 2 || axes == 3, b.rank(theta) == 3 else { throw b.refusal("AffineGrid of \(size.count) axes", operands: [theta]) }
    let isAligned = try call.flag("align_corners")
    let element = b.element(theta)
    let spatial = Array(size[2...])
    let points = spatial.reduce(Extent(1)) { $0 * $1 }
    // Homogeneous coordinates, last axis first.
    var columns: [ValueID] = []
    for axis in (0..<axes).reversed() {
      let index = try b.add(Iota(element, Shape(spatial), axis: axis))
      let length = try b.materialize(scalar: spatial[axis], element)
      let coordinate: ValueID
      if isAligned {
        let steps = try b.binary(.maximum, b.binary(.subtract, length, 1), 1)
        coordinate = try b.binary(.subtract, b.binary(.divide, b.binary(.multiply, index, 2), steps), 1)
      } else {
        coordinate = try b.binary(.subtract, b.binary(.divide, b.binary(.add, b.binary(.multiply, index, 2), 1), length), 1)
      }
      columns.append(try b.reshape(coordinate, to: [points, 1]))
    }
    columns.append(try b.broadcast(b.scalar(1, element), to: [points, 1]))
    let grid = try b.unsqueeze(b.concatenate(columns, axis: 1), axis: 0)
    let product = try MatrixOperators.product(grid, b.transpose(theta, [0, 2, 1]), &b)
    return [try b.reshape(product, to: Shape([size[0]] + spatial + [Extent(axes)]))]
  }
}
