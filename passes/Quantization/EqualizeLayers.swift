#if canImport(Glibc)
import Glibc
#endif
public import GraphIR
import TensorTypes

/// Evens out the weights of neighbouring layers, channel by channel, so that one scale fits more of them.
///
///     %y = convolution (min (max (add (convolution %x, %f), %b), 0), 6), %g
/// ->
///     %y = convolution (min (max (add (convolution %x, %f / s), %b / s), 0), 6 / s), %g * s
///
/// s makes the largest weights of a channel in both layers the same: sqrt(max|f| / max|g|). Between the layers there may be a bias and what
/// commutes with a positive factor: a lower bound of 0, and upper bounds, which become one for each channel; nothing else may read the values.
/// Chains of layers settle after a few rounds.
/// Numerics: the same function, but for one rounding of each weight.
///
/// Source: Nagel et al., Data-free quantization through weight equalization and bias correction (ICCV 2019), 4.1; the paper
/// takes upper bounds away instead.
public func equalizeLayers(_ graph: Graph) throws(CompileError) -> Graph {
  let pairs = graph.topologicalOrder().compactMap { EqualizedPair(graph, second: $0) }
  var equalization = Equalization(graph, pairs)
  for _ in 0..<32 where equalization.round() > 1e-3 {}
  return try equalization.written()
}

/// Two contractions with nothing but bias and bounds between them.
private struct EqualizedPair {
  let first: NodeID
  let second: NodeID
  /// Operands of what is between them that take part: the node, which operand, and the broadcast constant in it.
  let constants: [(node: NodeID, operand: Int, tensor: Tensor)]
  let channels: Int

  init?(_ graph: Graph, second: NodeID) {
    let node = graph.node(second)
    guard let reader = ContractionWeights(of: node, in: graph) else { return nil }
    var value = node.operands[0]
    var found: [(node: NodeID, operand: Int, tensor: Tensor)] = []
    while graph.useCount(of: value) == 1, graph.type(of: value).element == .f32, let producer = graph.producer(of: value) {
      if producer.operation is Dot || producer.operation is Convolution {
        guard let maker = ContractionWeights(of: producer, in: graph), maker.outputs == reader.inputs else { return nil }
        // Convolutions and products do not mix: their channels lie along different axes.
        guard (producer.operation is Dot) == (node.operation is Dot) else { return nil }
        (first, self.second, constants, channels) = (producer.id, second, found, maker.outputs)
        return
      }
      guard let binary = producer.operation as? Binary, [.add, .maximum, .minimum].contains(binary.function),
        let position = producer.operands.indices.first(where: { graph.broadcastConstant(producer.operands[$0]) != nil }),
        let constant = graph.broadcastConstant(producer.operands[position]), constant.element == .f32
      else { return nil }
      let numbers = constant.doubles
      // One for all, or one for each channel, in the place where they lie.
      guard constant.count == 1 || Self.isChannelVector(constant, of: node, channels: reader.inputs), numbers.allSatisfy({ $0.isFinite }) else { return nil }
      if binary.function == .maximum, !numbers.allSatisfy({ $0 == 0 }) { return nil }
      if binary.function == .minimum, !numbers.allSatisfy({ $0 > 0 }) { return nil }
      if binary.function != .maximum { found.append((producer.id, position, constant)) }
      value = producer.operands[1 - position]
    }
    return nil
  }

  /// A constant that broadcasts along the axis of channels, and along no other.
  private static func isChannelVector(_ constant: Tensor, of node: Node, channels: Int) -> Bool {
    guard constant.count == channels else { return false }
    if node.operation is Dot { return constant.dimensions.last == channels }
    guard let convolution = node.operation as? Convolution else { return false }
    let rank = convolution.window.strides.count + 2
    let fromEnd = rank - convolution.axes(rank: rank).channel
    return constant.dimensions.count >= fromEnd && constant.dimensions[constant.dimensions.count - fromEnd] == channels
  }
}

extension ContractionWeights {
  /// Of a contraction with constant weights that no other node reads.
  fileprivate init?(of node: Node, in graph: Graph) {
    guard node.operation is Dot || node.operation is Convolution, let weights = graph.constant(node.operands[1]), weights.element == .f32, graph.useCount(of: node.operands[1]) == 1,
      let axis = QuantizedWeights.outputAxis(of: node.operation, rank: weights.dimensions.count), weights.count > 0
    else { return nil }
    if let convolution = node.operation as? Convolution, convolution.inputDilations.contains(where: { $0 != 1 }) { return nil }
    self.init(node.operation, weights.dimensions, outputAxis: axis)
  }
}

extension Graph {
  /// The constant that a value is, or that it repeats.
  fileprivate func broadcastConstant(_ value: ValueID) -> Tensor? {
    if let broadcast = producer(of: value, as: Broadcast.self) { return constant(broadcast.node.operands[0]) }
    return constant(value)
  }
}

