import TensorTypes

extension Graph {
  /// Checks everything a pass could have broken: operand ids, result types, cycles, names, extents, computed symbols.
  ///
  /// - Throws: `CompileError` that names the node.
  public func verify(stage: CompileError.Stage) throws(CompileError) {
    var taken: Set<String> = []
    for input in inputs { taken.formUnion(type(of: input).shape.symbols) }
    try verify(stage: stage, taken: &taken)
  }

  /// - Parameter taken: The symbols of the model's inputs, and those that were defined before, in whichever graph.
  private func verify(stage: CompileError.Stage, taken: inout Set<String>) throws(CompileError) {
    guard outputs.count == outputNames.count, !outputs.isEmpty else {
      throw CompileError(.badInput, "the graph `\(name)` returns nothing", stage: stage)
    }
    for input in inputs {
      let type = type(of: input)
      if type.byteCount.isOverflow || type.shape.contains(where: { $0.isOverflow || ($0.constant ?? 0) < 0 }) {
        throw CompileError(.badInput, "input `\(value(input).name)` has an impossible shape: \(type)", stage: stage)
      }
    }
    var isDefined = [Bool](repeating: false, count: valueCount)
    for input in inputs { isDefined[input.index] = true }
    for id in topologicalOrder() {
      let node = self.node(id)
      let operands = types(of: node.operands)
      for operand in node.operands where !isDefined[operand.index] {
        throw CompileError(
          .badInput, "`\(node.operation.mnemonic)` reads a value that depends on its own result", stage: stage, origin: node.origin, operands: operands)
      }
      let inferred: [TensorType]
      do { inferred = try node.operation.checkedResultTypes(for: operands) } catch {
        throw CompileError(error, stage: stage, origin: node.origin, operands: operands)
      }
      guard inferred == types(of: node.results) else {
        throw CompileError(
          .badInput,
          "`\(node.operation.mnemonic)` gives \(inferred.map(\.description).joined(separator: ", ")) but is recorded as \(types(of: node.results).map(\.description).joined(separator: ", "))",
          stage: stage, origin: node.origin, operands: operands)
      }
      var inner: Set<String> = []
      for region in node.operation.regions {
        let before = taken
        try region.verify(stage: stage, taken: &taken)
        inner.formUnion(taken.subtracting(before))
      }
      try checkSymbols(of: node, definedInside: inner, stage: stage, taken: &taken)
      for result in node.results { isDefined[result.index] = true }
    }
    for output in outputs where !isDefined[output.index] {
      throw CompileError(.badInput, "an output of `\(name)` is never computed", stage: stage)
    }
  }

  private func checkSymbols(of node: Node, definedInside inner: Set<String>, stage: CompileError.Stage, taken: inout Set<String>) throws(CompileError) {
    for symbol in node.operation.definedSymbols where !inner.contains(symbol) {
      guard taken.insert(symbol).inserted else {
        throw CompileError(.badInput, "`\(node.operation.mnemonic)` defines the symbol `\(symbol)`, which is defined elsewhere", stage: stage, origin: node.origin)
      }
    }
    if definers.isEmpty { return }
    for symbol in mentionedSymbols(of: node).sorted() where definers[symbol] != nil && !taken.contains(symbol) {
      throw CompileError(
        .badInput, "`\(node.operation.mnemonic)` mentions the symbol `\(symbol)`, which depends on its own result", stage: stage, origin: node.origin,
        operands: types(of: node.operands))
    }
  }
}
