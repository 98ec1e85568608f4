import GraphIR
import TensorTypes

/// Which contractions of a graph of fusions take bf16 operands, and which values are stored as bf16.
///
/// Contractions: those with sums long enough to gain, whose right operand is constant or read by enough rows to be worth packing. Others stay
/// as they are. A left operand whose sums are not contiguous in memory is laid out anew by a kernel of its own, and so are images of an odd
/// number of channels: a zero is added to each pixel (a first layer of 7x7x3 takes 1.4 instead of 2.1 ms).
///
/// Values: what a contraction reads, and what depends on one, residual streams included: keeping those f32 would cost their traffic twice over
/// and gain little, as every branch that is added to them comes from rounded operands. What stays f32: inputs, outputs and the state of loops; what depends
/// on no contraction (masks, positions, rotations: an angle of 1000 has an error of 2 as bf16); what a softmax reads (a mask of
/// -3.4e38 rounds to minus infinity, and a row of these to NaN); small values, which cost nothing.
struct NarrowStorage {
  private(set) var contractions: Set<NodeID> = []
  /// Zeros behind the channels of the left operand of those contractions that get a copy of it.
  private(set) var copiedLeft: [NodeID: Int] = [:]
  private var narrow: Set<ValueID> = []

  /// Shorter sums stay f32.
  private static let leastSteps = 16
  /// With fewer rows a variable right side is read once: converting it costs more than it saves.
  private static let leastRows = 16
  /// With fewer columns a left operand is not worth a copy.
  private static let leastColumns = 32
  /// Values of fewer elements stay f32.
  private static let leastElements = 4096

  func isNarrow(_ value: ValueID) -> Bool { narrow.contains(value) }

  /// The templates that read and write any element type through the body of their fusion.
  func isRewritten(_ fusion: Fusion) -> Bool {
    switch fusion.template {
    case .loop, .reduction, .dot, .convolution, .window, .attention: true
    case .special: false
    }
  }

  init(_ graph: Graph) {
    let order = graph.topologicalOrder()
    for id in order {
      switch Self.reading(graph.node(id), graph) {
      case .none: continue
      case .inPlace: contractions.insert(id)
      case .copy(let zeros):
        contractions.insert(id)
        copiedLeft[id] = zeros
      }
    }
    if contractions.isEmpty { return }
    var (dependent, contracted): (Set<ValueID>, Set<ValueID>) = ([], [])
    for id in order {
      let node = graph.node(id)
      if contractions.contains(id) { contracted.formUnion(Self.operands(of: node).suffix(copiedLeft[id] == nil ? 2 : 1)) }
      if contractions.contains(id) || node.operands.contains(where: dependent.contains) { dependent.formUnion(node.results) }
    }
    // Reshapes share the memory of their operand: they are narrow together, or not at all.
    for id in order.reversed() {
      let node = graph.node(id)
      guard let fusion = node.operation as? Fusion, isRewritten(fusion), node.results.count == 1, let result = node.results.first else { continue }
      let aliases = Self.aliases(of: result, graph)
      guard aliases.allSatisfy({ canBeNarrow($0, graph) }) else { continue }
      let isContracted = aliases.contains(where: contracted.contains)
      let count = graph.type(of: result).shape.elementCount.constant ?? .max
      if isContracted || (dependent.contains(result) && count >= Self.leastElements) { narrow.formUnion(aliases) }
    }
  }

  /// The value and its reshapes.
  private static func aliases(of value: ValueID, _ graph: Graph) -> Set<ValueID> {
    var (found, pending): (Set<ValueID>, [ValueID]) = ([], [value])
    while let next = pending.popLast() {
      guard found.insert(next).inserted else { continue }
      for use in graph.uses(of: next) { if graph.node(use.node).operation is Reshape { pending += graph.node(use.node).results } }
    }
    return found
  }

  private func canBeNarrow(_ value: ValueID, _ graph: Graph) -> Bool {
    guard graph.type(of: value).element == .f32, !graph.isOutput(value) else { return false }
    return graph.uses(of: value).allSatisfy { use in
      let node = graph.node(use.node)
      if node.operation is Reshape { return true }
      guard let fusion = node.operation as? Fusion else { return false }
      return isRewritten(fusion) && !Self.isSoftmax(fusion)
    }
  }

