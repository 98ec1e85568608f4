import TensorTypes

/// One input of the model while its numbers are read from JSON, before or after its shape is known.
final class InputColumn {
  private let port: ModelSignature.Port
  private var buffer: ElementBuffer
  private var reader = NestedArrayReader()
  /// Examples read so far, in TensorFlow Serving's row form.
  var rowCount = 0

  init(_ port: ModelSignature.Port, bodyBytes: Int) {
    self.port = port
    let maximum = port.maximumCount(bodyBytes: bodyBytes)
    // A typical number takes some ten bytes; the buffer grows where it takes fewer.
    buffer = ElementBuffer(
      port.type.element, expectedCount: port.type.shape.isStatic ? maximum : min(maximum, bodyBytes / 10), maximumCount: maximum)
  }

  /// Reads one value: a number, or nested arrays of numbers. Errors name the input.
  func read(_ scanner: inout JSONScanner) throws(RequestError) {
    do { try reader.read(&scanner, into: &buffer) } catch {
      guard error.code != "malformed_request" else { throw error }
      var named = error
      named.message = "input \(port.name.quoted) (\(port.type.element.protocolName) \(port.type.shape)): \(error.message)"
      throw named
    }
  }

  /// The one value that was read, in its own shape.
  func tensor() throws(RequestError) -> Tensor { try tensor(reader.dimensions) }

  /// The values that were read, stacked along a new first axis.
  func tensor(rowCount: Int) throws(RequestError) -> Tensor { try tensor([rowCount] + reader.dimensions) }

  private func tensor(_ dimensions: [Int]) throws(RequestError) -> Tensor {
    guard let tensor = buffer.tensor(dimensions) else {
      throw .shape("input \(port.name.quoted): expected shape \(port.type.shape), got a ragged array")
    }
    return tensor
  }

  /// The value that was read in a shape that was sent apart from it. The arrays were flat, or nested as the shape says.
  func tensor(declared shape: [Int]) throws(RequestError) -> Tensor {
    let nesting = reader.dimensions
    guard nesting.count <= 1 || nesting == shape else {
      throw .shape("input \(port.name.quoted): \"data\" is nested as \(Shape(nesting)), but \"shape\" is \(Shape(shape))")
    }
    guard let tensor = buffer.tensor(shape) else {
      throw .shape("input \(port.name.quoted): \"shape\" is \(Shape(shape)), but \"data\" has \(buffer.count) elements")
    }
    return tensor
  }
}
