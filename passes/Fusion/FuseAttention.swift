import GraphIR
import TensorTypes

/// Puts two matrix products with a row by row computation between them (attention) into one kernel, so that the matrix
/// of scores stays in the cache.
///
/// Needs f32, or bytes whose products are summed up in i32 (of lengths that are multiples of four), head sizes known when compiling, more scores than the nearest cache holds, and at least eight query rows:
/// fewer read the keys in place, and a kernel for each step is then faster. Products with constant matrices stay apart: their panels are packed when
/// compiling.
///
/// Numerics: none; a fusion means exactly its body.
public let fuseAttention = Pass<Graph>(
  "fuse-attention", "Computes attention (a product, a softmax or its like, a second product) in one kernel that never writes the scores."
) { graph, context throws(CompileError) in
  let sequence = graph.topologicalOrder()
  let order = Dictionary(uniqueKeysWithValues: sequence.enumerated().map { ($1, $0) })
  var isChanged = false
  for id in sequence where graph.node(id).operation is Dot {
    var refusal: String?
    guard let region = AttentionRegion(endingIn: graph.node(id), graph, order: order, reason: &refusal),
      let reason = AttentionCost.reason(region, graph, refusal: &refusal)
    else {
      if let refusal { context.refuse("fuse-attention", graph.node(id).origin, refusal) }
      continue
    }
    guard context.spendRewrite() else { break }
    try AttentionFusion(region: region, reason: reason).insert(into: &graph)
    isChanged = true
  }
  if isChanged { graph.removeDeadNodes() }
  return isChanged
}.insideRegions()

/// Whether one kernel is faster than three, and why.
private enum AttentionCost {
  /// With fewer rows than this, packing the keys takes longer than the products.
  static let fewestRows = 8
  static let largestHead = 1024
  /// Scores that fit into the first-level cache together lose nothing in memory of their own.
  ///
  /// Measured, 12 heads of 64: three kernels take 0.93 of the time of one for 8x8 scores, 0.97 for 16x16; the same for
  /// 32x32 and 64x64; 1.15 for 512x512, 1.08 for 1024x1024.
  static let fewestScores = 1 << 13

  /// True if both products are of u8 by i8, in groups of four, and the sums of the first one become f32 before anything else reads them.
  private static func multipliesBytes(_ region: AttentionRegion, _ graph: Graph) -> Bool {
    for product in [region.scores, region.values] {
      let (x, y) = (graph.type(of: product.operands[0]), graph.type(of: product.operands[1]))
      guard x.element == .u8, y.element == .i8, graph.type(of: product.results[0]).element == .i32, let steps = x.shape[x.rank - 1].constant, steps > 0, steps % 4 == 0 else { return false }
    }
    var sum = region.scores.results[0]
    while let use = graph.uses(of: sum).first, graph.useCount(of: sum) == 1, region.members.contains(use.node) {
      let node = graph.node(use.node)
      if let convert = node.operation as? Convert { return convert.element == .f32 && !convert.keepsBits }
      guard node.operation is Binary, graph.type(of: node.results[0]).element == .i32 else { return false }
      sum = node.results[0]
    }
    return false
  }

  /// - Parameter refusal: Why it is not.
  static func reason(_ region: AttentionRegion, _ graph: Graph, refusal: inout String?) -> String? {
    let (q, k, v) = (region.scores.operands[0], region.scores.operands[1], region.values.operands[1])
    // Weights are packed when compiling: two layers with a normalization between them, no attention.
    guard !AttentionFusion.isConstant(k, graph), !AttentionFusion.isConstant(v, graph) else { return nil }
    let (queries, keys, values) = (graph.type(of: q), graph.type(of: k), graph.type(of: v))
    let elements = [queries, keys, values, graph.type(of: region.values.operands[0])].map(\.element)
    guard elements.allSatisfy({ $0 == .f32 }) || multipliesBytes(region, graph) else {
      let other = elements.first { $0 != .f32 } ?? .f32
      refusal = other.isByte ? "its products of bytes have sums that are no multiple of 4 long, or that something reads as whole numbers" : "its operands are \(other.name), and the kernel for attention takes f32 or bytes"
      return nil
    }
    let rank = queries.rank
    let (rows, count) = (queries.shape[rank - 2], keys.shape[rank - 1])
    guard let depth = queries.shape[rank - 1].constant, let width = values.shape[rank - 1].constant,
      (1...largestHead).contains(depth), (1...largestHead).contains(width)
    else {
      refusal = "the size of a head, \(queries.shape[rank - 1]) and \(values.shape[rank - 1]), is not known when compiling, or above \(largestHead)"
      return nil
    }
    guard (rows.constant ?? .max) >= fewestRows, count.constant.map({ $0 > 0 && $0 <= 1 << 20 }) ?? true else {
      refusal = "with \(rows) rows of \(count) scores packing the keys takes longer than the products"
      return nil
    }
    let scores = graph.type(of: region.values.operands[0]).shape.elementCount
    guard (scores.constant ?? .max) >= fewestScores else {
      refusal = "all \(scores) scores together stay in the nearest cache, where a kernel for each step is faster"
      return nil
    }
    return "the scores, \(rows)x\(count) for each head of \(depth), stay in the cache"
  }
}

