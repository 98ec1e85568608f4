import GraphIR
import TensorTypes

/// Movement of bytes that does not care what they stand for.
enum ByteMovement {
  /// More nodes than this between bytes and who reads them are no network.
  static let most = 1024

  static func keepsOrder(_ operation: any Operation) -> Bool {
    operation is Reshape || operation is Transpose || operation is Slice || operation is Reverse || operation is Concatenate || (operation as? ReduceWindow)?.reducer == .maximum
  }
}

extension Rewriter {
  /// The same value from bytes that are made in another way, through the same movement.
  ///
  /// No recursion, and each node once: models hold long chains, and concatenations of what was concatenated.
  ///
  /// - Parameter source: What takes the place of a node that is no movement; nil if there is nothing.
  /// - Returns: nil if some part of the value cannot be made.
  mutating func remade(_ value: ValueID, source: (Node, inout Rewriter) throws(TypeError) -> ValueID?) throws(TypeError) -> ValueID? {
    var made: [ValueID: ValueID] = [:]
    var pending = [value]
    while let next = pending.last {
      guard made[next] == nil else {
        pending.removeLast()
        continue
      }
      guard let node = producer(of: next), pending.count + made.count <= ByteMovement.most else { return nil }
      if ByteMovement.keepsOrder(node.operation) {
        let missing = node.operands.filter { made[$0] == nil }
        if !missing.isEmpty {
          pending += missing.reversed()
          continue
        }
        made[next] = try insertAll(node.operation, node.operands.compactMap { made[$0] })[0]
      } else {
        made[next] = try source(node, &self)
        if made[next] == nil { return nil }
      }
      pending.removeLast()
    }
    return made[value]
  }
}
