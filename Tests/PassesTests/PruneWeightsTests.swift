import GraphIR
import GraphTestSupport
import Passes
import TensorTypes
import Testing

@Suite("pruning of weights") struct PruneWeightsTests {
  @Test(arguments: [
    ("1x16", "1x16"), ("4x16", "4x16"), ("1x1", "1x1"), ("2:4", "2:4"), ("2:4x16", "2:4x16"), ("1:2x32", "1:2x32"),
  ]) func patternsAreRead(_ text: String, _ printed: String) { #expect(SparsityPattern(text)?.description == printed) }

  @Test(arguments: ["", "x", "4", "4x", "x4", "0x4", "4x0", "-1x4", "4x16x2", "4:2", "4:4", "0:4", "2:4x", "2:4x0", "a:b", "99999x1", "2:4:8"])
  func otherPatternsAreRefused(_ text: String) { #expect(SparsityPattern(text) == nil) }

  /// A linear layer whose weight in row r and column c is r * columns + c + 1.
  private func layer(_ steps: Int, _ columns: Int) throws -> Graph {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [4, Extent(steps)]))
    let w = try graph.insert(Constant(Tensor(.f32, [steps, columns], (0..<steps * columns).map { Double($0 + 1) })))
    graph.setOutputs([("y", try graph.insert(Dot(), x, w))])
    return graph
  }

  private func mask(_ graph: Graph, _ pattern: String, _ sparsity: Double = 0.5, _ budget: PruningBudget = .layer) throws -> [PruningMask] {
    let layers = graph.prunableWeights().weights
    let importance = try layers.map { layer in
      let tensor = try #require(graph.constant(layer.value))
      return MaskChoice.magnitudes(of: layer, tensor)
    }
    return MaskChoice(pattern: SparsityPattern(pattern) ?? .elements, sparsity: sparsity, budget: budget).masks(for: layers, importance: importance)
  }

  @Test func theSmallestGo() throws {
    let found = try mask(try layer(32, 32), "1x1", 0.75)
    let mask = try #require(found.first)
    #expect(mask.isKept == (0..<1024).map { $0 >= 768 })
    #expect(mask.density == 0.25)
  }

  @Test func blocksGoAsAWhole() throws {
    let found = try mask(try layer(32, 40), "4x16", 0.5)
    let mask = try #require(found.first)
    for step in 0..<32 {
      for column in 0..<40 { #expect(mask.isKept[step * 40 + column] == mask.isKept[step / 4 * 4 * 40 + column / 16 * 16]) }
    }
    #expect(abs(mask.density - 0.5) < 0.05)
    // Later rows hold larger numbers.
    #expect(mask.isKept[31 * 40] && !mask.isKept[0])
  }

  @Test func ratiosHoldForEveryFourSteps() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [4, 64]))
    let numbers = (0..<64 * 32).map { Double(($0 * 7919) % 1009) - 500 }
    let w = try graph.insert(Constant(Tensor(.f32, [64, 32], numbers)))
    graph.setOutputs([("y", try graph.insert(Dot(), x, w))])
    for (pattern, columns) in [("2:4", 1), ("2:4x16", 16)] {
      let found = try mask(graph, pattern)
    let mask = try #require(found.first)
      for first in stride(from: 0, to: 64, by: 4) {
        for column in 0..<32 {
          #expect((0..<4).count { mask.isKept[(first + $0) * 32 + column] } == 2)
          for step in first..<first + 4 { #expect(mask.isKept[step * 32 + column] == mask.isKept[step * 32 + column / columns * columns]) }
        }
      }
    }
  }

  @Test func aGlobalBudgetTakesMoreWhereWeightsMatterLess() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [4, 64]))
    // In the first layer a few weights are much larger than the others, in the second all are alike.
    let uneven = try graph.insert(Constant(Tensor(.f32, [64, 64], (0..<4096).map { $0 % 8 == 0 ? 10 : 0.1 })))
    let even = try graph.insert(Constant(Tensor(.f32, [64, 64], (0..<4096).map { 1 + Double($0) * 1e-5 })))
    graph.setOutputs([("y", try graph.insert(Dot(), try graph.insert(Dot(), x, uneven), even))])
    let masks = try mask(graph, "1x1", 0.4, .global)
    #expect(masks[0].density < 0.25 && masks[1].density == 1)
    #expect(abs((masks[0].density + masks[1].density) / 2 - 0.6) < 0.01)
  }

  @Test func filtersAreMatricesOfTheirInputsByTheirOutputs() throws {
    let graph = try parseGraph(
      """
      graph @main(%x: f32[1,8,9,9], %c_f: f32[16,8,3,3]) {
        %y = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[1,16,9,9]
        return %y
      }
      """)
    let layer = try #require(graph.prunableWeights().weights.first)
    #expect(layer.steps == 72 && layer.columns == 16 && layer.isConvolution)
    #expect(layer.position(step: 10, column: 3) == 3 * 72 + 10)
  }

  @Test func saysWhatIsLeftAlone() throws {
    let graph = try parseGraph(
      """
      graph @main(%x: f32[1,64,9,9], %c_f: f32[64,1,3,3], %c_t: f32[64,64], %c_s: f32[64,2]) {
        %d = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1], groups = 64} : f32[1,64,9,9]
        %p = reduce %d {with = sum, axes = [2, 3]} : f32[1,64]
        %s = add %c_t, %c_t : f32[64,64]
        %q = dot %p, %c_t : f32[1,64]
        %r = dot %q, %c_s : f32[1,2]
        %m = dot %q, %s : f32[1,64]
        return %r, %m
      }
      """)
    let (weights, refused) = graph.prunableWeights()
    #expect(weights.isEmpty)
    let reasons = refused.map(\.reason)
    #expect(reasons.contains { $0.contains("groups") } && reasons.contains { $0.contains("no contraction") } && reasons.contains { $0.contains("only 128") })
  }

  @Test func masksZeroConstants() throws {
    let graph = try layer(32, 32)
    let value = try #require(graph.prunableWeights().weights.first?.value)
    let found = try mask(graph, "1x16", 0.5)
    let mask = try #require(found.first)
    let original = try #require(graph.constant(value))
    let tensor = try #require(mask.applied(to: original))
    #expect(zip(tensor.doubles, mask.isKept).allSatisfy { ($0 != 0) == $1 })
    let pruned = try graph.replacing(constants: [value: tensor])
    #expect(pruned.prunableWeights().weights.first.flatMap { pruned.constant($0.value) }?.isIdentical(to: tensor) == true)
    #expect(throws: TypeError.self) { try graph.replacing(constants: [value: Tensor(zeros: .f32, [32])]) }
    #expect(PruningMask(keeping: [true]).applied(to: tensor) == nil)
  }
}
