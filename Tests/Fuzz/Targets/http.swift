import NIOCore
import NIOHTTP1
import Serving
import TensorTypes

/// Requests of the protocols: the first byte chooses the model, the second the path, the third the header of binary tensors.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let bytes = UnsafeBufferPointer(start: start, count: count)
  guard bytes.count >= 3 else { return 0 }
  let model = Served.models[Int(bytes[0]) % Served.models.count]
  let path = Served.paths[Int(bytes[1]) % Served.paths.count]
  let body = bytes.dropFirst(3)
  var headers = HTTPHeaders()
  if bytes[2] != 0xff { headers.add(name: "Inference-Header-Content-Length", value: "\(bytes[2])") }
  let request = Request(method: .POST, target: path, headers: headers, body: ByteBuffer(bytes: body))
  let response = model.respond(to: request, with: EchoSession())
  let status = response.status.code
  precondition(status == 200 || (400..<500).contains(status) || status == 501, "\(status): \(String(decoding: response.body, as: UTF8.self))")
  // The body as a path, too.
  let target = Request(method: .GET, target: String(decoding: body, as: UTF8.self), headers: HTTPHeaders(), body: ByteBuffer())
  precondition(model.respond(to: target, with: EchoSession()).status.code < 500)
  return 0
}

enum Served {
  static let paths = ["/v2/models/echo/infer", "/v1/models/echo:predict", "/predict"]
  static let models: [Service] = {
    let types = ElementType.allCases.map { [("x", TensorType($0, [Extent(symbol: "n"), 4]))] }
    let several = [
      [("ids", TensorType(.i64, [Extent(symbol: "batch"), 2])), ("mask", TensorType(.bool, [Extent(symbol: "batch")]))],
      [("x", TensorType(.f32, []))], [("x", TensorType(.f32, [2, 0, 3]))], [("x", TensorType(.f32, [Extent(symbol: "n"), Extent(symbol: "n") * 2]))],
    ]
    return (several + types).map { inputs in
      let service = Service(engine: EchoEngine(inputs))
      service.readiness.becomeReady()
      return service
    }
  }()
}

/// A model without a compiler: every output is a copy of the input at the same place.
struct EchoEngine: InferenceEngine {
  var signature: ModelSignature
  var facts: [(name: String, value: String)] { [] }

  init(_ inputs: [(String, TensorType)]) {
    signature = ModelSignature(
      name: "echo", version: "1", inputs: inputs.map { .init(name: $0.0, type: $0.1) }, outputs: inputs.map { .init(name: "out_" + $0.0, type: $0.1) })
  }

  func makeSession() throws(RequestError) -> any InferenceSession { EchoSession() }
}

final class EchoSession: InferenceSession {
  func run(_ inputs: [Tensor]) throws(RequestError) -> [Tensor] { inputs }
}
