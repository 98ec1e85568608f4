import GraphIR
import KernelIR
import TensorTypes

// Operations on text are steps of their own: whoever runs the program computes them.
extension GraphLowering {
  mutating func lower(_ operation: TextOperation, _ node: Node, _ scope: inout Scope) throws(CompileError) -> [KernelProgram.Step] {
    let types = scope.graph.types(of: node.operands)
    guard let function = operation.function(of: types[0].element) else {
      throw CompileError(.unsupported, "`\(operation.mnemonic)` lacks an attribute", stage: .lower, origin: node.origin, operands: types)
    }
    var arguments: [KernelProgram.View] = []
    for operand in node.operands { arguments.append(try view(operand, scope, node)) }
    if let pattern = operation.pattern { arguments.append(constant(pattern.table, name: "pattern")) }
    let result = node.results[0]
    let place = scope.destinations[result] ?? buffer(scope.graph.value(result).name, scope.graph.type(of: result), .arena(offset: nil))
    scope.views[result] = place
    let origin = node.origin.node.isEmpty ? node.origin.operatorName : "\(node.origin.node) (\(node.origin.operatorName))"
    let failure = program.addFailure("\(origin.isEmpty ? operation.mnemonic : origin) failed")
    return [.text(.init(function, arguments, result: place, count: types[0].shape.elementCount, width: operation.width ?? 1, failure: failure))]
  }

  /// The strings of the model as `number-strings` numbered them, and behind them those of constants that came about later.
  static func strings(of graph: Graph) throws(CompileError) -> StringTable? {
    guard graph.hasStrings else { return nil }
    var tables: [StringTable] = []
    graph.collectStringTables(&tables)
    guard let largest = tables.max(by: { $0.texts.count < $1.texts.count }) else { return StringNumbering().table }
    for table in tables where table !== largest {
      guard largest.texts.starts(with: table.texts) else {
        throw CompileError(
          .unsupported, "constants of strings have numbers that contradict each other", stage: .lower, origin: NodeOrigin(file: graph.name),
          hint: "leave folding out: --disable fold-constants")
      }
    }
    return largest
  }
}

extension Graph {
  fileprivate func collectStringTables(_ tables: inout [StringTable]) {
    for id in topologicalOrder() {
      let node = node(id)
      if let tensor = (node.operation as? Constant)?.tensor, tensor.element == .string, let table = tensor.strings, tables.last !== table { tables.append(table) }
      for region in node.operation.regions { region.collectStringTables(&tables) }
    }
  }
}
