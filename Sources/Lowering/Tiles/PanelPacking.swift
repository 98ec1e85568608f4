import GraphIR
import KernelIR
import TensorTypes

#if canImport(Glibc)
import Glibc
#endif

/// How the right operand of a contraction lies in memory for its tiles: matrix by matrix, panel by panel, and in a
/// panel step by step of the sum, so that a tile reads it from front to back.
///
///     [matrix][N / width][K][width], the last panel [K][tailWidth]
///     [matrix][N / width][K / g][width][g] where g steps are multiplied together; those left over are followed by zeros
struct PanelLayout {
  /// Steps of the sum, and columns, of one matrix.
  let steps: Extent
  /// Neighbouring steps that lie side by side: 1, 2 for pairs of bf16, 4 for bytes.
  let group: Int
  let columns: Extent
  let width: Int
  /// Columns of the last panel if it is not full; 0 if all are, nil if only known at run time.
  let tail: Int?
  /// Elements of a step in the last panel.
  let tailWidth: Int

  init(steps: Extent, columns: Extent, shape: TileShape, group: Int = 1) {
    (self.steps, self.columns, self.group) = (steps, columns, group)
    width = shape.width
    guard let count = columns.constant else {
      (tail, tailWidth) = (nil, shape.width)
      return
    }
    let rest = count % shape.width
    tail = rest
    tailWidth = Self.computed(rest, lanes: shape.lanes)
  }

  /// The lanes that are summed up for so many columns: whole vectors, the last one possibly of fewer lanes, so that
  /// no masks are needed inside the sum.
  static func computed(_ columns: Int, lanes: Int) -> Int {
    let rest = columns % lanes
    if rest == 0 { return columns }
    var narrow = 1
    while narrow < rest { narrow *= 2 }
    return columns - rest + narrow
  }

  var fullPanels: Extent { columns.floorDivided(by: Extent(width)) }
  var panels: Extent { columns.ceilDivided(by: Extent(width)) }
  /// Steps that a panel has room for.
  var storedSteps: Extent { group == 1 ? steps : steps.ceilDivided(by: Extent(group)) * Extent(group) }
  /// Elements of one matrix.
  var matrixElements: Extent {
    tail == nil ? panels * storedSteps * Extent(width) : (fullPanels * Extent(width) + Extent(tailWidth)) * storedSteps
  }

  /// The position of an element of a panel.
  ///
  /// - Parameter step: The step, or the number of the group of steps; the position is that of its first.
  func position(matrix: Expression, panel: Expression, step: Expression, lane: Expression, isTail: Bool) -> Expression {
    let start = matrix * .of(matrixElements) + panel * .of(storedSteps * Extent(width))
    return start + step * .index((isTail ? tailWidth : width) * group) + lane * .index(group)
  }

  /// Runs `body` for the panel's columns: all of a full panel's, or the rest of the last one.
  func branch(
    _ emitter: inout ElementEmitter, panel: Expression,
    _ body: (inout ElementEmitter, TileAccumulators.Columns, _ isTail: Bool) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    func full(_ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
      try emitter.scoped { emitter throws(CompileError) in try body(&emitter, .known(stored: self.width, computed: self.width), false) }
    }
    func rest(_ emitter: inout ElementEmitter) throws(CompileError) -> [Statement] {
      try emitter.scoped { emitter throws(CompileError) in
        if let tail = self.tail { return try body(&emitter, .known(stored: tail, computed: self.tailWidth), true) }
        return try body(&emitter, .runtime(.of(self.columns) - panel * .index(self.width)), true)
      }
    }
    if tail == 0 { return try full(&emitter) }
    if fullPanels == 0 { return try rest(&emitter) }
    return [.branch(if: .compare(.less, panel, .of(fullPanels)), then: try full(&emitter), else: try rest(&emitter))]
  }
}

/// A matrix, or several of the same shape, inside a constant.
struct PanelSource {
  let tensor: Tensor
  /// What the panels hold: the tensor's own type, or bf16 of an f32 tensor, rounded when it is packed.
  let element: ElementType
  let matrices: Int
  let steps: Int
  let columns: Int
  /// Distances in elements. One of the last two is 1.
  let matrixStride: Int
  let stepStride: Int
  let columnStride: Int

  /// True if every element of the matrices is one of the tensor's.
  var isInside: Bool {
    let last = (matrices - 1) * matrixStride + (steps - 1) * stepStride + (columns - 1) * columnStride
    return matrices == 0 || steps == 0 || columns == 0 || (last >= 0 && last < tensor.count)
  }

  /// The constant laid out for tiles. Rows are copied whole where they are contiguous, which runs at memory speed;
  /// otherwise square blocks are transposed.
  func packed(_ layout: PanelLayout) -> Tensor? {
    if layout.group > 1 { return packedInGroups(layout) }
    if element != tensor.element { return narrowed?.packed(layout) }
    guard let total = layout.matrixElements.constant, let count = elementCount(of: [matrices, total]) else { return nil }
    let size = tensor.element.byteCount
    guard isInside else { return nil }
    return Tensor(tensor.element, [count]) { target in
      tensor.withBytes { source in
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        eachPanel(layout, matrixElements: total, storedSteps: steps) { start, position, used, width in
          if columnStride == 1 {
            for step in 0..<steps { memcpy(to + (position + step * width) * size, from + (start + step * stepStride) * size, used * size) }
          } else {
            transpose(from: from + start * size, to: to + position * size, used: used, width: width)
          }
        }
      }
    }
  }

