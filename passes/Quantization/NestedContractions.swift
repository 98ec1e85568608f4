public import GraphIR

extension Graph {
  /// A contraction in a graph inside of a loop or branch.
  public struct NestedContraction: Sendable, Hashable {
    public var name: String
    public var operatorName: String
    /// The outermost loop or branch around it, such as `cell (LSTM)`.
    public var place: String
    /// True if its weights are constants of the same inner graph; those of a loop come from outside.
    public var hasOwnWeights: Bool
  }

  /// Contractions with weights in the graphs inside of loops and branches, in their order. Of what changes models, only `quantize-weights` reaches those with
  /// weights of their own.
  public func nestedContractions() -> [NestedContraction] {
    var found: [NestedContraction] = []
    var seen: Set<NestedContraction> = []
    for id in topologicalOrder() {
      let node = node(id)
      guard let control = node.operation as? any ControlOperation else { continue }
      let kind = node.origin.operatorName.isEmpty ? control.mnemonic : node.origin.operatorName
      let place = node.origin.node.isEmpty ? kind : "\(node.origin.node) (\(kind))"
      var pending = control.regions.reversed() as [Graph]
      while let body = pending.popLast() {
        for id in body.topologicalOrder() {
          let inner = body.node(id)
          pending += inner.operation.regions
          guard inner.operation is Dot || inner.operation is Convolution, body.constant(inner.operands[1]) != nil || body.inputs.contains(inner.operands[1]) else { continue }
          let value = body.value(inner.results[0]).name
          let name = inner.origin.node.isEmpty ? (value.isEmpty ? "%\(inner.results[0].index)" : value) : inner.origin.node
          let contraction = NestedContraction(name: name, operatorName: inner.origin.operatorName, place: place, hasOwnWeights: body.constant(inner.operands[1]) != nil)
          if seen.insert(contraction).inserted { found.append(contraction) }
        }
      }
    }
    return found
  }
}
