import GraphIR
import GraphTestSupport
import Passes
import Testing

@Suite("fold-scale-and-shift") struct FoldScaleAndShiftTests {
  static let batchNorm = """
    graph @main(%x: f32[1,3,8,8], %c_f: f32[16,3,3,3], %c_bias: f32[16,1,1], %c_mean: f32[16,1,1], %c_variance: f32[16,1,1],
      %c_scale: f32[16,1,1], %c_shift: f32[16,1,1]) {
      %c = convolution %x, %c_f {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,16,6,6]
      %bb = broadcast %c_bias {shape = [1, 16, 6, 6]}
      %cb = add %c, %bb
      %epsilon = constant dense [0.00001] : f32[]
      %e = broadcast %epsilon {shape = [16, 1, 1]}
      %v = add %c_variance, %e
      %d = sqrt %v
      %bm = broadcast %c_mean {shape = [1, 16, 6, 6]}
      %bd = broadcast %d {shape = [1, 16, 6, 6]}
      %bs = broadcast %c_scale {shape = [1, 16, 6, 6]}
      %bt = broadcast %c_shift {shape = [1, 16, 6, 6]}
      %a = sub %cb, %bm
      %n = div %a, %bd
      %s = mul %n, %bs
      %y = add %s, %bt
      return %y
    }
    """

  @Test func leavesOneConvolutionAndOneAddOfABatchNorm() throws {
    let graph = try expectSameResults(try parseGraph(Self.batchNorm), after: .simplifying, within: .ulps(64))
    let names = graph.topologicalOrder().map { graph.node($0).operation.mnemonic }.filter { $0 != "constant" }
    #expect(names.sorted() == ["add", "broadcast", "convolution"])
  }

  @Test func foldsAScaleIntoAGroupedFilter() throws {
    try expectRewrite(
      foldScaleAndShift,
      """
      graph @main(%x: f32[1,4,5,5], %c_f: f32[8,2,3,3], %c_s: f32[1,8,1,1]) {
        %c = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1], groups = 2}
        %b = broadcast %c_s {shape = [1, 8, 5, 5]}
        %y = mul %c, %b
        return %y
      }
      """, becomes: "// CHECK: convolution\n// CHECK-NEXT: return", within: .ulps(32))
  }

  @Test func foldsAScaleIntoAChannelsLastFilter() throws {
    try expectRewrite(
      foldScaleAndShift,
      """
      graph @main(%x: f32[1,5,5,4], %c_f: f32[3,3,4,8], %c_s: f32[8]) {
        %c = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1], layout = channels_last}
        %b = broadcast %c_s {shape = [1, 5, 5, 8]}
        %y = mul %c, %b
        return %y
      }
      """, becomes: "// CHECK: convolution\n// CHECK-NEXT: return", within: .ulps(32))
  }

  @Test func foldsRowsAndColumnsOfProducts() throws {
    try expectRewrite(
      foldScaleAndShift,
      """
      graph @main(%x: f32[4,5], %c_w: f32[5,6], %c_v: f32[3,4], %c_s: f32[6], %c_t: f32[3,1]) {
        %d = dot %x, %c_w : f32[4,6]
        %bs = broadcast %c_s {shape = [4, 6]}
        %m = mul %d, %bs
        %e = dot %c_v, %m : f32[3,6]
        %bt = broadcast %c_t {shape = [3, 6]}
        %y = mul %e, %bt
        return %y
      }
      """, becomes: "// CHECK-NOT: mul", within: .ulps(64))
  }

  @Test func mergesAdditionsAndMultiplications() throws {
    try expectRewrite(
      foldScaleAndShift,
      """
      graph @main(%x: f32[2,3], %c_a: f32[3], %c_b: f32[3]) {
        %p = broadcast %c_a {shape = [2, 3]}
        %q = broadcast %c_b {shape = [2, 3]}
        %two = constant dense [2] : f32[]
        %t = broadcast %two {shape = [2, 3]}
        %m = mul %x, %t
        %n = mul %m, %p
        %o = add %n, %p
        %y = add %o, %q
        return %y
      }
      """, becomes: "// CHECK: mul %x\n// CHECK: add\n// CHECK-NEXT: return")
  }

