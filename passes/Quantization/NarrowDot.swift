import GraphIR
import TensorTypes

/// A matrix product whose right operand is stored in 4 or 8 bits, as one node that only a kernel of its own takes apart:
///
///     %y = composite %x, %q, %scale, %zero {name = narrow_dot, block = 32, activations = int8} ( dequantize_linear, dot ) : f32[1,2048]
///
/// - Operands: `x` f32 [M, K]; `q` [K, N]; `scale` and, if there is one, `zero` [K / block, N].
/// - `activations`: `int8` allows the kernel to round rows of `x` to 8 bits, with a scale for each row and part of the sum.
///
/// As a composite it is opaque to everything between `keep-narrow-weights` and lowering: nothing folds its constants into wide ones. Its
/// body is what it means. `NarrowDotTemplate` in Lowering writes its kernel.
public enum NarrowDot {
  public static let name = "narrow_dot"

  static func isNarrow(_ operation: any Operation) -> Bool {
    guard let composite = operation as? Composite, composite.name == name else { return false }
    // A hand-written graph may have anything of this name.
    return (3...4).contains(composite.body.inputs.count) && composite.body.outputs.count == 1
  }

  static func composite(_ x: TensorType, _ q: TensorType, scale: TensorType, zero: TensorType?, block: Int, activations: WeightActivations) throws(TypeError) -> Composite {
    var body = Graph(name: name)
    let inputs = ([x, q, scale] + (zero.map { [$0] } ?? [])).enumerated().map { body.addInput("x\($0)", $1) }
    let weights = try body.dequantizeLinear(inputs[1], scale: inputs[2], zero: inputs.count > 3 ? inputs[3] : nil, axis: 0, block: block)
    let result = try body.insert(Dot(), inputs[0], weights)
    body.setOutputs([("y0", result)])
    var details = Attributes()
    details.set("block", .integer(block))
    details.set("activations", activations, unless: .float) { .word($0.rawValue) }
    return Composite(name, details: details, body: body)
  }
}

/// What the left operand of a product with narrow weights may be rounded to.
public enum WeightActivations: String, Sendable, Hashable, CaseIterable {
  /// Nothing.
  case float
  /// 8 bits, with a scale for each row and group of the sum: products of bytes then do most of the work.
  case int8

  /// What a `dequantize_linear` says that its reader may do.
  static func permitted(by node: Node) -> WeightActivations {
    guard let composite = node.operation as? Composite, case .word(let word)? = composite.details["activations"] else { return .float }
    return WeightActivations(rawValue: word) ?? .float
  }
}
