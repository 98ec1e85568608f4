import GraphIR
import GraphTestSupport
import Passes
import Testing

@Suite("form-fusion-groups") struct FormFusionGroupsTests {
  private func fused(kernel: Int) throws -> Graph {
    let text = """
      graph @main(%x: f32[1,6,6,8], %z: f32[1,6,6,4], %c_f: f32[\(kernel),\(kernel),10,16]) {
        %p = exp %x
        %s = slice %p {starts = [0, 0, 0, 2], sizes = [1, 6, 6, 6], steps = [1, 1, 1, 1]}
        %c = concatenate %s, %z {axis = 3}
        %y = convolution %c, %c_f {strides = [1, 1], pads = [0, 0, 0, 0], layout = channels_last}
        return %y
      }
      """
    return try expectSameResults(try parseGraph(text), after: Pipeline<Graph>("test") { formFusionGroups }, within: .ulps(8))
  }
  private func concatenations(_ graph: Graph) -> Int {
    let bodies = graph.topologicalOrder().compactMap { graph.node($0).operation as? Fusion }.filter { $0.template == .loop }.map(\.body)
    return bodies.reduce(0) { count, body in count + body.topologicalOrder().count { body.node($0).operation is Concatenate } }
  }

  @Test func readsPartsOfAConcatenationInPlace() throws { #expect(concatenations(try fused(kernel: 1)) == 0) }
  @Test func copiesAConcatenationForAWindow() throws { #expect(concatenations(try fused(kernel: 3)) == 1) }
}
