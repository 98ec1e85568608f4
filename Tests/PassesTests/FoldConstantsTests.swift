import GraphIR
import GraphTestSupport
import Passes
import TensorTypes
import Testing

@Suite("fold-constants") struct FoldConstantsTests {
  @Test func evaluatesChainsOfConstants() throws {
    try expectRewrite(
      foldConstants,
      """
      graph @main(%x: f32[2]) {
        %a = constant dense [1, 2] : f32[2]
        %b = constant dense [3, 4] : f32[2]
        %s = add %a, %b : f32[2]
        %r = sqrt %s : f32[2]
        %y = mul %x, %r : f32[2]
        return %y
      }
      """,
      becomes: """
        // CHECK: %[[R:.*]] = constant dense [2.0, 2.4494898]
        // CHECK-NEXT: mul %x, %[[R]]
        """, within: .exact)
  }

  @Test func convertsWeights() throws {
    try expectRewrite(
      foldConstants,
      """
      graph @main(%x: f32[1,64], %c_w: f16[64,48]) {
        %w = convert %c_w {to = f32} : f32[64,48]
        %y = dot %x, %w : f32[1,48]
        return %y
      }
      """, becomes: "// CHECK-NOT: convert", within: .exact)
  }

  @Test func permutesConstantsInBlocks() throws {
    for permutation in [[0, 2, 1], [1, 0, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
      let extents = [37, 5, 66]
      let shape = permutation.map { "\(extents[$0])" }.joined(separator: ",")
      try expectRewrite(
        foldConstants,
        """
        graph @main(%x: f32[\(shape)], %c_w: f32[37,5,66]) {
          %t = transpose %c_w {permutation = \(permutation)} : f32[\(shape)]
          %y = mul %x, %t : f32[\(shape)]
          return %y
        }
        """, becomes: "// CHECK-NOT: transpose", within: .exact)
    }
  }

  @Test func doesNotMaterialiseBroadcastsOrIotas() throws {
    try expectUnchanged(
      foldConstants,
      """
      graph @main(%x: f32[64,64]) {
        %one = constant dense [1] : f32[]
        %ones = broadcast %one {shape = [64, 64]} : f32[64,64]
        %i = iota {shape = [64, 64], axis = 0, element = f32} : f32[64,64]
        %s = add %i, %ones : f32[64,64]
        %y = mul %x, %s : f32[64,64]
        return %y
      }
      """)
  }

  @Test func leavesWorkThatIsNotWorthIt() throws {
    try expectUnchanged(
      foldConstants,
      """
      graph @main(%x: f32[1024,1024], %c_a: f32[1024,1024], %c_b: f32[1024,1024]) {
        %p = dot %c_a, %c_b : f32[1024,1024]
        %y = mul %x, %p : f32[1024,1024]
        return %y
      }
      """)
  }

  @Test func foldsKnownExtents() throws {
    try expectRewrite(
      foldConstants,
      """
      graph @main(%x: f32[8,2]) {
        %e = extents {values = [3]} : i64[1]
        %y = gather %x, %e {axis = 0} : f32[1,2]
        return %y
      }
      """, becomes: "// CHECK: constant dense [3] : i64[1]", within: .exact)
    try expectUnchanged(
      foldConstants,
      """
      graph @main(%x: f32[n,2]) {
        %e = extents {values = [n - 1]} : i64[1]
        %y = gather %x, %e {axis = 0} : f32[1,2]
        return %y
      }
      """)
  }
}

@Suite("eliminate-common-subexpressions") struct EliminateCommonSubexpressionsTests {
  @Test func computesOnce() throws {
    try expectRewrite(
      eliminateCommonSubexpressions,
      """
      graph @main(%x: f32[2], %y: f32[2]) {
        %a = add %x, %y : f32[2]
        %b = add %y, %x : f32[2]
        %c = exp %a : f32[2]
        %d = exp %b : f32[2]
        %z = mul %c, %d : f32[2]
        return %z, %d
      }
      """,
      becomes: """
        // CHECK: %[[A:.*]] = add %x, %y
        // CHECK-NEXT: %[[E:.*]] = exp %[[A]]
        // CHECK-NEXT: %[[Z:.*]] = mul %[[E]], %[[E]]
        // CHECK-NEXT: return %[[Z]] as {{.*}}, %[[E]]
        """, within: .exact)
  }

  @Test func keepsWhatDiffersInOrderAttributeOrType() throws {
    try expectUnchanged(
      eliminateCommonSubexpressions,
      """
      graph @main(%x: f32[2,2], %y: f32[2,2]) {
        %a = sub %x, %y : f32[2,2]
        %b = sub %y, %x : f32[2,2]
        %c = reduce %x {with = sum, axes = [0]} : f32[2]
        %d = reduce %x {with = sum, axes = [1]} : f32[2]
        return %a, %b, %c, %d
      }
      """)
  }

  @Test func keepsOneCopyOfLargeConstants() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [64, 64]))
    let numbers = (0..<4096).map { Double($0) }
    var other = numbers
    other[4095] = 0
    var value = x
    for list in [numbers, numbers, other] {
      let constant = try graph.insert(Constant(Tensor(.f32, [64, 64], list)))
      value = try graph.insert(Binary(.add), value, constant)
    }
    graph.setOutputs([("y", value)])
    var after = graph
    var context = PassContext()
    #expect(try eliminateCommonSubexpressions.run(&after, &context))
    #expect(after.topologicalOrder().count { after.node($0).operation is Constant } == 2)
    try expectSameResults(graph, after: eliminateCommonSubexpressions, within: .exact)
  }
}

@Suite("eliminate-dead-nodes") struct EliminateDeadNodesTests {
  @Test func dropsWhatNoOutputNeeds() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [4]))
    _ = graph.addInput("unused", TensorType(.f32, [4]))
    let y = try graph.insert(Unary(.negate), x)
    _ = try graph.insert(Unary(.exponential), y)
    graph.setOutputs([("y", y)])
    var context = PassContext()
    #expect(try eliminateDeadNodes.run(&graph, &context))
    #expect(graph.inputs.count == 2 && graph.valueCount == 3)
    #expect(try !eliminateDeadNodes.run(&graph, &context))
  }
}

@Suite("expand-composites") struct ExpandCompositesTests {
  static let model = """
    graph @main(%x: f32[4]) {
      %y = composite %x {name = twice_exp} (
        graph @twice_exp(%a: f32[4]) {
          %b = composite %a {name = inner} (
            graph @inner(%p: f32[4]) {
              %q = exp %p : f32[4]
              return %q
            }
          ) : f32[4]
          %c = add %b, %b : f32[4]
          return %c
        }
      ) : f32[4]
      return %y
    }
    """

  @Test func putsBodiesInPlaceAtAnyDepth() throws {
    try expectRewrite(
      expandComposites, Self.model,
      becomes: """
        // CHECK: %[[E:.*]] = exp %x
        // CHECK-NEXT: %[[Y:.*]] = add %[[E]], %[[E]]
        // CHECK-NEXT: return %[[Y]]
        """, within: .exact)
  }

  @Test func keepsTheNamedOnes() throws { try expectUnchanged(expandingComposites(except: ["twice_exp"]), Self.model) }
}
