import GraphIR
import KernelIR
import Lowering
import LoweringTestSupport
import TensorTypes
import Testing

/// u8 and i8 operands, and i32 sums, which are exact.
@Suite("byte contractions") struct ByteTests {
  @Test(arguments: try ByteCases.dots()) func dots(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try ByteCases.convolutions()) func convolutions(_ test: TemplateCase) throws { try expectSame(test) }

  private func expectSame(_ test: TemplateCase) throws {
    for (lanes, registers, threads) in [(16, 32, 1), (16, 32, 2), (8, 16, 1)] {
      let (expected, actual, notes) = try test.results(LoweringTarget(lanes: lanes, registers: registers, threads: threads))
      #expect(expected.isIdentical(to: actual), "\(test.name), \(lanes) lanes, \(threads) threads; \(notes)")
    }
    let checked = try test.results(LoweringTarget(lanes: 16, registers: 32, threads: 1), compiled: false)
    #expect(checked.expected.isIdentical(to: checked.actual), "\(test.name), interpreted; \(checked.notes)")
  }

  /// Four steps lie side by side for each column, so that one instruction multiplies them.
  @Test func panelsHoldGroupsOfFour() throws {
    let test = try #require(try ByteCases.dots().first { $0.name == "u8 x i8 61x256x90" })
    let lowered = try test.lowered(LoweringTarget(lanes: 16, registers: 32, threads: 1))
    #expect(lowered.program.constants.contains { $0.tensor.element == .i8 && $0.tensor.count >= 256 * 90 })
  }
}
