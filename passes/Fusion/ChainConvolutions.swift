import GraphIR
import TensorTypes

/// Computes a convolution in the kernel of the depthwise convolution or pooling that alone reads it.
///
///     %a = fusion %x, %w {convolution}(... conv, clip)
///     %y = fusion %a, %v {convolution}(... depthwise conv, clip)
/// ->
///     %y = fusion %x, %w, %v {convolution}(... conv, clip, depthwise conv, clip)
///
/// These windows keep channels apart, so a panel of the convolution's channels can go from one to the other through the
/// first-level cache. Not for convolutions with a window over many channels, which Winograd's method may do with fewer products.
///
/// Measured on Zen 4 with one thread: 112x112x16 -> 96, then 3x3 with stride 2: 0.58 ms apart, 0.43 ms together.
/// Numerics: none.
public let chainConvolutions = rewrite(
  "chain-convolutions", "Computes a convolution in the kernel of the depthwise convolution or pooling that alone reads it.", Fusion.self
) { match, rewriter throws(TypeError) in
  guard let after = WindowPart(match.operation.body), after.keepsChannelsApart, let position = match.operation.body.inputs.firstIndex(of: after.node.operands[0]),
    match.operation.body.useCount(of: after.node.operands[0]) == 1, let (producer, fusion) = rewriter.producer(of: match[position], as: Fusion.self), producer.results.count == 1,
    fusion.template == .convolution, let before = WindowPart(fusion.body)
  else { return .unchanged }
  var refusal: String?
  guard rewriter.hasOneUse(match[position]) else {
    rewriter.refuse(match.node, "the result of \(producer.origin.node) before it is read elsewhere too")
    return .unchanged
  }
  guard let bytes = WindowPart.ringBytes(from: before, to: after, refusal: &refusal) else {
    if let refusal { rewriter.refuse(match.node, "not with \(producer.origin.node) before it: \(refusal)") }
    return .unchanged
  }
  let reason = "panels of the convolution, at least \(bytes >> 10) KB, stay in the first-level cache for the window behind it"
  guard let (merged, operands) = FusionMerge.inline(fusion, producer.operands, into: match.operation, match.operands, at: position, .convolution, reason: reason) else {
    return .unchanged
  }
  return .replacedAll(with: try rewriter.insertAll(merged, operands))
}

/// A fusion around one convolution or window reduction, and when two share a kernel.
struct WindowPart {
  let body: Graph
  let node: Node

  init?(_ body: Graph) {
    let nodes = body.topologicalOrder().map { body.node($0) }.filter { $0.operation is Convolution || $0.operation is ReduceWindow }
    guard nodes.count == 1, body.outputs.count == 1 else { return nil }
    (self.body, node) = (body, nodes[0])
  }

  private var input: TensorType { body.type(of: node.operands[0]) }
  private var result: TensorType { body.type(of: node.results[0]) }

  /// Two spatial axes, channels last, extents known, f32.
  private var isPlain: Bool {
    input.shape.rank == 4 && input.element == .f32 && (input.shape.extents.dropFirst() + result.shape.extents.dropFirst()).allSatisfy(\.isConstant)
  }

  /// A convolution over all channels, channels last: the extents of its filter.
  private var filter: [Int]? {
    guard isPlain, let operation = node.operation as? Convolution, operation.layout == .channelsLast, operation.inputDilations.allSatisfy({ $0 == 1 }) else { return nil }
    let extents = body.type(of: node.operands[1]).shape.extents.compactMap(\.constant)
    return extents.count == 4 ? extents : nil
  }

  /// A window over rows and columns of each channel on its own: the size along them and how it moves.
  private var window: (rows: Int, dilation: Int, rowPadding: Int, padding: Int)? {
    if let operation = node.operation as? Convolution {
      guard let filter, operation.groups > 1, filter[2] == 1, filter[3] == operation.groups else { return nil }
      let (low, high) = (operation.window.padsLow, operation.window.padsHigh)
      return (filter[0], operation.window.dilations[0], low[0] + high[0], low[1] + high[1])
    }
    guard isPlain, let operation = node.operation as? ReduceWindow, operation.size[0] == 1, operation.size[3] == 1 else { return nil }
    // Wide windows are better reduced along one axis after the other.
    guard operation.size[1] <= 5, operation.size[2] <= 5, result.shape[3] == input.shape[3], result.shape[0] == input.shape[0] else { return nil }
    let (low, high) = (operation.window.padsLow, operation.window.padsHigh)
    return (operation.size[1], operation.window.dilations[1], low[1] + high[1], low[2] + high[2])
  }

  var keepsChannelsApart: Bool { window != nil }

  /// Nothing but elementwise work at the places of the convolution's result follows it.
  var isElementwise: Bool {
    guard body.type(of: body.outputs[0]).shape == result.shape else { return false }
    var behind: Set<ValueID> = [node.results[0]]
    for id in body.topologicalOrder() where id != node.id {
      let next = body.node(id)
      guard next.operands.contains(where: behind.contains) else { continue }
      guard FusionCost.isElementwise(next.operation) else { return false }
      behind.formUnion(next.results)
    }
    return true
  }

  /// The least memory between the two, for panels of a vector of 16 channels; nil if they had better stay apart.
  ///
  /// - Parameter refusal: Why.
  static func ringBytes(from before: WindowPart, to after: WindowPart, refusal: inout String?) -> Int? {
    guard before.isElementwise else {
      refusal = "more than elementwise work follows it"
      return nil
    }
    guard let filter = before.filter, let window = after.window,
      let channels = before.input.shape[3].constant, let height = before.result.shape[1].constant, let width = before.result.shape[2].constant
    else {
      refusal = "not all its extents are known when compiling, or it is not of f32 over two axes, channels last"
      return nil
    }
    guard (before.node.operation as? Convolution)?.groups == 1 else {
      refusal = "it keeps groups of channels apart, so that there are no panels of all its sums"
      return nil
    }
    let (taps, overflow) = filter[0].multipliedReportingOverflow(by: filter[1])
    // A window over many channels is better done by other methods; a long sum has panels that fill the cache.
    guard !overflow, taps == 1 || channels <= FusionCost.mostChainedWindowChannels else {
      refusal = "its window of \(filter[0])x\(filter[1]) over \(channels) channels has faster kernels of its own"
      return nil
    }
    guard taps <= FusionCost.mostChainedSteps / max(1, channels) else {
      refusal = "its filter for 16 outputs, \(taps) x \(channels) products each, fills the cache"
      return nil
    }
    let reach = (window.rows - 1).multipliedReportingOverflow(by: window.dilation)
    let row = width.addingReportingOverflow(window.padding)
    // Small images are kept whole, with the padding around them.
    let rows = height.addingReportingOverflow(window.rowPadding)
    guard !reach.overflow, !row.overflow, !rows.overflow, max(reach.partialValue, row.partialValue, rows.partialValue) < 1 << 20 else {
      refusal = "its rows are too long to be kept near"
      return nil
    }
    let bytes = (height * width <= 64 ? rows.partialValue : reach.partialValue + 1) * row.partialValue * 16 * 4
    guard bytes <= FusionCost.mostRingBytes else {
      refusal = "the rows between them, \(bytes >> 10) KB for a vector of channels, do not stay in the nearest cache (\(FusionCost.mostRingBytes >> 10) KB)"
      return nil
    }
    return bytes
  }
}
