import TensorTypes

extension Graph {
  /// The text form. It reads back with `Graph(text:)`, unless large constants were elided.
  ///
  /// - Parameters:
  ///   - elidingAbove: Constants with more elements print as `elided` with a digest; nil prints everything.
  ///   - origins: Whether each node is followed by where it came from.
  public func text(elidingAbove limit: Int? = nil, origins: Bool = false) -> String {
    var printer = GraphPrinter(graph: self, limit: limit, origins: origins)
    printer.print(indent: "")
    return printer.text
  }
}

/// Writes one graph and, nested, the graphs inside its operations.
struct GraphPrinter {
  let graph: Graph
  let limit: Int?
  let origins: Bool
  var text = ""
  private var names: [ValueID: String] = [:]
  private var taken: Set<String> = []

  init(graph: Graph, limit: Int?, origins: Bool) { (self.graph, self.limit, self.origins) = (graph, limit, origins) }

  /// `%name`, or `%"any text"`.
  static func spell(_ name: String) -> String { isPlain(name) ? "%\(name)" : "%" + quote(name) }

  static func isPlain(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || ($0 >= 65 && $0 <= 90) || ($0 >= 97 && $0 <= 122) || $0 == 95 || $0 == 46 }
  }

  /// True for text that reads back as a word without quotes: not as a number, a flag or an element type.
  static func isWord(_ text: String) -> Bool {
    guard isPlain(text), let first = text.utf8.first, first > 57 else { return false }
    return !["true", "false", "inf", "nan"].contains(text) && ElementType(name: text) == nil
  }

  /// How a kind of condition is spelled.
  static func word(_ kind: ShapeCondition.Kind) -> String {
    switch kind {
    case .zero: "zero"
    case .nonNegative: "nonnegative"
    }
  }

  static func quote(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      case "\t": quoted += "\\t"
      case "\r": quoted += "\\r"
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  private mutating func name(_ id: ValueID) -> String {
    if let name = names[id] { return name }
    let wish = graph.value(id).name
    var name = wish.isEmpty ? "\(names.count)" : wish
    var suffix = 1
    while !taken.insert(name).inserted {
      name = (wish.isEmpty ? "v" : wish) + "_\(suffix)"
      suffix += 1
    }
    let spelled = Self.spell(name)
    names[id] = spelled
    return spelled
  }

  mutating func print(indent: String) {
    let inputs = graph.inputs.map { "\(name($0)): \(graph.type(of: $0))" }
    text += "\(indent)graph @\(Self.isPlain(graph.name) ? graph.name : Self.quote(graph.name))(\(inputs.joined(separator: ", "))) {\n"
    for condition in graph.requirements {
      text += "\(indent)  require \(Self.word(condition.kind)) [\(condition.extent)] \(Self.quote(condition.violation))\n"
    }
    for id in graph.topologicalOrder() { print(graph.node(id), indent: indent + "  ") }
    let returns = zip(graph.outputNames, graph.outputs).map { outputName, value in
      guard !outputName.isEmpty else { return name(value) }
      let keys: String
      switch graph.outputKeys[outputName] {
      case .integers(let list): keys = " keys [" + list.map(String.init).joined(separator: ", ") + "]"
      case .strings(let list): keys = " keys [" + list.map(Self.quote).joined(separator: ", ") + "]"
      case nil: keys = ""
      }
      return "\(name(value)) as \(Self.quote(outputName))\(keys)"
    }
    text += "\(indent)  return \(returns.joined(separator: ", "))\n\(indent)}\n"
  }

  private mutating func print(_ node: Node, indent: String) {
    let operands = node.operands.map { name($0) }
    let results = node.results.map { name($0) }
    text += "\(indent)\(results.joined(separator: ", ")) = \(node.operation.mnemonic)"
    if let constant = node.operation as? Constant { text += " " + TensorText.print(constant.tensor, elidingAbove: limit) }
    if !operands.isEmpty { text += " " + operands.joined(separator: ", ") }
    let attributes = node.operation.attributes
    if !attributes.entries.isEmpty {
      text += " {" + attributes.entries.map { "\($0.name) = \(Self.print($0.value))" }.joined(separator: ", ") + "}"
    }
    if !node.operation.regions.isEmpty {
      text += " (\n"
      for region in node.operation.regions { text += nested(region, indent: indent + "  ") }
      text += "\(indent))"
    }
    text += " : " + graph.types(of: node.results).map(\.description).joined(separator: ", ")
    if origins, node.origin.isKnown {
      let origin = node.origin
      text += " loc(\([origin.file, origin.node, origin.operatorName].map(Self.quote).joined(separator: ", ")), \(origin.opset))"
    }
    text += "\n"
  }

  private func nested(_ region: Graph, indent: String) -> String {
    var printer = GraphPrinter(graph: region, limit: limit, origins: origins)
    printer.print(indent: indent)
    return printer.text
  }

  private static func print(_ attribute: Attribute) -> String {
    switch attribute {
    case .integer(let value): "\(value)"
    case .integers(let values): "[" + values.map(String.init).joined(separator: ", ") + "]"
    case .number(let value): TensorText.print(value)
    case .flag(let value): "\(value)"
    case .word(let value): isWord(value) ? value : quote(value)
    case .element(let value): value.name
    case .extents(let values): "[" + values.map(\.description).joined(separator: ", ") + "]"
    }
  }
}

/// Constants as text: a list of numbers, or bytes in hexadecimal for large ones.
enum TensorText {
  /// More elements than this are written as bytes.
  static let longestList = 64

  static func print(_ tensor: Tensor, elidingAbove limit: Int?) -> String {
    if let limit, tensor.count > limit { return "elided" }
    if tensor.element == .string { return "dense [" + tensor.texts.map { GraphPrinter.quote($0.string) }.joined(separator: ", ") + "]" }
    if tensor.count > longestList { return "bytes \"" + hexadecimal(tensor) + "\"" }
    return "dense [" + (0..<tensor.count).map { element(tensor, $0) }.joined(separator: ", ") + "]"
  }

  static func print(_ value: Double) -> String {
    if value.isNaN { return "nan" }
    if value.isInfinite { return value < 0 ? "-inf" : "inf" }
    // Zero keeps its sign.
    return value == value.rounded() && value != 0 && abs(value) < 1e15 ? "\(Int(value)).0" : "\(value)"
  }

  private static func element(_ tensor: Tensor, _ position: Int) -> String {
    tensor.withBytes { bytes in
      switch tensor.element {
      case .f32:
        let value = bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self)
        return value.isNaN ? "nan" : value.isInfinite ? (value < 0 ? "-inf" : "inf") : "\(value)"
      case .f64, .f16, .bf16, .f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1: return print(Tensor.double(bytes, tensor.element, position))
      case .bool: return bytes[position] == 0 ? "false" : "true"
      case .u64: return "\(UInt64(bitPattern: Int64(Tensor.integer(bytes, .u64, position))))"
      default: return "\(Tensor.integer(bytes, tensor.element, position))"
      }
    }
  }

  private static func hexadecimal(_ tensor: Tensor) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return tensor.withBytes { bytes in
      var text: [UInt8] = []
      text.reserveCapacity(bytes.count * 2)
      for byte in bytes {
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 15)])
      }
      return String(decoding: text, as: UTF8.self)
    }
  }
}
