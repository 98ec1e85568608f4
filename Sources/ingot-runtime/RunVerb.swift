import Artifact
import Glibc
import Runtime
import TensorTypes

/// `run`: one run on given inputs; results as text, or as `.npy` files.
enum RunVerb {
  static let verb = Verb(
    name: "run", summary: "Runs the model once and prints or writes its outputs.", operands: nil,
    options: [
      InputArguments.option, InputArguments.dimension,
      Option(name: "--output", value: "DIR", help: "write every output to DIR/NAME.npy instead of printing it;\n`/` becomes `_`, names that are too long or meet end in a digest"),
      Option(name: "--threads", value: "N", help: "kernel threads (all cores this process may use)"), Option.memoryLimit,
      Option(name: "--peak-memory", help: "say last how much memory the process had in use at most, the mapped weights that were read included"),
    ],
    examples: ["run --input data=photo.npy", "run --input data=random:7 --output results"], run: run)

  private static func run(_ arguments: Arguments) throws(Failure) -> Int32 {
    let model = try OwnModel.load()
    let inputs = try InputArguments(arguments, for: model.manifest).tensors(for: model.manifest)
    let threads = try arguments.integer("--threads", in: 1...4096)
    let limit = try arguments.bytes(Option.memoryLimit.name)
    let outputs: [Tensor]
    do throws(RunError) { outputs = try model.makeSession(threads: threads, maximumBytes: limit).run(inputs) } catch { throw .failed("\(error)") }
    let files = OutputFileNames(model.manifest.outputs.map(\.name)).names
    for (number, (port, output)) in zip(model.manifest.outputs, outputs).enumerated() {
      guard let folder = arguments.text("--output") else {
        Console.print(describe(port, output, model.manifest.labels))
        continue
      }
      try write(output, to: files[number], in: folder)
    }
    if arguments.has("--peak-memory"), let bytes = PeakMemory.bytes { Console.print("peak memory \(bytes) bytes") }
    return 0
  }

  private static func write(_ tensor: Tensor, to name: String, in folder: String) throws(Failure) {
    guard mkdir(folder, 0o777) == 0 || errno == EEXIST else { throw .failed("\(folder): cannot create the folder: \(String(cString: strerror(errno)))") }
    let path = folder + "/" + name
    do throws(TensorFileError) { try NumPyFile.write(tensor, to: path) } catch { throw .failed("\(error)") }
    Console.print("\(path)  \(tensor.type)")
  }

  /// The first elements, and for a classifier the five largest.
  private static func describe(_ port: Manifest.Port, _ tensor: Tensor, _ labels: [String]) -> String {
    let shown = 8
    let values = (0..<min(shown, tensor.count)).map { position in
      if tensor.element == .string { return tensor.text(at: position).string.debugDescription }
      return tensor.withBytes { bytes in
        tensor.element.isFloatingPoint ? "\(Float(Tensor.double(bytes, tensor.element, position)))" : "\(Tensor.integer(bytes, tensor.element, position))"
      }
    }
    var text = "\(port.name)  \(tensor.type)  \(values.joined(separator: " "))" + (tensor.count > shown ? " …" : "")
    if !labels.isEmpty, tensor.count == labels.count {
      let best = tensor.doubles.enumerated().sorted { $0.element > $1.element }.prefix(5)
      for (position, value) in best { text += "\n  \(Float(value))  \(labels[position])" }
    }
    return text
  }
}
