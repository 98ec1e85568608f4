import GraphIR
import GraphTestSupport
import Interpreter
import Passes
import TensorTypes
import Testing

@Suite("pruning of channels") struct PruneChannelsTests {
  /// Removes a part, and checks that it is the same as zeroing the weights of what was removed.
  @discardableResult
  private func expectSameAsZeros(_ text: String, removing sparsity: Double = 0.5, sourceLocation: SourceLocation = #_sourceLocation) throws -> (Graph, ChannelGroups) {
    let graph = try parseGraph(text)
    let groups = try ChannelGroups(graph)
    let removed = groups.channels(removing: sparsity, budget: .layer)
    #expect(!removed.isEmpty, sourceLocation: sourceLocation)
    let pruned = try graph.removing(channels: removed, groups.dependencies)
    try pruned.verify(stage: .pass("prune-channels"))
    var zeros: [ValueID: Tensor] = [:]
    for id in graph.contractions() {
      let value = graph.node(id).operands[1]
      guard let tensor = graph.constant(value) else { continue }
      var numbers = tensor.doubles
      for axis in tensor.dimensions.indices {
        guard let kept = groups.dependencies.kept(value, axis, without: removed) else { continue }
        let inner = tensor.dimensions[(axis + 1)...].reduce(1, *)
        for position in numbers.indices where !kept.contains(position / inner % tensor.dimensions[axis]) { numbers[position] = 0 }
      }
      zeros[value] = Tensor(.f32, tensor.dimensions, numbers)
    }
    let zeroed = try graph.replacing(constants: zeros)
    let inputs = graph.inputs.map { input in
      let dimensions = graph.type(of: input).shape.constants ?? []
      return Tensor(.f32, dimensions, (0..<dimensions.reduce(1, *)).map { Double(($0 * 7919) % 31) / 16 - 1 })
    }
    let (a, b) = (try Interpreter.evaluate(zeroed, inputs: inputs, symbols: [:]), try Interpreter.evaluate(pruned, inputs: inputs, symbols: [:]))
    for (x, y) in zip(a, b) {
      #expect(x.dimensions == y.dimensions, sourceLocation: sourceLocation)
      let scale = x.doubles.reduce(1) { max($0, abs($1)) }
      #expect(zip(x.doubles, y.doubles).allSatisfy { abs($0 - $1) <= 1e-4 * scale }, sourceLocation: sourceLocation)
    }
    return (pruned, groups)
  }

  private func filters(_ graph: Graph) -> [[Int]] { graph.contractions().compactMap { graph.constant(graph.node($0).operands[1])?.dimensions } }

  @Test func aBottleneckShrinksInside() throws {
    let (pruned, groups) = try expectSameAsZeros(
      """
      graph @main(%x: f32[1,8,6,6], %c_a: f32[32,8,1,1], %c_b: f32[1,32,1,1], %c_d: f32[32,1,3,3], %c_e: f32[8,32,1,1]) {
        %a = convolution %x, %c_a {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,32,6,6]
        %w = broadcast %c_b {shape = [1, 32, 6, 6]} : f32[1,32,6,6]
        %s = add %a, %w
        %d = convolution %s, %c_d {strides = [1, 1], pads = [1, 1, 1, 1], groups = 32} : f32[1,32,6,6]
        %e = convolution %d, %c_e {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,8,6,6]
        %y = add %e, %x
        return %y
      }
      """)
    #expect(filters(pruned) == [[16, 8, 1, 1], [16, 1, 3, 3], [8, 16, 1, 1]])
    #expect(groups.groups.count == 1 && groups.groups[0].channels.count == 32 && groups.groups[0].width == 1)
    // What is added to the input stays.
    #expect(groups.refused.contains { $0.reason.contains("input `x`") || $0.reason.contains("output") })
  }

