public import GraphIR
import TensorTypes

/// A contraction with constant weights, or a product of two computed matrices, as attention has them: what can be quantised.
public struct QuantizableLayer: Sendable {
  public let node: NodeID
  /// The node's name in the model, or that of what it computes.
  public let name: String
  public let operatorName: String
  /// The left operand.
  public let activation: ValueID
  /// The right operand.
  public let weights: ValueID
  public let result: ValueID
  /// True if the right operand is computed too.
  public let isProduct: Bool
}

/// Which values of a graph become bytes when its contractions are quantised, and who reads them as such.
///
/// A contraction needs its left operand as bytes. They are made where the value itself is made, behind bias and activation: at the *root*,
/// before any reshape, transpose, concatenation or maximum over windows, which work on bytes as well as on numbers. So what lies in memory
/// between two kernels are bytes. The parts of a concatenation share their scale. Sums (of residual branches, say) whose result is
/// made bytes read bytes where they can; what reads a value for something else, such as a layer norm, still gets it as it is.
///
/// Of a product of two values both become bytes. Machines multiply u8 by i8, so what is only read as a right operand is *signed*: i8, symmetric.
public struct QuantizationPlan: Sendable {
  public let layers: [QuantizableLayer]
  /// Contractions that stay as they are, and why.
  public let refused: [(name: String, reason: String)]
  /// The values that become bytes, each with the values that share its scale; the plan's own order.
  public let roots: [ValueID]
  /// The root that stands for all that share its scale.
  private let representative: [ValueID: ValueID]
  private let byNode: [NodeID: QuantizableLayer]
  private let rootOfLayer: [NodeID: ValueID]
  private let rightRootOfProduct: [NodeID: ValueID]
  private let signed: Set<ValueID>
  /// Operand positions by node.
  private let readsBytes: [NodeID: Set<Int>]

  /// - Parameters:
  ///   - isExcluded: Layers that stay in floating point, by their place in `layers(of:)`.
  public init(_ graph: Graph, without isExcluded: (QuantizableLayer) -> Bool = { _ in false }) {
    var (found, refused) = Self.layers(of: graph)
    found.removeAll(where: isExcluded)
    var survey = RootSurvey(graph, layers: Set(found.map(\.node)), products: Set(found.filter(\.isProduct).map(\.node)))
    var layers: [QuantizableLayer] = []
    var (rootOfLayer, rightRootOfProduct): ([NodeID: ValueID], [NodeID: ValueID]) = ([:], [:])
    for layer in found {
      switch survey.add(layer) {
      case .refused(let reason): refused.append((layer.name, reason))
      case .roots(let left, let right):
        layers.append(layer)
        rootOfLayer[layer.node] = left
        rightRootOfProduct[layer.node] = right
      }
    }
    (self.rootOfLayer, self.rightRootOfProduct) = (rootOfLayer, rightRootOfProduct)
    survey.addSums()
    survey.findReaders()
    (self.layers, self.refused) = (layers, refused)
    roots = survey.order
    signed = survey.signed
    representative = survey.order.reduce(into: [:]) { $0[$1] = survey.representative(of: $1) }
    byNode = Dictionary(layers.map { ($0.node, $0) }, uniquingKeysWith: { first, _ in first })
    readsBytes = survey.readsBytes.reduce(into: [:]) { $0[$1.node, default: []].insert($1.operand) }
  }

  public func layer(_ node: NodeID) -> QuantizableLayer? { byNode[node] }

  /// The root that a layer's left operand is made of, the first one if there are several.
  public func root(of layer: QuantizableLayer) -> ValueID { rootOfLayer[layer.node] ?? layer.activation }

  /// The same of the right operand of a product.
  public func rightRoot(of layer: QuantizableLayer) -> ValueID { rightRootOfProduct[layer.node] ?? layer.weights }

  /// True if a root becomes i8 with the zero point 0, not u8.
  public func isSigned(_ root: ValueID) -> Bool { signed.contains(root) }

  /// The value whose range is that of all that share a scale with `root`.
  public func scaleOwner(of root: ValueID) -> ValueID { representative[root] ?? root }

