import GraphIR
import TensorTypes

/// How many operands the operators of the standard take, and of which element types.
///
/// Generated from `onnx.defs.get_all_schemas_with_history()` of onnx 1.23: over all versions of an operator, so that a model is not
/// refused for a version number. Operators that are not listed are not checked.
enum OperatorSignatures {
  /// Throws if a call has more operands than its operator takes, or one of a type that no version of it knows.
  static func check(_ call: OperatorCall, domain: String, _ b: GraphBuilder) throws(CompileError) {
    guard let signature = table[domain.isEmpty ? call.name : "\(domain)::\(call.name)"] else { return }
    if let maximum = signature.maximum, let extra = call.inputs.indices.dropFirst(maximum).first(where: { call.inputs[$0] != nil }) {
      throw b.refusal("\(call.name) has an operand \(extra); it takes \(maximum == 0 ? "none" : "\(maximum) at most")", operands: call.inputs.compactMap { $0 })
    }
    guard let last = signature.kinds.last else { return }
    for (position, input) in call.inputs.enumerated() {
      guard let input else { continue }
      let kinds = signature.kinds.indices.contains(position) ? signature.kinds[position] : last
      guard kinds.contains("-") || holds(b.element(input), kinds) else {
        throw b.refusal("\(call.name) does not take \(b.element(input).name) as operand \(position)", operands: call.inputs.compactMap { $0 })
      }
    }
  }

  private struct Signature {
    /// nil for any number; the last kinds hold for all further operands then.
    var maximum: Int?
    var kinds: [Substring]
  }

  /// The letters: `r` floating point of 16 bits and more, `f` the float8 kinds, `e` f8e8m0, `q` f4e2m1, `i` signed and `u` unsigned
  /// integers of 8 bits and more, `w` i32 and i64, `l` i64, `y` i8 and u8, `n` integers of 4 and 2 bits, `b` bool, `s` string, `-` anything.
  private static func holds(_ element: ElementType, _ kinds: Substring) -> Bool {
    let letters: String =
      switch element {
      case .f32, .f64, .f16, .bf16: "r"
      case .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz: "f"
      case .f8e8m0: "e"
      case .f4e2m1: "q"
      case .i8: "iy"
      case .i16: "i"
      case .i32: "iw"
      case .i64: "iwl"
      case .u8: "uy"
      case .u16, .u32, .u64: "u"
      case .i4, .u4, .i2, .u2: "n"
      case .bool: "b"
      case .string: "s"
      }
    return letters.contains { kinds.contains($0) }
  }

