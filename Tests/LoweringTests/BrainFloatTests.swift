import GraphIR
import KernelIR
import Lowering
import LoweringTestSupport
import TensorTypes
import Testing

/// bf16 operands and f32 sums: the numbers of the cases have few digits, so that products and sums are exact.
@Suite("bf16 contractions") struct BrainFloatTests {
  @Test(arguments: try BrainFloatCases.dots()) func dots(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try BrainFloatCases.convolutions()) func convolutions(_ test: TemplateCase) throws { try expectSame(test) }

  private func expectSame(_ test: TemplateCase) throws {
    var results: [Tensor] = []
    for target in [(16, 32, 1), (16, 32, 2), (8, 16, 1)].map({ LoweringTarget(lanes: $0.0, registers: $0.1, threads: $0.2) }) {
      let (expected, actual, notes) = try test.results(target)
      #expect(TemplateCase.difference(expected, actual) < 1e-5, "\(test.name), \(target.lanes) lanes, \(target.threads) threads; \(notes)")
      results.append(actual)
    }
    #expect(results[0].isIdentical(to: results[1]), "\(test.name): one thread and two differ")
    let checked = try test.results(LoweringTarget(lanes: 16, registers: 32, threads: 1), compiled: false)
    #expect(TemplateCase.difference(checked.expected, checked.actual) < 1e-5, "\(test.name), interpreted; \(checked.notes)")
  }

  /// Panels take half the memory of f32.
  @Test func panelsAreNarrow() throws {
    let test = try #require(try BrainFloatCases.dots().first { $0.name.hasPrefix("weights f32") && $0.name.hasSuffix("24") })
    let lowered = try test.lowered(LoweringTarget(lanes: 16, registers: 32, threads: 1))
    #expect(lowered.program.constants.contains { $0.tensor.element == .bf16 && $0.tensor.count == 24 * 40 })
  }
}
