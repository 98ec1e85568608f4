import GraphIR
import GraphTestSupport
import Passes
import Testing

@Suite("bind-lengths") struct BindLengthsTests {
  @Test func aConstantIsNoLongerMeasured() throws {
    try expectRewrite(
      bindLengths,
      """
      graph @main(%x: f32[6]) {
        %c = constant dense [2, 3] : i64[2]
        %m = measure %c {symbols = [%Reshape.1, %Reshape.2]} : i64[2]
        %r = reshape %x {shape = [%Reshape.1, %Reshape.2]} : f32[%Reshape.1,%Reshape.2]
        %y = exp %r
        return %y, %m
      }
      """,
      becomes: """
        // CHECK-NOT: measure
        // CHECK: reshape %x {shape = [2, 3]} : f32[2,3]
        // CHECK-NOT: measure
        """, within: .exact)
  }

  @Test func lengthsOfTheInputsStaySymbolic() throws {
    try expectRewrite(
      bindLengths,
      """
      graph @main(%x: f32[n,2]) {
        %e = extents {values = [2*n]} : i64[1]
        %m = measure %e {symbols = [%Reshape.1]} : i64[1]
        %y = reshape %x {shape = [%Reshape.1]} : f32[%Reshape.1]
        return %y
      }
      """, becomes: "// CHECK: reshape %x {shape = [2*n]} : f32[2*n]", within: .exact)
  }

  @Test func oneNumberIsMeasuredOnce() throws {
    try expectRewrite(
      bindLengths,
      """
      graph @main(%x: i64[2]) {
        %s = reduce %x {with = max, axes = [0]} : i64[]
        %m = measure %s {symbols = [%Range.1]} : i64[]
        %k = measure %s {symbols = [%Range.2]} : i64[]
        %a = iota {shape = [%Range.1], axis = 0, element = f32} : f32[%Range.1]
        %b = iota {shape = [%Range.2], axis = 0, element = f32} : f32[%Range.2]
        %c = reshape %b {shape = [%Range.1]} : f32[%Range.1]
        %y = add %a, %c
        return %y
      }
      """,
      becomes: """
        // CHECK: measure
        // CHECK-NOT: measure
        """, within: .exact)
  }

  @Test func aMeasuredInputStays() throws {
    try expectUnchanged(
      bindLengths,
      """
      graph @main(%k: i64[]) {
        %m = measure %k {symbols = [%Range.1]} : i64[]
        %y = iota {shape = [%Range.1], axis = 0, element = f32} : f32[%Range.1]
        return %y
      }
      """)
  }

  @Test func kernelsComeBehindTheLengthsThatTheyMention() throws {
    let graph = try parseGraph(
      """
      graph @main(%x: f32[12]) {
        %e = exp %x
        %s = reduce %e {with = max, axes = [0]} : f32[]
        %h = constant dense [2.5] : f32[]
        %big = broadcast %h {shape = [12]} : f32[12]
        %mask = compare %e, %big {is = lt} : bool[12]
        %ones = convert %mask {to = i64} : i64[12]
        %count = reduce %ones {with = sum, axes = [0]} : i64[]
        %m = measure %count {symbols = [%NonZero.1]} : i64[]
        %i = compact %mask {extent = [%NonZero.1]} : i64[%NonZero.1]
        %g = gather %e, %i {axis = 0} : f32[%NonZero.1]
        %b = broadcast %s {shape = [%NonZero.1]} : f32[%NonZero.1]
        %y = sub %g, %b
        return %y
      }
      """)
    let fused = try expectSameResults(graph, after: Pipeline<Graph>("test") { formFusionGroups }, within: .ulps(8))
    #expect(fused.computedSymbols == ["%NonZero.1"])
    #expect(fused.topologicalOrder().count { fused.node($0).operation is Measure } == 1)
  }
}
