import GraphIR
import Interpreter
import TensorTypes

/// Compares what a graph computes now with what it computed before the first pass.
public struct NumericCheck: Sendable {
  public let inputs: [Tensor]
  public let expected: [Tensor]
  private let names: [String]
  private let symbols: [String: Int]
  /// The largest difference that passes, relative to the largest magnitude of the output (at least 1).
  public var tolerance: Double

  /// Evaluates the reference once.
  ///
  /// - Parameters:
  ///   - inputs: One tensor for each input; nil makes random ones from `seed`.
  ///   - symbols: Values for symbolic extents; those not named are the smallest of a few that the graph runs with.
  public init(
    reference: Graph, inputs: [Tensor]? = nil, symbols: [String: Int] = [:], seed: UInt64 = 1, tolerance: Double = 1e-4
  ) throws(CompileError) {
    self.tolerance = tolerance
    names = reference.outputNames
    if let inputs {
      (self.inputs, self.symbols) = (inputs, symbols)
      expected = try Interpreter.evaluate(reference, inputs: inputs, symbols: symbols)
      return
    }
    // Windows and factors of two may need more than a few elements.
    var binding = reference.smallBinding(symbols)
    var chosen: [Tensor] = []
    var results: [Tensor]?
    for least in [2, 64, 640] where results == nil {
      binding = reference.smallBinding(symbols, atLeast: least)
      chosen = try reference.randomInputs(seed: seed, symbols: binding)
      do { results = try Interpreter.evaluate(reference, inputs: chosen, symbols: binding) } catch {
        if reference.symbols.isEmpty || least == 640 { throw error }
      }
    }
    (self.inputs, self.symbols, expected) = (chosen, binding, results ?? [])
  }

  /// - Throws: `CompileError` with the stage given, naming the output, the largest error and where it is.
  public func callAsFunction(_ graph: Graph, _ stage: CompileError.Stage) throws(CompileError) {
    let actual: [Tensor]
    do { actual = try Interpreter.evaluate(graph, inputs: inputs, symbols: symbols) } catch {
      throw CompileError(
        .badInput, "the graph no longer runs after this pass: \(error.message)", stage: stage, origin: error.origin, operands: error.operands)
    }
    for (position, (before, after)) in zip(expected, actual).enumerated() {
      guard before.type == after.type else {
        throw CompileError(.badInput, "output `\(names[position])` was \(before.type) and is now \(after.type)", stage: stage)
      }
      let difference: Difference
      // Texts are compared, not the numbers that stand for them.
      if before.element == .string, let shared = try? Tensor.sharingStrings([before, after]).tensors {
        difference = Difference(shared[0], shared[1])
      } else {
        difference = Difference(before, after)
      }
      guard difference.relative <= tolerance else {
        throw CompileError(
          .badInput,
          "output `\(names[position])` differs from the model's by up to \(difference.largest) at element \(difference.position) (\(difference.expected) became \(difference.actual))",
          stage: stage, hint: "leave the pass out with --disable, or bisect with a limit on rewrites")
      }
    }
  }
}

/// The largest difference between two tensors of one type.
public struct Difference: Sendable {
  public private(set) var largest = 0.0
  public private(set) var position = 0
  public private(set) var expected = 0.0
  public private(set) var actual = 0.0
  /// `largest` relative to the largest finite magnitude of the expected tensor, at least 1.
  public var relative: Double { largest / scale }
  private var scale = 1.0

  public init(_ before: Tensor, _ after: Tensor) {
    before.withBytes { a in
      after.withBytes { b in
        for position in 0..<Swift.min(before.count, after.count) {
          let (x, y) = (Tensor.double(a, before.element, position), Tensor.double(b, after.element, position))
          if x.isFinite { scale = max(scale, x.magnitude) }
          if x == y || (x.isNaN && y.isNaN) { continue }
          let difference = (x - y).magnitude
          if difference > largest || difference.isNaN {
            (largest, self.position, expected, actual) = (difference.isNaN ? .infinity : difference, position, x, y)
          }
        }
      }
    }
  }
}
