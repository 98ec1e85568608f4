import Artifact
public import GraphIR
public import ONNXFrontend
public import TensorTypes

// Some models need a value before they run: an axis, say, decides the rank of a result. Such an input can be made a constant.

extension CompileOptions {
  /// Compiles with `attempt`. Where that is refused because something has to be known before the model runs, it is tried
  /// again with what is known of the inputs: the values that it depends on, and if that is not enough the lengths of all axes.
  ///
  /// - Parameters:
  ///   - known: The value of an input, or nil.
  ///   - inputs: Names of the inputs.
  /// - Returns: What `attempt` gave. Afterwards these options are those it was made with.
  public mutating func fixing<Result>(
    inputs: [String], known: (String) -> Tensor?, _ attempt: (CompileOptions) throws(CompileError) -> Result
  ) throws(CompileError) -> Result {
    var trial = self
    var refusal: CompileError?
    while true {
      do throws(CompileError) {
        let result = try attempt(trial)
        self = trial
        return result
      } catch {
        guard error.problem == .unsupported else { throw refusal ?? error }
        if trial.fixValues(error.dependsOn, known) { continue }
        guard refusal == nil, error.stage != .emit, trial.fixShapes(inputs, known) else { throw error }
        refusal = error
      }
    }
  }

  /// False if that changes nothing.
  private mutating func fixValues(_ names: [String], _ known: (String) -> Tensor?) -> Bool {
    let missing = names.filter { fixed[$0] == nil }
    if missing.isEmpty { return false }
    var values: [String: Tensor] = [:]
    for name in missing {
      guard let value = known(name) else { return false }
      values[name] = value
    }
    fixed.merge(values) { $1 }
    return true
  }

  private mutating func fixShapes(_ names: [String], _ known: (String) -> Tensor?) -> Bool {
    guard variants.isEmpty else { return false }
    for name in names where fixed[name] == nil && shapes[name] == nil {
      guard let value = known(name) else { return false }
      shapes[name] = value.dimensions
    }
    return true
  }
}

extension Compiler {
  /// A model's inputs in their order, fixed or not. A type is as far as the file states it; nil for what is no tensor.
  public static func inputs(of path: String) throws(CompileError) -> [(name: String, type: TensorType?)] { try ModelSource(path: path).inputs() }
}

extension Compiler {
  /// Which inputs and outputs of a model are sequences or optionals, in the order of the file; those beyond are tensors.
  public static func kinds(of path: String) throws(CompileError) -> (inputs: [PortKind], outputs: [PortKind]) { try ModelSource(path: path).kinds() }
}

public typealias PortKind = ONNXFrontend.PortStructure.Kind

extension Graph {
  /// The same graph with some inputs as constants.
  ///
  /// - Throws: `CompileError`: `.usage` if there is no such input, or if it has another type.
  func fixing(_ values: [String: Tensor]) throws(CompileError) -> Graph {
    var graph = Graph(name: name)
    var renamed = [ValueID?](repeating: nil, count: valueCount)
    func add(_ operation: any Operation, _ operands: [ValueID], _ origin: NodeOrigin, _ name: String) throws(CompileError) -> [ValueID] {
      do throws(TypeError) { return try graph.add(operation, operands, origin: origin, name: name) } catch {
        throw CompileError(error, stage: .load, origin: origin, operands: graph.types(of: operands))
      }
    }
    for input in inputs {
      let (name, type) = (value(input).name, type(of: input))
      guard let tensor = values[name] else {
        renamed[input.index] = graph.addInput(name, type)
        continue
      }
      guard tensor.type == type else { throw CompileError(.usage, "input `\(name)` is \(type), but the value given for it is \(tensor.type)", stage: .load) }
      renamed[input.index] = try add(Constant(tensor), [], NodeOrigin(), name).first
    }
    for id in topologicalOrder() {
      let node = self.node(id)
      let results = try add(node.operation, node.operands.map { renamed[$0.index] ?? $0 }, node.origin, "")
      for (old, new) in zip(node.results, results) {
        renamed[old.index] = new
        graph.setName(value(old).name, of: new)
      }
    }
    graph.setOutputs(zip(outputNames, outputs).map { ($0, renamed[$1.index] ?? $1) })
    return graph
  }
}
