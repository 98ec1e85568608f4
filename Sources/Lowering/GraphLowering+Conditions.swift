import GraphIR
import KernelIR
import TensorTypes

extension GraphLowering {
  /// Adds the checks of what the graph takes for granted about computed symbols: each right after the step that binds the last of its symbols.
  ///
  /// Kernels compute indices and loop bounds from the symbols without looking back. So the number of elements of every tensor, those inside of
  /// fusions that never reach memory among them, is checked as well: nothing that a kernel computes from a checked size can wrap.
  mutating func require(_ conditions: [ShapeCondition]) {
    let computed = Set(program.computedSymbols), known = computed.union(program.symbols)
    var requirements: [Requirement] = []
    var seen: Set<String> = []
    for condition in conditions + graph.sizeConditions() {
      let symbols = Set(condition.extent.symbols)
      guard !symbols.isDisjoint(with: computed), symbols.isSubset(of: known), seen.insert("\(condition.kind) \(condition.extent)").inserted else { continue }
      requirements.append(
        Requirement(
          kind: condition.kind == .zero ? .zero : .nonNegative, extent: condition.extent, symbols: symbols, failure: program.addFailure(condition.violation)))
    }
    var bound = Set(program.symbols)
    program.steps = Requirement.insert(requirements, into: program.steps, &bound)
  }
}

/// A condition on its way to the steps of a program.
private struct Requirement {
  var kind: KernelProgram.Requirement
  var extent: Extent
  var symbols: Set<String>
  var failure: Int

  /// - Parameter bound: What every way to the steps has bound; what every way through them has bound afterwards.
  static func insert(_ all: [Requirement], into steps: [KernelProgram.Step], _ bound: inout Set<String>) -> [KernelProgram.Step] {
    var result: [KernelProgram.Step] = []
    /// Checks of conditions that name one of these symbols and none that is not bound.
    func checks(_ names: [String], values: [String: Extent] = [:]) -> [KernelProgram.Step] {
      all.filter { !$0.symbols.isDisjoint(with: names) && $0.symbols.isSubset(of: bound) }
        .map { .require($0.kind, $0.extent.substituting(values), failure: $0.failure) }
    }
    for step in steps {
      switch step {
      case .define(let symbols, _, _):
        bound.formUnion(symbols)
        result.append(step)
        result += checks(symbols)
      case .set(let symbol, _, _):
        bound.insert(symbol)
        result.append(step)
        result += checks([symbol])
      case .branch(let view, let then, let otherwise):
        var other = bound
        let first = insert(all, into: then, &bound)
        let second = insert(all, into: otherwise, &other)
        bound.formIntersection(other)
        result.append(.branch(if: view, then: first, else: second))
      case .loop(let symbol, let count, let body):
        var inner = bound.union([symbol]).subtracting(body.symbolsBoundAnew)
        result.append(.loop(symbol: symbol, count: count, body: insert(all, into: body, &inner)))
      case .repeatWhile(let view, let symbol, let body):
        bound.insert(symbol)
        var inner = bound.subtracting(body.symbolsBoundAnew)
        let first = all.filter { $0.symbols.contains(symbol) && $0.symbols.isSubset(of: inner) }.map { KernelProgram.Step.require($0.kind, $0.extent, failure: $0.failure) }
        result.append(.repeatWhile(view, symbol: symbol, body: first + insert(all, into: body, &inner)))
        result += checks([symbol])
      case .advance(let advance):
        // Before anything has the new sizes.
        result += checks(advance.bindings.map(\.symbol), values: Dictionary(advance.bindings.map { ($0.symbol, $0.value) }) { first, _ in first })
        result.append(step)
      case .call, .require, .export, .reserve, .text: result.append(step)
      }
    }
    return result
  }
}

extension Graph {
  /// That no tensor has more elements than a run can work through, whatever values the symbols take.
  fileprivate func sizeConditions() -> [ShapeCondition] {
    let most = Extent(1 << 40)
    var found: [ShapeCondition] = []
    for id in topologicalOrder() {
      let node = self.node(id)
      let place = node.origin.isKnown ? "\(node.origin): " : ""
      for type in types(of: node.results) where type.shape.extents.contains(where: { !$0.isConstant }) {
        let count = type.shape.elementCount, terms = count.sumOfProducts
        // One symbol: no value that a symbol may have makes that too many.
        if terms.count == 1, terms[0].factors.count == 1, case .symbol = terms[0].factors[0], (0...1).contains(terms[0].coefficient) { continue }
        found.append(ShapeCondition(.nonNegative, most - count, violation: "\(place)a tensor \(type) would have more than 2^40 elements"))
      }
      for region in node.operation.regions { found += region.sizeConditions() }
    }
    return found
  }
}
