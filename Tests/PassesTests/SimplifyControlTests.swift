import GraphIR
import GraphTestSupport
import Passes
import TensorTypes
import Testing

@Suite("simplify-control") struct SimplifyControlTests {
  @Test func aKnownBranchTakesItsPlace() throws {
    try expectRewrite(
      simplifyControl,
      """
      graph @main(%x: f32[n,4]) {
        %c = constant dense [true] : bool[]
        %y = if %c, %x {symbols = [%If.1], extents = [%If.1, 4]} (
          graph @then(%x: f32[n,4]) {
            %a = concatenate %x, %x {axis = 0}
            return %a
          }
          graph @else(%x: f32[n,4]) {
            return %x
          }
        )
        %z = exp %y
        return %z
      }
      """,
      becomes: """
        // CHECK: concatenate %x, %x
        // CHECK-NEXT: exp
        // CHECK-SAME: f32[2*n,4]
        """)
  }

  @Test func cheapBranchesAreBothComputed() throws {
    try expectRewrite(
      simplifyControl,
      """
      graph @main(%c: bool[], %x: f32[8]) {
        %y = if %c, %x (
          graph @then(%x: f32[8]) {
            %a = neg %x
            return %a
          }
          graph @else(%x: f32[8]) {
            return %x
          }
        )
        return %y
      }
      """,
      becomes: """
        // CHECK: neg %x
        // CHECK: select
        """)
  }

  private let loop = """
    graph @main(%c: bool[], %x: f32[8], %k: f32[8], %d: f32[8]) {
      %w = constant dense [2.0] : f32[]
      %y, %same, %dead, %all = while %c, %x, %k, %d, %w {carried = 3, round = [%Loop.1], limit = [4]} (
        graph @body(%v: f32[8], %k: f32[8], %d: f32[8], %w: f32[]) {
          %b = broadcast %w {shape = [8]}
          %p = mul %v, %b
          %next = add %p, %k
          %e = add %d, %d
          %n = extents {values = [%Loop.1]} : i64[1]
          %i = reshape %n {shape = []}
          %two = constant dense [2] : i64[]
          %again = compare %i, %two {is = lt}
          return %again, %next, %k, %e, %next
        }
      )
      %z = add %y, %same
      return %z
    }
    """

  @Test func loopsCarryWhatChangesAndIsRead() throws {
    try expectRewrite(
      simplifyControl, loop,
      becomes: """
        // CHECK: while %c, %x, %k {carried = 1
        // CHECK: constant dense [2.0]
        // CHECK: add %{{.*}}, %k
        """)
  }

  @Test func theyComputeTheSameAfterTheWholePipeline() throws {
    try expectSameResults(try parseGraph(loop), after: .portable, within: .ulps(8))
  }

  @Test func conditionsOfABranchStayInIt() throws {
    var graph = try parseGraph(
      """
      graph @main(%c: bool[], %x: f32[n], %y: f32[m]) {
        %z = if %c, %x, %y {symbols = [%If.1], extents = [%If.1]} (
          graph @then(%x: f32[n], %y: f32[m]) {
            %a = reshape %x {shape = [m]}
            %b = add %a, %y
            return %b
          }
          graph @else(%x: f32[n], %y: f32[m]) {
            return %x
          }
        )
        return %z
      }
      """)
    var context = PassContext()
    #expect(graph.conditions().isEmpty)
    _ = try stateConditions.run(&graph, &context)
    let branch = graph.topologicalOrder().compactMap { graph.node($0).operation as? If }.first
    #expect(graph.requirements.isEmpty && branch?.then.requirements.count == 1 && branch?.otherwise.requirements.isEmpty == true)
    #expect(try Graph(text: graph.text()).text() == graph.text())
  }
}
