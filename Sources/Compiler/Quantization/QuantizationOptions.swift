public import Passes

/// How a model is to be made smaller and faster with integers.
public struct QuantizationOptions: Sendable {
  /// What becomes an integer, by the name that the command line uses.
  public enum Scheme: String, Sendable, Hashable, CaseIterable {
    /// Weights i8, activations u8 with ranges learned from samples.
    case int8
    /// Weights i8, activations u8 with ranges measured in each run.
    case dynamicInt8 = "dynamic-int8"
    /// Weights i8; activations and sums stay in floating point.
    case weightsInt8 = "weights-int8"
    /// Weights of 4 bits with a scale for each group of neighbours.
    case weightsInt4 = "weights-int4"

    /// False if only the weights change, which samples are not needed for.
    public var needsSamples: Bool { self == .int8 }
    public var isWeightsOnly: Bool { self == .weightsInt8 || self == .weightsInt4 }
  }

  public var scheme: Scheme
  public var observer = ObserverKind.mse
  /// Weights along the sums that share a scale, where weights have groups; nil for what is usual.
  public var groupSize: Int?
  /// What products with narrow weights may round their other operand to; nil for what is usual: int8 with 4 bits, nothing with 8.
  public var activations: WeightActivations?
  /// Evens out the weights of neighbouring layers first; see `equalizeLayers`.
  public var equalizes = false
  /// Makes up for what rounded weights do to the average of each output; see `biasCorrections`. It costs nothing when the model runs.
  public var correctsBias = true
  /// How much of the activations' range is moved into the weights of matrix products; nil for nothing. See `smoothActivations`.
  public var smoothing: Smoothing? = .measured
  /// Lets the weights that are not yet rounded make up for those that are (GPTQ), where weights alone are quantised.
  public var reconstructs = false
  /// Keeps the layers that hurt most in floating point until the outputs have so many decibels of signal over noise.
  public var minimumDecibels: Double?
  /// Keeps the layers that hurt most in floating point until no more than so many percent of the labelled samples are lost.
  public var maximumAccuracyDrop: Double?
  /// Names of nodes that stay in floating point.
  public var floatNodes: [String] = []
  /// Measures the error of each layer by itself, for reports, also where no target asks for it.
  public var measuresLayers = false

  /// True if layers are to be kept in floating point for the sake of the outputs.
  var hasTarget: Bool { minimumDecibels != nil || maximumAccuracyDrop != nil }

  /// The usual choices of a scheme.
  public init(_ scheme: Scheme) { self.scheme = scheme }
}
