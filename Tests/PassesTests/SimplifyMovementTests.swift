import GraphIR
import GraphTestSupport
import Passes
import Testing

@Suite("simplify-movement") struct SimplifyMovementTests {
  private func chain(_ input: String, _ steps: [String]) -> String {
    var text = "graph @main(%x: \(input)) {\n"
    for (index, step) in steps.enumerated() { text += "%v\(index) = \(step.replacing("$", with: index == 0 ? "%x" : "%v\(index - 1)"))\n" }
    return text + "return %v\(steps.count - 1)\n}"
  }

  @Test func mergesReshapes() throws {
    try expectRewrite(
      simplifyMovement, chain("f32[2,6]", ["reshape $ {shape = [3, 4]}", "reshape $ {shape = [12]}"]),
      becomes: "// CHECK: reshape %x {shape = [12]}\n// CHECK-NEXT: return", within: .exact)
    try expectRewrite(
      simplifyMovement, chain("f32[n,6]", ["reshape $ {shape = [n, 2, 3]}", "reshape $ {shape = [n, 6]}"]), becomes: "// CHECK: graph\n// CHECK-NEXT: return %x",
      within: .exact)
    try expectUnchanged(simplifyMovement, chain("f32[2,6]", ["reshape $ {shape = [3, 4]}"]))
  }

  @Test func composesTransposes() throws {
    try expectRewrite(
      simplifyMovement, chain("f32[2,3,4,5]", ["transpose $ {permutation = [0, 2, 3, 1]}", "transpose $ {permutation = [0, 3, 1, 2]}"]),
      becomes: "// CHECK: graph\n// CHECK-NEXT: return %x", within: .exact)
    try expectRewrite(
      simplifyMovement, chain("f32[2,3,4]", ["transpose $ {permutation = [1, 2, 0]}", "transpose $ {permutation = [0, 2, 1]}"]),
      becomes: "// CHECK: transpose %x {permutation = [1, 0, 2]}\n// CHECK-NEXT: return", within: .exact)
    try expectUnchanged(simplifyMovement, chain("f32[2,3]", ["transpose $ {permutation = [1, 0]}"]))
  }

  @Test func composesTransposesAroundAMergeOfAxes() throws {
    try expectRewrite(
      simplifyMovement,
      chain("f32[batch,5,3,4]", ["transpose $ {permutation = [0, 2, 1, 3]}", "reshape $ {shape = [batch*3, 5, 4]}", "transpose $ {permutation = [0, 2, 1]}"]),
      becomes: "// CHECK: transpose %x {permutation = [0, 2, 3, 1]} : f32[batch,3,4,5]\n// CHECK-NEXT: reshape {{.*}} : f32[3*batch,4,5]\n// CHECK-NEXT: return", within: .exact)
    try expectUnchanged(
      simplifyMovement, chain("f32[5,3,4]", ["transpose $ {permutation = [1, 0, 2]}", "reshape $ {shape = [3, 5, 2, 2]}", "transpose $ {permutation = [0, 2, 1, 3]}"]))
  }

  @Test func reshapesWhereOnlyUnitAxesMove() throws {
    try expectRewrite(
      simplifyMovement, chain("f32[1,64,1,7]", ["transpose $ {permutation = [0, 2, 3, 1]}", "transpose $ {permutation = [0, 3, 1, 2]}", "transpose $ {permutation = [1, 0, 2, 3]}"]),
      becomes: "// CHECK: reshape %x {shape = [64, 1, 1, 7]}\n// CHECK-NEXT: return", within: .exact)
  }

  @Test func mergesBroadcasts() throws {
    try expectRewrite(
      simplifyMovement, chain("f32[4,1]", ["broadcast $ {shape = [4, 3]}", "broadcast $ {shape = [2, 4, 3]}"]),
      becomes: "// CHECK: broadcast %x {shape = [2, 4, 3]}\n// CHECK-NEXT: return", within: .exact)
    try expectRewrite(
      simplifyMovement, chain("f32[4]", ["reshape $ {shape = [1, 1, 4]}", "broadcast $ {shape = [2, 3, 4]}"]), becomes: "// CHECK-NOT: reshape", within: .exact)
    try expectUnchanged(simplifyMovement, chain("f32[4]", ["reshape $ {shape = [4, 1]}", "broadcast $ {shape = [4, 3]}"]))
  }

