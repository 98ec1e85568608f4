import GraphIR
import Interpreter
import ONNXFrontend
import TensorTypes
import TestSupport
import Testing

@Suite("element types of operators") struct ElementTypeTests {
  private func cast(_ values: [Double], from source: ElementType = .f32, to element: ElementType, _ attributes: [(String, ONNXFile.Attribute)] = []) throws -> [Double] {
    try evaluate("Cast", [Tensor(source, [values.count], values)], attributes: [("to", .integer(ONNXFile.dataType(element)))] + attributes, opset: 25)[0].doubles
  }

  private func same(_ a: [Double], _ b: [Double]) -> Bool { a.count == b.count && zip(a, b).allSatisfy { $0 == $1 || $0.isNaN && $1.isNaN } }

  /// The two tables of `Cast`.
  @Test(arguments: [
    (ElementType.f8e4m3fn, 448.0, Double.nan), (.f8e4m3fnuz, 240, .nan), (.f8e5m2, 57344, .infinity), (.f8e5m2fnuz, 57344, .nan),
  ]) func castsSaturateUnlessToldOtherwise(_ element: ElementType, _ largest: Double, _ beyond: Double) throws {
    let values: [Double] = [0, -0.0, .nan, .infinity, -.infinity, largest * 4, -largest * 4, largest, 1, -0.75]
    for source in [ElementType.f32, .f16, .f64, .bf16] {
      let kept = [largest, 1, -0.75]
      #expect(same(try cast(values, from: source, to: element), [0, 0, .nan, largest, -largest, largest, -largest] + kept), "\(source)")
      let plain = try cast(values, from: source, to: element, [("saturate", .integer(0))])
      #expect(same(plain, [0, 0, .nan, beyond, -beyond, beyond, -beyond] + kept), "\(source)")
    }
    #expect(same(try cast([1e6, -1e6, 3], from: .i32, to: element), [largest, -largest, 3]))
    #expect(same(try cast([1, 0], from: .bool, to: element), [1, 0]))
    #expect(same(try evaluate("CastLike", [Tensor(.f32, [2], [1e9, 1]), Tensor(element, [1], [1])], opset: 25)[0].doubles, [largest, 1]))
  }

  @Test func powersOfTwoAreRoundedAsAsked() throws {
    let values: [Double] = [0, 1, 1.1, 1.5, 1.9, 0x1p-127, 0x1.8p-127, .infinity, .nan, 3.4e38]
    func powers(_ mode: String, saturates: Bool) throws -> [Double] {
      try cast(values, to: .f8e8m0, [("round_mode", .string(mode)), ("saturate", .integer(saturates ? 1 : 0))])
    }
    let (least, most) = (0x1p-127, 0x1p127)
    #expect(same(try powers("up", saturates: true), [least, 1, 2, 2, 2, least, 0x1p-126, most, .nan, most]))
    #expect(same(try powers("down", saturates: true), [least, 1, 1, 1, 1, least, least, most, .nan, most]))
    #expect(same(try powers("nearest", saturates: false), [.nan, 1, 1, 2, 2, least, 0x1p-126, .nan, .nan, .nan]))
    #expect(same(try cast([0.25, 8, .nan], from: .f8e8m0, to: .f16), [0.25, 8, .nan]))
  }

  @Test func narrowIntegersWrap() throws {
    #expect(try cast([-9, -8, 7, 8, 15], to: .i4) == [7, -8, 7, -8, -1])
    #expect(try cast([-9, 15, 16, 2.9], to: .u4) == [7, 15, 0, 2])
    #expect(try cast([-3, 2, 3], from: .i8, to: .i2) == [1, -2, -1])
    #expect(try cast([-8, 7], from: .i4, to: .f16) == [-8, 7])
  }

  @Test func bitsAreReadAsAnotherType() throws {
    func bitCast(_ x: Tensor, to element: ElementType) throws -> [Double] {
      try evaluate("BitCast", [x], attributes: [("to", .integer(ONNXFile.dataType(element)))], opset: 26)[0].doubles
    }
    #expect(try bitCast(Tensor(.f32, [2], [1, -0.0]), to: .i32) == [0x3f80_0000, -0x8000_0000])
    #expect(try bitCast(Tensor(.u16, [2], [0x3c00, 0x7bff]), to: .f16) == [1, 65504])
    #expect(try bitCast(Tensor(.u4, [2], [15, 8]), to: .i4) == [-1, -8])
    #expect(throws: CompileError.self) { try bitCast(Tensor(.f32, [1], [1]), to: .f16) }
  }

