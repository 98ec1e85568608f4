import Foundation
import GraphIR
import Interpreter
import Passes
import TensorTypes
import Testing

/// A graph with ranges that were seen in the interpreter.
private struct Calibrated {
  let graph: Graph
  let inputs: [Tensor]

  init(_ text: String, inputs: [Tensor]) throws {
    graph = try Graph(text: text, file: "case.ingot")
    self.inputs = inputs
  }

  init(_ graph: Graph, inputs: [Tensor]) { (self.graph, self.inputs) = (graph, inputs) }

  /// What values are on the inputs.
  func values(_ ids: [ValueID]) throws -> [ValueID: Tensor] {
    var probe = graph
    probe.setOutputs(ids.enumerated().map { ("probe.\($0)", $1) })
    return Dictionary(uniqueKeysWithValues: zip(ids, try Interpreter.evaluate(probe, inputs: inputs)))
  }

  func ranges(_ plan: QuantizationPlan) throws -> [ValueID: ValueRange] {
    try values(plan.roots).mapValues { tensor in
      var observer = ExtremesObserver()
      observer.observe(tensor)
      return observer.range ?? ValueRange(0, 0)
    }
  }

  func quantized(_ plan: QuantizationPlan? = nil, corrections: [NodeID: Tensor] = [:]) throws -> Graph {
    let plan = plan ?? QuantizationPlan(graph)
    return try insertQuantization(graph, plan, ranges: try ranges(plan), corrections: corrections)
  }

  /// The norm of the difference of the first output to `expected`, relative to it.
  func error(_ other: Graph, to expected: Tensor) throws -> Double {
    let (a, b) = (try Interpreter.evaluate(other, inputs: inputs)[0].doubles, expected.doubles)
    return (zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) } / b.reduce(0) { $0 + $1 * $1 }).squareRoot()
  }
}

extension Graph {
  fileprivate func composites(_ name: String) -> Int { topologicalOrder().count { (node($0).operation as? Composite)?.name == name } }
}

@Suite("quantization") struct InsertQuantizationTests {
  private func numbers(_ dimensions: [Int], seed: UInt64, _ change: (Int, Double) -> Double = { $1 }) -> Tensor {
    var generator = SeededGenerator(seed: seed)
    return Tensor(.f32, dimensions, (0..<dimensions.reduce(1, *)).map { change($0, Double(generator.next() >> 11) * 0x1p-52 - 1) })
  }

  private func list(_ tensor: Tensor) -> String { "dense [" + tensor.doubles.map { "\(Float($0))" }.joined(separator: ", ") + "]" }

  /// relu(x w) read by two products.
  private var products: String {
    """
    graph @main(%x: f32[4,8]) {
      %w = constant \(list(numbers([8, 6], seed: 1))) : f32[8,6]
      %v = constant \(list(numbers([6, 5], seed: 2))) : f32[6,5]
      %u = constant \(list(numbers([6, 5], seed: 3))) : f32[6,5]
      %zero = constant dense [0.0] : f32[]
      %zeros = broadcast %zero {shape = [4, 6]} : f32[4,6]
      %h = dot %x, %w : f32[4,6]
      %r = max %h, %zeros : f32[4,6]
      %a = dot %r, %v : f32[4,5]
      %b = dot %r, %u : f32[4,5]
      %y = add %a, %b : f32[4,5]
      return %y as "y"
    }
    """
  }

  @Test func quantisesAValueOnceForAllItsReaders() throws {
    let model = try Calibrated(products, inputs: [numbers([4, 8], seed: 4)])
    let graph = try model.quantized()
    try graph.verify(stage: .run)
    #expect(QuantizationPlan(model.graph).layers.count == 3)
    // x and r; and the three weights are only dequantised.
    #expect(graph.composites("quantize_linear") == 2)
    #expect(graph.composites("dequantize_linear") == 5)
    #expect(try model.error(graph, to: Interpreter.evaluate(model.graph, inputs: model.inputs)[0]) < 0.02)
  }