  @Test func mergesSlices() throws {
    try expectRewrite(
      simplifyMovement,
      chain("f32[20,3]", ["slice $ {starts = [2, 0], sizes = [9, 3], steps = [2, 1]}", "slice $ {starts = [1, 1], sizes = [3, 2], steps = [3, 1]}"]),
      becomes: "// CHECK: slice %x {starts = [4, 1], sizes = [3, 2], steps = [6, 1]}\n// CHECK-NEXT: return", within: .exact)
    try expectRewrite(
      simplifyMovement, chain("f32[n,3]", ["slice $ {starts = [0, 0], sizes = [n, 3]}"]), becomes: "// CHECK: graph\n// CHECK-NEXT: return %x", within: .exact)
    try expectUnchanged(simplifyMovement, chain("f32[20]", ["slice $ {starts = [0], sizes = [19]}"]))
  }

  @Test func slicesTheOperandOfAConcatenation() throws {
    func model(_ start: Int, _ size: Int) -> String {
      """
      graph @main(%x: f32[2,3], %y: f32[2,4]) {
        %c = concatenate %x, %y {axis = 1} : f32[2,7]
        %s = slice %c {starts = [0, \(start)], sizes = [2, \(size)]} : f32[2,\(size)]
        return %s
      }
      """
    }
    try expectRewrite(simplifyMovement, model(3, 4), becomes: "// CHECK: graph\n// CHECK-NEXT: return %y", within: .exact)
    try expectRewrite(simplifyMovement, model(4, 2), becomes: "// CHECK: slice %y {starts = [0, 1], sizes = [2, 2]", within: .exact)
    try expectUnchanged(simplifyMovement, model(2, 2))
  }

  @Test func survivesNumbersThatDoNotFit() throws {
    // A symbolic axis leaves room for any start; nothing may overflow on the way.
    let text = """
      graph @main(%x: f32[2,n], %y: f32[2,4]) {
        %c = concatenate %x, %y {axis = 1}
        %s = slice %c {starts = [0, 4611686018427387904], sizes = [2, 4611686018427387], steps = [1, 4611686018427387]}
        return %s
      }
      """
    guard var graph = try? parseGraph(text) else { return }
    var runner = PassRunner<Graph>()
    try? runner.run(.portable, on: &graph)
    try? runner.run(.layout, on: &graph)
  }

  @Test func permutesEmptyConstantsOfHugeExtents() throws {
    let text = """
      graph @main(%x: f32[0,4194304,4194304]) {
        %e = constant dense [] : f32[0,4194304,4194304]
        %t = transpose %e {permutation = [0, 2, 1]}
        %y = add %x, %t
        return %y
      }
      """
    guard var graph = try? parseGraph(text) else { return }
    var runner = PassRunner<Graph>()
    try runner.run(.portable, on: &graph)
    #expect(graph.size <= 3)
  }

  @Test func removesEmptyPads() throws {
    func model(_ low: String) -> String {
      """
      graph @main(%x: f32[2,3]) {
        %z = constant dense [0] : f32[]
        %p = pad %x, %z {low = [\(low)], high = [0, 0]}
        return %p
      }
      """
    }
    try expectRewrite(simplifyMovement, model("0, 0"), becomes: "// CHECK: graph\n// CHECK-NEXT: return %x", within: .exact)
    try expectUnchanged(simplifyMovement, model("0, 1"))
  }

  @Test func mergesPadsByOneValue() throws {
    func model(_ second: String) -> String {
      """
      graph @main(%x: f32[2,3]) {
        %z = constant dense [0] : f32[]
        %w = constant dense [\(second)] : f32[]
        %p = pad %x, %z {low = [0, 1], high = [1, 0]}
        %q = pad %p, %w {low = [0, 1], high = [1, 1]}
        return %q
      }
      """
    }
    try expectRewrite(simplifyMovement, model("0"), becomes: "// CHECK: pad %x, %{{.*}} {low = [0, 2], high = [2, 1]}", within: .exact)
    try expectUnchanged(simplifyMovement, model("1"))
    try expectUnchanged(simplifyMovement, model("-0.0"))
  }

  @Test func flattensConcatenations() throws {
    try expectRewrite(
      simplifyMovement,
      """
      graph @main(%x: f32[2,3], %y: f32[2,4], %e: f32[2,0]) {
        %a = concatenate %x, %y {axis = 1}
        %b = concatenate %a, %e, %x {axis = 1}
        %c = concatenate %b {axis = 0}
        return %c
      }
      """, becomes: "// CHECK: concatenate %x, %y, %x {axis = 1}\n// CHECK-NEXT: return", within: .exact)
    try expectUnchanged(
      simplifyMovement,
      """
      graph @main(%x: f32[2,3], %y: f32[2,3]) {
        %a = concatenate %x, %y {axis = 1}
        %b = concatenate %a, %a {axis = 0}
        return %b
      }
      """)
  }

