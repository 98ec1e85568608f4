import GraphIR
import KernelIR
import TensorTypes

/// Lowers a graph of fusions to kernels and calls.
///
/// - Parameters:
///   - graph: What `form-fusion-groups` left: constants, fusions, plain reshapes, scans.
///   - answers: Which candidates to take where measurements say so.
///   - conditions: What the model takes for granted beside what `graph` itself does. Those that mention computed symbols become steps; the others
///     are for whoever binds inputs.
///   - progress: Told about each node before it is lowered: its number and how many there are.
/// - Returns: A program whose arena is not planned yet.
/// - Throws: `CompileError` at stage `.lower`, naming the node.
public func lower(
  _ graph: Graph, for target: LoweringTarget, answers: KernelAnswers = KernelAnswers(), conditions: [ShapeCondition] = [],
  progress: @escaping (Int, Int) -> Void = { _, _ in }
) throws(CompileError) -> KernelProgram {
  var lowering = GraphLowering(graph, target, answers, progress)
  try lowering.run()
  if lowering.program.computedSymbols.isEmpty { return lowering.program }
  lowering.require(conditions + graph.conditions())
  // A hand-written graph may name a length on ways where nothing binds it: what plans memory relies on that there is none.
  do throws(KernelError) { try lowering.program.check() } catch {
    throw CompileError(.badInput, "\(error)", stage: .lower, origin: NodeOrigin(file: graph.name))
  }
  return lowering.program
}

struct GraphLowering {
  let graph: Graph
  let target: LoweringTarget
  let answers: KernelAnswers
  let progress: (Int, Int) -> Void
  var program: KernelProgram
  private var constants: [ConstantKey: Int] = [:]
  var loopCount = 0

  /// Constants over the same bytes are stored once.
  private struct ConstantKey: Hashable {
    var storage: ObjectIdentifier
    var offset: Int
    var byteCount: Int
  }

  /// The places of one graph's values.
  struct Scope {
    let graph: Graph
    var views: [ValueID: KernelProgram.View] = [:]
    /// Where the graph wants an output to be written.
    var destinations: [ValueID: KernelProgram.View] = [:]
    /// Inputs of a loop's body that are constants outside.
    var constants: [ValueID: Tensor] = [:]
    /// Symbols that the graph computes and that no step has bound so far.
    var unbound: Set<String>
    /// Steps that wait for some of them.
    var pending: [Pending] = []

    init(graph: Graph) { (self.graph, unbound) = (graph, Set(graph.definitions.keys)) }

    func constant(_ value: ValueID) -> Tensor? { graph.constant(value) ?? constants[value] }
  }

  init(_ graph: Graph, _ target: LoweringTarget, _ answers: KernelAnswers, _ progress: @escaping (Int, Int) -> Void) {
    (self.graph, self.target, self.answers, self.progress) = (graph, target, answers, progress)
    let inputs = graph.inputs.map { KernelProgram.Port(name: graph.value($0).name, type: graph.type(of: $0)) }
    let outputs = zip(graph.outputNames, graph.outputs).map { KernelProgram.Port(name: $0, type: graph.type(of: $1)) }
    let computed = graph.computedSymbols
    program = KernelProgram(name: graph.name, inputs: inputs, outputs: outputs, symbols: graph.symbols.filter { !computed.contains($0) })
    program.computedSymbols = computed
  }

