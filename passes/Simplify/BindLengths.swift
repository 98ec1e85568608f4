import GraphIR
import TensorTypes

/// Puts what is known of computed symbols in their place.
///
///     %m = measure %c {symbols = [s]}           ->  5 for s, where %c is a constant 5
///     %m = measure %e {symbols = [s]}           ->  2*n for s, where %e is `extents` of 2*n
///     %m, %k = two measures of %x, s and t      ->  s for t
///
/// Numerics: exact. A constant that no axis can have stays, so that the run reports it.
public let bindLengths = Pass<Graph>("bind-lengths", "Puts lengths that turn out to be known in the place of their symbols.") {
  graph, _ throws(CompileError) in
  let bindings = graph.knownLengths()
  if bindings.isEmpty { return false }
  graph = try graph.substituting(bindings)
  graph.removeDeadNodes()
  return true
}

extension Graph {
  /// A value for each symbol of every `measure` that could have been done without, those of nested graphs included.
  fileprivate func knownLengths() -> [String: Extent] {
    var found: [String: Extent] = [:]
    var first: [ValueID: [String]] = [:]
    for id in topologicalOrder() {
      let node = self.node(id)
      for region in node.operation.regions { found.merge(region.knownLengths()) { known, _ in known } }
      guard let measure = node.operation as? Measure else { continue }
      let source = node.operands[0]
      if let lengths = lengths(source), lengths.count == measure.symbols.count, lengths.allSatisfy({ ($0.constant ?? 0) >= 0 && !$0.isOverflow }) {
        for (symbol, length) in zip(measure.symbols, lengths) { found[symbol] = length }
      } else if let others = first[source] {
        for (symbol, other) in zip(measure.symbols, others) { found[symbol] = Extent(symbol: other) }
      } else {
        first[source] = measure.symbols
      }
    }
    return found
  }

  private func lengths(_ value: ValueID) -> [Extent]? {
    guard let node = producer(of: value) else { return nil }
    switch node.operation {
    case let constant as Constant: return constant.tensor.integers.map { Extent($0) }
    case let vector as ExtentVector: return vector.values
    case is Reshape: return lengths(node.operands[0])
    default: return nil
    }
  }
}
