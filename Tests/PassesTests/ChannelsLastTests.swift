import GraphIR
import GraphTestSupport
import Passes
import Testing

@Suite("channels-last") struct ChannelsLastTests {
  private func laidOut(_ text: String) throws -> Graph { try expectSameResults(try parseGraph(text), after: .layout, within: .ulps(128)) }
  private func transposes(_ graph: Graph) -> Int { graph.topologicalOrder().count { graph.node($0).operation is Transpose } }

  @Test func movesTransposesToTheBorders() throws {
    try expectRewrite(
      channelsLast,
      """
      graph @main(%x: f32[1,3,8,8], %c_f: f32[16,3,3,3], %c_b: f32[16,1,1], %c_g: f32[4,16,3,3]) {
        %c = convolution %x, %c_f {strides = [2, 1], pads = [1, 0, 0, 1]} : f32[1,16,4,7]
        %b = broadcast %c_b {shape = [1, 16, 4, 7]}
        %a = add %c, %b
        %r = tanh %a
        %y = convolution %r, %c_g {strides = [1, 1], pads = [0, 0, 0, 0]}
        return %y
      }
      """,
      becomes: """
        // CHECK: %[[T:.*]] = transpose %x {permutation = [0, 2, 3, 1]}
        // CHECK: constant {{.*}} : f32[3,3,3,16]
        // CHECK: convolution %[[T]], {{.*}}layout = channels_last} : f32[1,4,7,16]
        // CHECK: broadcast {{.*}} : f32[1,4,7,16]
        // CHECK: tanh
        // CHECK-NOT: transpose
        // CHECK: %[[D:.*]] = convolution {{.*}}layout = channels_last} : f32[1,2,5,4]
        // CHECK-NEXT: transpose %[[D]] {permutation = [0, 3, 1, 2]}
        """, within: .ulps(64))
  }

  @Test func leavesGraphsWithoutConvolutions() throws {
    try expectUnchanged(
      channelsLast,
      """
      graph @main(%x: f32[2,3,4]) {
        %t = transpose %x {permutation = [0, 2, 1]}
        %y = exp %t
        return %y
      }
      """)
  }

  @Test func cancelsTheTransposesOfAModelThatIsChannelsLastAtHeart() throws {
    let graph = try laidOut(
      """
      graph @main(%x: f32[1,8,8,3], %c_f: f32[16,3,3,3], %c_b: f32[16], %c_d: f32[16,1,3,3]) {
        %t = transpose %x {permutation = [0, 3, 1, 2]}
        %c = convolution %t, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]}
        %u = transpose %c {permutation = [0, 2, 3, 1]}
        %b = broadcast %c_b {shape = [1, 8, 8, 16]}
        %a = add %u, %b
        %v = transpose %a {permutation = [0, 3, 1, 2]}
        %d = convolution %v, %c_d {strides = [1, 1], pads = [1, 1, 1, 1], groups = 16}
        %y = transpose %d {permutation = [0, 2, 3, 1]}
        return %y
      }
      """)
    #expect(transposes(graph) == 0)
  }

  @Test func permutesDepthwiseFilters() throws {
    try expectRewrite(
      channelsLast,
      """
      graph @main(%x: f32[1,4,5,5], %c_d: f32[4,1,3,3]) {
        %y = convolution %x, %c_d {strides = [1, 1], pads = [1, 1, 1, 1], groups = 4}
        return %y
      }
      """, becomes: "// CHECK: constant {{.*}} : f32[3,3,1,4]", within: .ulps(16))
  }

  @Test func worksInOneAndThreeDimensions() throws {
    for (x, f, ones, zeros, held) in [
      ("2,3,9", "4,3,3", "1", "0, 0", "f32[2,7,4]"), ("1,3,5,6,7", "4,3,3,2,1", "1, 1, 1", "0, 0, 0, 0, 0, 0", "f32[1,3,5,7,4]"),
    ] {
      try expectRewrite(
        channelsLast,
        """
        graph @main(%x: f32[\(x)], %c_f: f32[\(f)]) {
          %y = convolution %x, %c_f {strides = [\(ones)], pads = [\(zeros)]}
          return %y
        }
        """, becomes: "// CHECK: convolution {{.*}} : \(held)", within: .ulps(32))
    }
  }

