import GraphIR
import TensorTypes

extension Graph {
  /// The graph with every node inside a `Fusion`, but for constants, plain reshapes, loops and branches.
  ///
  /// Three decisions, in this order: each anchor (contraction, reduction, window, special) takes along what its
  /// template can compute behind it; each remaining value gets memory only if it must, or if computing it again for
  /// each reader costs more; everything else is inlined into its readers.
  public func formingFusionGroups() throws(CompileError) -> Graph {
    var former = FusionFormer(graph: self)
    former.claimRegions()
    former.chooseMaterialized()
    former.boundExpansion()
    return try former.build()
  }
}

private struct FusionFormer {
  let graph: Graph
  let sequence: [NodeID]
  let order: [NodeID: Int]
  /// The region of each node that an anchor has claimed.
  private var regionOf: [NodeID: Int] = [:]
  private var regions: [FusionRegion] = []
  /// Values that get memory.
  private var materialized: Set<ValueID> = []
  /// Why a value that was not an anchor's got memory, for people.
  private var reasons: [ValueID: String] = [:]

  init(graph: Graph) {
    self.graph = graph
    sequence = graph.topologicalOrder()
    order = Dictionary(uniqueKeysWithValues: sequence.enumerated().map { ($1, $0) })
  }

  static func template(of operation: any Operation) -> Fusion.Template? {
    switch operation {
    case is Dot: .dot
    case is Convolution: .convolution
    case is ReduceWindow: .window
    case is Reduce: .reduction
    case is ArgReduce, is Cumulative, is TopK, is ScatterElements, is ScatterND, is Compact, is Suppress, is TreeEnsemble: .special
    case let composite as Composite where NarrowDot.isNarrow(composite): .dot
    default: nil
    }
  }

  // MARK: Anchors

  mutating func claimRegions() {
    for id in sequence where regionOf[id] == nil {
      let node = graph.node(id)
      guard let template = Self.template(of: node.operation) else { continue }
      let region = FusionRegion(anchor: node, template: template, graph: graph, order: order) { regionOf[$0] != nil }
      for member in region.members { regionOf[member] = regions.count }
      regions.append(region)
    }
  }

  // MARK: Memory

  mutating func chooseMaterialized() {
    materialized = Set(graph.inputs)
    for output in graph.outputs { keep(output, "the model returns it") }
    for region in regions { materialized.formUnion(region.template == .special ? region.anchor.results : [region.root]) }
    for id in sequence {
      let node = graph.node(id)
      if node.operation is any ControlOperation {
        materialized.formUnion(node.results)
        for operand in node.operands { keep(operand, node.operation is If ? "a branch reads it" : "a loop reads it") }
      }
      if !node.operation.definedSymbols.isEmpty {
        materialized.formUnion(node.results)
        for operand in node.operands { keep(operand, "lengths are read from it") }
      }
      if node.operation is TextOperation {
        materialized.formUnion(node.results)
        for operand in node.operands { keep(operand, "text is made or read") }
      }
      if node.operation is Fusion {
        materialized.formUnion(node.results)
        for operand in node.operands { keep(operand, "another kernel reads its elements many times") }
      }
      for operand in operandsThatNeedMemory(node) { keep(operand, "\(node.operation.mnemonic) reads its elements many times") }
    }
    // From the outputs up: where does each inlined value end?
    var cost: [ValueID: Int] = [:]
    for id in sequence {
      let node = graph.node(id)
      let own = FusionCost.arithmetic(node.operation)
      let inherited = node.operands.reduce(0) { $0 + (materialized.contains($1) ? 0 : cost[$1] ?? 0) }
      for result in node.results { cost[result] = min(own + inherited, 1 << 20) }
    }
    var sinks: [ValueID: Set<ValueID>] = [:]
    var size: [ValueID: Int] = [:]
    for id in sequence.reversed() {
      let node = graph.node(id)
      guard FusionCost.isInlinable(node.operation), regionOf[id] == nil, let result = node.results.first, !(node.operation is Constant) else { continue }
      var sink: Set<ValueID> = []
      for use in graph.uses(of: result) where order[use.node] != nil { sink.formUnion(sinkOf(use.node, sinks)) }
      if !materialized.contains(result) {
        let price = cost[result] ?? 0
        if sink.count > 1 && price > FusionCost.cheapEnoughToRepeat && !WideningOfBytes.isOne(result, graph) {
          keep(result, "\(sink.count) kernels read it, and it costs \(price) per element to repeat")
        } else if isBroadcastDear(result, price) {
          keep(result, "each element is read many times, and costs \(price)")
        } else if (size[result] ?? 0) > FusionCost.mostNodes {
          keep(result, "the kernel behind it is full")
        }
      }
      sinks[result] = materialized.contains(result) ? [result] : sink
      let depth = materialized.contains(result) ? 1 : (size[result] ?? 0) + 1
      for operand in node.operands { size[operand] = max(size[operand] ?? 0, depth) }
    }
  }

