/// What pruning did to each layer, in the order of the model.
public struct PruningReport: Sendable {
  public struct Layer: Sendable {
    public var name: String
    /// Shapes of its weights.
    public var before: [Int]
    public var after: [Int]
    /// The part of the weights that is left.
    public var kept: Double
    /// The error that pruning causes in the layer's result on the samples, relative to it (root of the ratio of the squares): as the
    /// weights were left, and after their reconstruction; nil without samples.
    public var error: (before: Double, after: Double)?
    /// How its kernel was chosen, once it is: the sparse one, or why not.
    public var kernel: String?
  }
  public var layers: [Layer] = []
  /// Layers that were left alone, with the reason.
  public var refused: [(name: String, reason: String)] = []
  /// Bytes of all constants.
  public var bytesBefore = 0
  public var bytesAfter = 0

  /// A line for each layer.
  public var text: String {
    func percent(_ part: Double) -> String { "\((part * 1000).rounded() / 10) %" }
    func shape(_ dimensions: [Int]) -> String { "[" + dimensions.map(String.init).joined(separator: ",") + "]" }
    var lines: [String] = []
    for layer in layers {
      var line = "pruned  \(layer.name): " + (layer.before == layer.after ? shape(layer.before) : "\(shape(layer.before)) -> \(shape(layer.after))") + ", \(percent(layer.kept)) kept"
      if let error = layer.error { line += ", error \(percent(error.before)) -> \(percent(error.after)) of its result" }
      if let kernel = layer.kernel { line += "; \(kernel)" }
      lines.append(line)
    }
    for (name, reason) in refused { lines.append("left    \(name): \(reason)") }
    return lines.joined(separator: "\n")
  }
}
