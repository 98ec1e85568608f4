import GraphIR
import TensorTypes

extension Graph {
  /// Constants above this are not copied.
  private static var largestCopy: Int { 1 << 16 }

  /// The same graph where every reader has repetitions (`broadcast`) and small constants of its own, but for the weights of contractions.
  ///
  /// Values that only happen to be equal, such as the bounds of two activations of the same shape, would otherwise tie the channels of everything
  /// that reads them. `eliminate-common-subexpressions` shares them again.
  ///
  /// - Throws: `CompileError` if the graph is damaged.
  public func separatingShared() throws(CompileError) -> Graph {
    var copy = Graph(name: name)
    (copy.outputKeys, copy.requirements) = (outputKeys, requirements)
    var renamed: [ValueID: ValueID] = [:]
    for input in inputs { renamed[input] = copy.addInput(value(input).name, type(of: input)) }
    /// Whether readers get copies.
    func isCopied(_ node: Node) -> Bool {
      if node.operation is Broadcast { return true }
      guard let tensor = (node.operation as? Constant)?.tensor, tensor.byteCount <= Self.largestCopy, let result = node.results.first else { return false }
      return !uses(of: result).contains { self.node($0.node).operation is Dot || self.node($0.node).operation is Convolution }
    }
    /// What stands for an operand of a reader: for what is copied a new node each time.
    func place(_ operand: ValueID, _ depth: Int, _ copy: inout Graph) throws(TypeError) -> ValueID {
      if let node = producer(of: operand), depth < 8, isCopied(node), depth > 0 || useCount(of: operand) > 1 {
        var operands: [ValueID] = []
        for inner in node.operands { operands.append(try place(inner, depth + 1, &copy)) }
        return try copy.add(node.operation, operands, origin: node.origin, name: value(operand).name)[0]
      }
      guard let known = renamed[operand] else { throw TypeError("the graph is not in order") }
      return known
    }
    for id in topologicalOrder() {
      let node = node(id)
      do throws(TypeError) {
        var operands: [ValueID] = []
        for operand in node.operands { operands.append(try place(operand, 0, &copy)) }
        for (old, new) in zip(node.results, try copy.add(node.operation, operands, origin: node.origin)) {
          copy.rename(new, value(old).name)
          renamed[old] = new
        }
      } catch { throw CompileError(error, stage: .pass("prune-channels"), origin: node.origin) }
    }
    copy.setOutputs(zip(outputNames, outputs).compactMap { name, output in renamed[output].map { (name, $0) } })
    copy.removeDeadNodes()
    return copy
  }
}