  @Test func cancelsReversals() throws {
    try expectRewrite(
      simplifyMovement, chain("f32[2,3,1]", ["reverse $ {axes = [0, 2]}", "reverse $ {axes = [0, 1]}"]),
      becomes: "// CHECK: reverse %x {axes = [1]}\n// CHECK-NEXT: return", within: .exact)
    try expectUnchanged(simplifyMovement, chain("f32[2,3]", ["reverse $ {axes = [0]}"]))
  }
}

@Suite("sink-reshapes") struct SinkReshapesTests {
  @Test func keepsBiasAndResidualBesideTheProduct() throws {
    try expectRewrite(
      sinkReshapes,
      """
      graph @main(%x: f32[batch*3,4], %z: f32[batch*3,4], %bias: f32[4], %m: f32[batch,3,1]) {
        %r = reshape %x {shape = [batch, 3, 4]}
        %b = broadcast %bias {shape = [batch, 3, 4]}
        %a = add %r, %b
        %s = reshape %z {shape = [batch, 3, 4]}
        %t = add %a, %s
        %n = broadcast %m {shape = [batch, 3, 4]}
        %u = sub %t, %n
        %y = exp %u
        return %y
      }
      """,
      becomes: """
        // CHECK: broadcast %bias {shape = [3*batch, 4]}
        // CHECK-NEXT: add %x
        // CHECK-NEXT: add {{.*}}, %z
        // CHECK: reshape %m {shape = [3*batch, 1]}
        // CHECK: exp {{.*}} : f32[3*batch,4]
        // CHECK-NEXT: reshape {{.*}} : f32[batch,3,4]
        // CHECK-NEXT: return
        """, within: .exact)
  }

  @Test func keepsWhatRepeatsAlongPartOfAGroup() throws {
    try expectUnchanged(
      sinkReshapes,
      """
      graph @main(%x: f32[2,12], %m: f32[2,3,1]) {
        %r = reshape %x {shape = [2, 3, 4]}
        %n = broadcast %m {shape = [2, 3, 4]}
        %u = sub %r, %n
        return %u
      }
      """)
  }

  @Test func keepsAnOperandThatIsNoReshape() throws {
    try expectUnchanged(
      sinkReshapes,
      """
      graph @main(%x: f32[2,12], %m: f32[2,3,4]) {
        %r = reshape %x {shape = [2, 3, 4]}
        %u = sub %r, %m
        return %u
      }
      """)
  }
}

@Suite("simplify-indexing") struct SimplifyIndexingTests {
  private func model(_ x: String, _ indices: String, _ axis: Int) -> String {
    """
    graph @main(%x: \(x)) {
      %i = \(indices)
      %y = gather %x, %i {axis = \(axis)}
      return %y
    }
    """
  }

  @Test func slicesRunsOfIndices() throws {
    try expectRewrite(
      simplifyIndexing, model("f32[3,9]", "constant dense [1, 3, 5] : i64[3]", 1),
      becomes: "// CHECK: slice %x {starts = [0, 1], sizes = [3, 3], steps = [1, 2]}", within: .exact)
    try expectRewrite(
      simplifyIndexing, model("f32[3,9]", "constant dense [2] : i64[]", 0), becomes: "// CHECK: slice %x {starts = [2, 0]\n// CHECK-NEXT: reshape {{.*}} {shape = [9]}",
      within: .exact)
    try expectRewrite(
      simplifyIndexing, model("f32[3,2]", "constant dense [0, 1, 2] : i32[3]", 0), becomes: "// CHECK: graph\n// CHECK-NEXT: return %x", within: .exact)
  }

  @Test func slicesSymbolicAxes() throws {
    try expectRewrite(
      simplifyIndexing, model("f32[n,2]", "constant dense [0] : i64[]", 0), becomes: "// CHECK: slice %x {starts = [0, 0], sizes = [1, 2]", within: .exact)
    try expectRewrite(
      simplifyIndexing, model("f32[n,2]", "extents {values = [n - 1]} : i64[1]", 0), becomes: "// CHECK: slice %x {starts = [n - 1, 0]", within: .exact)
    try expectUnchanged(simplifyIndexing, model("f32[n,2]", "constant dense [1] : i64[]", 0))
    try expectUnchanged(simplifyIndexing, model("f32[n,2]", "extents {values = [n]} : i64[1]", 0))
  }

