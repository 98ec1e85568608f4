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
      let plan = try EvaluationPlan(body, inputs: body.inputs.map { body.type(of: $0) }, binding: [round ?? "": 0], limits: limits)
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
        var plan = plan
        if let round { plan = try EvaluationPlan(body, inputs: inputs.map(\.type) + operands[slices.upperBound...].map(\.type), binding: [round: Extent(number)], limits: limits) }
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

extension If: SymbolDefining {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let branch = operands[0].integers.first == 0 ? otherwise : then
    return try branch.evaluate(Array(operands.dropFirst()), limits, "a branch of `if`")
  }

  public func evaluateDefining(_ operands: [Tensor], limits: EvaluationLimits) throws(EvaluationError) -> (results: [Tensor], symbols: [String: Int]) {
    let results = try evaluate(operands, as: [], limits: limits)
    var found: [String: Int] = [:]
    for (shape, result) in zip(shapes, results) {
      for (extent, dimension) in zip(shape, result.dimensions) { if let symbol = extent.symbol, symbols.contains(symbol) { found[symbol] = dimension } }
    }
    return (results, found)
  }
}

extension While: SymbolDefining {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    try evaluateDefining(operands, limits: limits).results
  }

  public func evaluateDefining(_ operands: [Tensor], limits: EvaluationLimits) throws(EvaluationError) -> (results: [Tensor], symbols: [String: Int]) {
    var goesOn = operands[0].integers.first != 0
    var state = Array(operands[1...].prefix(carried))
    let captured = Array(operands[(1 + carried)...])
    var slices = [[Tensor]](repeating: [], count: stacked)
    var found = lengths(of: state)
    found[round] = 0
    var rounds = 0
    do throws(CompileError) {
      while goesOn {
        guard rounds < limits.scanSteps else { throw CompileError(.badInput, "it takes more than \(limits.scanSteps) rounds", stage: .run) }
        let inputs = state + captured
        let outputs = try EvaluationPlan(body, inputs: inputs.map(\.type), binding: found.mapValues { Extent($0) }, limits: limits).run(inputs)
        goesOn = outputs[0].integers.first != 0
        state = Array(outputs[1...].prefix(carried))
        for (position, slice) in outputs[(1 + carried)...].enumerated() { slices[position].append(slice) }
        rounds += 1
        found = lengths(of: state)
        found[round] = rounds
      }
    } catch { throw EvaluationError("in the body of `while`: \(error.message)", hint: error.hint) }
    var results = state
    for (position, parts) in slices.enumerated() {
      let type = body.type(of: body.outputs[1 + carried + position])
      guard let whole = ConcreteType(TensorType(type.element, Shape([Extent(rounds)] + type.shape.extents))) else { throw EvaluationError("the size of \(type) is not known") }
      try limits.check(whole)
      results.append(Tensor(stacking: parts, as: whole))
    }
    return (results, found)
  }

  private func lengths(of state: [Tensor]) -> [String: Int] {
    var found: [String: Int] = [:]
    for (input, tensor) in zip(body.inputs, state) {
      for (extent, dimension) in zip(body.type(of: input).shape, tensor.dimensions) {
        if let symbol = extent.symbol, lengths.contains(symbol) { found[symbol] = dimension }
      }
    }
    return found
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
