import GraphTestSupport
import Passes
import Testing

@Suite("simplify-algebra") struct SimplifyAlgebraTests {
  private func model(_ number: String, _ operation: String, element: String = "f32") -> String {
    """
    graph @main(%x: \(element)[2,3]) {
      %n = constant dense [\(number)] : \(element)[]
      %z = broadcast %n {shape = [2, 3]} : \(element)[2,3]
      %y = \(operation) : \(element)[2,3]
      return %y
    }
    """
  }

  @Test(arguments: [
    ("3", "sub %x, %z", "dense [-3.0]", "add %x", true), ("4", "div %x, %z", "dense [0.25]", "mul %x", true), ("3", "div %x, %z", "dense [0.33333334]", "mul %x", false),
    ("2", "pow %x, %z", "graph", "mul %x, %x", true), ("3", "pow %x, %z", "mul %x, %x", "mul", false), ("-1", "pow %x, %z", "graph", "reciprocal %x", true),
    ("1", "div %z, %x", "graph", "reciprocal %x", true), ("-1", "mul %x, %z", "graph", "neg %x", true), ("3", "mul %z, %x", "constant", "mul %x, %", true),
  ])
  func rewrites(_ number: String, _ operation: String, _ first: String, _ second: String, _ isExact: Bool) throws {
    try expectRewrite(
      simplifyAlgebra, model(number, operation), becomes: "// CHECK: \(first)\n// CHECK: \(second)", within: isExact ? .exact : .ulps(4))
  }

  @Test(arguments: [("0", "div %x, %z"), ("1e-40", "div %x, %z"), ("2.5", "pow %x, %z"), ("2", "pow %z, %x"), ("2", "sub %z, %x"), ("3", "mul %x, %z"), ("3", "div %z, %x")])
  func keeps(_ number: String, _ operation: String) throws { try expectUnchanged(simplifyAlgebra, model(number, operation)) }

  @Test func takesRootsOfWhatIsNotNegative() throws {
    for (number, check) in [("0.5", "sqrt %a"), ("-0.5", "reciprocal %{{.*}}")] {
      try expectRewrite(
        simplifyAlgebra,
        """
        graph @main(%x: f32[2,3]) {
          %a = exp %x : f32[2,3]
          %n = constant dense [\(number)] : f32[]
          %z = broadcast %n {shape = [2, 3]} : f32[2,3]
          %y = pow %a, %z : f32[2,3]
          return %y
        }
        """, becomes: "// CHECK: \(check)")
    }
  }

  @Test func dividesIntegersAsTheyAre() throws { try expectUnchanged(simplifyAlgebra, model("4", "div %x, %z", element: "i32")) }

  @Test func dividesAsItIsBeforeRounding() throws {
    try expectUnchanged(
      simplifyAlgebra,
      """
      graph @main(%x: f32[4]) {
        %n = constant dense [0.1] : f32[]
        %s = broadcast %n {shape = [4]}
        %d = div %x, %s
        %y = round %d
        return %y
      }
      """)
  }

  @Test func dividesByAVectorOfConstants() throws {
    try expectRewrite(
      simplifyAlgebra,
      """
      graph @main(%x: f32[1,3,2,2], %c_d: f32[3,1,1]) {
        %b = broadcast %c_d {shape = [1, 3, 2, 2]} : f32[1,3,2,2]
        %y = div %x, %b : f32[1,3,2,2]
        return %y
      }
      """, becomes: "// CHECK: constant {{.*}} : f32[3,1,1]\n// CHECK: mul %x\n// CHECK-NOT: div", within: .ulps(4))
  }

