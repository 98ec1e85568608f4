import GraphIR
import TensorTypes

/// Reads an ONNX model as a graph of core operations.
///
/// - Parameters:
///   - path: The model file; its external data lies below the same folder.
///   - options: What symbolic axes are bound to. Unbound ones stay symbols.
/// - Returns: The model. Its weights are ranges of the mapped file.
/// - Throws: `CompileError`: `.badInput` for a damaged or contradictory file, `.usage` for options that do not fit
///   the model, `.unsupported` for a model that is right but needs something that Ingot does not have.
/// - Source: Operators mean what the ONNX specification says for the opset that the model names.
public func loadONNX(path: String, options: ImportOptions = ImportOptions()) throws(CompileError) -> Model {
  let file = try ModelFile(path: path)
  let proto = try decodeModel(file, limits: options.limits)
  var importer = try ModelImporter(proto, file: file, options: options)
  return try importer.run()
}

func decodeModel(_ file: ModelFile, limits: ImportLimits) throws(CompileError) -> ModelProto {
  let proto = try decode(file) { bytes throws(WireError) in
    var decoder = ModelDecoder(bytes, limits: limits)
    return try decoder.model(decoder.everything)
  }
  let origin = NodeOrigin(file: file.name)
  guard proto.graph != nil else { throw CompileError(.badInput, "the file holds no graph: it is not an ONNX model", stage: .load, origin: origin) }
  guard (1...14).contains(proto.irVersion) else {
    throw CompileError(
      proto.irVersion > 14 ? .unsupported : .badInput, "the file has IR version \(proto.irVersion); 3 to 14 are supported", stage: .load, origin: origin)
  }
  return proto
}

private func decode<Message>(
  _ file: ModelFile, _ body: (UnsafeRawBufferPointer) throws(WireError) -> Message
) throws(CompileError) -> Message {
  do throws(WireError) {
    return try file.storage.withBytes(body)
  } catch {
    throw CompileError(
      .badInput, "the file is damaged or not an ONNX file: \(error.message) (byte \(error.offset))", stage: .load, origin: NodeOrigin(file: file.name))
  }
}

/// An input or output as a model file declares it.
public struct DeclaredInput: Sendable, Hashable {
  public var name: String
  public var kind = PortStructure.Kind.tensor
  /// Nil for what is no tensor, and for element types that tensors do not have here. Lengths that the file leaves open are
  /// symbols of no particular name; so is the only axis of an input without any shape.
  public var type: TensorType?

  init(_ value: ValueInfoProto) {
    name = value.name
    switch value.type {
    case .sequence(.map): break  // ZipMap's result, which is a tensor whose columns have keys.
    case .sequence: kind = .sequence
    case .optional: kind = .optional
    case .tensor(let number, let shape):
      guard let element = TensorDecoder.element(number) else { return }
      let extents = shape?.map { dimension in if case .value(let length) = dimension { Extent(length) } else { Extent(symbol: "length") } }
      type = TensorType(element, Shape(extents ?? [Extent(symbol: "length")]))
    case .none, .map, .sparseTensor: break
    }
  }
}

/// A model's inputs, in their order; initializers that are listed among them are not inputs.
public func loadInputs(path: String, limits: ImportLimits = ImportLimits()) throws(CompileError) -> [DeclaredInput] { try loadPorts(path: path, limits: limits).inputs }

/// A model's inputs and outputs, in their order.
public func loadPorts(path: String, limits: ImportLimits = ImportLimits()) throws(CompileError) -> (inputs: [DeclaredInput], outputs: [DeclaredInput]) {
  let file = try ModelFile(path: path)
  let proto = try decodeModel(file, limits: limits)
  let constants = Set(proto.graph?.initializers.map(\.name) ?? [])
  let inputs = (proto.graph?.inputs ?? []).filter { !constants.contains($0.name) }
  return (inputs.map { DeclaredInput($0) }, (proto.graph?.outputs ?? []).map { DeclaredInput($0) })
}
