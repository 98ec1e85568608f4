import GraphIR
import KernelIR
import Lowering
import LoweringTestSupport
import TensorTypes
import Testing

/// Products that leave out the zeros of a constant operand: the same numbers as dense ones, and taken where they are faster.
@Suite("sparse products") struct BlockSparseTests {
  private static let target = LoweringTarget(lanes: 16, registers: 32, threads: 1)
  private static let cases = (try? SparseDotCases.all()) ?? []

  @Test func thereAreCases() { #expect(Self.cases.count > 40) }

  /// Every sparse candidate, whether it would be taken or not.
  @Test(arguments: cases) func computesWhatTheDenseProductComputes(_ test: TemplateCase) throws {
    for target in [Self.target, LoweringTarget(lanes: 8, registers: 16, threads: 1), LoweringTarget(lanes: 16, registers: 32, threads: 3)] {
      let choice = try #require(try test.lowered(target).choice)
      let sparse = choice.candidates.filter { $0.name.contains("sparse") }
      #expect(!sparse.isEmpty)
      for candidate in sparse.prefix(target == Self.target ? .max : 2) {
        let (expected, actual, notes) = try test.results(target, answers: KernelAnswers([choice.problem: .init(candidate: candidate.name)]))
        #expect(TemplateCase.difference(expected, actual) < 1e-5, "\(notes)")
      }
    }
  }

  @Test(arguments: cases.suffix(66)) func theKernelInterpreterAgrees(_ test: TemplateCase) throws {
    let choice = try #require(try test.lowered(Self.target).choice)
    let candidate = try #require(choice.candidates.first { $0.name.contains("sparse") })
    let (expected, actual, notes) = try test.results(Self.target, answers: KernelAnswers([choice.problem: .init(candidate: candidate.name)]), compiled: false)
    #expect(TemplateCase.difference(expected, actual) < 1e-5, "\(notes)")
  }

  /// A layer whose rows have a common pattern in groups of 16 columns: sparse once enough of them are zeros.
  private func layer(_ isKept: @escaping @Sendable (Int, Int) -> Bool) throws -> TemplateCase {
    var test = try TemplateCase("layer", .dot) { graph in
      let x = graph.addInput("x", TensorType(.f32, [64, 256])), w = graph.addInput("w", TensorType(.f32, [256, 128]))
      return try graph.insert(Dot(), x, w)
    }
    test.kept["w"] = isKept
    return test
  }

  @Test func isTakenWhereItIsEstimatedToBeFaster() throws {
    let pruned = try #require(try layer(SparseDotCases.scattered(1, 16, oneIn: 5)).lowered(Self.target).choice)
    #expect(pruned.taken.contains("sparse"))
    #expect(pruned.problem.contains("% of blocks"))
    // Of every column something else is kept: no step is empty for sixteen of them.
    let scattered = try #require(try layer(SparseDotCases.scattered(1, 1, oneIn: 2)).lowered(Self.target).choice)
    #expect(!scattered.candidates.contains { $0.name.contains("sparse") })
    let nearlyFull = try #require(try layer({ row, _ in row % 8 != 0 }).lowered(LoweringTarget(lanes: 16, registers: 32, threads: 1)).choice)
    #expect(nearlyFull.candidates.contains { $0.name.contains("sparse") })
  }

  /// Many zeros that are multiplied all the same are worth a sentence; few are not.
  @Test func saysWhyZerosAreMultiplied() throws {
    func reasons(_ test: TemplateCase, _ target: LoweringTarget = Self.target) throws -> [String] {
      try test.lowered(target).refusals.filter { $0.way == "sparse-products" }.map(\.reason)
    }
    let sparse = try layer(SparseDotCases.scattered(1, 16, oneIn: 5)), scattered = try layer(SparseDotCases.scattered(1, 1, oneIn: 2))
    #expect(try reasons(sparse).isEmpty)
    #expect(try reasons(scattered).first?.contains("they are scattered") == true)
    #expect(try reasons(layer({ row, _ in row % 8 != 0 })).isEmpty)
    var target = Self.target
    target.usesSparseProducts = false
    #expect(try reasons(sparse, target).first?.contains("switched off") == true)
  }

  /// A group of steps that one instruction multiplies is left out if all of them are zeros.
  @Test(arguments: [(ElementType.bf16, ElementType.bf16, ElementType.f32, 2), (.u8, .i8, .i32, 4)])
  func blocksAreAsHighAsTheInstruction(_ left: ElementType, _ right: ElementType, _ result: ElementType, _ group: Int) throws {
    func lowered(_ height: Int, oneIn inverse: Int) throws -> LoweredFusion {
      var test = try TemplateCase("layer", .dot) { graph in
        let x = graph.addInput("x", TensorType(left, [64, 256])), w = graph.addInput("w", TensorType(right, [256, 128]))
        return try graph.insert(Dot(result: result), x, w)
      }
      test.kept["w"] = SparseDotCases.scattered(height, 16, oneIn: inverse)
      return try test.lowered(Self.target)
    }
    let sparse = try lowered(group, oneIn: 5)
    #expect(sparse.choice?.taken.contains("sparse") == true && sparse.refusals.isEmpty)
    // A quarter of the operand, and the table of its steps.
    let bytes = sparse.program.constants.filter { !$0.name.hasPrefix("w") }.reduce(0) { $0 + $1.tensor.byteCount }
    #expect(bytes < 256 * 128 * right.byteCount / 3)
    let scattered = try lowered(1, oneIn: 2)
    let reason = scattered.refusals.first { $0.way == "sparse-products" }?.reason
    #expect(group == 2 || reason?.contains("nearly all blocks of 4x16") == true)
  }

  @Test func canBeSwitchedOff() throws {
    var target = Self.target
    target.usesSparseProducts = false
    let choice = try #require(try layer(SparseDotCases.scattered(1, 16, oneIn: 5)).lowered(target).choice)
    #expect(!choice.candidates.contains { $0.name.contains("sparse") })
  }

  @Test func isSmallerThanTheOperand() throws {
    let test = try layer(SparseDotCases.scattered(1, 16, oneIn: 5))
    func bytes(_ target: LoweringTarget) throws -> Int {
      let program = try test.lowered(target).program
      return program.constants.filter { !$0.name.hasPrefix("w") }.reduce(0) { $0 + $1.tensor.byteCount }
    }
    var dense = Self.target
    dense.usesSparseProducts = false
    #expect(try bytes(Self.target) * 3 < (try bytes(dense)))
  }
}
