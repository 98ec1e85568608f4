/// Whether kernels are measured, and where the answers are kept.
public struct TuningOptions: Sendable, Hashable {
  public enum Place: Sendable, Hashable {
    /// Beside the model, as `model.tuning.json`; read if it is there.
    case besideModel
    case file(String)
    /// No file is read or written.
    case none
  }
  /// About how long to measure; nil measures nothing.
  public var seconds: Double?
  public var place = Place.besideModel
  public init() {}

  /// The path for a model; nil for `none`.
  func path(for model: String) -> String? {
    switch place {
    case .besideModel: TuningFile.path(besideModel: model)
    case .file(let path): path
    case .none: nil
    }
  }
}

/// What tuning did.
public struct TuningReport: Sendable, Hashable {
  /// Different kernels with more than one candidate.
  public var kernels = 0
  /// Measured now; the others were known from the file, or time ran out.
  public var measured = 0
  public var known = 0
  /// Kernels that have symbolic extents, which cannot be measured.
  public var symbolic = 0
  /// Measured ones for which the fastest is not the one with the least estimate.
  public var changed = 0
  /// Of the measured kernels, as often as the model calls them: with the least estimate, and with the fastest.
  public var estimatedSeconds = 0.0
  public var fastestSeconds = 0.0
  public var seconds = 0.0

  public var line: String {
    func short(_ value: Double) -> String { "\((value * 100).rounded() / 100)" }
    var text = "tuned \(measured) of \(kernels) kernels in \(short(seconds)) s"
    if known > 0 { text += ", \(known) known" }
    if symbolic > 0 { text += ", \(symbolic) with symbolic extents cannot be measured" }
    if measured > 0 {
      text += "; \(changed) changed, \(short(estimatedSeconds * 1e3)) ms by estimate, \(short(fastestSeconds * 1e3)) ms by measurement"
    }
    return text
  }
}
