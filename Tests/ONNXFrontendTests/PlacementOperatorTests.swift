import GraphIR
import Interpreter
import ONNXFrontend
import TensorTypes
import Testing

/// Operators that read windows, regions and positions, in cases small enough to be worked out by hand.
@Suite("windows, regions and positions") struct PlacementOperatorTests {
  private func f32(_ dimensions: [Int], _ values: [Double]) -> Tensor { Tensor(.f32, dimensions, values) }
  private func ramp(_ dimensions: [Int]) -> Tensor { f32(dimensions, (0..<dimensions.reduce(1, *)).map(Double.init)) }

  @Test func maxPoolSaysWhereItsMaximaAre() throws {
    let x = f32([1, 2, 2, 4], [1, 5, 2, 2, 4, 3, 9, 0] + [7, 0, 0, 1, 0, 0, 2, 0])
    let attributes: [(String, ONNXFile.Attribute)] = [("kernel_shape", .integers([2, 2])), ("strides", .integers([2, 2]))]
    let results = try evaluate("MaxPool", [x], attributes: attributes, outputs: 2)
    #expect(results[0].doubles == [5, 9, 7, 2])
    #expect(results[1].integers == [1, 6, 8, 14])
    let columns = try evaluate("MaxPool", [x], attributes: attributes + [("storage_order", .integer(1))], outputs: 2)
    #expect(columns[1].integers == [2, 5, 8, 13])
  }

  @Test func paddingIsNeverAMaximum() throws {
    let results = try evaluate(
      "MaxPool", [f32([1, 1, 3], [-4, -2, -3])], attributes: [("kernel_shape", .integers([3])), ("pads", .integers([1, 1]))], outputs: 2)
    #expect(results[1].integers == [1, 1, 1])
  }

  @Test func unpoolingIsTheWayBack() throws {
    let attributes: [(String, ONNXFile.Attribute)] = [("kernel_shape", .integers([2])), ("strides", .integers([2]))]
    let indices = Tensor([1, 2], dimensions: [1, 1, 2])
    #expect(try evaluate("MaxUnpool", [f32([1, 1, 2], [5, 6]), indices], attributes: attributes)[0].doubles == [0, 5, 6, 0])
    let stated = try evaluate("MaxUnpool", [f32([1, 1, 2], [5, 6]), indices], attributes: attributes, constants: [2: Tensor([1, 1, 5])])
    #expect(stated[0].doubles == [0, 5, 6, 0, 0])
  }

  @Test func overlappingBlocksAddUp() throws {
    // Two blocks of 1 x 2 in a row of three: the middle element belongs to both.
    let result = try evaluate("Col2Im", [f32([1, 2, 2], [1, 2, 10, 20])], constants: [1: Tensor([1, 3]), 2: Tensor([1, 2])], opset: 18)
    #expect(result[0].dimensions == [1, 1, 1, 3])
    #expect(result[0].doubles == [1, 12, 20])
  }

  @Test func centerCropPadRoundsDown() throws {
    #expect(try evaluate("CenterCropPad", [ramp([5])], constants: [1: Tensor([2])], opset: 18)[0].doubles == [1, 2])
    #expect(try evaluate("CenterCropPad", [ramp([2])], constants: [1: Tensor([5])], opset: 18)[0].doubles == [0, 0, 1, 0, 0])
  }

  @Test func tensorScatterWrapsAround() throws {
    let (past, update, start) = (ramp([1, 4, 1]), f32([1, 2, 1], [10, 11]), Tensor([3]))
    let circular = try evaluate("TensorScatter", [past, update, start], attributes: [("mode", .string("circular"))], opset: 24)
    #expect(circular[0].doubles == [11, 1, 2, 10])
    #expect(try evaluate("TensorScatter", [past, update], opset: 24)[0].doubles == [10, 11, 2, 3])
  }

  @Test func determinants() throws {
    let x = f32([3, 2, 2], [1, 2, 3, 4, 0, 2, 3, 0, 1, 2, 2, 4])
    #expect(try evaluate("Det", [x])[0].doubles.map { ($0 * 1000).rounded() / 1000 } == [-2, -6, 0])
    #expect(try evaluate("Det", [f32([3, 3], [0, 0, 2, 0, 3, 0, 4, 0, 0])])[0].doubles == [-24])
  }

  @Test func regionsOfAPlaneAverageToThePlane() throws {
    // x + 10 y, so an average is the value in the middle of the bin.
    let x = f32([1, 1, 8, 8], (0..<64).map { Double($0 % 8 + 10 * ($0 / 8)) })
    let regions = f32([1, 4], [2, 1, 6, 5])
    for ratio in [2, 0] {
      let result = try evaluate(
        "RoiAlign", [x, regions, Tensor([0])],
        attributes: [("output_height", .integer(2)), ("output_width", .integer(2)), ("sampling_ratio", .integer(ratio)), ("coordinate_transformation_mode", .string("output_half_pixel"))])
      #expect(result[0].doubles.map { ($0 * 100).rounded() / 100 } == [23, 25, 43, 45])
    }
  }

  @Test func maximaOfRegions() throws {
    let result = try evaluate("MaxRoiPool", [ramp([1, 1, 4, 4]), f32([1, 5], [0, 1, 0, 3, 2])], attributes: [("pooled_shape", .integers([1, 2]))])
    #expect(result[0].doubles == [10, 11])
  }

  @Test func shortTimeSpectraOfAConstant() throws {
    let x = Tensor(.f32, [1, 8, 1], [Double](repeating: 1, count: 8))
    let result = try evaluate("STFT", [x], constants: [1: Tensor(scalar: 2, .i64), 2: f32([4], [1, 2, 2, 1])])[0]
    #expect(result.dimensions == [1, 3, 3, 2])
    #expect(result.doubles[..<2].elementsEqual([6, 0]))
  }

  @Test(arguments: [96, 100, 128, 210]) func longTransformsAreProductsOfShortOnes(_ length: Int) throws {
    // A cosine of frequency 3 has two lines, of half the length each.
    let x = Tensor(.f64, [1, length, 1], (0..<length).map { position in cosine(2 * .pi * 3 * Double(position) / Double(length)) })
    let spectrum = try evaluate("DFT", [x], attributes: [("axis", .integer(1))])[0].doubles
    for bin in 0..<length {
      let wanted = bin == 3 || bin == length - 3 ? Double(length) / 2 : 0
      #expect(abs(spectrum[2 * bin] - wanted) < 1e-9 && abs(spectrum[2 * bin + 1]) < 1e-9)
    }
  }

  private func cosine(_ x: Double) -> Double {
    (try? Interpreter.evaluate(Unary(.cosine), [Tensor(scalar: x, .f64)]).first?.doubles.first) ?? .nan
  }

  @Test func formsOfTheFirstVersions() throws {
    #expect(try evaluate("Reshape", [ramp([4])], attributes: [("shape", .integers([2, 2]))], opset: 1)[0].dimensions == [2, 2])
    #expect(try evaluate("Cast", [f32([2], [1.5, 2])], attributes: [("to", .string("INT64"))], opset: 5)[0].integers == [1, 2])
    #expect(try evaluate("Pad", [ramp([2])], attributes: [("paddings", .integers([1, 0]))], opset: 1)[0].doubles == [0, 0, 1])
    #expect(try evaluate("Not", [Tensor(.bool, [2], [0, 1])], opset: 1)[0].integers == [1, 0])
  }
}