  mutating func run() throws(CompileError) {
    let definable = Set(graph.inputs.flatMap { graph.type(of: $0).shape.compactMap(\.symbol) })
    // Nested graphs may name more than the types of this one show.
    let mentioned = graph.topologicalOrder().reduce(into: Set(program.symbols)) { $0.formUnion(graph.mentionedSymbols(of: graph.node($1))) }
    for symbol in mentioned.subtracting(program.computedSymbols).sorted() where !definable.contains(symbol) {
      throw CompileError(
        .unsupported, "the extent `\(symbol)` is not the length of any input axis", stage: .lower, origin: NodeOrigin(file: graph.name),
        hint: "bind it with `--dim \(symbol)=N`")
    }
    var scope = Scope(graph: graph)
    for (number, input) in graph.inputs.enumerated() {
      scope.views[input] = buffer(graph.value(input).name, graph.type(of: input), .input(number))
    }
    // The code finds a place for outputs of computed size.
    let computed = Set(program.computedSymbols)
    func isPlacedLate(_ output: ValueID) -> Bool { graph.type(of: output).shape.contains { !computed.isDisjoint(with: $0.symbols) } }
    for (number, output) in graph.outputs.enumerated() where !isPlacedLate(output) {
      scope.destinations[output] = buffer(graph.outputNames[number], graph.type(of: output), .output(number))
    }
    program.strings = try Self.strings(of: graph)
    scope.require(graph.requirements.filter { !$0.extent.symbols.allSatisfy(definable.contains) }, &self)
    program.steps = try steps(&scope)
    for (number, output) in graph.outputs.enumerated() {
      guard let place = scope.views[output] else {
        throw CompileError(.unsupported, "the output `\(graph.outputNames[number])` was left out of every fusion", stage: .lower, origin: NodeOrigin(file: graph.name))
      }
      if isPlacedLate(output) {
        program.steps.append(.export(place, output: number))
      } else if let destination = scope.destinations[output], place != destination {
        program.steps.append(try copy(place, to: destination, graph.type(of: output), graph.producer(of: output)?.origin ?? NodeOrigin(file: graph.name)))
      }
    }
  }

  mutating func buffer(_ name: String, _ type: TensorType, _ placement: KernelProgram.Placement) -> KernelProgram.View {
    program.buffers.append(.init(name: name, element: type.element, elementCount: type.shape.elementCount, placement: placement))
    return KernelProgram.View(program.buffers.count - 1)
  }

  /// The calls that compute one graph's outputs.
  mutating func steps(_ scope: inout Scope) throws(CompileError) -> [KernelProgram.Step] {
    var steps: [KernelProgram.Step] = []
    var order = scope.graph.topologicalOrder()
    let groups = scanGroups(&order, scope)
    steps += scope.takeReady()
    for (number, id) in order.enumerated() {
      progress(number, order.count)
      if let group = groups[id] {
        steps += try lower(group, &scope)
        continue
      }
      let node = scope.graph.node(id)
      switch node.operation {
      case is Constant: continue
      case is Reshape: scope.views[node.results[0]] = try view(node.operands[0], scope, node)
      case let measure as Measure:
        let place = try view(node.operands[0], scope, node)
        scope.views[node.results[0]] = place
        steps.append(.define(symbols: measure.symbols, from: place, failure: program.addFailure(Self.describe(measure, node))))
      case let fusion as Fusion: steps += try lower(fusion, node, &scope)
      case let scan as Scan: steps += try lower(scan, node, &scope)
      case let text as TextOperation: steps += try lower(text, node, &scope)
      case let branch as If: steps += try lower(branch, node, &scope)
      case let loop as While: steps += try lower(loop, node, &scope)
      default:
        throw CompileError(
          .unsupported, "`\(node.operation.mnemonic)` was left out of every fusion", stage: .lower, origin: node.origin,
          operands: scope.graph.types(of: node.operands))
      }
      if !node.operation.definedSymbols.isEmpty {
        scope.unbound.subtract(node.operation.definedSymbols)
        steps += scope.takeReady()
      }
    }
    return steps
  }

  /// Where a value lies; constants get their place when they are first read.
  mutating func view(_ value: ValueID, _ scope: Scope, _ node: Node) throws(CompileError) -> KernelProgram.View {
    if let view = scope.views[value] { return view }
    guard let tensor = scope.graph.constant(value) else {
      throw CompileError(.unsupported, "a value is read before it is computed", stage: .lower, origin: node.origin)
    }
    return constant(tensor, name: scope.graph.value(value).name)
  }

  mutating func constant(_ tensor: Tensor, name: String) -> KernelProgram.View {
    let key = ConstantKey(storage: ObjectIdentifier(tensor.storage), offset: tensor.byteOffset, byteCount: tensor.byteCount)
    let number: Int
    if let known = constants[key] { number = known } else {
      number = program.constants.count
      program.constants.append(.init(name: name, tensor: tensor))
      constants[key] = number
    }
    if let known = program.buffers.firstIndex(where: { $0.placement == .constant(number) && $0.element == tensor.element }) { return .init(known) }
    return buffer(name, tensor.type, .constant(number))
  }

  // MARK: Fusions

