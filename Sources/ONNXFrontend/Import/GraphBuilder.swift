import GraphIR
import TensorTypes

/// Adds core operations to a graph while an operator is imported.
///
/// It gives every node the origin of that operator, checks what hostile models could blow up, and keeps what is
/// known of the contents of small tensors.
struct GraphBuilder {
  private(set) var graph: Graph
  var origin: NodeOrigin
  let limits: ImportLimits
  private var known: [ValueID: KnownContents] = [:]
  /// The elements of vectors that lengths were read from.
  var knownLengths: [ValueID: [Length]] = [:]
  /// What i64 scalars are called after they were measured.
  private(set) var measuredScalars: [ValueID: Extent] = [:]
  let symbolNames: SymbolNames
  /// What the columns stand for of tensors that are a map for each row.
  private var keys: [ValueID: MapKeys] = [:]

  init(name: String, origin: NodeOrigin, limits: ImportLimits, symbolNames: SymbolNames = SymbolNames()) {
    graph = Graph(name: name)
    self.origin = origin
    self.limits = limits
    self.symbolNames = symbolNames
  }

  // MARK: Failures

  /// The model is wrong here.
  func refusal(_ message: String, operands: [ValueID] = [], hint: String? = nil) -> CompileError {
    CompileError(.badInput, message, stage: .load, origin: origin, operands: graph.types(of: operands), hint: hint)
  }

  /// The model is right, but needs what is not there yet.
  func unsupported(_ message: String, operands: [ValueID] = [], hint: String? = nil) -> CompileError {
    CompileError(.unsupported, message, stage: .load, origin: origin, operands: graph.types(of: operands), hint: hint)
  }

  /// Something needs the contents of values that are only known when the model runs.
  func unknownContents(_ message: String, of values: [ValueID]) -> CompileError {
    let names = inputs(behind: values)
    var error = unsupported(message, operands: values, hint: Self.hint(fixing: names))
    error.dependsOn = names
    return error
  }

  /// What helps where the values of some inputs have to be known.
  static func hint(fixing names: [String]) -> String {
    let fixes = names.map { "--fix \(printable($0))=FILE" }.joined(separator: " ")
    return names.isEmpty ? "shapes may depend on the shapes of inputs, but not on their contents" : "compile the model for one value, in a .npy, .pb or .json file: \(fixes)"
  }

  /// The names of the inputs from which values are computed, in the order of the interface.
  func inputs(behind values: [ValueID]) -> [String] {
    var found: Set<ValueID> = []
    var seen = Set(values)
    var pending = values
    while let value = pending.popLast() {
      guard let node = graph.producer(of: value) else {
        found.insert(value)
        continue
      }
      let definers = graph.symbolDependencies(of: node).flatMap { graph.node($0).operands }
      for operand in node.operands + definers where seen.insert(operand).inserted { pending.append(operand) }
    }
    return graph.inputs.filter(found.contains).map { graph.value($0).name }
  }

  // MARK: Building

  mutating func addInput(_ name: String, _ type: TensorType) throws(CompileError) -> ValueID {
    let id = graph.addInput(name, type)
    try check(type)
    return id
  }

  mutating func setOutputs(_ outputs: [(name: String, value: ValueID)], keys: [String: MapKeys] = [:]) {
    graph.setOutputs(outputs)
    graph.outputKeys = keys
  }
  /// Demands something of lengths: the run checks it.
  mutating func require(_ condition: ShapeCondition) { graph.requirements.append(condition) }
  mutating func setName(_ name: String, of value: ValueID) { graph.setName(name, of: value) }
  mutating func removeDeadNodes() {
    (known, knownLengths, measuredScalars) = ([:], [:], [:])
    graph.removeDeadNodes()
  }

  mutating func addAll(_ operation: any Operation, _ operands: [ValueID]) throws(CompileError) -> [ValueID] {
    let results: [ValueID]
    do throws(TypeError) { results = try graph.add(operation, operands, origin: origin) } catch {
      throw CompileError(error, stage: .load, origin: origin, operands: graph.types(of: operands))
    }
    for result in results { try check(graph.type(of: result)) }
    return results
  }

  mutating func add(_ operation: any Operation, _ operands: ValueID...) throws(CompileError) -> ValueID {
    try addAll(operation, operands)[0]
  }

  /// Refuses types that only a hostile or broken model has, before the next operation multiplies them further.
  private func check(_ type: TensorType) throws(CompileError) {
    guard type.rank <= limits.rank else { throw refusal("a tensor of \(type.rank) axes; at most \(limits.rank) are supported", hint: "--limit rank=N allows more") }
    if let bytes = type.byteCount.constant, bytes > limits.tensorBytes { throw refusal("a tensor of \(bytes) bytes: \(type)", hint: "--limit tensor-bytes=N allows more") }
    if type.shape.isStatic { return }
    var terms = 1
    for extent in type.shape {
      terms = terms.multipliedReportingOverflow(by: max(1, extent.sumOfProducts.count)).partialValue
      guard terms <= 4096, extent.complexity <= 4096 else { throw refusal("the shape of a tensor is too complex an expression") }
    }
  }

  /// A named computation: `body` builds its meaning on inputs of the operands' types.
  mutating func composite(
    _ name: String, _ operands: [ValueID], details: Attributes = Attributes(),
    body: (inout GraphBuilder, [ValueID]) throws(CompileError) -> [ValueID]
  ) throws(CompileError) -> [ValueID] {
    let region = try self.region(name, types: graph.types(of: operands), body: body)
    return try addAll(Composite(name, details: details, body: region), operands)
  }

