import GraphTestSupport
import Passes
import Testing

@Suite("unit-axes-first") struct UnitAxesFirstTests {
  private func model(_ input: String, _ filter: String, _ attributes: String) -> String {
    """
    graph @main(%x: \(input), %c_f: \(filter)) {
      %y = convolution %x, %c_f {\(attributes)}
      return %y
    }
    """
  }

  @Test func linesLieAlongTheLastAxis() throws {
    try expectRewrite(
      unitAxesFirst, model("f32[2,3,9,1]", "f32[4,3,5,1]", "strides = [2, 1], pads = [2, 0, 1, 0], dilations = [1, 1]"),
      becomes: """
        // CHECK: reshape %x {shape = [2, 3, 1, 9]}
        // CHECK: convolution %{{.*}} {strides = [1, 2], pads = [0, 2, 0, 1]}
        // CHECK: reshape
        """, within: .exact)
  }

  @Test func channelsMayBeTheLastAxisAndLengthsOpen() throws {
    try expectRewrite(
      unitAxesFirst, model("f32[2,n,1,6]", "f32[3,1,3,4]", "strides = [1, 1], groups = 2, layout = channels_last"),
      becomes: "// CHECK: reshape %x {shape = [2, 1, n, 6]}\n// CHECK: convolution", within: .exact)
  }

  @Test(arguments: [
    ("f32[2,3,1,9]", "f32[4,3,1,5]", "strides = [1, 1]"), ("f32[2,3,1,1]", "f32[4,3,1,1]", "strides = [1, 1]"),
    ("f32[2,3,9,1]", "f32[4,3,5,3]", "strides = [1, 1], pads = [0, 1, 0, 1]"), ("f32[2,3,9]", "f32[4,3,5]", "strides = [1]"),
    ("f32[2,3,9,n]", "f32[4,3,5,1]", "strides = [1, 1]"),
  ]) func othersStay(_ input: String, _ filter: String, _ attributes: String) throws {
    try expectUnchanged(unitAxesFirst, model(input, filter, attributes))
  }
}
