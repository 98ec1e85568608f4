import GraphIR
import TensorTypes

/// Holds the convolutional parts of a model channels-last, [N, spatial..., C], and moves transposes to the borders of these parts.
///
///     %c = convolution %x, %f : f32[1,64,56,56]
///     %r = max %c, %zero
///     %y = convolution %r, %g : f32[1,64,56,56]
/// ->
///     %t = transpose %x {permutation = [0, 2, 3, 1]}
///     %c = convolution %t, %f' {layout = channels_last} : f32[1,56,56,64]
///     %r = max %c, %zero
///     %d = convolution %r, %g' {layout = channels_last} : f32[1,56,56,64]
///     %y = transpose %d {permutation = [0, 3, 1, 2]}
///
/// One walk in topological order carries, for each tensor, the order in which its axes are held. A transpose of the model changes
/// only that record, so the pairs that exporters put around convolutions vanish; elementwise operations, pooling, padding, concatenation,
/// reductions, slices, gathers and those reshapes that keep groups of axes together work in the order they find. Where operands meet in
/// different orders, the one that moves the fewest elements wins. Constants are permuted here, at compile time.
///
/// Graphs without a convolution or a window are left alone. Numerics: exact, but for the order in which reductions combine elements.
public let channelsLast = Pass<Graph>(
  "channels-last", "Holds convolutional parts channels-last and moves transposes to their borders."
) { graph, context throws(CompileError) in
  let isConvolutional = graph.topologicalOrder().contains { id in
    if let convolution = graph.node(id).operation as? Convolution { return convolution.layout == .channelsFirst }
    return false
  }
  guard isConvolutional else { return false }
  graph = try graph.holdingChannelsLast { context.refuse("channels-last", $0, $1) }
  return true
}.insideRegions()

extension Graph {
  /// - Parameter refuse: Told of each transpose that stays, with the node in front of which it stands.
  fileprivate func holdingChannelsLast(_ refuse: (NodeOrigin, String) -> Void) throws(CompileError) -> Graph {
    var builder = LayoutBuilder(name: name, feedsConvolution: valuesFeedingConvolutions())
    var held = [Arranged?](repeating: nil, count: valueCount)
    for input in inputs {
      held[input.index] = Arranged(plain: builder.addInput(value(input).name, type(of: input)), rank: type(of: input).rank)
    }
    for id in topologicalOrder() {
      let node = self.node(id)
      builder.origin = node.origin
      let operands = node.operands.compactMap { held[$0.index] }
      do throws(TypeError) {
        let results = try emit(node, operands, into: &builder)
        for (old, new) in zip(node.results, results) { held[old.index] = new }
      } catch {
        throw CompileError(error, stage: .pass("channels-last"), origin: node.origin, operands: types(of: node.operands))
      }
    }
    let transposesInside = builder.transposes.count
    var returned: [(name: String, value: ValueID)] = []
    for (name, output) in zip(outputNames, outputs) {
      guard let tensor = held[output.index] else { continue }
      builder.origin = producer(of: output)?.origin ?? NodeOrigin()
      do throws(TypeError) { returned.append((name, try builder.plain(tensor))) } catch {
        throw CompileError(error, stage: .pass("channels-last"), origin: builder.origin)
      }
    }
    builder.setOutputs(returned)
    for (number, transpose) in builder.transposes.enumerated() {
      let verb = number < transposesInside ? "reads" : "returns"
      let axes = transpose.order.map(String.init).joined(separator: ", ")
      refuse(transpose.origin, "what it \(verb) is held as \(transpose.from), and is transposed by [\(axes)] for it")
    }
    var result = builder.graph
    result.removeDeadNodes()
    result.requirements = requirements
    return result
  }

  private func emit(_ node: Node, _ operands: [Arranged], into builder: inout LayoutBuilder) throws(TypeError) -> [Arranged] {
    if let operation = node.operation as? any Rearrangeable { return try operation.rearranged(operands, node, into: &builder) }
    var values: [ValueID] = []
    for operand in operands { values.append(try builder.plain(operand)) }
    let results = try builder.insertAll(node.operation, values)
    return zip(results, node.results).map { Arranged(plain: $0, rank: type(of: $1).rank) }
  }

  /// Values that reach the input of a convolution through operations that keep the axes.
  private func valuesFeedingConvolutions() -> Set<ValueID> {
    var found: Set<ValueID> = []
    for id in topologicalOrder().reversed() {
      let node = self.node(id)
      switch node.operation {
      case let convolution as Convolution where convolution.layout == .channelsFirst: found.insert(node.operands[0])
      case is Unary, is Binary, is Compare, is Select, is Convert, is Slice, is Pad, is Concatenate, is Reverse, is ReduceWindow:
        if found.contains(node.results[0]) { found.formUnion(node.operands) }
      case is Gather, is GatherElements, is Broadcast: if found.contains(node.results[0]) { found.insert(node.operands[0]) }
      default: break
      }
    }
    return found
  }
}
