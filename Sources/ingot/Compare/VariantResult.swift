import Artifact
import Compiler
import Runtime

/// What a comparison found out about one variant.
struct VariantResult {
  /// Time of one kernel call in one run.
  struct KernelTime {
    var name: String
    /// The nodes it computes.
    var origin: String
    var seconds: Double
    var flops: Int?
    var bytes: Int?
    var note: String
  }

  struct Figures {
    var latency: Benchmark.Result
    /// How many times faster than the baseline, slice by slice.
    var gain: AlternatingMeasurement.Ratio
    /// The median of every slice.
    var slices: [Double]
    /// Of as many runs at the same time as fill the processors.
    var runsPerSecond: Double
    var clients: Int
    var threads: Int
    var artifactBytes: Int
    var weightsBytes: Int
    var codeBytes: Int
    var arenaBytes: Int
    /// The most that the artifact's own process had in memory, mapped weights included; nil if that could not be seen.
    var residentBytes: Int?
    var compileSeconds: Double
    var compilePeakBytes: Int
    var stages: [(name: String, seconds: Double)]
    var kernelCalls: Int
    /// How far the results are from fp32.
    var deviations: [Deviation]
    /// Nil without labelled data.
    var accuracy: Accuracy?
    var kernels: [KernelTime]
    var passes: [PassEffect]
    /// Error of each layer; nil where none was made.
    var layers: JSON?
    /// What pruning did to each layer; nil without it.
    var prunedLayers: JSON?
    /// What its options did to the model, where they change its numbers.
    var remarks: [String]
    /// The variant whose artifact has the same code and weights; its times are this one's.
    var isSameAs: String?

    /// The largest relative error of an output.
    var error: Double { deviations.map(\.relativeL2).max() ?? 0 }
    var largestDifference: Double { deviations.map(\.largest).max() ?? 0 }
  }

  /// Right answers on labelled data.
  struct Accuracy: Sendable, Hashable {
    var samples: Int
    var top1: Int
    /// Nil where there are no more than five classes.
    var top5: Int?

    var top1Share: Double { samples > 0 ? Double(top1) / Double(samples) : 0 }
  }

  var variant: Variant
  var outcome: Result<Figures, VariantBuild.Failure>

  var figures: Figures? { try? outcome.get() }
  var failure: String? { if case .failure(let failure) = outcome { failure.message } else { nil } }
}