  @Test func takesResidualsPoolingAndConcatenationAlong() throws {
    let graph = try laidOut(
      """
      graph @main(%x: f32[1,3,8,8], %c_f: f32[4,3,3,3], %c_g: f32[4,4,3,3], %c_h: f32[5,12,1,1]) {
        %a = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[1,4,8,8]
        %b = convolution %a, %c_g {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[1,4,8,8]
        %s = add %a, %b
        %p = reduce_window %s {with = max, size = [1, 1, 3, 2], strides = [1, 1, 2, 1], pads = [0, 0, 1, 0, 0, 0, 1, 1]} : f32[1,4,4,8]
        %q = reduce_window %a {with = sum, size = [1, 1, 2, 1], strides = [1, 1, 2, 1], pads = [0, 0, 0, 0, 0, 0, 0, 0]} : f32[1,4,4,8]
        %z = constant dense [1] : f32[]
        %i = slice %q {starts = [0, 1, 0, 2], sizes = [1, 2, 4, 6]}
        %k = pad %i, %z {low = [0, 2, 0, 0], high = [0, 0, 0, 2]}
        %c = concatenate %p, %q, %k {axis = 1} : f32[1,12,4,8]
        %d = convolution %c, %c_h {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,5,4,8]
        %m = reduce %d {with = sum, axes = [2, 3]} : f32[1,5]
        return %m
      }
      """)
    #expect(transposes(graph) == 1)
  }

  @Test func takesSqueezeAndExcitationAlong() throws {
    let graph = try laidOut(
      """
      graph @main(%x: f32[2,3,8,8], %c_f: f32[4,3,3,3], %c_g: f32[2,4,1,1], %c_h: f32[4,2,1,1]) {
        %a = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[2,4,8,8]
        %m = reduce %a {with = sum, axes = [2, 3]} : f32[2,4]
        %r = reshape %m {shape = [2, 4, 1, 1]}
        %b = convolution %r, %c_g {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[2,2,1,1]
        %t = tanh %b
        %c = convolution %t, %c_h {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[2,4,1,1]
        %g = logistic %c
        %w = broadcast %g {shape = [2, 4, 8, 8]}
        %y = mul %a, %w
        %z = reduce %y {with = max, axes = [2, 3]}
        return %z
      }
      """)
    #expect(transposes(graph) == 1)
  }

  @Test func splitsChannelsAndResizesWithoutMovingThem() throws {
    let graph = try laidOut(
      """
      graph @main(%x: f32[1,3,4,4], %c_f: f32[6,3,3,3]) {
        %a = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[1,6,4,4]
        %rows = constant dense [0, 0, 1, 1, 2, 2, 3, 3] : i64[8]
        %g = gather %a, %rows {axis = 2} : f32[1,6,8,4]
        %h = gather %g, %rows {axis = 3} : f32[1,6,8,8]
        %r = reshape %h {shape = [1, 2, 3, 8, 8]}
        %t = transpose %r {permutation = [0, 3, 4, 1, 2]} : f32[1,8,8,2,3]
        %y = reshape %t {shape = [128, 3]}
        return %y
      }
      """)
    #expect(transposes(graph) == 1)
  }

  @Test func shufflesChannelsWithOneSmallTranspose() throws {
    let graph = try laidOut(
      """
      graph @main(%x: f32[1,3,4,4], %c_f: f32[6,3,3,3], %c_g: f32[2,6,1,1]) {
        %a = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[1,6,4,4]
        %r = reshape %a {shape = [1, 2, 3, 4, 4]}
        %t = transpose %r {permutation = [0, 2, 1, 3, 4]} : f32[1,3,2,4,4]
        %s = reshape %t {shape = [1, 6, 4, 4]}
        %c = convolution %s, %c_g {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,2,4,4]
        %y = reduce %c {with = max, axes = [2, 3]}
        return %y
      }
      """)
    #expect(transposes(graph) == 2)
    #expect(graph.text(elidingAbove: 8).contains("permutation = [0, 1, 2, 4, 3]"))
  }

