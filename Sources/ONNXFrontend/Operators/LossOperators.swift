import GraphIR
import TensorTypes

/// Losses that some exported models keep as outputs.
enum LossOperators {
  static let table: [String: OperatorImporter] = ["NegativeLogLikelihoodLoss": likelihood, "SoftmaxCrossEntropyLoss": crossEntropy]

  private enum Reduction: String, CaseIterable { case mean, sum, none }

  private static func likelihood(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    [try loss(call, logarithms: call.input(0), &b)]
  }

  private static func crossEntropy(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let scores = try call.input(0)
    guard b.rank(scores) >= 2 else { throw b.refusal("\(call.name) needs a class axis", operands: [scores]) }
    let logarithms = try NormalizationOperators.softmax(scores, axis: 1, isLogarithmic: true, &b)
    return [try loss(call, logarithms: logarithms, &b), logarithms]
  }

  /// Minus the logarithm of the target's probability, weighted by the target's class.
  private static func loss(_ call: OperatorCall, logarithms: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let target = try b.convert(call.input(1), to: .i64)
    guard b.rank(logarithms) >= 2, b.rank(target) == b.rank(logarithms) - 1 else {
      throw b.refusal("\(call.name) needs a target for each position", operands: [logarithms, target])
    }
    let element = b.element(logarithms)
    var isIgnored: ValueID?
    var safe = target
    if call.has("ignore_index") {
      let mask = try b.compare(.equal, target, Double(call.integer("ignore_index")))
      safe = try b.select(mask, b.scalar(0, .i64), target)
      isIgnored = mask
    }
    let picked = try b.add(GatherElements(axis: 1), logarithms, b.unsqueeze(safe, axis: 1))
    var losses = try b.unary(.negate, b.reshape(picked, to: b.shape(target)))
    var weights: ValueID?
    if let given = call.optional(2) { weights = try b.add(Gather(axis: 0), given, safe) } else if isIgnored != nil {
      weights = try b.broadcast(b.scalar(1, element), to: b.shape(target))
    }
    if let isIgnored, let all = weights { weights = try b.select(isIgnored, b.scalar(0, element), all) }
    if let weights { losses = try b.binary(.multiply, losses, weights) }
    let axes = Array(0..<b.rank(target))
    switch try call.word("reduction", default: Reduction.mean) {
    case .none: return losses
    case .sum: return try b.reduce(.sum, losses, axes: axes, keepsAxes: false)
    case .mean:
      guard let weights else { return try b.mean(losses, axes: axes, keepsAxes: false) }
      return try b.binary(.divide, b.reduce(.sum, losses, axes: axes, keepsAxes: false), b.reduce(.sum, weights, axes: axes, keepsAxes: false))
    }
  }
}
