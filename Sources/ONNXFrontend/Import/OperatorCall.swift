import GraphIR
import TensorTypes

/// One node of the model while it is imported: its operands, and its attributes by name and type.
struct OperatorCall {
  /// The operator's name, such as `Conv`.
  let name: String
  /// The version of the operator set that the model names.
  let opset: Int
  /// One for each operand that the node lists; nil for one that is left out.
  let inputs: [ValueID?]
  /// The names of the results; empty for one that nobody wants.
  let outputs: [String]
  let attributes: [String: AttributeProto.Value]
  let origin: NodeOrigin
  let decoder: TensorDecoder

  func refusal(_ message: String, hint: String? = nil) -> CompileError { CompileError(.badInput, message, stage: .load, origin: origin, hint: hint) }
  func unsupported(_ message: String, hint: String? = nil) -> CompileError { CompileError(.unsupported, message, stage: .load, origin: origin, hint: hint) }

  // MARK: Operands

  func optional(_ position: Int) -> ValueID? { inputs.indices.contains(position) ? inputs[position] : nil }

  func input(_ position: Int) throws(CompileError) -> ValueID {
    guard let value = optional(position) else { throw refusal("\(name) has no operand \(position)") }
    return value
  }

  /// All operands, none left out, of a variadic operator.
  func allInputs() throws(CompileError) -> [ValueID] {
    var list: [ValueID] = []
    for position in inputs.indices { list.append(try input(position)) }
    guard !list.isEmpty else { throw refusal("\(name) has no operand") }
    return list
  }

  func wantsOutput(_ position: Int) -> Bool { outputs.indices.contains(position) && !outputs[position].isEmpty }

  // MARK: Attributes

  func has(_ attribute: String) -> Bool { attributes[attribute] != nil }

  private func wrong(_ attribute: String, _ wanted: String) -> CompileError {
    refusal("attribute `\(attribute)` of \(name) must be \(wanted), but is \(attributes[attribute]?.kind ?? "missing")")
  }

  func integer(_ attribute: String, default usual: Int? = nil) throws(CompileError) -> Int {
    switch attributes[attribute] {
    case .integer(let value): return value
    case nil: if let usual { return usual }
    default: break
    }
    throw wrong(attribute, "an integer")
  }

  func flag(_ attribute: String, default usual: Bool = false) throws(CompileError) -> Bool {
    try integer(attribute, default: usual ? 1 : 0) != 0
  }

  func number(_ attribute: String, default usual: Float? = nil) throws(CompileError) -> Double {
    switch attributes[attribute] {
    case .float(let value): return Double(value)
    case .integer(let value): return Double(value)
    case nil: if let usual { return Double(usual) }
    default: break
    }
    throw wrong(attribute, "a number")
  }

  func integers(_ attribute: String) throws(CompileError) -> [Int]? {
    switch attributes[attribute] {
    case .integers(let values): return values
    case .integer(let value): return [value]
    case nil, .none?: return nil
    default: throw wrong(attribute, "a list of integers")
    }
  }

  func numbers(_ attribute: String) throws(CompileError) -> [Double]? {
    switch attributes[attribute] {
    case .floats(let values): return values.map { Double($0) }
    case .float(let value): return [Double(value)]
    case nil, .none?: return nil
    default: throw wrong(attribute, "a list of numbers")
    }
  }

  func string(_ attribute: String, default usual: String? = nil) throws(CompileError) -> String {
    switch attributes[attribute] {
    case .string(_, let value): return value
    case nil: if let usual { return usual }
    default: break
    }
    throw wrong(attribute, "a string")
  }

  func strings(_ attribute: String) throws(CompileError) -> [String]? {
    switch attributes[attribute] {
    case .strings(let values): return values
    case nil, .none?: return nil
    default: throw wrong(attribute, "a list of strings")
    }
  }

  /// A string that names a case of an enumeration.
  func word<Word: RawRepresentable & CaseIterable>(_ attribute: String, default usual: Word) throws(CompileError) -> Word where Word.RawValue == String {
    let text = try string(attribute, default: usual.rawValue)
    guard let word = Word(rawValue: text) else {
      throw refusal("attribute `\(attribute)` of \(name) is `\(printable(text))`", hint: "it is one of " + Word.allCases.map(\.rawValue).joined(separator: ", "))
    }
    return word
  }

  func tensor(_ attribute: String) throws(CompileError) -> Tensor? {
    switch attributes[attribute] {
    case .tensor(let proto): return try decoder.tensor(proto, origin: origin)
    case nil: return nil
    default: throw wrong(attribute, "a tensor")
    }
  }

  func graph(_ attribute: String) throws(CompileError) -> GraphProto {
    if case .graph(let graphs)? = attributes[attribute], let graph = graphs.first { return graph }
    throw wrong(attribute, "a graph")
  }

  /// The element type that an attribute names by number.
  func element(_ attribute: String, default usual: ElementType? = nil) throws(CompileError) -> ElementType {
    if let usual, attributes[attribute] == nil { return usual }
    return try TensorDecoder.element(try integer(attribute), of: "the result", origin: origin)
  }

  // MARK: Axes

  /// An axis that may count from the end.
  func axis(_ axis: Int, rank: Int) throws(CompileError) -> Int {
    guard axis >= -rank && axis < rank else { throw refusal("\(name) names axis \(axis) of a tensor of \(rank) axes") }
    return axis < 0 ? axis + rank : axis
  }

  /// Axes that may count from the end, in ascending order, none twice.
  func axes(_ axes: [Int], rank: Int) throws(CompileError) -> [Int] {
    var resolved: [Int] = []
    for axis in axes { resolved.append(try self.axis(axis, rank: rank)) }
    guard Set(resolved).count == resolved.count else { throw refusal("\(name) names an axis twice: \(axes)") }
    return resolved.sorted()
  }

  /// A list that was an attribute in older operator sets and is an operand now.
  func integers(_ attribute: String, orInput position: Int, _ builder: GraphBuilder) throws(CompileError) -> [Int]? {
    if let values = try integers(attribute) { return values }
    guard let value = optional(position) else { return nil }
    return try builder.requireIntegers(value, "`\(attribute)`")
  }
}

/// Imports one operator: adds core operations and returns its results, those wanted at least.
typealias OperatorImporter = @Sendable (OperatorCall, inout GraphBuilder) throws(CompileError) -> [ValueID]