  /// A reduction that takes exponentials of differences to a maximum.
  private static func isSoftmax(_ fusion: Fusion) -> Bool {
    guard fusion.template == .reduction else { return false }
    let nodes = fusion.body.topologicalOrder().map { fusion.body.node($0).operation }
    return nodes.contains { ($0 as? Unary)?.function == .exponential } && nodes.contains { ($0 as? Reduce)?.reducer == .maximum }
  }

  // MARK: Contractions

  /// How a contraction with bf16 operands reads the left one.
  private enum Reading {
    /// Not at all: it stays f32.
    case none
    case inPlace
    case copy(zeros: Int)
  }

  private static func reading(_ node: Node, _ graph: Graph) -> Reading {
    guard let fusion = node.operation as? Fusion, fusion.template == .dot || fusion.template == .convolution else { return .none }
    let body = fusion.body
    let anchors = body.topologicalOrder().filter { body.node($0).operation is Dot || body.node($0).operation is Convolution }
    guard anchors.count == 1, let id = anchors.first else { return .none }
    let anchor = body.node(id)
    let (left, right) = (body.type(of: anchor.operands[0]), body.type(of: anchor.operands[1]))
    guard left.element == .f32, body.type(of: anchor.results[0]).element == .f32 else { return .none }
    guard let first = base(of: anchor.operands[0], body), let second = base(of: anchor.operands[1], body) else { return .none }
    guard let other = operand(second, of: node, body), let input = operand(first, of: node, body), graph.constant(input) == nil else { return .none }
    let isContiguous = keepsLastAxis(anchor.operands[0], body)
    if anchor.operation is Dot {
      if let steps = left.shape[left.rank - 1].constant, steps < leastSteps { return .none }
      guard graph.constant(other) != nil || (left.shape[left.rank - 2].constant ?? .max) >= leastRows else { return .none }
      if isContiguous { return .inPlace }
      return (right.shape[right.rank - 1].constant ?? .max) >= leastColumns ? .copy(zeros: 0) : .none
    }
    guard let convolution = anchor.operation as? Convolution, convolution.layout == .channelsLast, let filter = graph.constant(other) else { return .none }
    let axes = convolution.filterAxes(rank: right.rank)
    guard let channels = right.shape[axes.input].constant, let outputs = right.shape[axes.output].constant, channels >= 3, outputs / max(1, convolution.groups) >= 8 else {
      return .none
    }
    if channels % 2 == 0, isContiguous { return .inPlace }
    guard convolution.groups == 1, outputs >= leastColumns / 2, filter.dimensions == right.shape.constants, second == anchor.operands[1] else { return .none }
    return .copy(zeros: channels % 2)
  }

  /// The outer values that the anchor of a contraction reads.
  private static func operands(of node: Node) -> [ValueID] {
    guard let body = (node.operation as? Fusion)?.body else { return [] }
    for id in body.topologicalOrder() where body.node(id).operation is Dot || body.node(id).operation is Convolution {
      return body.node(id).operands.compactMap { base(of: $0, body).flatMap { operand($0, of: node, body) } }
    }
    return []
  }

  private static func operand(_ input: ValueID, of node: Node, _ body: Graph) -> ValueID? {
    body.inputs.firstIndex(of: input).map { node.operands[$0] }
  }

  /// The body's input that a value is a view of.
  private static func base(of value: ValueID, _ body: Graph) -> ValueID? {
    var value = value
    while let node = body.producer(of: value) {
      guard FusionCost.isView(node.operation) else { return nil }
      value = node.operands[0]
    }
    return value
  }

  /// True if neighbours along the last axis of a view are neighbours in memory.
  private static func keepsLastAxis(_ value: ValueID, _ body: Graph) -> Bool {
    var value = value
    while let node = body.producer(of: value) {
      let (source, result) = (body.type(of: node.operands[0]).shape, body.type(of: value).shape)
      switch node.operation {
      case let transpose as Transpose: guard transpose.permutation.last == transpose.permutation.count - 1 else { return false }
      case is Reshape:
        // Memory itself is contiguous under any shape; of a view the last axis may only be split.
        if body.producer(of: node.operands[0]) == nil { break }
        guard let from = source.extents.last, let to = result.extents.last, from == to || from.modulo(to) == 0 else { return false }
      case is Broadcast: guard source.rank > 0, source.extents.last == result.extents.last else { return false }
      case let slice as Slice: guard slice.steps.last == 1 else { return false }
      default: return false
      }
      value = node.operands[0]
    }
    return true
  }
}
