import GraphIR
import KernelIR
import TensorTypes

/// Says how one element of a value is computed from elements of what a fusion reads.
///
/// Elementwise and movement nodes are inlined: asking for an element of the root walks the body down to loads
/// from buffers. Anchors (contractions, reductions) are `provided` by the template around them. A value that is
/// read more than once at the same index is bound to a variable; `scoped` says in which block.
struct ElementEmitter {
  /// The part of a concatenate or pad that a loop nest covers; known when its domain was split.
  enum Piece: Hashable {
    /// The operand of a `concatenate` that all indices fall into.
    case operand(Int)
    /// All indices lie within, or all outside, the operand of a `pad`.
    case interior, border
  }

  /// Where the elements of a value are, by their index; nil for an index that is not there.
  struct Place { let element: ([Expression]) -> Expression? }

  /// The fusion's body.
  let graph: Graph
  var builder: KernelBuilder
  var ranges = IndexRanges()
  /// Where the body's inputs lie.
  var buffers: [ValueID: Buffer] = [:]
  /// Values that a template computes itself; whole numbers possibly as f32.
  var provided: [ValueID: Expression] = [:]
  /// Values that lie, element by element, in a buffer of their own shape (scratch), possibly rounded to a narrower type.
  var stored: [ValueID: Buffer] = [:]
  /// Values whose elements a template finds by their index: a step's slice of a sequence, a sum in registers.
  var placed: [ValueID: Place] = [:]
  var pieces: [NodeID: Piece] = [:]
  /// True if the target rounds a product and a sum once.
  var roundsOnce = false
  /// Factors that were looked for before, which takes a while.
  var byteSums: [ByteSumQuotient: ByteSumQuotient.Factors?] = [:]
  private var bindings: [Statement] = []
  private var memo: [Key: Expression] = [:]

  private struct Key: Hashable {
    var value: ValueID
    var index: [Expression]
  }

  init(graph: Graph, builder: KernelBuilder = KernelBuilder()) { (self.graph, self.builder) = (graph, builder) }

  var mapping: IndexMapping { IndexMapping(ranges: ranges) }

  /// Runs `body` in a block of its own: bindings made inside are returned with it, in front of its statements.
  mutating func scoped(_ body: (inout ElementEmitter) throws(CompileError) -> [Statement]) throws(CompileError) -> [Statement] {
    let (outerBindings, outerMemo) = (bindings, memo)
    bindings = []
    let statements = try body(&self)
    let result = bindings + statements
    (bindings, memo) = (outerBindings, outerMemo)
    return result
  }

