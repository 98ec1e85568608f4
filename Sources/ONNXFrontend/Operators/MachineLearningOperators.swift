import GraphIR
import TensorTypes

/// Classical machine learning (`ai.onnx.ml`), as far as it works on numbers.
enum MachineLearningOperators {
  static let table: [String: OperatorImporter] = [
    "ai.onnx.ml::TreeEnsembleClassifier": treeClassifier, "ai.onnx.ml::TreeEnsembleRegressor": treeRegressor,
    "ai.onnx.ml::LinearClassifier": linearClassifier, "ai.onnx.ml::LinearRegressor": linearRegressor, "ai.onnx.ml::SVMClassifier": vectorClassifier,
    "ai.onnx.ml::Scaler": scaler, "ai.onnx.ml::Normalizer": normalizer, "ai.onnx.ml::ArrayFeatureExtractor": featureExtractor,
    "ai.onnx.ml::Imputer": imputer,
    "ai.onnx.ml::Binarizer": { call, b throws(CompileError) in
      let x = try call.input(0)
      return [try b.convert(b.compare(.greater, x, call.number("threshold", default: 0)), to: b.element(x))]
    },
    "ai.onnx.ml::FeatureVectorizer": { call, b throws(CompileError) in
      var parts: [ValueID] = []
      for value in try call.allInputs() { parts.append(try matrix(value, &b)) }
      return [try b.concatenate(parts, axis: 1)]
    },
  ]

  /// Rows of f32, or of f64 where the data is.
  private static func matrix(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let numbers = try b.convert(x, to: b.element(x) == .f64 ? .f64 : .f32)
    if b.rank(numbers) == 1 { return try b.unsqueeze(numbers, axis: 0) }
    guard b.rank(numbers) == 2 else { throw b.refusal("a matrix is needed", operands: [x]) }
    return numbers
  }

  // MARK: Results of classifiers

  private enum Transform: String, CaseIterable { case none = "NONE", softmax = "SOFTMAX", logistic = "LOGISTIC", softmaxZero = "SOFTMAX_ZERO", probit = "PROBIT" }

  private static func transformed(_ scores: ValueID, _ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    switch try call.word("post_transform", default: Transform.none) {
    case .none: return scores
    case .softmax: return try NormalizationOperators.softmax(scores, axis: 1, &b)
    case .logistic: return try b.unary(.logistic, scores)
    case .softmaxZero: return try b.select(b.compare(.equal, scores, 0), scores, NormalizationOperators.softmax(scores, axis: 1, &b))
    case .probit: throw b.unsupported("\(call.name) with the transform PROBIT is not supported yet")
    }
  }

  /// The labels of the columns with the largest score.
  private static func best(_ scores: ValueID, _ labels: ClassLabels, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    try labels.named(b.add(ArgReduce(.max, axis: 1), scores), &b)
  }

  /// The result of a classifier with one score [rows, 1] for two classes.
  private static func binary(
    _ score: ValueID, above threshold: Double, _ labels: ClassLabels, isProbability: Bool, _ call: OperatorCall, _ b: inout GraphBuilder
  ) throws(CompileError) -> [ValueID] {
    let isSecond = try b.reshape(b.compare(.greater, score, threshold), to: [b.shape(score)[0]])
    let label = try labels.chosen(isSecond, &b)
    let other: ValueID, own: ValueID
    if try call.word("post_transform", default: Transform.none) == .logistic {
      (other, own) = (try b.unary(.logistic, b.unary(.negate, score)), try b.unary(.logistic, score))
    } else if isProbability {
      (other, own) = (try b.binary(.subtract, b.scalar(1, like: score), score), score)
    } else {
      (other, own) = (try b.unary(.negate, score), score)
    }
    return [label, try b.concatenate([other, own], axis: 1)]
  }

  // MARK: Trees

  private static func base(_ call: OperatorCall, _ scores: ValueID, targets: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let values = try TreeEnsemble.numbers(call, "base_values")
    if values.isEmpty { return scores }
    guard values.count == targets || values.count == 1 else { throw call.refusal("\(call.name) has \(values.count) base values for \(targets) targets") }
    return try b.binary(.add, scores, b.constant(Tensor(b.element(scores), [values.count], values)))
  }

  private static func treeRegressor(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try matrix(call.input(0), &b)
    let trees = try TreeEnsemble(call, element: b.element(x))
    let targets = try call.integer("n_targets", default: 1)
    let table = try trees.table(call, prefix: "target", targets: targets)
    let aggregate = try call.string("aggregate_function", default: "SUM")
    let scores = try trees.scores(trees.leaves(x, &b), table: table, targets: targets, .f32, aggregate: aggregate, &b)
    return [try transformed(base(call, scores, targets: targets, &b), call, &b)]
  }

  private static func treeClassifier(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try matrix(call.input(0), &b)
    let trees = try TreeEnsemble(call, element: b.element(x))
    let labels = try ClassLabels(call, integers: "classlabels_int64s")
    let table = try trees.table(call, prefix: "class", targets: labels.count)
    let leaves = try trees.leaves(x, &b)
    let used = Set(try call.integers("class_ids") ?? [])
    if labels.count == 2, used.count == 1, let column = used.first {
      // One score for two classes, whatever column it is written to.
      let single = stride(from: column, to: table.count, by: 2).map { table[$0] }
      let score = try base(call, trees.scores(leaves, table: single, targets: 1, .f32, aggregate: "SUM", &b), targets: 1, &b)
      let isPositive = try TreeEnsemble.numbers(call, "class_weights").allSatisfy { $0 >= 0 }
      return try binary(score, above: isPositive ? 0.5 : 0, labels, isProbability: isPositive, call, &b)
    }
    let scores = try base(call, trees.scores(leaves, table: table, targets: labels.count, .f32, aggregate: "SUM", &b), targets: labels.count, &b)
    return [try best(scores, labels, &b), try transformed(scores, call, &b)]
  }

