import GraphIR

/// What a pass might have done to a node and did not, and why: for `compile --report`.
///
/// Only where somebody might expect it: two products with a softmax between them that were not put into one kernel are worth a sentence, a
/// product without a softmax is not.
public struct Refusal: Sendable, Hashable {
  /// The printed name of the pass, or of the choice.
  public var pass: String
  /// Where the node comes from.
  public var origin: NodeOrigin
  /// Continues the sentence "not done because ...", with `it` for the node.
  public var reason: String

  public init(pass: String, origin: NodeOrigin, reason: String) { (self.pass, self.origin, self.reason) = (pass, origin, reason) }
}
