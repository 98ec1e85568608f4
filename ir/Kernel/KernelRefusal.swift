/// A way to write a kernel that somebody might expect and that was not taken, and why: for reports.
public struct KernelRefusal: Sendable, Hashable {
  /// What the way is called where it can be switched off: `winograd`, `sparse-products`.
  public var way: String
  /// The node whose work the kernel is, and its operator in the model's file.
  public var node: String
  public var operatorName: String
  /// With `it` for the node.
  public var reason: String

  public init(way: String, node: String, operatorName: String, reason: String) {
    (self.way, self.node, self.operatorName, self.reason) = (way, node, operatorName, reason)
  }
}
