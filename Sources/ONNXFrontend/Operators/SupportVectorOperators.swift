import GraphIR
import TensorTypes

/// Support vector machines: kernels of every row with every support vector, and products of those with constants.
enum SupportVectorOperators {
  static let table: [String: OperatorImporter] = ["ai.onnx.ml::SVMClassifier": classifier, "ai.onnx.ml::SVMRegressor": regressor]

  // MARK: Kernels

  private enum Kind: String, CaseIterable { case linear = "LINEAR", polynomial = "POLY", radial = "RBF", sigmoid = "SIGMOID" }

  /// The kernel of every row of `x` with every row of `vectors`.
  private static func kernel(_ call: OperatorCall, _ x: ValueID, _ vectors: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let parameters = try call.numbers("kernel_params") ?? []
    let (gamma, offset, degree) = parameters.count >= 3 ? (parameters[0], parameters[1], parameters[2]) : (0, 0, 0)
    let kind = try call.word("kernel_type", default: Kind.linear)
    if kind == .radial {
      let difference = try b.binary(.subtract, b.unsqueeze(x, axis: 1), b.unsqueeze(vectors, axis: 0))
      let distance = try b.reduce(.sum, b.binary(.multiply, difference, difference), axes: [2], keepsAxes: false)
      return try b.unary(.exponential, b.binary(.multiply, distance, -gamma))
    }
    let product = try MatrixOperators.product(x, b.transpose(vectors, [1, 0]), &b)
    if kind == .linear { return product }
    let line = try b.binary(.add, b.binary(.multiply, product, gamma), offset)
    return kind == .sigmoid ? try b.unary(.hyperbolicTangent, line) : try b.binary(.power, line, degree)
  }

  /// Rows of f32; sums are f32 whatever the features are.
  private static func rows(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    try b.convert(FeatureMatrix.rows(call.input(0), &b), to: .f32)
  }

  /// A list of numbers as a matrix of so many rows.
  private static func matrix(_ call: OperatorCall, _ name: String, _ values: [Double], rows: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard rows >= 1, !values.isEmpty, values.count % rows == 0 else { throw call.refusal("\(call.name) has \(values.count) `\(name)` for \(rows) rows") }
    return try b.constant(Tensor(.f32, [rows, values.count / rows], values))
  }

  // MARK: Regression

  private static func regressor(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try rows(call, &b)
    let count = try call.integer("n_supports", default: 0)
    let (coefficients, rho) = (try call.numbers("coefficients") ?? [], try call.numbers("rho") ?? [])
    guard !rho.isEmpty, count >= 0, count <= 1 << 24 else { throw call.refusal("SVMRegressor has \(count) support vectors and \(rho.count) `rho`") }
    let features: ValueID
    if count > 0 {
      guard coefficients.count == count else { throw call.refusal("SVMRegressor has \(coefficients.count) coefficients for \(count) support vectors") }
      features = try kernel(call, x, matrix(call, "support_vectors", call.numbers("support_vectors") ?? [], rows: count, &b), &b)
    } else {
      features = x
    }
    let sums = try MatrixOperators.product(features, b.transpose(matrix(call, "coefficients", coefficients, rows: 1, &b), [1, 0]), &b)
    let scores = try b.binary(.add, sums, rho[0])
    if try call.flag("one_class") { return [try b.select(b.compare(.greater, scores, 0), b.scalar(1, .f32), b.scalar(-1, .f32))] }
    return [try ClassScores.transformed(scores, call.word("post_transform", default: .none), &b)]
  }

  // MARK: Classification

  private static func classifier(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try rows(call, &b)
    let labels = try ClassLabels(call, integers: "classlabels_ints")
    let counts = try call.integers("vectors_per_class") ?? []
    guard counts.allSatisfy({ $0 >= 0 && $0 < 1 << 24 }), labels.count <= 4096 else { throw call.refusal("SVMClassifier with \(labels.count) classes") }
    let total = counts.reduce(0, +)
    let transform = try call.word("post_transform", default: ClassScores.Transform.none)
    if total == 0 { return try linear(call, x, labels, transform, &b) }
    guard counts.count == labels.count else { throw call.refusal("SVMClassifier has \(counts.count) counts for \(labels.count) classes") }
    let pairs = try Pairs(call, classes: labels.count)
    let vectors = try matrix(call, "support_vectors", call.numbers("support_vectors") ?? [], rows: total, &b)
    let scores = try pairs.scores(kernel(call, x, vectors, &b), call, counts, &b)
    let label = try labels.best(pairs.votes(scores, &b), &b)
    let slopes = try call.numbers("prob_a") ?? []
    if !slopes.isEmpty {
      let offsets = try call.numbers("prob_b") ?? []
      guard slopes.count == offsets.count, slopes.count >= pairs.count else { throw call.refusal("SVMClassifier has \(slopes.count) `prob_a` for \(pairs.count) pairs of classes") }
      return [label, try ClassScores.transformed(pairs.probabilities(scores, slopes, offsets, &b), transform, &b)]
    }
    if labels.count > 2 { return [label, try ClassScores.transformed(scores, transform, &b)] }
    if transform == .none { return [label, try b.concatenate([b.unary(.negate, scores), scores], axis: 1)] }
    if transform == .probit {
      let own = try ClassScores.transformed(scores, .probit, &b)
      return [label, try b.concatenate([own, own], axis: 1)]
    }
    return [label, try b.concatenate([b.binary(.subtract, b.scalar(1, like: scores), scores), scores], axis: 1)]
  }

