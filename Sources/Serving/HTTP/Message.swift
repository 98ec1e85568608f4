import NIOCore
import NIOHTTP1

/// A complete HTTP request.
package struct Request: Sendable {
  package var method: HTTPMethod
  /// The request target as it was sent.
  package var target: String
  package var headers: HTTPHeaders
  package var body: ByteBuffer

  package init(method: HTTPMethod, target: String, headers: HTTPHeaders = HTTPHeaders(), body: ByteBuffer = ByteBuffer()) {
    self.method = method
    self.target = target
    self.headers = headers
    self.body = body
  }
}

/// A complete HTTP response. `Content-Length` and `Connection` are added when it is sent.
package struct Response: Sendable {
  package var status: HTTPResponseStatus
  package var contentType: String
  package var headers: [(name: String, value: String)] = []
  package var body: [UInt8]

  package static let jsonType = "application/json"

  static func json(_ status: HTTPResponseStatus = .ok, _ writer: JSONWriter) -> Response {
    Response(status: status, contentType: jsonType, body: writer.bytes)
  }

  /// An object, as most replies are.
  static func json(_ status: HTTPResponseStatus = .ok, members: (inout JSONWriter) -> Void) -> Response {
    var writer = JSONWriter()
    writer.object(members)
    return json(status, writer)
  }

  /// The error form of the Open Inference Protocol and of TensorFlow Serving: `{"error": "…"}`.
  static func error(_ error: RequestError) -> Response {
    var response = json(error.status) { $0.member("error", error.message) }
    response.headers = error.headers
    return response
  }
}
