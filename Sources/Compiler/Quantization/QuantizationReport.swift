/// What quantization did to a model, layer by layer.
public struct QuantizationReport: Sendable {
  /// What became of one layer.
  public struct Layer: Sendable {
    public var name: String
    public var operatorName: String
    /// Why it is in floating point; nil if it is quantised.
    public var floatReason: String?
    /// Signal over noise at the outputs in decibels if this layer alone is quantised; nil if that was not measured.
    public var decibelsAlone: Double?
  }

  /// Such as `int8 (mse)`.
  public var summary: String
  public var samples = 0
  /// Values whose outliers were moved into the weights of the products that read them.
  public var smoothedValues = 0
  /// Tables that rows are looked up in, which are stored in 8 bits beside what becomes of the layers; 0 where they count as layers.
  public var tables = 0
  /// In the order of the model.
  public var layers: [Layer] = []
  /// How long it took to tell the layers' errors apart for this report alone.
  public var measuringSeconds = 0.0
  /// Signal over noise at the outputs of the quantised model in decibels; nil if that was not measured.
  public var decibels: Double?
  /// Correct samples of fp32 and of the quantised model, of how many; nil without labels.
  public var accuracy: (exact: Int, quantized: Int, count: Int)?

  /// What else its reader should know, a sentence each.
  public var notes: [String] = []

  /// - Parameter summary: The scheme and its refinements, in a line.
  public init(summary: String) { self.summary = summary }

  public var quantizedLayers: Int { layers.count { $0.floatReason == nil } }
  /// Layers in floating point, those that hurt most first.
  public var floatLayers: [Layer] { Self.worstFirst(layers.filter { $0.floatReason != nil }) }
  /// Layers whose error was measured, the worst first.
  public var measuredLayers: [Layer] { Self.worstFirst(layers.filter { $0.decibelsAlone != nil }) }

  private static func worstFirst(_ layers: [Layer]) -> [Layer] {
    layers.enumerated().sorted { ($0.element.decibelsAlone ?? .infinity, $0.offset) < ($1.element.decibelsAlone ?? .infinity, $1.offset) }.map(\.element)
  }
}
