import GraphIR
import TensorTypes

extension Constant: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] { [tensor] }
}

extension ExtentVector: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    var numbers: [Int] = []
    for value in values {
      guard let number = value.constant else {
        throw EvaluationError("`extents` has an entry that is not known: \(value)", hint: "give values for " + value.symbols.joined(separator: ", "))
      }
      numbers.append(number)
    }
    return [Tensor(numbers)]
  }
}

extension Iota: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let result = results[0]
    if result.count == 0 { return [result.zeros()] }
    // Each index in the axis is repeated over the axes behind it.
    let extent = result.dimensions[axis]
    let line = Tensor(result.element, [extent]) { bytes in
      for index in 0..<extent { Tensor.store(index, result.element, bytes, index) }
    }
    var strides = [Int](repeating: 0, count: result.dimensions.count)
    strides[axis] = 1
    return [line.strided(strides, as: result)]
  }
}
