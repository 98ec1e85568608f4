import Glibc
import Serving
import TensorTypes

/// A model without a compiler: every output is a copy of the input at the same place, after an optional delay.
struct EchoEngine: InferenceEngine {
  var signature: ModelSignature
  var facts: [(name: String, value: String)] { [("target", "test")] }
  var delayMicroseconds: UInt32 = 0

  init(_ ports: [(input: String, output: String, type: TensorType)], name: String = "echo", delayMicroseconds: UInt32 = 0) {
    signature = ModelSignature(
      name: name, version: "1", inputs: ports.map { .init(name: $0.input, type: $0.type) },
      outputs: ports.map { .init(name: $0.output, type: $0.type) })
    self.delayMicroseconds = delayMicroseconds
  }

  func makeSession() throws(RequestError) -> any InferenceSession { EchoSession(delayMicroseconds) }

  /// `x` f32[batch, 4] -> `y`.
  static let one = EchoEngine([("x", "y", TensorType(.f32, [Extent(symbol: "batch"), 4]))])
  /// `ids` i64[batch, 2] -> `codes`; `mask` bool[batch] -> `flags`.
  static let two = EchoEngine([
    ("ids", "codes", TensorType(.i64, [Extent(symbol: "batch"), 2])), ("mask", "flags", TensorType(.bool, [Extent(symbol: "batch")])),
  ])
  /// One vector of the element type, of any length.
  static func vector(_ element: ElementType) -> EchoEngine { EchoEngine([("x", "y", TensorType(element, [Extent(symbol: "n")]))]) }
}

final class EchoSession: InferenceSession {
  private let delayMicroseconds: UInt32
  init(_ delayMicroseconds: UInt32) { self.delayMicroseconds = delayMicroseconds }

  func run(_ inputs: [Tensor]) throws(RequestError) -> [Tensor] {
    if delayMicroseconds > 0 { usleep(delayMicroseconds) }
    return inputs
  }
}
