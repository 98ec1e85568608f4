import GraphIR
import TensorTypes

/// Matrix products as `dot` over [batch..., M, K] and [batch..., K, N].
enum MatrixOperators {
  static let table: [String: OperatorImporter] = [
    "MatMul": { call, b throws(CompileError) in [try product(call.input(0), call.input(1), &b)] },
    "Gemm": gemm,
    "Einsum": { call, b throws(CompileError) in [try Einsum(call.string("equation"), call.allInputs(), &b).build(&b)] },
  ]

  /// NumPy's `matmul`.
  ///
  /// A two-dimensional right side, which is what a weight is, gets a two-dimensional left side: one large product
  /// instead of a batch of small ones.
  static func product(_ first: ValueID, _ second: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var (x, y) = (first, second)
    guard b.rank(x) >= 1, b.rank(y) >= 1 else { throw b.refusal("a matrix product of a scalar", operands: [x, y]) }
    let (dropsRow, dropsColumn) = (b.rank(x) == 1, b.rank(y) == 1)
    if dropsRow { x = try b.unsqueeze(x, axis: 0) }
    if dropsColumn { y = try b.unsqueeze(y, axis: 1) }
    (x, y) = try matched(x, y, &b)
    let (left, right) = (b.shape(x).extents, b.shape(y).extents)
    var result: ValueID
    if right.count == 2 {
      let rows = left.dropLast().reduce(Extent(1)) { $0 * $1 }
      let flat = try b.reshape(x, to: [rows, left[left.count - 1]])
      result = try b.reshape(b.add(Dot(), flat, y), to: Shape(left.dropLast() + [right[1]]))
    } else {
      let (outer, inner) = (Shape(Array(left.dropLast(2))), Shape(Array(right.dropLast(2))))
      guard let batch = outer.broadcast(with: inner) else { throw b.refusal("batch axes that do not broadcast", operands: [x, y]) }
      x = try b.broadcast(x, to: Shape(batch.extents + left.suffix(2)))
      y = try b.broadcast(y, to: Shape(batch.extents + right.suffix(2)))
      result = try b.add(Dot(), x, y)
    }
    var extents = b.shape(result).extents
    if dropsColumn { extents.removeLast() }
    if dropsRow { extents.remove(at: extents.count - (dropsColumn ? 1 : 2)) }
    return try b.reshape(result, to: Shape(extents))
  }

  /// The operands with one form of the extent that is summed over: symbolic ones that differ in form are taken to be equal.
  private static func matched(_ x: ValueID, _ y: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> (ValueID, ValueID) {
    var (left, right) = (b.shape(x), b.shape(y))
    let (columns, rows) = (left[left.rank - 1], right[right.rank - 2])
    if columns == rows { return (x, y) }
    guard !columns.isConstant || !rows.isConstant else { throw b.refusal("a matrix product of \(columns) columns by \(rows) rows", operands: [x, y]) }
    if columns.isConstant {
      right[right.rank - 2] = columns
      return (x, try b.reshape(y, to: right))
    }
    left[left.rank - 1] = rows
    return (try b.reshape(x, to: left), y)
  }

  private static func gemm(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var (x, y) = (try call.input(0), try call.input(1))
    guard b.rank(x) == 2, b.rank(y) == 2 else { throw b.refusal("Gemm takes matrices", operands: [x, y]) }
    if try call.flag("transA") { x = try b.transpose(x, [1, 0]) }
    if try call.flag("transB") { y = try b.transpose(y, [1, 0]) }
    (x, y) = try matched(x, y, &b)
    let (alpha, beta) = (try call.number("alpha", default: 1), try call.number("beta", default: 1))
    var result = try b.add(Dot(), x, y)
    if alpha != 1 { result = try scaled(result, alpha, &b) }
    guard var c = call.optional(2), beta != 0 else { return [result] }
    if beta != 1 { c = try scaled(c, beta, &b) }
    guard b.rank(c) <= 2 else { throw b.refusal("Gemm adds a matrix", operands: [x, y, c]) }
    return [try b.binary(.add, result, b.broadcast(c, to: b.shape(result)))]
  }

  /// A product with a number that may not be an integer; integers are scaled in f64 and truncated.
  private static func scaled(_ x: ValueID, _ factor: Double, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let element = b.element(x)
    if element.isFloatingPoint || factor == factor.rounded() { return try b.binary(.multiply, x, factor) }
    return try b.convert(b.binary(.multiply, b.convert(x, to: .f64), factor), to: element)
  }
}

/// A sum of products over named axes.
///
/// Operands are multiplied pairwise from left to right; an axis is summed over as soon as nothing behind needs it.
struct Einsum {
  private var terms: [[UInt8]] = []
  private var result: [UInt8] = []
  private var operands: [ValueID]

  /// The labels that stand for the axes of an ellipsis, from the last one backward.
  private static func ellipsis(_ rank: Int) -> [UInt8] { (0..<rank).reversed().map { UInt8(128 + $0) } }

