import GraphIR
import TensorTypes

/// Which operations fusion may inline, and what inlining costs.
enum FusionCost {
  /// True for operations of which one element is computed from a few elements of the operands.
  static func isInlinable(_ operation: any Operation) -> Bool {
    switch operation {
    case is Unary, is Binary, is Compare, is Select, is Convert, is Iota, is ExtentVector, is RandomBits: true
    case is Broadcast, is Reshape, is Transpose, is Slice, is Reverse, is Pad, is Concatenate, is Gather, is GatherElements, is GatherND, is TextFind: true
    case let constant as Constant: constant.tensor.count == 1
    default: false
    }
  }

  static func isElementwise(_ operation: any Operation) -> Bool {
    switch operation {
    case is Unary, is Binary, is Compare, is Select, is Convert: true
    default: false
    }
  }

  /// Operations that only say where an element lies; reading through them costs an index.
  static func isView(_ operation: any Operation) -> Bool {
    switch operation {
    case is Reshape, is Transpose, is Slice, is Broadcast, is Reverse: true
    default: false
    }
  }

  /// Rough arithmetic per element, in additions.
  static func arithmetic(_ operation: any Operation) -> Int {
    switch operation {
    case let unary as Unary:
      switch unary.function {
      case .negate, .absolute, .not, .isNaN, .isInfinite, .sign, .floor, .ceiling, .round: 1
      case .squareRoot, .reciprocal: 4
      default: 12
      }
    case let binary as Binary:
      switch binary.function {
      case .divide, .remainder, .modulo: 4
      case .power: 20
      default: 1
      }
    case is Compare, is Select: 1
    case is Convert: 1
    case is Gather, is GatherElements, is GatherND, is TextFind: 2
    case is Pad, is Concatenate: 1
    case is RandomBits: 80
    default: 0
    }
  }

  /// A value that several kernels read is computed again in each up to this much arithmetic; above, it gets memory.
  static let cheapEnoughToRepeat = 2
  /// The numbers that bytes stand for take up to so many nodes; they are computed again in each reader, as bytes are a quarter of the memory.
  static let mostWideningNodes = 8
  /// The same for a value that one kernel reads many times over, through a broadcast.
  static let cheapEnoughToBroadcast = 8
  /// More nodes than this in one kernel only make it slow to compile.
  static let mostNodes = 96
  /// More elements than this of values that a kernel computes already, at other indices, do the same.
  static let mostRepeats = 2 * mostNodes

  /// Memory between a convolution and the window behind it: rows of one panel, in the first- and second-level cache.
  static let mostRingBytes = 48 << 10
  /// With a window over more input channels Winograd's method is worth more than a shared kernel.
  static let mostChainedWindowChannels = 16
  /// A panel of the first convolution stays in the second-level cache from row to row.
  static let mostChainedSteps = 1024
  /// A convolution without a window reads up to so many parts of a concatenation in place; each is a loop of its own.
  static let mostConcatenatedParts = 6
}
