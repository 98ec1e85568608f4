import TensorTypes

/// Nodes that become one kernel. Formed last, by `form-fusion-groups`; lowering turns each into a loop nest.
///
///     %y = fusion %x, %w, %b {template = dot} ( graph @fused(...) { ... } ) : f32[1,64]
///
/// - Operands: what the body reads from memory. Body: at most one anchor (contraction, reduction, window, ...),
///   the elementwise and movement nodes inlined around it, and scalar constants.
/// - Meaning: exactly that of the body.
public struct Fusion: Operation {
  /// The loop nest that the anchor asks for.
  public enum Template: String, Sendable, Hashable, CaseIterable {
    /// Elementwise and data movement only.
    case loop
    /// Reductions over the same rows, with what surrounds them.
    case reduction
    case dot, convolution
    /// Two dots with reductions over the rows of the first between them: a few rows at a time from one end to the other.
    case attention
    /// A window that slides over axes (pooling).
    case window
    /// Running sums, sorting, scatter, arg-max: one kernel of its own for the anchor.
    case special
  }
  public var template: Template
  public var body: Graph
  /// Why these nodes are together, for people.
  public var reason: String
  public init(_ template: Template, body: Graph, reason: String = "") { (self.template, self.body, self.reason) = (template, body, reason) }

  public static let mnemonics = ["fusion"]
  public var arity: ClosedRange<Int> { body.inputs.count...body.inputs.count }
  public var regions: [Graph] { [body] }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("template", .word(template.rawValue))
    list.set("reason", reason, unless: "") { .word($0) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    guard regions.count == 1 else { throw TypeError("`fusion` has one body") }
    var reason = ""
    if case .word(let text)? = attributes["reason"] { reason = text }
    self.init(try attributes.word("template", as: Template.self), body: regions[0], reason: reason)
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    guard operands == body.types(of: body.inputs) else {
      throw TypeError("`fusion` takes \(body.types(of: body.inputs).map(\.description).joined(separator: ", "))")
    }
    return body.types(of: body.outputs)
  }
  public func substituting(_ bindings: [String: Extent]) -> Fusion {
    Fusion(template, body: (try? body.substituting(bindings)) ?? body, reason: reason)
  }
  public static func == (a: Fusion, b: Fusion) -> Bool { a.attributes == b.attributes && a.body.text() == b.body.text() }
  public func hash(into hasher: inout Hasher) { hasher.combine(attributes) }
}
