import GraphTestSupport
import Passes
import Testing

@Suite("remove-identities") struct RemoveIdentitiesTests {
  /// `%z` is one number repeated.
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
    ("-0.0", "add %x, %z"), ("-0.0", "add %z, %x"), ("0", "sub %x, %z"), ("1", "mul %x, %z"), ("1", "mul %z, %x"), ("1", "div %x, %z"),
    ("1", "pow %x, %z"), ("-inf", "max %x, %z"), ("inf", "min %x, %z"), ("3", "max %x, %x"),
  ])
  func removesNeutralNumbers(_ number: String, _ operation: String) throws {
    try expectRewrite(removeIdentities, model(number, operation), becomes: "// CHECK: graph\n// CHECK-NEXT: return %x", within: .exact)
  }

  @Test(arguments: [("0", "add %x, %z"), ("-0.0", "sub %x, %z"), ("0", "mul %x, %z"), ("1", "sub %z, %x"), ("1", "div %z, %x"), ("0", "max %x, %z")])
  func keepsWhatIsNoIdentityForEveryNumber(_ number: String, _ operation: String) throws { try expectUnchanged(removeIdentities, model(number, operation)) }

  @Test(arguments: [("0", "add %x, %z"), ("0", "sub %x, %z"), ("0", "or %x, %z"), ("0", "xor %x, %z"), ("0", "shl %x, %z"), ("1", "mul %x, %z")])
  func removesNeutralIntegers(_ number: String, _ operation: String) throws {
    try expectRewrite(removeIdentities, model(number, operation, element: "i32"), becomes: "// CHECK: graph\n// CHECK-NEXT: return %x", within: .exact)
  }

  @Test func multipliesIntegersByZero() throws {
    try expectRewrite(removeIdentities, model("0", "mul %x, %z", element: "i32"), becomes: "// CHECK-NOT: mul", within: .exact)
  }

  @Test func addsPositiveZeroOnlyToWhatHasNoNegativeZero() throws {
    try expectRewrite(
      removeIdentities,
      """
      graph @main(%x: f32[2,3], %c_w: f32[3,4]) {
        %d = dot %x, %c_w : f32[2,4]
        %n = constant dense [0] : f32[]
        %z = broadcast %n {shape = [2, 4]} : f32[2,4]
        %y = add %d, %z : f32[2,4]
        return %y
      }
      """, becomes: "// CHECK-NOT: add", within: .exact)
  }

  private func chain(_ first: String, _ second: String, _ element: String = "f32") -> String {
    """
    graph @main(%x: \(element)[4]) {
      %a = \(first) %x : \(element)[4]
      %y = \(second) %a : \(element)[4]
      return %y
    }
    """
  }

  @Test(arguments: [
    ("neg", "neg", "return %x"), ("abs", "abs", "abs %x"), ("neg", "abs", "abs %x"), ("ceil", "floor", "ceil %x"), ("round", "round", "round %x"),
    ("sign", "sign", "sign %x"), ("exp", "abs", "exp %x"),
  ])
  func mergesUnaryFunctions(_ first: String, _ second: String, _ expected: String) throws {
    try expectRewrite(removeIdentities, chain(first, second), becomes: "// CHECK: graph\n// CHECK-NEXT: \(expected)", within: .exact)
  }

  @Test(arguments: [("reciprocal", "reciprocal"), ("exp", "log"), ("sqrt", "abs"), ("abs", "neg"), ("sign", "floor")])
  func keepsUnaryFunctionsThatAreNotExactInverses(_ first: String, _ second: String) throws { try expectUnchanged(removeIdentities, chain(first, second)) }

  private func converts(_ source: String, _ middle: String, _ target: String) -> String {
    """
    graph @main(%x: \(source)[4]) {
      %a = convert %x {to = \(middle)} : \(middle)[4]
      %y = convert %a {to = \(target)} : \(target)[4]
      return %y
    }
    """
  }

  @Test(arguments: [("f32", "f64", "f32"), ("f16", "f32", "f64"), ("i8", "i32", "f32"), ("i8", "i16", "i64"), ("u8", "i16", "i8"), ("bool", "f32", "i64"), ("f32", "f64", "i32")])
  func skipsExactConversions(_ source: String, _ middle: String, _ target: String) throws {
    try expectRewrite(removeIdentities, converts(source, middle, target), becomes: "// CHECK-NOT: convert %{{[^x]}}", within: .exact)
  }

  @Test(arguments: [("f32", "f16", "f32"), ("i32", "f32", "i32"), ("i32", "i8", "i32"), ("i8", "u16", "u32"), ("i16", "f32", "i8"), ("f32", "i32", "f32")])
  func keepsLossyConversions(_ source: String, _ middle: String, _ target: String) throws {
    try expectUnchanged(removeIdentities, converts(source, middle, target))
  }

  private func clamps(_ steps: [(String, String)]) -> String {
    var text = "graph @main(%x: f32[4]) {\n"
    var last = "x"
    for (index, step) in steps.enumerated() {
      text += "%n\(index) = constant dense [\(step.1)] : f32[]\n%b\(index) = broadcast %n\(index) {shape = [4]} : f32[4]\n"
      text += "%v\(index) = \(step.0) %\(last), %b\(index) : f32[4]\n"
      last = "v\(index)"
    }
    return text + "return %\(last)\n}"
  }

  @Test func mergesClamps() throws {
    try expectRewrite(removeIdentities, clamps([("max", "0"), ("max", "0.5")]), becomes: "// CHECK: max %x, %b1\n// CHECK-NEXT: return", within: .exact)
    try expectRewrite(removeIdentities, clamps([("min", "6"), ("min", "8")]), becomes: "// CHECK: min %x, %b0\n// CHECK-NEXT: return", within: .exact)
    try expectRewrite(
      removeIdentities, clamps([("max", "0"), ("min", "6"), ("max", "0")]), becomes: "// CHECK: max %x\n// CHECK: min\n// CHECK-NEXT: return", within: .exact)
  }

  @Test func keepsClampsThatMatter() throws {
    try expectUnchanged(removeIdentities, clamps([("max", "0"), ("min", "0.5")]))
    try expectUnchanged(removeIdentities, clamps([("max", "0"), ("min", "6"), ("max", "0.25")]))
    try expectUnchanged(removeIdentities, clamps([("max", "0"), ("max", "nan")]))
  }

  @Test func selectsByKnownConditions() throws {
    try expectRewrite(
      removeIdentities,
      """
      graph @main(%x: f32[4], %y: f32[4], %c: bool[4]) {
        %t = constant dense [true] : bool[]
        %b = broadcast %t {shape = [4]} : bool[4]
        %s = select %b, %x, %y : f32[4]
        %n = not %c : bool[4]
        %r = select %n, %s, %y : f32[4]
        %q = select %c, %r, %r : f32[4]
        return %q
      }
      """, becomes: "// CHECK: %[[R:.*]] = select %c, %y, %x\n// CHECK-NEXT: return %[[R]]", within: .exact)
    try expectUnchanged(
      removeIdentities,
      """
      graph @main(%x: f32[4], %y: f32[4], %c: bool[4]) {
        %s = select %c, %x, %y : f32[4]
        return %s
      }
      """)
  }

  @Test func comparesIntegersWithThemselvesButNotNumbersThatMayBeNaN() throws {
    func model(_ element: String) -> String {
      "graph @main(%x: \(element)[4]) {\n%y = compare %x, %x {is = le} : bool[4]\nreturn %y\n}"
    }
    try expectRewrite(removeIdentities, model("i64"), becomes: "// CHECK: constant dense [true]\n// CHECK-NOT: compare", within: .exact)
    try expectUnchanged(removeIdentities, model("f32"))
  }
}