  /// From the inputs down: gives memory to what a kernel would otherwise compute too many times over.
  mutating func boundExpansion() {
    // At most so many elements are computed for one of the value.
    var bound: [ValueID: Int] = [:]
    for id in sequence {
      let node = graph.node(id)
      if let number = regionOf[id] {
        let region = regions[number]
        // A region's members are computed at one index; what they read is looked at where the region ends.
        guard node.results.contains(region.root) || region.template == .special else { continue }
        var outside: Set<ValueID> = []
        for member in region.members { outside.formUnion(graph.node(member).operands.filter(isInlined)) }
        _ = limit(outside.sorted(), &bound)
      } else if let result = node.results.first, FusionCost.isInlinable(node.operation), !(node.operation is Constant) {
        bound[result] = limit(node.operands.filter(isInlined), &bound, reader: result)
      }
    }
  }

  /// Gives memory to some of `operands`, or to what they are views of, until all that is computed for them is little.
  /// Returns a bound for what is left, with the reader.
  private mutating func limit(_ operands: [ValueID], _ bound: inout [ValueID: Int], reader: ValueID? = nil) -> Int {
    let most = FusionCost.mostRepeats
    // As if nothing were shared; counted only if that is too much.
    var left = operands.reduce(1) { $0 + (bound[$1] ?? 1) }
    guard left > most else { return left }
    if let counted = expansion(of: reader.map { [$0] } ?? operands) { return counted }
    let parts = operands.map { (operand: $0, source: inlinedBase(of: $0), count: bound[$0] ?? 1) }
    for part in parts.sorted(by: { $0.count > $1.count }) where left > most {
      keep(part.source, "its readers would compute it too many times over")
      // Views of it stay.
      let rest = part.source == part.operand ? 0 : max(1, part.count - (bound[part.source] ?? 1))
      bound[part.operand] = rest
      left -= part.count - rest
    }
    return left
  }

  private func expansion(of values: [ValueID]) -> Int? {
    Expansion.count(of: values, in: graph, repeating: FusionCost.mostRepeats, isInlined: isInlined)
  }

  /// True for a value that its readers compute themselves.
  private func isInlined(_ value: ValueID) -> Bool {
    guard !materialized.contains(value), let node = graph.producer(of: value), regionOf[node.id] == nil else { return false }
    return FusionCost.isInlinable(node.operation) && !(node.operation is Constant)
  }

  /// What a value is a view of, as far as that has no memory.
  private func inlinedBase(of value: ValueID) -> ValueID {
    var value = value
    while let node = graph.producer(of: value), FusionCost.isView(node.operation), isInlined(node.operands[0]) { value = node.operands[0] }
    return value
  }

  private mutating func keep(_ value: ValueID, _ reason: String) {
    if materialized.insert(value).inserted { reasons[value] = reason }
  }

  private func sinkOf(_ node: NodeID, _ sinks: [ValueID: Set<ValueID>]) -> Set<ValueID> {
    if let region = regionOf[node] { return [regions[region].root] }
    let result = graph.node(node).results[0]
    return sinks[result] ?? [result]
  }

  /// Read many times over through a broadcast (or a gather of more than there is), and not cheap.
  private func isBroadcastDear(_ value: ValueID, _ price: Int) -> Bool {
    guard price > FusionCost.cheapEnoughToBroadcast else { return false }
    let count = graph.type(of: value).shape.elementCount
    return graph.uses(of: value).contains { use in
      let user = graph.node(use.node)
      guard user.operation is Broadcast || user.operation is Gather || user.operation is GatherElements || user.operation is GatherND else { return false }
      return graph.type(of: user.results[0]).shape.elementCount != count
    }
  }

  /// The operands that a node's template reads many times, seen through views.
  private func operandsThatNeedMemory(_ node: Node) -> [ValueID] {
    if multipliesBytes(node) { return [keepsLastAxis(node.operands[0]) ? base(of: node.operands[0]) : node.operands[0], base(of: node.operands[1])] }
    return switch node.operation {
    case is Convolution:
      if let parts = concatenatedParts(node) { parts.map { part in sliceBase(of: part) } + [base(of: node.operands[1])] } else { node.operands.map { base(of: widenedBytes($0, by: node)) } }
    case is Dot: node.operands.map { base(of: $0) }
    case let composite as Composite where NarrowDot.isNarrow(composite): [base(of: node.operands[0])]
    case is ReduceWindow, is TopK, is TreeEnsemble: [base(of: node.operands[0])]
    case is Suppress: [base(of: node.operands[0]), base(of: node.operands[1])]
    default: []
    }
  }

