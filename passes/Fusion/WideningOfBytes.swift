import GraphIR
import TensorTypes

/// Values computed from bytes of their own shape and numbers that hold for all: what a dequantisation expands to.
enum WideningOfBytes {
  static func isOne(_ value: ValueID, _ graph: Graph) -> Bool {
    let shape = graph.type(of: value).shape
    guard graph.type(of: value).element.byteCount > 1 else { return false }
    var (pending, visited, nodes, readsBytes): ([ValueID], Set<ValueID>, Int, Bool) = ([value], [value], 0, false)
    while let next = pending.popLast() {
      let type = graph.type(of: next)
      if type.element.isByte, type.shape == shape {
        readsBytes = true
        continue
      }
      guard let node = graph.producer(of: next) else { return false }
      switch node.operation {
      case is Constant: continue
      case is Broadcast where graph.type(of: node.operands[0]).shape.elementCount == 1: continue
      case is Broadcast where graph.isConstantLike(next): continue
      case is Convert, is Binary: nodes += 1
      default: return false
      }
      if nodes > FusionCost.mostWideningNodes { return false }
      for operand in node.operands where visited.insert(operand).inserted { pending.append(operand) }
    }
    return readsBytes && nodes > 0
  }
}
