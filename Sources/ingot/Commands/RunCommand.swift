import ArgumentParser
import Artifact
import Compiler
import Foundation
import Runtime
import TensorTypes

/// `run`: one run on given inputs.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Runs a model once and prints or writes its outputs.",
    discussion: """
      Pictures are decoded, resized, cropped and scaled on the way: value = (pixel - mean) * scale. The presets:
        imagenet   shorter side to 8/7 of the input, middle cut out, ImageNet mean and deviation (PyTorch's classifiers)
        mobilenet  the same cut, -1 ... 1 (TensorFlow's classifiers)
        caffe      the same cut, blue green red, mean subtracted
        unit       stretched to the input, 0 ... 1 (the default)
        raw        stretched to the input, 0 ... 255

      Examples:
        ingot run model.onnx --input image=cat.jpg --preset imagenet --top 5 --labels classes.txt
        ingot run model.onnx --input x=random:7 --dim batch=4
        ingot run model.onnx --input ids=ids.json --input mask=mask.npy --output results
      """)

  @Argument(help: ArgumentHelp("A model (.onnx, .ingot) or a compiled artifact.", valueName: "model"))
  var path: String

  @Option(help: ArgumentHelp("Write every output to DIR/NAME.npy instead of printing it, and say which file that is: `/` becomes `_`, and a name that is too long, or that another output has by then, ends in a digest.", valueName: "dir"))
  var output: String?

  @Option(help: ArgumentHelp("Print the K largest values of each row, for classifiers.", valueName: "k"))
  var top: Int?

  @Option(help: ArgumentHelp("Names of the classes, one a line.", valueName: "file"))
  var labels: String?

  @OptionGroup(title: "Inputs") var inputs: InputArguments
  @OptionGroup(title: "Compilation") var arguments: CompileArguments

  func validate() throws {
    if let top, top < 1 { throw ValidationError("--top takes a number of at least 1, got \(top)") }
    try arguments.checkSamples()
  }

  func run() throws {
    var names: [String] = []
    if let labels { names = try LabelFile.read(labels) }
    let runnable = try RunnableModel(path: path, arguments, inputs: inputs)
    let manifest = runnable.model.manifest
    if names.isEmpty { names = manifest.labels }
    let tensors = try inputs.tensors(for: manifest, pictures: arguments.pictures, symbols: runnable.symbols(arguments))
    let outputs = try runnable.model.makeSession(threads: arguments.threads, maximumBytes: arguments.memoryLimit?.bytes).run(tensors)
    if labels != nil, !outputs.contains(where: { $0.dimensions.last == names.count }) {
      Terminal.note("note: no output has as many columns as there are labels (\(names.count))")
    }
    if let output { try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true) }
    let files = OutputFileNames(manifest.outputs.map(\.name)).names
    for (number, (port, tensor)) in zip(manifest.outputs, outputs).enumerated() {
      if let output {
        let path = output + "/" + files[number]
        try NumPyFile.write(tensor, to: path)
        print("\(path)  \(tensor.type)")
      } else {
        print(OutputText(port.name, tensor, top: top ?? (names.isEmpty ? nil : 5), labels: names).text)
      }
    }
  }
}