  @Test func channelsOfASumShrinkTogether() throws {
    let (pruned, groups) = try expectSameAsZeros(
      """
      graph @main(%x: f32[1,4,5,5], %c_a: f32[32,4,1,1], %c_b: f32[32,32,3,3], %c_c: f32[3,32,1,1]) {
        %a = convolution %x, %c_a {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,32,5,5]
        %b = convolution %a, %c_b {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[1,32,5,5]
        %s = add %a, %b
        %m = reduce %s {with = sum, axes = [2, 3]} : f32[1,32]
        %r = reshape %m {shape = [1, 32, 1, 1]}
        %y = convolution %r, %c_c {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,3,1,1]
        return %y
      }
      """, removing: 0.25)
    #expect(filters(pruned) == [[24, 4, 1, 1], [24, 24, 3, 3], [3, 24, 1, 1]])
    #expect(groups.groups.count == 1)
  }

  @Test func concatenatedAndSplitChannelsKeepTheirPlaces() throws {
    try expectSameAsZeros(
      """
      graph @main(%x: f32[1,4,5,5], %c_a: f32[16,4,1,1], %c_b: f32[24,4,1,1], %c_c: f32[5,40,1,1], %c_d: f32[5,30,1,1]) {
        %a = convolution %x, %c_a {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,16,5,5]
        %b = convolution %x, %c_b {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,24,5,5]
        %j = concatenate %a, %b {axis = 1} : f32[1,40,5,5]
        %p = slice %j {starts = [0, 7, 0, 0], sizes = [1, 30, 5, 5]} : f32[1,30,5,5]
        %c = convolution %j, %c_c {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,5,5,5]
        %d = convolution %p, %c_d {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,5,5,5]
        %y = add %c, %d
        return %y
      }
      """, removing: 0.3)
  }

  @Test func flattenedChannelsTakeTheirColumnsAlong() throws {
    let (pruned, _) = try expectSameAsZeros(
      """
      graph @main(%x: f32[2,4,3,3], %c_a: f32[16,4,1,1], %c_w: f32[144,5]) {
        %a = convolution %x, %c_a {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[2,16,3,3]
        %f = reshape %a {shape = [2, 144]}
        %y = dot %f, %c_w : f32[2,5]
        return %y
      }
      """)
    #expect(filters(pruned) == [[8, 4, 1, 1], [72, 5]])
  }

  @Test func attentionHeadsGoAsAWhole() throws {
    let (pruned, groups) = try expectSameAsZeros(
      """
      graph @main(%x: f32[1,6,32], %c_q: f32[32,32], %c_k: f32[32,32], %c_v: f32[32,32], %c_o: f32[32,32]) {
        %r = reshape %x {shape = [6, 32]}
        %q = dot %r, %c_q : f32[6,32]
        %k = dot %r, %c_k : f32[6,32]
        %v = dot %r, %c_v : f32[6,32]
        %qh = reshape %q {shape = [6, 4, 8]}
        %kh = reshape %k {shape = [6, 4, 8]}
        %vh = reshape %v {shape = [6, 4, 8]}
        %qt = transpose %qh {permutation = [1, 0, 2]}
        %kt = transpose %kh {permutation = [1, 2, 0]}
        %vt = transpose %vh {permutation = [1, 0, 2]}
        %s = dot %qt, %kt : f32[4,6,6]
        %t = tanh %s
        %c = dot %t, %vt : f32[4,6,8]
        %m = transpose %c {permutation = [1, 0, 2]}
        %f = reshape %m {shape = [6, 32]}
        %y = dot %f, %c_o : f32[6,32]
        return %y
      }
      """)
    #expect(filters(pruned) == [[32, 16], [32, 16], [32, 16], [16, 32]])
    let group = try #require(groups.groups.first)
    #expect(groups.groups.count == 1 && group.channels.count == 4 && group.width == 8)
  }

