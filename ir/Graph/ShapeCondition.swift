import TensorTypes

/// A fact about symbolic extents that a graph takes for granted and that only the lengths of the inputs can confirm.
///
/// `reshape` of `[n]` to `[m]` is right if n equals m; a slice that ends at element 50 needs an axis of 50. What can be
/// decided at compile time is decided by `resultTypes`; the rest travels in the artifact and is checked before each run.
public struct ShapeCondition: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable, CaseIterable {
    /// The extent is 0.
    case zero
    /// The extent is not negative.
    case nonNegative
  }
  public var kind: Kind
  public var extent: Extent
  /// What would be wrong otherwise, for people.
  public var violation: String

  public init(_ kind: Kind, _ extent: Extent, violation: String) { (self.kind, self.extent, self.violation) = (kind, extent, violation) }

  /// Two extents are equal.
  static func equal(_ a: Extent, _ b: Extent, _ violation: String) -> ShapeCondition { ShapeCondition(.zero, a - b, violation: violation) }
  /// The first extent is at most the second.
  static func atMost(_ a: Extent, _ b: Extent, _ violation: String) -> ShapeCondition { ShapeCondition(.nonNegative, b - a, violation: violation) }

  /// An axis has an element, unless `count`, the number of those that are looked up in it, is 0: nothing found is nothing looked up.
  static func occupied(_ extent: Extent, unlessEmpty count: Extent, _ violation: String) -> ShapeCondition {
    let always = ShapeCondition.atMost(1, extent, violation)
    let needed = Extent.minimum(1, count)
    // One that grew too large says nothing.
    if always.isCertain || needed.isOverflow || needed == 1 { return always }
    // No fewer elements than look-ups.
    let enough = ShapeCondition.atMost(count, extent, violation)
    return enough.isCertain && !enough.extent.isOverflow ? enough : .atMost(needed, extent, violation)
  }

  public func substituting(_ bindings: [String: Extent]) -> ShapeCondition {
    ShapeCondition(kind, extent.substituting(bindings), violation: violation)
  }

  /// True if no value of the symbols breaks it.
  var isCertain: Bool {
    if let value = extent.constant { return kind == .zero ? value == 0 : value >= 0 }
    // Symbols are not negative, so neither is a sum of their products with coefficients that are not.
    return kind == .nonNegative && extent.sumOfProducts.allSatisfy { $0.coefficient >= 0 && $0.factors.allSatisfy { if case .symbol = $0 { true } else { false } } }
  }
}

extension Graph {
  /// What the graph takes for granted about its symbols, each condition once, with the node it comes from.
  ///
  /// Graphs inside branches and loops are left out where only they know whether, or of which lengths, something holds.
  public func conditions() -> [ShapeCondition] {
    var found: [ShapeCondition] = []
    var seen: Set<String> = []
    func note(_ condition: ShapeCondition, _ origin: NodeOrigin) {
      guard !condition.isCertain, seen.insert("\(condition.kind) \(condition.extent)").inserted else { return }
      let place = origin.isKnown ? "\(origin): " : ""
      found.append(ShapeCondition(condition.kind, condition.extent, violation: place + condition.violation))
    }
    for id in topologicalOrder() {
      let node = self.node(id)
      for condition in node.operation.conditions(on: types(of: node.operands)) { note(condition, node.origin) }
      for type in types(of: node.results) {
        for extent in type.shape { note(.atMost(0, extent, "`\(node.operation.mnemonic)` would give \(type), with a negative length \(extent)"), node.origin) }
      }
      if node.operation is If || node.operation is While { continue }
      for region in node.operation.regions {
        let own = (node.operation as? Scan)?.symbolsInside ?? []
        for condition in region.conditions() where own.isDisjoint(with: condition.extent.symbols) { note(condition, node.origin) }
      }
    }
    for condition in requirements { note(condition, NodeOrigin()) }
    return found
  }

  /// The same graph with `conditions()` as its requirements, and those of the graphs inside branches and loops as theirs.
  ///
  /// Passes may take away the nodes that the conditions come from.
  public func statingConditions() throws(CompileError) -> Graph {
    var graph = try rebuilt { graph, node, operands throws(CompileError) in
      var operation = node.operation
      if let control = operation as? any ControlOperation {
        var regions: [Graph] = []
        for region in control.regions {
          var stated = try region.statingConditions()
          // What a scan's body says of lengths from around is said there.
          if let scan = control as? Scan {
            let own = scan.symbolsInside
            stated.requirements.removeAll { own.isDisjoint(with: $0.extent.symbols) }
          }
          regions.append(stated)
        }
        operation = control.replacing(regions: regions)
      }
      do throws(TypeError) { return try graph.add(operation, operands, origin: node.origin) } catch {
        throw CompileError(error, stage: .load, origin: node.origin, operands: graph.types(of: operands))
      }
    }
    graph.requirements = conditions()
    return graph
  }
}

