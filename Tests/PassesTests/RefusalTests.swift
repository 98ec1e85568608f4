import GraphIR
import GraphTestSupport
import Passes
import TensorTypes
import Testing

/// What passes say of work that they might have done and did not.
@Suite("refusals") struct RefusalTests {
  private func refusals(_ text: String, _ passes: Pass<Graph>...) throws -> [Refusal] {
    var graph = try parseGraph(text)
    var runner = PassRunner<Graph>()
    for pass in passes { try runner.run(Pipeline("test") { pass }, on: &graph) }
    return runner.context.refusals
  }

  // MARK: Attention

  private func attention(queries: Int = 40, keys: Int = 50, k: String = "%k", weights: String = "%p = div %e, %tb", last: String = "return %y") -> String {
    """
    graph @main(%q: f32[2,3,\(queries),16], \(k): f32[2,3,16,\(keys)], %v: f32[2,3,\(keys),8]) {
      %s = dot %q, \(k) : f32[2,3,\(queries),\(keys)]
      %e = exp %s
      %t = reduce %e {with = sum, axes = [3]}
      %t1 = reshape %t {shape = [2, 3, \(queries), 1]}
      %tb = broadcast %t1 {shape = [2, 3, \(queries), \(keys)]}
      \(weights)
      %y = dot %p, %v : f32[2,3,\(queries),8]
      \(last)
    }
    """
  }

  @Test func attentionThatIsNotFused() throws {
    #expect(try refusals(attention(), fuseAttention).isEmpty)
    for (text, reason) in [
      (attention(last: "return %y, %p"), "read elsewhere too"), (attention(queries: 2, keys: 2000), "packing the keys takes longer"), (attention(queries: 20), "stay in the nearest cache"),
      (attention().replacing("%e = exp %s", with: "%z = reverse %s {axes = [2]}\n%e = exp %z"), "`reverse` between the scores"),
    ] {
      let found = try refusals(text, fuseAttention)
      #expect(found.count == 1 && found[0].pass == "fuse-attention" && found[0].reason.contains(reason), "\(reason): \(found)")
    }
    // Two layers with a normalisation between them are no attention.
    #expect(try refusals(attention(k: "%c_k"), fuseAttention).isEmpty)
  }

  // MARK: Chains

  private func blocks(channels: Int = 4, kernel: Int = 1, size: Int = 9, groups: Int = 16, last: String = "return %y") -> String {
    """
    graph @main(%x: f32[1,\(size),\(size),\(channels)], %c_f: f32[\(kernel),\(kernel),\(channels),16], %c_g: f32[3,3,\(16 / groups),16]) {
      %a = convolution %x, %c_f {strides = [1, 1], pads = [0, 0, 0, 0], layout = channels_last}
      %r = abs %a
      %d = convolution %r, %c_g {strides = [2, 2], pads = [1, 1, 1, 1], groups = \(groups), layout = channels_last}
      %y = abs %d
      \(last)
    }
    """
  }

  @Test func chainsThatAreNotFormed() throws {
    #expect(try refusals(blocks(), formFusionGroups, chainConvolutions).isEmpty)
    for (text, reason) in [
      (blocks(last: "return %y, %r"), "read elsewhere too"), (blocks(channels: 64, kernel: 3), "its window of 3x3 over 64 channels"),
      (blocks(channels: 2048), "fills the cache"), (blocks(size: 400), "do not stay in the nearest cache"),
    ] {
      let found = try refusals(text, formFusionGroups, chainConvolutions)
      #expect(found.count == 1 && found[0].pass == "chain-convolutions" && found[0].reason.contains(reason), "\(found)")
    }
    // What mixes channels is no window behind a convolution, but another convolution.
    #expect(try refusals(blocks(groups: 1), formFusionGroups, chainConvolutions).isEmpty)
  }

  // MARK: Weights of few bits

  private func narrow(_ element: ElementType = .i8, _ dimensions: [Int] = [64, 32], axis: Int = 1) throws -> Graph {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [4, Extent(dimensions[0])]))
    let w = try graph.insert(Constant(Tensor(element, dimensions, (0..<dimensions.reduce(1, *)).map { Double($0 % 100) })))
    let scale = try graph.insert(Constant(Tensor(.f32, [dimensions[axis]], (0..<dimensions[axis]).map { 0.01 * Double($0 + 1) })))
    graph.setOutputs([("y", try graph.insert(Dot(), x, try graph.dequantizeLinear(w, scale: scale, zero: nil, axis: axis)))])
    return graph
  }

  @Test func weightsThatAreWidened() throws {
    for (graph, reason) in [
      (try narrow(), nil), (try narrow(.i8, [64, 4]), "too few to be worth"), (try narrow(.i8, [64, 32], axis: 0), "their scales follow neither"),
    ] as [(Graph, String?)] {
      var changed = graph
      var runner = PassRunner<Graph>()
      try runner.run(Pipeline("test") { keepNarrowWeights }, on: &changed)
      let found = runner.context.refusals
      #expect(found.count == (reason == nil ? 0 : 1) && found.allSatisfy { $0.reason.contains(reason ?? "") }, "\(reason ?? "none"): \(found)")
    }
  }

  // MARK: Layouts, and the mechanism itself

  @Test func transposesThatStay() throws {
    let text = """
      graph @main(%x: f32[1,4,9,9], %c_f: f32[16,4,3,3]) {
        %y = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]}
        return %y
      }
      """
    let found = try refusals(text, channelsLast)
    #expect(found.map(\.reason) == ["what it reads is held as f32[1,4,9,9], and is transposed by [0, 2, 3, 1] for it", "what it returns is held as f32[1,9,9,16], and is transposed by [0, 3, 1, 2] for it"], "\(found)")
  }

  @Test func arePartOfTheLastRunOnly() throws {
    // The second run finds the fusions of the first, and no scores that would be worth a word.
    #expect(try refusals(blocks(size: 400), formFusionGroups, chainConvolutions, chainConvolutions).count == 1)
    var context = PassContext()
    for _ in 0..<3 { context.refuse("a-pass", NodeOrigin(node: "n"), "reason") }
    context.refuse("a-pass", NodeOrigin(node: "m"), "reason")
    #expect(context.refusals.count == 2)
  }
}
