import GraphIR
import KernelIR
import TensorTypes

/// A scan whose steps are products of few rows with constants, and elementwise work on their results: a recurrent
/// layer, whoever wrote it.
///
/// The columns of a product that one unit of the layer needs (its gates) lie far apart, at a constant distance each.
/// They are found by asking which elements of a product an element of the results reads, not by the cell's name.
struct RecurrentProblem {
  /// A matrix product with constant right side.
  struct Product {
    let result: ValueID
    let left: ValueID
    let rows: Int
    let steps: Int
    let source: PanelSource
  }
  /// The columns `offset..<offset + units` of a product.
  struct Gate: Hashable {
    var product: Int
    var offset: Int
  }
  /// Values of one shape [rows, units] that are computed in the same loop over units.
  struct Stage {
    let rows: Int
    let units: Int
    var targets: [ValueID]
    var gates: [Gate] = []
    /// The products of `gates`, in order.
    var products: [Int] { Set(gates.map(\.product)).sorted() }
  }

  let scan: Scan
  /// The body without fusions. Its inputs are those of the scan's body, then `constants`.
  let body: Graph
  let constants: [Tensor]
  private(set) var products: [Product] = []
  /// In order; a stage may read, in any order, what stages before it store.
  private(set) var stages: [Stage] = []
  /// Left operands that earlier stages store.
  private(set) var stored: Set<ValueID> = []

  /// Most rows; with more, products of their own share the weights of a step better.
  private static let mostRows = 64

  /// - Parameter operands: The scan's operands that are constants, by position.
  /// - Returns: nil if the scan is something else.
  init?(_ scan: Scan, operands: [Int: Tensor], origin: NodeOrigin, target: LoweringTarget) {
    guard let (body, constants) = try? scan.body.flattened() else { return nil }
    (self.scan, self.body, self.constants) = (scan, body, constants)
    guard !body.outputs.isEmpty, findProducts(operands, origin, target), !products.isEmpty, arrangeStages(), findGates() else { return nil }
  }

  /// Floating-point operations of one step.
  var flops: Int {
    stages.reduce(0) { total, stage in
      total + stage.gates.reduce(0) { $0 + 2 * stage.rows * stage.units * products[$1.product].steps }
    }
  }
  /// Bytes of weights that one step reads.
  var weightBytes: Int {
    stages.reduce(0) { total, stage in total + stage.gates.reduce(0) { $0 + 4 * stage.units * products[$1.product].steps } }
  }

  private mutating func findProducts(_ operands: [Int: Tensor], _ origin: NodeOrigin, _ target: LoweringTarget) -> Bool {
    var known = operands
    for (number, tensor) in constants.enumerated() { known[scan.body.inputs.count + number] = tensor }
    // What every step reads whole; the others only look constant from outside.
    for position in 0..<scan.carried + scan.scanned { known[position] = nil }
    let reader = FusionLowering(Fusion(.dot, body: body), origin: origin, target: target, constants: known)
    for id in body.topologicalOrder() {
      let node = body.node(id)
      guard Self.isElementwise(node.operation) || node.operation is Dot else { return false }
      guard node.results.allSatisfy({ body.type(of: $0).shape.isStatic }) else { return false }
      guard node.operation is Dot else { continue }
      let (left, right) = (body.type(of: node.operands[0]), body.type(of: node.operands[1]))
      guard left.element == .f32, left.rank == 2, right.rank == 2, let rows = left.shape[0].constant, let steps = left.shape[1].constant,
        rows >= 1, rows <= Self.mostRows, steps >= 1, let (source, _) = reader.constantPanels(of: node.operands[1], slices: 1)
      else { return false }
      products.append(Product(result: node.results[0], left: node.operands[0], rows: rows, steps: steps, source: source))
    }
    return true
  }

  /// What an `ElementEmitter` computes one element at a time.
  private static func isElementwise(_ operation: any Operation) -> Bool {
    switch operation {
    case is Constant, is ExtentVector, is Iota, is Unary, is Binary, is Compare, is Select, is Convert, is Broadcast, is Reshape, is Transpose, is Slice, is Reverse: true
    default: false
    }
  }

  /// Rows and units of a value: the last axis, and all before it.
  private func domain(_ value: ValueID) -> (rows: Int, units: Int)? {
    guard let dimensions = body.type(of: value).shape.constants, let count = elementCount(of: dimensions), count > 0 else { return nil }
    let units = dimensions.last ?? 1
    return (count / units, units)
  }

  private mutating func arrangeStages() -> Bool {
    for product in products {
      // A product of a view of an input reads it in place.
      var base = product.left
      while let node = body.producer(of: base), node.operation is Reshape || node.operation is Transpose || node.operation is Slice { base = node.operands[0] }
      if body.producer(of: base) == nil || !stored.insert(product.left).inserted { continue }
      guard let (rows, units) = domain(product.left) else { return false }
      stages.append(Stage(rows: rows, units: units, targets: [product.left]))
    }
    let first = stages.count
    for output in body.outputs {
      guard let (rows, units) = domain(output) else { return false }
      if let stage = stages[first...].firstIndex(where: { $0.rows == rows && $0.units == units }) {
        if !stages[stage].targets.contains(output) { stages[stage].targets.append(output) }
      } else {
        stages.append(Stage(rows: rows, units: units, targets: [output]))
      }
    }
    return true
  }

  // MARK: Gates

  private final class Requests {
    var gates: [Gate] = []
    var isRegular = true
  }

  /// Asks each stage for one element and notes which elements of products it reads.
  private mutating func findGates() -> Bool {
    var available: Set<ValueID> = []
    for number in stages.indices {
      let stage = stages[number]
      var probe = ElementEmitter(graph: body)
      let row = probe.builder.variable("row"), unit = probe.builder.variable("unit")
      probe.ranges.set(row, to: Extent(stage.rows))
      probe.ranges.set(unit, to: Extent(stage.units))
      let requests = Requests()
      for input in body.inputs { probe.buffers[input] = probe.builder.buffer("x", body.type(of: input).element, .read) }
      for value in available { probe.stored[value] = probe.builder.buffer("left", body.type(of: value).element, .read) }
      for (position, product) in products.enumerated() {
        probe.placed[product.result] = ElementEmitter.Place { index in
          let isRow = product.rows == 1 || index[0] == .variable(row)
          let offset: Int? =
            switch index[1] {
            case .variable(unit): 0
            case .binary(.add, .variable(unit), .index(let offset)): offset
            default: stage.units == 1 ? index[1].constantIndex : nil
            }
          if isRow, product.rows == stage.rows, let offset, offset >= 0, offset + stage.units <= product.source.columns {
            let gate = Gate(product: position, offset: offset)
            if !requests.gates.contains(gate) { requests.gates.append(gate) }
          } else { requests.isRegular = false }
          return .load(Buffer(slot: position, name: "sum", element: .f32), index[1])
        }
      }
      for target in stage.targets {
        let index = probe.mapping.reshape([.variable(row), .variable(unit)], from: [Extent(stage.rows), Extent(stage.units)], to: body.type(of: target).shape)
        guard (try? probe.element(target, index)) != nil, requests.isRegular else { return false }
      }
      // A product whose left operand is stored later cannot be taken yet.
      guard requests.gates.allSatisfy({ !stored.contains(products[$0.product].left) || available.contains(products[$0.product].left) }) else { return false }
      stages[number].gates = requests.gates.sorted { ($0.product, $0.offset) < ($1.product, $1.offset) }
      if number < stored.count { available.formUnion(stage.targets) }
    }
    return true
  }
}