  private static let table: [String: Signature] = {
    var table: [String: Signature] = [:]
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count >= 2 else { continue }
      table[String(words[0])] = Signature(maximum: Int(words[1]), kinds: Array(words.dropFirst(2)))
    }
    return table
  }()

  /// Name, most operands (`*` for any number), kinds of each operand.
  private static let text = """
    Abs 1 riu
    Acos 1 r
    Acosh 1 r
    Add 2 riu riu
    AffineGrid 2 r l
    And 2 b b
    ArgMax 1 riu
    ArgMin 1 riu
    Asin 1 r
    Asinh 1 r
    Atan 1 r
    Atanh 1 r
    Attention 7 r r r riub r r l
    AveragePool 1 r
    BatchNormalization 5 r r r r r
    Bernoulli 1 r
    BitCast 1 rfeqiunb
    BitShift 2 iu iu
    BitwiseAnd 2 iu iu
    BitwiseNot 1 iu
    BitwiseOr 2 iu iu
    BitwiseXor 2 iu iu
    BlackmanWindow 1 w
    Cast 1 rfeqiunbs
    CastLike 2 rfeqiunbs rfeqiunbs
    CausalConvWithState 4 r r r r
    Ceil 1 r
    Celu 1 r
    CenterCropPad 2 riubs w
    Clip 3 riu riu riu
    Col2Im 3 riubs l l
    Compress 2 riubs b
    Concat * riubs
    ConcatFromSequence 1 -
    Constant 0
    ConstantOfShape 1 l
    Conv 3 r r r
    ConvInteger 4 y y y y
    ConvTranspose 3 r r r
    Cos 1 r
    Cosh 1 r
    CumProd 2 riu w
    CumSum 2 riu w
    DFT 3 r w l
    DeformConv 5 r r r r r
    DepthToSpace 1 riubs
    DequantizeLinear 3 fqiun re fqiun
    Det 1 r
    Div 2 riu riu
    Dropout 3 rf rf b
    DynamicQuantizeLinear 1 r
    Einsum * riu
    Elu 1 r
    Equal 2 riubs riubs
    Erf 1 riu
    Exp 1 r
    Expand 2 riubs l
    EyeLike 1 riub
    Flatten 1 rfeqiunbs
    Floor 1 r
    GRU 6 r r r r w r
    Gather 2 riubs w
    GatherElements 2 riubs w
    GatherND 2 riubs l
    Gelu 1 r
    Gemm 3 riu riu riu
    GlobalAveragePool 1 r
    GlobalLpPool 1 r
    GlobalMaxPool 1 r
    Greater 2 riu riu
    GreaterOrEqual 2 riu riu
    GridSample 2 riubs r
    GroupNormalization 3 r r r
    HammingWindow 1 w
    HannWindow 1 w
    HardSigmoid 1 r
    HardSwish 1 r
    Hardmax 1 r
    Identity 1 -
    If 1 b
    ImageDecoder 1 u
    InstanceNormalization 3 r r r
    IsInf 1 rf
    IsNaN 1 rf
    LRN 1 r
    LSTM 8 r r r r w r r r
    LayerNormalization 3 r r r
    LeakyRelu 1 r
    Less 2 riu riu
    LessOrEqual 2 riu riu
    LinearAttention 6 r r r r r r
    Log 1 r
    LogSoftmax 1 r
    Loop * l b -
    LpNormalization 1 r
    LpPool 1 r
    MatMul 2 riu riu
    MatMulInteger 4 y y y y
    Max * riu
    MaxPool 1 ry
    MaxRoiPool 2 r r
    MaxUnpool 3 r l l
    Mean * r
    MeanVarianceNormalization 1 r
    MelWeightMatrix 5 w w w r r
    Min * riu
    Mish 1 r
    Mod 2 riu riu
    Mul 2 riu riu
    Multinomial 1 r
    Neg 1 ri
    NegativeLogLikelihoodLoss 3 r w r
    NonMaxSuppression 5 r r l r r
    NonZero 1 riubs
    Not 1 b
    OneHot 3 riu riu riubs
    Optional 1 -
    OptionalGetElement 1 -
    OptionalHasElement 1 -
    Or 2 b b
    PRelu 2 riu riu
    Pad 4 rfeqiunbs l rfeqiunbs w
    Pow 2 rw riu
    QLinearConv 9 y r y y r y r y w
    QLinearMatMul 8 fy r fy fy r fy r fy
    QuantizeLinear 3 rw rew fqiun
    RMSNormalization 2 r r
    RNN 6 r r r r w r
    RandomNormal 0
    RandomNormalLike 1 riubs
    RandomUniform 0
    RandomUniformLike 1 riubs
    Range 3 ri ri ri
    Reciprocal 1 r
    ReduceL1 2 riu l
    ReduceL2 2 riu l
    ReduceLogSum 2 riu l
    ReduceLogSumExp 2 riu l
    ReduceMax 2 riub l
    ReduceMean 2 riu l
    ReduceMin 2 riub l
    ReduceProd 2 riu l
    ReduceSum 2 riu l
    ReduceSumSquare 2 riu l
    RegexFullMatch 1 s
    Relu 1 ri
    Reshape 2 rfeqiunbs l
    Resize 4 riubs r r l
    ReverseSequence 2 riubs l
    RoiAlign 3 r r l
    RotaryEmbedding 4 r r r l
    Round 1 r
    STFT 4 r w r w
    Scan * rfeqiunbs riubs
    Scatter 3 riubs w riubs
    ScatterElements 3 riubs w riubs
    ScatterND 3 riubs l riubs
    Selu 1 r
    SequenceAt 2 - w
    SequenceConstruct * riubs
    SequenceEmpty 0
    SequenceErase 2 - w
    SequenceInsert 3 - riubs w
    SequenceLength 1 -
    SequenceMap * - -
    Shape 1 rfeqiunbs
    Shrink 1 riu
    Sigmoid 1 r
    Sign 1 riu
    Sin 1 r
    Sinh 1 r
    Size 1 rfeqiunbs
    Slice 5 riubs w w w w
    Softmax 1 r
    SoftmaxCrossEntropyLoss 3 r w r
    Softplus 1 r
    Softsign 1 r
    SpaceToDepth 1 riubs
    Split 2 riubs rl
    SplitToSequence 2 riubs w
    Sqrt 1 r
    Squeeze 2 rfeqiunbs l
    StringConcat 2 s s
    StringNormalizer 1 s
    StringSplit 1 s
    Sub 2 riu riu
    Sum * r
    Swish 1 r
    Tan 1 r
    Tanh 1 r
    TensorScatter 3 rfeqiunbs rfeqiunbs l
    TfIdfVectorizer 1 ws
    ThresholdedRelu 1 r
    Tile 3 riubs rl r
    TopK 2 riu l
    Transpose 1 rfeqiunbs
    Trilu 2 riubs l
    Unique 1 riubs
    Unsqueeze 2 rfeqiunbs l
    Upsample 2 riubs r
    Where 3 b riubs riubs
    Xor 2 b b
    ai.onnx.ml::ArrayFeatureExtractor 2 rws l
    ai.onnx.ml::Binarizer 1 rw
    ai.onnx.ml::CastMap 1 -
    ai.onnx.ml::CategoryMapper 1 ls
    ai.onnx.ml::DictVectorizer 1 -
    ai.onnx.ml::FeatureVectorizer * rw
    ai.onnx.ml::Imputer 1 rw
    ai.onnx.ml::LabelEncoder 1 ris
    ai.onnx.ml::LinearClassifier 1 rw
    ai.onnx.ml::LinearRegressor 1 rw
    ai.onnx.ml::Normalizer 1 rw
    ai.onnx.ml::OneHotEncoder 1 rws
    ai.onnx.ml::SVMClassifier 1 rw
    ai.onnx.ml::SVMRegressor 1 rw
    ai.onnx.ml::Scaler 1 rw
    ai.onnx.ml::TreeEnsemble 1 r
    ai.onnx.ml::TreeEnsembleClassifier 1 rw
    ai.onnx.ml::TreeEnsembleRegressor 1 rw
    ai.onnx.ml::ZipMap 1 r
    """
}