extension Reshape {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] {
    let source = operands[0].shape
    return [.equal(source.elementCount, shape.elementCount, "\(operands[0]) has to have as many elements as \(shape)")]
  }
}

extension Slice {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] {
    var conditions: [ShapeCondition] = []
    for (axis, extent) in operands[0].shape.enumerated() where sizes[axis] != 0 {
      conditions.append(.atMost(0, starts[axis], "a slice starts at element \(starts[axis])"))
      // A slice of one symbolic size may be empty, and an empty one may lie anywhere; with step 1 its end says it all.
      let end = starts[axis] + (sizes[axis] - 1) * Extent(steps[axis]) + 1
      conditions.append(.atMost(end, extent, "a slice reaches up to element \(end) of the \(extent) on axis \(axis) of \(operands[0])"))
    }
    return conditions
  }
}

extension Pad {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] {
    var conditions = (low + high).map { ShapeCondition.atMost(0, $0, "a padding of \($0)") }
    for (axis, extent) in operands[0].shape.enumerated() where mode != .constant {
      for amount in [low[axis], high[axis]] where amount != 0 {
        let most = mode == .reflect ? extent - 1 : extent
        let needed = mode == .edge ? Extent(1) : amount
        conditions.append(.atMost(needed, mode == .edge ? extent : most, "padding \(amount) by \(mode.rawValue) needs more elements than the \(extent) on axis \(axis)"))
      }
    }
    return conditions
  }
}

extension TopK {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] {
    [.atMost(k, operands[0].shape[axis], "`top_k` takes \(k) of the \(operands[0].shape[axis]) elements of axis \(axis)")]
  }
}

extension Compact {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] {
    let room = operands[0].shape.elementCount
    return [.atMost(extent, room, "`compact` finds \(extent) of \(room) elements")]
  }
}

extension ArgReduce {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] {
    var results = operands[0].shape.extents
    let extent = results.remove(at: axis)
    return [.occupied(extent, unlessEmpty: Shape(results).elementCount, "`arg_reduce` needs an element on axis \(axis) of \(operands[0])")]
  }
}

extension Gather {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] {
    [.occupied(operands[0].shape[axis], unlessEmpty: operands[1].shape.elementCount, "`gather` needs an element on axis \(axis) of \(operands[0])")]
  }
}

extension GatherElements {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] { indexConditions(operands, axis) }
}

extension ScatterElements {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] { indexConditions(operands, axis) }
}

extension GatherND {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] {
    tupleConditions(operands[0], operands[1], after: batchAxes)
  }
}

extension ScatterND {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] {
    tupleConditions(operands[0], operands[1], after: 0)
  }
}

extension ReduceWindow {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] { window.conditions(Array(operands[0].shape), size: size) }
}

extension Convolution {
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] {
    let (input, filter) = (operands[0], operands[1])
    let spatial = axes(rank: input.rank).spatial
    let spread = zip(spatial, inputDilations).map { (input.shape[$0] - 1) * Extent($1) + 1 }
    return window.conditions(spread, size: filterAxes(rank: filter.rank).window.compactMap { filter.shape[$0].constant })
  }
}

extension Window {
  fileprivate func conditions(_ input: [Extent], size: [Int]) -> [ShapeCondition] {
    guard input.count == size.count else { return [] }
    return input.indices.map { axis in
      let reach = Extent(dilations[axis]) * Extent(size[axis] - 1) + 1
      let room = input[axis] + Extent(padsLow[axis]) + Extent(padsHigh[axis])
      return .atMost(reach, room, "a window of \(reach) does not fit into \(room) elements, padding included")
    }
  }
}

extension Operation {
  fileprivate func indexConditions(_ operands: [TensorType], _ axis: Int) -> [ShapeCondition] {
    let (outer, inner) = (operands[0].shape, operands[1].shape)
    let violation = "`\(mnemonic)` needs an element on axis \(axis) of \(operands[0])"
    var conditions = [ShapeCondition.occupied(outer[axis], unlessEmpty: inner.elementCount, violation)]
    for position in 0..<min(inner.rank, outer.rank) where position != axis {
      conditions.append(.atMost(inner[position], outer[position], "`\(mnemonic)` has indices \(inner) that reach beyond \(outer)"))
    }
    return conditions
  }

  fileprivate func tupleConditions(_ x: TensorType, _ indices: TensorType, after skipped: Int) -> [ShapeCondition] {
    let depth = indices.shape.extents.last?.constant ?? 0
    let tuples = Shape(Array(indices.shape.extents.dropLast())).elementCount
    return (skipped..<min(skipped + depth, x.rank)).map { .occupied(x.shape[$0], unlessEmpty: tuples, "`\(mnemonic)` needs an element on axis \($0) of \(x)") }
  }
}

extension Scan {
  /// Symbols that change from step to step.
  fileprivate var symbolsInside: Set<String> { Set(body.computedSymbols + [round].compactMap { $0 }) }
}
