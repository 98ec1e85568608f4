import GraphIR
import TensorTypes

/// Adds a bias that is a whole multiple of an integer sum's scale to the sum itself.
///
///     %a = mul (convert %sum {to = f32}), %m
///     %b = add %a, %bias            %bias / %m is 17
/// ->
///     %b = mul (convert (add %sum, 17) {to = f32}), %m
///
/// Quantised models keep a bias as i32 in the scale of the products, and integer kernels add it there. For expanded composites; the sum must stay within i32.
/// Numerics: one rounding less; a bias is taken as whole if it is within 2^-22 of itself of a whole number, four times what rounding it and its scale costs.
public let addBiasesToSums = rewrite(
  "add-biases-to-sums", "Adds biases to integer sums where they are whole multiples of the sum's scale.", Binary.self
) { match, rewriter throws(TypeError) in
  guard match.operation.function == .add, rewriter.type(of: match.result).element == .f32 else { return .unchanged }
  for (place, other) in [(0, 1), (1, 0)] {
    guard let product = rewriter.producer(of: match[place], as: Binary.self), product.operation.function == .multiply, rewriter.hasOneUse(match[place]),
      let widened = rewriter.producer(of: product.node.operands[0], as: Convert.self), rewriter.hasOneUse(product.node.operands[0])
    else { continue }
    let sum = widened.node.operands[0]
    guard let room = roomBeside(sum, rewriter), let (factorAxis, factor) = rewriter.graph.axisVector(product.node.operands[1]), let (biasAxis, bias) = rewriter.graph.axisVector(match[other]),
      factor.isSplat || bias.isSplat || factorAxis == biasAxis, let whole = wholeMultiples(bias.values, of: factor.values, atMost: room)
    else { continue }
    let axis = bias.isSplat ? factorAxis : biasAxis
    let shifted = try rewriter.insert(Binary(.add), sum, try rewriter.insert(AxisVector(values: whole), along: axis, as: rewriter.type(of: sum)))
    return .replaced(with: try rewriter.insert(product.operation, try rewriter.insert(Convert(to: .f32), shifted), product.node.operands[1]))
  }
  return .unchanged
}

/// How large a number may be that is added to a sum of products of bytes, so that i32 still holds it; nil if the value is no such sum.
private func roomBeside(_ sum: ValueID, _ rewriter: Rewriter) -> Double? {
  guard rewriter.type(of: sum).element == .i32 else { return nil }
  var value = sum
  // What zero points and offsets of weights add stands beside the contraction.
  for _ in 0..<mostAdditions { if let (node, binary) = rewriter.producer(of: value, as: Binary.self), binary.function == .add { value = node.operands[0] } else { break } }
  guard let node = rewriter.producer(of: value), node.operation is Dot || node.operation is Convolution else { return nil }
  let weights = rewriter.type(of: node.operands[1]).shape
  let outputs = (node.operation as? Convolution)?.filterAxes(rank: weights.rank).output ?? weights.rank - 1
  guard readsBytes(node.operands[0], rewriter),
    let count = (node.operation is Dot ? weights[weights.rank - 2] : weights.elementCount.floorDivided(by: weights[outputs])).constant
  else { return nil }
  // Bytes less their zero points have at most 255 in either direction.
  let (largest, overflow) = count.multipliedReportingOverflow(by: 255 * 255)
  return overflow || largest >= Int(Int32.max) ? nil : Double(Int(Int32.max) - largest)
}

/// More than any form of a contraction of bytes has.
private let mostAdditions = 8

/// True for bytes, and for those that depthwise convolutions read as whole numbers.
private func readsBytes(_ value: ValueID, _ rewriter: Rewriter) -> Bool {
  if rewriter.type(of: value).element.isByte { return true }
  guard let widened = rewriter.producer(of: value, as: Convert.self) else { return false }
  return rewriter.type(of: widened.node.operands[0]).element.isByte
}

/// Each number as a multiple of its factor; nil unless all are whole.
private func wholeMultiples(_ numbers: [Double], of factors: [Double], atMost room: Double) -> [Double]? {
  let count = max(numbers.count, factors.count)
  var multiples: [Double] = []
  for place in 0..<count {
    let (number, factor) = (numbers.count == 1 ? numbers[0] : numbers[place], factors.count == 1 ? factors[0] : factors[place])
    let multiple = number / factor
    let whole = multiple.rounded()
    guard factor != 0, abs(whole) <= room, abs(multiple - whole) <= 0x1p-22 * max(1, abs(multiple)) else { return nil }
    multiples.append(whole)
  }
  return multiples
}
