import GraphIR

/// What a name of the model stands for while it is imported.
enum Binding {
  case value(ValueID)
  /// A sequence is a list at import; its length never depends on data.
  case sequence([ValueID])
  /// An optional that holds nothing.
  case absent

  var kind: String {
    switch self {
    case .value: "a tensor"
    case .sequence: "a sequence"
    case .absent: "an empty optional"
    }
  }
}

/// The names that a graph can see: its own and those of the graphs around it.
struct Scope {
  private var bindings: [String: Binding] = [:]
  /// The names that this graph itself defines.
  private var own: Set<String> = []

  init() {}
  /// The scope of a graph inside a node: sees everything, defines nothing yet.
  init(inside outer: Scope) { bindings = outer.bindings }

  subscript(name: String) -> Binding? { bindings[name] }

  /// Adds a name; false if this graph defined it before.
  mutating func define(_ name: String, _ binding: Binding) -> Bool {
    bindings[name] = binding
    return own.insert(name).inserted
  }
}

/// What holds for all nodes of one graph or function.
struct BlockContext {
  /// Operator set versions by domain.
  var opsets: [String: Int]
  /// The attributes given to the function that is being inlined; nil outside of functions.
  var functionAttributes: [String: AttributeProto.Value]?
  /// Graphs and functions around this one.
  var depth = 0
  /// Put before node names: the names of the calls that lead here.
  var prefix = ""
  /// The nodes of the graph or function; `Gradient` names values that they compute.
  var nodes: [NodeProto] = []
}