  /// A loop over `extent`, whose body may ask for elements.
  mutating func loop(
    _ name: String, to extent: Extent, _ kind: Loop.Kind = .serial, _ body: (inout ElementEmitter, Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> Statement {
    let variable = builder.variable(name)
    ranges.set(variable, to: extent)
    let inner = try scoped { emitter throws(CompileError) in try body(&emitter, .variable(variable)) }
    return .loop(Loop(variable, to: .of(extent), kind: kind, body: inner))
  }

  func unsupported(_ message: String, _ node: Node) -> CompileError {
    CompileError(.unsupported, message, stage: .lower, origin: node.origin, operands: graph.types(of: node.operands))
  }

  // MARK: Elements

  /// The element of a value at an index vector of its rank.
  mutating func element(_ value: ValueID, _ index: [Expression]) throws(CompileError) -> Expression {
    if let expression = provided[value] {
      return expression.element == .f32 && graph.type(of: value).element == .i32 ? .convert(expression, .i32) : expression
    }
    if let place = placed[value] {
      if let found = place.element(index) { return found }
      throw CompileError(.unsupported, "a template reads `\(graph.value(value).name)` at a place that it did not foresee", stage: .lower)
    }
    let (type, shape) = (graph.type(of: value).element, graph.type(of: value).shape)
    if let buffer = stored[value] ?? buffers[value] { return Self.loaded(buffer, IndexMapping.linearize(index, in: shape), as: type) }
    guard let node = graph.producer(of: value) else {
      throw CompileError(.unsupported, "the fusion reads `\(graph.value(value).name)`, which no buffer holds", stage: .lower)
    }
    let key = Key(value: value, index: index)
    if let known = memo[key] { return known }
    let expression = try compute(node, index, shape)
    guard graph.useCount(of: value) > 1, !expression.children.isEmpty else { return expression }
    let variable = bound(expression)
    memo[key] = variable
    return variable
  }

  /// A variable of the innermost block that holds the expression's value.
  mutating func bound(_ expression: Expression) -> Expression {
    let variable = builder.variable("v", expression.element)
    bindings.append(.bind(variable, expression))
    return .variable(variable)
  }

  private static func loaded(_ buffer: Buffer, _ position: Expression, as element: ElementType) -> Expression {
    let load = Expression.load(buffer, position)
    return buffer.element == element ? load : .convert(load, element)
  }

  private mutating func compute(_ node: Node, _ index: [Expression], _ shape: Shape) throws(CompileError) -> Expression {
    let operands = node.operands
    switch node.operation {
    case let operation as Constant: return try literal(operation.tensor, node)
    case let operation as ExtentVector: return vector(operation.values, at: index[0])
    case let operation as Iota: return operation.element == .i64 ? index[operation.axis] : .convert(index[operation.axis], operation.element)
    case let operation as RandomBits:
      let step = operands.isEmpty ? nil : try element(operands[0], [])
      return randomBits(operation, step: step, at: IndexMapping.linearize(index, in: shape), of: shape.elementCount)
    case let operation as Unary: return .unary(operation.function, try element(operands[0], index))
    case let operation as Binary: return .binary(operation.function, try element(operands[0], index), try element(operands[1], index))
    case let operation as Compare: return .compare(operation.comparison, try element(operands[0], index), try element(operands[1], index))
    case is Select: return .select(try element(operands[0], index), try element(operands[1], index), try element(operands[2], index))
    case let operation as Convert:
      if let end = Requantization(node, in: graph) { return try end.emit(&self, at: index) }
      if let whole = provided[operands[0]], whole.element == .f32, operation.element == .f32, !operation.keepsBits { return whole }
      if operation.element == .f32, !operation.keepsBits, let difference = try requantized(operands[0], at: index) { return difference }
      let source = try element(operands[0], index)
      if source.element == operation.element { return source }
      return operation.keepsBits ? .bits(source, operation.element) : .convert(source, operation.element)
    case is Broadcast:
      let source = graph.type(of: operands[0]).shape
      let offset = shape.rank - source.rank
      return try element(operands[0], (0..<source.rank).map { source[$0] == 1 ? .index(0) : index[offset + $0] })
    case is Reshape:
      if let buffer = stored[operands[0]] ?? buffers[operands[0]] {
        return Self.loaded(buffer, IndexMapping.linearize(index, in: shape), as: graph.type(of: operands[0]).element)
      }
      return try element(operands[0], mapping.reshape(index, from: shape, to: graph.type(of: operands[0]).shape))
    case let operation as Transpose:
      var source = index
      for (position, axis) in operation.permutation.enumerated() { source[axis] = index[position] }
      return try element(operands[0], source)
    case let operation as Slice:
      return try element(operands[0], index.indices.map { index[$0] * .index(operation.steps[$0]) + .of(operation.starts[$0]) })
    case let operation as Reverse:
      let extents = graph.type(of: operands[0]).shape
      return try element(operands[0], index.indices.map { operation.axes.contains($0) ? .of(extents[$0] - 1) - index[$0] : index[$0] })
    case let operation as Pad: return try pad(operation, node, index)
    case let operation as Concatenate: return try concatenate(operation, node, index)
    case let operation as Gather:
      let rank = graph.type(of: operands[1]).rank
      let chosen = try boundedIndex(operands[1], Array(index[operation.axis..<operation.axis + rank]), within: graph.type(of: operands[0]).shape[operation.axis])
      return try element(operands[0], Array(index[..<operation.axis]) + [chosen] + Array(index[(operation.axis + rank)...]))
    case is TextFind:
      // The names are all strings of the model by number, so a number is a place; others lie behind.
      let last = graph.type(of: operands[1]).shape[0]
      let number = Expression.convert(try element(operands[0], index), .i64)
      return try element(operands[2], [.indexMinimum(number, .of(last))])
    case let operation as GatherElements:
      var source = index
      source[operation.axis] = try boundedIndex(operands[1], index, within: graph.type(of: operands[0]).shape[operation.axis])
      return try element(operands[0], source)
    case let operation as GatherND: return try gatherND(operation, node, index)
    default:
      throw unsupported("`\(node.operation.mnemonic)` cannot be computed element by element inside a fusion", node)
    }
  }

  private func literal(_ tensor: Tensor, _ node: Node) throws(CompileError) -> Expression {
    guard tensor.count == 1 else { throw unsupported("a fusion holds a constant of \(tensor.count) elements", node) }
    return Self.literal(tensor)
  }

  /// A one-element tensor as a literal.
  static func literal(_ tensor: Tensor) -> Expression {
    if tensor.element.isFloatingPoint || tensor.element == .bool { return .number(tensor.doubles[0], tensor.element) }
    let value = tensor.integers[0]
    if tensor.element == .i64 { return .index(value) }
    return value.magnitude < 1 << 53 ? .number(Double(value), tensor.element) : .convert(.index(value), tensor.element)
  }

  private func vector(_ values: [Extent], at index: Expression) -> Expression {
    if let position = index.constantIndex, values.indices.contains(position) { return .of(values[position]) }
    guard let last = values.last else { return .index(0) }
    return values.indices.dropLast().reversed().reduce(.of(last)) { .select(.compare(.equal, index, .index($1)), .of(values[$1]), $0) }
  }

  /// A runtime index, clamped to an axis; 0 for an axis without elements, of which nothing is used.
  mutating func boundedIndex(_ indices: ValueID, _ index: [Expression], within extent: Extent) throws(CompileError) -> Expression {
    let loaded = try element(indices, index)
    let wide = loaded.element == .i64 ? loaded : .convert(loaded, .i64)
    if let range = ranges.range(wide), range.lower >= 0, let limit = extent.constant, range.upper < limit { return wide }
    return .indexMaximum(.indexMinimum(wide, .of(extent - 1)), .index(0))
  }

  private mutating func gatherND(_ operation: GatherND, _ node: Node, _ index: [Expression]) throws(CompileError) -> Expression {
    let (x, tuples) = (graph.type(of: node.operands[0]).shape, graph.type(of: node.operands[1]).shape)
    let depth = tuples[tuples.rank - 1].constant ?? 0
    let outer = Array(index[..<(tuples.rank - 1)])
    var source = Array(index[..<operation.batchAxes])
    for component in 0..<depth { source.append(try boundedIndex(node.operands[1], outer + [.index(component)], within: x[operation.batchAxes + component])) }
    return try element(node.operands[0], source + Array(index[(tuples.rank - 1)...]))
  }

  private mutating func concatenate(_ operation: Concatenate, _ node: Node, _ index: [Expression]) throws(CompileError) -> Expression {
    let axis = operation.axis
    func source(_ start: Extent) -> [Expression] {
      var source = index
      source[axis] = index[axis] - .of(start)
      return source
    }
    var start: Extent = 0
    if case .operand(let chosen)? = pieces[node.id] {
      for operand in node.operands[..<chosen] { start = start + graph.type(of: operand).shape[axis] }
      return try element(node.operands[chosen], source(start))
    }
    // Without a split: a chain of selections, each side clamped into its operand.
    var alternatives: [(end: Extent, value: Expression)] = []
    for operand in node.operands {
      let extent = graph.type(of: operand).shape[axis]
      var clamped = source(start)
      clamped[axis] = .indexMaximum(.index(0), .indexMinimum(clamped[axis], .of(extent - 1)))
      start = start + extent
      if extent == 0 { continue }
      alternatives.append((start, try element(operand, clamped)))
    }
    guard var result = alternatives.last?.value else { throw unsupported("`concatenate` of nothing", node) }
    for alternative in alternatives.dropLast().reversed() {
      result = .select(.compare(.less, index[axis], .of(alternative.end)), alternative.value, result)
    }
    return result
  }

  private mutating func pad(_ operation: Pad, _ node: Node, _ index: [Expression]) throws(CompileError) -> Expression {
    let extents = graph.type(of: node.operands[0]).shape
    if pieces[node.id] == .border { return try element(node.operands[1], []) }
    var source = index
    var isInside: Expression?
    for axis in index.indices where operation.low[axis] != 0 || operation.high[axis] != 0 {
      let shifted = index[axis] - .of(operation.low[axis])
      let last = Expression.of(extents[axis] - 1)
      switch operation.mode {
      case .constant:
        source[axis] = shifted
        if pieces[node.id] == .interior { continue }
        source[axis] = .indexMaximum(.index(0), .indexMinimum(shifted, last))
        let within = Expression.binary(.and, .compare(.greaterOrEqual, shifted, .index(0)), .compare(.lessOrEqual, shifted, last))
        isInside = isInside.map { .binary(.and, $0, within) } ?? within
      case .edge: source[axis] = .indexMaximum(.index(0), .indexMinimum(shifted, last))
      case .reflect: source[axis] = last - .unary(.absolute, last - .unary(.absolute, shifted))
      case .wrap: source[axis] = (shifted + .of(extents[axis])).remainderByIndex(.of(extents[axis]))
      }
    }
    let inner = try element(node.operands[0], source)
    guard let isInside else { return inner }
    return .select(isInside, inner, try element(node.operands[1], []))
  }
}