/// The factors of all pairs while they settle.
private struct Equalization {
  private let graph: Graph
  private let pairs: [EqualizedPair]
  /// By contraction: the largest weight of each output and of each input channel, as it is by now.
  private var outputs: [NodeID: [Double]] = [:]
  private var inputs: [NodeID: [Double]] = [:]
  /// What each output is divided by, and each input channel multiplied by.
  private var divisors: [NodeID: [Double]] = [:]
  private var multipliers: [NodeID: [Double]] = [:]

  init(_ graph: Graph, _ pairs: [EqualizedPair]) {
    (self.graph, self.pairs) = (graph, pairs)
    for id in Set(pairs.flatMap { [$0.first, $0.second] }) { measure(id) }
  }

  /// Takes the largest magnitudes anew, with the factors there are.
  private mutating func measure(_ id: NodeID) {
    let node = graph.node(id)
    guard let view = ContractionWeights(of: node, in: graph), let weights = graph.constant(node.operands[1]) else { return }
    let (divisor, multiplier) = (divisors[id] ?? [], multipliers[id] ?? [])
    var (byOutput, byInput) = ([Double](repeating: 0, count: view.outputs), [Double](repeating: 0, count: view.inputs))
    weights.withBytes { bytes in
      for position in 0..<weights.count {
        let (output, input) = (view.output(position), view.input(position))
        var value = Double(bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self).magnitude)
        if !divisor.isEmpty { value /= divisor[output] }
        if !multiplier.isEmpty { value *= multiplier[input] }
        byOutput[output] = max(byOutput[output], value)
        byInput[input] = max(byInput[input], value)
      }
    }
    (outputs[id], inputs[id]) = (byOutput, byInput)
  }

  /// Evens out every pair once.
  ///
  /// - Returns: How far the largest factor of the round is from 1.
  mutating func round() -> Double {
    var change = 0.0
    for pair in pairs {
      guard let made = outputs[pair.first], let read = inputs[pair.second] else { continue }
      var (divisor, multiplier) = (divisors[pair.first] ?? [Double](repeating: 1, count: made.count), multipliers[pair.second] ?? [Double](repeating: 1, count: read.count))
      for channel in 0..<pair.channels where made[channel] > 0 && read[channel] > 0 {
        let factor = sqrt(made[channel] / read[channel])
        let total = divisor[channel] * factor
        guard total > 1e-4, total < 1e4 else { continue }
        divisor[channel] = total
        multiplier[channel] *= factor
        change = max(change, abs(factor - 1))
      }
      (divisors[pair.first], multipliers[pair.second]) = (divisor, multiplier)
      measure(pair.first)
      measure(pair.second)
    }
    return change
  }

  func written() throws(CompileError) -> Graph {
    var changed: [NodeID: [(operand: Int, tensor: Tensor, divisor: [Double])]] = [:]
    for pair in pairs {
      guard let divisor = divisors[pair.first] else { continue }
      for constant in pair.constants { changed[constant.node, default: []].append((constant.operand, constant.tensor, divisor)) }
    }
    return try graph.rebuilt { new, node, operands throws(CompileError) in
      var operands = operands
      do throws(TypeError) {
        if let view = ContractionWeights(of: node, in: graph), divisors[node.id] != nil || multipliers[node.id] != nil, let weights = graph.constant(node.operands[1]) {
          let (divisor, multiplier) = (divisors[node.id] ?? [], multipliers[node.id] ?? [])
          let numbers = weights.doubles.enumerated().map { position, value in
            value / (divisor.isEmpty ? 1 : divisor[view.output(position)]) * (multiplier.isEmpty ? 1 : multiplier[view.input(position)])
          }
          operands[1] = try new.insert(Constant(Tensor(.f32, weights.dimensions, numbers)), name: graph.value(node.operands[1]).name)
        }
        for (operand, tensor, divisor) in changed[node.id] ?? [] {
          let shape = new.type(of: operands[operand]).shape
          let numbers = divisor.indices.map { (tensor.count == 1 ? tensor.doubles[0] : tensor.doubles[$0]) / divisor[$0] }
          // A number for all becomes one for each channel, which lie where those of the convolution do.
          let axis = tensor.count == 1 ? channelAxis(of: node.id) : nil
          let dimensions = axis.map { [divisor.count] + [Int](repeating: 1, count: shape.rank - 1 - $0) } ?? tensor.dimensions
          operands[operand] = try new.insert(Broadcast(to: shape), new.insert(Constant(Tensor(.f32, dimensions, numbers))), origin: node.origin)
        }
        return try new.add(node.operation, operands, origin: node.origin, name: graph.value(node.results[0]).name)
      } catch { throw CompileError(error, stage: .pass("equalize-layers"), origin: node.origin, operands: new.types(of: operands)) }
    }
  }

  /// The axis that channels lie along in what a node between two layers gives.
  private func channelAxis(of id: NodeID) -> Int {
    let rank = graph.type(of: graph.node(id).results[0]).rank
    let pair = pairs.first { $0.constants.contains { $0.node == id } }
    return pair.flatMap { graph.node($0.first).operation as? Convolution }?.axes(rank: rank).channel ?? rank - 1
  }
}
