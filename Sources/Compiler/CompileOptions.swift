import GraphIR
public import Lowering
public import ONNXFrontend
public import Passes
public import TensorTypes

public typealias WinogradUse = Lowering.WinogradUse
public typealias OptionalForm = ONNXFrontend.OptionalForm

/// What a compilation is asked for.
public struct CompileOptions: Sendable {
  /// Extents for symbolic axes by name (`--dim batch=1`).
  public var dimensions: [String: Int] = [:]
  /// Lengths of symbolic axes that get code of their own, beside the code for all lengths (`--dim batch=1,8,32`). With
  /// several symbols every combination does.
  public var variants: [String: [Int]] = [:]
  /// Whether a model with little to do and one symbolic axis gets code of its own for the length 1, if `variants` names nothing: there a
  /// call takes hardly longer than finding out how much is to be done.
  public var servesOneApart = false
  /// Whole shapes for inputs by name (`--shape image=1x3x224x224`).
  public var shapes: [String: [Int]] = [:]
  /// Inputs that are constants of the compiled model, by name (`--fix axes=axes.npy`). They are no part of its interface.
  public var fixed: [String: Tensor] = [:]
  /// The shapes of the elements of inputs that are sequences, by name (`--sequence x=2x3,4x3`).
  public var sequences: [String: [[Int]]] = [:]
  /// What inputs that are optionals hold, by name (`--optional x=absent`).
  public var optionals: [String: OptionalForm] = [:]
  /// Rounds of a loop whose number is not known before, and whose results are stacked: room is kept for so many.
  /// Nil: for 65536, unless they are very large.
  public var maximumTrips: Int?
  /// `native`, a level such as `x86-64-v3`, or an LLVM CPU name.
  public var target = "native"
  /// Threads the program should be able to use; nil means as many as this process may. With 1 there are no parallel loops.
  public var threads: Int?
  /// Whether 3x3 convolutions may be done by Winograd's method.
  public var winograd = WinogradUse.automatic
  public var precision = Precision.fp32
  /// Samples to learn from, where something asked for needs them.
  public var calibration: CalibrationOptions?
  /// What is left out of the model.
  public var pruning: PruningOptions?
  /// Integers in place of floating point; nil leaves the model's numbers alone.
  public var quantization: QuantizationOptions?
  public var passes = PassOptions()
  /// `seconds` and `memory` are for the caller to watch over.
  public var limits = CompileLimits()
  public var tuning = TuningOptions()
  /// Where objects are kept from one compilation to the next; nil keeps none. See `usualCacheFolder`.
  public var cacheFolder: String?
  /// The name that the artifact serves under; nil means the file's name.
  public var modelName: String?
  public var modelVersion = "1"
  /// Class names for the artifact's manifest.
  public var labels: [String] = []

  public init() {}

  /// What the command line uses: `INGOT_CACHE`, or `ingot` in `XDG_CACHE_HOME` or `~/.cache`; nil if `INGOT_CACHE` is `off`.
  public static var usualCacheFolder: String? { ObjectCache.usualFolder() }

  /// Every combination is compiled and its code kept.
  public static let mostVariants = 16

  /// The combinations of `variants`.
  ///
  /// - Throws: `CompileError`: `.usage` if there are more than `mostVariants`.
  func combinations() throws(CompileError) -> [[String: Int]] {
    var count = 1
    for lengths in variants.values {
      let (product, overflowed) = count.multipliedReportingOverflow(by: Set(lengths).count)
      count = overflowed ? .max : product
    }
    guard count <= Self.mostVariants else {
      throw CompileError(
        .usage, "--dim names \(count) combinations of lengths; at most \(Self.mostVariants) get code of their own", stage: .load,
        hint: "name the ones that matter: the code for all lengths serves the others")
    }
    var combinations: [[String: Int]] = variants.isEmpty ? [] : [[:]]
    for (symbol, lengths) in variants.sorted(by: { $0.key < $1.key }) {
      combinations = combinations.flatMap { combination in
        Set(lengths).sorted().map { length in combination.merging([symbol: length]) { $1 } }
      }
    }
    return combinations
  }
}
