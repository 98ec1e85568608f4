import GraphIR
import KernelIR
import TensorTypes

/// Whether threads share a loop nest, and in how many parts, by how much work it is.
///
/// Where extents are symbolic the number of parts follows from them: a short run is one part, which stays on its thread.
enum LoopSharing {
  case none
  /// Every iteration of the outer loop is a part.
  case everything
  /// Ranges of iterations, as many as there are threshold amounts of work.
  case ranges(items: Extent)

  /// - Parameters:
  ///   - work: Element operations of the whole nest.
  ///   - iterations: Of the loop that is shared.
  ///   - threshold: Work that is worth a part of its own.
  init(work: Extent, iterations: Extent, threshold: Int, threads: Int) {
    if threads <= 1 || iterations == 1 {
      self = .none
    } else if let known = work.constant {
      self = known >= threshold ? .everything : .none
    } else if let least = work.evaluated(Dictionary(uniqueKeysWithValues: work.symbols.map { ($0, 1) })), least >= threshold {
      // The shortest run has 1 for every symbol.
      self = .everything
    } else {
      self = .ranges(items: .minimum(iterations, work.floorDivided(by: Extent(threshold)) + 1))
    }
  }

  var isParallel: Bool { if case .none = self { false } else { true } }

  /// The shared loop over `0 ..< iterations`.
  func loop(
    _ emitter: inout ElementEmitter, _ name: String, to iterations: Extent,
    _ body: (inout ElementEmitter, Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    switch self {
    case .none: return [try emitter.loop(name, to: iterations, .serial, body)]
    case .everything: return [try emitter.loop(name, to: iterations, .parallel, body)]
    case .ranges:
      return try parts(&emitter, of: iterations) { emitter, lower, upper throws(CompileError) in
        let variable = emitter.builder.variable(name)
        emitter.ranges.set(variable, to: iterations)
        let inner = try emitter.scoped { emitter throws(CompileError) in try body(&emitter, .variable(variable)) }
        return [.loop(Loop(variable, from: lower, to: upper, body: inner))]
      }
    }
  }

  /// The iterations as ranges: one range for each part.
  func parts(
    _ emitter: inout ElementEmitter, of iterations: Extent,
    _ body: (inout ElementEmitter, _ lower: Expression, _ upper: Expression) throws(CompileError) -> [Statement]
  ) throws(CompileError) -> [Statement] {
    switch self {
    case .none: try emitter.scoped { emitter throws(CompileError) in try body(&emitter, .index(0), .of(iterations)) }
    case .everything:
      [try emitter.loop("part", to: iterations, .parallel) { emitter, part throws(CompileError) in try body(&emitter, part, part + .index(1)) }]
    case .ranges(let items):
      try TileSchedule.ranges(&emitter, of: iterations, items: items) { emitter, _, lower, upper throws(CompileError) in try body(&emitter, lower, upper) }
    }
  }
}
