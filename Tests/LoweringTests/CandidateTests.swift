import GraphIR
import KernelIR
import Lowering
import LoweringTestSupport
import TensorTypes
import Testing

/// Several ways to write a kernel: which there are, which is taken, and that all of them compute the same.
@Suite("candidates") struct CandidateTests {
  private static let target = LoweringTarget(lanes: 16, registers: 32, threads: 1)
  private static let cases: [TemplateCase] = {
    let dots = (try? DotCases.views().prefix(1) + DotCases.shapes().filter { $0.name == "f32 20x64x70 variable" }) ?? []
    return dots + ((try? ConvolutionCases.windows().suffix(1)) ?? [])
  }()

  @Test func thereAreCases() { #expect(Self.cases.count == 3) }

  @Test(arguments: cases) func theLeastEstimateIsTaken(_ test: TemplateCase) throws {
    let choice = try #require(try test.lowered(Self.target).choice)
    #expect(choice.candidates.count > 1)
    #expect(Set(choice.candidates.map(\.name)).count == choice.candidates.count, "names tell them apart")
    #expect(choice.candidates.map(\.cycles) == choice.candidates.map(\.cycles).sorted())
    #expect(choice.taken == choice.candidates.first?.name)
    #expect(choice.reason == .estimate)
    #expect(choice.candidates.allSatisfy { $0.cycles > 0 && $0.cycles.isFinite && !$0.parts.isEmpty })
    #expect(choice.explanation.contains("least estimate"))
  }

  @Test(arguments: cases) func everyCandidateComputesTheSame(_ test: TemplateCase) throws {
    let choice = try #require(try test.lowered(Self.target).choice)
    for candidate in choice.candidates {
      let answers = KernelAnswers([choice.problem: .init(candidate: candidate.name, nanoseconds: 1500)])
      let taken = try #require(try test.lowered(Self.target, answers: answers).choice)
      #expect(taken.taken == candidate.name)
      #expect(taken.reason == .measured(nanoseconds: 1500))
      let (expected, actual, notes) = try test.results(Self.target, answers: answers)
      #expect(TemplateCase.difference(expected, actual) < 1e-5, "\(candidate.name): \(notes)")
    }
  }

  @Test(arguments: cases) func anUnknownNameIsRefused(_ test: TemplateCase) throws {
    let problem = try #require(try test.lowered(Self.target).choice).problem
    let error = #expect(throws: CompileError.self) { try test.lowered(Self.target, answers: KernelAnswers([problem: .init(candidate: "by hand")])) }
    #expect(error?.description.contains("by hand") == true)
    // Answers to other questions do not matter.
    _ = try test.lowered(Self.target, answers: KernelAnswers(["another": .init(candidate: "by hand")]))
  }

  @Test func problemsTellShapesAndThreadsApart() throws {
    let test = try #require(Self.cases.last)
    var problems: Set<String> = []
    for threads in [1, 2] { problems.insert(try #require(try test.lowered(LoweringTarget(lanes: 16, registers: 32, threads: threads)).choice).problem) }
    for other in try ConvolutionCases.windows() { if let choice = try other.lowered(Self.target).choice { problems.insert(choice.problem) } }
    #expect(problems.count > 10)
  }
}
