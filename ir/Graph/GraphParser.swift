import TensorTypes

extension Graph {
  /// Reads the text form, which is also the input format of `.ingot` files.
  ///
  ///     graph @main(%x: f32[batch,4]) {          // symbols are lengths known when the model runs
  ///       %w = constant dense [[1, 2], [3, 4], [5, 6], [7, 8]] : f32[4,2]
  ///       %y = dot %x, %w                        // the types of results may be left out
  ///       return %y as "scores"
  ///     }
  ///
  /// - Parameters:
  ///   - file: The file's name for messages; a node without `loc` has it and its line as origin.
  /// - Throws: `CompileError` with line and column in its origin's file.
  public init(text: String, file: String = "") throws(CompileError) {
    var parser = GraphParser(text: text, file: file)
    self = try parser.whole()
  }
}

/// Recursive descent over the text form. A statement's optional parts begin on its line; lists may go on over lines.
struct GraphParser {
  private var cursor: GraphCursor
  private let file: String
  private var knownLine = (position: 0, number: 1)
  /// Deeper regions are refused, so that hostile text cannot exhaust the stack.
  static let maximumDepth = 32

  init(text: String, file: String) { (cursor, self.file) = (GraphCursor(Array(text.utf8)), file) }

  mutating func whole() throws(CompileError) -> Graph {
    do throws(GraphTextError) {
      cursor.skip()
      let graph = try self.graph(depth: 0)
      cursor.skip()
      guard cursor.isAtEnd else { throw cursor.fail("expected nothing behind the graph, found \(cursor.found)") }
      return graph
    } catch {
      throw CompileError(.badInput, error.message, stage: .load, origin: NodeOrigin(file: place(error.position)), hint: error.hint)
    }
  }

  /// `file:line:column`.
  private func place(_ position: Int) -> String {
    let (line, column) = cursor.location(of: position)
    return file.isEmpty ? "line \(line), column \(column)" : "\(file):\(line):\(column)"
  }

  /// The line of a position that is not before the last one asked for.
  private mutating func line(of position: Int) -> Int {
    knownLine.number += cursor.text[knownLine.position..<position].count { $0 == UInt8(ascii: "\n") }
    knownLine.position = position
    return knownLine.number
  }

  // MARK: Graphs

  private mutating func graph(depth: Int) throws(GraphTextError) -> Graph {
    guard cursor.take(word: "graph") else {
      throw cursor.fail("expected `graph`, found \(cursor.found)", hint: "a graph is written: graph @name(%x: f32[2]) { ... return %y }")
    }
    guard depth < Self.maximumDepth else { throw cursor.fail("graphs are nested more than \(Self.maximumDepth) deep") }
    cursor.skip()
    try cursor.expect("@", "and a name behind `graph`")
    var graph = Graph(name: try name("a graph"))
    var values: [String: ValueID] = [:]
    cursor.skip()
    try cursor.expect("(", "before the inputs")
    cursor.skip()
    while !cursor.take(")") {
      if !values.isEmpty {
        try cursor.expect(",", "or `)` behind an input")
        cursor.skip()
      }
      let start = cursor.position
      let name = try valueName()
      cursor.skip()
      try cursor.expect(":", "and a type behind an input")
      cursor.skip()
      let type = try cursor.type()
      guard values[name] == nil else { throw GraphTextError("two inputs are named `\(name)`", at: start) }
      guard !type.byteCount.isOverflow, !type.shape.contains(where: { ($0.constant ?? 0) < 0 || $0.isOverflow }) else {
        throw GraphTextError("input `\(name)` has an impossible type: \(type)", at: start)
      }
      values[name] = graph.addInput(name, type)
      cursor.skip()
    }
    cursor.skip()
    try cursor.expect("{", "before the nodes")
    cursor.skip()
    while !cursor.take(word: "return") {
      if cursor.take(word: "require") {
        graph.requirements.append(try condition())
        cursor.skip()
        continue
      }
      guard cursor.byte == UInt8(ascii: "%") else {
        throw cursor.fail("expected a node or `return`, found \(cursor.found)", hint: "a node is written: %result = operation %operand, ...")
      }
      try node(in: &graph, &values, depth: depth)
      cursor.skip()
    }
    try outputs(of: &graph, values, depth: depth)
    cursor.skip()
    try cursor.expect("}", "behind `return`")
    return graph
  }