  init(_ equation: String, _ operands: [ValueID], _ b: inout GraphBuilder) throws(CompileError) {
    self.operands = operands
    let text = equation.utf8.filter { $0 != 32 }
    let sides = Self.split(text, at: Array("->".utf8))
    guard sides.count <= 2, let inputs = sides.first else { throw b.refusal("the equation `\(printable(equation))` of Einsum") }
    let texts = inputs.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false).map { Array($0) }
    guard texts.count == operands.count else { throw b.refusal("Einsum names \(texts.count) operands but has \(operands.count)") }
    var ellipsisRank = 0
    for (text, operand) in zip(texts, operands) {
      let dots = text.filter { $0 == UInt8(ascii: ".") }.count
      guard dots == 0 || dots == 3 else { throw b.refusal("the equation `\(printable(equation))` of Einsum") }
      let covered = dots == 0 ? 0 : b.rank(operand) - (text.count - 3)
      guard covered >= 0, covered <= 64, text.count - dots + covered == b.rank(operand) else {
        throw b.refusal("Einsum names the axes `\(String(decoding: text, as: UTF8.self))`", operands: [operand])
      }
      ellipsisRank = max(ellipsisRank, covered)
      terms.append(try Self.labels(text, ellipsis: Self.ellipsis(covered), equation, b))
    }
    if sides.count == 2 {
      result = try Self.labels(sides[1], ellipsis: Self.ellipsis(ellipsisRank), equation, b)
    } else {
      let all = terms.flatMap { $0 }
      result = Self.ellipsis(ellipsisRank) + Set(all).sorted().filter { label in label < 128 && all.count { $0 == label } == 1 }
    }
    guard Set(result).count == result.count, Set(result).isSubset(of: terms.flatMap { $0 }) else {
      throw b.refusal("the equation `\(printable(equation))` of Einsum")
    }
  }

  private static func split(_ text: [UInt8], at separator: [UInt8]) -> [[UInt8]] {
    for start in text.indices where text[start...].starts(with: separator) { return [Array(text[..<start]), Array(text[(start + separator.count)...])] }
    return [text]
  }

  private static func labels(_ text: [UInt8], ellipsis: [UInt8], _ equation: String, _ b: GraphBuilder) throws(CompileError) -> [UInt8] {
    var labels: [UInt8] = []
    var dots = 0
    for byte in text {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): labels.append(byte)
      case UInt8(ascii: "."):
        dots += 1
        if dots == 1 { labels += ellipsis }
      default: throw b.refusal("the equation `\(printable(equation))` of Einsum")
      }
    }
    return labels
  }

  func build(_ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var (total, labels) = try prepared(0, &b)
    for position in terms.indices.dropFirst() {
      let (next, others) = try prepared(position, &b)
      let needed = Set(terms[(position + 1)...].flatMap { $0 } + result)
      (total, labels) = try contract(total, labels, next, others, needed, &b)
    }
    let extra = labels.indices.filter { !result.contains(labels[$0]) }
    total = try b.reduce(.sum, total, axes: extra, keepsAxes: false)
    labels = labels.filter { result.contains($0) }
    return try b.transpose(total, result.map { label in labels.firstIndex(of: label) ?? 0 })
  }

  /// An operand with every label once, and without the axes that nothing else needs.
  private func prepared(_ position: Int, _ b: inout GraphBuilder) throws(CompileError) -> (ValueID, [UInt8]) {
    var (value, labels) = (operands[position], terms[position])
    while let second = labels.indices.first(where: { labels[..<$0].contains(labels[$0]) }), let first = labels.firstIndex(of: labels[second]) {
      value = try diagonal(value, first, second, &b)
      labels.remove(at: second)
    }
    var others = Set(result)
    for (index, term) in terms.enumerated() where index != position { others.formUnion(term) }
    let unneeded = labels.indices.filter { !others.contains(labels[$0]) }
    value = try b.reduce(.sum, value, axes: unneeded, keepsAxes: false)
    return (value, labels.filter { others.contains($0) })
  }

  /// The elements whose indices on two axes are equal; the second axis goes.
  private func diagonal(_ x: ValueID, _ first: Int, _ second: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let shape = b.shape(x)
    guard shape[first] == shape[second] else { throw b.refusal("Einsum takes the diagonal of axes of different extents", operands: [x]) }
    var indexShape = shape
    indexShape[second] = 1
    let index = try b.add(Iota(.i64, indexShape, axis: first))
    let picked = try b.add(GatherElements(axis: second), x, index)
    var extents = shape.extents
    extents.remove(at: second)
    return try b.reshape(picked, to: Shape(extents))
  }

  private func contract(
    _ x: ValueID, _ xs: [UInt8], _ y: ValueID, _ ys: [UInt8], _ needed: Set<UInt8>, _ b: inout GraphBuilder
  ) throws(CompileError) -> (ValueID, [UInt8]) {
    var (left, right) = (x, y)
    let batch = xs.filter { ys.contains($0) && needed.contains($0) }
    let summed = xs.filter { ys.contains($0) && !needed.contains($0) }
    let (rows, columns) = (xs.filter { !ys.contains($0) }, ys.filter { !xs.contains($0) })
    func extent(_ label: UInt8, _ b: GraphBuilder) -> Extent {
      let own = xs.firstIndex(of: label).map { b.shape(x)[$0] } ?? 1
      let other = ys.firstIndex(of: label).map { b.shape(y)[$0] } ?? 1
      return own == 1 ? other : own
    }
    left = try b.broadcast(left, to: Shape(xs.map { extent($0, b) }))
    right = try b.broadcast(right, to: Shape(ys.map { extent($0, b) }))
    left = try b.transpose(left, (batch + rows + summed).map { label in xs.firstIndex(of: label) ?? 0 })
    right = try b.transpose(right, (batch + summed + columns).map { label in ys.firstIndex(of: label) ?? 0 })
    func count(_ labels: [UInt8], _ b: GraphBuilder) -> Extent { labels.reduce(Extent(1)) { $0 * extent($1, b) } }
    let outer = batch.map { extent($0, b) }
    left = try b.reshape(left, to: Shape(outer + [count(rows, b), count(summed, b)]))
    right = try b.reshape(right, to: Shape(outer + [count(summed, b), count(columns, b)]))
    let labels = batch + rows + columns
    return (try b.reshape(b.add(Dot(), left, right), to: Shape(labels.map { extent($0, b) })), labels)
  }
}