  @Test func foldsAScaleOfTheInput() throws {
    try expectRewrite(
      foldScaleAndShift,
      """
      graph @main(%x: f32[1,4,5,5], %c_f: f32[8,4,3,3], %c_s: f32[4,1,1], %y: f32[3,5], %c_w: f32[5,6], %c_k: f32[5]) {
        %b = broadcast %c_s {shape = [1, 4, 5, 5]}
        %m = mul %x, %b
        %c = convolution %m, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]}
        %k = broadcast %c_k {shape = [3, 5]}
        %n = mul %y, %k
        %d = dot %n, %c_w
        return %c, %d
      }
      """, becomes: "// CHECK-NOT: mul", within: .ulps(64))
    try expectUnchanged(
      foldScaleAndShift,
      """
      graph @main(%x: f32[1,4,5,5], %c_f: f32[8,2,3,3], %c_s: f32[4,1,1], %y: f32[3,5], %c_w: f32[5,6], %c_k: f32[3,1]) {
        %b = broadcast %c_s {shape = [1, 4, 5, 5]}
        %m = mul %x, %b
        %c = convolution %m, %c_f {strides = [1, 1], pads = [1, 1, 1, 1], groups = 2}
        %k = broadcast %c_k {shape = [3, 5]}
        %n = mul %y, %k
        %d = dot %n, %c_w
        return %c, %d
      }
      """)
  }

  @Test func carriesTheScaleOfAttentionScoresIntoTheQueries() throws {
    func model(_ returned: String) -> String {
      """
      graph @main(%x: f32[6,8], %k: f32[2,4,6], %c_w: f32[8,8], %c_b: f32[8]) {
        %q = dot %x, %c_w : f32[6,8]
        %bias = broadcast %c_b {shape = [6, 8]}
        %p = add %q, %bias
        %r = reshape %p {shape = [6, 2, 4]}
        %t = transpose %r {permutation = [1, 0, 2]} : f32[2,6,4]
        %s = dot %t, %k : f32[2,6,6]
        %n = constant dense [0.3] : f32[]
        %f = broadcast %n {shape = [2, 6, 6]}
        %y = mul %s, %f
        return \(returned)
      }
      """
    }
    try expectRewrite(foldScaleAndShift, model("%y"), becomes: "// CHECK: dot\n// CHECK-NOT: mul", within: .ulps(128))
    try expectUnchanged(foldScaleAndShift, model("%y, %t"))
  }

  @Test func keepsAConvolutionWithTwoUsers() throws {
    try expectUnchanged(
      foldScaleAndShift,
      """
      graph @main(%x: f32[1,4,5,5], %c_f: f32[8,4,3,3], %c_s: f32[1,8,1,1]) {
        %c = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]}
        %b = broadcast %c_s {shape = [1, 8, 5, 5]}
        %y = mul %c, %b
        return %y, %c
      }
      """)
  }

  @Test func keepsScalesThatVaryAlongAnotherAxisOrAreNotConstant() throws {
    for scale in ["%c_s: f32[5]", "%c_s: f32[5,1]", "%c_s: f32[8,1,5]", "%s: f32[8,1,1]"] {
      try expectUnchanged(
        foldScaleAndShift,
        """
        graph @main(%x: f32[1,4,5,5], %c_f: f32[8,4,3,3], \(scale)) {
          %c = convolution %x, %c_f {strides = [1, 1], pads = [1, 1, 1, 1]}
          %b = broadcast \(scale.prefix { $0 != ":" }) {shape = [1, 8, 5, 5]}
          %y = mul %c, %b
          return %y
        }
        """)
    }
  }

  @Test func keepsAFilterThatIsNotConstant() throws {
    try expectUnchanged(
      foldScaleAndShift,
      """
      graph @main(%x: f32[4,5], %w: f32[5,6], %c_s: f32[6]) {
        %d = dot %x, %w : f32[4,6]
        %b = broadcast %c_s {shape = [4, 6]}
        %y = mul %d, %b
        return %y
      }
      """)
  }

