import GraphIR
import TensorTypes

/// Gives all strings of the model their numbers, which compiled code knows them by.
///
///     %i = text_find %x, %names, %table
/// ->
///     %i = text_find %x, %every-string-of-the-model, %table'
///
/// where `table'` has an entry for each string: the number of a string is then its place, and finding it is one load.
/// Constants of strings keep their texts and refer to one table. Numerics: exact.
public let numberStrings = Pass<Graph>("number-strings", "Numbers the strings of the model, so that tables are asked by number.") { graph, _ throws(CompileError) in
  guard graph.hasStrings else { return false }
  do throws(TextError) {
    let numbering = try graph.numberingOfStrings()
    graph = try graph.numberingStrings(by: numbering)
    return true
  } catch { throw CompileError(.badInput, error.message, stage: .pass("number-strings")) }
}

extension Graph {
  /// The strings of all constants: first those that tables are asked for, in the order of the nodes, then the others.
  public func numberingOfStrings() throws(TextError) -> StringNumbering {
    var numbering = StringNumbering()
    func number(_ graph: Graph, tables: Bool) throws(TextError) {
      for id in graph.topologicalOrder() {
        let node = graph.node(id)
        for region in node.operation.regions { try number(region, tables: tables) }
        if tables, node.operation is TextFind {
          guard let names = graph.constant(node.operands[1]) else { continue }
          for text in names.texts { _ = try numbering.number(text) }
        } else if !tables, let constant = node.operation as? Constant, constant.tensor.element == .string {
          for text in constant.tensor.strings?.texts ?? [] { _ = try numbering.number(text) }
        }
      }
    }
    try number(self, tables: true)
    try number(self, tables: false)
    return numbering
  }

  /// The same graph with every constant of strings under these numbers, and every table in their order.
  func numberingStrings(by numbering: StringNumbering) throws(TextError) -> Graph {
    let strings = numbering.table
    let names = Tensor(numbers: (0..<strings.texts.count).map { Int64($0) }, [strings.texts.count], of: strings)
    var scratch = numbering
    return try rebuilt { graph, node, operands throws(TextError) in
      var (operation, operands) = (node.operation, operands)
      if let constant = operation as? Constant, constant.tensor.element == .string {
        operation = Constant(Tensor(numbers: try constant.tensor.renumbered(by: &scratch), constant.tensor.dimensions, of: strings))
      } else if operation is TextFind, let own = graph.constant(operands[1]), let table = graph.constant(operands[2]) {
        var places: [Text: Int] = [:]
        for (place, text) in own.texts.enumerated() where places[text] == nil { places[text] = place }
        let chosen = strings.texts.map { places[$0] ?? own.count } + [own.count]
        let width = table.element.byteCount
        let wide = Tensor(table.element, [chosen.count], strings: table.strings) { target in
          table.withBytes { source in
            for (position, place) in chosen.enumerated() {
              for byte in 0..<width { target[position * width + byte] = source[place * width + byte] }
            }
          }
        }
        operands[1] = graph.addConstant(names)
        operands[2] = graph.addConstant(wide)
      } else if !operation.regions.isEmpty, operation.regions.contains(where: \.hasStrings) {
        var regions: [Graph] = []
        for region in operation.regions { regions.append(try region.numberingStrings(by: numbering)) }
        if let other = try? Swift.type(of: operation).init(mnemonic: operation.mnemonic, attributes: operation.attributes, regions: regions) { operation = other }
      }
      guard let results = try? graph.add(operation, operands, origin: node.origin) else { throw TextError("`\(node.operation.mnemonic)` cannot be rebuilt") }
      return results
    }
  }

  private mutating func addConstant(_ tensor: Tensor) -> ValueID {
    // A constant fits whatever it is: it has no operands.
    (try? insert(Constant(tensor))) ?? ValueID(0)
  }
}
