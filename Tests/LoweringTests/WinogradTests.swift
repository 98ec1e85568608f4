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

  /// Whoever expects the method for a window of 3x3 is told why it was not taken; where it was, there is nothing to say.
  @Test func saysWhyItIsNotTaken() throws {
    func reasons(_ test: TemplateCase, _ use: WinogradUse) throws -> [String] {
      try test.lowered(LoweringTarget(lanes: 16, registers: 32, threads: 1, winograd: use)).refusals.filter { $0.way == "winograd" }.map(\.reason)
    }
    let applicable = try ConvolutionCases.winograd()
    for test in applicable {
      #expect(try reasons(test, .off) == ["it is switched off (--winograd off)"], "\(test.name)")
      #expect(try reasons(test, .four).isEmpty, "\(test.name)")
    }
    // Estimated: either it is taken, or the reason names the estimate.
    for test in applicable {
      let taken = try test.lowered(LoweringTarget(lanes: 16, registers: 32, threads: 1)).choice?.taken.contains("Winograd") == true
      let said = try reasons(test, .automatic)
      #expect(taken ? said.isEmpty : said.count == 1 && said[0].contains("estimated to take"), "\(test.name): \(said)")
    }
    var all: [String] = []
    for test in try ConvolutionCases.notWinograd() { all += try reasons(test, .four) }
    #expect(all.contains { $0.contains("its stride is 2") } && all.contains { $0.contains("dilated") }, "\(all)")
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

  // MARK: NaNs, infinities, and numbers that overflow

  /// Single elements near the middle of the image, and one at its start.
  enum Abnormal: CaseIterable {
    case infinity, opposites, missing, large

    var elements: [Int: Double] {
      switch self {
      case .infinity: [1003: .infinity]
      case .opposites: [0: .infinity, 1003: -.infinity]
      case .missing: [1003: .nan]
      case .large: [0: 3e38, 1003: -3e38, 1111: 3e38]
      }
    }
  }

  /// The direct method's NaNs and infinities, no more and no fewer, and its numbers: staged and in blocks, with groups, tails and epilogues.
  @Test(arguments: try ConvolutionCases.winograd().suffix(8), Abnormal.allCases) func keepsWhatIsNotFinite(_ test: TemplateCase, _ abnormal: Abnormal) throws {
    var test = test
    test.replaced = ["x": abnormal.elements]
    let direct = try test.results(LoweringTarget(lanes: 16, registers: 32, threads: 1, winograd: .off)).actual
    for winograd in [WinogradUse.two, .four] {
      let target = LoweringTarget(lanes: 16, registers: 32, threads: 2, winograd: winograd)
      let lowered = try test.lowered(target)
      #expect(lowered.notes.contains { $0.contains("Winograd") }, "\(lowered.notes)")
      let shared = try test.machine(lowered, target), alone = try test.machine(lowered, LoweringTarget(lanes: 16, registers: 32, threads: 1, winograd: winograd))
      shared.run(rounds: 2)
      alone.run()
      let difference = TemplateCase.difference(direct, shared.output())
      #expect(difference < 1e-5, "\(test.name), \(abnormal), \(winograd): \(difference); \(lowered.notes)")
      #expect(shared.output().isIdentical(to: alone.output()), "\(test.name), \(abnormal), \(winograd)")
    }
  }

  /// By the kernel interpreter, which checks every access.
  @Test(arguments: try ConvolutionCases.winograd().suffix(3)) func recomputesWithinBounds(_ test: TemplateCase) throws {
    var test = test
    test.replaced = ["x": Abnormal.opposites.elements]
    for winograd in [WinogradUse.off, .two, .four] {
      let (expected, actual, _) = try test.results(LoweringTarget(lanes: 16, registers: 32, threads: 1, winograd: winograd), compiled: false)
      #expect(TemplateCase.difference(expected, actual) < 1e-5, "\(test.name), \(winograd)")
    }
  }

  /// Filters with weights that are not finite, or overflow in the transform, are never transformed.
  @Test(arguments: [Double.infinity, -.infinity, .nan, 3e38]) func leavesAbnormalFiltersAlone(weight: Double) throws {
    for test in try ConvolutionCases.winograd().suffix(2) {
      var test = test
      test.replaced = ["w": [77: weight]]
      let choice = try test.lowered(LoweringTarget(lanes: 16, registers: 32, threads: 1, winograd: .four)).choice
      #expect(choice?.candidates.contains { $0.name.contains("Winograd") } == false)
    }
  }
}
