import GraphIR
import TensorTypes

/// An input or output of a model that is not one tensor: its elements are inputs or outputs of the graph.
public struct PortStructure: Sendable, Hashable {
  public enum Kind: String, Sendable, Hashable { case tensor, sequence, optional }
  public var name: String
  public var kind: Kind
  /// Positions among the graph's inputs, those that are fixed included, or its outputs. Nothing for an empty sequence or optional.
  public var ports: Range<Int>
  public init(name: String, kind: Kind, ports: Range<Int>) { (self.name, self.kind, self.ports) = (name, kind, ports) }

  /// The name of the graph's input or output for an element of a sequence.
  static func elementName(_ name: String, _ position: Int) -> String { "\(name).\(position)" }
}

/// The inputs of a model in terms of tensors: the structure of sequences and optionals comes from the options.
struct ModelInterface {
  struct Input {
    var name: String
    var kind: PortStructure.Kind
    var structure: BindingStructure
    /// The tensors it is made of.
    var ports: [ValueInfoProto]
  }
  private(set) var inputs: [Input] = []

  init(_ declared: [ValueInfoProto], _ options: ImportOptions, _ origin: NodeOrigin) throws(CompileError) {
    func usage(_ message: String) -> CompileError { CompileError(.usage, message, stage: .load, origin: origin) }
    var (sequences, optionals) = (options.sequences, options.optionals)
    for input in declared {
      let shapes = sequences.removeValue(forKey: input.name)
      let optional = optionals.removeValue(forKey: input.name)
      switch input.type {
      case .sequence(let element):
        if optional != nil { throw usage("input `\(printable(input.name))` is a sequence; --sequence says what it is made of") }
        inputs.append(try Self.sequence(input.name, .sequence, element, shapes, origin))
      case .optional(let element):
        if optional == .absent {
          inputs.append(Input(name: input.name, kind: .optional, structure: .absent, ports: []))
        } else if case .sequence(let inner) = element {
          inputs.append(try Self.sequence(input.name, .optional, inner, shapes, origin))
        } else {
          inputs.append(try Self.optional(input, element, optional, origin))
        }
      default:
        if shapes != nil || optional != nil { throw usage("input `\(printable(input.name))` is \(input.type.kind), neither a sequence nor an optional") }
        inputs.append(Input(name: input.name, kind: .tensor, structure: .value, ports: [input]))
      }
    }
    if let name = (sequences.keys.sorted() + optionals.keys.sorted()).first { throw usage("the model has no input `\(printable(name))`") }
  }

  private static func sequence(
    _ name: String, _ kind: PortStructure.Kind, _ element: TypeProto, _ shapes: [[Int]]?, _ origin: NodeOrigin
  ) throws(CompileError) -> Input {
    guard case .tensor(let number, _) = element else {
      throw CompileError(.unsupported, "input `\(printable(name))` is a sequence of what is \(element.kind); only sequences of tensors are supported", stage: .load, origin: origin)
    }
    guard let shapes else {
      throw CompileError(
        .unsupported, "input `\(printable(name))` is a sequence, whose length and shapes have to be known", stage: .load, origin: origin,
        hint: "state them: --sequence \(printable(name))=2x3,4x3" + (kind == .optional ? ", or --optional \(printable(name))=absent" : ""))
    }
    let ports = shapes.enumerated().map { position, dimensions in
      ValueInfoProto(name: PortStructure.elementName(name, position), type: .tensor(element: number, shape: dimensions.map { .value($0) }))
    }
    return Input(name: name, kind: kind, structure: .sequence(ports.count), ports: ports)
  }

  private static func optional(
    _ input: ValueInfoProto, _ element: TypeProto, _ given: OptionalForm?, _ origin: NodeOrigin
  ) throws(CompileError) -> Input {
    guard case .tensor(let number, let shape) = element else {
      throw CompileError(.unsupported, "input `\(printable(input.name))` is an optional of what is \(element.kind)", stage: .load, origin: origin)
    }
    let dimensions: [TypeProto.Dimension]?
    switch given {
    case .present: dimensions = shape
    case .shape(let lengths): dimensions = lengths.map { .value($0) }
    case .absent, nil:
      throw CompileError(
        .unsupported, "input `\(printable(input.name))` is an optional, of which has to be known whether it holds something", stage: .load, origin: origin,
        hint: "state it: --optional \(printable(input.name))=present, or --optional \(printable(input.name))=absent")
    }
    return Input(name: input.name, kind: .optional, structure: .value, ports: [ValueInfoProto(name: input.name, type: .tensor(element: number, shape: dimensions))])
  }

  /// What the inputs are that are no tensors.
  var structures: [PortStructure] {
    var start = 0
    return inputs.compactMap { input in
      defer { start += input.ports.count }
      return input.kind == .tensor ? nil : PortStructure(name: input.name, kind: input.kind, ports: start..<start + input.ports.count)
    }
  }
}

/// The outputs of a model in terms of tensors.
struct OutputPorts {
  private(set) var values: [(name: String, value: ValueID)] = []
  private(set) var structures: [PortStructure] = []
  /// Of those that are a map for each row.
  private(set) var keys: [String: MapKeys] = [:]

  init(_ declared: [ValueInfoProto], _ results: [Binding], _ builder: GraphBuilder, checksRanks: Bool) throws(CompileError) {
    var names: Set<String> = []
    for (output, binding) in zip(declared, results) {
      guard names.insert(output.name).inserted else { throw builder.refusal("output `\(printable(output.name))` is given twice") }
      let start = values.count
      switch binding {
      case .value(let value): values.append((output.name, value))
      case .sequence(let list): for (position, value) in list.enumerated() { values.append((PortStructure.elementName(output.name, position), value)) }
      case .absent: break
      }
      switch (output.type, binding) {
      case (.sequence(.map), .value(let value)):
        guard let found = builder.mapKeys(of: value) else { throw builder.unsupported("output `\(printable(output.name))` is a sequence of maps that no ZipMap made") }
        keys[output.name] = found
      case (.sequence, .sequence): structures.append(PortStructure(name: output.name, kind: .sequence, ports: start..<values.count))
      case (.optional, _): structures.append(PortStructure(name: output.name, kind: .optional, ports: start..<values.count))
      case (.sequence, _), (.map, _), (.sparseTensor, _), (.tensor, .sequence), (.tensor, .absent):
        throw builder.unsupported("output `\(printable(output.name))` is declared as \(output.type.kind), but the graph makes it \(binding.kind)")
      case (.none, .sequence): structures.append(PortStructure(name: output.name, kind: .sequence, ports: start..<values.count))
      case (.none, .absent): structures.append(PortStructure(name: output.name, kind: .optional, ports: start..<start))
      case (.none, .value): break
      case (.tensor(let number, let shape), .value(let value)):
        let type = builder.type(value)
        if let declared = TensorDecoder.element(number), declared != type.element {
          throw builder.refusal("output `\(printable(output.name))` is declared as \(declared.name), but the graph makes it \(type)")
        }
        if checksRanks, let shape, shape.count != type.rank {
          throw builder.unsupported("output `\(printable(output.name))` is declared with \(shape.count) axes, but the graph makes it \(type)")
        }
      }
    }
    guard !values.isEmpty else { throw builder.unsupported("all outputs of the model are empty sequences or optionals") }
  }
}
