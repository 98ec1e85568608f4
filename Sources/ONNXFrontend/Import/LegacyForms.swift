import GraphIR
import TensorTypes

/// Forms of operators that the first versions of the standard had, as newer versions write them.
///
/// The importers know the forms since version 6. Attributes that later versions dropped without replacement (`consumed_inputs`) are ignored.
enum LegacyForms {
  /// The versions of the operator set that have forms to rewrite: `Upsample` changed last, in version 7.
  static let lastVersion = 6

  /// The same call in a newer form.
  static func modernized(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> OperatorCall {
    switch call.name {
    case "Reshape":
      guard call.opset < 5, let shape = try call.integers("shape") else { return call }
      return call.with(inputs: [try call.input(0), try b.constant(Tensor(shape))])
    case "Cast":
      guard case .string(_, let name)? = call.attributes["to"] else { return call }
      guard let number = TensorDecoder.number(named: name) else { throw call.refusal("Cast to `\(printable(name))`") }
      return call.with(attribute: "to", .integer(number))
    case "Pad":
      guard let pads = try call.integers("paddings") else { return call }
      return call.with(attribute: "pads", .integers(pads))
    case "Tile":
      guard call.opset < 6 else { return call }
      let x = try call.input(0)
      let (count, axis) = (try b.requireInteger(call.input(1), "the number of tiles"), try b.requireInteger(call.input(2), "the axis"))
      var repeats = [Int](repeating: 1, count: b.rank(x))
      repeats[try call.axis(axis, rank: b.rank(x))] = count
      return call.with(inputs: [x, try b.constant(Tensor(repeats))])
    case "Upsample":
      guard call.has("height_scale") || call.has("width_scale") else { return call }
      let scales = [1, 1, Float(try call.number("height_scale", default: 1)), Float(try call.number("width_scale", default: 1))]
      return call.with(attribute: "scales", .floats(scales))
    default: return call
    }
  }
}

extension OperatorCall {
  fileprivate func with(inputs: [ValueID?]) -> OperatorCall {
    OperatorCall(name: name, opset: opset, inputs: inputs, outputs: outputs, attributes: attributes, origin: origin, decoder: decoder)
  }

  fileprivate func with(attribute: String, _ value: AttributeProto.Value) -> OperatorCall {
    var changed = attributes
    changed[attribute] = value
    return OperatorCall(name: name, opset: opset, inputs: inputs, outputs: outputs, attributes: changed, origin: origin, decoder: decoder)
  }
}