  /// A graph of its own, for a loop body or a decomposition.
  func region(
    _ name: String, types: [TensorType], body: (inout GraphBuilder, [ValueID]) throws(CompileError) -> [ValueID]
  ) throws(CompileError) -> Graph {
    var inner = GraphBuilder(name: name, origin: origin, limits: limits, symbolNames: symbolNames)
    var inputs: [ValueID] = []
    for (position, type) in types.enumerated() { inputs.append(try inner.addInput("x\(position)", type)) }
    let outputs = try body(&inner, inputs)
    inner.setOutputs(outputs.enumerated().map { ("y\($0)", $1) })
    inner.removeDeadNodes()
    return inner.graph
  }

  // MARK: Reading

  func type(_ value: ValueID) -> TensorType { graph.type(of: value) }
  func shape(_ value: ValueID) -> Shape { graph.type(of: value).shape }
  func element(_ value: ValueID) -> ElementType { graph.type(of: value).element }
  func rank(_ value: ValueID) -> Int { graph.type(of: value).rank }

  /// Declares that each row of a tensor is a map.
  mutating func noteMap(_ value: ValueID, keys: MapKeys) { self.keys[value] = keys }
  func mapKeys(of value: ValueID) -> MapKeys? { keys[value] }

  // MARK: Known contents

  /// What is known of a small tensor's elements.
  func contents(_ value: ValueID) -> KnownContents? {
    if let found = known[value] { return found }
    guard let tensor = graph.constant(value) else { return nil }
    return KnownContents(tensor)
  }

  /// Remembers the symbol that stands for an i64 scalar.
  mutating func noteMeasured(_ value: ValueID, _ extent: Extent) {
    measuredScalars[value] = extent
    known[value] = KnownContents(scalar: extent)
  }

  /// Remembers what a value computed at run time holds.
  mutating func note(_ value: ValueID, _ contents: KnownContents) { known[value] = contents }

  /// The elements of an integer tensor of rank 0 or 1 as extents.
  func extents(_ value: ValueID) -> [Extent]? {
    guard let contents = contents(value), contents.dimensions.count <= 1 else { return nil }
    return contents.extents
  }

  /// The elements of a tensor that an attribute of a core operation needs at compile time.
  func requireExtents(_ value: ValueID, _ what: String) throws(CompileError) -> [Extent] {
    guard element(value).isInteger || element(value) == .bool else { throw refusal("\(what) must be integers, not \(type(value))") }
    guard rank(value) <= 1 else { throw refusal("\(what) must be a vector, not \(type(value))") }
    guard let found = extents(value) else {
      throw unknownContents("\(origin.operatorName) takes \(what) from a tensor that is only known when the model runs", of: [value])
    }
    return found
  }

  func requireIntegers(_ value: ValueID, _ what: String) throws(CompileError) -> [Int] {
    let found = try requireExtents(value, what)
    guard let constants = Shape(found).constants else {
      throw unsupported("\(origin.operatorName) takes \(what) that depend on a symbolic axis: \(Shape(found))", hint: "bind the axis with --dim")
    }
    return constants
  }

  func requireInteger(_ value: ValueID, _ what: String) throws(CompileError) -> Int {
    let found = try requireIntegers(value, what)
    guard found.count == 1 else { throw refusal("\(what) must be one number, not \(type(value))") }
    return found[0]
  }

  func requireNumbers(_ value: ValueID, _ what: String) throws(CompileError) -> [Double] {
    guard let found = contents(value) else {
      throw unknownContents("\(origin.operatorName) takes \(what) from a tensor that is only known when the model runs", of: [value])
    }
    var numbers: [Double] = []
    for element in found.elements {
      guard let number = element.constant else {
        throw unsupported("\(origin.operatorName) takes \(what) that depend on a symbolic axis", operands: [value], hint: "bind the axis with --dim")
      }
      numbers.append(number)
    }
    return numbers
  }

  /// A tensor with known contents, or nil if they have no form as a constant or as extents.
  mutating func materialize(_ contents: KnownContents, _ element: ElementType) throws(CompileError) -> ValueID? {
    let constants = contents.elements.map(\.constant)
    let result: ValueID
    if let extents = contents.extents {
      let integers = extents.compactMap(\.constant)
      if integers.count == extents.count {
        let tensor = Tensor(element, contents.dimensions) { bytes in
          for (position, value) in integers.enumerated() { Tensor.store(value, element, bytes, position) }
        }
        return try add(Constant(tensor))
      }
      guard element != .bool else { return nil }
      result = try reshape(convert(add(ExtentVector(extents)), to: element), to: Shape(contents.dimensions))
    } else if constants.allSatisfy({ $0 != nil }) {
      return try add(Constant(Tensor(element, contents.dimensions, constants.compactMap { $0 })))
    } else {
      return nil
    }
    note(result, contents)
    return result
  }

  /// The known contents as a tensor if they have that form; otherwise they are noted on the tensor computed at run time.
  mutating func settle(
    _ contents: KnownContents?, _ element: ElementType, orElse compute: (inout GraphBuilder) throws(CompileError) -> ValueID
  ) throws(CompileError) -> ValueID {
    guard let contents else { return try compute(&self) }
    if let value = try materialize(contents, element) { return value }
    let value = try compute(&self)
    note(value, contents)
    return value
  }

  mutating func materialize(_ extents: [Extent], _ element: ElementType = .i64) throws(CompileError) -> ValueID {
    guard let value = try materialize(KnownContents(extents), element) else { throw refusal("a list of extents of type \(element.name)") }
    return value
  }

  /// One extent as a scalar tensor.
  mutating func materialize(scalar extent: Extent, _ element: ElementType) throws(CompileError) -> ValueID {
    guard let value = try materialize(KnownContents(scalar: extent), element) else { throw refusal("an extent of type \(element.name)") }
    return value
  }
}