  @Test func keepsWhatWouldOverflow() throws {
    try expectUnchanged(
      foldScaleAndShift,
      """
      graph @main(%x: f32[4]) {
        %a = constant dense [1e30] : f32[]
        %p = broadcast %a {shape = [4]}
        %m = mul %x, %p
        %y = mul %m, %p
        return %y
      }
      """)
  }
}

@Suite("fold-padding") struct FoldPaddingTests {
  private func model(_ value: String, low: String, _ window: String) -> String {
    """
    graph @main(%x: f32[1,2,6,6], %c_f: f32[4,2,3,3]) {
      %z = constant dense [\(value)] : f32[]
      %p = pad %x, %z {low = [\(low)], high = [0, 0, 2, 1]}
      %y = \(window)
      return %y
    }
    """
  }
  static let convolution = "convolution %p, %c_f {strides = [2, 2], pads = [1, 0, 0, 1]}"

  @Test func letsConvolutionsPad() throws {
    try expectRewrite(
      foldPadding, model("0", low: "0, 0, 1, 2", Self.convolution), becomes: "// CHECK: convolution %x, %{{.*}} {strides = [2, 2], pads = [2, 2, 2, 2]}", within: .exact)
    try expectRewrite(
      foldPadding, model("0", low: "0, 0, 1, 2", "convolution %p, %c_f {strides = [1, 1], pads = [0, 0, 0, 0], input_dilations = [2, 3]}"),
      becomes: "// CHECK: convolution %x, %{{.*}} {strides = [1, 1], pads = [2, 6, 4, 3]", within: .exact)
  }

  @Test func letsPoolingPad() throws {
    for (value, reducer) in [("-inf", "max"), ("inf", "min"), ("0", "sum"), ("1", "product")] {
      try expectRewrite(
        foldPadding,
        model(value, low: "0, 0, 1, 1", "reduce_window %p {with = \(reducer), size = [1, 1, 3, 3], strides = [1, 1, 2, 2], pads = [0, 0, 0, 0, 0, 0, 0, 0]}"),
        becomes: "// CHECK: pads = [0, 0, 1, 1, 0, 0, 2, 1]\n// CHECK-NOT: pad %x", within: .exact)
    }
  }

  @Test func keepsOtherValuesAndAxes() throws {
    try expectUnchanged(foldPadding, model("1", low: "0, 0, 1, 2", Self.convolution))
    try expectUnchanged(foldPadding, model("0", low: "1, 0, 1, 2", Self.convolution))
    try expectUnchanged(
      foldPadding,
      model("0", low: "0, 0, 1, 1", "reduce_window %p {with = max, size = [1, 1, 3, 3], strides = [1, 1, 2, 2], pads = [0, 0, 0, 0, 0, 0, 0, 0]}"))
  }
}

@Suite("flatten-batches") struct FlattenBatchesTests {
  @Test func makesOneProductOfABatch() throws {
    try expectRewrite(
      flattenBatches,
      """
      graph @main(%x: f32[batch,3,4], %c_w: f32[4,5]) {
        %w = broadcast %c_w {shape = [batch, 4, 5]}
        %y = dot %x, %w : f32[batch,3,5]
        return %y
      }
      """, becomes: "// CHECK: dot {{.*}} : f32[3*batch,5]\n// CHECK-NEXT: reshape {{.*}} {shape = [batch, 3, 5]}")
    try expectRewrite(
      flattenBatches,
      """
      graph @main(%x: f32[1,1,3,4], %w: f32[1,1,4,5]) {
        %y = dot %x, %w : f32[1,1,3,5]
        return %y
      }
      """, becomes: "// CHECK: dot {{.*}} : f32[3,5]")
  }

  @Test func keepsBatchesOfTheirOwn() throws {
    try expectUnchanged(
      flattenBatches,
      """
      graph @main(%x: f32[2,3,4], %w: f32[2,4,5]) {
        %y = dot %x, %w : f32[2,3,5]
        return %y
      }
      """)
  }
}
