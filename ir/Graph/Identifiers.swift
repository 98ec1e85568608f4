/// Names a value of one graph.
public struct ValueID: Sendable, Hashable, Comparable {
  package let index: Int
  package init(_ index: Int) { self.index = index }
  public static func < (a: ValueID, b: ValueID) -> Bool { a.index < b.index }
}

/// Names a node of one graph.
public struct NodeID: Sendable, Hashable, Comparable {
  package let index: Int
  package init(_ index: Int) { self.index = index }
  public static func < (a: NodeID, b: NodeID) -> Bool { a.index < b.index }
}

/// Where a node came from. Rewrites keep it; every diagnostic prints it.
public struct NodeOrigin: Sendable, Hashable, CustomStringConvertible {
  /// The model file's name, without its folder.
  public var file: String
  /// The node's name in the file, or the name of its first output.
  public var node: String
  /// The operator in the file, such as `Conv`.
  public var operatorName: String
  /// The version of the operator set; 0 if there is none.
  public var opset: Int

  public init(file: String = "", node: String = "", operatorName: String = "", opset: Int = 0) {
    self.file = file
    self.node = node
    self.operatorName = operatorName
    self.opset = opset
  }

  public var isKnown: Bool { !node.isEmpty || !operatorName.isEmpty }

  /// Such as `/layer2/conv1 (Conv, opset 13) in resnet18.onnx`.
  public var description: String {
    guard isKnown else { return file }
    var text = node.isEmpty ? "(unnamed)" : node
    if !operatorName.isEmpty { text += opset > 0 ? " (\(operatorName), opset \(opset))" : " (\(operatorName))" }
    return file.isEmpty ? text : "\(text) in \(file)"
  }
}
