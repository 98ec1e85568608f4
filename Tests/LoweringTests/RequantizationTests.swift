import Foundation
import GraphIR
import Lowering
import LoweringTestSupport
import TensorTypes
import Testing

/// Division by a constant, rounding to even and saturation as a few instructions: the same bytes as the definition, next to every threshold.
@Suite("requantization") struct RequantizationTests {
  private static let scales: [Float] = [0.3, 0.1, 1 / 3, 0.023528477, 7, 0.5, 1e-3, 0.0078125, 0.99999994, 1.0000001, 123.456, 1.5]

  @Test(arguments: scales, [(ElementType.u8, 0.0), (.u8, 113), (.i8, -7)]) func isExact(_ scale: Float, _ target: (element: ElementType, zero: Double)) throws {
    var numbers: [Double] = [.infinity, -.infinity, 0, -0.0, 3e38, -3e38, 1e-45]
    for step in -400..<400 {
      var x = (Float(step) + 0.5) * scale
      for _ in 0..<3 { x = x.nextDown }
      for _ in 0..<7 {
        numbers.append(Double(x))
        x = x.nextUp
      }
    }
    let count = Extent(numbers.count)
    var test = try TemplateCase("quantize by \(scale)", .loop) { graph in
      let x = graph.addInput("x", TensorType(.f32, [count]))
      func splat(_ value: Double) throws -> ValueID { try graph.insert(Broadcast(to: [count]), try graph.insert(Constant(Tensor(scalar: value, .f32)))) }
      let range = target.element == .u8 ? (0.0, 255.0) : (-128.0, 127.0)
      var value = try graph.insert(Unary(.round), try graph.insert(Binary(.divide), x, try splat(Double(scale))))
      if target.zero != 0 { value = try graph.insert(Binary(.add), value, try splat(target.zero)) }
      value = try graph.insert(Binary(.minimum), try graph.insert(Binary(.maximum), value, try splat(range.0)), try splat(range.1))
      return try graph.insert(Convert(to: target.element), value)
    }
    test.replaced["x"] = Dictionary(uniqueKeysWithValues: numbers.enumerated().map { ($0, $1) })
    for lanes in [16, 8, 4] {
      let (expected, actual, notes) = try test.results(LoweringTarget(lanes: lanes, registers: lanes == 16 ? 32 : 16, threads: 1))
      let wrong = zip(numbers, zip(expected.doubles, actual.doubles)).first { $0.1.0 != $0.1.1 }
      #expect(expected.isIdentical(to: actual), "\(lanes) lanes: \(String(describing: wrong)); \(notes)")
    }
    // Nothing is divided where the target rounds products and sums once.
    let text = try test.lowered(LoweringTarget(lanes: 16, registers: 32, threads: 1)).program.kernels.map { "\($0)" }.joined()
    #expect(!text.contains("divide") && !text.contains(" / "))
  }

  /// GELU that becomes a byte is at most a sixteenth of a step from the exact one, also far out; steps too small for any polynomial stay exact.
  @Test(arguments: [Float(0.05), 0.024, 0.011, 0.004, 0.0012, 1e-4], [9.0, 41]) func geluIsAsExactAsItsByte(_ scale: Float, _ zero: Double) throws {
    var numbers: [Double] = [0, 100, -100, 1e6, -1e6, 3e30, -3e30]
    for step in -4000..<4000 { numbers.append(Double(step) * 0.002) }
    let count = Extent(numbers.count)
    var test = try TemplateCase("GELU by \(scale)", .loop) { graph in
      let x = graph.addInput("x", TensorType(.f32, [count]))
      func splat(_ value: Double) throws -> ValueID { try graph.insert(Broadcast(to: [count]), try graph.insert(Constant(Tensor(scalar: value, .f32)))) }
      let error = try graph.insert(Unary(.errorFunction), try graph.insert(Binary(.divide), x, try splat(Double(Float(2).squareRoot()))))
      let product = try graph.insert(Binary(.multiply), x, try graph.insert(Binary(.add), error, try splat(1)))
      let gelu = try graph.insert(Binary(.multiply), product, try splat(0.5))
      let rounded = try graph.insert(Unary(.round), try graph.insert(Binary(.divide), gelu, try splat(Double(scale))))
      let shifted = try graph.insert(Binary(.add), rounded, try splat(zero))
      return try graph.insert(Convert(to: .u8), try graph.insert(Binary(.minimum), try graph.insert(Binary(.maximum), shifted, try splat(0)), try splat(255)))
    }
    test.replaced["x"] = Dictionary(uniqueKeysWithValues: numbers.enumerated().map { ($0, $1) })
    let wide = LoweringTarget(lanes: 16, registers: 32, threads: 1)
    let (_, actual, _) = try test.results(wide)
    for (x, byte) in zip(numbers, actual.doubles) {
      let value = Double(Float(x))
      let exact = value * 0.5 * erfc(-value / 2.0.squareRoot()) / Double(scale) + zero
      #expect(abs(byte - min(max(exact, 0), 255)) < 0.5 + 1.0 / 16 + 1e-3, "\(x)")
    }
    let text = try test.lowered(wide).program.kernels.map { "\($0)" }.joined()
    #expect(text.contains("erf") == (scale < 0.001), "\(scale)")
  }
}