  /// What a convolution without a window reads through a concatenation of channels: it sums over one part after the other, so the
  /// concatenation needs no memory.
  private func concatenatedParts(_ node: Node) -> [ValueID]? {
    guard let convolution = node.operation as? Convolution, convolution.layout == .channelsLast, convolution.groups == 1, graph.type(of: node.operands[0]).element == .f32,
      convolution.inputDilations.allSatisfy({ $0 == 1 }), let source = graph.producer(of: node.operands[0]), let concatenate = source.operation as? Concatenate,
      concatenate.axis == graph.type(of: node.operands[0]).rank - 1, (2...FusionCost.mostConcatenatedParts).contains(source.operands.count),
      graph.type(of: node.operands[1]).shape.extents.dropLast(2).allSatisfy({ $0 == 1 }),
      source.operands.allSatisfy({ graph.type(of: $0).shape[concatenate.axis].isConstant && graph.constant($0) == nil })
    else { return nil }
    return source.operands
  }

  /// The value that a value is a slice of: reading through slices costs nothing, even once for each product.
  private func sliceBase(of value: ValueID) -> ValueID {
    var value = value
    while let node = graph.producer(of: value), node.operation is Slice, regionOf[node.id] == nil { value = node.operands[0] }
    return value
  }

  /// True for sums of products of bytes, four of which one instruction takes where they are neighbours in the left operand's memory.
  private func multipliesBytes(_ node: Node) -> Bool {
    guard node.operation is Dot || node.operation is Convolution, node.operands.allSatisfy({ graph.type(of: $0).element.isByte }), graph.type(of: node.results[0]).element == .i32 else {
      return false
    }
    return (node.operation as? Convolution)?.layout != .channelsFirst
  }

  /// True if neighbours along the last axis of a view are neighbours in memory.
  private func keepsLastAxis(_ value: ValueID) -> Bool {
    var value = value
    while let node = graph.producer(of: value), FusionCost.isView(node.operation), regionOf[node.id] == nil {
      let (source, result) = (graph.type(of: node.operands[0]).shape, graph.type(of: value).shape)
      switch node.operation {
      case let transpose as Transpose: guard transpose.permutation.last == transpose.permutation.count - 1 else { return false }
      case let slice as Slice: guard slice.steps.last == 1 else { return false }
      case is Reshape:
        // Memory itself is contiguous under any shape; of a view the last axis may only be split.
        let isMemory = graph.producer(of: node.operands[0]).map { !FusionCost.isView($0.operation) } ?? true
        guard isMemory || source.extents.last.flatMap({ from in result.extents.last.map { from == $0 || from.modulo($0) == 0 } }) ?? false else { return false }
      default: guard source.rank > 0, source.extents.last == result.extents.last, !(node.operation is Reverse) else { return false }
      }
      value = node.operands[0]
    }
    return true
  }

  /// The bytes that a convolution of each channel on its own converts as it reads them.
  private func widenedBytes(_ value: ValueID, by node: Node) -> ValueID {
    guard let convolution = node.operation as? Convolution, convolution.groups > 1, graph.type(of: node.operands[1]).shape[convolution.filterAxes(rank: graph.type(of: value).rank).input] == 1,
      let (convert, operation) = graph.producer(of: value, as: Convert.self), !operation.keepsBits, graph.type(of: convert.operands[0]).element.isByte
    else { return value }
    return convert.operands[0]
  }

  private func base(of value: ValueID) -> ValueID {
    var value = value
    while let node = graph.producer(of: value), FusionCost.isView(node.operation), regionOf[node.id] == nil { value = node.operands[0] }
    return value
  }

  // MARK: Building

  func build() throws(CompileError) -> Graph {
    var builder = FusedGraph(graph)
    for id in sequence {
      let node = graph.node(id)
      if let control = node.operation as? any ControlOperation {
        var regions = control.regions
        for position in regions.indices { regions[position] = try regions[position].formingFusionGroups() }
        try builder.add(control.replacing(regions: regions), like: node)
      } else if node.operation is Constant {
        continue
      } else if node.operation is Fusion || node.operation is Measure || node.operation is TextOperation {
        try builder.add(node.operation, like: node)
      } else if let number = regionOf[id] {
        let region = regions[number]
        let isLast = region.template == .special ? node.id == region.anchor.id : node.results.contains(region.root)
        if isLast {
          let behind = region.members.count - 1
          let reason = behind == 0 ? "nothing behind it fits its loops" : behind == 1 ? "takes 1 node along" : "takes \(behind) nodes along"
          try builder.addFusion(of: region.template == .special ? node.results : [region.root], region.template, region.anchor.origin, materialized, reason)
        }
      } else if let result = node.results.first, materialized.contains(result) {
        if node.operation is Reshape, materialized.contains(node.operands[0]), !graph.isOutput(result) { try builder.add(node.operation, like: node) } else {
          try builder.addFusion(of: [result], .loop, node.origin, materialized, reasons[result] ?? "")
        }
      }
    }
    return try builder.finished()
  }
}

