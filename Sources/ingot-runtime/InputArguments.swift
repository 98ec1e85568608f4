import Artifact
import Runtime
import TensorTypes

/// The `--input NAME=FILE|random[:seed]` and `--dim` options of a command line, made into tensors for a model.
struct InputArguments {
  static let option = Option(
    name: "--input", value: "NAME=FILE", help: "an input from a .npy, .pb or .json file, or random[:SEED];\nevery input that is not named is random", repeats: true)
  static let dimension = Option(
    name: "--dim", value: "SYMBOL=N", help: "the length of a symbolic axis of random inputs (1)", repeats: true)

  private var sources: [String: TensorSource] = [:]
  private var symbols: [String: Int] = [:]

  init(_ arguments: Arguments, for manifest: Manifest) throws(Failure) {
    for text in arguments.texts("--input") {
      let parts = text.split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else { throw .usage("--input takes NAME=FILE or NAME=random[:SEED], got '\(text)'") }
      let (name, value) = (String(parts[0]), parts[1])
      guard manifest.inputs.contains(where: { $0.name == name }) else {
        throw .usage("the model has no input '\(name)'; it has \(manifest.inputs.map(\.name).joined(separator: ", "))")
      }
      guard sources[name] == nil else { throw .usage("input '\(name)' is given twice") }
      guard let source = TensorSource(String(value)) else {
        throw .usage("'\(value)' is not a file that ends in .npy, .pb or .json, nor random[:SEED]")
      }
      sources[name] = source
    }
    for text in arguments.texts("--dim") {
      let parts = text.split(separator: "=", maxSplits: 1)
      guard parts.count == 2, let length = Int(parts[1]), length > 0 else { throw .usage("--dim takes SYMBOL=N, such as batch=8, got '\(text)'") }
      guard manifest.inputs.contains(where: { $0.type.shape.symbols.contains(String(parts[0])) }) else {
        throw .usage("no input has a symbolic axis '\(parts[0])'")
      }
      symbols[String(parts[0])] = length
    }
  }

  /// One tensor per input, in the order of the manifest.
  func tensors(for manifest: Manifest) throws(Failure) -> [Tensor] {
    let sources = manifest.inputs.enumerated().map { (index: Int, port: Manifest.Port) -> TensorSource in
      self.sources[port.name] ?? .random(seed: UInt64(index))
    }
    var tensors: [Tensor] = []
    do {
      var room = InputRoom()
      for (port, source) in zip(manifest.inputs, sources) { try room.take(source.byteCount(for: port, symbols: symbols), for: port.name) }
      for (port, source) in zip(manifest.inputs, sources) { tensors.append(try source.load(for: port, symbols: symbols)) }
    } catch { throw .failed("\(error)") }
    return tensors
  }
}
