import NIOHTTP1

/// Why a request was refused: a status, a sentence for the client, and what it can do next.
///
/// The sentence names the field, what was expected and what came. It never holds a path, an address or any
/// other fact about the host: clients may be strangers.
package struct RequestError: Error, Sendable {
  package var status: HTTPResponseStatus
  package var message: String
  /// A short stable word for programs, such as `shape_mismatch`.
  package var code: String
  /// Further headers of the reply, such as `Allow` or `Retry-After`.
  package var headers: [(name: String, value: String)] = []

  package init(
    _ status: HTTPResponseStatus, code: String, _ message: String, headers: [(name: String, value: String)] = []
  ) {
    self.status = status
    self.code = code
    self.message = message
    self.headers = headers
  }

  static func malformed(_ message: String) -> RequestError { RequestError(.badRequest, code: "malformed_request", message) }
  static func invalid(_ message: String) -> RequestError { RequestError(.badRequest, code: "invalid_input", message) }
  static func shape(_ message: String) -> RequestError { RequestError(.badRequest, code: "shape_mismatch", message) }
  static func notFound(_ message: String) -> RequestError { RequestError(.notFound, code: "not_found", message) }

  static func bodyTooLarge(limitBytes: Int) -> RequestError {
    RequestError(.payloadTooLarge, code: "body_too_large", "the request body is larger than the limit of \(limitBytes) bytes (--body-limit)")
  }

  /// The server has no room for the request now; the client may try again soon.
  static func busy(_ message: String) -> RequestError {
    RequestError(.serviceUnavailable, code: "busy", message, headers: [("Retry-After", "1")])
  }
}

extension String {
  /// Text from a client, shortened and without control characters, fit to be quoted in an error message.
  var quoted: String {
    let kept = unicodeScalars.prefix(80).map { $0.value < 32 || $0.value == 127 ? "?" : Character($0) }
    return "\"" + String(kept) + (unicodeScalars.count > 80 ? "…" : "") + "\""
  }
}