  @Test func keepsExcludedLayersAsTheyAre() throws {
    let model = try Calibrated(products, inputs: [numbers([4, 8], seed: 4)])
    let first = try #require(QuantizationPlan(model.graph).layers.first)
    let graph = try model.quantized(QuantizationPlan(model.graph, without: { $0.node == first.node }))
    #expect(graph.composites("quantize_linear") == 1)
    #expect(graph.composites("dequantize_linear") == 3)
    let nothing = try model.quantized(QuantizationPlan(model.graph, without: { _ in true }))
    #expect(nothing.text() == model.graph.text())
  }

  /// Of attention both products are layers; keys and values are signed, because they are right operands alone.
  @Test func quantisesProductsOfTwoValues() throws {
    let text = """
      graph @main(%q: f32[2,12,8], %k: f32[2,16,8], %v: f32[2,16,4]) {
        %t = transpose %k {permutation = [0, 2, 1]}
        %s = dot %q, %t : f32[2,12,16]
        %p = logistic %s
        %y = dot %p, %v : f32[2,12,4]
        return %y
      }
      """
    let model = try Calibrated(text, inputs: [numbers([2, 12, 8], seed: 7), numbers([2, 16, 8], seed: 8), numbers([2, 16, 4], seed: 9)])
    let plan = QuantizationPlan(model.graph)
    #expect(plan.layers.map(\.isProduct) == [true, true])
    let signs = plan.roots.map { (model.graph.value($0).name, plan.isSigned($0)) }
    #expect(signs.map(\.0).sorted() == ["k", "p", "q", "v"] && signs.allSatisfy { $0.1 == ["k", "v"].contains($0.0) }, "\(signs)")
    let graph = try model.quantized()
    #expect(graph.composites("quantize_linear") == 4 && graph.text().contains("i8[2,16,8]"))
    #expect(try model.error(graph, to: Interpreter.evaluate(model.graph, inputs: model.inputs)[0]) < 0.02)
    let one = try model.quantized(QuantizationPlan(model.graph, without: { $0.node == plan.layers[0].node }))
    #expect(one.composites("quantize_linear") == 2)
    var switched = try insertSwitchedQuantization(model.graph, plan, ranges: try model.ranges(plan), switchName: "on")
    try switched.verify(stage: .run)
    switched.name = "main"
    let off = try Interpreter.evaluate(switched, inputs: model.inputs + [Tensor(.bool, [2], [0, 0])])[0], on = try Interpreter.evaluate(switched, inputs: model.inputs + [Tensor(.bool, [2], [1, 1])])[0]
    #expect(off.doubles == (try Interpreter.evaluate(model.graph, inputs: model.inputs)[0].doubles))
    #expect(on.doubles == (try Interpreter.evaluate(graph, inputs: model.inputs)[0].doubles))
  }

  @Test func leavesProductsOfFewRows() throws {
    for rows in [1, 7, 8] {
      let graph = try Graph(text: "graph @main(%q: f32[2,\(rows),8], %k: f32[2,8,16]) {\n%s = dot %q, %k : f32[2,\(rows),16]\nreturn %s\n}", file: "case.ingot")
      let plan = QuantizationPlan(graph)
      #expect(plan.layers.count == (rows < 8 ? 0 : 1) && plan.refused.count == (rows < 8 ? 1 : 0))
    }
  }

  /// Attention of any length is one kernel in f32.
  @Test func leavesProductsOfUnknownLengths() throws {
    var graph = Graph(name: "main")
    let n = Extent(symbol: "n")
    let q = graph.addInput("q", TensorType(.f32, [2, n, 8])), k = graph.addInput("k", TensorType(.f32, [2, 8, n]))
    graph.setOutputs([("s", try graph.insert(Dot(), q, k))])
    let plan = QuantizationPlan(graph)
    #expect(plan.layers.isEmpty && plan.refused.first?.reason.contains("not known") == true)
  }

