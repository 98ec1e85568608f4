import Foundation
import TensorTypes

/// Signal over noise of a model's outputs against those of another one, in decibels: the worst of the outputs that are floating point.
struct SignalToNoise {
  private var signal: [Double] = []
  private var noise: [Double] = []

  /// Takes in the results of one sample.
  mutating func add(_ results: [Tensor], reference: [Tensor]) {
    if signal.isEmpty { (signal, noise) = ([Double](repeating: 0, count: reference.count), [Double](repeating: 0, count: reference.count)) }
    for (output, (result, exact)) in zip(results, reference).enumerated() where exact.element.isFloatingPoint || !reference.contains(where: { $0.element.isFloatingPoint }) {
      guard result.dimensions == exact.dimensions, exact.element.isNumber else { continue }
      result.withBytes { a in
        exact.withBytes { b in
          for position in 0..<exact.count {
            let (x, y) = (Tensor.double(a, result.element, position), Tensor.double(b, exact.element, position))
            guard y.isFinite else { continue }
            signal[output] += y * y
            noise[output] += x.isFinite ? (x - y) * (x - y) : .infinity
          }
        }
      }
    }
  }

  /// Infinite where nothing differs.
  var decibels: Double {
    zip(signal, noise).map { signal, noise in noise == 0 ? .infinity : signal == 0 ? -.infinity : 10 * log10(signal / noise) }.min() ?? .infinity
  }
}