  @Test func takesLeakyRectifiersAsMaxima() throws {
    func model(_ slope: String) -> String {
      """
      graph @main(%x: f32[4]) {
        %zero = constant dense [0] : f32[]
        %z = broadcast %zero {shape = [4]}
        %slope = constant dense [\(slope)] : f32[]
        %s = broadcast %slope {shape = [4]}
        %m = mul %x, %s
        %t = compare %x, %z {is = lt}
        %y = select %t, %m, %x
        return %y
      }
      """
    }
    try expectRewrite(simplifyAlgebra, model("0.25"), becomes: "// CHECK: max %x, %m\n// CHECK-NEXT: return", within: .exact)
    for slope in ["1.5", "-0.5", "0"] { try expectUnchanged(simplifyAlgebra, model(slope)) }
  }

  @Test func turnsAddedNegationsIntoDifferences() throws {
    try expectRewrite(
      simplifyAlgebra,
      """
      graph @main(%x: f32[4], %y: f32[4]) {
        %n = neg %y : f32[4]
        %a = add %x, %n : f32[4]
        %b = add %n, %x : f32[4]
        %c = sub %x, %n : f32[4]
        return %a, %b, %c
      }
      """, becomes: "// CHECK: sub %x, %y\n// CHECK-NEXT: sub %x, %y\n// CHECK-NEXT: add %x, %y", within: .exact)
  }

  @Test func makesScalarsOfUniformConstants() throws {
    try expectRewrite(
      simplifyAlgebra,
      """
      graph @main(%x: f32[2,2]) {
        %c = constant dense [[5, 5], [5, 5]] : f32[2,2]
        %y = add %x, %c : f32[2,2]
        return %y
      }
      """, becomes: "// CHECK: constant dense [5.0] : f32[]\n// CHECK: broadcast", within: .exact)
  }
}

@Suite("sink-broadcasts") struct SinkBroadcastsTests {
  @Test func worksOnTheSmallerTensor() throws {
    try expectRewrite(
      sinkBroadcasts,
      """
      graph @main(%x: f32[4,1,1], %s: f32[]) {
        %a = broadcast %x {shape = [2, 4, 3, 3]} : f32[2,4,3,3]
        %b = broadcast %s {shape = [2, 4, 3, 3]} : f32[2,4,3,3]
        %e = exp %a : f32[2,4,3,3]
        %y = add %e, %b : f32[2,4,3,3]
        return %y
      }
      """,
      becomes: """
        // CHECK: exp %x : f32[4,1,1]
        // CHECK: %[[S:.*]] = add {{.*}} : f32[4,1,1]
        // CHECK-NEXT: broadcast %[[S]] {shape = [2, 4, 3, 3]}
        """, within: .exact)
  }

  @Test func movesSlicesAndTransposesIntoTheSource() throws {
    try expectRewrite(
      sinkBroadcasts,
      """
      graph @main(%x: f32[4,1,2]) {
        %a = broadcast %x {shape = [3, 4, 5, 2]} : f32[3,4,5,2]
        %t = transpose %a {permutation = [1, 3, 0, 2]} : f32[4,2,3,5]
        %y = slice %t {starts = [1, 0, 1, 2], sizes = [2, 2, 2, 2]} : f32[2,2,2,2]
        return %y
      }
      """, becomes: "// CHECK: slice {{.*}} : f32[2,2,1,1]\n// CHECK: broadcast {{.*}} : f32[2,2,2,2]", within: .exact)
  }

  @Test func leavesBroadcastsThatMeetAtTheFullShape() throws {
    try expectUnchanged(
      sinkBroadcasts,
      """
      graph @main(%x: f32[4,1], %z: f32[3]) {
        %a = broadcast %x {shape = [4, 3]} : f32[4,3]
        %b = broadcast %z {shape = [4, 3]} : f32[4,3]
        %y = add %a, %b : f32[4,3]
        return %y
      }
      """)
  }

  @Test func leavesAFullOperand() throws {
    try expectUnchanged(
      sinkBroadcasts,
      """
      graph @main(%x: f32[4,1], %z: f32[4,3]) {
        %a = broadcast %x {shape = [4, 3]} : f32[4,3]
        %y = add %a, %z : f32[4,3]
        return %y
      }
      """)
  }
}
