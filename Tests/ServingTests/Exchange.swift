import NIOCore
import NIOHTTP1
import Serving

/// Requests to a service that is called as a function, without sockets.
struct Bench {
  let service: Service
  let session: any InferenceSession

  init(_ engine: EchoEngine) {
    service = Service(engine: engine)
    service.readiness.becomeReady()
    session = EchoSession(0)
  }

  func send(
    _ method: HTTPMethod, _ target: String, _ body: [UInt8] = [], headers: [(String, String)] = []
  ) -> (status: UInt, text: String, response: Response) {
    let request = Request(method: method, target: target, headers: HTTPHeaders(headers), body: ByteBuffer(bytes: body))
    let response = service.respond(to: request, with: session)
    return (response.status.code, String(decoding: response.body, as: UTF8.self), response)
  }

  func post(_ target: String, _ body: String, headers: [(String, String)] = []) -> (status: UInt, text: String, response: Response) {
    send(.POST, target, Array(body.utf8), headers: headers)
  }

  func get(_ target: String) -> (status: UInt, text: String, response: Response) { send(.GET, target) }
}
