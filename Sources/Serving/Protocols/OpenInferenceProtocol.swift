import NIOHTTP1
import TensorTypes

/// The Open Inference Protocol, version 2 (KServe, Triton, OpenVINO Model Server), over REST, with the binary tensor
/// data extension.
///
/// FP16 and BF16, for which the protocol agrees on no JSON form, are plain numbers here. Values that JSON has no
/// word for are written as `NaN`, `Infinity` and `-Infinity`.
/// Source: https://github.com/kserve/open-inference-protocol
enum OpenInferenceProtocol {
  static let routes = [
    Route(.GET, "/v2", serverMetadata),
    Route(.GET, "/v2/health/live", live),
    Route(.GET, "/v2/health/ready", ready),
    Route(.POST, "/v2/models/{model}/infer", infer),
    Route(.POST, "/v2/models/{model}/versions/{version}/infer", infer),
    Route(.GET, "/v2/models/{model}", modelMetadata),
    Route(.GET, "/v2/models/{model}/versions/{version}", modelMetadata),
    Route(.GET, "/v2/models/{model}/ready", modelReady),
    Route(.GET, "/v2/models/{model}/versions/{version}/ready", modelReady),
  ]

  /// Holds the number of bytes of the JSON part, where binary tensors follow it.
  static let headerLengthField = "inference-header-content-length"

  // MARK: Health and metadata

  private static func serverMetadata(_ exchange: Exchange) -> Answer {
    .response(
      .json { writer in
        writer.member("name", "ingot")
        writer.member("version", exchange.signature.serverVersion)
        writer.key("extensions")
        writer.array { $0.string("binary_tensor_data") }
      })
  }

  private static func live(_ exchange: Exchange) -> Answer { .response(.json { $0.member("live", true) }) }

  private static func ready(_ exchange: Exchange) -> Answer {
    let state = exchange.service.readiness.state
    return .response(
      .json(state == .ready ? .ok : .serviceUnavailable) { writer in
        writer.member("ready", state == .ready)
        if state != .ready { writer.member("error", "the server is \(state)") }
      })
  }

  private static func modelReady(_ exchange: Exchange) -> Answer {
    let state = exchange.service.readiness.state
    return .response(
      .json(state == .ready ? .ok : .serviceUnavailable) { writer in
        writer.member("name", exchange.signature.name)
        writer.member("ready", state == .ready)
        if state != .ready { writer.member("error", "the server is \(state)") }
      })
  }

  private static func modelMetadata(_ exchange: Exchange) -> Answer {
    let signature = exchange.signature
    return .response(
      .json { writer in
        writer.member("name", signature.name)
        writer.key("versions")
        writer.array { $0.string(signature.version) }
        writer.member("platform", ModelSignature.platform)
        for (key, ports) in [("inputs", signature.inputs), ("outputs", signature.outputs)] {
          writer.key(key)
          writer.array { writer in
            for port in ports {
              writer.object { writer in
                writer.member("name", port.name)
                writer.member("datatype", port.type.element.protocolName)
                writer.key("shape")
                writer.integers(port.type.shape.map { $0.constant ?? -1 })
                if let keys = port.keys {
                  writer.key("parameters")
                  writer.object { $0.mapKeys(keys) }
                }
              }
            }
          }
        }
      })
  }

  // MARK: Inference

  private static func infer(_ exchange: Exchange) throws(RequestError) -> Answer {
    let signature = exchange.signature
    let request = try OpenInferenceRequest(exchange.request, signature)
    return .inference(
      Inference(inputs: request.inputs) { (outputs) throws(RequestError) in
        reply(request, outputs, signature)
      })
  }

  private static func reply(_ request: OpenInferenceRequest, _ tensors: [Tensor], _ signature: ModelSignature) -> Response {
    var writer = JSONWriter()
    var binary: [[UInt8]] = []
    writer.object { writer in
      writer.member("model_name", signature.name)
      writer.member("model_version", signature.version)
      if let id = request.id { writer.member("id", id) }
      writer.key("outputs")
      writer.array { writer in
        for output in request.outputs where tensors.indices.contains(output.index) {
          let tensor = tensors[output.index]
          writer.object { writer in
            writer.member("name", signature.outputs[output.index].name)
            writer.member("datatype", tensor.element.protocolName)
            writer.key("shape")
            writer.integers(tensor.dimensions)
            let keys = signature.outputs[output.index].keys
            if output.isBinary {
              let bytes = tensor.element == .string ? BinaryStrings.encode(tensor) : tensor.withBytes { Array($0) }
              writer.key("parameters")
              writer.object { writer in
                writer.key("binary_data_size")
                writer.integer(bytes.count)
                if let keys { writer.mapKeys(keys) }
              }
              binary.append(bytes)
            } else {
              if let keys {
                writer.key("parameters")
                writer.object { $0.mapKeys(keys) }
              }
              writer.key("data")
              writer.flat(tensor)
            }
          }
        }
      }
    }
    guard !binary.isEmpty else { return .json(.ok, writer) }
    var body = writer.bytes
    let headerLength = body.count
    body.reserveCapacity(body.count + binary.reduce(0) { $0 + $1.count })
    for bytes in binary { body += bytes }
    return Response(
      status: .ok, contentType: "application/octet-stream",
      headers: [("Inference-Header-Content-Length", "\(headerLength)")], body: body)
  }
}
