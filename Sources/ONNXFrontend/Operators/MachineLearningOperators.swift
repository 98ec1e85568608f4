import GraphIR
import TensorTypes

/// Classical machine learning (`ai.onnx.ml`), as far as it works on numbers.
enum MachineLearningOperators {
  static let table: [String: OperatorImporter] = [
    "ai.onnx.ml::LinearClassifier": linearClassifier, "ai.onnx.ml::LinearRegressor": linearRegressor,
    "ai.onnx.ml::Scaler": scaler, "ai.onnx.ml::Normalizer": normalizer, "ai.onnx.ml::ArrayFeatureExtractor": featureExtractor,
    "ai.onnx.ml::Imputer": imputer,
    "ai.onnx.ml::Binarizer": { call, b throws(CompileError) in
      let x = try call.input(0)
      return [try b.convert(b.compare(.greater, x, call.number("threshold", default: 0)), to: b.element(x))]
    },
    "ai.onnx.ml::FeatureVectorizer": { call, b throws(CompileError) in
      let sizes = try call.integers("inputdimensions") ?? []
      var parts: [ValueID] = []
      for (position, value) in try call.allInputs().enumerated() {
        let part = try b.convert(FeatureMatrix.rows(value, &b), to: .f32)
        // A part of another width than announced is cut, or filled up with zeros.
        guard sizes.indices.contains(position), let width = b.shape(part)[1].constant, width != sizes[position], sizes[position] >= 0 else {
          parts.append(part)
          continue
        }
        let kept = try b.slice(part, axis: 1, start: 0, size: Extent(min(width, sizes[position])))
        parts.append(try b.pad(kept, low: [0, 0], high: [0, Extent(max(0, sizes[position] - width))], value: 0))
      }
      return [try b.concatenate(parts, axis: 1)]
    },
  ]

  // MARK: Linear models

  private static func linear(_ call: OperatorCall, rows: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let x = try b.convert(FeatureMatrix.rows(call.input(0), &b), to: .f32)
    let coefficients = try call.numbers("coefficients") ?? []
    guard rows >= 1, !coefficients.isEmpty, coefficients.count % rows == 0 else { throw call.refusal("\(call.name) has \(coefficients.count) coefficients for \(rows) targets") }
    let weights = try b.constant(Tensor(b.element(x), [rows, coefficients.count / rows], coefficients))
    let product = try MatrixOperators.product(x, b.transpose(weights, [1, 0]), &b)
    let intercepts = try call.numbers("intercepts") ?? []
    if intercepts.isEmpty { return product }
    guard intercepts.count == rows else { throw call.refusal("\(call.name) has \(intercepts.count) intercepts for \(rows) targets") }
    return try b.binary(.add, product, b.constant(Tensor(b.element(x), [rows], intercepts)))
  }

  private static func linearRegressor(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    [try ClassScores.transformedTargets(linear(call, rows: call.integer("targets", default: 1), &b), call.word("post_transform", default: .none), &b)]
  }

  private static func linearClassifier(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let labels = try ClassLabels(call, integers: "classlabels_ints")
    let transform = try call.word("post_transform", default: ClassScores.Transform.none)
    let rows = max(1, try call.numbers("intercepts")?.count ?? labels.count)
    let scores = try linear(call, rows: rows, &b)
    if rows == 1, labels.count == 2 { return try linearBinary(scores, labels, transform, &b) }
    guard rows == labels.count else { throw call.refusal("LinearClassifier has \(rows) rows for \(labels.count) labels") }
    return [try labels.best(scores, &b), try ClassScores.transformed(scores, transform, &b)]
  }

  /// One score for two classes: the second is chosen above 0.
  private static func linearBinary(
    _ score: ValueID, _ labels: ClassLabels, _ transform: ClassScores.Transform, _ b: inout GraphBuilder
  ) throws(CompileError) -> [ValueID] {
    let isSecond = try b.reshape(b.compare(.greater, score, 0), to: [b.shape(score)[0]])
    let own = transform == .logistic ? try b.unary(.logistic, score) : score
    return [try labels.chosen(isSecond, &b), try b.concatenate([b.binary(.subtract, b.scalar(1, like: own), own), own], axis: 1)]
  }

  // MARK: Preparation of data

  private static func scaler(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var x = try call.input(0)
    let element: ElementType = b.element(x) == .f64 ? .f64 : .f32
    x = try b.convert(x, to: element)
    if let offset = try call.numbers("offset"), !offset.isEmpty { x = try b.binary(.subtract, x, b.constant(Tensor(element, [offset.count], offset))) }
    if let scale = try call.numbers("scale"), !scale.isEmpty { x = try b.binary(.multiply, x, b.constant(Tensor(element, [scale.count], scale))) }
    return [try b.convert(x, to: .f32)]
  }

  private static func normalizer(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    enum Norm: String, CaseIterable { case max = "MAX", sum = "L1", euclidean = "L2" }
    let x = try b.convert(call.input(0), to: .f32)
    guard b.rank(x) >= 1 else { throw b.refusal("Normalizer of a scalar", operands: [x]) }
    let axis = b.rank(x) - 1
    let norm: ValueID
    switch try call.word("norm", default: Norm.max) {
    case .max: norm = try b.reduce(.maximum, x, axes: [axis], keepsAxes: true)
    case .sum: norm = try b.reduce(.sum, b.unary(.absolute, x), axes: [axis], keepsAxes: true)
    case .euclidean: norm = try b.unary(.squareRoot, b.reduce(.sum, b.binary(.multiply, x, x), axes: [axis], keepsAxes: true))
    }
    return [try b.binary(.divide, x, b.select(b.compare(.equal, norm, 0), b.scalar(1, .f32), norm))]
  }

  private static func featureExtractor(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var x = try call.input(0)
    if b.rank(x) == 1 { x = try b.unsqueeze(x, axis: 0) }
    guard b.rank(x) >= 1 else { throw b.refusal("ArrayFeatureExtractor of a scalar", operands: [x]) }
    let given = try b.convert(call.input(1), to: .i64)
    let indices = try b.reshape(given, to: [b.shape(given).elementCount])
    let axis = b.rank(x) - 1
    if let known = b.contents(indices) ?? b.contents(given), known.elements.count == 1, let position = known.elements[0].integer {
      guard position >= 0, b.shape(x)[axis].constant.map({ position < $0 }) ?? true else { throw b.refusal("feature \(position)", operands: [x]) }
      return [try b.slice(x, axis: axis, start: Extent(position), size: 1)]
    }
    return [try b.add(Gather(axis: axis), x, indices)]
  }

  private static func imputer(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let element = b.element(x)
    var values = try call.numbers("imputed_value_floats") ?? []
    if let integers = try call.integers("imputed_value_int64s") { values = integers.map(Double.init) }
    guard !values.isEmpty else { throw call.refusal("Imputer has no values") }
    let replaced = element.isFloatingPoint ? try call.number("replaced_value_float", default: 0) : Double(try call.integer("replaced_value_int64", default: 0))
    let isMissing = replaced.isNaN ? try b.unary(.isNaN, x) : try b.compare(.equal, x, replaced)
    return [try b.select(isMissing, b.constant(Tensor(element, values.count == 1 ? [] : [values.count], values)), x)]
  }
}