  /// True if this operand of a node is a root, and read as bytes.
  public func isReadAsBytes(_ node: NodeID, operand: Int) -> Bool { readsBytes[node]?.contains(operand) ?? false }

  /// The ranges of all roots, those that share a scale together.
  public func merged(_ ranges: [ValueID: ValueRange]) -> [ValueID: ValueRange] {
    var merged: [ValueID: ValueRange] = [:]
    for root in roots {
      guard let own = ranges[root] else { continue }
      let owner = scaleOwner(of: root)
      merged[owner] = merged[owner]?.union(own) ?? own
    }
    return roots.reduce(into: [:]) { $0[$1] = merged[scaleOwner(of: $1)] }
  }

  /// All contractions that can be quantised, in topological order, and those that cannot.
  static func layers(of graph: Graph) -> (found: [QuantizableLayer], refused: [(name: String, reason: String)]) {
    var found: [QuantizableLayer] = []
    var refused: [(name: String, reason: String)] = []
    for id in graph.topologicalOrder() {
      let node = graph.node(id)
      guard node.operation is Dot || node.operation is Convolution else { continue }
      let value = graph.value(node.results[0]).name
      let name = node.origin.node.isEmpty ? (value.isEmpty ? "%\(node.results[0].index)" : value) : node.origin.node
      func refuse(_ reason: String) { refused.append((name, reason)) }
      let (x, w) = (graph.type(of: node.operands[0]), graph.type(of: node.operands[1]))
      let isProduct = graph.constant(node.operands[1]) == nil
      if isProduct {
        guard DequantizedValue(node.operands[1], in: graph) == nil else {
          refuse("it is quantized already")
          continue
        }
        if let reason = node.operation is Dot ? IntegerProduct.refusal(x.shape, w.shape) : "its right operand is not constant" {
          refuse(reason)
          continue
        }
      }
      guard x.element == .f32, w.element == .f32 else {
        refuse(x.element.isInteger ? "it multiplies whole numbers already" : "it is in \(x.element.name)")
        continue
      }
      if let weights = graph.constant(node.operands[1]), !weights.largestMagnitude.isFinite {
        refuse("its weights are not finite numbers")
        continue
      }
      guard DequantizedValue(node.operands[0], in: graph) == nil else {
        refuse("its input is quantized already")
        continue
      }
      if let convolution = node.operation as? Convolution, convolution.inputDilations.contains(where: { $0 != 1 }) {
        refuse("it is a transposed convolution")
        continue
      }
      found.append(
        QuantizableLayer(
          node: id, name: name, operatorName: node.origin.operatorName, activation: node.operands[0], weights: node.operands[1], result: node.results[0], isProduct: isProduct))
    }
    return (found, refused)
  }
}

/// Where the bytes that contractions read are made.
private struct RootSurvey {
  private let graph: Graph
  private let layers: Set<NodeID>
  private let products: Set<NodeID>
  private(set) var order: [ValueID] = []
  /// The roots of right operands, and of all others.
  private var rightRoots: Set<ValueID> = []
  private var otherRoots: Set<ValueID> = []
  private(set) var readsBytes: Set<Use> = []
  private var known: Set<ValueID> = []
  private var parent: [ValueID: ValueID] = [:]
  /// How many share the scale of a representative.
  private var sharers: [ValueID: Int] = [:]
  private var movements: RootMovements
  private var endings: Set<ValueID> = []

  init(_ graph: Graph, layers: Set<NodeID>, products: Set<NodeID>) {
    (self.graph, self.layers, self.products) = (graph, layers, products)
    movements = RootMovements(graph)
    findEndings()
  }

  /// The roots that are read as right operands alone, as are all that share their scale.
  var signed: Set<ValueID> {
    let others = Set(otherRoots.map { representative(of: $0) })
    return rightRoots.filter { !others.contains(representative(of: $0)) }
  }

  func representative(of root: ValueID) -> ValueID {
    var root = root
    while let next = parent[root] { root = next }
    return root
  }

