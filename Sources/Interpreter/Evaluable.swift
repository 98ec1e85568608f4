import GraphIR
import TensorTypes

/// What an operation means, in numbers.
///
/// Each core operation conforms in a file of this module. The code is plain: it is the definition that lowering
/// and every rewrite are tested against, and what constant folding computes with.
public protocol Evaluable: Operation {
  /// Computes the results.
  ///
  /// - Parameters:
  ///   - operands: Tensors whose types passed `checkedResultTypes`. No attribute of `self` names a symbol.
  ///   - results: The types of the results; their sizes are within `limits`.
  func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor]
}

/// An element type and dimensions that are numbers.
public struct ConcreteType: Sendable, Hashable, CustomStringConvertible {
  public let element: ElementType
  public let dimensions: [Int]
  /// The number of elements.
  public let count: Int

  /// - Returns: nil if an extent names a symbol, is negative, or the size in bytes leaves 63 bits.
  public init?(_ type: TensorType) {
    guard let dimensions = type.shape.constants, let count = elementCount(of: dimensions),
      !count.multipliedReportingOverflow(by: type.element.byteCount).overflow
    else { return nil }
    (element, self.dimensions, self.count) = (type.element, dimensions, count)
  }

  public var byteCount: Int { count * element.byteCount }
  public var type: TensorType { TensorType(element, Shape(dimensions)) }
  public var description: String { type.description }

  func zeros() -> Tensor { Tensor(zeros: element, dimensions) }
}

/// An operation that its operands do not let come out: an index into nothing, or a result beyond the limits.
public struct EvaluationError: Error, Sendable, CustomStringConvertible {
  public var message: String
  public var hint: String?
  public init(_ message: String, hint: String? = nil) { (self.message, self.hint) = (message, hint) }
  public var description: String { message }
}

/// How much one evaluation may take, so that a hostile model ends in an error and not in the out-of-memory killer.
public struct EvaluationLimits: Sendable {
  /// The most that one result may take, and one operation's scratch memory.
  public var resultBytes: Int
  /// The most that all results alive at one time may take; inputs and constants are not counted.
  public var liveBytes: Int
  /// The most steps that one `scan` may take.
  public var scanSteps: Int

  public init(resultBytes: Int = 4 << 30, liveBytes: Int = 16 << 30, scanSteps: Int = 1 << 24) {
    (self.resultBytes, self.liveBytes, self.scanSteps) = (resultBytes, liveBytes, scanSteps)
  }

  func check(_ result: ConcreteType) throws(EvaluationError) {
    guard result.byteCount <= resultBytes else {
      throw EvaluationError("a result of \(result) takes \(result.byteCount) bytes; the limit is \(resultBytes)")
    }
  }

  /// Checks memory that an operation needs while it runs.
  func checkScratch(_ count: Int, of stride: Int) throws(EvaluationError) {
    let (bytes, overflowed) = count.multipliedReportingOverflow(by: stride)
    // Widening to 64 bits and padding to eight columns take up to 32 times a result at its limit; anything beyond is refused.
    guard !overflowed, bytes / 8 <= resultBytes else { throw EvaluationError("it needs \(count) x \(stride) bytes of scratch memory") }
  }
}
