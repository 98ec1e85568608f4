import Foundation
public import GraphIR
public import Runtime
public import TensorTypes

/// How far one output of a model in a lower precision is from what fp32 gives for the same inputs.
public struct Deviation: Sendable, Hashable {
  public let output: String
  /// The largest difference of two elements; infinite if a number is missing on one side.
  public private(set) var largest = 0.0
  /// The largest finite magnitude in fp32.
  public private(set) var scale = 0.0
  private var squaredDifference = 0.0
  private var squaredReference = 0.0

  /// The norm of the difference over the norm of the fp32 result; 0 if both are zero.
  public var relativeL2: Double { squaredDifference == 0 ? 0 : squaredReference == 0 ? .infinity : (squaredDifference / squaredReference).squareRoot() }

  /// Of no results yet.
  public init(output: String) { self.output = output }

  /// Takes in a pair of results. Integers count as numbers.
  public mutating func add(_ actual: Tensor, reference: Tensor) {
    guard actual.dimensions == reference.dimensions else {
      (largest, squaredDifference) = (.infinity, .infinity)
      return
    }
    actual.withBytes { a in
      reference.withBytes { b in
        for position in 0..<actual.count {
          let (x, y) = (Tensor.double(a, actual.element, position), Tensor.double(b, reference.element, position))
          if y.isFinite {
            scale = max(scale, y.magnitude)
            squaredReference += y * y
          }
          if x == y || (x.isNaN && y.isNaN) { continue }
          let difference = (x - y).magnitude
          largest = max(largest, difference.isFinite ? difference : .infinity)
          squaredDifference += difference.isFinite ? difference * difference : .infinity
        }
      }
    }
  }

  /// One line for people.
  public var text: String {
    String(format: "%@: largest difference to fp32 %.3g (of values up to %.3g), relative L2 %.2g", output, largest, scale, relativeL2)
  }
}

/// The same model in fp32, to compare a lower precision with.
public struct PrecisionReference {
  private let session: Session
  public private(set) var deviations: [Deviation]

  /// - Parameters:
  ///   - path: The model that `options` describe in a lower precision.
  public init(_ path: String, options: CompileOptions) throws(CompileError) {
    var options = options.exact
    options.tuning.seconds = nil
    // One run of the general code is all that is asked of it.
    options.variants = [:]
    options.passes.printAfter = []
    options.passes.verifiesEach = false
    let model = try Compiler(options: options).compile(path).makeModel()
    deviations = model.manifest.outputs.map { Deviation(output: $0.name) }
    do throws(RunError) { session = try model.makeSession(threads: options.threads) } catch { throw CompileError(.badInput, "\(error)", stage: .run) }
  }

  /// Runs the inputs in fp32 and adds how far `results` are from that.
  public mutating func compare(_ results: [Tensor], for inputs: [Tensor]) throws(RunError) {
    let expected = try session.run(inputs)
    for (position, (result, reference)) in zip(results, expected).enumerated() where deviations.indices.contains(position) {
      deviations[position].add(result, reference: reference)
    }
  }
}
