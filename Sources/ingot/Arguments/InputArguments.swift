import ArgumentParser
import Artifact
import Runtime
import TensorTypes

/// `--input`.
struct InputArguments: ParsableArguments {
  @Option(
    name: .customLong("input"),
    help: ArgumentHelp(
      "An input: a .npy, .pb, .json, .jpg or .png file, or random[:seed]. May be repeated; inputs that are not named are random.", valueName: "name=file"))
  var inputs: [InputArgument] = []

  func validate() throws {
    if let name = CompileArguments.duplicate(inputs.map(\.name)) { throw ValidationError("--input is given twice for '\(name)'") }
    for input in inputs where !Image.isNamed(input.source) && TensorSource(input.source) == nil {
      throw ValidationError("'\(input.source)' is not a file that ends in .npy, .pb, .json, .jpg or .png, nor random[:seed]")
    }
  }

  /// One tensor per input, in the order of the manifest.
  ///
  /// - Parameters:
  ///   - pictures: How pictures become tensors.
  ///   - symbols: Lengths of symbolic axes of random inputs; those that the other inputs fix need not be there.
  func tensors(for manifest: Manifest, pictures: PictureArguments, symbols: [String: Int] = [:]) throws -> [Tensor] {
    for input in inputs where !manifest.inputs.contains(where: { $0.name == input.name }) {
      if let fixed = manifest.fixedInputs.first(where: { $0.name == input.name }) {
        try fixed.check(input.tensor([(fixed.name, fixed.type)]))
        continue
      }
      throw ValidationError("the model has no input '\(input.name)'; it has \(manifest.inputs.map(\.name).joined(separator: ", "))")
    }
    var tensors = [Tensor?](repeating: nil, count: manifest.inputs.count)
    var symbols = symbols
    var room = InputRoom()
    for (index, port) in manifest.inputs.enumerated() {
      guard let input = inputs.first(where: { $0.name == port.name }), !input.source.hasPrefix("random") else { continue }
      // A picture's tensor is as large as the input's shape says, whatever the file's size.
      if let file = TensorSource(input.source) { try room.take(file.byteCount(for: port), for: port.name) }
      let tensor = try load(input.source, for: port, pictures)
      if Image.isNamed(input.source) { try room.take(tensor.byteCount, for: port.name) }
      // Random inputs beside it take its batch size.
      for (extent, length) in zip(port.type.shape, tensor.dimensions) { if let symbol = extent.symbol { symbols[symbol] = length } }
      tensors[index] = tensor
    }
    let random = manifest.inputs.enumerated().filter { tensors[$0.offset] == nil }.map { index, port in
      (index, port, inputs.first { $0.name == port.name }.flatMap { TensorSource($0.source) } ?? .random(seed: UInt64(index)))
    }
    for (_, port, source) in random { try room.take(source.byteCount(for: port, symbols: symbols), for: port.name) }
    for (index, port, source) in random { tensors[index] = try source.load(for: port, symbols: symbols) }
    return tensors.compactMap { $0 }
  }

  /// What is given for an input, before the model is compiled; nil for pictures, random inputs and files that cannot be read.
  func given(_ name: String, _ declared: [(name: String, type: TensorType?)]) -> Tensor? {
    inputs.first { $0.name == name }.flatMap { try? $0.tensor(declared) }
  }

  private func load(_ source: String, for port: Manifest.Port, _ pictures: PictureArguments) throws(TensorFileError) -> Tensor {
    if Image.isNamed(source) { return try pictures.preparation.tensor(from: try Image.read(source), for: port, source: source) }
    guard let file = TensorSource(source) else { throw TensorFileError(source, .unsupported("this kind of file")) }
    return try file.load(for: port)
  }
}