  /// One row of coefficients for each class.
  private static func linear(
    _ call: OperatorCall, _ x: ValueID, _ labels: ClassLabels, _ transform: ClassScores.Transform, _ b: inout GraphBuilder
  ) throws(CompileError) -> [ValueID] {
    let (coefficients, rho) = (try call.numbers("coefficients") ?? [], try call.numbers("rho") ?? [])
    guard !rho.isEmpty else { throw call.refusal("SVMClassifier has no `rho`") }
    let weights = try matrix(call, "coefficients", coefficients, rows: labels.count, &b)
    let scores = try b.binary(.add, MatrixOperators.product(x, b.transpose(weights, [1, 0]), &b), rho[0])
    var best = try b.add(ArgReduce(.max, axis: 1), scores)
    if labels.count == 2 {
      // The second class also where the better of both is positive (or, with positive weights only, at least a half).
      let largest = try b.reduce(.maximum, scores, axes: [1], keepsAxes: false)
      let isSecond = try coefficients.allSatisfy { $0 >= 0 } ? b.compare(.greaterOrEqual, largest, 0.5) : b.compare(.greater, largest, 0)
      best = try b.select(isSecond, b.scalar(1, .i64), best)
    }
    return [try labels.named(best, &b), try ClassScores.transformed(scores, transform, &b)]
  }
}

/// The decisions of a support vector classifier: one between every two classes.
private struct Pairs {
  let classes: Int
  /// Both classes of each pair, the first one below the second.
  let members: [(first: Int, second: Int)]
  var count: Int { members.count }

  init(_ call: OperatorCall, classes: Int) throws(CompileError) {
    guard classes >= 2 else { throw call.refusal("SVMClassifier has \(classes) classes") }
    self.classes = classes
    members = (0..<classes).flatMap { first in (first + 1..<classes).map { (first, $0) } }
  }

  /// The score of each pair, [rows, pairs]: positive for its first class.
  func scores(_ kernel: ValueID, _ call: OperatorCall, _ counts: [Int], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let (coefficients, rho) = (try call.numbers("coefficients") ?? [], try call.numbers("rho") ?? [])
    let total = counts.reduce(0, +)
    guard coefficients.count == total * (classes - 1), rho.count >= count, let size = elementCount(of: [total, count]), size <= 1 << 26 else {
      throw call.refusal("SVMClassifier has \(coefficients.count) coefficients and \(rho.count) `rho` for \(total) vectors of \(classes) classes")
    }
    var starts = [0]
    for count in counts { starts.append(starts[starts.count - 1] + count) }
    // One column for each pair: the first class's vectors with their coefficients against the second, and the reverse.
    var matrix = [Double](repeating: 0, count: size)
    for (pair, (first, second)) in members.enumerated() {
      for vector in starts[first]..<starts[first + 1] { matrix[vector * count + pair] = coefficients[(second - 1) * total + vector] }
      for vector in starts[second]..<starts[second + 1] { matrix[vector * count + pair] = coefficients[first * total + vector] }
    }
    let product = try b.add(Dot(), kernel, b.constant(Tensor(.f32, [total, count], matrix)))
    return try b.binary(.add, product, b.constant(Tensor(.f32, [count], Array(rho.prefix(count)))))
  }

  /// How many pairs each class wins, [rows, classes]; what is not positive counts for the second class.
  func votes(_ scores: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var (won, lost) = ([Double](repeating: 0, count: count * classes), [Double](repeating: 0, count: count * classes))
    for (pair, (first, second)) in members.enumerated() { (won[pair * classes + first], lost[pair * classes + second]) = (1, 1) }
    let wins = try b.convert(b.compare(.greater, scores, 0), to: .f32)
    let losses = try b.binary(.subtract, b.scalar(1, like: wins), wins)
    return try b.binary(
      .add, b.add(Dot(), wins, b.constant(Tensor(.f32, [count, classes], won))), b.add(Dot(), losses, b.constant(Tensor(.f32, [count, classes], lost))))
  }

