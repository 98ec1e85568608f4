import GraphIR
import TensorTypes

/// What a loop or a branch takes and gives when what it need not take and give is left out. A `scan` stays as it is: kernels for recurrent layers
/// know its form.
struct ControlSignature {
  /// Where a result of the node comes from.
  enum Result: Equatable {
    case result(Int)
    /// It is one of the node's operands.
    case operand(Int)
    /// Nobody reads it.
    case none
  }

  /// What stands for an input of a graph inside.
  private enum Input {
    /// The input of this number.
    case input(Int)
    case constant(Tensor)
    /// Nothing reads it.
    case none
  }

  private let node: Node
  private let control: any ControlOperation
  /// Operands that do not belong to the graphs inside: a condition.
  private let leading: Int
  /// Carried values; the first inputs of the graph inside.
  private let carried: Int
  /// Positions in the node's operands.
  private(set) var operands: [Int] = []
  /// One for each result of the node.
  private(set) var results: [Result] = []
  private var inputs: [Input] = []
  /// Positions in the outputs of the graphs inside.
  private var outputs: [Int] = []

  /// - Parameters:
  ///   - isRead: Which results somebody reads.
  ///   - constants: The operands that are constants.
  /// - Returns: Nil if everything has to stay.
  init?(_ node: Node, isRead: [Bool], constants: [Tensor?]) {
    guard let control = node.operation as? any ControlOperation else { return nil }
    (self.node, self.control) = (node, control)
    switch control {
    case let loop as While: (leading, carried) = (1, loop.carried)
    case is If: (leading, carried) = (1, 0)
    default: return nil
    }
    let kept = keptOutputs(isRead)
    if outputs.isEmpty { return nil }
    chooseInputs(constants, carried: kept)
    if isWhole { return nil }
  }

  private var regions: [Graph] { control.regions }
  /// Outputs of the graphs inside that are no results: whether there is another round.
  private var leadingOutputs: Int { control is While ? 1 : 0 }

  private var isWhole: Bool {
    operands.count == node.operands.count && outputs.count == regions[0].outputs.count && inputs.indices.allSatisfy { position in
      if case .input(let number) = inputs[position] { number == position } else { false }
    }
  }

  // MARK: Outputs

  /// Decides which outputs stay. Returns which carried values do.
  private mutating func keptOutputs(_ isRead: [Bool]) -> [Bool] {
    let count = node.results.count
    // Carried values that the body returns as they are.
    var invariant = [Bool](repeating: false, count: carried)
    let own = Set(control.definedSymbols)
    if let body = regions.first, carried > 0 {
      for position in 0..<carried where own.isDisjoint(with: body.type(of: body.inputs[position]).shape.symbols) {
        invariant[position] = body.outputs[leadingOutputs + position] == body.inputs[position]
      }
    }
    var isKept = isRead
    for position in 0..<count {
      let shapes: [Shape]
      switch control {
      case let branch as If: shapes = [branch.shapes[position]]
      case let loop as While where position < carried: shapes = [loop.body.type(of: loop.body.inputs[position]).shape]
      default: shapes = []
      }
      // Such a result says what a symbol is.
      if shapes.contains(where: { shape in shape.symbols.contains { own.contains($0) } }) { isKept[position] = true }
    }
    // A carried value that something that stays is computed from stays as well.
    var isGrowing = true
    while isGrowing, let body = regions.first, carried > 0 {
      isGrowing = false
      let roots = (0..<body.outputs.count).filter { $0 < leadingOutputs || (isKept[$0 - leadingOutputs] && !isInvariant($0 - leadingOutputs, invariant)) }
      let read = body.inputsRead(by: roots.map { body.outputs[$0] })
      for position in 0..<carried where !isKept[position] && !invariant[position] && read.contains(body.inputs[position]) {
        isKept[position] = true
        isGrowing = true
      }
    }
    outputs = Array(0..<leadingOutputs)
    for position in 0..<count {
      if isInvariant(position, invariant) {
        results.append(.operand(leading + position))
      } else if isKept[position] {
        results.append(.result(outputs.count - leadingOutputs))
        outputs.append(leadingOutputs + position)
      } else {
        results.append(.none)
      }
    }
    // A loop whose values all are as before stays for what it checks, and for its number of rounds.
    if outputs.count == leadingOutputs { outputs = [] }
    return (0..<carried).map { isKept[$0] && !invariant[$0] }
  }

