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
  fileprivate func evaluate(
    _ operands: [Tensor], _ limits: EvaluationLimits, _ what: String, binding: [String: Extent] = [:]
  ) throws(EvaluationError) -> [Tensor] {
    do {
      return try EvaluationPlan(self, inputs: operands.map(\.type), binding: binding, limits: limits).run(operands)
    } catch {
      throw EvaluationError("in \(what): \(error.message)", hint: error.hint)
    }
  }
}

/// An operation whose graphs inside see the symbols from around, of which only the run knows which one is evaluated, and how often.
protocol RegionEvaluable: Evaluable {
  /// - Parameter binding: Symbols from around.
  /// - Returns: The results, and a value for each of `definedSymbols`.
  func evaluate(_ operands: [Tensor], binding: [String: Extent], limits: EvaluationLimits) throws(EvaluationError) -> (results: [Tensor], symbols: [String: Int])
}

extension RegionEvaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    try evaluate(operands, binding: [:], limits: limits).results
  }
}

extension Scan: RegionEvaluable {
  func evaluate(_ operands: [Tensor], binding: [String: Extent], limits: EvaluationLimits) throws(EvaluationError) -> (results: [Tensor], symbols: [String: Int]) {
    guard let steps = extent.substituting(binding).constant, steps >= 0 else { throw EvaluationError("the number of steps of `scan` is not known: \(extent)") }
    guard steps <= limits.scanSteps else { throw EvaluationError("`scan` takes \(steps) steps; the limit is \(limits.scanSteps)") }
    guard operands.count == body.inputs.count, operands[carried..<carried + scanned].allSatisfy({ $0.dimensions.first == steps }) else {
      throw EvaluationError("`scan` of \(steps) steps over other tensors")
    }
    let slices = carried..<carried + scanned
    var state = Array(operands[..<carried])
    var stacked = [[Tensor]](repeating: [], count: body.outputs.count - carried)
    var plan: EvaluationPlan?
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
      inputs += operands[slices.upperBound...]
      let outputs: [Tensor]
      do throws(CompileError) {
        var known = binding
        if let round { known[round] = Extent(number) }
        let prepared = if let plan { plan } else { try EvaluationPlan(body, inputs: inputs.map(\.type), binding: known, limits: limits) }
        // Lengths that depend on the step need a plan of their own.
        if round == nil { plan = prepared }
        outputs = try prepared.run(inputs)
      } catch { throw EvaluationError("in the body of `scan`: \(error.message)", hint: error.hint) }
      state = Array(outputs[..<carried])
      for (position, slice) in outputs[carried...].enumerated() { stacked[position].append(slice) }
    }
    var results = state
    for (position, parts) in stacked.enumerated() {
      let type = body.type(of: body.outputs[carried + position])
      guard let whole = ConcreteType(TensorType(type.element, Shape([Extent(steps)] + type.shape.substituting(binding).extents))) else {
        throw EvaluationError("the size of \(type) is not known")
      }
      try limits.check(whole)
      results.append(Tensor(stacking: isReversed ? parts.reversed() : parts, as: whole))
    }
    return (results, [:])
  }
}

extension If: RegionEvaluable {
  func evaluate(_ operands: [Tensor], binding: [String: Extent], limits: EvaluationLimits) throws(EvaluationError) -> (results: [Tensor], symbols: [String: Int]) {
    let branch = operands[0].integers.first == 0 ? otherwise : then
    let results = try branch.evaluate(Array(operands.dropFirst()), limits, "a branch of `if`", binding: binding)
    var found: [String: Int] = [:]
    for (shape, result) in zip(shapes, results) {
      for (extent, dimension) in zip(shape, result.dimensions) { if let symbol = extent.symbol, symbols.contains(symbol) { found[symbol] = dimension } }
    }
    return (results, found)
  }
}

extension While: RegionEvaluable {
  func evaluate(_ operands: [Tensor], binding: [String: Extent], limits: EvaluationLimits) throws(EvaluationError) -> (results: [Tensor], symbols: [String: Int]) {
    var goesOn = operands[0].integers.first != 0
    var state = Array(operands[1...].prefix(carried))
    let captured = Array(operands[(1 + carried)...])
    var slices = [[Tensor]](repeating: [], count: stacked)
    var found = lengths(of: state)
    found[round] = 0
    var rounds = 0
    while goesOn {
      guard rounds < limits.scanSteps else { throw EvaluationError("`while` takes more than \(limits.scanSteps) rounds") }
      let known = binding.merging(found.mapValues { Extent($0) }) { _, own in own }
      let outputs = try body.evaluate(state + captured, limits, "the body of `while`", binding: known)
      goesOn = outputs[0].integers.first != 0
      state = Array(outputs[1...].prefix(carried))
      for (position, slice) in outputs[(1 + carried)...].enumerated() { slices[position].append(slice) }
      rounds += 1
      found = lengths(of: state)
      found[round] = rounds
    }
    var results = state
    for (position, parts) in slices.enumerated() {
      let type = body.type(of: body.outputs[1 + carried + position])
      guard let whole = ConcreteType(TensorType(type.element, Shape([Extent(rounds)] + type.shape.substituting(binding).extents))) else {
        throw EvaluationError("the size of \(type) is not known")
      }
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
