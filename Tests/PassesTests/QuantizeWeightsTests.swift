import GraphIR
import GraphTestSupport
import Interpreter
import Passes
import TensorTypes
import Testing

@Suite("quantize-weights, keep-narrow-weights") struct QuantizeWeightsTests {
  private static let two = """
    graph @main(%x: f32[3,64], %i: i64[2], %c_w: f32[64,384], %c_t: f32[400,64]) {
      %y = dot %x, %c_w : f32[3,384]
      %r = gather %c_t, %i {axis = 0} : f32[2,64]
      return %y, %r
    }
    """

  private func applied(_ pass: Pass<Graph>, to graph: Graph) throws -> Graph {
    var (graph, context) = (graph, PassContext())
    _ = try pass.run(&graph, &context)
    return graph
  }

  private func names(_ graph: Graph) -> [String] {
    graph.topologicalOrder().map { graph.node($0).operation }.compactMap { ($0 as? Composite)?.name ?? ($0 is Constant ? nil : $0.mnemonic) }.sorted()
  }

  @Test(arguments: [4, 8]) func productsAndTablesAreNarrowBelowADequantization(_ bits: Int) throws {
    let graph = try applied(quantizeWeights(WeightQuantization(bits: bits)), to: try parseGraph(Self.two))
    #expect(names(graph) == ["dequantize_linear", "dequantize_linear", "dot", "gather"])
    let elements = graph.topologicalOrder().compactMap { (graph.node($0).operation as? Constant)?.tensor.element }
    #expect(elements.contains(bits == 4 ? .i4 : .i8) && elements.contains(.i8))
    // It prints and reads back.
    #expect(try parseGraph(graph.text()).text() == graph.text())
  }

  /// Filters have 8 bits and a scale for each output channel, whatever products have.
  @Test(arguments: [4, 8]) func filtersAreNarrowBelowADequantization(_ bits: Int) throws {
    let text = """
      graph @main(%x: f32[1,160,9,9], %c_w: f32[128,160,1,1]) {
        %y = convolution %x, %c_w {strides = [1, 1]} : f32[1,128,9,9]
        return %y
      }
      """
    let (wide, graph) = (try parseGraph(text), try applied(quantizeWeights(WeightQuantization(bits: bits)), to: try parseGraph(text)))
    #expect(names(graph) == ["convolution", "dequantize_linear"])
    let filter = try #require(graph.topologicalOrder().compactMap { (graph.node($0).operation as? Constant)?.tensor }.first { $0.element == .i8 })
    #expect(filter.dimensions == [128, 160, 1, 1])
    let decisions = WeightQuantization(bits: bits).decisions(for: wide)
    #expect(decisions.count == 1 && decisions[0].floatReason == nil)
  }

  /// A classifier that is written as a convolution has the bits of products.
  @Test(arguments: ["f32[n,160,1,1], %c_w: f32[128,160,1,1]", "f32[n,40,2,2], %c_w: f32[128,40,2,2]"]) func filtersThatCoverTheInputAreProducts(_ inputs: String) throws {
    let text = """
      graph @main(%x: \(inputs)) {
        %y = convolution %x, %c_w {strides = [1, 1]} : f32[n,128,1,1]
        return %y
      }
      """
    try expectRewrite(wholeWindows, text, becomes: "// CHECK: reshape %x\n// CHECK: dot\n// CHECK: reshape")
    let graph = try applied(quantizeWeights(WeightQuantization(bits: 4)), to: try applied(wholeWindows, to: try parseGraph(text)))
    #expect(names(graph) == ["dequantize_linear", "dot", "reshape", "reshape"])
    #expect(graph.topologicalOrder().contains { (graph.node($0).operation as? Constant)?.tensor.element == .i4 })
  }

  @Test func tablesAloneAreNarrow() throws {
    let graph = try applied(quantizeTables(WeightQuantization(bits: 8)), to: try parseGraph(Self.two))
    #expect(names(graph) == ["dequantize_linear", "dot", "gather"])
    var kept = WeightQuantization(bits: 8)
    kept.keptFloat = Set(kept.decisions(for: try parseGraph(Self.two)).filter(\.isTable).map(\.name))
    #expect(names(try applied(quantizeTables(kept), to: try parseGraph(Self.two))) == ["dot", "gather"])
  }

  @Test func filtersOfGroupsStay() throws {
    let text = """
      graph @main(%x: f32[1,160,9,9], %c_w: f32[160,80,3,3]) {
        %y = convolution %x, %c_w {strides = [1, 1], groups = 2} : f32[1,160,7,7]
        return %y
      }
      """
    try expectUnchanged(quantizeWeights(WeightQuantization(bits: 8)), text)
    #expect(WeightQuantization(bits: 8).decisions(for: try parseGraph(text))[0].floatReason?.contains("groups") == true)
  }

  @Test func smallMatricesStay() throws {
    try expectUnchanged(
      quantizeWeights(WeightQuantization(bits: 4)),
      """
      graph @main(%x: f32[3,64], %c_w: f32[64,32]) {
        %y = dot %x, %c_w : f32[3,32]
        return %y
      }
      """)
  }