  private func isInvariant(_ position: Int, _ invariant: [Bool]) -> Bool { position < invariant.count && invariant[position] }

  // MARK: Inputs

  private mutating func chooseInputs(_ constants: [Tensor?], carried isCarried: [Bool]) {
    var isRead = [Bool](repeating: false, count: regions[0].inputs.count)
    for region in regions {
      let read = region.inputsRead(by: outputs.map { region.outputs[$0] })
      for (position, input) in region.inputs.enumerated() where read.contains(input) { isRead[position] = true }
    }
    operands = Array(0..<leading)
    inputs = [Input](repeating: .none, count: isRead.count)
    func keep(_ position: Int) {
      inputs[position] = .input(operands.count - leading)
      operands.append(leading + position)
    }
    for position in 0..<carried where isCarried[position] { keep(position) }
    // Read whole: carried values that do not change, and what was so before.
    var known: [ValueID: Int] = [:]
    for position in Array(0..<carried).filter({ !isCarried[$0] }) + Array(carried..<isRead.count) where isRead[position] {
      let operand = node.operands[leading + position]
      if let tensor = constants[leading + position] {
        inputs[position] = .constant(tensor)
      } else if let other = known[operand] {
        inputs[position] = .input(other)
      } else {
        known[operand] = operands.count - leading
        keep(position)
      }
    }
  }

  // MARK: The operation

  func operation() throws(TypeError) -> any ControlOperation {
    var graphs: [Graph] = []
    for region in regions { graphs.append(try specialized(region)) }
    let carriedNow = (0..<carried).count { if case .result = results[$0] { true } else { false } }
    switch control {
    case let loop as While: return While(carried: carriedNow, round: loop.round, lengths: loop.lengths, limit: loop.limit, body: graphs[0])
    case let branch as If:
      return If(then: graphs[0], otherwise: graphs[1], symbols: branch.symbols, shapes: outputs.map { branch.shapes[$0] })
    default: throw TypeError("`\(control.mnemonic)` has no signature to narrow")
    }
  }

  private func specialized(_ region: Graph) throws(TypeError) -> Graph {
    var graph = Graph(name: region.name)
    graph.requirements = region.requirements
    var renamed: [ValueID: ValueID] = [:]
    var added: [Int: ValueID] = [:]
    // Inputs in the order of the new operands.
    let order = region.inputs.indices.sorted { number(of: $0) < number(of: $1) }
    for position in order {
      let input = region.inputs[position]
      switch inputs[position] {
      case .input(let number):
        let value = added[number] ?? graph.addInput(region.value(input).name, region.type(of: input))
        added[number] = value
        renamed[input] = value
      case .constant(let tensor): renamed[input] = try graph.add(Constant(tensor), [], name: region.value(input).name)[0]
      case .none: break
      }
    }
    let wanted = outputs.map { region.outputs[$0] }
    for id in region.order(of: wanted) {
      let node = region.node(id)
      let results = try graph.add(node.operation, node.operands.compactMap { renamed[$0] }, origin: node.origin, name: region.value(node.results[0]).name)
      for (old, new) in zip(node.results, results) { renamed[old] = new }
    }
    graph.setOutputs(zip(outputs, wanted).compactMap { position, value in renamed[value].map { (region.outputNames[position], $0) } })
    return graph
  }

  private func number(of position: Int) -> Int { if case .input(let number) = inputs[position] { number } else { .max } }
}

extension Graph {
  /// The nodes that some values need, in topological order.
  fileprivate func order(of values: [ValueID]) -> [NodeID] {
    var graph = self
    graph.setOutputs(values.map { ("", $0) })
    return graph.topologicalOrder()
  }

  /// The inputs that some values are computed from.
  fileprivate func inputsRead(by values: [ValueID]) -> Set<ValueID> {
    var found = Set(values)
    for id in order(of: values) { found.formUnion(node(id).operands) }
    return found.intersection(inputs)
  }
}