  @Test func weightsMayBePacked() throws {
    let sum = try evaluate("Cast", [], attributes: [("to", .integer(1))], constants: [0: Tensor(.i4, [5], [-8, 7, 1, -1, 3])], opset: 21)
    #expect(sum[0].doubles == [-8, 7, 1, -1, 3])
    let floats = try evaluate("Cast", [], attributes: [("to", .integer(1))], constants: [0: Tensor(.f4e2m1, [3], [0.5, -6, 3])], opset: 23)
    #expect(floats[0].doubles == [0.5, -6, 3])
  }

  // MARK: Quantisation

  @Test func quantizationFollowsTheTypes() throws {
    let x = Tensor(.f32, [6], [0, 1, 2, 100000, -200, 5])
    func quantized(_ element: ElementType, zero: Double = 0) throws -> [Double] {
      try evaluate("QuantizeLinear", [x, Tensor(scalar: 2, .f32), Tensor(scalar: zero, element)], opset: 25)[0].doubles
    }
    // Halves go to the even neighbour before the zero point is added.
    #expect(try quantized(.u8, zero: 1) == [1, 1, 2, 255, 0, 3])
    #expect(try quantized(.i16) == [0, 0, 1, 32767, -100, 2])
    #expect(try quantized(.u4, zero: 2) == [2, 2, 3, 15, 0, 4])
    #expect(try quantized(.i2) == [0, 0, 1, 1, -2, 1])
    #expect(try quantized(.f8e4m3fn) == [0, 0.5, 1, 448, -96, 2.5])
    #expect(try quantized(.f4e2m1) == [0, 0.5, 1, 6, -6, 2])
    let named = try evaluate("QuantizeLinear", [x, Tensor(scalar: 2, .f32)], attributes: [("output_dtype", .integer(ONNXFile.dataType(.i4)))], opset: 21)[0]
    #expect(named.element == .i4 && named.doubles == [0, 0, 1, 7, -8, 2])
    #expect(throws: CompileError.self) {
      try evaluate("QuantizeLinear", [x, Tensor(scalar: 2, .f32), Tensor(scalar: 0, .u8)], attributes: [("output_dtype", .integer(ONNXFile.dataType(.i4)))], opset: 21)
    }
  }

  /// Scales that fit to no elements are refused with both shapes, as they are in the file.
  @Test(arguments: [
    ([8, 6], [3], 0, 0, "neither one number nor one for each of the 8 positions along axis 0"), ([8, 6], [8, 6], 1, 0, "neither one number nor one for each of the 6 positions"),
    ([8, 6], [3, 6], 0, 5, "8 positions along axis 0 are 2 blocks of 5, and the scale is for 3"), ([8, 6], [2, 5], 0, 4, "another extent along axis 1"), ([8, 6], [8], 0, 4, "another number of axes"),
  ]) func refusesScalesThatDoNotFit(_ x: [Int], _ scale: [Int], _ axis: Int, _ block: Int, _ message: String) throws {
    for (name, numbers) in [("DequantizeLinear", ElementType.i8), ("QuantizeLinear", .f32)] {
      let error = #expect(throws: CompileError.self) {
        try evaluate(
          name, [Tensor(numbers, x, [Double](repeating: 1, count: 48)), Tensor(.f32, scale, [Double](repeating: 1, count: scale.reduce(1, *)))],
          attributes: [("axis", .integer(axis)), ("block_size", .integer(block))], opset: 21)
      }
      #expect(error?.message.contains(message) == true && error?.operands.first?.element == numbers, "\(name): \(error.map { "\($0)" } ?? "")")
    }
  }

  /// A block is as long as the axis at most, however much longer the file says.
  @Test func blocksMayBeLongerThanTheAxis() throws {
    let wide = try evaluate("DequantizeLinear", [Tensor(.i8, [2, 3], [1, 2, 3, 4, 5, 6]), Tensor(.f32, [2, 1], [2, 3])], attributes: [("axis", .integer(1)), ("block_size", .integer(1 << 62))], opset: 21)[0]
    #expect(wide.doubles == [2, 4, 6, 12, 15, 18])
  }

  @Test func blocksAndAxesHaveTheirScales() throws {
    let x = Tensor(.i4, [2, 4], [1, 2, 3, 4, -1, -2, -3, -4])
    let blocked = try evaluate(
      "DequantizeLinear", [x, Tensor(.f32, [2, 2], [1, 10, 100, 1000]), Tensor(.i4, [2, 2], [0, 1, 0, -1])],
      attributes: [("axis", .integer(1)), ("block_size", .integer(2))], opset: 21)[0]
    #expect(blocked.doubles == [1, 2, 20, 30, -100, -200, -2000, -3000])
    let perRow = try evaluate("DequantizeLinear", [x, Tensor(.f16, [2], [0.5, 2])], attributes: [("axis", .integer(0))], opset: 21)[0]
    #expect(perRow.element == .f16 && perRow.doubles == [0.5, 1, 1.5, 2, -2, -4, -6, -8])
    let scaled = try evaluate("DequantizeLinear", [x, Tensor(scalar: 4, .f8e8m0)], attributes: [("output_dtype", .integer(1))], opset: 23)[0]
    #expect(scaled.element == .f32 && scaled.doubles == [4, 8, 12, 16, -4, -8, -12, -16])
    #expect(try evaluate("DequantizeLinear", [Tensor(.f8e5m2, [3], [0.5, -3, .infinity]), Tensor(scalar: 2, .f32)], opset: 19)[0].doubles == [1, -6, .infinity])
  }

  /// In the precision of the scale, or the one that an attribute names: 2049 is no f16.
  @Test func divisionHasThePrecisionOfTheScale() throws {
    let (x, scale) = (Tensor(.f32, [1], [2049]), Tensor(scalar: 1, .f16))
    let zero = Tensor(scalar: 0, .i16)
    #expect(try evaluate("QuantizeLinear", [x, scale, zero], opset: 23)[0].doubles == [2048])
    #expect(try evaluate("QuantizeLinear", [x, scale, zero], attributes: [("precision", .integer(1))], opset: 23)[0].doubles == [2049])
  }

  @Test func quantizersOfOtherDomains() throws {
    let (a, b) = (Tensor(.u8, [2], [10, 20]), Tensor(.u8, [2], [3, 4]))
    func scalar(_ value: Double, _ element: ElementType = .f32) -> Tensor { Tensor(scalar: value, element) }
    let operands = [a, scalar(0.5), scalar(2, .u8), b, scalar(2), scalar(1, .u8), scalar(1), scalar(7, .u8)]
    #expect(try evaluate("QLinearAdd", operands, domain: "com.microsoft")[0].doubles == [15, 22])
    #expect(try evaluate("QLinearMul", operands, domain: "com.microsoft")[0].doubles == [23, 61])
    let packed = try evaluate(
      "MatMulNBits", [Tensor(.f32, [1, 2], [1, 10])], attributes: [("K", .integer(2)), ("N", .integer(1)), ("bits", .integer(4)), ("block_size", .integer(16))],
      constants: [1: Tensor(.u8, [1, 1, 8], [0x9a, 0, 0, 0, 0, 0, 0, 0]), 2: Tensor(.f32, [1], [0.5])], domain: "com.microsoft")
    #expect(packed[0].doubles == [6])
  }

  // MARK: 16 bits, and what is refused

  @Test func activationsOfHalvesDoNotOverflow() throws {
    let x = Tensor(.f16, [4], [20, 12, -20, 60])
    #expect(try evaluate("Mish", [x], opset: 18)[0].doubles == [20, 12, Tensor(.f16, [1], [-20 / exp20]).doubles[0], 60])
    #expect(try evaluate("Softplus", [x])[0].doubles == [20, 12, Tensor(.f16, [1], [1 / exp20]).doubles[0], 60])
  }

  private let exp20 = 485_165_195.40979

  @Test func operandsThatTheStandardDoesNotKnowAreRefused() throws {
    let x = Tensor(.f32, [1], [1])
    #expect(throws: CompileError.self) { try evaluate("Relu", [Tensor(.bool, [1], [1])]) }
    #expect(throws: CompileError.self) { try evaluate("Relu", [x, x]) }
    #expect(throws: CompileError.self) { try evaluate("And", [x, x]) }
    #expect(throws: CompileError.self) { try evaluate("Conv", [Tensor(.i32, [1, 1, 3], [1, 2, 3]), Tensor(.i32, [1, 1, 1], [1])]) }
    #expect(throws: CompileError.self) { try evaluate("Constant", [], attributes: [("value_float", .float(1)), ("value_int", .integer(1))]) }
    #expect(try evaluate("Max", [x, x, x])[0].doubles == [1])
  }
}
