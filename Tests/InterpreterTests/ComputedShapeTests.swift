import GraphIR
import Interpreter
import TensorTypes
import Testing

@Suite("Measured lengths") struct ComputedShapeTests {
  @Test func countsAndCompacts() throws {
    let mask = "%m = constant dense [true, false, false, true] : bool[2,2]\n%n = constant dense [2] : i64[]\n%k = measure %n {symbols = [s]}\n"
    #expect(try numbers(mask + "%r = compact %m {extent = [s]}") == [0, 3])
    #expect(try numbers(mask + "%r = iota {shape = [s, s], axis = 1, element = f32}") == [0, 1, 0, 1])
    #expect(throws: CompileError.self) { try numbers("%m = constant dense [true, false] : bool[2]\n%r = compact %m {extent = [2]}") }
  }

  @Test func aNegativeLengthFailsTheRun() throws {
    let error = #expect(throws: CompileError.self) {
      try numbers("%n = constant dense [-2] : i64[]\n%k = measure %n {symbols = [s]}\n%r = iota {shape = [s], axis = 0, element = f32}")
    }
    #expect(error?.message.contains("the length `s` comes out as -2") == true)
  }

  @Test func aHugeLengthMeetsTheLimit() throws {
    #expect(throws: CompileError.self) {
      try numbers("%n = constant dense [1099511627776] : i64[]\n%k = measure %n {symbols = [s]}\n%r = iota {shape = [s], axis = 0, element = f32}")
    }
  }

  /// Three boxes of which the first two overlap by a third, with scores 2, 3, 1.
  @Test(arguments: [("0.3", "0", [1.0, 2, -1]), ("0.5", "0", [1, 0, 2]), ("0.5", "1.5", [1, 0, -1]), ("0.3", "9", [-1, -1, -1])])
  func suppressesOverlappingBoxes(_ overlap: String, _ least: String, _ wanted: [Double]) throws {
    let text = """
      %b = constant dense [0, 0, 2, 2, 1, 2, 3, 0, 7, 7, 8, 8] : f32[1,3,4]
      %s = constant dense [2, 3, 1] : f32[1,1,3]
      %o = constant dense [\(overlap)] : f32[]
      %l = constant dense [\(least)] : f32[]
      %r = suppress %b, %s, %o, %l {extent = [3]}
      """
    #expect(try numbers(text) == wanted)
  }
}