  @Test func printsAndReloads() throws {
    let graph = try Calibrated(products, inputs: [numbers([4, 8], seed: 4)]).quantized()
    #expect(try Graph(text: graph.text(), file: "again.ingot").text() == graph.text())
    // What is quantised is not quantised again.
    let again = QuantizationPlan(graph)
    #expect(again.layers.isEmpty && again.refused.count == 3)
  }

  /// Each concatenation reads the one before it twice: a walk along every path would take 2^60 steps.
  @Test func concatenationsOfConcatenationsAreWalkedOnce() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [1, 8]))
    var value = x
    for _ in 0..<60 {
      value = try graph.insert(Concatenate(axis: 1), value, value)
      value = try graph.insert(Slice(starts: [0, 4], sizes: [1, 8], steps: [1, 1]), value)
    }
    graph.setOutputs([("y", try graph.insert(Dot(), value, graph.insert(Constant(numbers([8, 6], seed: 1)))))])
    let plan = QuantizationPlan(graph)
    #expect(plan.roots == [x] && plan.layers.map { plan.root(of: $0) } == [x])
    #expect(try insertQuantization(graph, plan, ranges: [x: ValueRange(-1, 1)]).composites("quantize_linear") == 1)
  }

  @Test func chainsMayBeOfAnyDepth() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [1, 8]))
    let weights = try graph.insert(Constant(numbers([8, 8], seed: 1)))
    var value = x
    for number in 0..<20_000 {
      value = try graph.insert(Reshape(to: number % 2 == 0 ? [8, 1] : [1, 8]), value)
      if number % 1000 == 999 { value = try graph.insert(Dot(), value, weights) }
    }
    for _ in 0..<20_000 { value = try graph.insert(Unary(.negate), value) }
    graph.setOutputs([("y", try graph.insert(Dot(), value, weights))])
    let plan = QuantizationPlan(graph)
    #expect(plan.layers.count == 21 && plan.roots.count == 21 && plan.roots.first == x && plan.roots.last == value)
  }

  /// a and b share a scale through one concatenation, b and c through another.
  @Test func partsOfConcatenationsShareOneScale() throws {
    var graph = Graph()
    let parts = try ["a", "b", "c"].map { name in try graph.insert(Unary(.negate), graph.addInput(name, TensorType(.f32, [1, 4]))) }
    let first = try graph.insert(Concatenate(axis: 1), parts[0], parts[1]), second = try graph.insert(Concatenate(axis: 1), parts[1], parts[2])
    let weights = try graph.insert(Constant(numbers([8, 6], seed: 1)))
    graph.setOutputs([("p", try graph.insert(Dot(), first, weights)), ("q", try graph.insert(Dot(), second, weights)), ("r", try graph.insert(Dot(), second, weights))])
    let plan = QuantizationPlan(graph)
    #expect(plan.roots == parts && Set(parts.map { plan.scaleOwner(of: $0) }).count == 1)
    let merged = plan.merged([parts[0]: ValueRange(-1, 0), parts[1]: ValueRange(0, 1), parts[2]: ValueRange(0, 3)])
    for part in parts { #expect(merged[part] == ValueRange(-1, 3)) }
  }

  @Test func sumsOfBranchesReadAndBecomeBytes() throws {
    let text = """
      graph @main(%x: f32[4,6]) {
        %w = constant \(list(numbers([6, 6], seed: 1))) : f32[6,6]
        %v = constant \(list(numbers([6, 6], seed: 2))) : f32[6,6]
        %u = constant \(list(numbers([6, 6], seed: 3))) : f32[6,6]
        %a = dot %x, %w : f32[4,6]
        %b = dot %a, %v : f32[4,6]
        %s = add %a, %b : f32[4,6]
        %y = dot %s, %u : f32[4,6]
        return %y as "y"
      }
      """
    let model = try Calibrated(text, inputs: [numbers([4, 6], seed: 5)])
    let plan = QuantizationPlan(model.graph)
    #expect(plan.roots.count == 3)
    let sum = try #require(model.graph.topologicalOrder().map { model.graph.node($0) }.first { ($0.operation as? Binary)?.function == .add })
    #expect(plan.isReadAsBytes(sum.id, operand: 0) && !plan.isReadAsBytes(sum.id, operand: 1))
    #expect(try model.error(model.quantized(), to: Interpreter.evaluate(model.graph, inputs: model.inputs)[0]) < 0.03)
  }

  @Test func partsOfAConcatenationShareAScale() throws {
    let text = """
      graph @main(%x: f32[4,6], %z: f32[4,2]) {
        %w = constant \(list(numbers([8, 3], seed: 1))) : f32[8,3]
        %c = concatenate %x, %z {axis = 1} : f32[4,8]
        %y = dot %c, %w : f32[4,3]
        return %y as "y"
      }
      """
    let model = try Calibrated(text, inputs: [numbers([4, 6], seed: 5), numbers([4, 2], seed: 6) { $1 * 3 }])
    let plan = QuantizationPlan(model.graph)
    #expect(plan.roots == model.graph.inputs)
    let merged = plan.merged(try model.ranges(plan))
    #expect(merged[plan.roots[0]] == merged[plan.roots[1]])
    #expect(try model.quantized(plan).composites("quantize_linear") == 2)
  }

  @Test func rangesMeasuredInEachRunNeedNoSamples() throws {
    let model = try Calibrated(products, inputs: [numbers([4, 8], seed: 4)])
    let graph = try insertDynamicQuantization(model.graph, QuantizationPlan(model.graph))
    try graph.verify(stage: .run)
    #expect(try model.error(graph, to: Interpreter.evaluate(model.graph, inputs: model.inputs)[0]) < 0.02)
  }

  @Test func switchesChooseLayers() throws {
    let model = try Calibrated(products, inputs: [numbers([4, 8], seed: 4)])
    let plan = QuantizationPlan(model.graph)
    let graph = try insertSwitchedQuantization(model.graph, plan, ranges: try model.ranges(plan), switchName: "on")
    let exact = try Interpreter.evaluate(model.graph, inputs: model.inputs)[0]
    func result(_ on: [Double]) throws -> Tensor { try Interpreter.evaluate(graph, inputs: model.inputs + [Tensor(.bool, [3], on)])[0] }
    #expect(try result([0, 0, 0]).isIdentical(to: exact))
    #expect(try !result([0, 1, 0]).isIdentical(to: exact))
    #expect(try result([1, 1, 1]).isIdentical(to: Interpreter.evaluate(model.quantized(), inputs: model.inputs)[0]))
  }

  // MARK: Refinements

  @Test func equalizationEvensOutChannelsOfDifferentSize() throws {
    let sizes = (0..<6).map { pow(10, Double($0 % 3) - 1) }
    // Rows of the second filter shrink where the first ones grow: the products are of one size.
    let text = """
      graph @main(%x: f32[1,4,5,5]) {
        %f = constant \(list(numbers([6, 4, 1, 1], seed: 1) { $1 * sizes[$0 / 4] })) : f32[6,4,1,1]
        %g = constant \(list(numbers([3, 6, 3, 3], seed: 2) { $1 / sizes[$0 / 9 % 6] })) : f32[3,6,3,3]
        %bias = constant \(list(numbers([6, 1, 1], seed: 3) { $1 * sizes[$0] })) : f32[6,1,1]
        %zero = constant dense [0.0] : f32[]
        %six = constant dense [6.0] : f32[]
        %h = convolution %x, %f {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,6,5,5]
        %b = broadcast %bias {shape = [1, 6, 5, 5]} : f32[1,6,5,5]
        %i = add %h, %b : f32[1,6,5,5]
        %z = broadcast %zero {shape = [1, 6, 5, 5]} : f32[1,6,5,5]
        %r = max %i, %z : f32[1,6,5,5]
        %s = broadcast %six {shape = [1, 6, 5, 5]} : f32[1,6,5,5]
        %m = min %r, %s : f32[1,6,5,5]
        %y = convolution %m, %g {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[1,3,5,5]
        return %y as "y"
      }
      """
    let model = try Calibrated(text, inputs: [numbers([1, 4, 5, 5], seed: 4)])
    let exact = try Interpreter.evaluate(model.graph, inputs: model.inputs)[0]
    let equalized = Calibrated(try equalizeLayers(model.graph), inputs: model.inputs)
    #expect(try model.error(equalized.graph, to: exact) < 1e-5)
    let (before, after) = (try model.error(model.quantized(), to: exact), try model.error(equalized.quantized(), to: exact))
    #expect(after < before / 2, "\(before) became \(after)")
  }

  @Test func equalizationLeavesValuesThatOthersReadAlone() throws {
    let text = """
      graph @main(%x: f32[4,6]) {
        %w = constant \(list(numbers([6, 6], seed: 1))) : f32[6,6]
        %v = constant \(list(numbers([6, 6], seed: 2))) : f32[6,6]
        %a = dot %x, %w : f32[4,6]
        %b = dot %a, %v : f32[4,6]
        return %a as "a", %b as "b"
      }
      """
    let graph = try Graph(text: text, file: "case.ingot")
    #expect(try equalizeLayers(graph).text() == graph.text())
  }

  @Test func smoothingMovesOutliersIntoWeights() throws {
    let text = """
      graph @main(%x: f32[16,8]) {
        %w = constant \(list(numbers([8, 6], seed: 1))) : f32[8,6]
        %y = dot %x, %w : f32[16,6]
        return %y as "y"
      }
      """
    // One channel is two hundred times larger than the others.
    let model = try Calibrated(text, inputs: [numbers([16, 8], seed: 2) { $0 % 8 == 3 ? $1 * 200 : $1 }])
    let plan = QuantizationPlan(model.graph)
    var statistics = ChannelStatistics(axis: 1)
    statistics.observe(model.inputs[0])
    let smooth = Calibrated(try smoothActivations(model.graph, plan, channels: [plan.layers[0].activation: statistics], .strength(0.5)).graph, inputs: model.inputs)
    let exact = try Interpreter.evaluate(model.graph, inputs: model.inputs)[0]
    #expect(try model.error(smooth.graph, to: exact) < 1e-5)
    // The large channel hides the error of the small ones; what it was without that channel shows it.
    let quiet = [numbers([16, 8], seed: 2) { $0 % 8 == 3 ? 0 : $1 }]
    func quietError(_ graph: Graph) throws -> Double {
      let (a, b) = (try Interpreter.evaluate(graph, inputs: quiet)[0].doubles, try Interpreter.evaluate(model.graph, inputs: quiet)[0].doubles)
      return zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    }
    let (before, after) = (try quietError(model.quantized()), try quietError(smooth.quantized()))
    #expect(after < before / 2, "\(before) became \(after)")
  }

  @Test func measuredSmoothingTakesTheStrengthOfLeastNoise() throws {
    let text = """
      graph @main(%x: f32[64,16]) {
        %w = constant \(list(numbers([16, 12], seed: 1) { $0 / 12 == 5 ? $1 / 40 : $1 })) : f32[16,12]
        %y = dot %x, %w : f32[64,12]
        return %y as "y"
      }
      """
    // A channel that is large, and whose weights are small: a strength for all that does not know better makes it worse.
    let model = try Calibrated(text, inputs: [numbers([64, 16], seed: 2) { $0 % 16 == 5 ? $1 * 40 : $1 }])
    let (plan, exact) = (QuantizationPlan(model.graph), try Interpreter.evaluate(model.graph, inputs: model.inputs)[0])
    var statistics = ChannelStatistics(axis: 1)
    statistics.observe(model.inputs[0])
    func error(_ smoothing: Smoothing) throws -> Double {
      let smooth = try smoothActivations(model.graph, plan, channels: [plan.layers[0].activation: statistics], smoothing)
      #expect(smooth.count == 1)
      return try model.error(Calibrated(smooth.graph, inputs: model.inputs).quantized(), to: exact)
    }
    let (plain, measured) = (try model.error(model.quantized(), to: exact), try error(.measured))
    #expect(measured < plain / 3, "\(plain) became \(measured)")
    for strength in [0.2, 0.5, 0.9] { #expect(try measured < error(.strength(strength)) * 1.2, "\(strength)") }
  }

  @Test func measuredSmoothingLeavesEvenChannelsAlone() throws {
    let text = """
      graph @main(%x: f32[64,16]) {
        %w = constant \(list(numbers([16, 12], seed: 1))) : f32[16,12]
        %y = dot %x, %w : f32[64,12]
        return %y as "y"
      }
      """
    let model = try Calibrated(text, inputs: [numbers([64, 16], seed: 2)])
    let plan = QuantizationPlan(model.graph)
    var statistics = ChannelStatistics(axis: 1)
    statistics.observe(model.inputs[0])
    let smooth = try smoothActivations(model.graph, plan, channels: [plan.layers[0].activation: statistics], .measured)
    #expect(smooth.count == 0 && smooth.graph.text() == model.graph.text())
  }

  @Test func smoothingGoesIntoALayerNorm() throws {
    let text = """
      graph @main(%x: f32[16,8]) {
        %w = constant \(list(numbers([8, 6], seed: 1))) : f32[8,6]
        %scale = constant \(list(numbers([8], seed: 3) { $0 == 3 ? 50 : $1 + 2 })) : f32[8]
        %bias = constant \(list(numbers([8], seed: 4))) : f32[8]
        %n = composite %x, %scale, %bias {name = layer_norm, axis = 1} (
          graph @layer_norm(%x0: f32[16,8], %x1: f32[8], %x2: f32[8]) {
            %a = broadcast %x1 {shape = [16, 8]} : f32[16,8]
            %b = mul %x0, %a : f32[16,8]
            %c = broadcast %x2 {shape = [16, 8]} : f32[16,8]
            %d = add %b, %c : f32[16,8]
            return %d as "y0"
          }
        ) : f32[16,8]
        %y = dot %n, %w : f32[16,6]
        return %y as "y"
      }
      """
    let model = try Calibrated(text, inputs: [numbers([16, 8], seed: 2)])
    let plan = QuantizationPlan(model.graph)
    var statistics = ChannelStatistics(axis: 1)
    statistics.observe(try #require(try model.values([plan.layers[0].activation]).values.first))
    let smooth = try smoothActivations(model.graph, plan, channels: [plan.layers[0].activation: statistics], .strength(0.5)).graph
    #expect(try model.error(smooth, to: Interpreter.evaluate(model.graph, inputs: model.inputs)[0]) < 1e-5)
    // Two factors, for scale and bias; none of the size of the activations.
    let products = smooth.topologicalOrder().map { smooth.node($0) }.filter { ($0.operation as? Binary)?.function == .multiply }
    #expect(products.count == 2 && products.allSatisfy { smooth.type(of: $0.results[0]).rank == 1 })
  }

  @Test func biasCorrectionRestoresAverages() throws {
    // Inputs that are always positive: rounding errors of weights do not average out.
    let text = """
      graph @main(%x: f32[64,40]) {
        %w = constant \(list(numbers([40, 4], seed: 1) { $0 < 4 ? $1 * 30 : $1 })) : f32[40,4]
        %y = dot %x, %w : f32[64,4]
        return %y as "y"
      }
      """
    let model = try Calibrated(text, inputs: [numbers([64, 40], seed: 2) { 1 + $1 * 0.2 }])
    let plan = QuantizationPlan(model.graph)
    var statistics = ChannelStatistics(axis: 1)
    statistics.observe(model.inputs[0])
    let corrections = biasCorrections(model.graph, plan, means: [plan.layers[0].activation: statistics.means])
    let exact = try Interpreter.evaluate(model.graph, inputs: model.inputs)[0]
    let (before, after) = (try model.error(model.quantized(), to: exact), try model.error(model.quantized(corrections: corrections), to: exact))
    #expect(after < before / 2, "\(before) became \(after)")
  }
}
