public import GraphIR
import TensorTypes

/// How a model is read: what its symbolic axes are bound to, and how much a file may ask for.
public struct ImportOptions: Sendable {
  /// Extents for symbolic axes, by the name of the symbol (the model's `dim_param`, or `input_0` for axis 0 of `input`).
  public var dimensions: [String: Int]
  /// Whole shapes for inputs, by the name of the input.
  public var shapes: [String: [Int]]
  /// Contents of inputs, by the name of the input, for a model whose shapes depend on them (an axis or a size as an
  /// input). Such an input becomes a constant of the graph and is no part of its interface.
  public var values: [String: Tensor]
  /// The shapes of the elements of inputs that are sequences, by the name of the input.
  public var sequences: [String: [[Int]]] = [:]
  /// What inputs that are optionals hold, by the name of the input.
  public var optionals: [String: OptionalForm] = [:]
  public var limits: ImportLimits
  /// Differentiates graphs, for the operator `Gradient`; nil refuses it.
  public var differentiate: Differentiation?

  public init(
    dimensions: [String: Int] = [:], shapes: [String: [Int]] = [:], values: [String: Tensor] = [:], limits: ImportLimits = ImportLimits()
  ) {
    self.dimensions = dimensions
    self.shapes = shapes
    self.values = values
    self.limits = limits
  }
}

/// What is known of an input that is an optional.
public enum OptionalForm: Sendable, Hashable {
  case absent
  /// It holds a tensor of the declared shape.
  case present
  case shape([Int])
}

/// Turns a graph of one output into one that takes the same inputs and gives the derivatives of the output's sum with respect to
/// the inputs at some positions. The frontend does not know how; a pass does.
public typealias Differentiation = @Sendable (Graph, [Int]) throws(CompileError) -> Graph

/// What a model file may ask for before it is refused. The defaults are far above any model we have seen.
public struct ImportLimits: Sendable {
  /// Messages (nodes, attributes, tensors, strings, ...) in the file.
  public var messages = 4_000_000
  /// Operators imported, those of inlined functions counted once for each call.
  public var nodes = 400_000
  /// Graphs inside graphs, and functions inside functions.
  public var nesting = 32
  /// Size of one tensor, in bytes.
  public var tensorBytes = 1 << 48
  /// Axes of one tensor.
  public var rank = 32
  /// Steps of a loop that are imported one after the other.
  public var loopSteps = 1024
  /// Elements of a sequence.
  public var sequenceLength = 4096

  /// The most that `nesting` may be: reading recurses.
  public static let deepestNesting = 256

  public init() {}
}
