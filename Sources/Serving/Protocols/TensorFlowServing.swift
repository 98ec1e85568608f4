import TensorTypes

/// TensorFlow Serving's REST API, version 1: predict, model status and metadata.
///
/// Numbers `NaN`, `Infinity` and `-Infinity` are read and written as TensorFlow Serving does. `classify`,
/// `regress` and labels have no meaning here. Strings may come as text or in the base64 form of bytes.
/// Source: https://www.tensorflow.org/tfx/serving/api_rest
enum TensorFlowServing {
  static let routes = [
    Route(.POST, "/v1/models/{model}:predict", predict),
    Route(.POST, "/v1/models/{model}/versions/{version}:predict", predict),
    Route(.GET, "/v1/models/{model}", status),
    Route(.GET, "/v1/models/{model}/versions/{version}", status),
    Route(.GET, "/v1/models/{model}/metadata", metadata),
    Route(.GET, "/v1/models/{model}/versions/{version}/metadata", metadata),
  ]

  private static let signatureName = "serving_default"

  // MARK: Predict

  private static func predict(_ exchange: Exchange) throws(RequestError) -> Answer {
    let signature = exchange.signature
    let request = try TensorRows.withScanner(of: exchange.request) { (scanner) throws(RequestError) in
      var found: TensorRows?
      try scanner.object { (key, scanner) throws(RequestError) in
        switch key {
        case "instances", "inputs":
          guard found == nil else { throw .malformed("send \"instances\" or \"inputs\", once") }
          found =
            key == "instances"
            ? try TensorRows.rows(&scanner, signature, field: key) : try TensorRows.columns(&scanner, signature)
        case "signature_name":
          let name = try scanner.string()
          guard name == signatureName || name.isEmpty else { throw .invalid("unknown signature \(name.quoted); the model has \"\(signatureName)\"") }
        default: try scanner.skipValue()
        }
      }
      guard let found else { throw .malformed("missing field \"instances\" (a list of examples) or \"inputs\" (whole tensors)") }
      return found
    }
    return .inference(
      Inference(inputs: request.inputs) { (outputs) throws(RequestError) in
        if request.rowCount != nil, !request.hasRows(outputs) {
          throw .shape("the outputs do not have one item per example; send \"inputs\" instead of \"instances\"")
        }
        var writer = JSONWriter()
        writer.object { writer in
          writer.key(request.rowCount == nil ? "outputs" : "predictions")
          request.write(outputs, signature, &writer)
        }
        return .json(.ok, writer)
      })
  }

  // MARK: Status and metadata

  private static func status(_ exchange: Exchange) -> Answer {
    let state =
      switch exchange.service.readiness.state {
      case .starting: "LOADING"
      case .ready: "AVAILABLE"
      case .draining: "UNLOADING"
      }
    return .response(
      .json { writer in
        writer.key("model_version_status")
        writer.array { writer in
          writer.object { writer in
            writer.member("version", exchange.signature.version)
            writer.member("state", state)
            writer.key("status")
            writer.object { writer in
              writer.member("error_code", "OK")
              writer.member("error_message", "")
            }
          }
        }
      })
  }

  private static func metadata(_ exchange: Exchange) -> Answer {
    let signature = exchange.signature
    return .response(
      .json { writer in
        writer.key("model_spec")
        writer.object { writer in
          writer.member("name", signature.name)
          writer.member("signature_name", "")
          writer.member("version", signature.version)
        }
        writer.key("metadata")
        writer.object { writer in
          writer.key("signature_def")
          writer.object { writer in
            writer.key("signature_def")
            writer.object { writer in
              writer.key(signatureName)
              writer.object { writer in
                ports("inputs", signature.inputs, &writer)
                ports("outputs", signature.outputs, &writer)
                writer.member("method_name", "tensorflow/serving/predict")
              }
            }
          }
        }
      })
  }

  private static func ports(_ key: String, _ ports: [ModelSignature.Port], _ writer: inout JSONWriter) {
    writer.key(key)
    writer.object { writer in
      for port in ports {
        writer.key(port.name)
        writer.object { writer in
          writer.member("dtype", port.type.element.tensorFlowName)
          writer.key("tensor_shape")
          writer.object { writer in
            writer.key("dim")
            writer.array { writer in
              for extent in port.type.shape {
                writer.object { writer in
                  writer.member("size", "\(extent.constant ?? -1)")
                  writer.member("name", extent.isConstant ? "" : "\(extent)")
                }
              }
            }
            writer.member("unknown_rank", false)
          }
          writer.member("name", port.name)
        }
      }
    }
  }
}
