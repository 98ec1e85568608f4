import GraphIR
import Interpreter
import ONNXFrontend
import TensorTypes
import Testing

@Suite("operators") struct OperatorTests {
  private func f32(_ dimensions: [Int], _ values: [Double]) -> Tensor { Tensor(.f32, dimensions, values) }
  private func ramp(_ dimensions: [Int]) -> Tensor { f32(dimensions, (0..<dimensions.reduce(1, *)).map(Double.init)) }

  @Test func softmaxBeforeOpset13JoinsTrailingAxes() throws {
    let x = f32([1, 2, 2], [0, 0, 0, 0])
    #expect(try evaluate("Softmax", [x], opset: 11)[0].doubles == [0.25, 0.25, 0.25, 0.25])
    #expect(try evaluate("Softmax", [x], opset: 13)[0].doubles == [0.5, 0.5, 0.5, 0.5])
  }

  @Test func oldBroadcastingFollowsTheAxisAttribute() throws {
    let (x, y) = (f32([2, 3], [0, 0, 0, 0, 0, 0]), f32([2], [1, 2]))
    let sum = try evaluate("Add", [x, y], attributes: [("broadcast", .integer(1)), ("axis", .integer(0))], opset: 6)[0]
    #expect(sum.doubles == [1, 1, 1, 2, 2, 2])
  }

  @Test(arguments: [(1, [0, 1]), (-1, [5, 4])]) func slicesGoBothWays(_ step: Int, _ wanted: [Double]) throws {
    let (start, end) = step > 0 ? (0, 2) : (-1, 3)
    let result = try evaluate("Slice", [ramp([6])], constants: [1: Tensor([start]), 2: Tensor([end]), 3: Tensor([0]), 4: Tensor([step])])
    #expect(result[0].doubles == wanted)
  }

  @Test func averagePoolLeavesPaddingOutOfTheCount() throws {
    let attributes: [(String, ONNXFile.Attribute)] = [("kernel_shape", .integers([3])), ("pads", .integers([1, 1]))]
    #expect(try evaluate("AveragePool", [f32([1, 1, 3], [3, 6, 9])], attributes: attributes)[0].doubles == [4.5, 6, 7.5])
    let counted = try evaluate("AveragePool", [f32([1, 1, 3], [3, 6, 9])], attributes: attributes + [("count_include_pad", .integer(1))])
    #expect(counted[0].doubles == [3, 6, 5])
  }

  @Test func convTransposeSpreadsItsInput() throws {
    let filter = f32([1, 1, 2], [1, 10])
    let result = try evaluate("ConvTranspose", [f32([1, 1, 2], [1, 2])], attributes: [("strides", .integers([2]))], constants: [1: filter])
    #expect(result[0].doubles == [1, 10, 2, 20])
  }

  @Test func negativeIndicesCountFromTheEnd() throws {
    #expect(try evaluate("Gather", [ramp([4])], constants: [1: Tensor([-1, 0])])[0].doubles == [3, 0])
    #expect(try evaluate("Gather", [ramp([4]), Tensor([-1, 0])])[0].doubles == [3, 0])
    #expect(try evaluate("GatherND", [ramp([2, 2]), Tensor([-1, 0], dimensions: [1, 2])])[0].doubles == [2])
  }

  @Test(arguments: ["nearest", "linear"]) func resizeDoubles(_ mode: String) throws {
    let result = try evaluate(
      "Resize", [f32([1, 1, 2], [0, 4])], attributes: [("mode", .string(mode))], constants: [1: f32([0], []), 2: f32([3], [1, 1, 2])])
    #expect(result[0].doubles == (mode == "nearest" ? [0, 0, 4, 4] : [0, 1, 3, 4]))
  }

  @Test func einsumContractsAndTakesDiagonals() throws {
    let x = ramp([2, 2])
    #expect(try evaluate("Einsum", [x, x], attributes: [("equation", .string("ij,jk->ki"))])[0].doubles == [2, 6, 3, 11])
    #expect(try evaluate("Einsum", [x], attributes: [("equation", .string("ii"))])[0].doubles == [3])
    #expect(try evaluate("Einsum", [x], attributes: [("equation", .string("...i->..."))])[0].doubles == [1, 5])
  }

  /// A cell without weights forgets everything: gates are 1/2, the candidate is 0.
  @Test func lstmHalvesItsStateWithoutWeights() throws {
    let zeros = Tensor(zeros: .f32, [1, 4, 1])
    let initial = f32([1, 1, 1], [8])
    let folderless = try evaluate(
      "LSTM", [ramp([2, 1, 1])], attributes: [("hidden_size", .integer(1))],
      constants: [1: zeros, 2: zeros, 3: Tensor(zeros: .f32, [1, 8]), 4: Tensor(.i32, [1], [2]), 5: Tensor(zeros: .f32, [1, 1, 1]), 6: initial], outputs: 3)
    #expect(folderless[2].doubles == [2])
  }

  @Test func sequencesStopAtTheirLength() throws {
    let (weights, recurrent) = (f32([1, 1, 1], [1]), f32([1, 1, 1], [0]))
    let lengths = Tensor(.i32, [1], [1])
    let result = try evaluate(
      "RNN", [f32([2, 1, 1], [0, 5]), lengths],
      attributes: [("hidden_size", .integer(1))], constants: [1: weights, 2: recurrent, 3: Tensor(zeros: .f32, [1, 2])], outputs: 2)
    #expect(result[0].doubles == [0, 0])
    #expect(result[1].doubles == [0])
  }

  @Test func softplusKeepsSmallResults() throws {
    let result = try evaluate("Softplus", [f32([2], [-12, 90])])[0].doubles
    #expect(abs(result[0] / 6.144193477e-6 - 1) < 1e-6)
    #expect(result[1] == 90)
  }
}
