import Lowering
import LoweringTestSupport
import TensorTypes
import Testing

@Suite("attention template") struct AttentionTemplateTests {
  private static let wide = LoweringTarget(lanes: 16, registers: 32, threads: 1)
  private static let narrow = LoweringTarget(lanes: 8, registers: 16, threads: 1)
  private static let shared = LoweringTarget(lanes: 16, registers: 32, threads: 2)

  /// Relative to the largest magnitude; a NaN must meet a NaN.
  private func difference(_ a: Tensor, _ b: Tensor) -> Double {
    guard a.dimensions == b.dimensions else { return .infinity }
    return zip(a.doubles, b.doubles).reduce(0) { worst, pair in
      pair.0.isNaN || pair.1.isNaN ? (pair.0.isNaN && pair.1.isNaN ? worst : .infinity) : max(worst, abs(pair.0 - pair.1) / max(1, abs(pair.0)))
    }
  }

  private func expectSame(_ test: TemplateCase, _ targets: [LoweringTarget] = [wide, narrow]) throws {
    for target in targets {
      let (expected, actual, notes) = try test.results(target)
      #expect(difference(expected, actual) < 1e-5, "\(test.name), \(target): \(difference(expected, actual)); \(notes)")
    }
    let checked = try test.results(targets[0], compiled: false)
    #expect(difference(checked.expected, checked.actual) < 1e-5, "\(test.name), interpreted; \(checked.notes)")
  }

  @Test(arguments: try AttentionCases.shapes()) func shapes(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try AttentionCases.masks()) func masks(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try AttentionCases.symbolic()) func symbolic(_ test: TemplateCase) throws { try expectSame(test) }
  @Test func maskedRowsAreNotANumber() throws { try expectSame(try AttentionCases.attention(queries: 19, keys: 19, depth: 32, mask: .causal)) }

  /// A weight may be rounded the other way where exponentials differ in their last place: a byte's step of one value.
  @Test(arguments: try AttentionCases.bytes()) func bytes(_ test: TemplateCase) throws {
    for (target, isCompiled) in [(Self.wide, true), (Self.shared, true), (Self.narrow, true), (Self.wide, false)] {
      let (expected, actual, notes) = try test.results(target, compiled: isCompiled)
      #expect(difference(expected, actual) < 0.01, "\(test.name), \(target): \(difference(expected, actual)); \(notes)")
      #expect(notes.last?.contains("in bytes") == true, "\(notes)")
    }
    #expect(try test.results(Self.wide).actual.isIdentical(to: try test.results(Self.shared).actual))
  }

  @Test(arguments: try AttentionCases.parallel()) func threadsGiveTheSameBits(_ test: TemplateCase) throws {
    try expectSame(test, [Self.shared])
    let (one, two) = (try test.results(Self.wide), try test.results(Self.shared))
    #expect(one.actual.isIdentical(to: two.actual), "\(test.name): \(one.notes), \(two.notes)")
    #expect(two.notes.last?.contains("parallel") == true)
  }
}