  @Test func whatIsLookedAtAsAWholeStays() throws {
    // The mean of a normalization, and an operation that nothing is known of.
    let graph = try parseGraph(
      """
      graph @main(%x: f32[4,8], %c_a: f32[8,16], %c_b: f32[16,8], %c_d: f32[8,16]) {
        %a = dot %x, %c_a : f32[4,16]
        %m = reduce %a {with = sum, axes = [1]} : f32[4]
        %n = reshape %m {shape = [4, 1]}
        %w = broadcast %n {shape = [4, 16]} : f32[4,16]
        %s = sub %a, %w
        %b = dot %s, %c_b : f32[4,8]
        %d = dot %b, %c_d : f32[4,16]
        %p = reverse %d {axes = [1]}
        return %p
      }
      """)
    let groups = try ChannelGroups(graph)
    #expect(groups.groups.count == 1 && groups.groups[0].channels.count == 8)
    #expect(groups.refused.contains { $0.reason.contains("at once") })
    #expect(groups.refused.contains { $0.reason.contains("nothing is known") })
    let atoms = groups.dependencies.classes(of: [.init(contraction: 0, channel: 0)], in: graph)
    #expect(throws: CompileError.self) { try graph.removing(channels: atoms, groups.dependencies) }
  }

  @Test func everyAxisKeepsSomething() throws {
    let (pruned, _) = try expectSameAsZeros(
      """
      graph @main(%x: f32[4,8], %c_a: f32[8,5], %c_b: f32[5,3]) {
        %a = dot %x, %c_a : f32[4,5]
        %y = dot %a, %c_b : f32[4,3]
        return %y
      }
      """, removing: 0.99)
    #expect(filters(pruned) == [[8, 1], [1, 3]])
  }

  @Test func measuredChannelsAreRankedByWhatTheyContribute() throws {
    let graph = try parseGraph(
      """
      graph @main(%x: f32[4,8], %c_a: f32[8,4], %c_b: f32[4,3]) {
        %a = dot %x, %c_a : f32[4,4]
        %y = dot %a, %c_b : f32[4,3]
        return %y
      }
      """)
    let consumer = try #require(graph.contractions().last)
    let groups = try ChannelGroups(graph, energies: [graph.node(consumer).operands[0]: [1, 100, 1e-6, 100]])
    let removed = groups.channels(removing: 0.25, budget: .layer)
    #expect(removed == groups.dependencies.classes(of: [.init(contraction: 0, channel: 2)], in: graph))
  }

  @Test func refittingAddsToTheResults() throws {
    var graph = try parseGraph(
      """
      graph @main(%x: f32[4,8], %c_a: f32[8,4]) {
        %y = dot %x, %c_a : f32[4,4]
        return %y
      }
      """)
    let node = try #require(graph.contractions().first)
    let weights = Tensor(.f32, [8, 4], (0..<32).map(Double.init))
    try graph.refit(graph.node(node), weights, shift: [1, 2, 3, 4])
    graph.removeDeadNodes()
    let result = try Interpreter.evaluate(graph, inputs: [Tensor(zeros: .f32, [4, 8])], symbols: [:])[0]
    #expect(result.doubles == [1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4])
  }

  /// Two layers that are cut off at the same bound have nothing else in common.
  @Test func equalBoundsDoNotTieChannels() throws {
    let numbers = (0..<64).map { "\(Double($0 * 7 % 11) - 5)" }.joined(separator: ", ")
    let graph = try Graph(
      text: """
        graph @bounds(%x: f32[4,8]) {
          %a = constant dense [\(numbers)] : f32[8,8]
          %b = constant dense [\(numbers)] : f32[8,8]
          %c = constant dense [\(numbers)] : f32[8,8]
          %z = constant dense [0.0] : f32[1]
          %w = broadcast %z {shape = [4,8]} : f32[4,8]
          %h = dot %x, %a : f32[4,8]
          %s = max %h, %w : f32[4,8]
          %i = dot %s, %b : f32[4,8]
          %t = max %i, %w : f32[4,8]
          %y = dot %t, %c : f32[4,8]
          return %y
        }
        """)
    #expect(try ChannelGroups(graph).groups.count == 1)
    let groups = try ChannelGroups(try graph.separatingShared()).groups
    #expect(groups.map(\.channels.count) == [8, 8] && groups.allSatisfy { $0.readers.count == 1 })
  }
}
