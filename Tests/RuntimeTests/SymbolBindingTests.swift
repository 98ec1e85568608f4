import Artifact
import Runtime
import TensorTypes
import Testing

@Suite("symbol binding") struct SymbolBindingTests {
  static let n = Extent(symbol: "n")

  func bind(_ shapes: [Shape], _ dimensions: [[Int]]) throws(RunError) -> [String: Int] {
    let ports = shapes.enumerated().map { Manifest.Port(name: ["image", "mask"][$0.offset], type: TensorType(.f32, $0.element)) }
    return try SymbolBinding(ports, dimensions: dimensions).values
  }

  func message(_ shapes: [Shape], _ dimensions: [[Int]]) -> String? {
    do throws(RunError) {
      _ = try bind(shapes, dimensions)
      return nil
    } catch { return error.description }
  }

  @Test func takesSymbolsFromPlainAxes() throws {
    let m = Extent(symbol: "m")
    #expect(try bind([[Self.n, 3, m], [m * 2 + 1]], [[2, 3, 5], [11]]) == ["n": 2, "m": 5])
  }

  @Test func solvesLinearAxes() throws {
    #expect(try bind([[Self.n * 3 + 1]], [[13]]) == ["n": 4])
    #expect(try bind([[Self.n * 3 + 1]], [[1]]) == ["n": 0])
    #expect(message([[Self.n * 3 + 1]], [[14]]) == "axis 0 of input `image` has length 14; the model takes 3*n + 1")
    #expect(message([[Self.n * Self.n]], [[9]]) != nil)
    #expect(message([[Self.n.floorDivided(by: 2)]], [[9]]) != nil)
    #expect(message([[Self.n - 5]], [[.max]]) != nil)
    #expect(message([[Extent(0) - Self.n]], [[3]]) != nil)
  }

  @Test func namesInputExpectedAndGot() {
    #expect(message([[Self.n, 3, 224, 224]], [[1, 3, 200, 224]]) == "input `image` has shape [1,3,200,224]; the model takes f32[n,3,224,224]")
    #expect(message([[Self.n, 3]], [[1]]) == "input `image` has shape [1]; the model takes f32[n,3]")
    #expect(message([[Self.n, Self.n]], [[1, 2]]) == "input `image` has shape [1,2]; the model takes f32[n,n]")
    #expect(message([[Self.n], [Self.n]], [[1], [2]]) == "inputs `image` and `mask` disagree: `n` is 1 in one and 2 in the other")
    #expect(message([[Self.n], [Self.n + 1]], [[4], [4]]) == "axis 0 of input `mask` has length 4; the model takes n + 1, which is 5 here")
    #expect(message([[1], [1]], [[1]]) == "the model takes 2 inputs (image, mask), got 1")
  }
}
