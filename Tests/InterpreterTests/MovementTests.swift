import GraphIR
import Interpreter
import TensorTypes
import Testing

@Suite("Movement and indexing") struct MovementTests {
  /// %x = [[0, 1, 2], [3, 4, 5]], in an element type.
  private func x(_ element: String = "f32") -> String { "%x = constant dense [0, 1, 2, 3, 4, 5] : \(element)[2,3]\n" }

  @Test(arguments: ["f32", "f16", "i8", "f64"]) func movesElementsOfEverySize(_ element: String) throws {
    #expect(try numbers(x(element) + "%r = transpose %x {permutation = [1, 0]}") == [0, 3, 1, 4, 2, 5])
    #expect(try numbers(x(element) + "%r = reshape %x {shape = [3, 2]}") == [0, 1, 2, 3, 4, 5])
    #expect(try numbers(x(element) + "%r = reverse %x {axes = [1]}") == [2, 1, 0, 5, 4, 3])
    #expect(try numbers(x(element) + "%r = reverse %x {axes = [0, 1]}") == [5, 4, 3, 2, 1, 0])
    #expect(try numbers(x(element) + "%r = slice %x {starts = [0, 1], sizes = [2, 2]}") == [1, 2, 4, 5])
    #expect(try numbers(x(element) + "%r = slice %x {starts = [1, 0], sizes = [1, 2], steps = [9, 2]}") == [3, 5])
    #expect(try numbers(x(element) + "%r = slice %x {starts = [2, 0], sizes = [0, 3]}") == [])
    #expect(try numbers(x(element) + "%r = concatenate %x, %x {axis = 1}") == [0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5])
    #expect(try numbers(x(element) + "%e = slice %x {starts = [0, 0], sizes = [0, 3]}\n%r = concatenate %e, %x, %e {axis = 0}") == [0, 1, 2, 3, 4, 5])
    #expect(try numbers("%s = constant dense [7] : \(element)[]\n%r = broadcast %s {shape = [2, 2]}") == [7, 7, 7, 7])
    #expect(try numbers("%s = constant dense [1, 2] : \(element)[2,1]\n%r = broadcast %s {shape = [2, 2, 2]}") == [1, 1, 2, 2, 1, 1, 2, 2])
  }

  @Test func transposesThreeAxes() throws {
    let result = try numbers("%x = iota {shape = [24], axis = 0, element = i32}\n%y = reshape %x {shape = [2, 3, 4]}\n%r = transpose %y {permutation = [2, 0, 1]}")
    var wanted: [Double] = []
    for k in 0..<4 { for i in 0..<2 { for j in 0..<3 { wanted.append(Double(i * 12 + j * 4 + k)) } } }
    #expect(result == wanted)
  }

  @Test func pads() throws {
    let line = "%x = constant dense [1, 2, 3] : f32[3]\n"
    #expect(try numbers(line + "%v = constant dense [9] : f32[]\n%r = pad %x, %v {low = [2], high = [1]}") == [9, 9, 1, 2, 3, 9])
    #expect(try numbers(line + "%r = pad %x {low = [2], high = [4], mode = edge}") == [1, 1, 1, 2, 3, 3, 3, 3, 3])
    #expect(try numbers(line + "%r = pad %x {low = [2], high = [2], mode = reflect}") == [3, 2, 1, 2, 3, 2, 1])
    #expect(try numbers(line + "%r = pad %x {low = [3], high = [1], mode = wrap}") == [1, 2, 3, 1, 2, 3, 1])
    #expect(try numbers(x() + "%r = pad %x {low = [1, 0], high = [0, 1], mode = edge}") == [0, 1, 2, 2, 0, 1, 2, 2, 3, 4, 5, 5])
    #expect(try numbers(x() + "%v = constant dense [-1] : f32[]\n%r = pad %x, %v {low = [1, 0], high = [0, 1]}") == [-1, -1, -1, -1, 0, 1, 2, -1, 3, 4, 5, -1])
    #expect(throws: CompileError.self) { try numbers("%x = constant dense [] : f32[0]\n%r = pad %x {low = [1], high = [0], mode = edge}") }
  }

