import GraphIR
import TensorTypes

/// `DeformConv`: a convolution whose window reads between elements, each tap displaced by an offset of its own.
enum DeformableConvolution {
  static let table: [String: OperatorImporter] = ["DeformConv": importer]

  /// Interpolated taps [N, C, taps, windows], and a product with the filter for each group.
  private static func importer(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, filter, offset) = (try call.input(0), try call.input(1), try call.input(2))
    let axes = b.rank(x) - 2
    guard axes >= 1, b.rank(filter) == axes + 2, b.rank(offset) == axes + 2, let size = Shape(Array(b.shape(filter).extents[2...])).constants,
      let taps = elementCount(of: size), taps >= 1
    else { throw b.refusal("DeformConv of operands of these shapes", operands: [x, filter, offset]) }
    if let stated = try call.integers("kernel_shape"), stated != size { throw b.refusal("`kernel_shape` is \(stated)", operands: [filter]) }
    let geometry = try WindowGeometry(call, size: size)
    let (groups, offsetGroups) = (try call.integer("group", default: 1), try call.integer("offset_group", default: 1))
    guard let channels = (b.shape(filter)[1] * Extent(groups)).constant, groups >= 1, offsetGroups >= 1, channels % groups == 0,
      channels % offsetGroups == 0, let outputs = b.shape(filter)[0].constant, outputs % groups == 0,
      b.shape(offset)[1] == Extent(offsetGroups) * Extent(taps) * Extent(axes)
    else { throw b.refusal("DeformConv with \(groups) groups and \(offsetGroups) groups of offsets", operands: [x, filter, offset]) }
    let element = b.element(x)
    let wide = b.accumulator(element)
    let batch = b.shape(x)[0]
    let outer = Array(b.shape(offset).extents[2...])
    let windows = outer.reduce(Extent(1)) { $0 * $1 }

    // Groups of offsets are images of their own.
    let images = batch * Extent(offsetGroups)
    let table = Shape([images] + size.map { Extent($0) } + outer)
    let displacements = try b.reshape(
      b.convert(offset, to: wide), to: Shape([images] + size.map { Extent($0) } + [Extent(axes)] + outer))
    var positions: [ValueID] = []
    for axis in 0..<axes {
      let tap = try b.binary(.multiply, b.add(Iota(wide, table, axis: 1 + axis)), Double(geometry.dilations[axis]))
      let window = try b.binary(.multiply, b.add(Iota(wide, table, axis: 1 + axes + axis)), Double(geometry.strides[axis]))
      let regular = try b.binary(.subtract, b.binary(.add, tap, window), Double(geometry.low[axis]))
      let position = try b.binary(.add, regular, b.select(displacements, axis: 1 + axes, at: Extent(axis)))
      positions.append(try b.reshape(position, to: [images, Extent(taps) * windows]))
    }
    let planes = try b.reshape(x, to: Shape([images, Extent(channels / offsetGroups)] + b.shape(x).extents[2...]))
    var sampled = try Sampler(planes, padding: .zeros, isAligned: true, &b).linear(at: positions, &b)
    if let mask = call.optional(4) {
      sampled = try b.binary(.multiply, sampled, b.reshape(b.convert(mask, to: wide), to: [images, 1, Extent(taps) * windows]))
    }
    let depth = Extent(channels / groups * taps)
    let columns = try b.reshape(sampled, to: [batch, Extent(groups), depth, windows])
    let rows = try b.reshape(b.convert(filter, to: wide), to: [1, Extent(groups), Extent(outputs / groups), depth])
    var result = try b.reshape(MatrixOperators.product(rows, columns, &b), to: Shape([batch, Extent(outputs)] + outer))
    if let bias = call.optional(3) {
      result = try b.binary(.add, result, b.alignedVector(b.convert(bias, to: wide), axis: 1, rank: axes + 2))
    }
    return [try b.convert(result, to: element)]
  }
}
