import GraphIR
import KernelIR
import TensorTypes

extension SpecialTemplate {
  /// More elements than this are sorted as a whole instead of selected one after the other.
  static let mostSelected = 32

  /// True if going over the line once for each of the first elements would take too long.
  static func isSorted(_ operation: TopK, _ extent: Extent) -> Bool {
    if let length = extent.constant, length <= mostSelected { return false }
    return operation.k.constant.map { $0 > mostSelected } ?? true
  }

  /// The positions of each line in order by merging, from runs of one to the whole line; then the first `k` of them.
  ///
  /// - Parameter isBefore: A total order of elements and their positions.
  func sorted(
    _ operation: TopK, _ node: Node, _ fusion: inout FusionLowering,
    isBefore: @escaping (_ a: Expression, _ i: Expression, _ b: Expression, _ j: Expression) -> Expression
  ) throws(CompileError) {
    let graph = fusion.body
    let shape = graph.type(of: node.operands[0]).shape
    let result = graph.type(of: node.results[0]).shape
    let (first, second) = (fusion.addScratch(.i64, shape.elementCount), fusion.addScratch(.i64, shape.elementCount))
    var (emitter, arguments) = fusion.emitter()
    let order = emitter.builder.buffer("order", .i64, .readWrite), merged = emitter.builder.buffer("merged", .i64, .readWrite)
    let values = emitter.builder.buffer("values", graph.type(of: node.operands[0]).element, .write)
    let places = emitter.builder.buffer("places", .i64, .write)
    let extent = Expression.of(shape[operation.axis])
    let statements = try emitter.scoped { emitter throws(CompileError) in
      try lines(shape, except: operation.axis, &emitter) { emitter, index throws(CompileError) in
        func place(_ position: Expression) -> Expression {
          var target = index
          target[operation.axis] = position
          return IndexMapping.linearize(target, in: shape)
        }
        func element(_ position: Expression, _ emitter: inout ElementEmitter) throws(CompileError) -> Expression {
          var source = index
          source[operation.axis] = position
          return emitter.bound(try emitter.element(node.operands[0], source))
        }
        let start = try emitter.loop("i", to: shape[operation.axis]) { _, i throws(CompileError) in [.store(order, index: place(i), value: i)] }
        let merging = try merge(extent, &emitter) { emitter, left, right throws(CompileError) in
          let (i, j) = (emitter.bound(.load(order, place(left))), emitter.bound(.load(order, place(right))))
          return isBefore(try element(j, &emitter), j, try element(i, &emitter), i)
        } move: { from, to in .store(merged, index: place(to), value: .load(order, place(from))) }
          back: { i in .store(order, index: place(i), value: .load(merged, place(i))) }
        let writing = try emitter.loop("rank", to: operation.k) { emitter, rank throws(CompileError) in
          var slot = index
          slot[operation.axis] = rank
          let position = IndexMapping.linearize(slot, in: result)
          let chosen = emitter.bound(.load(order, place(rank)))
          return [.store(values, index: position, value: try element(chosen, &emitter)), .store(places, index: position, value: chosen)]
        }
        return [start] + merging + [writing]
      }
    }
    arguments += [first, second, .result(0), .result(1)]
    fusion.kernels.append(LoweredKernel(kernel: emitter.builder.kernel(fusion.name("sort"), statements), arguments: arguments, note: "top_k by merging"))
  }

  /// Rounds of merging neighbouring runs, each twice as long as those before.
  private func merge(
    _ extent: Expression, _ emitter: inout ElementEmitter,
    takesRight: (inout ElementEmitter, _ left: Expression, _ right: Expression) throws(CompileError) -> Expression,
    move: (_ from: Expression, _ to: Expression) -> Statement, back: (Expression) -> Statement
  ) throws(CompileError) -> [Statement] {
    let zero = Expression.index(0), one = Expression.index(1)
    func local(_ name: String) -> Local { emitter.builder.local(name, .i64, count: 1) }
    let (width, low, left, right) = (local("width"), local("low"), local("left"), local("right"))
    func value(_ local: Local) -> Expression { .local(local, zero) }
    func set(_ local: Local, _ to: Expression) -> Statement { .assign(local, index: zero, value: to) }
    let last = extent - one
    let middle = emitter.builder.variable("middle"), end = emitter.builder.variable("end")
    let step = try emitter.scoped { emitter throws(CompileError) in
      // Where a run is over nothing is taken from it, but something is read.
      let a = emitter.bound(.indexMinimum(value(left), last)), b = emitter.bound(.indexMinimum(value(right), last))
      let isLeftOver = Expression.compare(.greaterOrEqual, value(left), .variable(middle))
      let hasRight = Expression.compare(.less, value(right), .variable(end))
      let isRight = Expression.binary(.or, isLeftOver, .binary(.and, hasRight, try takesRight(&emitter, a, b)))
      let target = value(left) + value(right) - .variable(middle)
      return [.branch(if: isRight, then: [move(b, target), set(right, value(right) + one)], else: [move(a, target), set(left, value(left) + one)])]
    }
    let isInside = Expression.binary(
      .or, .compare(.less, value(left), .variable(middle)), .compare(.less, value(right), .variable(end)))
    let pair: [Statement] = [
      .bind(middle, .indexMinimum(value(low) + value(width), extent)), .bind(end, .indexMinimum(value(low) + value(width) + value(width), extent)),
      set(left, value(low)), set(right, .variable(middle)), .repeatWhile(isInside, body: step), set(low, .variable(end)),
    ]
    let copy = emitter.builder.variable("copied")
    let round: [Statement] = [
      set(low, zero), .repeatWhile(.compare(.less, value(low), extent), body: pair),
      .loop(Loop(copy, to: extent, body: [back(.variable(copy))])), set(width, value(width) + value(width)),
    ]
    return [.allocate(width), .allocate(low), .allocate(left), .allocate(right), set(width, one), .repeatWhile(.compare(.less, value(width), extent), body: round)]
  }
}