  /// `zero [a - b] "what would be wrong otherwise"`.
  private mutating func condition() throws(GraphTextError) -> ShapeCondition {
    cursor.skipInLine()
    let start = cursor.position
    let word = cursor.takeWord()
    guard let kind = ShapeCondition.Kind.allCases.first(where: { GraphPrinter.word($0) == word }) else {
      throw GraphTextError("`require` is followed by `zero` or `nonnegative`", at: start)
    }
    cursor.skipInLine()
    guard let extent = try cursor.extents().first else { throw GraphTextError("`require` needs an extent", at: start) }
    cursor.skipInLine()
    return ShapeCondition(kind, extent, violation: try cursor.takeQuoted() ?? "")
  }

  private mutating func outputs(of graph: inout Graph, _ values: [String: ValueID], depth: Int) throws(GraphTextError) {
    var outputs: [(name: String, value: ValueID)] = []
    var taken: Set<String> = []
    repeat {
      cursor.skip()
      let start = cursor.position
      let name = try valueName()
      let value = try Self.value(name, in: values, at: start)
      cursor.skipInLine()
      // Only the outputs of a whole model need names.
      var outputName = depth == 0 ? name : ""
      if cursor.take(word: "as") {
        cursor.skipInLine()
        guard let given = try cursor.takeQuoted() else { throw cursor.fail("expected a quoted name behind `as`, found \(cursor.found)") }
        outputName = given
      }
      if depth == 0, !taken.insert(outputName).inserted {
        throw GraphTextError("two outputs are named `\(outputName)`", at: start, hint: "give one another name: %\(name) as \"...\"")
      }
      cursor.skipInLine()
      if depth == 0, cursor.take(word: "keys") {
        cursor.skipInLine()
        let place = cursor.position
        let keys = try cursor.mapKeys()
        let type = graph.type(of: value)
        guard type.rank == 2, type.shape[1].constant == keys.count else { throw GraphTextError("\(keys.count) keys for \(type)", at: place) }
        graph.outputKeys[outputName] = keys
      }
      outputs.append((outputName, value))
      cursor.skipInLine()
    } while cursor.take(",")
    graph.setOutputs(outputs)
  }

  // MARK: Names

  private mutating func name(_ what: String) throws(GraphTextError) -> String {
    if let word = cursor.takeWord() { return word }
    guard let quoted = try cursor.takeQuoted() else { throw cursor.fail("expected the name of \(what), found \(cursor.found)") }
    return quoted
  }

  private mutating func valueName() throws(GraphTextError) -> String {
    try cursor.expect("%", "and the name of a value")
    return try name("a value")
  }

  private static func value(_ name: String, in values: [String: ValueID], at position: Int) throws(GraphTextError) -> ValueID {
    if let value = values[name] { return value }
    throw GraphTextError(
      "`%\(name)` is not defined above", at: position, hint: closest(to: name, among: Array(values.keys)).map { "is `%\($0)` meant?" })
  }

  // MARK: Nodes

