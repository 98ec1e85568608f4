/// What a user can do about an operator that cannot be imported.
public struct SupportAdvice: Sendable, Hashable {
  /// The nearest thing that can be imported, or nil.
  public var nearest: String?
  /// What to tell the exporter, or to change in the model, or nil.
  public var remedy: String?

  /// - Parameter name: As in `NodeOrigin.operatorName`: `ImageDecoder`, `com.microsoft::FusedMatMul`.
  public init(operator name: String) {
    let parts = name.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: true)
    let domain = name.contains("::") ? String(parts.first ?? "") : ""
    let own = name.contains("::") ? String(parts.last?.drop { $0 == ":" } ?? "") : name
    if let known = Self.known[own], domain.isEmpty {
      (nearest, remedy) = known
      return
    }
    let isStandard = OperatorTable.importer(domain: "", name: own) != nil || ModelImporter.structural.contains(own)
    switch domain {
    case "": nearest = isStandard ? nil : Self.similar(to: own).map { "an operator of a similar name is supported: \($0)" }
    case "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc":
      nearest = isStandard ? "the standard's own \(own)" : Self.contributed[own]
      remedy = "it is ONNX Runtime's own: export without its optimizer (no `optimize_model`, SessionOptions.graph_optimization_level = ORT_DISABLE_ALL), or with `--opset 17` and newer, where the standard has most of them"
    case "org.pytorch.aten", "aten", "prim", "onnxscript", "pkg.onnxscript.torch_lib":
      remedy = "torch.onnx.export(..., operator_export_type=torch.onnx.OperatorExportTypes.ONNX), or with dynamo=True, which writes such calls as functions"
    case "ai.onnx.ml":
      nearest = Self.similar(to: own, in: domain).map { "an operator of a similar name is supported: \($0)" }
      remedy = "skl2onnx: options={'zipmap': False} leaves dictionaries out; onnxmltools writes trees as TreeEnsemble"
    case "ai.onnx.preview.training", "ai.onnx.training":
      remedy = "training operators: export the model for inference (model.eval(), training=torch.onnx.TrainingMode.EVAL)"
    default:
      nearest = isStandard ? "the standard's own \(own)" : nil
      remedy = "an operator of one's own can be given as a function of the model (onnx.helper.make_function, or @onnxscript.script): its body is compiled"
    }
  }

  /// For the hint of an error; nil if there is nothing to say.
  public var text: String? {
    let parts = [nearest, remedy].compactMap { $0 }
    return parts.isEmpty ? nil : parts.joined(separator: "; ")
  }

  private static let known: [String: (String?, String?)] = [
    "ImageDecoder": ("pictures as tensors: `ingot run --input image=cat.jpg` decodes, resizes and scales them", "export the model from behind the decoder on"),
    "Gradient": ("models without a training step", "export the model for inference (model.eval())"),
    "GraphCall": ("functions of the model", nil),
    "Bernoulli": ("RandomUniformLike and Less", nil),
    "ATen": (nil, "torch.onnx.export(..., operator_export_type=torch.onnx.OperatorExportTypes.ONNX)"),
    "PythonOp": (nil, "torch.autograd.Function needs a `symbolic` method to be exported as operators of the standard"),
    "Unsqueeze": (nil, "torch.onnx.export(..., do_constant_folding=True) writes axes as constants"),
    "Squeeze": (nil, "torch.onnx.export(..., do_constant_folding=True) writes axes as constants"),
    "NonMaxSuppression": (nil, "export the detector without its last step (ultralytics: nms=False), or with a fixed number of boxes"),
    "Loop": ("loops whose number of steps follows from shapes", "torch.onnx.export of a traced module (not torch.jit.script) unrolls loops"),
    "If": ("conditions that follow from shapes", "torch.onnx.export of a traced module (not torch.jit.script) keeps one branch"),
  ]

  private static let contributed: [String: String] = [
    "FusedMatMul": "MatMul with Transpose", "FusedConv": "Conv and an activation", "FusedGemm": "Gemm and an activation", "BiasGelu": "Add and Gelu", "FastGelu": "Gelu (approximate=tanh)",
    "SkipLayerNormalization": "Add and LayerNormalization", "SimplifiedLayerNormalization": "RMSNormalization (opset 23)", "SkipSimplifiedLayerNormalization": "Add and RMSNormalization",
    "EmbedLayerNormalization": "Gather, Add and LayerNormalization", "Attention": "Attention (opset 23)", "MultiHeadAttention": "Attention (opset 23)",
    "GroupQueryAttention": "Attention (opset 23)", "RotaryEmbedding": "RotaryEmbedding (opset 23)", "QLinearAdd": "DequantizeLinear, Add, QuantizeLinear",
    "QLinearMul": "DequantizeLinear, Mul, QuantizeLinear", "QLinearSigmoid": "DequantizeLinear, Sigmoid, QuantizeLinear", "QGemm": "QLinearMatMul",
    "MatMulNBits": "DequantizeLinear (blocked, opset 21) and MatMul", "DynamicQuantizeMatMul": "DynamicQuantizeLinear and MatMulInteger", "MatMulIntegerToFloat": "MatMulInteger, Cast and Mul",
  ]

  /// The imported operator whose name differs in the fewest letters, if those are few.
  private static func similar(to name: String, in domain: String = "") -> String? {
    let prefix = domain.isEmpty ? "" : domain + "::"
    guard name.utf8.count <= 64 else { return nil }
    let candidates = OperatorTable.names.filter { domain.isEmpty ? !$0.contains(":") : $0.hasPrefix(prefix) }.map { String($0.dropFirst(prefix.utf8.count)) }
    let best = candidates.map { ($0, distance(name, $0)) }.min { ($0.1, $0.0) < ($1.1, $1.0) }
    guard let best, best.1 <= max(1, name.utf8.count / 4) else { return nil }
    return best.0
  }

  /// Letters to insert, remove or change to make one word of the other.
  private static func distance(_ a: String, _ b: String) -> Int {
    let (a, b) = (Array(a.lowercased().utf8), Array(b.lowercased().utf8))
    var row = Array(0...b.count)
    for (i, x) in a.enumerated() {
      var diagonal = row[0]
      row[0] = i + 1
      for (j, y) in b.enumerated() {
        let changed = diagonal + (x == y ? 0 : 1)
        diagonal = row[j + 1]
        row[j + 1] = min(changed, row[j + 1] + 1, row[j] + 1)
      }
    }
    return row[b.count]
  }
}
