import GraphIR
import TensorTypes

/// The operand of a model of classical machine learning: one row for each sample.
enum FeatureMatrix {
  /// Rows of f32, or of f64 where the data is; a vector is one row.
  static func rows(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let numbers = try b.convert(x, to: b.element(x) == .f64 ? .f64 : .f32)
    if b.rank(numbers) == 1 { return try b.unsqueeze(numbers, axis: 0) }
    guard b.rank(numbers) == 2 else { throw b.refusal("a matrix is needed", operands: [x]) }
    return numbers
  }
}

extension ClassLabels {
  /// The labels of the columns with the largest score, the first of equal ones.
  func best(_ scores: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID { try named(b.add(ArgReduce(.max, axis: 1), scores), &b) }
}

/// What becomes of a classifier's scores, as ONNX Runtime computes it where the standard is silent.
enum ClassScores {
  enum Transform: String, CaseIterable { case none = "NONE", softmax = "SOFTMAX", logistic = "LOGISTIC", softmaxZero = "SOFTMAX_ZERO", probit = "PROBIT" }

  /// What one score for two classes is.
  enum Binary {
    /// The probability of the second class: chosen above a half, and the other class has the rest.
    case probability
    /// Chosen above 0, and the other class has the negative.
    case margin
  }

  static func transformed(_ scores: ValueID, _ transform: Transform, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    switch transform {
    case .none: scores
    case .softmax: try NormalizationOperators.softmax(scores, axis: 1, &b)
    case .logistic: try b.unary(.logistic, scores)
    case .softmaxZero: try softmaxZero(scores, &b)
    case .probit: try probit(scores, &b)
    }
  }

  /// The same for a regressor: ONNX Runtime leaves a single target as it is, but for PROBIT.
  static func transformedTargets(_ scores: ValueID, _ transform: Transform, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    b.shape(scores)[1] == 1 && transform != .probit ? scores : try transformed(scores, transform, &b)
  }

  /// Softmax in which zeros stay zeros and count nothing.
  private static func softmaxZero(_ scores: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let isZero = try b.compare(.lessOrEqual, b.unary(.absolute, scores), 1e-7)
    let shifted = try b.binary(.subtract, scores, b.reduce(.maximum, scores, axes: [1], keepsAxes: true))
    let parts = try b.select(isZero, b.scalar(0, b.element(scores)), b.unary(.exponential, shifted))
    let sum = try b.reduce(.sum, parts, axes: [1], keepsAxes: true)
    // A row of zeros only: 0 / 0 in ONNX Runtime.
    return try b.binary(.divide, parts, sum)
  }

  /// The inverse of the normal distribution function, by the approximation that ONNX Runtime uses.
  private static func probit(_ scores: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let x = try b.binary(.subtract, b.binary(.multiply, scores, 2), 1)
    let one = try b.scalar(1, like: x)
    let logarithm = try b.unary(.logarithm, b.binary(.multiply, b.binary(.subtract, one, x), b.binary(.add, one, x)))
    let half = try b.binary(.add, b.binary(.multiply, logarithm, 0.5), Double(2 / (Float(3.14159) * Float(0.147))))
    let root = try b.unary(.squareRoot, b.binary(.subtract, b.binary(.multiply, half, half), b.binary(.multiply, logarithm, Double(1 / Float(0.147)))))
    let size = try b.unary(.squareRoot, b.binary(.subtract, root, half))
    let signed = try b.select(b.compare(.less, x, 0), b.unary(.negate, size), size)
    return try b.binary(.multiply, signed, 1.414_213_56)
  }

  /// The result of a classifier with one score [rows, 1] for two classes.
  ///
  /// - Parameter second: What the second class has, if that does not follow from the score.
  static func binary(
    _ score: ValueID, _ kind: Binary, _ labels: ClassLabels, _ transform: Transform, second: Double? = nil, _ b: inout GraphBuilder
  ) throws(CompileError) -> [ValueID] {
    let isSecond = try b.reshape(b.compare(.greater, score, kind == .probability ? 0.5 : 0), to: [b.shape(score)[0]])
    let label = try labels.chosen(isSecond, &b)
    if let second {
      return [label, try transformed(b.concatenate([score, b.scalar(second, like: score)], axis: 1), transform, &b)]
    }
    let (other, own): (ValueID, ValueID)
    switch (transform, kind) {
    case (.probit, _):
      let value = try probit(score, &b)
      (other, own) = (value, try b.scalar(0, like: value))
    case (_, .probability): (other, own) = (try b.binary(.subtract, b.scalar(1, like: score), score), score)
    case (.logistic, .margin): (other, own) = (try b.unary(.logistic, b.unary(.negate, score)), try b.unary(.logistic, score))
    case (_, .margin): (other, own) = (try b.unary(.negate, score), score)
    }
    return [label, try b.concatenate([other, own], axis: 1)]
  }
}