  // MARK: Linear models

  private static func linear(_ call: OperatorCall, rows: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let x = try matrix(call.input(0), &b)
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
    [try transformed(linear(call, rows: call.integer("targets", default: 1), &b), call, &b)]
  }

  private static func linearClassifier(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let labels = try ClassLabels(call, integers: "classlabels_ints")
    let rows = max(1, try call.numbers("intercepts")?.count ?? labels.count)
    let scores = try linear(call, rows: rows, &b)
    if rows == 1, labels.count == 2 { return try binary(scores, above: 0, labels, isProbability: true, call, &b) }
    guard rows == labels.count else { throw call.refusal("LinearClassifier has \(rows) rows for \(labels.count) labels") }
    return [try best(scores, labels, &b), try transformed(scores, call, &b)]
  }

  // MARK: Support vectors

  /// One vote between every two classes; the second result is the score of each vote.
  private static func vectorClassifier(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try matrix(call.input(0), &b)
    let labels = try ClassLabels(call, integers: "classlabels_ints")
    let counts = try call.integers("vectors_per_class") ?? []
    let (vectors, coefficients, rho) = (try call.numbers("support_vectors") ?? [], try call.numbers("coefficients") ?? [], try call.numbers("rho") ?? [])
    let classes = labels.count
    let isTrained = try call.numbers("prob_a")?.isEmpty ?? true
    guard classes > 2, isTrained else { throw call.unsupported("SVMClassifier of this kind is not supported yet", hint: "supported are three or more classes without probabilities") }
    guard counts.count == classes, counts.allSatisfy({ $0 >= 0 && $0 < 1 << 24 }) else { throw call.refusal("SVMClassifier has \(counts.count) counts for \(classes) classes") }
    let total = counts.reduce(0, +)
    let pairs = classes * (classes - 1) / 2
    guard total >= 1, vectors.count % total == 0, coefficients.count == total * (classes - 1), rho.count >= pairs, classes <= 4096,
      let size = elementCount(of: [total, pairs]), size <= 1 << 26
    else { throw call.refusal("SVMClassifier has \(vectors.count) numbers for \(total) vectors and \(coefficients.count) coefficients") }
    let element = b.element(x)
    let kernel = try self.kernel(call, x, b.constant(Tensor(element, [total, vectors.count / total], vectors)), &b)
    // One column for each pair: the first class's vectors with their coefficients against the second, and the reverse.
    var starts = [0]
    for count in counts { starts.append(starts[starts.count - 1] + count) }
    var (matrix, votes) = ([Double](repeating: 0, count: size), [(Int, Int)]())
    for first in 0..<classes {
      for second in first + 1..<classes {
        for vector in starts[first]..<starts[first + 1] { matrix[vector * pairs + votes.count] = coefficients[(second - 1) * total + vector] }
        for vector in starts[second]..<starts[second + 1] { matrix[vector * pairs + votes.count] = coefficients[first * total + vector] }
        votes.append((first, second))
      }
    }
    let product = try b.add(Dot(), kernel, b.constant(Tensor(element, [total, pairs], matrix)))
    let scores = try b.binary(.add, product, b.constant(Tensor(element, [pairs], Array(rho.prefix(pairs)))))
    // Votes as a product: a win counts for the first class of the pair, anything else for the second.
    var (won, lost) = ([Double](repeating: 0, count: pairs * classes), [Double](repeating: 0, count: pairs * classes))
    for (pair, (first, second)) in votes.enumerated() { (won[pair * classes + first], lost[pair * classes + second]) = (1, 1) }
    let wins = try b.convert(b.compare(.greater, scores, 0), to: element)
    let losses = try b.binary(.subtract, b.scalar(1, like: wins), wins)
    let tally = try b.binary(
      .add, b.add(Dot(), wins, b.constant(Tensor(element, [pairs, classes], won))), b.add(Dot(), losses, b.constant(Tensor(element, [pairs, classes], lost))))
    return [try best(tally, labels, &b), try transformed(scores, call, &b)]
  }

  /// The kernel of every row with every support vector.
  private static func kernel(_ call: OperatorCall, _ x: ValueID, _ vectors: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    enum Kind: String, CaseIterable { case linear = "LINEAR", polynomial = "POLY", radial = "RBF", sigmoid = "SIGMOID" }
    let parameters = try call.numbers("kernel_params") ?? []
    let (gamma, offset, degree) = parameters.count >= 3 ? (parameters[0], parameters[1], parameters[2]) : (0, 0, 0)
    let kind = try call.word("kernel_type", default: Kind.linear)
    if kind == .radial {
      let (rows, others) = (try b.unsqueeze(x, axis: 1), try b.unsqueeze(vectors, axis: 0))
      let difference = try b.binary(.subtract, rows, others)
      let distance = try b.reduce(.sum, b.binary(.multiply, difference, difference), axes: [2], keepsAxes: false)
      return try b.unary(.exponential, b.binary(.multiply, distance, -gamma))
    }
    let product = try MatrixOperators.product(x, b.transpose(vectors, [1, 0]), &b)
    if kind == .linear { return product }
    let line = try b.binary(.add, b.binary(.multiply, product, gamma), offset)
    return kind == .sigmoid ? try b.unary(.hyperbolicTangent, line) : try b.binary(.power, line, degree)
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
