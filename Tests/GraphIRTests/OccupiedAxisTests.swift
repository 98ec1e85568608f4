import GraphIR
import TensorTypes
import Testing

/// When a look-up needs an axis to have an element: not where nothing is looked up, and unsaid where it cannot fail.
@Suite("occupied axes") struct OccupiedAxisTests {
  private func conditions(_ inputs: String, _ statement: String) throws -> [ShapeCondition] {
    try Graph(text: "graph @main(\(inputs)) {\n  %y = \(statement)\n  return %y\n}", file: "test").conditions()
  }

  @Test(arguments: [
    ("%x: f32[4], %i: i64[k]", "gather %x, %i {axis = 0}"), ("%x: f32[n], %i: i64[n]", "gather %x, %i {axis = 0}"),
    ("%x: f32[n+1], %i: i64[k]", "gather %x, %i {axis = 0}"), ("%x: f32[0,4], %i: i64[0]", "gather %x, %i {axis = 0}"),
    ("%x: f32[0,4], %i: i64[0,1]", "gather_nd %x, %i"), ("%x: f32[0,4]", "arg_reduce %x {of = max, axis = 1}"),
    ("%x: f32[0,0]", "arg_reduce %x {of = max, axis = 1}"),
  ]) func saysNothing(_ inputs: String, _ statement: String) throws { #expect(try conditions(inputs, statement).isEmpty) }

  @Test(arguments: [
    ("%x: f32[n], %i: i64[k]", "gather %x, %i {axis = 0}"), ("%x: f32[n,4], %i: i64[k,4]", "gather_elements %x, %i {axis = 0}"),
    ("%x: f32[n,4], %i: i64[k,1]", "gather_nd %x, %i"), ("%x: f32[k,n]", "arg_reduce %x {of = max, axis = 1}"),
  ]) func asksForAnElementIfSomethingIsLookedUp(_ inputs: String, _ statement: String) throws {
    let found = try conditions(inputs, statement)
    #expect(found.count == 1)
    let condition = try #require(found.first)
    for (n, k, holds) in [(0, 0, true), (0, 2, false), (1, 0, true), (1, 2, true), (7, 3, true)] {
      let value = try #require(condition.extent.evaluated(["n": n, "k": k]))
      #expect(condition.kind == .nonNegative && (value >= 0) == holds, "n = \(n), k = \(k)")
    }
  }
}