  private mutating func node(in graph: inout Graph, _ values: inout [String: ValueID], depth: Int) throws(GraphTextError) {
    let start = cursor.position
    let line = self.line(of: start)
    var results: [String] = []
    var taken: Set<String> = []
    repeat {
      cursor.skipInLine()
      let place = cursor.position
      let name = try valueName()
      guard values[name] == nil, taken.insert(name).inserted else { throw GraphTextError("`%\(name)` is defined twice", at: place) }
      results.append(name)
      cursor.skipInLine()
    } while cursor.take(",")
    try cursor.expect("=", "and an operation")
    cursor.skip()
    let operationStart = cursor.position
    guard let mnemonic = cursor.takeWord() else { throw cursor.fail("expected an operation, found \(cursor.found)") }
    guard let type = OperationRegistry.type(for: mnemonic) else {
      let known = OperationRegistry.types.flatMap { $0.mnemonics }
      throw GraphTextError("there is no operation `\(mnemonic)`", at: operationStart, hint: Self.closest(to: mnemonic, among: known).map { "is `\($0)` meant?" })
    }

    var operands: [ValueID] = []
    let operation: any Operation
    var types: [TensorType]?
    if type == Constant.self {
      let tensor = try cursor.constant()
      operation = Constant(tensor)
    } else {
      operands = try self.operands(values)
      let (attributes, attributesStart) = try cursor.attributes()
      let regions = try self.regions(depth: depth)
      do throws(TypeError) {
        operation = try type.init(mnemonic: mnemonic, attributes: attributes, regions: regions)
      } catch {
        throw GraphTextError(error.message, at: operationStart, hint: error.hint)
      }
      try refuseUnknown(attributes, operation, type, at: attributesStart)
      types = try resultTypes()
    }
    let origin = try self.origin() ?? NodeOrigin(file: file.isEmpty ? "" : "\(file):\(line)", node: results[0], operatorName: mnemonic)
    cursor.skipInLine()
    if let byte = cursor.byte, byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r"), byte != UInt8(ascii: "}"), byte != UInt8(ascii: "/") {
      throw cursor.fail("expected the end of the line, found \(cursor.found)", hint: "a node is written: %result = operation %operands {attributes} (regions) : types")
    }

    let inferred: [TensorType]
    do throws(TypeError) { inferred = try operation.checkedResultTypes(for: graph.types(of: operands)) } catch {
      throw GraphTextError(error.message, at: operationStart, hint: error.hint)
    }
    if let types, types != inferred {
      throw GraphTextError(
        "`\(mnemonic)` gives \(inferred.map(\.description).joined(separator: ", ")), not \(types.map(\.description).joined(separator: ", "))", at: operationStart,
        hint: "the types of results may be left out")
    }
    guard inferred.count == results.count else {
      throw GraphTextError("`\(mnemonic)` has \(inferred.count) results but \(results.count) are named", at: start)
    }
    do throws(TypeError) {
      for (name, id) in zip(results, try graph.add(operation, operands, origin: origin)) {
        values[name] = id
        graph.rename(id, name)
      }
    } catch {
      throw GraphTextError(error.message, at: operationStart, hint: error.hint)
    }
  }

  /// Operands begin on the line of the operation; behind a comma they may go on below.
  private mutating func operands(_ values: [String: ValueID]) throws(GraphTextError) -> [ValueID] {
    var operands: [ValueID] = []
    cursor.skipInLine()
    guard cursor.byte == UInt8(ascii: "%") else { return operands }
    repeat {
      cursor.skip()
      let start = cursor.position
      operands.append(try Self.value(try valueName(), in: values, at: start))
      cursor.skipInLine()
    } while cursor.take(",")
    return operands
  }

  private mutating func regions(depth: Int) throws(GraphTextError) -> [Graph] {
    var regions: [Graph] = []
    cursor.skipInLine()
    guard cursor.take("(") else { return regions }
    cursor.skip()
    while !cursor.take(")") {
      regions.append(try graph(depth: depth + 1))
      cursor.skip()
    }
    return regions
  }

  private mutating func resultTypes() throws(GraphTextError) -> [TensorType]? {
    cursor.skipInLine()
    guard cursor.take(":") else { return nil }
    var types: [TensorType] = []
    repeat {
      cursor.skip()
      types.append(try cursor.type())
      cursor.skipInLine()
    } while cursor.take(",")
    return types
  }

  /// `loc("file", "node", "operator", opset)`.
  private mutating func origin() throws(GraphTextError) -> NodeOrigin? {
    cursor.skipInLine()
    guard cursor.take(word: "loc") else { return nil }
    try cursor.expect("(", "behind `loc`")
    var texts: [String] = []
    for _ in 0..<3 {
      cursor.skip()
      guard let text = try cursor.takeQuoted() else { throw cursor.fail("expected a quoted text, found \(cursor.found)") }
      texts.append(text)
      cursor.skip()
      try cursor.expect(",", "in `loc`")
    }
    cursor.skip()
    guard let number = cursor.takeNumber(), let opset = Int(number) else { throw cursor.fail("expected a number in `loc`, found \(cursor.found)") }
    cursor.skip()
    try cursor.expect(")", "behind `loc`")
    return NodeOrigin(file: texts[0], node: texts[1], operatorName: texts[2], opset: opset)
  }
}
