public import Artifact
public import GraphIR
import Runtime
public import TensorTypes

/// Samples of a model's inputs, read one at a time.
///
/// - A folder of `.npy`, `.pb`, `.json`, `.jpg` and `.png` files is a sample for each file, for a model with one input.
/// - A folder of folders is a sample for each of these: `input_0.pb`, `input_1.pb`, … as in ONNX's test data (`test_data_set_0`),
///   or a file for each input by its name, such as `input_ids.npy`. The folder of one such sample may be named itself.
/// - A file of `.npy` arrays one behind the other, an array for each input of each sample: what a script writes with
///   repeated `numpy.save`. A pipe does as well, and `-` is standard input.
public struct CalibrationSamples: Sendable {
  /// Where one sample comes from.
  private enum Place: Sendable {
    case file(String)
    /// Numbered like the inputs of the model.
    case numbered(folder: String)
    /// One path for each input.
    case named([String])
    case tensors([Tensor])
  }

  private var places: [Place]
  /// The numbers of the samples among all that were found.
  private var numbers: [Int]
  /// How many there are, also beyond `maximumSamples`.
  private(set) var found = 0
  let ports: [Manifest.Port]
  private let options: CalibrationOptions
  private let fixed: [Manifest.FixedInput]

  /// How many samples there are, `maximumSamples` at most.
  public var count: Int { places.count }
  /// The folder or file that they come from.
  public var path: String { options.path }

  /// - Parameters:
  ///   - graph: Its inputs are what the samples are for.
  ///   - fixed: Inputs of the file that are no longer the graph's; numbered data may still hold them.
  /// - Throws: `CompileError`: `.badInput` for what cannot be read, and where there is no sample.
  public init(_ options: CalibrationOptions, for graph: Graph, fixed: [Manifest.FixedInput] = []) throws(CompileError) {
    (self.options, self.fixed) = (options, fixed)
    (places, numbers) = ([], [])
    ports = graph.inputs.map { Manifest.Port(name: graph.value($0).name, type: graph.type(of: $0)) }
    let all: [Place]
    do throws(TensorFileError) { all = try Self.places(options, ports) } catch { throw refusal(error.description) }
    guard !all.isEmpty else {
      throw refusal("`\(options.path)` holds no samples")
    }
    found = all.count
    let count = max(1, min(found, options.maximumSamples))
    numbers = (0..<count).map { Self.spread($0, of: count, over: all.count) }
    places = numbers.map { all[$0] }
  }

  /// What a sample is called in messages: its file or folder.
  public func name(_ position: Int) -> String {
    switch places[position] {
    case .file(let path): path
    case .numbered(let folder): folder
    case .named(let paths): paths.first ?? options.path
    case .tensors: "\(options.path), sample \(position)"
    }
  }

  private static func spread(_ position: Int, of count: Int, over all: Int) -> Int { position * all / count }

  /// A sample's number among all that there are.
  func place(_ position: Int) -> Int { numbers[position] }

  /// Some of the samples, evenly spread.
  public func thinned(to most: Int) -> CalibrationSamples {
    var copy = self
    let count = min(max(most, 1), places.count)
    let chosen = (0..<count).map { Self.spread($0, of: count, over: places.count) }
    (copy.places, copy.numbers) = (chosen.map { places[$0] }, chosen.map { numbers[$0] })
    return copy
  }

  /// The name of a sample's file or folder without the path to it; nil for what has none.
  public func fileName(_ position: Int) -> String? {
    switch places[position] {
    case .file(let path), .numbered(let path): path.split(separator: "/").last.map(String.init)
    case .named(let paths): paths.first?.split(separator: "/").dropLast().last.map(String.init)
    case .tensors: nil
    }
  }

  /// One tensor for each input, in their order.
  ///
  /// - Throws: `CompileError`: `.badInput` that names the file, what it holds and what the input takes.
  public func tensors(_ position: Int) throws(CompileError) -> [Tensor] {
    var files: [String] = []
    var tensors: [Tensor] = []
    do throws(TensorFileError) {
      switch places[position] {
      case .file(let path):
        files = [path]
        if let port = ports.first { tensors.append(try read(path, port)) }
      case .named(let paths):
        files = paths
        for (path, port) in zip(paths, ports) { tensors.append(try read(path, port)) }
      case .numbered(let folder):
        tensors = try numbered(folder)
        files = tensors.indices.map { "\(folder)/input_\($0).pb" }
      case .tensors(let found):
        tensors = found
        files = found.map { _ in name(position) }
      }
    } catch { throw refusal(error.description) }
    guard tensors.count == ports.count else {
      throw refusal("\(name(position)) holds \(tensors.count) tensors, but the model has \(ports.count) inputs")
    }
    var fit = SampleFit()
    for (tensor, (file, port)) in zip(tensors, zip(files, ports)) { try fit.check(tensor, port, file: file) }
    return tensors
  }

