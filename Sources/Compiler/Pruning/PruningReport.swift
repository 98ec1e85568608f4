import KernelIR

/// What pruning did to each layer, in the order of the model.
public struct PruningReport: Sendable {
  /// What became of one contraction.
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
    /// The same on samples that the weights were not fitted to, for channels.
    public var heldOut: Double?
    /// How its kernel was chosen, once it is: the sparse one, or why not.
    public var kernel: String?
  }
  public var layers: [Layer] = []
  /// Channels that were removed, of those that could be; nil for other ways of pruning. An attention head counts as its channels.
  public var channels: (removed: Int, of: Int)?
  /// Layers that were left alone, with the reason.
  public var refused: [(name: String, reason: String)] = []
  /// Bytes of all constants.
  public var bytesBefore = 0
  public var bytesAfter = 0

  /// The part of the layers' weights that is left.
  public var kept: Double {
    func count(_ dimensions: [Int]) -> Double { dimensions.reduce(1) { $0 * Double($1) } }
    let all = layers.reduce(0) { $0 + count($1.before) }
    return all > 0 ? layers.reduce(0) { $0 + count($1.before) * $1.kept } / all : 1
  }
}

extension PruningReport {
  /// With the kernel that each layer got: the sparse one, or why not, as whoever wrote the kernel says it.
  func naming(kernelsOf program: KernelProgram) -> PruningReport {
    var choices: [String: KernelChoice] = [:]
    for choice in program.calls.compactMap(\.choice) where !choice.node.isEmpty { choices[choice.node] = choices[choice.node] ?? choice }
    let reasons = Dictionary(program.refusals.filter { $0.way == "sparse-products" }.map { ($0.node, $0.reason) }, uniquingKeysWith: { first, _ in first })
    var report = self
    for number in report.layers.indices {
      let name = report.layers[number].name
      if let reason = reasons[name] {
        report.layers[number].kernel = "dense kernel: " + reason
        continue
      }
      guard let choice = choices[name] else { continue }
      let isSparse = choice.taken.contains("sparse")
      report.layers[number].kernel = isSparse ? "sparse kernel" : "dense kernel"
      let sparse = choice.candidates.filter { $0.name.contains("sparse") }.min { $0.cycles < $1.cycles }
      let dense = choice.candidates.filter { !$0.name.contains("sparse") }.min { $0.cycles < $1.cycles }
      if let sparse, let dense { report.layers[number].kernel? += ": estimated \(Self.text(sparse.cycles)) sparse, \(Self.text(dense.cycles)) dense" }
    }
    return report
  }

  private static func text(_ cycles: Double) -> String {
    let rounded = min(cycles.isFinite ? cycles : 0, 1e15)
    return rounded < 10_000 ? "\(Int(rounded)) cycles" : "\(Int((rounded / 1000).rounded())) thousand cycles"
  }
}
