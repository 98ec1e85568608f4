import TensorTypes

extension Graph {
  /// Checks everything a pass could have broken: operand ids, result types, cycles, names, extents.
  ///
  /// - Throws: `CompileError` that names the node.
  public func verify(stage: CompileError.Stage) throws(CompileError) {
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
      for region in node.operation.regions { try region.verify(stage: stage) }
      for result in node.results { isDefined[result.index] = true }
    }
    for output in outputs where !isDefined[output.index] {
      throw CompileError(.badInput, "an output of `\(name)` is never computed", stage: stage)
    }
  }
}
