import GraphIR
import Interpreter
import TensorTypes
import Testing

@Suite("Reduction and order") struct ReductionTests {
  private let x = "%x = constant dense [1, 5, 3, 4, 2, 6] : f32[2,3]\n"

  @Test func reduces() throws {
    #expect(try numbers(x + "%r = reduce %x {with = sum, axes = [1]}") == [9, 12])
    #expect(try numbers(x + "%r = reduce %x {with = sum, axes = [0]}") == [5, 7, 9])
    #expect(try numbers(x + "%r = reduce %x {with = product, axes = [0, 1]}") == [720])
    #expect(try numbers(x + "%r = reduce %x {with = max, axes = [0]}") == [4, 5, 6])
    #expect(try numbers(x + "%r = reduce %x {with = min, axes = [1]}") == [1, 2])
    #expect(try numbers(x + "%r = reduce %x {with = sum, axes = []}") == [1, 5, 3, 4, 2, 6])
    #expect(try numbers("%x = constant dense [true, false, true, true] : bool[2,2]\n%r = reduce %x {with = and, axes = [1]}") == [0, 1])
    #expect(try numbers("%x = constant dense [false, false, true, false] : bool[2,2]\n%r = reduce %x {with = or, axes = [1]}") == [0, 1])
    #expect(try numbers("%x = constant dense [100, 100] : i8[2]\n%r = reduce %x {with = sum, axes = [0]}") == [-56])
    #expect(try numbers("%x = constant dense [18446744073709551615, 1] : u64[2]\n%r = reduce %x {with = max, axes = [0]}") == [18446744073709551615])
    #expect(try numbers("%x = constant dense [1, nan, 2] : f32[3]\n%r = reduce %x {with = max, axes = [0]}")[0].isNaN)
  }

  @Test func reducesMiddleAxes() throws {
    let text = "%i = iota {shape = [24], axis = 0, element = f32}\n%x = reshape %i {shape = [2, 3, 4]}\n"
    #expect(try numbers(text + "%r = reduce %x {with = sum, axes = [1]}") == [12, 15, 18, 21, 48, 51, 54, 57])
    #expect(try numbers(text + "%r = reduce %x {with = sum, axes = [0, 2]}") == [60, 92, 124])
    #expect(try numbers(text + "%r = reduce %x {with = max, axes = [0, 1]}") == [20, 21, 22, 23])
  }

  @Test func sumsInMoreThanTheirOwnPrecision() throws {
    // 4096 is where f16 stops counting by one, at 2048 already.
    #expect(try numbers("%x = constant dense 1 : f16[4096]\n%r = reduce %x {with = sum, axes = [0]}") == [4096])
    #expect(try numbers("%x = constant dense [1e8, 1, -1e8] : f32[3]\n%r = reduce %x {with = sum, axes = [0]}") == [1])
  }

  @Test(arguments: [("sum", 0.0), ("product", 1), ("max", -.infinity), ("min", .infinity)])
  func overNoElement(_ reducer: String, _ wanted: Double) throws {
    #expect(try numbers("%x = constant dense [] : f32[2,0]\n%r = reduce %x {with = \(reducer), axes = [1]}") == [wanted, wanted])
  }

  @Test func overNoElementOfIntegers() throws {
    #expect(try numbers("%x = constant dense [] : i8[0]\n%r = reduce %x {with = max, axes = [0]}") == [-128])
    #expect(try numbers("%x = constant dense [] : u16[0]\n%r = reduce %x {with = min, axes = [0]}") == [65535])
    #expect(try numbers("%x = constant dense [] : bool[0]\n%r = reduce %x {with = and, axes = [0]}") == [1])
    #expect(try numbers("%x = constant dense [] : bool[0]\n%r = reduce %x {with = or, axes = [0]}") == [0])
    #expect(try numbers("%x = constant dense [] : f32[0,3]\n%r = reduce %x {with = sum, axes = [1]}") == [])
  }