/// The new graph while it grows: values of the old graph that have memory, and their places in the new one.
private struct FusedGraph {
  let old: Graph
  var new: Graph
  private var renamed: [ValueID: ValueID] = [:]

  init(_ old: Graph) {
    self.old = old
    new = Graph(name: old.name)
    new.requirements = old.requirements
    for input in old.inputs { renamed[input] = new.addInput(old.value(input).name, old.type(of: input)) }
  }

  /// The value in the new graph; constants are added when they are first read.
  private mutating func value(_ id: ValueID) throws(CompileError) -> ValueID {
    if let known = renamed[id] { return known }
    guard let node = old.producer(of: id), node.operation is Constant else {
      throw CompileError(.unsupported, "a value that a kernel reads was given no memory", stage: .pass("form-fusion-groups"), origin: old.producer(of: id)?.origin ?? NodeOrigin())
    }
    let added = try insert(node.operation, [], node.origin, name: old.value(id).name)[0]
    renamed[id] = added
    return added
  }

  private mutating func insert(_ operation: any Operation, _ operands: [ValueID], _ origin: NodeOrigin, name: String) throws(CompileError) -> [ValueID] {
    do throws(TypeError) { return try new.add(operation, operands, origin: origin, name: name) } catch {
      throw CompileError(error, stage: .pass("form-fusion-groups"), origin: origin, operands: new.types(of: operands))
    }
  }

  mutating func add(_ operation: any Operation, like node: Node) throws(CompileError) {
    var operands: [ValueID] = []
    for operand in node.operands { operands.append(try value(operand)) }
    let results = try insert(operation, operands, node.origin, name: old.value(node.results[0]).name)
    for (before, after) in zip(node.results, results) { renamed[before] = after }
  }

  /// Adds a fusion that computes `results`, with everything inlined down to values that have memory.
  mutating func addFusion(
    of results: [ValueID], _ template: Fusion.Template, _ origin: NodeOrigin, _ materialized: Set<ValueID>, _ reason: String
  ) throws(CompileError) {
    var body = Graph(name: template.rawValue)
    var inner: [ValueID: ValueID] = [:]
    var operands: [ValueID] = []
    func isRead(_ id: ValueID) -> Bool {
      guard let node = old.producer(of: id) else { return true }
      if let constant = node.operation as? Constant { return constant.tensor.count != 1 }
      return materialized.contains(id) && !results.contains(id)
    }
    // Depth first without recursion: chains in a model may be long.
    var stack = results.map { (value: $0, isReady: false) }
    while let (id, isReady) = stack.popLast() {
      if inner[id] != nil { continue }
      if isRead(id) {
        operands.append(try value(id))
        inner[id] = body.addInput(old.value(id).name, old.type(of: id))
        continue
      }
      guard let node = old.producer(of: id) else { continue }
      if !isReady {
        stack.append((id, true))
        for operand in node.operands.reversed() where inner[operand] == nil { stack.append((operand, false)) }
        continue
      }
      let mapped = node.operands.compactMap { inner[$0] }
      do throws(TypeError) {
        let values = try body.add(node.operation, mapped, origin: node.origin, name: old.value(node.results[0]).name)
        for (before, after) in zip(node.results, values) { inner[before] = after }
      } catch { throw CompileError(error, stage: .pass("form-fusion-groups"), origin: node.origin, operands: body.types(of: mapped)) }
    }
    body.setOutputs(results.compactMap { result in inner[result].map { (old.value(result).name, $0) } })
    let fusion = Fusion(template, body: body, reason: reason)
    let added = try insert(fusion, operands, origin, name: old.value(results[0]).name)
    for (before, after) in zip(results, added) { renamed[before] = after }
  }

  /// Sets the outputs. Each is written by a fusion, a loop or a branch of its own, so that no two share memory with each other or an input.
  mutating func finished() throws(CompileError) -> Graph {
    var outputs: [(name: String, value: ValueID)] = []
    var taken: Set<ValueID> = []
    for (name, output) in zip(old.outputNames, old.outputs) {
      var place = try value(output)
      let producer = new.producer(of: place)?.operation
      if !(producer is Fusion || producer is any ControlOperation) || !taken.insert(place).inserted {
        var body = Graph(name: "copy")
        let input = body.addInput("x", new.type(of: place))
        body.setOutputs([("y", input)])
        place = try insert(Fusion(.loop, body: body, reason: "an output needs memory of its own"), [place], NodeOrigin(node: name, operatorName: "copy"), name: name)[0]
        taken.insert(place)
      }
      outputs.append((name, place))
    }
    new.setOutputs(outputs)
    return new
  }
}
