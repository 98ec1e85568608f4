import TensorTypes

extension KernelProgram {
  /// Buffers, distinct kernels and steps, for people.
  public var text: String {
    var text = "program @\(name)(\(inputs.map { "\($0.name): \($0.type)" }.joined(separator: ", "))) -> (\(outputs.map { "\($0.name): \($0.type)" }.joined(separator: ", ")))\n"
    text += "arena \(arenaBytes) bytes, \(constants.count) constants of \(constants.reduce(0) { $0 + $1.tensor.byteCount }) bytes\n"
    if !computedSymbols.isEmpty { text += "computed \(computedSymbols.joined(separator: ", "))\n" }
    for (number, failure) in failures.enumerated() { text += "failure \(number): \(failure)\n" }
    for (position, buffer) in buffers.enumerated() {
      let place =
        switch buffer.placement {
        case .input(let number): "input \(number)"
        case .output(let number): "output \(number)"
        case .constant(let number): "constant \(number)"
        case .arena(let offset): "arena \(offset.map { "\($0)" } ?? "unplanned")"
        }
      text += "buffer #\(position) \(buffer.name): \(buffer.element.name)[\(buffer.elementCount)] in \(place)\n"
    }
    for kernel in kernels { text += kernel.text }
    for step in steps { text += step.text(kernels, indent: "") }
    for variant in variants {
      text += "for \(variant.lengths), arena \(variant.arenaBytes) bytes:\n"
      for step in variant.steps { text += step.text(kernels, indent: "  ") }
    }
    return text
  }
}

extension KernelProgram.View {
  var text: String { "#\(buffer)" + (elementOffset == 0 ? "" : "+\(elementOffset)") }
}

extension KernelProgram.Step {
  fileprivate func text(_ kernels: [Kernel], indent: String) -> String {
    func block(_ steps: [Self]) -> String { "{\n" + steps.map { $0.text(kernels, indent: indent + "  ") }.joined() + indent + "}" }
    switch self {
    case .call(let call):
      let arguments = call.arguments.map(\.text).joined(separator: ", ")
      return "\(indent)call @\(kernels[call.kernel].name)(\(arguments))  // \(call.origin)\(call.note.isEmpty ? "" : "; \(call.note)")\n"
    case .loop(let symbol, let count, let body): return "\(indent)for \(symbol) in 0..<\(count) \(block(body))\n"
    case .define(let symbols, let view, let failure): return "\(indent)define \(symbols.joined(separator: ", ")) from \(view.text) else fail \(failure)\n"
    case .set(let symbol, let extent, let failure): return "\(indent)set \(symbol) to \(extent) else fail \(failure)\n"
    case .require(.zero, let extent, let failure): return "\(indent)require \(extent) == 0 else fail \(failure)\n"
    case .require(.nonNegative, let extent, let failure): return "\(indent)require \(extent) >= 0 else fail \(failure)\n"
    case .branch(let view, let then, let otherwise): return "\(indent)if \(view.text) \(block(then))" + (otherwise.isEmpty ? "\n" : " else \(block(otherwise))\n")
    case .repeatWhile(let view, let symbol, let body): return "\(indent)while \(view.text) counting \(symbol) \(block(body))\n"
    case .advance(let advance):
      let bindings = advance.bindings.map { "\($0.symbol) to \($0.value)" }, moves = advance.moves.map { "\($0.from.text) to \($0.to.text) (\($0.elementCount))" }
      let region = advance.region.map { ", reserve \($0.byteCount) bytes at \($0.symbol)" } ?? ""
      return "\(indent)advance \(bindings.joined(separator: ", "))\(region), move \(moves.joined(separator: ", ")) else fail \(advance.failure)\n"
    case .export(let view, let output): return "\(indent)export \(view.text) as output \(output)\n"
    case .text(let text):
      let count = "\(text.count)" + (text.width == 1 ? "" : " x \(text.width)")
      return "\(indent)\(text.result.text) = text \(text.function) of \(text.arguments.map(\.text).joined(separator: ", ")), \(count) else fail \(text.failure)\n"
    case .reserve(let region, let failure): return "\(indent)reserve \(region.byteCount) bytes at \(region.symbol) else fail \(failure)\n"
    }
  }
}
