import GraphIR
import KernelIR
import Lowering
import LoweringTestSupport
import TensorTypes
import Testing

/// Weights of 8 and 4 bits, unpacked in registers.
@Suite("narrow weights") struct NarrowDotTests {
  @Test(arguments: try NarrowDotCases.dots(isRounded: false)) func floatDots(_ test: TemplateCase) throws { try expectSame(test, within: 1e-5) }
  @Test(arguments: try NarrowDotCases.surrounded(isRounded: false)) func floatSurrounded(_ test: TemplateCase) throws { try expectSame(test, within: 1e-5) }
  /// Rows whose rounding changes nothing.
  @Test(arguments: try NarrowDotCases.dots(isRounded: true)) func roundedDots(_ test: TemplateCase) throws { try expectSame(test, within: 1e-5) }
  @Test func longSumsDoNotOverflow() throws { try expectSame(try NarrowDotCases.long(), within: 1e-3) }
  /// Rounding rows to 8 bits moves results by less than a hundredth of the largest.
  @Test(arguments: try NarrowDotCases.dots(isRounded: true)) func roundingMovesLittle(_ test: TemplateCase) throws {
    var test = test
    test.replaced["x"] = nil
    try expectSame(test, within: 2e-2)
  }
  @Test(arguments: try NarrowDotCases.surrounded(isRounded: true)) func roundedSurrounded(_ test: TemplateCase) throws { try expectSame(test, within: 2e-2) }

  private func expectSame(_ test: TemplateCase, within tolerance: Double) throws {
    var results: [Tensor] = []
    for target in [(16, 32, 1), (16, 32, 2), (8, 16, 1)].map({ LoweringTarget(lanes: $0.0, registers: $0.1, threads: $0.2) }) {
      let (expected, actual, notes) = try test.results(target)
      #expect(TemplateCase.difference(expected, actual) < tolerance, "\(test.name), \(target.lanes) lanes, \(target.threads) threads; \(notes)")
      results.append(actual)
    }
    #expect(results[0].isIdentical(to: results[1]), "\(test.name): one thread and two differ")
    let checked = try test.results(LoweringTarget(lanes: 16, registers: 32, threads: 1), compiled: false)
    #expect(TemplateCase.difference(results[0], checked.actual) < 1e-5, "\(test.name), interpreted; \(checked.notes)")
  }

  /// Numbers of 4 bits take half a byte each, and their scales no more than they are given.
  @Test func weightsStayNarrow() throws {
    let test = try #require(try NarrowDotCases.surrounded(isRounded: true).first { $0.name.hasPrefix("1 x 768 x 1024") })
    let lowered = try test.lowered(LoweringTarget(lanes: 16, registers: 32, threads: 1))
    // Of the constants that the kernels read; the body's own are beside them.
    let read = Set(lowered.program.calls.flatMap { $0.arguments.map(\.buffer) })
    let bytes = read.reduce(0) { sum, buffer in
      if case .constant(let number) = lowered.program.buffers[buffer].placement { return sum + lowered.program.constants[number].tensor.byteCount }
      return sum
    }
    #expect(bytes == 768 * 1024 / 2 + 768 * 1024 / 32 * 4)
  }

  /// A rounded row of zeros has no scale, and a number that is not finite is seen in its results.
  @Test func unusualRows() throws {
    var test = try NarrowDotCases.dots(isRounded: true)[5]
    test.replaced["x"] = Dictionary(uniqueKeysWithValues: (0..<100).map { ($0, 0) })
    try expectSame(test, within: 1e-6)
    test.replaced["x"] = [4: .infinity]
    let result = try test.results(LoweringTarget(lanes: 16, registers: 32, threads: 1)).actual
    #expect(result.doubles.contains { !$0.isFinite })
  }
}
