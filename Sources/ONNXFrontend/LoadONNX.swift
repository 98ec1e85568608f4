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

/// The names of a model's inputs, in their order; initializers that are listed among them are not inputs.
public func loadInputNames(path: String) throws(CompileError) -> [String] {
  let file = try ModelFile(path: path)
  let proto = try decodeModel(file, limits: ImportLimits())
  let constants = Set(proto.graph?.initializers.map(\.name) ?? [])
  return (proto.graph?.inputs ?? []).map(\.name).filter { !constants.contains($0) }
}

/// Reads a model for given inputs: where its shapes depend on the contents of small ones (an axis, a size, scales),
/// the graph is made for exactly these contents.
///
/// - Parameter inputs: One tensor for each input, in their order.
/// - Returns: The model as `loadONNX(path:options:)` gives it if that works, so that nothing is fixed without need.
public func loadONNX(path: String, options: ImportOptions = ImportOptions(), fixingTo inputs: [Tensor]) throws(CompileError) -> Model {
  let refusal: CompileError
  do throws(CompileError) { return try loadONNX(path: path, options: options) } catch {
    guard error.problem == .unsupported else { throw error }
    refusal = error
  }
  let names = try loadInputNames(path: path)
  // Integers first: they are axes and sizes. Floating point and shapes are fixed only if that is not enough.
  for (takesNumbers, takesShapes) in [(false, false), (true, false), (false, true), (true, true)] {
    var fixed = options
    for (name, tensor) in zip(names, inputs) {
      if tensor.dimensions.count <= 1 && tensor.count <= 64 && (takesNumbers || !tensor.element.isFloatingPoint) { fixed.values[name] = tensor }
      if takesShapes { fixed.shapes[name] = tensor.dimensions }
    }
    do throws(CompileError) { return try loadONNX(path: path, options: fixed) } catch {
      guard error.problem == .unsupported else { throw error }
    }
  }
  throw refusal
}
