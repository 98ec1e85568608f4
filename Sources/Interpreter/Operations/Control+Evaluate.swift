import GraphIR
import TensorTypes

extension Composite: SymbolDefining {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    try body.evaluate(operands, limits, "`\(name)`")
  }

  public func evaluateDefining(_ operands: [Tensor], limits: EvaluationLimits) throws(EvaluationError) -> (results: [Tensor], symbols: [String: Int]) {
    let results = try body.evaluate(operands, limits, "`\(name)`")
    var symbols: [String: Int] = [:]
    for (output, result) in zip(body.outputs, results) {
      for (extent, dimension) in zip(body.type(of: output).shape, result.dimensions) { if let symbol = extent.symbol { symbols[symbol] = dimension } }
    }
    return (results, symbols.filter { definedSymbols.contains($0.key) })
  }
}

extension Fusion: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    try body.evaluate(operands, limits, "the body of `fusion`")
  }
}

extension Graph {
  fileprivate func evaluate(_ operands: [Tensor], _ limits: EvaluationLimits, _ what: String) throws(EvaluationError) -> [Tensor] {
    do {
      return try EvaluationPlan(self, inputs: operands.map(\.type), binding: [:], limits: limits).run(operands)
    } catch {
      throw EvaluationError("in \(what): \(error.message)", hint: error.hint)
    }
  }
}

extension Scan: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    guard let steps = extent.constant else { throw EvaluationError("the number of steps of `scan` is not known: \(extent)") }
    guard steps <= limits.scanSteps else { throw EvaluationError("`scan` takes \(steps) steps; the limit is \(limits.scanSteps)") }
    let slices = carried..<carried + scanned
    var state = Array(operands[..<carried])
    var stacked = [[Tensor]](repeating: [], count: results.count - carried)
    do {
      let plan = try EvaluationPlan(body, inputs: body.inputs.map { body.type(of: $0) }, binding: [:], limits: limits)
      for number in 0..<steps {
        let step = isReversed ? steps - 1 - number : number
        var inputs = state
        for operand in operands[slices] {
          let dimensions = Array(operand.dimensions.dropFirst())
          let bytes = (elementCount(of: dimensions) ?? 0) * operand.element.byteCount
          guard let slice = Tensor(operand.element, dimensions, storage: operand.storage, byteOffset: operand.byteOffset + step * bytes) else {
            throw EvaluationError("step \(step) of `scan` reaches beyond \(operand.type)")
          }
          inputs.append(slice)
        }
        let outputs = try plan.run(inputs + operands[slices.upperBound...])
        state = Array(outputs[..<carried])
        for (position, slice) in outputs[carried...].enumerated() { stacked[position].append(slice) }
      }
    } catch let error as CompileError {
      throw EvaluationError("in the body of `scan`: \(error.message)", hint: error.hint)
    } catch let error as EvaluationError {
      throw error
    } catch {
      throw EvaluationError("`scan` fails: \(error)")
    }
    return state + zip(stacked, results[carried...]).map { Tensor(stacking: isReversed ? $0.reversed() : $0, as: $1) }
  }
}

extension Tensor {
  /// Tensors one after the other, without a check of their types.
  init(stacking parts: [Tensor], as result: ConcreteType) {
    self.init(result.element, result.dimensions) { target in
      var offset = 0
      for part in parts {
        part.withBytes { bytes in
          guard offset + bytes.count <= target.count, bytes.count > 0 else { return }
          UnsafeMutableRawBufferPointer(rebasing: target[offset...]).copyMemory(from: bytes)
        }
        offset += part.byteCount
      }
    }
  }
}
