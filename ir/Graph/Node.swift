import TensorTypes

/// One operation applied to operands.
public struct Node: Sendable {
  public let id: NodeID
  public let operation: any Operation
  public internal(set) var operands: [ValueID]
  public let results: [ValueID]
  public let origin: NodeOrigin

  /// The operation, if it is of one type.
  public func operation<T: Operation>(as type: T.Type) -> T? { operation as? T }
}

/// One tensor of a graph: an input, or a result of a node.
public struct Value: Sendable {
  public enum Producer: Sendable, Hashable {
    case input(Int)
    case node(NodeID, result: Int)
  }
  public let id: ValueID
  public var type: TensorType
  public let producer: Producer
  /// A name from the model, for people; empty if there is none.
  public var name: String
}

/// One place where a value is read.
public struct Use: Sendable, Hashable {
  public let node: NodeID
  public let operand: Int
}