  private func read(_ path: String, _ port: Manifest.Port) throws(TensorFileError) -> Tensor {
    if Self.isPicture(path) {
      guard let picture = options.picture else { throw TensorFileError(path, .unsupported("a picture where only tensors can be read")) }
      return try picture(path, port)
    }
    guard let source = TensorSource(path) else { throw TensorFileError(path, .unsupported("this kind of file")) }
    return try source.load(for: port)
  }

  private func numbered(_ folder: String) throws(TensorFileError) -> [Tensor] {
    let tensors = try DataSetLayout.values("input", [], in: folder).flatMap(\.tensors)
    guard tensors.count == ports.count + fixed.count, !fixed.isEmpty else { return tensors }
    let left = Set(fixed.map(\.position))
    return tensors.enumerated().filter { !left.contains($0.offset) }.map(\.element)
  }

  // MARK: Finding

  private static func isPicture(_ name: String) -> Bool { [".jpg", ".jpeg", ".png"].contains { name.lowercased().hasSuffix($0) } }
  private static func isTensor(_ name: String) -> Bool { [".npy", ".pb", ".json"].contains { name.hasSuffix($0) } }
  private static func isSample(_ name: String) -> Bool { isTensor(name) || isPicture(name) }

  private static func places(_ options: CalibrationOptions, _ ports: [Manifest.Port]) throws(TensorFileError) -> [Place] {
    let path = options.path
    if let read = options.arrays { return try grouped(read, path, ports) }
    guard FileSystem.isFolder(path) else {
      if path != "-", isSample(path), !path.hasSuffix(".npy") { return ports.count == 1 ? [.file(path)] : [] }
      return try grouped(try NumPyFile.readAll(path == "-" ? "/dev/stdin" : path), path, ports)
    }
    if let own = try sample(folder: path, ports) { return [own] }
    let names = try FileSystem.names(in: path).sorted()
    if ports.count == 1 {
      let files = names.filter { isSample($0) && !FileSystem.isFolder("\(path)/\($0)") }
      if !files.isEmpty { return files.map { .file("\(path)/\($0)") } }
    }
    var places: [Place] = []
    for name in names where FileSystem.isFolder("\(path)/\(name)") { if let place = try sample(folder: "\(path)/\(name)", ports) { places.append(place) } }
    return places
  }

  /// The folder as one sample, if it is one.
  private static func sample(folder: String, _ ports: [Manifest.Port]) throws(TensorFileError) -> Place? {
    let names = Set(try FileSystem.names(in: folder))
    if names.contains("input_0.pb") { return .numbered(folder: folder) }
    var paths: [String] = []
    for port in ports {
      let plain = String(port.name.map { $0 == "/" || $0 == "\0" ? "_" : $0 })
      guard let name = names.sorted().first(where: { isSample($0) && $0.prefix(upTo: $0.lastIndex(of: ".") ?? $0.endIndex) == plain }) else { return nil }
      paths.append("\(folder)/\(name)")
    }
    return paths.isEmpty ? nil : .named(paths)
  }

  /// Arrays one behind the other as samples: one for each input.
  private static func grouped(_ tensors: [Tensor], _ path: String, _ ports: [Manifest.Port]) throws(TensorFileError) -> [Place] {
    guard !ports.isEmpty, tensors.count % ports.count == 0 else {
      throw TensorFileError(path, .mismatch("\(tensors.count) arrays; a sample is one for each of the model's \(ports.count) inputs"))
    }
    return stride(from: 0, to: tensors.count, by: ports.count).map { .tensors(Array(tensors[$0..<$0 + ports.count])) }
  }

  private func refusal(_ fact: String) -> CompileError {
    let inputs = ports.map { "`\($0.name)` (\($0.type))" }.joined(separator: ", ")
    return CompileError(
      .badInput, fact, stage: .run,
      hint: ports.count == 1
        ? "\(options.optionName) takes a folder with a .npy, .pb, .json, .jpg or .png file for each sample of \(inputs), or arrays that a script writes with numpy.save"
        : "\(options.optionName) takes a folder with a folder for each sample: input_0.pb, input_1.pb, ... or NAME.npy for each of \(inputs); or arrays that a script writes with numpy.save, one for each input in this order")
  }
}
