/// Passes in the order in which they run.
///
///     Pipeline("portable") {
///       foldConstants
///       fixpoint(atMost: 8) {
///         removeIdentities
///         foldScaleAndShift
///       }
///     }
public struct Pipeline<IR: Sendable>: Sendable {
  public indirect enum Step: Sendable {
    case pass(Pass<IR>)
    /// The steps again and again until none changes anything, or so many times.
    case fixpoint(atMost: Int, [Step])
    case pipeline(Pipeline)

    var passes: [Pass<IR>] {
      switch self {
      case .pass(let pass): [pass]
      case .fixpoint(_, let steps): steps.flatMap(\.passes)
      case .pipeline(let pipeline): pipeline.steps.flatMap(\.passes)
      }
    }

    func replacing(_ other: Pass<IR>) -> Step {
      switch self {
      case .pass(let pass): .pass(pass.name == other.name ? other : pass)
      case .fixpoint(let rounds, let steps): .fixpoint(atMost: rounds, steps.map { $0.replacing(other) })
      case .pipeline(let pipeline): .pipeline(pipeline.replacing(other))
      }
    }
  }

  public let name: String
  public let steps: [Step]

  public init(_ name: String, @PipelineBuilder<IR> _ steps: () -> [Step]) {
    self.name = name
    self.steps = steps()
  }

  private init(_ name: String, steps: [Step]) { (self.name, self.steps) = (name, steps) }

  /// Every pass once, in the order of its first run.
  public var passes: [Pass<IR>] {
    var seen: Set<String> = []
    return steps.flatMap(\.passes).filter { seen.insert($0.name).inserted }
  }

  /// The same pipeline with another pass in place of the one of its name.
  public func replacing(_ pass: Pass<IR>) -> Pipeline { Pipeline(name, steps: steps.map { $0.replacing(pass) }) }

  /// The one pass of that printed name.
  public func pass(named name: String) -> Pass<IR>? { passes.first { $0.name == name } }
}

/// Runs the steps until none changes anything, at most so many times.
public func fixpoint<IR>(atMost rounds: Int, @PipelineBuilder<IR> _ steps: () -> [Pipeline<IR>.Step]) -> Pipeline<IR>.Step {
  .fixpoint(atMost: rounds, steps())
}

@resultBuilder public enum PipelineBuilder<IR: Sendable> {
  public typealias Step = Pipeline<IR>.Step
  public static func buildExpression(_ pass: Pass<IR>) -> [Step] { [.pass(pass)] }
  public static func buildExpression(_ pipeline: Pipeline<IR>) -> [Step] { [.pipeline(pipeline)] }
  public static func buildExpression(_ step: Step) -> [Step] { [step] }
  public static func buildBlock(_ parts: [Step]...) -> [Step] { parts.flatMap { $0 } }
  public static func buildOptional(_ part: [Step]?) -> [Step] { part ?? [] }
  public static func buildEither(first part: [Step]) -> [Step] { part }
  public static func buildEither(second part: [Step]) -> [Step] { part }
  public static func buildArray(_ parts: [[Step]]) -> [Step] { parts.flatMap { $0 } }
}