  @Test(arguments: ["constant dense [0, 1, 3] : i64[3]", "constant dense [2, 1] : i64[2]", "constant dense [8, 9] : i64[2]", "constant dense [-1] : i64[1]", "constant dense [0, 1, 2, 3] : i64[2,2]"])
  func keepsOtherIndices(_ indices: String) throws { try expectUnchanged(simplifyIndexing, model("f32[9,2]", indices, 0)) }
}

@Suite("slices of reshapes") struct SliceBeforeReshapeTests {
  private func model(_ slice: String) -> String {
    """
    graph @main(%x: f32[2,24,5]) {
      %r = reshape %x {shape = [2, 6, 4, 1, 5]}
      %y = slice %r {\(slice)}
      return %y
    }
    """
  }

  @Test func takesEveryFourth() throws {
    try expectRewrite(
      simplifyIndexing, model("starts = [0, 1, 3, 0, 2], sizes = [2, 2, 1, 1, 2], steps = [1, 3, 1, 1, 2]"),
      becomes: "// CHECK: slice %x {starts = [0, 7, 2], sizes = [2, 2, 2], steps = [1, 12, 2]}\n// CHECK-NEXT: reshape {{.*}} : f32[2,2,1,1,2]", within: .exact)
  }

  @Test func takesRuns() throws {
    try expectRewrite(
      simplifyIndexing, model("starts = [1, 2, 0, 0, 0], sizes = [1, 3, 4, 1, 5]"),
      becomes: "// CHECK: slice %x {starts = [1, 8, 0], sizes = [1, 12, 5], steps = [1, 1, 1]}\n// CHECK-NEXT: reshape", within: .exact)
  }

  @Test func keepsPartsOfBothAxes() throws { try expectUnchanged(simplifyIndexing, model("starts = [0, 0, 0, 0, 0], sizes = [2, 3, 2, 1, 5]")) }
}

@Suite("simplify-reductions") struct SimplifyReductionsTests {
  @Test func reducesBeforeTransposing() throws {
    try expectRewrite(
      simplifyReductions,
      """
      graph @main(%x: f32[2,3,4,5]) {
        %t = transpose %x {permutation = [0, 3, 2, 1]} : f32[2,5,4,3]
        %a = reduce %t {with = sum, axes = [1, 2]} : f32[2,3]
        %b = reduce %t {with = max, axes = [0, 2]} : f32[5,3]
        return %a, %b
      }
      """,
      becomes: """
        // CHECK: reduce %x {with = sum, axes = [2, 3]}
        // CHECK: reduce %x {with = max, axes = [0, 2]} : f32[3,5]
        // CHECK-NEXT: transpose {{.*}} : f32[5,3]
        """)
  }

  @Test func reducesBeforeReshaping() throws {
    try expectRewrite(
      simplifyReductions,
      """
      graph @main(%x: f32[n,8,3,3]) {
        %r = reshape %x {shape = [n, 8, 9]}
        %s = reduce %r {with = sum, axes = [2]}
        return %s
      }
      """, becomes: "// CHECK: reduce %x {with = sum, axes = [2, 3]}\n// CHECK-NEXT: return")
    try expectUnchanged(
      simplifyReductions,
      """
      graph @main(%x: f32[2,12]) {
        %r = reshape %x {shape = [2, 3, 4]}
        %s = reduce %r {with = sum, axes = [2]}
        return %s
      }
      """)
  }

  @Test func mergesReductionsOfOneKind() throws {
    func model(_ second: String) -> String {
      """
      graph @main(%x: f32[2,3,4,5]) {
        %a = reduce %x {with = sum, axes = [1]} : f32[2,4,5]
        %b = reduce %a {with = \(second), axes = [0, 2]} : f32[4]
        return %b
      }
      """
    }
    try expectRewrite(simplifyReductions, model("sum"), becomes: "// CHECK: reduce %x {with = sum, axes = [0, 1, 3]}")
    try expectUnchanged(simplifyReductions, model("max"))
  }

  @Test func reshapesWhereThereIsOneElement() throws {
    try expectRewrite(
      simplifyReductions,
      """
      graph @main(%x: f32[4,1,2]) {
        %a = reduce %x {with = max, axes = [1]} : f32[4,2]
        return %a
      }
      """, becomes: "// CHECK: reshape %x\n// CHECK-NOT: reduce", within: .exact)
  }
}
