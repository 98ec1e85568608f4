import GraphIR
import TensorTypes

/// Puts branches that are known in place, and takes out of loops and branches what need not be there.
///
///     %y = if true, %x ( then, else )                    ->  the nodes of the first branch
///     %y = if %c, %x ( relu, identity )                  ->  select %c, relu %x, %x
///     %y = if %c, %x, @w ( ... )                         ->  if %c, %x ( ... with @w inside )
///     %n, %k = while %go, %i, %k0 ( ... return %again, %next, %k )   ->  %n = while %go, %i, %k0 {carried = 1} ( ... ), and %k0 for %k
///
/// A carried value that its body returns as it is becomes one that every round reads; results that nobody reads go, and so do
/// operands that no graph inside reads. Constants are repeated inside, where the other passes see them.
/// Numerics: exact.
public let simplifyControl = Pass<Graph>(
  "simplify-control", "Puts branches that are known in place, and takes out of loops and branches what need not be there."
) { graph, _ throws(CompileError) in
  let stage = CompileError.Stage.pass("simplify-control")
  var hasChanged = false
  // Branches inside a branch that was put in place may be known now.
  while try graph.resolveBranch(stage) { hasChanged = true }
  if try graph.narrowControl(stage) { hasChanged = true }
  return hasChanged
}.insideRegions()

extension Graph {
  // MARK: Branches

  /// Puts the first branch in place that can be; false if there is none.
  fileprivate mutating func resolveBranch(_ stage: CompileError.Stage) throws(CompileError) -> Bool {
    for id in topologicalOrder() {
      let node = self.node(id)
      guard let branch = node.operation as? If else { continue }
      if let known = constant(node.operands[0]) {
        try inline(branch, taking: known.integers.first == 0 ? 1 : 0, node, stage)
        return true
      }
      if SmallBranches.areCheap(branch) {
        try select(branch, node, stage)
        return true
      }
    }
    return false
  }

  private mutating func inline(_ branch: If, taking taken: Int, _ node: Node, _ stage: CompileError.Stage) throws(CompileError) {
    let region = branch.regions[taken]
    var bindings: [String: Extent] = [:]
    var facts = region.requirements
    for (symbol, extents) in branch.lengths(after: taken) {
      bindings[symbol] = extents.first
      for other in extents.dropFirst() { facts.append(ShapeCondition(.zero, other - extents[0], violation: "an axis would have two lengths")) }
    }
    self = try rebuilt { graph, old, operands throws(CompileError) in
      do throws(TypeError) {
        if old.id == node.id { return try graph.insert(region, on: Array(operands.dropFirst())) }
        return try graph.add(bindings.isEmpty ? old.operation : old.operation.substituting(bindings), operands, origin: old.origin)
      } catch {
        throw CompileError(error, stage: stage, origin: old.origin, operands: graph.types(of: operands))
      }
    }
    requirements = (requirements + facts).map { $0.substituting(bindings) }
  }

  private mutating func select(_ branch: If, _ node: Node, _ stage: CompileError.Stage) throws(CompileError) {
    self = try rebuilt { graph, old, operands throws(CompileError) in
      do throws(TypeError) {
        guard old.id == node.id else { return try graph.add(old.operation, operands, origin: old.origin) }
        let read = Array(operands.dropFirst())
        let (first, second) = (try graph.insert(branch.then, on: read), try graph.insert(branch.otherwise, on: read))
        var results: [ValueID] = []
        for (a, b) in zip(first, second) {
          let shape = graph.type(of: a).shape
          let mask = shape.rank == 0 ? operands[0] : try graph.insert(Broadcast(to: shape), operands[0], origin: old.origin)
          results.append(a == b ? a : try graph.insert(Select(), mask, a, b, origin: old.origin))
        }
        return results
      } catch {
        throw CompileError(error, stage: stage, origin: old.origin, operands: graph.types(of: operands))
      }
    }
  }

  /// Adds another graph's nodes, on values in place of its inputs.
  private mutating func insert(_ region: Graph, on values: [ValueID]) throws(TypeError) -> [ValueID] {
    var renamed: [ValueID: ValueID] = [:]
    for (input, value) in zip(region.inputs, values) { renamed[input] = value }
    for id in region.topologicalOrder() {
      let node = region.node(id)
      let results = try add(node.operation, node.operands.compactMap { renamed[$0] }, origin: node.origin, name: region.value(node.results[0]).name)
      for (old, new) in zip(node.results, results) { renamed[old] = new }
    }
    return region.outputs.compactMap { renamed[$0] }
  }

  // MARK: Operands and results

  /// Narrows what loops and branches take and give.
  fileprivate mutating func narrowControl(_ stage: CompileError.Stage) throws(CompileError) -> Bool {
    var narrowed: [NodeID: ControlSignature] = [:]
    let order = topologicalOrder()
    guard order.contains(where: { node($0).operation is any ControlOperation }) else { return false }
    let live = Set(order)
    for id in order {
      let node = self.node(id)
      let isRead = node.results.map { result in isOutput(result) || uses(of: result).contains { live.contains($0.node) } }
      guard let signature = ControlSignature(node, isRead: isRead, constants: node.operands.map { constant($0) }) else { continue }
      narrowed[id] = signature
    }
    if narrowed.isEmpty { return false }
    self = try rebuilt { graph, old, operands throws(CompileError) in
      do throws(TypeError) {
        guard let signature = narrowed[old.id] else { return try graph.add(old.operation, operands, origin: old.origin) }
        let results = try graph.add(try signature.operation(), signature.operands.map { operands[$0] }, origin: old.origin)
        return signature.results.map { result in
          switch result {
          case .result(let position): results[position]
          case .operand(let position): operands[position]
          // Nobody reads it.
          case .none: results[0]
          }
        }
      } catch {
        throw CompileError(error, stage: stage, origin: old.origin, operands: graph.types(of: operands))
      }
    }
    return true
  }
}

/// Branches that are cheaper to compute both than to choose between: they then fuse with what is around them.
private enum SmallBranches {
  /// More elements are worth a branch.
  private static let mostElements = 1 << 14
  /// In additions for one element, both branches together.
  private static let mostArithmetic = 24
  private static let mostNodes = 16

  static func areCheap(_ branch: If) -> Bool {
    guard branch.symbols.isEmpty, branch.regions.allSatisfy(\.requirements.isEmpty) else { return false }
    var (arithmetic, nodes) = (0, 0)
    for region in branch.regions {
      for id in region.topologicalOrder() {
        let node = region.node(id)
        guard FusionCost.isInlinable(node.operation) || node.operation is Constant, let count = region.type(of: node.results[0]).shape.elementCount.constant, count <= mostElements
        else { return false }
        arithmetic += FusionCost.arithmetic(node.operation)
        nodes += 1
      }
    }
    return arithmetic <= mostArithmetic && nodes <= mostNodes
  }
}
