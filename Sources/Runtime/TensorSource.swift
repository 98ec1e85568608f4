public import Artifact
public import TensorTypes

/// Where the data of an input comes from, as a user names it: a file or `random[:seed]`.
public enum TensorSource: Sendable, Hashable {
  case numpy(path: String)
  case proto(path: String)
  case json(path: String)
  case random(seed: UInt64)

  /// Reads a name such as `photo.npy`, `input_0.pb`, `row.json`, `random`, `random:7`; nil if it is none of them.
  public init?(_ text: String) {
    if text == "random" {
      self = .random(seed: 0)
    } else if text.hasPrefix("random:") {
      guard let seed = UInt64(text.dropFirst(7)) else { return nil }
      self = .random(seed: seed)
    } else if text.hasSuffix(".npy") {
      self = .numpy(path: text)
    } else if text.hasSuffix(".pb") {
      self = .proto(path: text)
    } else if text.hasSuffix(".json") {
      self = .json(path: text)
    } else {
      return nil
    }
  }

  /// Bytes that loading takes, counted without it: the size of the file, or of the random tensor.
  public func byteCount(for port: Manifest.Port, symbols: [String: Int] = [:]) throws(TensorFileError) -> Int {
    switch self {
    case .numpy(let path), .proto(let path), .json(let path): return try FileSystem.byteCount(path)
    case .random:
      let (bytes, overflowed) = (elementCount(of: try randomDimensions(for: port, symbols)) ?? 0).multipliedReportingOverflow(by: port.type.element.byteCount)
      return overflowed ? .max : bytes
    }
  }

  /// Loads a tensor for an input.
  ///
  /// - Parameter symbols: Lengths of symbolic axes, for random data; symbols that are missing count as 1.
  public func load(for port: Manifest.Port, symbols: [String: Int] = [:]) throws(TensorFileError) -> Tensor {
    switch self {
    case .numpy(let path):
      let tensor = try NumPyFile.read(path)
      guard let fitted = NumPyFile.fitted(tensor, to: port.type.element) else { throw TensorFileError(path, .mismatch("a number that \(port.type.element) does not hold")) }
      return fitted
    case .proto(let path): return try TensorProto.read(path).tensor
    case .json(let path):
      let bytes = try FileSystem.read(path)
      let json: JSON
      do { json = try JSON(parsing: bytes, options: .init(allowsNonFiniteNumbers: true)) } catch {
        throw TensorFileError(path, .malformed("not JSON: \(error)"))
      }
      return try JSONTensor.decode(json, port.type.element, dimensions: port.type.shape.constants, source: path)
    case .random(let seed): return RandomTensor.make(port.type.element, try randomDimensions(for: port, symbols), seed: seed)
    }
  }

  private func randomDimensions(for port: Manifest.Port, _ symbols: [String: Int]) throws(TensorFileError) -> [Int] {
    let bindings = port.type.shape.symbols.reduce(into: [String: Int]()) { bound, symbol in bound[symbol] = symbols[symbol] ?? 1 }
    guard let dimensions = port.type.shape.evaluated(bindings), let count = elementCount(of: dimensions), count <= 1 << 36 else {
      throw TensorFileError("random", .mismatch("input `\(port.name)` (\(port.type)) is too large for random data\(SymbolBinding.suffix(bindings))"))
    }
    return dimensions
  }
}
