import GraphIR
import KernelIR
import TensorTypes

/// Decision trees in two kernels: blocks of rows, whose rows fill the lanes of vectors, and single rows, for which several trees do, or
/// all comparisons of small trees.
///
/// Weights are added in the order of the trees in both, so the results do not depend on the number of rows or threads.
struct TreeTemplate {
  let target: LoweringTarget

  func lower(_ fusion: inout FusionLowering) throws(CompileError) {
    let graph = fusion.body
    guard let node = graph.producer(of: graph.outputs[0]), let operation = node.operation as? TreeEnsemble else { return }
    var tables: [Tensor] = []
    for operand in node.operands[1...] {
      guard let tensor = constant(operand, fusion) else {
        throw CompileError(.unsupported, "trees that are no constants", stage: .lower, origin: node.origin, operands: graph.types(of: node.operands))
      }
      tables.append(tensor)
    }
    let trees: DecisionTrees
    do throws(TypeError) { trees = try DecisionTrees(tables, of: operation) } catch { throw CompileError(error, stage: .lower, origin: node.origin) }
    let problem = TreeProblem(TreeLayout(trees, operation), operation, graph.type(of: node.operands[0]), graph.type(of: node.results[0]), target)
    let skipped = Set(graph.inputs).intersection(node.operands[1...])
    let rows = problem.rows
    // Rows that are no full block, and not enough for most of one, are walked one by one.
    let blocks = problem.block.map { (rows + Extent($0.rows - $0.leastRows)).floorDivided(by: Extent($0.rows)) } ?? 0
    if blocks != 0, let block = problem.block {
      var (emitter, arguments) = fusion.emitter(skipping: skipped)
      var writer = TreeBlockWriter(problem, block, x: node.operands[0], &emitter)
      let statements = try writer.write(blocks, &emitter)
      arguments += writer.tables.arguments + [.result(0)]
      let note = "trees \(block.rows) rows x \(problem.layout.roots.count)"
      fusion.kernels.append(LoweredKernel(kernel: emitter.builder.kernel(fusion.name("trees_block"), statements), arguments: arguments, note: note, flops: problem.work))
    }
    let first = blocks * Extent(problem.block?.rows ?? 0)
    if let rest = (rows - first).constant, rest <= 0, !fusion.kernels.isEmpty { return }
    var (emitter, arguments) = fusion.emitter(skipping: skipped)
    if let bits = TreeBits(problem) {
      let writer = TreeBitsWriter(problem, bits, x: node.operands[0], &emitter)
      let statements = try writer.write(from: first, &emitter)
      arguments += writer.arguments + [.result(0)]
      fusion.kernels.append(LoweredKernel(kernel: emitter.builder.kernel(fusion.name("trees_row"), statements), arguments: arguments, note: "trees by row, all comparisons at once", flops: fusion.kernels.isEmpty ? problem.work : 0))
      return
    }
    var writer = TreeRowWriter(problem, x: node.operands[0], &emitter)
    let statements = try writer.write(from: first, &emitter)
    arguments += writer.tables.arguments + [.result(0)]
    fusion.kernels.append(LoweredKernel(kernel: emitter.builder.kernel(fusion.name("trees_row"), statements), arguments: arguments, note: "trees by row", flops: fusion.kernels.isEmpty ? problem.work : 0))
  }

  /// Scalars are in the body, other constants are operands of the fusion.
  private func constant(_ value: ValueID, _ fusion: FusionLowering) -> Tensor? {
    if let tensor = fusion.body.constant(value) { return tensor }
    return fusion.body.inputs.firstIndex(of: value).flatMap { fusion.constants[$0] }
  }
}

/// Trees, the shapes around them, and how they are cut.
struct TreeProblem {
  /// Rows that are worked on together.
  struct Block {
    /// The rows whose features lie side by side.
    var rows: Int
    /// The rows that one round of comparisons is made for.
    var width: Int
    /// Fewer are walked one by one.
    var leastRows: Int { max(1, width / 4) }
  }

  let layout: TreeLayout
  let operation: TreeEnsemble
  /// Element types of the features and of the results.
  let element: ElementType
  let sums: ElementType
  let rows: Extent
  let lanes: Int
  let target: LoweringTarget
  let block: Block?
  /// Whether results are added up in registers and on the stack, and not in the result's own memory.
  let leaves: TreeLayout.Leaves

