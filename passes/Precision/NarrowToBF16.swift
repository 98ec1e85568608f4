import GraphIR
import TensorTypes

/// Gives contractions bf16 operands, and keeps what lies between kernels as bf16. For graphs of fusions.
///
///     %h = fusion %x, %w {template = dot} ( dot, add, gelu : f32 ) : f32[128,3072]
///     %y = fusion %h, %v {template = dot} ( dot, add : f32 ) : f32[128,768]
/// ->
///     %h = fusion %x', %w {template = dot} ( dot of %x' and convert %w : f32, add, gelu : f32, convert : bf16 ) : bf16[128,3072]
///     %y = fusion %h, %v {template = dot} ( dot of %h and convert %v : f32, add : f32 ) : f32[128,768]
///
/// Sums, and everything else inside a kernel, stay f32: one rounding where a value goes to memory, and none where it does not. It comes
/// after fusion because only then it is known what goes to memory; every reader of a value then reads the same bf16, so that
/// none is written twice. `NarrowStorage` says which values these are.
///
/// Numerics: operands rounded to 8 bits of significand (relative error at most 2^-9 each); `vdpbf16ps` takes subnormal numbers as zero.
public let narrowToBF16 = Pass<Graph>(
  "narrow-to-bf16", "Gives contractions bf16 operands and keeps the values between kernels as bf16 (with --precision bf16)."
) { graph, _ throws(CompileError) in
  let storage = NarrowStorage(graph)
  guard !storage.contractions.isEmpty else { return false }
  var rewrite = Narrowing(graph, storage)
  graph = try rewrite.run()
  return true
}.insideRegions()

/// The graph with narrow values while it grows.
private struct Narrowing {
  private let old: Graph
  private let storage: NarrowStorage
  private var new: Graph
  private var renamed: [ValueID: ValueID] = [:]
  /// bf16 copies of values that stay f32.
  private var copies: [ValueID: ValueID] = [:]

  init(_ graph: Graph, _ storage: NarrowStorage) {
    (old, self.storage) = (graph, storage)
    new = Graph(name: graph.name)
    new.requirements = graph.requirements
    for input in graph.inputs { renamed[input] = new.addInput(graph.value(input).name, graph.type(of: input)) }
  }

  mutating func run() throws(CompileError) -> Graph {
    for id in old.topologicalOrder() {
      let node = old.node(id)
      if let fusion = node.operation as? Fusion, storage.isRewritten(fusion) {
        let (body, operands) = try rebuilt(fusion, node)
        try add(Fusion(fusion.template, body: body, reason: fusion.reason), operands, like: node)
      } else {
        try add(node.operation, node.operands.compactMap { renamed[$0] }, like: node)
      }
    }
    new.setOutputs(zip(old.outputNames, old.outputs).map { ($0, renamed[$1] ?? $1) })
    return new
  }

  private mutating func add(_ operation: any Operation, _ operands: [ValueID], like node: Node) throws(CompileError) {
    let results = try insert(operation, operands, node, name: old.value(node.results[0]).name)
    for (before, after) in zip(node.results, results) { renamed[before] = after }
  }

  private mutating func insert(_ operation: any Operation, _ operands: [ValueID], _ node: Node, name: String) throws(CompileError) -> [ValueID] {
    do throws(TypeError) { return try new.add(operation, operands, origin: node.origin, name: name) } catch {
      throw CompileError(error, stage: .pass("narrow-to-bf16"), origin: node.origin, operands: new.types(of: operands))
    }
  }

  /// The value as bf16, for a contraction: itself, or a copy that a kernel of its own makes.
  private mutating func narrowed(_ value: ValueID, _ node: Node) throws(CompileError) -> ValueID? {
    guard let place = renamed[value] else { return nil }
    if new.type(of: place).element == .bf16 { return place }
    if let copy = copies[value] { return copy }
    var body = Graph(name: "narrow")
    let input = body.addInput("x", new.type(of: place))
    let result = try body.insert(Convert(to: .bf16), input, like: node)
    body.setOutputs([("y", result)])
    let copy = try insert(Fusion(.loop, body: body, reason: "a contraction reads it as bf16"), [place], node, name: old.value(value).name)[0]
    copies[value] = copy
    return copy
  }

