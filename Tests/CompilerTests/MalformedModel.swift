import Testing

/// A model file with something wrong in it, and words of which the message must hold one.
struct MalformedModel: Sendable, CustomTestStringConvertible {
  var name: String
  var bytes: [UInt8]
  /// Any of these; empty if every clear message will do.
  var words: [String]
  /// Other files in the folder.
  var files: [(name: String, bytes: [UInt8])] = []
  /// Links in the folder: name and destination.
  var links: [(name: String, destination: String)] = []

  var testDescription: String { name }

  init(_ name: String, _ bytes: [UInt8], _ words: String...) { (self.name, self.bytes, self.words) = (name, bytes, words) }
  init(_ name: String, _ model: ONNXBytes, _ words: [String]) { (self.name, bytes, self.words) = (name, model.bytes, words) }
  /// A graph in an otherwise right model.
  init(_ name: String, graph: ONNXBytes, _ words: String...) { self.init(name, .model(graph), words) }
  /// One node that reads `x` f32[2,3] and weights, and gives `y`.
  init(_ name: String, node: ONNXBytes, weights: [ONNXBytes] = [], inputs: [ONNXBytes] = [ONNXBytes.x], _ words: String...) {
    self.init(name, .model(.graph([node], weights: weights, inputs: inputs)), words)
  }

  static let all = bytes + structure + values + types + attributes + operators + sizes + weights + externalData
}

extension MalformedModel {
  /// A right model: y = Relu(x + w).
  static let valid = ONNXBytes.model(
    .graph([.node("Add", ["x", "w"], ["s"]), .node("Relu", ["s"])], weights: [.floats("w", [2, 3])], outputs: [ONNXBytes.value("y", 2, 3)]))

  /// Files that are no model at all, or stop in the middle.
  static let bytes: [MalformedModel] = [
    MalformedModel("an empty file", [UInt8](), "empty"),
    MalformedModel("one byte", [0]),
    MalformedModel("text", Array("this is not a model\n".utf8)),
    MalformedModel("a gzip file", [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3] + Array(repeating: 7, count: 90)),
    MalformedModel("an ELF file", [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0] + Array(repeating: 0, count: 200)),
    MalformedModel("a number that does not end", Array(repeating: 0xff, count: 64), "damaged"),
    MalformedModel("a length beyond the file", [0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f], "damaged"),
    MalformedModel("a length of 2^63", [0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01], "damaged"),
    MalformedModel("field number 0", [0x00, 0x01] + valid.bytes, "damaged"),
    MalformedModel("wire type 7", [0x0f] + valid.bytes, "damaged"),
    MalformedModel("a group that does not end", [0x0b, 0x08, 0x01]),
    MalformedModel("a graph that is a number", ONNXBytes().integer(1, 8).integer(7, 5), ["damaged"]),
    MalformedModel("an operator whose name is no UTF-8", graph: .graph([.node("Relu", ["x"], ["z"]), ONNXBytes().text(1, "z").text(2, "y").data(4, [0xff, 0xfe])])),
  ]
    + [1, 5, 9, 20, 40, 60, 80, 100, valid.bytes.count - 1].map { MalformedModel("cut off behind \($0) bytes", Array(valid.bytes.prefix($0))) }
    + (0..<8).map { seed in
      var state = UInt64(seed) &* 0x9e37_79b9_7f4a_7c15 | 1
      return MalformedModel(
        "random bytes \(seed)",
        (0..<(64 << seed)).map { _ in
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          return UInt8(truncatingIfNeeded: state >> 33)
        })
    }

  /// Messages nested and missing.
  static let structure: [MalformedModel] = [
    MalformedModel("no graph", ONNXBytes().integer(1, 8).message(8, ONNXBytes().integer(2, 17)), ["graph"]),
    MalformedModel("IR version 0", .model(.graph([.node("Relu")]), version: 0), ["version"]),
    MalformedModel("IR version 99", .model(.graph([.node("Relu")]), version: 99), ["version 99"]),
    MalformedModel("a negative IR version", .model(.graph([.node("Relu")]), version: -1), ["version"]),
    MalformedModel("no opset", .model(.graph([.node("Relu")]), opset: nil), ["version"]),
    MalformedModel("opset 0", .model(.graph([.node("Relu")]), opset: 0), ["version"]),
    MalformedModel("opset 9999", .model(.graph([.node("Relu")]), opset: 9999), ["version"]),
    MalformedModel("a negative opset", .model(.graph([.node("Relu")]), opset: -17), ["version"]),
    MalformedModel("no outputs", graph: .graph([.node("Relu")], outputs: []), "output"),
    MalformedModel("branches nested 2000 deep", nested(2000), ["nest", "deep"]),
    MalformedModel("types nested 100000 deep", graph: .graph([.node("Relu")], inputs: [deepType(100_000)]), "nest", "deep"),
    MalformedModel("a function that calls itself", .model(.graph([.node("F", domain: "local")]), functions: [.function("F", [.node("F", domain: "local")])]), ["F"]),
    MalformedModel(
      "functions that call each other",
      .model(.graph([.node("F", domain: "local")]), functions: [.function("F", [.node("G", domain: "local")]), .function("G", [.node("F", domain: "local")])]), ["F", "G"]),
    MalformedModel("functions that double 40 times", .model(.graph([.node("F0", domain: "local")]), functions: doublings(40)), []),
    MalformedModel("a function that reads what is not there", .model(.graph([.node("F", domain: "local")]), functions: [.function("F", [.node("Add", ["x", "secret"])])]), ["secret"]),
  ]

  /// `If` in `If` in `If`, as bytes: built from the inside.
  private static func nested(_ depth: Int) -> ONNXBytes {
    var body = ONNXBytes.graph([.node("Identity", ["x"])], inputs: [])
    for _ in 0..<depth { body = .graph([.node("If", ["c"], ["y"], [.graph(attribute: "then_branch", body), .graph(attribute: "else_branch", .graph([.node("Identity", ["x"])], inputs: []))])], inputs: []) }
    return .model(body.messages(11, [.x, ONNXBytes.value("c", element: 9)]))
  }

  /// A sequence of sequences of sequences. Lengths grow with depth, so the bytes are written from the outside with all lengths known.
  private static func deepType(_ depth: Int) -> ONNXBytes {
    var reversed: [UInt8] = []
    for _ in 0..<depth {
      // sequence_type (4) { elem_type (1) { … } }, written backwards.
      for tag in [UInt8(0x0a), 0x22] { reversed += ONNXBytes.varint(UInt64(reversed.count)).reversed() + [tag] }
    }
    return ONNXBytes().text(1, "x").data(2, reversed.reversed())
  }

  /// Each function calls the next one twice: 2^count operators in a file of a few kilobytes.
  private static func doublings(_ count: Int) -> [ONNXBytes] {
    (0..<count).map { .function("F\($0)", [.node("F\($0 + 1)", ["x"], ["m"], domain: "local"), .node("F\($0 + 1)", ["m"], ["y"], domain: "local")]) }
      + [.function("F\(count)", [.node("Neg")])]
  }
}