  /// The error of the numbers is that of their bits: half a step of the largest weight of a group at most, and more precise with the search.
  @Test func numbersAreNear() throws {
    let weights = normal([96, 40])
    func error(_ form: GroupQuantization) throws -> Double {
      let result = try #require(form.quantize(weights))
      let (q, scale, zero) = (result.numbers.doubles, result.scale.doubles, result.zero?.doubles)
      let block = result.block == 0 ? 96 : result.block
      var (sum, total) = (0.0, 0.0)
      for (position, w) in weights.doubles.enumerated() {
        let place = position / 40 / block * 40 + position % 40
        let value = (q[position] - (zero?[place] ?? 0)) * scale[place]
        sum += (value - w) * (value - w)
        total += w * w
      }
      return (sum / total).squareRoot()
    }
    #expect(try error(GroupQuantization(bits: 8, block: nil)) < 0.01)
    #expect(try error(GroupQuantization(bits: 8, block: 32, isSymmetric: false)) < 0.01)
    let (small, large) = (try error(GroupQuantization(bits: 4, block: 32)), try error(GroupQuantization(bits: 4, block: 96)))
    #expect(small < 0.1 && small < large)
    #expect(try error(GroupQuantization(bits: 4, block: 32, isSymmetric: false)) < 0.11)
    // A group that is no whole one, and one of zeros.
    #expect(try error(GroupQuantization(bits: 4, block: 36)) < 0.11)
    #expect(GroupQuantization(bits: 4, block: 32).quantize(Tensor(zeros: .f32, [64, 20]))?.numbers.doubles.allSatisfy { $0 == 0 } == true)
    #expect(GroupQuantization(bits: 4, block: 32).quantize(Tensor(.f32, [2, 2], [1, .nan, 0, 1])) == nil)
    #expect(GroupQuantization(bits: 8, block: nil).quantize(Tensor(.f32, [2, 2], [1, .infinity, 0, 1])) == nil)
  }

  private func normal(_ dimensions: [Int]) -> Tensor {
    var state: UInt64 = 99
    func uniform() -> Double {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Double(state >> 11) / Double(1 << 53)
    }
    return Tensor(.f32, dimensions, (0..<dimensions.reduce(1, *)).map { _ in (0..<12).reduce(-6) { sum, _ in sum + uniform() } })
  }

  // MARK: keep-narrow-weights

  private func graph(_ write: (inout Graph) throws -> [ValueID]) throws -> Graph {
    var graph = Graph()
    graph.setOutputs(try write(&graph).enumerated().map { ("y\($0)", $1) })
    return graph
  }

  private func constant(_ element: ElementType, _ dimensions: [Int], _ graph: inout Graph) throws -> ValueID {
    let range = element.integerRange ?? 1...15
    let span = range.upperBound - range.lowerBound + 1
    let count = dimensions.reduce(1, *)
    return try graph.insert(Constant(Tensor(element, dimensions, (0..<count).map { Double(range.lowerBound + $0 * 7 % span) / (element.isFloatingPoint ? 16 : 1) })))
  }

  /// Scales of the tensor, of columns and of groups, with and without zero points, as stored and transposed.
  @Test(arguments: [ElementType.i8, .u8, .i4, .u4], [false, true]) func productsKeepTheirWeights(_ element: ElementType, _ isTransposed: Bool) throws {
    for (shape, axis, block) in [([], 0, 0), ([40], isTransposed ? 0 : 1, 0), (isTransposed ? [40, 3] : [3, 40], isTransposed ? 1 : 0, 32)] {
      for hasZero in [false, true] {
        let graph = try graph { graph in
          let x = graph.addInput("x", TensorType(.f32, [2, 5, 80]))
          let q = try constant(element, isTransposed ? [40, 80] : [80, 40], &graph)
          let scale = try constant(.f32, shape, &graph)
          let zero: ValueID? = hasZero ? try constant(element, shape, &graph) : nil
          var w = try graph.dequantizeLinear(q, scale: scale, zero: zero, axis: axis, block: block)
          if isTransposed { w = try graph.insert(Transpose([1, 0]), w) }
          w = try graph.insert(Broadcast(to: [2, 80, 40]), w)
          return [try graph.insert(Dot(), x, w)]
        }
        let narrow = try expectSameResults(graph, after: Pipeline("test") { keepNarrowWeights }, within: .relative(1e-5))
        #expect(names(narrow).contains("narrow_dot") && !names(narrow).contains("dot"))
      }
    }
  }

  /// Scales along the sum without groups, and weights that are no constants, are left to be folded or computed.
  @Test func othersStay() throws {
    let graph = try graph { graph in
      let x = graph.addInput("x", TensorType(.f32, [2, 80])), v = graph.addInput("v", TensorType(.i8, [80, 40]))
      let q = try constant(.i8, [80, 40], &graph), scale = try constant(.f32, [80], &graph), one = try constant(.f32, [], &graph)
      return [
        try graph.insert(Dot(), x, try graph.dequantizeLinear(q, scale: scale, axis: 0)),
        try graph.insert(Dot(), x, try graph.dequantizeLinear(v, scale: one)),
      ]
    }
    #expect(!names(try applied(keepNarrowWeights, to: graph)).contains("narrow_dot"))
  }

  /// Rows are looked up in the narrow table, whatever its scales belong to.
  @Test func tablesStayNarrow() throws {
    for (shape, axis, block) in [([], 0, 0), ([50], 0, 0), ([64], 1, 0), ([50, 2], 1, 32)] {
      for indices in [[3], [2, 2], []] as [Shape] {
        let graph = try graph { graph in
          let i = graph.addInput("i", TensorType(.i64, indices))
          let table = try graph.dequantizeLinear(
            try constant(.i8, [50, 64], &graph), scale: try constant(.f32, shape, &graph), zero: try constant(.i8, shape, &graph), axis: axis, block: block)
          return [try graph.insert(Gather(axis: 0), table, i)]
        }
        let narrow = try expectSameResults(graph, after: Pipeline("test") { keepNarrowWeights }, within: .exact)
        #expect(narrow.topologicalOrder().contains { narrow.node($0).operation is Gather && narrow.type(of: narrow.node($0).results[0]).element == .i8 })
      }
    }
  }
}
