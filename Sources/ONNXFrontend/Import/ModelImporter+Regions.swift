import GraphIR
import TensorTypes

/// What a binding is made of: how many values it stands for, and as what.
enum BindingStructure: Hashable {
  case value
  case sequence(Int)
  case absent

  init(_ binding: Binding) {
    switch binding {
    case .value: self = .value
    case .sequence(let list): self = .sequence(list.count)
    case .absent: self = .absent
    }
  }

  var count: Int {
    switch self {
    case .value: 1
    case .sequence(let count): count
    case .absent: 0
    }
  }

  /// A binding of this structure, made of the first values of a list, which are taken from it.
  func binding(taking values: inout ArraySlice<ValueID>) -> Binding {
    defer { values = values.dropFirst(count) }
    switch self {
    case .value: return values.first.map { .value($0) } ?? .absent
    case .sequence(let count): return .sequence(Array(values.prefix(count)))
    case .absent: return .absent
    }
  }

  static func bindings(_ structures: [BindingStructure], of values: [ValueID]) -> [Binding] {
    var rest = values[...]
    return structures.map { $0.binding(taking: &rest) }
  }
}

extension Binding {
  var values: [ValueID] {
    switch self {
    case .value(let value): [value]
    case .sequence(let list): list
    case .absent: []
    }
  }
}

extension ModelImporter {
  /// An input of a graph inside a node: a name and what it stands for.
  struct Formal {
    var name: String
    var structure: BindingStructure
    /// One for each value that it is made of.
    var types: [TensorType]

    init(_ name: String, _ structure: BindingStructure, _ types: [TensorType]) { (self.name, self.structure, self.types) = (name, structure, types) }
    init(_ name: String, _ type: TensorType) { self.init(name, .value, [type]) }
    init(_ name: String, _ binding: Binding, _ builder: GraphBuilder) { self.init(name, BindingStructure(binding), binding.values.map { builder.type($0) }) }
  }

  /// A graph inside a node as a region of its own.
  struct Region {
    var graph: Graph
    /// What its outputs are made of.
    var outputs: [BindingStructure]
  }

  /// Values from around that graphs inside a node read whole. Constants and extents are not among them: they are repeated inside, where
  /// shape arithmetic can see them.
  struct Captured {
    private(set) var values: [ValueID] = []
    fileprivate var names: [(name: String, binding: Binding)] = []

    /// Values that are captured already.
    init(_ values: [ValueID]) { self.values = values }

    init(_ graphs: [GraphProto], _ scope: Scope, _ builder: GraphBuilder) {
      var seen: Set<String> = []
      var taken: Set<ValueID> = []
      for name in graphs.flatMap({ NodeOrder.freeNames($0) }) {
        guard seen.insert(name).inserted, let binding = scope[name] else { continue }
        names.append((name, binding))
        for value in binding.values where !Self.isRepeated(value, builder) && taken.insert(value).inserted { values.append(value) }
      }
    }

    fileprivate static func isRepeated(_ value: ValueID, _ builder: GraphBuilder) -> Bool {
      builder.graph.constant(value) != nil || (builder.contents(value)?.extents != nil && builder.element(value) != .bool)
    }
  }

  /// Imports a graph inside a node as a region whose inputs are those of `formals`, then what is captured.
  ///
  /// - Parameters:
  ///   - operands: The values around that the formals' values come from, for messages: which inputs of the model something depends on.
  ///   - bind: May define further inputs of the graph as values of the inner builder.
  ///   - finish: Sees what the graph's outputs stand for, and says what the region returns.
  mutating func region(
    _ graph: GraphProto, formals: [Formal], capturing captured: Captured, operands: [[ValueID]] = [], _ call: OperatorCall, context: BlockContext, around builder: GraphBuilder,
    bind: (inout Scope, inout GraphBuilder) throws(CompileError) -> Void = { _, _ throws(CompileError) in },
    finish: (inout GraphBuilder, [Binding]) throws(CompileError) -> [Binding] = { _, bindings throws(CompileError) in bindings }
  ) throws(CompileError) -> Region {
    var deeper = context
    deeper.depth += 1
    let own = formals.flatMap(\.types)
    var structures: [BindingStructure] = []
    do throws(CompileError) {
      let region = try builder.region(call.name.lowercased(), types: own + captured.values.map { builder.type($0) }) { b, inputs throws(CompileError) in
        let inside = Dictionary(zip(captured.values, inputs[own.count...])) { first, _ in first }
        for (outer, inner) in inside { if let contents = builder.contents(outer) { b.note(inner, contents) } }
        var visible = Scope()
        for (name, binding) in captured.names {
          var values: [ValueID] = []
          for value in binding.values { values.append(try self.copy(value, inside, name, call, from: builder, to: &b)) }
          var rest = values[...]
          _ = visible.define(name, BindingStructure(binding).binding(taking: &rest))
        }
        var body = Scope(inside: visible)
        var rest = inputs[..<own.count]
        for formal in formals where !body.define(formal.name, formal.structure.binding(taking: &rest)) {
          throw call.refusal("a graph inside \(call.name) has two inputs `\(printable(formal.name))`")
        }
        try bind(&body, &b)
        let outputs = try self.importGraph(graph, scope: &body, context: deeper, builder: &b)
        b.origin = call.origin
        let returned = try finish(&b, outputs)
        structures = returned.map { BindingStructure($0) }
        return returned.flatMap(\.values)
      }
      return Region(graph: region, outputs: structures)
    } catch {
      throw translated(error, operands + captured.values.map { [$0] }, formals: own.count, builder)
    }
  }

  /// A value from around, inside.
  private func copy(
    _ value: ValueID, _ inside: [ValueID: ValueID], _ name: String, _ call: OperatorCall, from builder: GraphBuilder, to b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    if let captured = inside[value] { return captured }
    if let tensor = builder.graph.constant(value) { return try b.constant(tensor) }
    if let contents = builder.contents(value), let known = try b.materialize(contents, builder.element(value)) { return known }
    throw call.unsupported("\(call.name) reads `\(printable(name))` from around in a way that is not supported")
  }

  /// An error from inside a region depends on the inputs that the region's inputs come from.
  private func translated(_ error: CompileError, _ sources: [[ValueID]], formals: Int, _ builder: GraphBuilder) -> CompileError {
    if error.dependsOn.isEmpty { return error }
    var translated = error
    var found: Set<String> = []
    for name in error.dependsOn {
      guard name.hasPrefix("x"), let position = Int(name.dropFirst()), sources.indices.contains(position) else { continue }
      found.formUnion(builder.inputs(behind: sources[position]))
    }
    translated.dependsOn = builder.graph.inputs.map { builder.graph.value($0).name }.filter(found.contains)
    translated.hint = GraphBuilder.hint(fixing: translated.dependsOn)
    return translated
  }

  /// That some inputs decide something which has to be known before the model runs.
  func dependent(_ message: String, on values: [ValueID], _ call: OperatorCall, _ builder: GraphBuilder) -> CompileError {
    var error = builder.unknownContents(message, of: values)
    error.origin = call.origin
    return error
  }
}