  private mutating func shareScale(_ a: ValueID, _ b: ValueID) {
    let (first, second) = (representative(of: a), representative(of: b))
    if first == second { return }
    // The smaller set joins the larger one: the way to the representative stays short.
    let (ofFirst, ofSecond) = (sharers[first] ?? 1, sharers[second] ?? 1)
    let (large, small) = ofFirst >= ofSecond ? (first, second) : (second, first)
    parent[small] = large
    sharers[large] = ofFirst + ofSecond
  }

  enum Outcome {
    /// The first ones of its operands.
    case roots(left: ValueID, right: ValueID?)
    /// Why the layer cannot be quantised.
    case refused(String)
  }

  mutating func add(_ layer: QuantizableLayer) -> Outcome {
    // Where there are several roots, all are f32 and none is constant.
    let first = movements.first(of: layer.activation), firstOnRight = movements.first(of: layer.weights)
    if graph.type(of: first).element != .f32 { return .refused("its input is \(graph.type(of: first).element.name)") }
    if graph.constant(first) != nil { return .refused("its input is constant") }
    if layer.isProduct, graph.type(of: firstOnRight).element != .f32 || graph.constant(firstOnRight) != nil {
      return .refused("its right operand is \(graph.type(of: firstOnRight).element.name), or constant")
    }
    let roots = self.roots(of: layer.activation), right = layer.isProduct ? self.roots(of: layer.weights) : []
    for root in roots + right { note(root) }
    otherRoots.formUnion(roots)
    rightRoots.formUnion(right)
    return .roots(left: first, right: layer.isProduct ? firstOnRight : nil)
  }

  private mutating func note(_ root: ValueID) { if known.insert(root).inserted { order.append(root) } }

  /// What a value is made of by movement alone, the first one in front; the parts of a concatenation get one scale. What earlier calls
  /// have given may be left out.
  private mutating func roots(of value: ValueID) -> [ValueID] {
    let found = movements.roots(of: value)
    for (part, first) in found.sharing { shareScale(first, part) }
    return found.roots
  }

  /// Finds the values of which all that becomes is bytes: every reader is a quantised contraction, or makes something of it that ends so.
  private mutating func findEndings() {
    for id in graph.topologicalOrder().reversed() {
      for value in graph.node(id).results {
        let uses = graph.uses(of: value)
        if !uses.isEmpty, !graph.isOutput(value), uses.allSatisfy({ leadsToBytes($0) }) { endings.insert(value) }
      }
    }
  }

  private func leadsToBytes(_ use: Use) -> Bool {
    let node = graph.node(use.node)
    if layers.contains(node.id) { return use.operand == 0 || products.contains(node.id) }
    if node.operation is Concatenate || RootMovements.keepsBytes(node, graph) || RootMovements.isElementwise(node.operation) { return endings.contains(node.results[0]) }
    return false
  }

  /// Where both sides of a sum come from contractions, only one of them can have it as its epilogue: what the other one gives lies in memory,
  /// and is made bytes. It is the one that is computed first.
  mutating func addSums() {
    let sequence = graph.topologicalOrder()
    let position = Dictionary(uniqueKeysWithValues: sequence.enumerated().map { ($1, $0) })
    for id in sequence {
      let node = graph.node(id)
      guard let binary = node.operation as? Binary, binary.function == .add, endings.contains(node.results[0]) else { continue }
      let sides = node.operands.map { side in known.contains(side) ? nil : movements.contraction(behind: side) }
      guard sides.count == 2, let a = sides[0], let b = sides[1], let first = position[a], let second = position[b] else { continue }
      let summand = first < second ? node.operands[0] : node.operands[1]
      note(summand)
      otherRoots.insert(summand)
    }
  }

  mutating func findReaders() {
    for root in order {
      for use in graph.uses(of: root) {
        let node = graph.node(use.node)
        // Sums over windows take bytes as they are: there is less to read.
        if leadsToBytes(use) || (use.operand == 0 && (node.operation is ReduceWindow || node.operation is Reduce)) { readsBytes.insert(use) }
      }
    }
  }
}