  /// What a contraction reads as its left operand, laid out anew as bf16, with zeros behind its last axis.
  private mutating func copiedLeft(_ left: ValueID, of node: Node, _ source: Graph, zeros: Int) throws(CompileError) -> ValueID {
    var views: [Node] = []
    var value = left
    while let view = source.producer(of: value) {
      views.append(view)
      value = view.operands[0]
    }
    guard let position = source.inputs.firstIndex(of: value), let place = renamed[node.operands[position]] else {
      throw CompileError(.unsupported, "a left operand that is no view of memory", stage: .pass("narrow-to-bf16"), origin: node.origin)
    }
    var body = Graph(name: "narrow")
    var result = body.addInput("x", new.type(of: place))
    for view in views.reversed() { result = try body.insert(view.operation, result, like: node) }
    if body.type(of: result).element != .bf16 { result = try body.insert(Convert(to: .bf16), result, like: node) }
    if zeros > 0 {
      let zero = try body.add(Constant(Tensor(scalar: 0, .bf16)), [], like: node)[0]
      let rank = body.type(of: result).rank
      let none = [Extent](repeating: 0, count: rank)
      result = try body.add(Pad(low: none, high: none.dropLast() + [Extent(zeros)]), [result, zero], like: node)[0]
    }
    body.setOutputs([("y", result)])
    return try insert(Fusion(.loop, body: body, reason: "a contraction reads it as bf16, channels side by side"), [place], node, name: "")[0]
  }

  // MARK: Bodies

  /// The body of a fusion that reads and writes what is narrow as bf16, and its operands.
  private mutating func rebuilt(_ fusion: Fusion, _ node: Node) throws(CompileError) -> (body: Graph, operands: [ValueID]) {
    let source = fusion.body
    let zeros = storage.copiedLeft[node.id]
    let demand = BodyDemand(fusion, contracts: storage.contractions.contains(node.id), copiesLeft: zeros != nil)
    let writesNarrow = node.results.contains { storage.isNarrow($0) }
    var body = Graph(name: source.name)
    var operands: [ValueID] = []
    var (wide, narrow): ([ValueID: ValueID], [ValueID: ValueID]) = ([:], [:])
    for (input, operand) in zip(source.inputs, node.operands) {
      guard var place = renamed[operand] else { continue }
      if let zeros, zeros > 0, demand.narrow.contains(input), let filter = old.constant(operand) {
        place = try insert(Constant(filter.withZeroChannels(zeros)), [], node, name: old.value(operand).name)[0]
      }
      let (name, type) = (source.value(input).name, new.type(of: place))
      if demand.wide.contains(input) || (demand.narrow.contains(input) && (type.element == .bf16 || old.constant(operand) != nil)) {
        let read = body.addInput(name, type)
        operands.append(place)
        let isStoredNarrow = type.element == .bf16 && source.type(of: input).element == .f32
        if demand.wide.contains(input) { wide[input] = isStoredNarrow ? try body.insert(Convert(to: .f32), read, like: node) : read }
        if demand.narrow.contains(input) {
          if type.element == .bf16 { narrow[input] = read } else if old.constant(operand) != nil { narrow[input] = try body.insert(Convert(to: .bf16), read, like: node) }
        }
      }
      if demand.narrow.contains(input), narrow[input] == nil, let copy = try narrowed(operand, node) {
        narrow[input] = body.addInput(name, new.type(of: copy))
        operands.append(copy)
      }
    }
    if zeros != nil, let left = demand.contraction.map({ source.node($0).operands[0] }) {
      let copy = try copiedLeft(left, of: node, source, zeros: zeros ?? 0)
      narrow[left] = body.addInput("left", new.type(of: copy))
      operands.append(copy)
    }
    // The rounding comes before movement at the end, which only says where a result is stored.
    let stored = writesNarrow ? demand.movedResult(of: source) : nil
    for id in source.topologicalOrder() {
      let inner = source.node(id)
      guard let result = inner.results.first else { continue }
      if demand.narrow.contains(result) {
        narrow[result] = try body.add(inner.operation, inner.operands.compactMap { narrow[$0] }, like: inner)[0]
      }
      guard inner.results.contains(where: demand.wide.contains) else { continue }
      var values = inner.operands.compactMap { demand.contraction == id ? narrow[$0] : wide[$0] }
      if let stored, stored.movement.contains(id), let padding = values.dropFirst().first {
        values[1] = try body.insert(Convert(to: .bf16), padding, like: inner)
      }
      let added = try body.add(demand.contraction == id ? inner.operation.givingF32 : inner.operation, values, like: inner)
      for (before, after) in zip(inner.results, added) { wide[before] = after }
      if let stored, stored.value == result, let value = wide[result] { wide[result] = try body.insert(Convert(to: .bf16), value, like: inner) }
    }
    if let stored, source.producer(of: stored.value) == nil, let value = wide[stored.value] {
      // A copy: the body computes nothing.
      wide[stored.value] = try body.insert(Convert(to: .bf16), value, like: node)
    }
    body.setOutputs(zip(source.outputNames, source.outputs).compactMap { name, output in wide[output].map { (name, $0) } })
    return (body, operands)
  }
}

