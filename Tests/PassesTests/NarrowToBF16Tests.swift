import GraphIR
import GraphTestSupport
import Passes
import TensorTypes
import Testing

@Suite("narrow-to-bf16") struct NarrowToBF16Tests {
  private static let pipeline = Pipeline<Graph>("test") {
    formFusionGroups
    narrowToBF16
  }

  private func narrowed(_ text: String, within tolerance: Tolerance = .relative(0.02)) throws -> Graph {
    try expectSameResults(try parseGraph(text), after: Self.pipeline, within: tolerance)
  }

  /// The fusions in order: template, result.
  private func kernels(_ graph: Graph) -> [String] {
    graph.topologicalOrder().compactMap { id in
      let node = graph.node(id)
      return (node.operation as? Fusion).map { "\($0.template.rawValue) \(graph.type(of: node.results[0]))" }
    }
  }

  @Test func storesWhatLiesBetweenProducts() throws {
    let graph = try narrowed(
      """
      graph @main(%x: f32[64,128], %c_w: f32[128,256], %c_v: f32[256,128]) {
        %h = dot %x, %c_w : f32[64,256]
        %t = tanh %h
        %d = dot %t, %c_v : f32[64,128]
        %y = add %d, %x
        return %y
      }
      """)
    // A copy of the input, which stays f32; the result, too.
    #expect(kernels(graph) == ["loop bf16[64,128]", "dot bf16[64,256]", "dot f32[64,128]"])
    let text = graph.text(elidingAbove: 16)
    #expect(text.contains("dot %x") && text.contains("{result = f32}"))
  }

  /// A residual that a product and an addition read is written once, as bf16.
  @Test func everyReaderTakesTheSameRounding() throws {
    let graph = try narrowed(
      """
      graph @main(%x: f32[64,128], %c_w: f32[128,128], %c_v: f32[128,128], %c_u: f32[128,128]) {
        %a = dot %x, %c_w : f32[64,128]
        %b = dot %a, %c_v : f32[64,128]
        %s = add %b, %a
        %y = dot %s, %c_u : f32[64,128]
        return %y
      }
      """)
    #expect(kernels(graph) == ["loop bf16[64,128]", "dot bf16[64,128]", "dot bf16[64,128]", "dot f32[64,128]"])
  }

  @Test func convolutionsOfOddChannelsGetAZero() throws {
    let graph = try narrowed(
      """
      graph @main(%x: f32[1,3,12,12], %c_f: f32[3,3,3,32], %c_g: f32[3,3,32,32]) {
        %t = transpose %x {permutation = [0, 2, 3, 1]}
        %c = convolution %t, %c_f {strides = [1, 1], pads = [1, 1, 1, 1], layout = channels_last} : f32[1,12,12,32]
        %d = convolution %c, %c_g {strides = [1, 1], pads = [1, 1, 1, 1], layout = channels_last} : f32[1,12,12,32]
        %y = transpose %d {permutation = [0, 3, 1, 2]}
        return %y
      }
      """)
    #expect(kernels(graph).prefix(2) == ["loop bf16[1,12,12,4]", "convolution bf16[1,12,12,32]"])
  }

  /// Reshapes share memory with what they are made of.
  @Test func reshapesFollow() throws {
    let graph = try narrowed(
      """
      graph @main(%x: f32[64,128], %c_w: f32[128,128], %c_v: f32[64,128]) {
        %a = dot %x, %c_w : f32[64,128]
        %r = reshape %a {shape = [128, 64]}
        %e = tanh %r
        %s = reduce %e {with = sum, axes = [1]}
        %b = dot %r, %c_v : f32[128,128]
        return %b, %s
      }
      """)
    #expect(kernels(graph).contains { $0.hasPrefix("dot bf16[") }, "\(kernels(graph))")
  }

  @Test func leavesWhatDependsOnNoProduct() throws {
    // Angles: 4096 of them, which a narrow type would spoil.
    let graph = try narrowed(
      """
      graph @main(%p: f32[64,1], %c_f: f32[1,64], %x: f32[64,64], %c_w: f32[64,64]) {
        %a = dot %p, %c_f : f32[64,64]
        %k = sin %a
        %d = dot %x, %c_w : f32[64,64]
        %y = mul %d, %k
        return %y, %k
      }
      """)
    #expect(kernels(graph).filter { $0.contains("bf16") } == ["loop bf16[64,64]"])
  }

  @Test func leavesShortSumsAndSingleQueries() throws {
    try expectUnchanged(
      narrowToBF16,
      """
      graph @main(%x: f32[64,4], %c_w: f32[4,64]) {
        %y = dot %x, %c_w : f32[64,64]
        return %y
      }
      """)
    let graph = try narrowed(
      """
      graph @main(%q: f32[1,64], %k: f32[64,128]) {
        %y = dot %q, %k : f32[1,128]
        return %y
      }
      """, within: .ulps(16))
    #expect(kernels(graph) == ["dot f32[1,128]"])
  }
}