  @Test func followsReshapesThatOnlyRenameExtents() throws {
    // Symbols get the numbers 2, 3, 4, 5 in alphabetical order, so that `k` is `2*a`.
    let graph = try laidOut(
      """
      graph @main(%x: f32[b,3,2*a,2*w], %one: f32[k], %two: f32[a], %three: f32[w], %c_f: f32[4,3,3,3]) {
        %c = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[b,4,2*a,2*w]
        %s = slice %c {starts = [0, 0, 0, 0], sizes = [b, 4, 2*a, 1]}
        %n = reshape %s {shape = [b, 4, k, 1]}
        %y = reduce %n {with = max, axes = [1]}
        return %y
      }
      """)
    #expect(transposes(graph) == 1)
  }

  @Test func mergesHeadsWithOneTranspose() throws {
    let graph = try laidOut(
      """
      graph @main(%x: f32[1,3,4,4], %c_f: f32[6,3,3,3], %q: f32[1,12,5,4], %c_w: f32[48,7]) {
        %a = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[1,6,4,4]
        %m = reduce %a {with = max, axes = [1, 2, 3]} : f32[1]
        %t = transpose %q {permutation = [2, 0, 1, 3]} : f32[5,1,12,4]
        %r = reshape %t {shape = [5, 48]}
        %y = dot %r, %c_w
        return %y, %m
      }
      """)
    #expect(transposes(graph) == 2)
  }

  @Test func keepsAnOutputAsTheModelHasIt() throws {
    let graph = try laidOut(
      """
      graph @main(%x: f32[1,1,8,8], %c_f: f32[4,1,3,3]) {
        %a = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[1,4,8,8]
        %y = logistic %a
        return %y as "mask"
      }
      """)
    // One channel: the transpose of the input is a reshape.
    #expect(transposes(graph) == 1)
    #expect(graph.outputNames == ["mask"])
  }

  @Test func flattensIntoAPermutedMatrix() throws {
    let graph = try laidOut(
      """
      graph @main(%x: f32[batch,3,4,5], %c_f: f32[6,3,3,3], %c_w: f32[120,7]) {
        %a = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]} : f32[batch,6,4,5]
        %r = reshape %a {shape = [batch, 120]}
        %y = dot %r, %c_w
        return %y
      }
      """)
    #expect(transposes(graph) == 1)
  }
}

@Suite("absorb-transposes") struct AbsorbTransposesTests {
  private func model(_ permutation: String, _ shape: String, _ matrix: String) -> String {
    """
    graph @main(%x: f32[2,4,5,6], \(matrix): f32[120,7]) {
      %t = transpose %x {permutation = [\(permutation)]}
      %r = reshape %t {shape = [\(shape)]}
      %y = dot %r, \(matrix)
      return %y
    }
    """
  }

  @Test(arguments: ["0, 3, 1, 2", "0, 2, 1, 3", "0, 3, 2, 1"])
  func permutesTheRows(_ permutation: String) throws {
    try expectRewrite(absorbTransposes, model(permutation, "2, 120", "%c_w"), becomes: "// CHECK: reshape %x\n// CHECK-NOT: transpose", within: .ulps(64))
  }

  @Test func keepsATransposeOfTheRowsOrWithoutAConstant() throws {
    try expectUnchanged(absorbTransposes, model("0, 3, 1, 2", "2, 120", "%w"))
    try expectUnchanged(
      absorbTransposes,
      """
      graph @main(%x: f32[4,2,5,6], %c_w: f32[30,7]) {
        %t = transpose %x {permutation = [1, 0, 3, 2]}
        %r = reshape %t {shape = [8, 30]}
        %y = dot %r, %c_w
        return %y
      }
      """)
  }
}
