import GraphIR
import TensorTypes

/// Convolutions, channels first, with the bias as an addition of [O, 1, ...].
enum ConvolutionOperators {
  static let table: [String: OperatorImporter] = ["Conv": convolution, "ConvTranspose": transposed, "ConvInteger": integer]

  private static func filterSize(_ call: OperatorCall, _ filter: ValueID, _ b: GraphBuilder) throws(CompileError) -> [Int] {
    guard let size = Shape(Array(b.shape(filter).extents.dropFirst(2))).constants else {
      throw b.unsupported("\(call.name) with a filter of symbolic size", operands: [filter])
    }
    if let stated = try call.integers("kernel_shape"), !stated.isEmpty, stated != size {
      throw b.refusal("`kernel_shape` is \(stated) but the filter is \(b.type(filter))", operands: [filter])
    }
    return size
  }

  private static func checked(_ call: OperatorCall, _ b: GraphBuilder) throws(CompileError) -> (x: ValueID, filter: ValueID, groups: Int) {
    let (x, filter) = (try call.input(0), try call.input(1))
    guard b.rank(x) >= 3, b.rank(filter) == b.rank(x) else { throw b.refusal("\(call.name) of operands of these ranks", operands: [x, filter]) }
    let groups = try call.integer("group", default: 1)
    guard groups >= 1, groups < 1 << 30 else { throw b.refusal("\(call.name) has \(groups) groups", operands: [x, filter]) }
    return (x, filter, groups)
  }

  private static func biased(_ result: ValueID, _ bias: ValueID?, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard let bias else { return result }
    return try b.binary(.add, result, b.alignedVector(bias, axis: 1, rank: b.rank(result)))
  }

  private static func convolution(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, filter, groups) = try checked(call, b)
    return [try biased(convolve(call, x, filter, groups, &b), call.optional(2), &b)]
  }

  static func convolve(
    _ call: OperatorCall, _ input: ValueID, _ filter: ValueID, _ groups: Int, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    var x = input
    let geometry = try WindowGeometry(call, size: filterSize(call, filter, b))
    let window = try geometry.window(&x, spatial: Array(2..<b.rank(x)), neutral: 0, &b)
    return try b.add(Convolution(window: window, groups: groups), matchedChannels(x, filter, groups, &b), filter)
  }

  /// An input whose number of channels is symbolic is taken to have as many as the filter wants.
  private static func matchedChannels(_ x: ValueID, _ filter: ValueID, _ groups: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var shape = b.shape(x)
    let wanted = b.shape(filter)[1] * Extent(groups)
    guard shape[1] != wanted, !shape[1].isConstant || !wanted.isConstant else { return x }
    shape[1] = wanted
    return try b.reshape(x, to: shape)
  }

  /// Integers less their zero points, convolved in i32.
  private static func integer(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, filter, groups) = try checked(call, b)
    var input = try b.convert(x, to: .i32)
    if let zero = call.optional(2) { input = try b.binary(.subtract, input, b.convert(b.reshape(zero, to: []), to: .i32)) }
    var weights = try b.convert(filter, to: .i32)
    if let zero = call.optional(3) {
      let shift = try b.convert(zero, to: .i32)
      weights = try b.binary(.subtract, weights, b.rank(zero) == 1 ? b.alignedVector(shift, axis: 0, rank: b.rank(filter)) : shift)
    }
    return [try convolve(call, input, weights, groups, &b)]
  }

  /// The transpose of a convolution: a convolution of the input with zeros put between its elements, by the filter
  /// flipped along its window and with its channel axes exchanged.
  private static func transposed(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (x, filter, groups) = try checked(call, b)
    let rank = b.rank(x) - 2
    let size = try filterSize(call, filter, b)
    let geometry = try WindowGeometry(call, size: size)
    let extra = try call.integers("output_padding") ?? [Int](repeating: 0, count: rank)
    let wanted = try call.integers("output_shape")
    guard extra.count == rank, extra.allSatisfy({ $0 >= 0 && $0 < 1 << 30 }), wanted == nil || wanted?.count == rank else {
      throw b.refusal("`output_padding` or `output_shape` of ConvTranspose does not have one entry for each axis", operands: [x, filter])
    }

    // [C, O / g, window...] -> [g, C / g, O / g, window...] -> [O, C / g, window...], each group by itself.
    let shape = b.shape(filter).extents
    guard let channels = shape[0].constant, channels % groups == 0 else { throw b.refusal("\(shape[0]) channels in \(groups) groups", operands: [x, filter]) }
    let perGroup = Extent(channels / groups)
    let grouped = try b.reshape(filter, to: Shape([Extent(groups), perGroup] + shape[1...]))
    let exchanged = try b.transpose(grouped, [0, 2, 1] + Array(3..<3 + rank))
    let merged = try b.reshape(exchanged, to: Shape([shape[1] * Extent(groups), perGroup] + shape[2...]))
    let flipped = size.allSatisfy { $0 == 1 } ? merged : try b.add(Reverse(axes: Array(2..<2 + rank)), merged)

    var (low, high) = (geometry.low, geometry.high)
    var crops = [(low: Int, high: Int)](repeating: (0, 0), count: rank)
    for axis in 0..<rank {
      let reach = geometry.reach(axis)
      if let wanted {
        let stretched = Extent(geometry.strides[axis]) * (b.shape(x)[axis + 2] - 1) + Extent(extra[axis] + reach) - Extent(wanted[axis])
        guard let total = stretched.constant else {
          throw b.unsupported("ConvTranspose with `output_shape` along a symbolic axis", operands: [x], hint: "bind the axis with --dim")
        }
        (low[axis], high[axis]) = halves(total, isUpper: geometry.autoPad == .same)
      } else if geometry.autoPad == .same || geometry.autoPad == .sameLower {
        (low[axis], high[axis]) = halves(max(0, reach + extra[axis] - geometry.strides[axis]), isUpper: geometry.autoPad == .same)
      }
      let (before, after) = (reach - 1 - low[axis], reach - 1 - high[axis] + extra[axis])
      crops[axis] = (max(0, -before), max(0, -after))
      (low[axis], high[axis]) = (max(0, before), max(0, after))
    }
    let window = Window(strides: [Int](repeating: 1, count: rank), padsLow: low, padsHigh: high, dilations: geometry.dilations)
    let input = try transposedInput(x, channels, &b)
    var result = try b.add(Convolution(window: window, inputDilations: geometry.strides, groups: groups), input, flipped)
    for axis in 0..<rank where crops[axis] != (0, 0) {
      let (first, last) = (Extent(crops[axis].low), Extent(crops[axis].high))
      result = try b.slice(result, axis: axis + 2, start: first, size: b.shape(result)[axis + 2] - first - last)
    }
    return [try biased(result, call.optional(2), &b)]
  }

  private static func transposedInput(_ x: ValueID, _ channels: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var shape = b.shape(x)
    guard !shape[1].isConstant else { return x }
    shape[1] = Extent(channels)
    return try b.reshape(x, to: shape)
  }

  /// How the standard divides the padding of a wanted output between both sides.
  private static func halves(_ total: Int, isUpper: Bool) -> (low: Int, high: Int) {
    let half = total >= 0 ? total / 2 : -((-total + 1) / 2)
    return isUpper ? (half, total - half) : (total - half, half)
  }
}
