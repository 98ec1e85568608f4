/// `POST /predict` with `{"input_data": …}`: a thin alias for programs written against a Flask-style endpoint.
///
/// `input_data` takes what TensorFlow Serving takes: a list is the row form, an object the column form. One
/// example without its batch axis is accepted too. The reply has `predictions`, `model`, `version`, `request_id`.
enum PredictAlias {
  static let routes = [Route(.POST, "/predict", errors: .detailed, predict)]

  private static func predict(_ exchange: Exchange) throws(RequestError) -> Answer {
    let signature = exchange.signature
    let request = try TensorRows.withScanner(of: exchange.request) { (scanner) throws(RequestError) in
      var rows: TensorRows?
      try scanner.object { (key, scanner) throws(RequestError) in
        guard key == "input_data" else { return try scanner.skipValue() }
        guard rows == nil else { throw .malformed("\"input_data\" appears twice") }
        if scanner.next() == UInt8(ascii: "{") {
          rows = try TensorRows.columns(&scanner, signature)
        } else {
          rows = try TensorRows.rows(&scanner, signature, field: "input_data", allowingOneExample: true)
        }
      }
      guard let rows else { throw .malformed("missing field \"input_data\"") }
      return rows
    }
    let id = exchange.requestID
    return .inference(
      Inference(inputs: request.inputs) { (outputs) throws(RequestError) in
        var writer = JSONWriter()
        writer.object { writer in
          writer.key("predictions")
          request.write(outputs, signature, &writer)
          writer.member("model", signature.name)
          writer.member("version", signature.version)
          writer.member("request_id", id)
        }
        return .json(.ok, writer)
      })
  }

  static func failure(_ error: RequestError, requestID: String) -> Response {
    var response = Response.json(error.status) { writer in
      writer.key("error")
      writer.object { writer in
        writer.member("code", error.code)
        writer.member("message", error.message)
        writer.member("request_id", requestID)
      }
    }
    response.headers = error.headers
    return response
  }
}