  /// Features of one block; they stay in the first- or second-level cache.
  private static let mostBlockBytes = 160 << 10
  /// Nodes of all trees that stay in the second-level cache beside the rows.
  private static let cachedNodeBytes = 768 << 10
  /// Sums of one block.
  private static let mostSums = 8192

  init(_ layout: TreeLayout, _ operation: TreeEnsemble, _ x: TensorType, _ result: TensorType, _ target: LoweringTarget) {
    (self.layout, self.operation, self.target) = (layout, operation, target)
    (element, sums, rows) = (x.element, result.element, x.shape[0])
    lanes = max(4, target.lanes)
    let rowBytes = max(1, layout.columns.count) * x.element.byteCount
    let nodeBytes = layout.order.count * (x.element.byteCount + 8)
    var sizes = [(4 * lanes, 4 * lanes), (2 * lanes, 2 * lanes), (lanes, lanes)]
    if nodeBytes > Self.cachedNodeBytes { sizes.insert((16 * lanes, 4 * lanes), at: 0) }
    let fitting = sizes.first { $0.0 * rowBytes <= Self.mostBlockBytes }
    block = layout.roots.isEmpty ? nil : fitting.map { Block(rows: $0.0, width: $0.1) }
    if case .single = layout.leaves, operation.results * (block?.rows ?? 1) > Self.mostSums { leaves = .sparse } else { leaves = layout.leaves }
  }

  var work: Extent { rows * Extent(layout.roots.count) * Extent(2 * max(1, layout.depth)) }

  // MARK: Combining

  /// What a column starts with.
  var neutral: Expression {
    switch operation.combine {
    case .maximum: .number(-.infinity, sums)
    case .minimum: .number(.infinity, sums)
    default: .number(0, sums)
    }
  }
  var neutralNumber: Double { operation.combine == .maximum ? -.infinity : operation.combine == .minimum ? .infinity : 0 }
  func combined(_ total: Expression, _ weight: Expression) -> Expression { .binary(operation.combine.function, total, weight) }
  /// A column that nothing was added to is 0.
  func finished(_ total: Expression) -> Expression {
    operation.combine == .sum ? total : .select(.compare(.equal, total, neutral), .number(0, sums), total)
  }
}

/// The constants that a kernel of trees reads, and the step from a node to its child.
struct TreeKernelTables {
  let problem: TreeProblem
  private(set) var arguments: [LoweredKernel.Argument] = []
  /// The link and the threshold of each node: in one word (the link in its upper half), or apart.
  private enum Nodes {
    case words(Buffer)
    case tables(links: Buffer, thresholds: Buffer)
  }
  private let nodes: Nodes
  private let nodeColumns: Buffer?
  /// The feature of each column; nil if they are all features in order.
  private let features: Buffer?

  private var layout: TreeLayout { problem.layout }

  init(_ problem: TreeProblem, _ emitter: inout ElementEmitter) {
    self.problem = problem
    let layout = problem.layout
    let links = layout.linkTable(), thresholds = layout.order.indices.map(layout.threshold)
    if problem.element == .f32 {
      let words = zip(links, thresholds).map { link, threshold in link << 32 | Int(Float(threshold).bitPattern) }
      nodes = .words(Self.add("nodes", Tensor(words), &emitter, &arguments))
    } else {
      nodes = .tables(
        links: Self.add("links", TreeLayout.table(links), &emitter, &arguments),
        thresholds: Self.add("thresholds", Tensor(problem.element, [thresholds.count], thresholds), &emitter, &arguments))
    }
    if case .wide = layout.links { nodeColumns = Self.add("columns", TreeLayout.table(layout.order.indices.map(layout.column)), &emitter, &arguments) } else { nodeColumns = nil }
    features = layout.columns == Array(layout.columns.indices) ? nil : Self.add("features", TreeLayout.table(layout.columns), &emitter, &arguments)
  }

  private static func add(_ name: String, _ tensor: Tensor, _ emitter: inout ElementEmitter, _ arguments: inout [LoweredKernel.Argument]) -> Buffer {
    arguments.append(.packed(tensor))
    return emitter.builder.buffer(name, tensor.element, .read)
  }

