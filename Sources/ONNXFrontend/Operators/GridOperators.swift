import GraphIR
import TensorTypes

/// Sampling at computed positions.
enum GridOperators {
  static let table: [String: OperatorImporter] = ["GridSample": gridSample, "AffineGrid": affineGrid]

  private enum Mode: String, CaseIterable { case linear, nearest, cubic, bilinear, bicubic }

  /// The elements of x [N, C, spatial...] at positions [N, out..., axes], given from -1 to 1, last axis first.
  private static func gridSample(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, grid) = (try call.input(0), try call.input(1))
    // Before opset 20 the modes had other names.
    let mode = try call.word("mode", default: Mode.linear)
    let isAligned = try call.flag("align_corners")
    let axes = b.rank(x) - 2
    guard axes >= 1, b.rank(grid) == axes + 2, b.shape(grid)[axes + 1] == Extent(axes) else { throw b.refusal("GridSample at these positions", operands: [x, grid]) }
    let element = b.element(x)
    let wide = b.accumulator(element)
    let sampler = try Sampler(x, padding: call.word("padding_mode", default: Sampler.Padding.zeros), isAligned: isAligned, &b)
    // Positions [N, points], one for each spatial axis in the order of x.
    let outer = Array(b.shape(grid).extents[1...axes])
    let points = outer.reduce(Extent(1)) { $0 * $1 }
    var positions: [ValueID] = []
    for axis in 0..<axes {
      let part = try b.convert(b.select(grid, axis: axes + 1, at: Extent(axes - 1 - axis)), to: wide)
      let length = try b.materialize(scalar: sampler.spatial[axis], wide)
      let unit = try b.binary(.add, b.reshape(part, to: [sampler.batch, points]), 1)
      let scaled: ValueID
      if isAligned { scaled = try b.binary(.multiply, unit, b.binary(.multiply, b.binary(.subtract, length, 1), 0.5)) } else {
        scaled = try b.binary(.multiply, b.binary(.subtract, b.binary(.multiply, unit, length), 1), 0.5)
      }
      positions.append(scaled)
    }
    let result: ValueID
    switch mode {
    case .nearest: result = try sampler.nearest(to: positions, &b)
    case .linear, .bilinear: result = try sampler.linear(at: positions, &b)
    case .cubic, .bicubic: result = try sampler.cubic(at: positions, &b)
    }
    return [try b.convert(b.reshape(result, to: Shape([sampler.batch, sampler.channels] + outer)), to: element)]
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
