import GraphIR
import Passes
import TensorTypes

/// Moves the weights of matrix products to numbers of few bits one step of the sum after the other, and lets the steps behind make up for what each
/// rounding changes on the samples (GPTQ). `quantize-weights`, which comes after it, finds the same numbers again.
struct WeightRounding {
  let form: GroupQuantization
  let compilation: CompileOptions
  let progress: @Sendable (Compiler.Progress) -> Void

  /// A layer's error on the samples, relative to its results: rounded to the nearest numbers, and by this.
  struct Layer: Sendable {
    var name: String
    var nearest: Double
    var compensated: Double
  }

  /// - Parameters:
  ///   - graph: In the portable form.
  ///   - isRounded: By the name of a layer's node: false where the weights stay in floating point.
  func run(_ graph: Graph, _ samples: CalibrationSamples, where isRounded: (String) -> Bool) throws(CompileError) -> (graph: Graph, layers: [Layer]) {
    let layers = graph.prunableWeights().weights.filter { !$0.isConvolution && isRounded($0.name) }
    let gathering = MomentGathering(compilation: compilation, progress: progress)
    var current = graph
    var report: [Layer] = []
    for round in gathering.rounds(layers.map(\.steps)) {
      let found = try gathering.moments(of: round.map { layers[$0].nodes }, in: current, samples)
      var constants: [ValueID: Tensor] = [:]
      for (number, moments) in zip(round, found) {
        let layer = layers[number]
        guard let moments, let original = graph.constant(layer.value), original.dimensions.count == 2 else { continue }
        let fit = LayerFit(moments, weights: layer.matrix(original), columns: layer.columns)
        guard let nearest = rounded(fit.weights, layer), let weights = compensated(fit, layer) else { continue }
        let (before, after) = (fit.error(of: nearest), fit.error(of: weights))
        report.append(Layer(name: layer.name, nearest: before, compensated: min(before, after)))
        if after < before { constants[layer.value] = layer.tensor(weights, original.dimensions) }
      }
      do throws(TypeError) { current = try current.replacing(constants: constants) } catch { throw CompileError(error, stage: .pass("quantize-weights")) }
      progress(Compiler.Progress(stage: "reconstruct", done: (round.last ?? 0) + 1, of: layers.count))
    }
    current.removeDeadNodes()
    return (current, report)
  }

  /// The scales (and zeros) that a group of rows gets.
  private struct Grid {
    var scale: [Double]
    var zero: [Double]
    var range: ClosedRange<Double>

    func nearest(_ weight: Double, _ column: Int) -> Double {
      if scale[column] == 0 { return 0 }
      let number = (weight / scale[column] + zero[column]).rounded(.toNearestOrEven)
      return (min(max(number, range.lowerBound), range.upperBound) - zero[column]) * scale[column]
    }
  }

  private func grid(_ rows: ArraySlice<Double>, columns: Int) -> Grid? {
    let tensor = Tensor(.f32, [rows.count / columns, columns], Array(rows))
    var whole = form
    whole.block = form.block.map { _ in rows.count / columns }
    guard let result = whole.quantize(tensor) else { return nil }
    let range: ClosedRange<Double> = form.bits == 4 ? (form.isSymmetric ? -8...7 : 0...15) : form.isSymmetric ? -127...127 : 0...255
    return Grid(scale: result.scale.doubles, zero: result.zero?.doubles ?? [Double](repeating: 0, count: columns), range: range)
  }

  private func rounded(_ weights: [Double], _ layer: PrunableWeights) -> [Double]? {
    let block = form.block ?? layer.steps
    var result = weights
    for first in stride(from: 0, to: layer.steps, by: block) {
      let rows = first * layer.columns..<min(layer.steps, first + block) * layer.columns
      guard let grid = grid(weights[rows], columns: layer.columns) else { return nil }
      for place in rows { result[place] = grid.nearest(weights[place], place % layer.columns) }
    }
    return result
  }

  private func compensated(_ fit: LayerFit, _ layer: PrunableWeights) -> [Double]? {
    let (block, columns) = (form.block ?? layer.steps, layer.columns)
    var grid: Grid?
    return fit.swept { step, current in
      // A group's scales are found when the sweep reaches it: its weights have made up for the groups before by then.
      if step % block == 0 { grid = self.grid(current[step * columns..<min(layer.steps, step + block) * columns], columns: columns) ?? grid }
      guard let grid else { return }
      for column in 0..<columns { current[step * columns + column] = grid.nearest(current[step * columns + column], column) }
    }
  }
}