  /// Runs `body` for every panel of every matrix.
  ///
  /// - Parameters:
  ///   - storedSteps: Steps that a panel has room for.
  ///   - body: Gets where the panel starts in the constant and in the packed form, its columns, and the elements of a packed step.
  func eachPanel(_ layout: PanelLayout, matrixElements: Int, storedSteps: Int, _ body: (_ start: Int, _ position: Int, _ used: Int, _ width: Int) -> Void) {
    for matrix in 0..<matrices {
      var position = matrix * matrixElements
      for first in stride(from: 0, to: columns, by: layout.width) {
        let used = min(layout.width, columns - first)
        let width = used == layout.width ? layout.width : layout.tailWidth
        body(matrix * matrixStride + first * columnStride, position, used, width)
        position += storedSteps * width
      }
    }
  }

  private func transpose(from: UnsafeRawPointer, to: UnsafeMutableRawPointer, used: Int, width: Int) {
    switch tensor.element.byteCount {
    case 1: transpose(UInt8.self, from, to, used, width)
    case 2: transpose(UInt16.self, from, to, used, width)
    case 4: transpose(UInt32.self, from, to, used, width)
    default: transpose(UInt64.self, from, to, used, width)
    }
  }

  private func transpose<Element>(_ type: Element.Type, _ from: UnsafeRawPointer, _ to: UnsafeMutableRawPointer, _ used: Int, _ width: Int) {
    let (source, target) = (from.assumingMemoryBound(to: type), to.assumingMemoryBound(to: type))
    // Sixteen steps of a column share a cache line of the source.
    for block in stride(from: 0, to: steps, by: 16) {
      for column in 0..<used {
        for step in block..<min(block + 16, steps) { target[step * width + column] = source[step * stepStride + column * columnStride] }
      }
    }
  }
}

extension FusionLowering {
  /// The right operand of a dot as a constant matrix per slice, seen through views that keep or swap its two axes.
  ///
  /// - Returns: nil if it is not a constant, or is computed. `isShared` if one matrix serves all slices.
  func constantPanels(of value: ValueID, slices: Int) -> (source: PanelSource, isShared: Bool)? {
    var (current, isSwapped) = (value, false)
    let element = body.type(of: value).element
    let shape = body.type(of: value).shape
    guard let steps = shape[shape.rank - 2].constant, let columns = shape[shape.rank - 1].constant else { return nil }
    while let node = body.producer(of: current) {
      let result = body.type(of: current).shape, operand = body.type(of: node.operands.first ?? current).shape
      guard operand.rank >= 2, result.rank >= 2 else { return nil }
      let keepsMatrix = operand.extents.suffix(2) == result.extents.suffix(2)
      switch node.operation {
      case is Broadcast: guard keepsMatrix else { return nil }
      case is Convert:
        guard element == .bf16, body.type(of: node.operands[0]).element == .f32, body.type(of: current).element == .bf16 else { return nil }
      case is Reshape:
        // Only leading axes change, and the number of matrices does not (or is 1).
        guard keepsMatrix else { return nil }
      case let transpose as Transpose:
        let rank = transpose.permutation.count
        guard Array(transpose.permutation.prefix(rank - 2)) == Array(0..<rank - 2) else { return nil }
        if transpose.permutation[rank - 1] == rank - 2 { isSwapped.toggle() }
      default: return nil
      }
      current = node.operands[0]
    }
    guard let position = body.inputs.firstIndex(of: current), let tensor = constants[position] else { return nil }
    let (matrix, overflow) = steps.multipliedReportingOverflow(by: columns)
    guard !overflow, matrix > 0, tensor.count == matrix || (slices > 0 && tensor.count == matrix * slices) else { return nil }
    let isShared = tensor.count == matrix
    let source = PanelSource(
      tensor: tensor, element: element, matrices: isShared ? 1 : slices, steps: steps, columns: columns, matrixStride: matrix,
      stepStride: isSwapped ? 1 : columns, columnStride: isSwapped ? steps : 1)
    return (source, isShared)
  }
}

/// How the index of a load moves with a loop variable.
enum TileAccess {
  /// The distance in elements between neighbours along one axis of a value, if it is one load with a constant stride.
  static func stride(of value: ValueID, along axis: Int, _ emitter: ElementEmitter) -> Int? {
    var probe = emitter
    var index: [Expression] = []
    var chosen: Variable?
    for (position, extent) in probe.graph.type(of: value).shape.enumerated() {
      let variable = probe.builder.variable("p")
      probe.ranges.set(variable, to: extent)
      index.append(.variable(variable))
      if position == axis { chosen = variable }
    }
    guard let chosen, case .load(_, let place)? = try? probe.element(value, index) else { return nil }
    return coefficient(of: chosen, in: place)
  }

  /// The constant c if the expression is c * variable + (something without it).
  static func coefficient(of variable: Variable, in expression: Expression) -> Int? {
    switch expression {
    case .variable(let other): return other == variable ? 1 : 0
    case .binary(.add, let a, let b):
      guard let x = coefficient(of: variable, in: a), let y = coefficient(of: variable, in: b) else { return nil }
      return x + y
    case .binary(.subtract, let a, let b):
      guard let x = coefficient(of: variable, in: a), let y = coefficient(of: variable, in: b) else { return nil }
      return x - y
    case .binary(.multiply, let a, .index(let factor)): return coefficient(of: variable, in: a).map { $0 &* factor }
    default: return mentions(variable, expression) ? nil : 0
    }
  }

  private static func mentions(_ variable: Variable, _ expression: Expression) -> Bool {
    if case .variable(let other) = expression { return other == variable }
    return expression.children.contains { mentions(variable, $0) }
  }
}