  mutating func add(_ name: String, _ tensor: Tensor, _ emitter: inout ElementEmitter) -> Buffer { Self.add(name, tensor, &emitter, &arguments) }
  mutating func add(_ name: String, _ values: [Int], _ emitter: inout ElementEmitter) -> Buffer { add(name, TreeLayout.table(values), &emitter) }

  static func index(_ value: Expression) -> Expression { .convert(value, .i64) }
  static func entry(_ buffer: Buffer, _ position: Expression) -> Expression { .convert(.load(buffer, position), .i64) }

  /// The feature that a column holds.
  func feature(_ column: Expression) -> Expression { features.map { Self.entry($0, column) } ?? column }

  /// Whether a value goes to `near`.
  func goesNear(_ value: Expression, _ threshold: Expression, missing: Expression) -> Expression {
    let isNear = Expression.compare(.lessOrEqual, value, threshold)
    return layout.tracksMissing ? .binary(.or, isNear, .binary(.and, .unary(.isNaN, value), missing)) : isNear
  }

  /// Walks lanes down from the nodes in `here`, until all are at leaves.
  ///
  /// - Parameters:
  ///   - rounds: The longest walk.
  ///   - value: The feature in a column (i32), for a lane.
  func walk(
    _ here: Local, count: Int, rounds: Expression, _ emitter: inout ElementEmitter,
    value: (inout ElementEmitter, _ lane: Expression, _ column: Expression) throws(CompileError) -> Expression
  ) throws(CompileError) -> [Statement] {
    let left = emitter.builder.local("left", .i64, count: 1), moved = emitter.builder.local("moved", .i32, count: 1)
    let step = try emitter.loop("lane", to: Extent(count), .vectorized) { emitter, lane throws(CompileError) in
      func name(_ text: String, _ expression: Expression, _ statements: inout [Statement]) -> Expression {
        let variable = emitter.builder.variable(text, expression.element)
        statements.append(.bind(variable, expression))
        return .variable(variable)
      }
      var statements: [Statement] = []
      let node = name("node", .local(here, lane), &statements)
      let (link, threshold): (Expression, Expression)
      switch nodes {
      case .words(let words):
        let word = name("word", .load(words, Self.index(node)), &statements)
        link = name("link", .convert(.binary(.shiftRight, word, .index(32)), .i32), &statements)
        threshold = .bits(.convert(word, .i32), .f32)
      case .tables(let links, let thresholds):
        link = name("link", .load(links, Self.index(node)), &statements)
        threshold = .load(thresholds, Self.index(node))
      }
      let (child, missing, column): (Expression, Expression, Expression)
      switch layout.links {
      case .packed(let bits):
        child = .binary(.shiftRight, link, .number(Double(bits + 1), .i32))
        missing = .compare(.notEqual, .binary(.and, link, .number(Double(1 << bits), .i32)), .number(0, .i32))
        column = .binary(.and, link, .number(Double(1 << bits - 1), .i32))
      case .wide:
        child = .binary(.shiftRight, link, .number(1, .i32))
        missing = .compare(.notEqual, .binary(.and, link, .number(1, .i32)), .number(0, .i32))
        column = nodeColumns.map { .load($0, Self.index(node)) } ?? .number(0, .i32)
      }
      let read = name("x", try value(&emitter, lane, column), &statements)
      let isNear = goesNear(read, threshold, missing: missing)
      let next = name("next", .binary(.add, child, .convert(isNear, .i32)), &statements)
      statements.append(.accumulate(moved, index: .index(0), with: .maximum, value: .binary(.subtract, next, node)))
      statements.append(.assign(here, index: lane, value: next))
      return statements
    }
    let isDone = Expression.compare(.equal, .local(moved, .index(0)), .number(0, .i32))
    return [
      .allocate(left), .allocate(moved), .assign(left, index: .index(0), value: rounds),
      .repeatWhile(
        .compare(.greater, .local(left, .index(0)), .index(0)),
        body: [
          .assign(moved, index: .index(0), value: .number(0, .i32)), step,
          .assign(left, index: .index(0), value: .select(isDone, .index(0), .local(left, .index(0)) - .index(1))),
        ]),
    ]
  }
}