  @Test func argReduces() throws {
    #expect(try numbers(x + "%r = arg_reduce %x {of = max, axis = 1}") == [1, 2])
    #expect(try numbers(x + "%r = arg_reduce %x {of = min, axis = 0}") == [0, 1, 0])
    let ties = "%x = constant dense [2, 1, 2, 1] : i32[4]\n"
    #expect(try numbers(ties + "%r = arg_reduce %x {of = max, axis = 0}") == [0])
    #expect(try numbers(ties + "%r = arg_reduce %x {of = max, axis = 0, last = true}") == [2])
    #expect(try numbers(ties + "%r = arg_reduce %x {of = min, axis = 0, last = true}") == [3])
    let nan = "%x = constant dense [1, nan, 3, nan] : f32[4]\n"
    #expect(try numbers(nan + "%r = arg_reduce %x {of = max, axis = 0}") == [1])
    #expect(try numbers(nan + "%r = arg_reduce %x {of = min, axis = 0}") == [1])
    #expect(try numbers(nan + "%r = arg_reduce %x {of = min, axis = 0, last = true}") == [3])
  }

  @Test func accumulates() throws {
    #expect(try numbers(x + "%r = cumulative %x {with = sum, axis = 1}") == [1, 6, 9, 4, 6, 12])
    #expect(try numbers(x + "%r = cumulative %x {with = sum, axis = 1, exclusive = true}") == [0, 1, 6, 0, 4, 6])
    #expect(try numbers(x + "%r = cumulative %x {with = sum, axis = 1, reverse = true}") == [9, 8, 3, 12, 8, 6])
    #expect(try numbers(x + "%r = cumulative %x {with = sum, axis = 1, exclusive = true, reverse = true}") == [8, 3, 0, 8, 6, 0])
    #expect(try numbers(x + "%r = cumulative %x {with = product, axis = 0}") == [1, 5, 3, 4, 10, 18])
    #expect(try numbers(x + "%r = cumulative %x {with = max, axis = 1}") == [1, 5, 5, 4, 4, 6])
  }

  @Test func topK() throws {
    let results = try evaluate(x + "%v, %i = top_k %x {k = 2, axis = 1}", returning: "%v, %i")
    #expect(results[0].doubles == [5, 3, 6, 4])
    #expect(results[1].integers == [1, 2, 2, 0])
    let columns = try evaluate(x + "%v, %i = top_k %x {k = 1, axis = 0, ascending = true}", returning: "%v, %i")
    #expect(columns[0].doubles == [1, 2, 3])
    #expect(columns[1].integers == [0, 1, 0])
    let special = "%x = constant dense [1, nan, 1, inf, -inf, nan] : f32[6]\n"
    #expect(try evaluate(special + "%v, %i = top_k %x {k = 6, axis = 0}", returning: "%i")[0].integers == [1, 5, 3, 0, 2, 4])
    #expect(try evaluate(special + "%v, %i = top_k %x {k = 6, axis = 0, ascending = true}", returning: "%i")[0].integers == [4, 0, 2, 3, 1, 5])
    #expect(try evaluate(x + "%v, %i = top_k %x {k = 0, axis = 1}", returning: "%v, %i").map(\.count) == [0, 0])
    #expect(try numbers("%x = constant dense [1, 18446744073709551615] : u64[2]\n%r, %i = top_k %x {k = 1, axis = 0}") == [18446744073709551615])
  }

  @Test func windows() throws {
    let line = "%x = constant dense [1, 5, 2, 4, 3] : f32[5]\n"
    func window(_ attributes: String) throws -> [Double] { try numbers(line + "%r = reduce_window %x {\(attributes)}") }
    #expect(try window("with = max, size = [2], strides = [1]") == [5, 5, 4, 4])
    #expect(try window("with = sum, size = [3], strides = [2], pads = [1, 1]") == [6, 11, 7])
    #expect(try window("with = max, size = [2], strides = [1], dilations = [3]") == [4, 5])
    #expect(try window("with = max, size = [1], strides = [3], pads = [2, 2]") == [-.infinity, 5, 3])
    #expect(try window("with = product, size = [5], strides = [1]") == [120])
    #expect(try numbers("%x = constant dense [1, 5, 2] : u8[3]\n%r = reduce_window %x {with = max, size = [2], strides = [2], pads = [1, 0]}") == [1, 5])
    #expect(try numbers("%x = constant dense [1, 2, 3, 4, 5, 6, 7, 8, 9] : f32[1,1,3,3]\n%r = reduce_window %x {with = sum, size = [1, 1, 2, 2], strides = [1, 1, 1, 1]}") == [12, 16, 24, 28])
    // A window of 2^30 is mostly padding, and costs no more than the elements under it.
    #expect(try window("with = sum, size = [1073741824], strides = [1], pads = [1073741819, 1]") == [15, 15])
  }
}