  // MARK: Probabilities

  /// Rounds that the search for probabilities takes at most.
  private static let mostRounds = 100

  /// Probabilities of the classes, [rows, classes], from those of the pairs (Wu, Lin and Weng, 2004, second method).
  func probabilities(_ scores: ValueID, _ slopes: [Double], _ offsets: [Double], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let line = try b.binary(
      .add, b.binary(.multiply, scores, b.constant(Tensor(.f32, [count], Array(slopes.prefix(count))))), b.constant(Tensor(.f32, [count], Array(offsets.prefix(count)))))
    let raw = try b.binary(.subtract, b.scalar(1, like: line), b.unary(.logistic, line))
    let first = try b.binary(.minimum, b.binary(.maximum, raw, 1e-7), Double(1 - Float(1e-7)))
    let second = try b.binary(.subtract, b.scalar(1, like: first), first)
    // r[i, j]: the probability of i against j; 0 on the diagonal.
    let rows = b.shape(scores)[0]
    let parts = try b.concatenate([first, second, b.broadcast(b.scalar(0, .f32), to: [rows, 1])], axis: 1)
    var places = [Int](repeating: 2 * count, count: classes * classes)
    for (pair, (i, j)) in members.enumerated() { (places[i * classes + j], places[j * classes + i]) = (pair, count + pair) }
    let r = try b.add(Gather(axis: 1), parts, b.constant(Tensor(places, dimensions: [classes, classes])))
    let reversed = try b.transpose(r, [0, 2, 1])
    // Q[i, j] = -r[j, i] r[i, j], and on the diagonal the sum of r[j, i] squared.
    let diagonal = try b.reduce(.sum, b.binary(.multiply, r, r), axes: [1], keepsAxes: false)
    let isDiagonal = (0..<classes * classes).map { $0 / classes == $0 % classes ? 1.0 : 0 }
    let q = try b.select(
      b.constant(Tensor(.bool, [classes, classes], isDiagonal)), b.unsqueeze(diagonal, axis: 2), b.unary(.negate, b.binary(.multiply, r, reversed)))
    let start = try b.broadcast(b.scalar(1 / Double(classes), .f32), to: [rows, Extent(classes)])
    let isDone = try b.broadcast(b.scalar(0, .bool), to: [rows, 1])
    let operands = [start, isDone, q]
    let body = try b.region("coupling", types: operands.map { b.type($0) }) { b, inputs throws(CompileError) in try round(inputs, &b) }
    return try b.addAll(Scan(carried: 2, scanned: 0, extent: Extent(Self.mostRounds), body: body), operands)[0]
  }

  /// One round for rows that are not done: every probability in turn takes its best value.
  private func round(_ inputs: [ValueID], _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (old, wasDone, q) = (inputs[0], inputs[1], inputs[2])
    let rows = b.shape(old)[0]
    var products = try b.reduce(.sum, b.binary(.multiply, q, b.unsqueeze(old, axis: 1)), axes: [2], keepsAxes: false)
    var whole = try b.reduce(.sum, b.binary(.multiply, old, products), axes: [1], keepsAxes: true)
    let error = try b.reduce(.maximum, b.unary(.absolute, b.binary(.subtract, products, whole)), axes: [1], keepsAxes: true)
    let isDone = try b.binary(.or, wasDone, b.compare(.less, error, 0.005 / Double(classes)))
    var p = old
    for i in 0..<classes {
      let line = try b.select(q, axis: 1, at: Extent(i))
      let own = try b.slice(line, axis: 1, start: Extent(i), size: 1), product = try b.slice(products, axis: 1, start: Extent(i), size: 1)
      let difference = try b.binary(.divide, b.binary(.subtract, whole, product), own)
      let scale = try b.binary(.add, difference, 1)
      let gain = try b.binary(.multiply, difference, b.binary(.add, b.binary(.multiply, difference, own), b.binary(.multiply, product, 2)))
      whole = try b.binary(.divide, b.binary(.divide, b.binary(.add, whole, gain), scale), scale)
      products = try b.binary(.divide, b.binary(.add, products, b.binary(.multiply, line, difference)), scale)
      let isOwn = try b.constant(Tensor(.bool, [1, classes], (0..<classes).map { $0 == i ? 1 : 0 }))
      p = try b.binary(.divide, b.select(isOwn, b.binary(.add, p, difference), p), scale)
    }
    return [try b.select(isDone, old, b.broadcast(p, to: [rows, Extent(classes)])), isDone]
  }
}
