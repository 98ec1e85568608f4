import ArgumentParser
import Artifact
import Runtime
import TensorTypes

/// `--input`, and how pictures become tensors.
struct InputArguments: ParsableArguments {
  @Option(
    name: .customLong("input"),
    help: ArgumentHelp(
      "An input: a .npy, .pb, .json, .jpg or .png file, or random[:seed]. May be repeated; inputs that are not named are random.", valueName: "name=file"))
  var inputs: [InputArgument] = []

  @Option(help: "How pictures are prepared: \(ImagePreset.allCases.map(\.rawValue).joined(separator: ", ")).")
  var preset = ImagePreset.unit

  @Option(help: ArgumentHelp("Resize pictures: 256 (shorter side) or 240x320 (height x width).", valueName: "size"))
  var resize: SideArgument?

  @Option(help: ArgumentHelp("Cut the middle out of pictures: 224 or 224x320.", valueName: "size"))
  var crop: SideArgument?

  @Option(help: ArgumentHelp("Subtract this from every pixel (0 ... 255): one number or one for each channel.", valueName: "mean"))
  var mean: ChannelArgument?

  @Option(help: ArgumentHelp("Then multiply with this, such as 1/255: one number or one for each channel.", valueName: "scale"))
  var scale: ChannelArgument?

  @Option(help: "Where the channels are: nchw or nhwc (as the input's shape says).")
  var layout: ImagePreparation.Layout?

  @Flag(help: "Give blue, green, red instead of red, green, blue.")
  var bgr = false

  func validate() throws {
    if let name = CompileArguments.duplicate(inputs.map(\.name)) { throw ValidationError("--input is given twice for '\(name)'") }
    for input in inputs where !Image.isNamed(input.source) && TensorSource(input.source) == nil {
      throw ValidationError("'\(input.source)' is not a file that ends in .npy, .pb, .json, .jpg or .png, nor random[:seed]")
    }
  }

  private var preparation: ImagePreparation {
    var preparation = ImagePreparation()
    preparation.preset = preset
    preparation.resize = resize.map { side in side.width.map { .exact(height: side.height, width: $0) } ?? .shorterSide(side.height) }
    preparation.crop = crop.map { ($0.height, $0.width ?? $0.height) }
    preparation.mean = mean?.values
    preparation.scale = scale?.values
    preparation.isBGR = bgr ? true : nil
    preparation.layout = layout
    return preparation
  }

  /// One tensor per input, in the order of the manifest.
  ///
  /// - Parameter symbols: Lengths of symbolic axes of random inputs; those that the other inputs fix need not be there.
  func tensors(for manifest: Manifest, symbols: [String: Int] = [:]) throws -> [Tensor] {
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
      let tensor = try load(input.source, for: port)
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

  private func load(_ source: String, for port: Manifest.Port) throws(TensorFileError) -> Tensor {
    if Image.isNamed(source) { return try preparation.tensor(from: try Image.read(source), for: port, source: source) }
    guard let file = TensorSource(source) else { throw TensorFileError(source, .unsupported("this kind of file")) }
    return try file.load(for: port)
  }
}

extension ImagePreparation.Layout: ExpressibleByArgument {}