  @Test func gathers() throws {
    #expect(try numbers(x() + "%i = constant dense [1, 0, 9, -9] : i64[4]\n%r = gather %x, %i {axis = 0}") == [3, 4, 5, 0, 1, 2, 3, 4, 5, 0, 1, 2])
    #expect(try numbers(x() + "%i = constant dense [2, 0] : i32[2,1]\n%r = gather %x, %i {axis = 1}") == [2, 0, 5, 3])
    #expect(try numbers(x() + "%i = constant dense 1 : i32[]\n%r = gather %x, %i {axis = 1}") == [1, 4])
    #expect(try numbers(x() + "%i = constant dense [2, 0, 1, 7] : i64[2,2]\n%r = gather_elements %x, %i {axis = 1}") == [2, 0, 4, 5])
    #expect(try numbers(x() + "%i = constant dense [1, 0, 0] : i64[1,3]\n%r = gather_elements %x, %i {axis = 0}") == [3, 1, 2])
    #expect(try numbers(x() + "%i = constant dense [0, 1, 1, 9] : i64[2,2]\n%r = gather_nd %x, %i") == [1, 5])
    #expect(try numbers(x() + "%i = constant dense [1] : i64[1,1]\n%r = gather_nd %x, %i") == [3, 4, 5])
    #expect(try numbers(x() + "%i = constant dense [2, 0] : i64[2,1]\n%r = gather_nd %x, %i {batch_axes = 1}") == [2, 3])
    #expect(try numbers(x() + "%i = constant dense [] : i64[2,0]\n%r = gather_nd %x, %i") == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5])
    #expect(throws: CompileError.self) { try numbers("%x = constant dense [] : f32[0]\n%i = constant dense [0] : i64[1]\n%r = gather %x, %i {axis = 0}") }
  }

  @Test func scatters() throws {
    let elements = x() + "%i = constant dense [2, 0, 2, 2] : i64[2,2]\n%u = constant dense [10, 20, 30, 40] : f32[2,2]\n"
    #expect(try numbers(elements + "%r = scatter_elements %x, %i, %u {axis = 1}") == [20, 1, 10, 3, 4, 40])
    #expect(try numbers(elements + "%r = scatter_elements %x, %i, %u {axis = 1, combine = sum}") == [20, 1, 12, 3, 4, 75])
    #expect(try numbers(elements + "%r = scatter_elements %x, %i, %u {axis = 1, combine = max}") == [20, 1, 10, 3, 4, 40])
    let slices = x() + "%i = constant dense [1, 0, 1] : i64[3,1]\n%u = constant dense [1, 1, 1, 2, 2, 2, 3, 3, 3] : f32[3,3]\n"
    #expect(try numbers(slices + "%r = scatter_nd %x, %i, %u") == [2, 2, 2, 3, 3, 3])
    #expect(try numbers(slices + "%r = scatter_nd %x, %i, %u {combine = sum}") == [2, 3, 4, 7, 8, 9])
    #expect(try numbers(slices + "%r = scatter_nd %x, %i, %u {combine = product}") == [0, 2, 4, 9, 12, 15])
    #expect(try numbers("%x = constant dense [120] : i8[1]\n%i = constant dense [0, 0] : i64[2]\n%u = constant dense [10, 1] : i8[2]\n%r = scatter_elements %x, %i, %u {axis = 0, combine = sum}") == [-125])
    let empty = "%x = constant dense [] : f32[0]\n%i = constant dense [0] : i64[1]\n%u = constant dense [1] : f32[1]\n%r = scatter_elements %x, %i, %u {axis = 0}"
    #expect(throws: CompileError.self) { try numbers(empty) }
  }

  @Test func counts() throws {
    #expect(try numbers("%r = iota {shape = [2, 3], axis = 1, element = f16}") == [0, 1, 2, 0, 1, 2])
    #expect(try numbers("%r = iota {shape = [2, 3], axis = 0, element = u64}") == [0, 0, 0, 1, 1, 1])
    #expect(try numbers("%x = iota {shape = [300], axis = 0, element = i8}\n%r = slice %x {starts = [128], sizes = [2]}") == [-128, -127])
    #expect(try numbers("%r = extents {values = [3, 4]}") == [3, 4])
  }
}