/// Which values of a fusion's body are wanted as they are, and which as bf16.
private struct BodyDemand {
  private(set) var wide: Set<ValueID>
  private(set) var narrow: Set<ValueID> = []
  /// The contraction that takes bf16 operands.
  private(set) var contraction: NodeID?

  /// - Parameter copiesLeft: The left operand of the contraction comes from outside.
  init(_ fusion: Fusion, contracts: Bool, copiesLeft: Bool) {
    let body = fusion.body
    wide = Set(body.outputs)
    let order = body.topologicalOrder()
    if contracts { contraction = order.first { body.node($0).operation is Dot || body.node($0).operation is Convolution } }
    for id in order.reversed() {
      let node = body.node(id)
      if node.results.contains(where: wide.contains) {
        if id == contraction { narrow.formUnion(node.operands.suffix(copiesLeft ? 1 : 2)) } else { wide.formUnion(node.operands) }
      }
      if node.results.contains(where: narrow.contains) { narrow.formUnion(node.operands) }
    }
  }

  /// The value that the movement at the end of a body stores, and this movement.
  func movedResult(of body: Graph) -> (value: ValueID, movement: Set<NodeID>) {
    var (value, movement) = (body.outputs[0], Set<NodeID>())
    while let node = body.producer(of: value), node.operation is Reshape || node.operation is Transpose || node.operation is Pad, body.useCount(of: value) == 1 {
      // What reads memory through a view moves elements, and computes none.
      guard body.producer(of: node.operands[0]) != nil, body.useCount(of: node.operands[0]) == 1 else { break }
      movement.insert(node.id)
      value = node.operands[0]
    }
    return (value, movement)
  }
}

extension Graph {
  fileprivate mutating func add(_ operation: any Operation, _ operands: [ValueID], like node: Node) throws(CompileError) -> [ValueID] {
    do throws(TypeError) { return try add(operation, operands, origin: node.origin) } catch {
      throw CompileError(error, stage: .pass("narrow-to-bf16"), origin: node.origin, operands: types(of: operands))
    }
  }

  fileprivate mutating func insert(_ operation: any Operation, _ operand: ValueID, like node: Node) throws(CompileError) -> ValueID {
    try add(operation, [operand], like: node)[0]
  }
}

extension Tensor {
  /// A filter [window..., C, O] with more input channels, all zero.
  fileprivate func withZeroChannels(_ more: Int) -> Tensor {
    let rank = dimensions.count
    let (channels, rowBytes) = (dimensions[rank - 2], dimensions[rank - 1] * element.byteCount)
    var wider = dimensions
    wider[rank - 2] += more
    return Tensor(element, wider) { target in
      withBytes { source in
        guard channels > 0, rowBytes > 0 else { return }
        for tap in 0..<source.count / (channels * rowBytes) {
          let part = UnsafeRawBufferPointer(rebasing: source[tap * channels * rowBytes..<(tap + 1) * channels * rowBytes])
          UnsafeMutableRawBufferPointer(rebasing: target[(tap * (channels + more) * rowBytes)...]).copyMemory(from: part)
        }
      }
    }
  }
}

extension Operation {
  /// A contraction whose sum is its result.
  fileprivate var givingF32: any Operation {
    if self is Dot { return Dot(result: .f32) }
    if var convolution = self as? Convolution {
      convolution.result = .f32
      return convolution
    }
    return self
  }
}
