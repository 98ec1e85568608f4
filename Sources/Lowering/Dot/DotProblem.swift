import GraphIR
import KernelIR
import TensorTypes

/// A matrix product inside a fusion: its operands and extents.
struct DotProblem {
  let anchor: Node
  let left: ValueID
  let right: ValueID
  /// Of the left operand, and of the right one.
  let element: ElementType
  let rightElement: ElementType
  let result: ElementType
  /// The leading axes, and their product.
  let batch: Shape
  let slices: Extent
  let rows: Extent
  let columns: Extent
  let steps: Extent

  init(_ fusion: FusionLowering) throws(CompileError) {
    let (node, _) = try fusion.anchor(Dot.self)
    anchor = node
    (left, right) = (node.operands[0], node.operands[1])
    let (a, b) = (fusion.body.type(of: left), fusion.body.type(of: right))
    (element, rightElement) = (a.element, b.element)
    result = fusion.body.type(of: node.results[0]).element
    batch = Shape(Array(a.shape.extents.dropLast(2)))
    slices = batch.elementCount
    (rows, steps, columns) = (a.shape[a.rank - 2], a.shape[a.rank - 1], b.shape[b.rank - 1])
  }

  /// The product as its tiles see it once the narrow weights are unpacked.
  init(_ problem: NarrowDotProblem) {
    anchor = problem.anchor
    (left, right) = (problem.left, problem.anchor.operands[1])
    (element, rightElement, result) = (.f32, .f32, .f32)
    (batch, slices) = ([], 1)
    (rows, steps, columns) = (problem.rows, Extent(problem.steps), Extent(problem.columns))
  }

  /// Multiply-adds.
  var products: Extent { slices * rows * columns * steps }

  /// What a row reads of the left operand.
  var bytesPerRow: Int { max(1, steps.constant ?? 512) &* element.byteCount }

  /// Estimated duration on one thread: multiply-adds, or reading the right operand from beyond the caches.
  func cycles(_ target: LoweringTarget) -> Extent {
    let arithmetic = products.floorDivided(by: Extent((target.lanes >= 16 ? 16 : target.lanes * 2) * GroupedSteps.size(element, rightElement, result: result)))
    return .maximum(arithmetic, (slices * columns * steps).floorDivided(by: 4))
  }

  /// True if the right operand is read along contiguous sums by few rows, as by a query that looks at a cache of keys.
  func prefersInnerProducts(_ emitter: ElementEmitter) -> Bool {
    guard let rows = rows.constant, rows <= 4, element.isFloatingPoint, (steps.constant ?? .max) >= 8 else { return false }
    guard emitter.graph.producer(of: right) != nil else { return false }
    let axis = batch.rank
    return TileAccess.stride(of: right, along: axis, emitter) == 1 && TileAccess.stride(of: right, along: axis + 1, emitter) != 1
  }

  /// How many steps of the sum can be multiplied together: they are neighbours in the left operand's memory.
  func group(_ emitter: ElementEmitter) -> Int {
    let size = GroupedSteps.size(element, rightElement, result: result)
    return size > 1 && TileAccess.stride(of: left, along: batch.rank + 1, emitter) == 1 ? size : 1
  }

  /// True if packing the right operand when the kernel runs pays: it is used by many rows, and either its columns
  /// are not contiguous or it is larger than the caches hold with its stride.
  func prefersScratch(_ emitter: ElementEmitter) -> Bool {
    // Groups of steps are interleaved, which no operand is by itself.
    if group(emitter) > 1 { return (self.rows.constant ?? 64) >= 4 }
    let isContiguous = TileAccess.stride(of: right, along: batch.rank + 1, emitter) == 1
    let rows = rows.constant ?? 64
    if !isContiguous { return rows >= 4 }
    let bytes = (steps * columns).constant.map { $0 &* element.byteCount } ?? (1 << 18)
    return rows >= 32 && bytes > 1 << 18
  }
}
