import ArgumentParser
import Artifact
import Compiler
import Runtime
import TensorTypes

/// `SYMBOL=N[,N...]`, such as `batch=8` or `batch=1,8,32`.
struct DimensionArgument: ExpressibleByArgument {
  var name: String
  /// At least one.
  var lengths: [Int]

  init?(argument: String) {
    guard let (name, value) = split(argument) else { return nil }
    var lengths: [Int] = []
    for part in value.split(separator: ",", omittingEmptySubsequences: false) {
      guard let length = Int(part), length >= 1 else { return nil }
      lengths.append(length)
    }
    (self.name, self.lengths) = (name, lengths)
  }
}

/// `NAME=1x3x224x224`; a scalar is `NAME=` with nothing behind it.
struct ShapeArgument: ExpressibleByArgument {
  var name: String
  var dimensions: [Int]

  init?(argument: String) {
    guard let (name, value) = split(argument) else { return nil }
    var dimensions: [Int] = []
    for part in value.isEmpty ? [] : value.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "x" || $0 == "," }) {
      guard let length = Int(part), length >= 0 else { return nil }
      dimensions.append(length)
    }
    (self.name, self.dimensions) = (name, dimensions)
  }
}

/// `NAME=2x3,4x3`: a shape for each element of a sequence. `NAME=` is an empty one; a scalar is `scalar`.
struct SequenceArgument: ExpressibleByArgument {
  var name: String
  var shapes: [[Int]]

  init?(argument: String) {
    guard let (name, value) = split(argument) else { return nil }
    var shapes: [[Int]] = []
    for part in value.isEmpty ? [] : value.split(separator: ",", omittingEmptySubsequences: false) {
      guard let shape = Self.shape(part) else { return nil }
      shapes.append(shape)
    }
    (self.name, self.shapes) = (name, shapes)
  }

  static func shape(_ text: Substring) -> [Int]? {
    if text == "scalar" { return [] }
    var dimensions: [Int] = []
    for part in text.split(separator: "x", omittingEmptySubsequences: false) {
      guard let length = Int(part), length >= 0 else { return nil }
      dimensions.append(length)
    }
    return dimensions
  }
}

/// `NAME=absent`, `NAME=present` or `NAME=2x3`.
struct OptionalArgument: ExpressibleByArgument {
  var name: String
  var form: OptionalForm

  init?(argument: String) {
    guard let (name, value) = split(argument) else { return nil }
    self.name = name
    switch value {
    case "absent": form = .absent
    case "present": form = .present
    default:
      guard let shape = SequenceArgument.shape(value[...]) else { return nil }
      form = .shape(shape)
    }
  }
}

/// `NAME=FILE` or `NAME=random[:SEED]`.
struct InputArgument: ExpressibleByArgument {
  var name: String
  var source: String

  init?(argument: String) {
    guard let (name, value) = split(argument), !value.isEmpty else { return nil }
    (self.name, self.source) = (name, value)
  }

  /// True for what is read as it is: no picture, and not random.
  var isTensorFile: Bool { !source.hasPrefix("random") && TensorSource(source) != nil }

  /// What the file holds, before the model is compiled.
  ///
  /// - Parameter inputs: Names and types of the model's inputs, which say what the numbers of a JSON file are.
  func tensor(_ inputs: [(name: String, type: TensorType?)]) throws -> Tensor {
    guard let input = inputs.first(where: { $0.name == name }) else {
      throw ValidationError("the model has no input '\(name)'; it has \(inputs.map(\.name).joined(separator: ", "))")
    }
    guard isTensorFile, let file = TensorSource(source) else { throw TensorFileError(source, .unsupported("this kind of file")) }
    if case .json = file, input.type == nil { throw TensorFileError(source, .unsupported("input `\(name)` as JSON")) }
    let port = Manifest.Port(name: name, type: input.type ?? TensorType(.f32, []))
    var room = InputRoom()
    try room.take(file.byteCount(for: port), for: name)
    return try file.load(for: port)
  }
}

/// `NAME=N`, such as `nodes=1000000`.
struct LimitArgument: ExpressibleByArgument {
  var name: CompileLimits.Name
  var value: Int

  init?(argument: String) {
    guard let (text, value) = split(argument), let name = CompileLimits.Name(rawValue: text), let number = Int(value), number >= 0 else { return nil }
    (self.name, self.value) = (name, number)
  }
}

/// `256` or `240x320` (height x width).
struct SideArgument: ExpressibleByArgument {
  var height: Int
  /// Nil if only one number was given.
  var width: Int?

  init?(argument: String) {
    let parts = argument.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
    guard (1...2).contains(parts.count), let first = parts[0], first >= 1, first <= 1 << 20 else { return nil }
    height = first
    if parts.count == 2 {
      guard let second = parts[1], second >= 1, second <= 1 << 20 else { return nil }
      width = second
    }
  }
}

/// One number, or one for each channel: `127.5`, `1/255`, `123.675,116.28,103.53`.
struct ChannelArgument: ExpressibleByArgument {
  var values: [Double]

  init?(argument: String) {
    var values: [Double] = []
    for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
      let fraction = part.split(separator: "/", omittingEmptySubsequences: false).map { Double($0) }
      guard (1...2).contains(fraction.count), let numerator = fraction[0], let denominator = fraction.count == 2 ? fraction[1] : 1 else { return nil }
      let value = numerator / denominator
      guard value.isFinite else { return nil }
      values.append(value)
    }
    guard values.count == 1 || values.count == 3 else { return nil }
    self.values = values
  }
}

/// The parts before and behind the last `=` whose left side is not empty: names of inputs may hold one.
private func split(_ text: String) -> (name: String, value: String)? {
  guard let equals = text.lastIndex(of: "="), equals > text.startIndex else { return nil }
  return (String(text[..<equals]), String(text[text.index(after: equals)...]))
}

/// A number of bytes: plain, or with the suffix K, M or G (powers of 1024).
struct ByteCount: ExpressibleByArgument {
  var bytes: Int

  init?(argument: String) {
    let units: [Character: Int] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
    let unit = argument.last.flatMap { units[Character($0.uppercased())] }
    guard let value = Int(unit == nil ? Substring(argument) : argument.dropLast()), value >= 0,
      case let (bytes, false) = value.multipliedReportingOverflow(by: unit ?? 1)
    else { return nil }
    self.bytes = bytes
  }
}
