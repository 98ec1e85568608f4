import GraphIR
import KernelIR
import TensorTypes

extension SpecialTemplate {
  /// One pass over the mask on one thread: each true element writes its position behind the ones before it.
  ///
  /// The room is exactly as many as were counted; a mask that has more or less of them cannot come from a right graph, and writes nothing
  /// outside of the room.
  func compact(_ operation: Compact, _ node: Node, _ emitter: inout ElementEmitter, _ output: Buffer) throws(CompileError) -> [Statement] {
    let shape = emitter.graph.type(of: node.operands[0]).shape
    let count = emitter.builder.local("count", .i64, count: 1)
    let place = Expression.local(count, .index(0))
    let hasRoom = Expression.compare(.less, place, .of(operation.extent))
    let next = Statement.assign(count, index: .index(0), value: place + .index(1))
    let pass = try emitter.loop("i", to: shape.elementCount) { emitter, position throws(CompileError) in
      let index = emitter.mapping.delinearize(position, in: shape)
      let isTrue = try emitter.element(node.operands[0], index)
      return [.branch(if: .binary(.and, isTrue, hasRoom), then: [.store(output, index: place, value: position), next], else: [])]
    }
    let rest = Statement.repeatWhile(hasRoom, body: [.store(output, index: place, value: .index(0)), next])
    return [.allocate(count), .assign(count, index: .index(0), value: .index(0)), pass, rest]
  }
}