/// The fusion of one region: its nodes, and the views through which it reads its operands.
private struct AttentionFusion {
  let region: AttentionRegion
  let reason: String

  static func isConstant(_ value: ValueID, _ graph: Graph) -> Bool {
    var value = value
    while let node = graph.producer(of: value), FusionCost.isView(node.operation) { value = node.operands[0] }
    return graph.constant(value) != nil
  }

  func insert(into graph: inout Graph) throws(CompileError) {
    let products: Set<ValueID> = [region.scores.operands[0], region.scores.operands[1], region.values.operands[1]]
    var outside: Set<ValueID> = []
    for operand in products { outside.formUnion(Self.leftToProducer(operand, graph)) }
    var body = Graph(name: Fusion.Template.attention.rawValue)
    var inner: [ValueID: ValueID] = [:]
    var operands: [ValueID] = []
    let source = graph
    func isRead(_ id: ValueID) -> Bool {
      guard let node = source.producer(of: id) else { return true }
      if region.members.contains(node.id) { return false }
      if let constant = node.operation as? Constant { return constant.tensor.count != 1 }
      return outside.contains(id) || !(FusionCost.isView(node.operation) || Self.isScaling(node, source))
    }
    var stack = [(value: region.root, isReady: false)]
    while let (id, isReady) = stack.popLast() {
      if inner[id] != nil { continue }
      if isRead(id) {
        operands.append(id)
        inner[id] = body.addInput(source.value(id).name, source.type(of: id))
        continue
      }
      guard let node = source.producer(of: id) else { continue }
      if !isReady {
        stack.append((id, true))
        for operand in node.operands.reversed() where inner[operand] == nil { stack.append((operand, false)) }
        continue
      }
      do throws(TypeError) {
        let values = try body.add(node.operation, node.operands.compactMap { inner[$0] }, origin: node.origin, name: source.value(node.results[0]).name)
        for (before, after) in zip(node.results, values) { inner[before] = after }
      } catch { throw CompileError(error, stage: .pass("fuse-attention"), origin: node.origin) }
    }
    guard let result = inner[region.root] else { return }
    body.setOutputs([(source.value(region.root).name, result)])
    do throws(TypeError) {
      let added = try graph.add(Fusion(.attention, body: body, reason: reason), operands, origin: region.values.origin, name: source.value(region.root).name)
      graph.replaceAllUses(of: region.root, with: added[0])
    } catch { throw CompileError(error, stage: .pass("fuse-attention"), origin: region.values.origin) }
  }

  /// A multiplication by a scalar constant: cheap enough to do while packing.
  private static func isScaling(_ node: Node, _ graph: Graph) -> Bool {
    guard let binary = node.operation as? Binary, binary.function == .multiply else { return false }
    return node.operands.contains { operand in
      guard let other = graph.producer(of: operand) else { return false }
      if other.operation is Broadcast { return graph.constant(other.operands[0])?.count == 1 }
      return (other.operation as? Constant)?.tensor.count == 1
    }
  }

  /// The views of one operand of a product that its producer stores through at no cost: reshapes, and transposes that
  /// keep the innermost axis, behind a value that nothing else reads. The last of them is what the fusion reads.
  private static func leftToProducer(_ operand: ValueID, _ graph: Graph) -> Set<ValueID> {
    var chain: [Node] = []
    var value = operand
    while let node = graph.producer(of: value), FusionCost.isView(node.operation) || isScaling(node, graph) {
      chain.append(node)
      value = node.operands.first { graph.producer(of: $0).map { !isRepeatedScalar($0, graph) } ?? true } ?? node.operands[0]
    }
    var left: Set<ValueID> = [value]
    while let node = chain.popLast() {
      guard graph.useCount(of: value) == 1, graph.producer(of: value) != nil, graph.constant(value) == nil else { break }
      switch node.operation {
      case is Reshape: break
      case let transpose as Transpose: if transpose.permutation.last != transpose.permutation.count - 1 { return left }
      case is Binary: break
      default: return left
      }
      value = node.results[0]
      left.insert(value)
    }
    return left
  }

  private static func isRepeatedScalar(_ node: Node, _ graph: Graph) -> Bool {
    if node.operation is Broadcast { return graph.constant(node.operands[0])?.count == 1 }
    return (node.operation as? Constant)?.tensor.count == 1
  }
}
