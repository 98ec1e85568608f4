import ONNXFrontend
import Passes

/// What a model may ask of a compilation before it is refused. The usual values are far above those of any model we have seen;
/// they are there for files that somebody made to be refused.
public struct CompileLimits: Sendable, Hashable {
  /// One limit, by the name that the command line and messages use.
  public enum Name: String, Sendable, Hashable, CaseIterable {
    case messages, nodes, nesting, rank
    case tensorBytes = "tensor-bytes"
    case loopSteps = "loop-steps"
    case sequenceLength = "sequence-length"
    case foldedBytes = "folded-bytes"
    case foldedOperations = "folded-operations"
    case seconds, memory

    /// What it bounds, in a few words.
    public var summary: String {
      switch self {
      case .messages: "parts of the file: nodes, attributes, tensors, strings"
      case .nodes: "operators, those of functions and repeated bodies counted each time"
      case .nesting: "graphs and functions inside each other"
      case .rank: "axes of one tensor"
      case .tensorBytes: "size of one tensor, whatever the file says about its shape"
      case .loopSteps: "steps of a loop that are imported one by one"
      case .sequenceLength: "elements of a sequence"
      case .foldedBytes: "memory that a constant computed at compile time may take beyond its operands"
      case .foldedOperations: "work for one constant computed at compile time"
      case .seconds: "time of one compilation"
      case .memory: "bytes of memory while compiling; 0 is any number"
      }
    }

    /// The value that holds unless another one is asked for.
    public var usual: Int {
      let (loading, folding) = (ImportLimits(), FoldingLimits())
      return switch self {
      case .messages: loading.messages
      case .nodes: loading.nodes
      case .nesting: loading.nesting
      case .rank: loading.rank
      case .tensorBytes: loading.tensorBytes
      case .loopSteps: loading.loopSteps
      case .sequenceLength: loading.sequenceLength
      case .foldedBytes: folding.growthBytes
      case .foldedOperations: folding.operations
      case .seconds: 3600
      case .memory: 0
      }
    }
  }

  private var changed: [Name: Int] = [:]

  /// The usual limits.
  public init() {}

  public subscript(name: Name) -> Int {
    get { changed[name] ?? name.usual }
    set { changed[name] = newValue }
  }

  var loading: ImportLimits {
    var limits = ImportLimits()
    limits.messages = self[.messages]
    limits.nodes = self[.nodes]
    // The importer recurses: a deeper nesting than this could use up the stack.
    limits.nesting = min(self[.nesting], ImportLimits.deepestNesting)
    limits.rank = self[.rank]
    limits.tensorBytes = self[.tensorBytes]
    limits.loopSteps = self[.loopSteps]
    limits.sequenceLength = self[.sequenceLength]
    return limits
  }

  var folding: FoldingLimits {
    var limits = FoldingLimits()
    limits.growthBytes = self[.foldedBytes]
    limits.operations = self[.foldedOperations]
    return limits
  }
}
