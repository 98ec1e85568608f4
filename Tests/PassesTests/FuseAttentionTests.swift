import GraphIR
import GraphTestSupport
import Passes
import Testing

@Suite("fuse-attention") struct FuseAttentionTests {
  /// Softmax attention; `mask` works on `%s` and gives `%x`, `last` on `%p`, `%y` and gives the results.
  private func attention(queries: Int = 40, keys: Int = 50, k: String = "%k", mask: String = "", scores: String = "%s", last: String = "return %y") -> String {
    """
    graph @main(%q: f32[2,3,\(queries),16], \(k): f32[2,3,16,\(keys)], %v: f32[2,3,\(keys),8], %m: f32[2,1,1,\(keys)]) {
      %s = dot %q, \(k) : f32[2,3,\(queries),\(keys)]
      \(mask)
      %r = reduce \(scores) {with = max, axes = [3]}
      %r1 = reshape %r {shape = [2, 3, \(queries), 1]}
      %rb = broadcast %r1 {shape = [2, 3, \(queries), \(keys)]}
      %d = sub \(scores), %rb
      %e = exp %d
      %t = reduce %e {with = sum, axes = [3]}
      %t1 = reshape %t {shape = [2, 3, \(queries), 1]}
      %tb = broadcast %t1 {shape = [2, 3, \(queries), \(keys)]}
      %p = div %e, %tb
      %y = dot %p, %v : f32[2,3,\(queries),8]
      \(last)
    }
    """
  }

  @Test func fusesASoftmaxBetweenTwoProducts() throws {
    try expectRewrite(fuseAttention, attention(), becomes: "// CHECK: fusion %q, %k, %v {template = attention")
  }

  /// Bytes in, sums in i32, a softmax in f32, bytes for the second product.
  private func inBytes(keys: Int, between: String = "%f = convert %s {to = f32}") -> String {
    """
    graph @main(%q: u8[2,3,40,16], %k: i8[2,3,16,\(keys)], %v: i8[2,3,\(keys),8]) {
      %s = dot %q, %k {result = i32} : i32[2,3,40,\(keys)]
      \(between)
      %r = reduce %f {with = max, axes = [3]}
      %r1 = reshape %r {shape = [2, 3, 40, 1]}
      %rb = broadcast %r1 {shape = [2, 3, 40, \(keys)]}
      %d = sub %f, %rb
      %e = exp %d
      %p = convert %e {to = u8}
      %y = dot %p, %v {result = i32} : i32[2,3,40,8]
      return %y
    }
    """
  }

  @Test func fusesProductsOfBytes() throws {
    try expectRewrite(fuseAttention, inBytes(keys: 52), becomes: "// CHECK: fusion %q, %k, %v {template = attention")
  }
  @Test func leavesBytesInIncompleteGroups() throws { try expectUnchanged(fuseAttention, inBytes(keys: 50)) }
  @Test func leavesSumsThatAreReadTwice() throws {
    try expectUnchanged(fuseAttention, inBytes(keys: 52, between: "%g = convert %s {to = f32}\n%h = convert %s {to = f32}\n%f = add %g, %h"))
  }

  @Test func takesAMaskThroughItsBroadcast() throws {
    let mask = "%mb = broadcast %m {shape = [2, 3, 40, 50]}\n%x = add %s, %mb"
    try expectRewrite(fuseAttention, attention(mask: mask, scores: "%x"), becomes: "// CHECK: fusion %q, %k, %m, %v {template = attention")
  }

  @Test func takesTheMergeOfHeadsAlong() throws {
    let last = "%yt = transpose %y {permutation = [0, 2, 1, 3]}\n%z = reshape %yt {shape = [80, 24]}\nreturn %z"
    try expectRewrite(fuseAttention, attention(last: last), becomes: "// CHECK: transpose\n// CHECK: return")
  }

  @Test func leavesScoresThatAreReadElsewhere() throws { try expectUnchanged(fuseAttention, attention(last: "return %y, %p")) }
  @Test func leavesFewQueries() throws { try expectUnchanged(fuseAttention, attention(queries: 2, keys: 2000)) }
  @Test func leavesFewScores() throws { try expectUnchanged(fuseAttention, attention(queries: 20, keys: 50)) }
  @Test func leavesConstantKeys() throws { try expectUnchanged(fuseAttention, attention(k: "%c_k")) }

  @Test func leavesProductsWithoutAReductionBetween() throws {
    try expectUnchanged(
      fuseAttention,
      """
      graph @main(%q: f32[12,16], %k: f32[16,20], %v: f32[20,8]) {
        %s = dot %q, %k : f32[12,20]
        %e = exp %s
        %y = dot %e, %v : f32[12,8]
        return %y
      }
      """)
  }

  @Test func leavesReductionsOfColumns() throws {
    try expectUnchanged(
      fuseAttention,
      """
      graph @main(%q: f32[12,16], %k: f32[16,20], %v: f32[20,8]) {
        %s = dot %q, %k : f32[12,20]
        %r = reduce %s {with = sum, axes = [0]}
        %rb = broadcast %r {shape = [12, 20]}
        %e = mul %s, %rb
        %y = dot %e, %v : f32[12,8]
        return %y
      }
      """)
  }
}

@Suite("divide-by-sums") struct DivideBySumsTests {
  private func quotient(_ sum: String = "%e") -> String {
    """
    graph @main(%x: f32[5,9]) {
      %r = reduce %x {with = max, axes = [1]}
      %r1 = reshape %r {shape = [5, 1]}
      %rb = broadcast %r1 {shape = [5, 9]}
      %d = sub %x, %rb
      %e = exp %d
      %t = reduce \(sum) {with = sum, axes = [1]}
      %t1 = reshape %t {shape = [5, 1]}
      %tb = broadcast %t1 {shape = [5, 9]}
      %y = div %e, %tb
      return %y
    }
    """
  }

  @Test func multipliesByTheReciprocalOfASoftmaxSum() throws {
    try expectRewrite(divideBySums, quotient(), becomes: "// CHECK: reciprocal\n// CHECK: mul %e")
  }

  /// The sum of something else may be as small as it likes.
  @Test func leavesOtherSums() throws { try expectUnchanged(divideBySums, quotient("%x")) }
}