  private mutating func lower(_ fusion: Fusion, _ node: Node, _ scope: inout Scope) throws(CompileError) -> [KernelProgram.Step] {
    var tensors: [Int: Tensor] = [:]
    for (position, operand) in node.operands.enumerated() { tensors[position] = scope.constant(operand) }
    var lowering = FusionLowering(fusion, origin: node.origin, target: target, constants: tensors, answers: answers)
    try lowering.run()
    program.refusals += lowering.refusals
    var results: [KernelProgram.View] = []
    for result in node.results {
      let name = scope.graph.value(result).name
      let place = scope.destinations[result] ?? buffer(name, scope.graph.type(of: result), .arena(offset: nil))
      scope.views[result] = place
      results.append(place)
    }
    var scratch: [KernelProgram.View] = []
    for need in lowering.scratch { scratch.append(buffer("scratch", TensorType(need.element, [need.count]), .arena(offset: nil))) }

    var steps: [KernelProgram.Step] = []
    let origin = Self.describe(fusion, node)
    for (number, lowered) in lowering.kernels.enumerated() {
      do throws(KernelError) { try lowered.kernel.verify() } catch {
        preconditionFailure("lowering \(node.origin) made an invalid kernel: \(error)\n\(lowered.kernel.text)")
      }
      var arguments: [KernelProgram.View] = []
      var bytes: Extent = 0
      for (parameter, argument) in zip(lowered.kernel.parameters, lowered.arguments) {
        let place: KernelProgram.View
        switch argument {
        case .operand(let number): place = try view(node.operands[number], scope, node)
        case .packed(let tensor): place = constant(tensor, name: parameter.name)
        case .result(let number): place = results[number]
        case .scratch(let number): place = scratch[number]
        }
        arguments.append(place)
        var size = program.buffers[place.buffer].byteCount
        if case .operand(let number) = argument, let read = fusion.body.bytesLookedUp(inInput: number) { size = .minimum(size, read) }
        bytes = bytes + size
      }
      let symbols = lowered.kernel.symbols.map { Extent(symbol: $0) }
      let work = lowered.flops == 0 ? elementwiseWork(fusion) : lowered.flops
      var call = KernelProgram.Call(
        kernel: program.add(lowered.kernel), arguments: arguments, symbols: symbols, origin: origin, flops: work, bytes: bytes, note: lowered.note)
      // The last kernel is the one that computes the result; those before it prepare operands.
      if number == lowering.kernels.count - 1 { call.choice = lowering.choice }
      steps.append(.call(call))
    }
    return steps
  }

  /// One operation for each element of each elementwise node and reduction.
  private func elementwiseWork(_ fusion: Fusion) -> Extent {
    var work: Extent = 0
    for id in fusion.body.topologicalOrder() {
      let node = fusion.body.node(id)
      switch node.operation {
      case is Unary, is Binary, is Compare, is Select, is Convert: work = work + fusion.body.type(of: node.results[0]).shape.elementCount
      case is Reduce: work = work + fusion.body.type(of: node.operands[0]).shape.elementCount
      default: continue
      }
    }
    return work
  }

  /// What is wrong if a measured length is none.
  private static func describe(_ measure: Measure, _ node: Node) -> String {
    let place = node.origin.isKnown ? "\(node.origin): " : ""
    return "\(place)a length that the model computes is negative or above 2^40: \(measure.symbols.map { "`\($0)`" }.joined(separator: ", "))"
  }

  /// The operators whose work a fusion does, the anchor's first.
  private static func describe(_ fusion: Fusion, _ node: Node) -> String {
    var names: [String] = []
    for id in fusion.body.topologicalOrder() {
      let name = fusion.body.node(id).origin.operatorName
      if !name.isEmpty, names.last != name { names.append(name) }
    }
    let node = node.origin
    let rest = names.filter { $0 != node.operatorName }
    return ([node.node.isEmpty ? node.operatorName : "\(node.node) (\(node.operatorName))"] + rest.prefix(6)).joined(separator: " + ")
  }
}

extension Graph {
  /// What look-ups read of an input at most, if nothing else reads it.
  fileprivate func bytesLookedUp(inInput number: Int) -> Extent? {
    guard inputs.indices.contains(number) else { return nil }
    var bytes: Extent = 0
    for use in uses(of: inputs[number]) {
      guard use.operand == 0, node(use.node).operation is Gather, let result = node(use.node).results.first else { return nil }
      bytes = bytes + type(of: result).shape.elementCount * Extent(type(of: inputs[number]).element.byteCount)
    }
    return bytes
  }
}
