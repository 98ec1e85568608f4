import GraphIR
import GraphTestSupport
import Passes
import Testing

@Suite("chain-convolutions") struct ChainConvolutionsTests {
  private func fused(_ text: String) throws -> Graph {
    let pipeline = Pipeline<Graph>("test") {
      formFusionGroups
      chainConvolutions
    }
    return try expectSameResults(try parseGraph(text), after: pipeline, within: .exact)
  }
  private func fusions(_ graph: Graph) -> Int { graph.topologicalOrder().count { graph.node($0).operation is Fusion } }

  private func blocks(channels: Int = 4, kernel: Int = 1, extraUse: Bool = false, groups: Int = 16) -> String {
    """
    graph @main(%x: f32[1,9,9,\(channels)], %c_f: f32[\(kernel),\(kernel),\(channels),16], %c_g: f32[3,3,\(16 / groups),16]) {
      %a = convolution %x, %c_f {strides = [1, 1], pads = [0, 0, 0, 0], layout = channels_last}
      %r = abs %a
      %d = convolution %r, %c_g {strides = [2, 2], pads = [1, 1, 1, 1], groups = \(groups), layout = channels_last}
      %y = abs %d
      \(extraUse ? "return %y, %r" : "return %y")
    }
    """
  }

  @Test func mergesWhatOnlyADepthwiseConvolutionReads() throws {
    #expect(fusions(try fused(blocks())) == 1)
    #expect(fusions(try fused(blocks(channels: 3, kernel: 3))) == 1)
  }

  @Test func mergesWhatOnlyAPoolingReads() throws {
    let graph = try fused(
      """
      graph @main(%x: f32[1,9,9,4], %c_f: f32[1,1,4,16]) {
        %a = convolution %x, %c_f {strides = [1, 1], pads = [0, 0, 0, 0], layout = channels_last}
        %r = abs %a
        %y = reduce_window %r {with = max, size = [1, 3, 3, 1], strides = [1, 2, 2, 1], pads = [0, 1, 1, 0, 0, 0, 0, 0]}
        return %y
      }
      """)
    #expect(fusions(graph) == 1)
  }

  @Test func leavesWhatOthersReadToo() throws { #expect(fusions(try fused(blocks(extraUse: true))) == 2) }

  /// The reader also adds what it reads: that is not in the ring any more.
  @Test func leavesWhatItsReaderReadsTwice() throws {
    let text = blocks().replacing("strides = [2, 2]", with: "strides = [1, 1]").replacing("%y = abs %d", with: "%y = add %d, %r")
    #expect(fusions(try fused(text)) == 2)
  }

  /// Small images are kept whole, padding included.
  @Test func leavesImagesOfMorePaddingThanThereIsRoom() throws {
    let text = """
      graph @main(%x: f32[1,7,7,4], %c_f: f32[1,1,4,16], %c_g: f32[3,3,1,16]) {
        %a = convolution %x, %c_f {strides = [1, 1], pads = [0, 0, 0, 0], layout = channels_last}
        %y = convolution %a, %c_g {strides = [900, 1], pads = [900, 1, 900, 1], groups = 16, layout = channels_last}
        return %y
      }
      """
    #expect(fusions(try fused(text)) == 2)
  }

  @Test func leavesConvolutionsOfWholeGroups() throws { #expect(fusions(try fused(blocks(groups: 4))) == 2) }

  @Test func leavesWindowsOverManyChannels() throws { #expect(fusions(try fused(blocks(channels: 64, kernel: 3))) == 2) }

  @Test func saysWhy() throws {
    let graph = try fused(blocks())
    let reasons = graph.topologicalOrder().compactMap { (graph.node($0).operation as? Fusion)?.reason }
    #expect(reasons == ["panels of the convolution, at least 2 KB, stay in the first-level cache for the window behind it"])
  }
}
