import TensorTypes

/// One of two graphs, chosen by a condition that is known only when the model runs.
///
///     %y, %n = if %c, %x {symbols = [%If.1], extents = [%If.1, 4]} (
///       graph @then(%x: f32[n,4]) { ... return %a, %k }
///       graph @else(%x: f32[n,4]) { ... return %b, %m }
///     ) : f32[%If.1,4], i64[]
///
/// - Operands: `condition`, a bool without axes; then what the branches read, the same for both.
/// - Results: what the branch returns that was taken. Both return as many values, of the same element types and ranks.
/// - `symbols`: lengths that differ between the branches. `extents` then lists those of all results, one after the other:
///   each is one of the symbols, or what both branches say.
/// - Meaning: the other branch is not computed.
/// - Source: ONNX `If`.
public struct If: ControlOperation {
  public var then: Graph
  public var otherwise: Graph
  /// The lengths that differ between the branches; the node defines them.
  public var symbols: [String]
  /// The shapes of the results.
  public var shapes: [Shape]

  /// - Parameter shapes: Those of the results; nil means that the branches agree.
  public init(then: Graph, otherwise: Graph, symbols: [String] = [], shapes: [Shape]? = nil) {
    (self.then, self.otherwise, self.symbols) = (then, otherwise, symbols)
    self.shapes = shapes ?? then.types(of: then.outputs).map(\.shape)
  }

  public static let mnemonics = ["if"]
  public var arity: ClosedRange<Int> { then.inputs.count + 1...then.inputs.count + 1 }
  public var regions: [Graph] { [then, otherwise] }
  public var definedSymbols: [String] { symbols }
  public func replacing(regions: [Graph]) -> If {
    var copy = self
    if regions.count == 2 { (copy.then, copy.otherwise) = (regions[0], regions[1]) }
    return copy
  }

  public var attributes: Attributes {
    var list = Attributes()
    if symbols.isEmpty { return list }
    list.set("symbols", .extents(symbols.map { Extent(symbol: $0) }))
    list.set("extents", .extents(shapes.flatMap(\.extents)))
    return list
  }

  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    guard regions.count == 2 else { throw TypeError("`if` has two branches") }
    guard attributes["symbols"] != nil else {
      self.init(then: regions[0], otherwise: regions[1])
      if attributes["extents"] != nil { throw TypeError("`extents` of `if` needs `symbols`") }
      return
    }
    let symbols = try attributes.symbols("symbols")
    var extents = try attributes.extents("extents")[...]
    var shapes: [Shape] = []
    for type in regions[0].types(of: regions[0].outputs) {
      guard extents.count >= type.rank else { throw TypeError("`extents` of `if` lists fewer extents than its results have axes") }
      shapes.append(Shape(Array(extents.prefix(type.rank))))
      extents = extents.dropFirst(type.rank)
    }
    guard extents.isEmpty else { throw TypeError("`extents` of `if` lists more extents than its results have axes") }
    self.init(then: regions[0], otherwise: regions[1], symbols: symbols, shapes: shapes)
  }

  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    guard operands[0] == TensorType(.bool, []) else { throw TypeError("the condition of `if` is \(operands[0]), not bool[]") }
    for branch in regions where branch.types(of: branch.inputs) != Array(operands.dropFirst()) {
      throw TypeError("a branch of `if` takes \(branch.types(of: branch.inputs).map(\.description).joined(separator: ", ")), not what it is given")
    }
    guard Set(symbols).count == symbols.count else { throw TypeError("`if` names a symbol twice: \(symbols.joined(separator: ", "))") }
    let (first, second) = (then.types(of: then.outputs), otherwise.types(of: otherwise.outputs))
    guard first.count == second.count, first.count == shapes.count, !first.isEmpty else {
      throw TypeError("the branches of `if` return \(first.count) and \(second.count) values")
    }
    var results: [TensorType] = []
    for ((a, b), shape) in zip(zip(first, second), shapes) {
      guard a.element == b.element, a.rank == b.rank, a.rank == shape.rank else { throw TypeError("the branches of `if` return \(a) and \(b)") }
      for axis in 0..<shape.rank where !isOwn(shape[axis]) && (shape[axis] != a.shape[axis] || shape[axis] != b.shape[axis]) {
        throw TypeError("the branches of `if` return \(a) and \(b), which needs a symbol for axis \(axis)")
      }
      results.append(TensorType(a.element, shape))
    }
    return results
  }

  /// True for an extent that is one of the symbols.
  private func isOwn(_ extent: Extent) -> Bool { extent.symbol.map(symbols.contains) ?? false }

  /// What each of the symbols is after one branch or the other, in their order.
  ///
  /// - Parameter branch: 0 or 1.
  public func lengths(after branch: Int) -> [(symbol: String, extents: [Extent])] {
    let region = branch == 0 ? then : otherwise
    var found = symbols.map { (symbol: $0, extents: [Extent]()) }
    for (type, shape) in zip(region.types(of: region.outputs), shapes) {
      for (extent, own) in zip(type.shape, shape) {
        guard let symbol = own.symbol, let position = symbols.firstIndex(of: symbol), !found[position].extents.contains(extent) else { continue }
        found[position].extents.append(extent)
      }
    }
    return found
  }

  public func substituting(_ bindings: [String: Extent]) -> If {
    func bound(_ branch: Graph) -> Graph {
      do throws(CompileError) { return try branch.substituting(bindings) } catch {
        // With these lengths only the other branch makes sense.
        func types(_ values: [ValueID]) -> [TensorType] { branch.types(of: values).map { TensorType($0.element, $0.shape.substituting(bindings)) } }
        let results = zip(branch.types(of: branch.outputs), shapes).map { type, shape in
          TensorType(type.element, Shape(shape.substituting(bindings).map { isOwn($0) ? 0 : $0 }))
        }
        return (try? Self.impossible(inputs: types(branch.inputs), results: results, violation: error.message)) ?? branch
      }
    }
    return If(then: bound(then), otherwise: bound(otherwise), symbols: symbols.filter { bindings[$0] == nil }, shapes: shapes.map { $0.substituting(bindings) })
  }

  /// A branch that does not fit the lengths that are known: where it is taken the run ends.
  public static func impossible(inputs: [TensorType], results: [TensorType], violation: String) throws(TypeError) -> Graph {
    var graph = Graph(name: "impossible")
    for (position, type) in inputs.enumerated() { graph.addInput("x\(position)", type) }
    graph.requirements = [ShapeCondition(.nonNegative, -1, violation: "the branch that is taken does not fit the shapes here: \(violation)")]
    var outputs: [(name: String, value: ValueID)] = []
    for (position, type) in results.enumerated() {
      let zero = try graph.insert(Constant(Tensor(zeros: type.element, [])))
      outputs.append(("y\(position)", type.rank == 0 ? zero : try graph.insert(Broadcast(to: type.shape), zero)))
    }
    graph.setOutputs(outputs)
    return graph
  }
  public static func == (a: If, b: If) -> Bool {
    a.symbols == b.symbols && a.shapes == b.shapes && a.then.text() == b.then.text() && a.otherwise.text() == b.otherwise.text()
  }
  public func hash(into hasher: inout Hasher) {
    hasher.combine(symbols)
    hasher.combine(shapes)
  }
}
