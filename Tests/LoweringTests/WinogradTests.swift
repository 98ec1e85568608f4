import GraphIR
import KernelIR
import Lowering
import LoweringTestSupport
import TensorTypes
import Testing

@Suite("winograd template") struct WinogradTests {
  /// Both sizes of tiles, forced, with vectors of both lengths, one thread and two, and by the kernel interpreter, which checks every access.
  @Test(arguments: try ConvolutionCases.winograd()) func keepsTheNumbers(_ test: TemplateCase) throws {
    for winograd in [WinogradUse.two, .four] {
      for (lanes, threads, isCompiled) in [(16, 2, true), (8, 1, true), (16, 1, false)] {
        let target = LoweringTarget(lanes: lanes, registers: lanes * 2, threads: threads, winograd: winograd)
        let (expected, actual, notes) = try test.results(target, compiled: isCompiled)
        let difference = TemplateCase.difference(expected, actual)
        #expect(notes.contains { $0.contains("Winograd F(\(winograd.rawValue)x\(winograd.rawValue))") }, "\(notes)")
        #expect(difference < 1e-5, "\(test.name), \(winograd), \(lanes) lanes, \(threads) threads: \(difference); \(notes)")
      }
    }
  }

  /// Every candidate that may be taken, not only the one with the least estimate.
  @Test(arguments: try ConvolutionCases.winograd().suffix(8)) func everyCandidateKeepsTheNumbers(_ test: TemplateCase) throws {
    let target = LoweringTarget(lanes: 16, registers: 32, threads: 2, winograd: .four)
    guard let choice = try test.lowered(target).choice else { return }
    for candidate in choice.candidates {
      let answers = KernelAnswers([choice.problem: .init(candidate: candidate.name)])
      let (expected, actual, _) = try test.results(target, answers: answers)
      let difference = TemplateCase.difference(expected, actual)
      #expect(difference < 1e-5, "\(test.name), \(candidate.name): \(difference)")
    }
  }

  @Test(arguments: try ConvolutionCases.winograd()) func canBeSwitchedOff(_ test: TemplateCase) throws {
    let choice = try test.lowered(LoweringTarget(lanes: 16, registers: 32, threads: 1, winograd: .off)).choice
    #expect(choice?.candidates.contains { $0.name.contains("Winograd") } == false)
  }

  /// Strides, dilations, other windows and other elements stay with the direct method.
  @Test(arguments: try ConvolutionCases.notWinograd()) func leavesOthersAlone(_ test: TemplateCase) throws {
    let choice = try test.lowered(LoweringTarget(lanes: 16, registers: 32, threads: 1, winograd: .four)).choice
    #expect(choice?.candidates.contains { $0.name.contains("Winograd") } != true, "\(choice?.taken ?? "")")
  }

  /// The stated bound: 1e-3 relative and 1e-4 absolute, with a wide margin, for sums over hundreds of channels of numbers that are
  /// not exact in any transform.
  @Test(arguments: [64, 256]) func errorStaysInBounds(channels: Int) throws {
    let test = try ConvolutionCases.manyChannels(channels)
    for (winograd, bound) in [(WinogradUse.two, 1e-6), (.four, 5e-6)] {
      let (expected, actual, notes) = try test.results(LoweringTarget(lanes: 16, registers: 32, threads: 1, winograd: winograd))
      let difference = TemplateCase.difference(expected, actual)
      #expect(difference < bound, "\(channels) channels: \(difference); \(notes)")
    }
  }
}
