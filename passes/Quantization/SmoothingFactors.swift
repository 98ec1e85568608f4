#if canImport(Glibc)
import Glibc
#endif
import GraphIR
import TensorTypes

/// How much of the range of activations is moved into the weights of matrix products.
public enum Smoothing: Sendable, Hashable {
  /// alpha, from 0 (nothing is moved) to 1, the same for all.
  case strength(Double)
  /// For each value the alpha whose noise is expected to be least; nothing is moved where that gains little.
  case measured
}

/// What each channel of the left operand of some matrix products is divided by, and the rows of their weights multiplied by.
///
///     s[j] = max|x[j]|^alpha / max|w[j]|^(1 - alpha)
///
/// `Smoothing.measured` compares alphas by the noise that rounding x and w to 8 bits adds to a product, if errors are spread evenly over
/// half a step to either side and do not depend on each other:
///
///     step(x)^2 / 12 * sum over j, n of (w[j, n] s[j])^2  +  sum over n of step(w[n])^2 / 12 * sum over j of average(x[j]^2) / s[j]^2
///
/// Source of the factors: Xiao et al., SmoothQuant (ICML 2023), equation 4.
struct SmoothingFactors {
  private let channels: ChannelStatistics
  /// Matrices [K, N] that read the value.
  private let weights: [Tensor]
  /// By row, over all matrices: the largest magnitude, and the sum of squares.
  private var largest: [Double]
  private var squares: [Double]

  /// What is tried: for most transformers the best lies in the upper half.
  private static let strengths = [0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1]
  /// The part of the noise that has to go for the multiplications to be worth their time.
  private static let leastGain = 0.1

  /// - Parameter weights: f32, each with as many rows as there are channels.
  init(_ channels: ChannelStatistics, _ weights: [Tensor]) {
    (self.channels, self.weights) = (channels, weights)
    let rows = channels.magnitudes.count
    var (largest, squares) = ([Double](repeating: 0, count: rows), [Double](repeating: 0, count: rows))
    for matrix in weights {
      matrix.withBytes { bytes in
        let columns = matrix.count / max(rows, 1)
        for row in 0..<rows {
          for column in 0..<columns {
            let value = Double(bytes.loadUnaligned(fromByteOffset: (row * columns + column) * 4, as: Float.self))
            largest[row] = max(largest[row], value.magnitude)
            squares[row] += value * value
          }
        }
      }
    }
    (self.largest, self.squares) = (largest, squares)
  }

  /// Nil if the value is to stay as it is.
  func chosen(_ smoothing: Smoothing) -> [Double]? {
    if case .strength(let strength) = smoothing { return factors(strength) }
    let plain = noise([Double](repeating: 1, count: largest.count))
    let best = Self.strengths.map { factors($0) }.map { (factors: $0, noise: noise($0)) }.min { $0.noise < $1.noise }
    return best.flatMap { $0.noise < plain * (1 - Self.leastGain) ? $0.factors : nil }
  }

  private func factors(_ strength: Double) -> [Double] {
    zip(channels.magnitudes, largest).map { x, w in
      // A channel that is always zero, or that nothing reads, needs no factor.
      let factor = pow(x, strength) / pow(w, 1 - strength)
      return x > 0 && w > 0 && factor.isFinite ? min(max(factor, 1e-5), 1e5) : 1
    }
  }

  private func noise(_ factors: [Double]) -> Double {
    let upper = zip(channels.uppers, factors).map { $0 / $1 }.max() ?? 0, lower = zip(channels.lowers, factors).map { $0 / $1 }.min() ?? 0
    let step = (upper - lower) / 255
    let ofActivations = step * step * zip(squares, factors).reduce(0) { $0 + $1.0 * $1.1 * $1.1 }
    let power = zip(channels.squares, factors).reduce(0) { $0 + $1.0 / ($1.1 * $1.1) }
    return ofActivations + power * weights.reduce(0) { $0 + squaredSteps($1, factors) }
  }

  /// The sum over the columns of a matrix of their squared steps.
  private func squaredSteps(_ matrix: Tensor, _ factors: [Double]) -> Double {
    let columns = matrix.count / max(factors.count, 1)
    var largest = [Float](repeating: 0, count: columns)
    largest.withUnsafeMutableBufferPointer { largest in
      matrix.withBytes { bytes in
        for (row, factor) in factors.enumerated() {
          let factor = Float(factor)
          for column in 0..<columns {
            largest[column] = max(largest[column], (bytes.loadUnaligned(fromByteOffset: (row * columns + column) * 4, as: Float.self) * factor).magnitude)
          }
        }
      }
    }
    return largest.reduce(0.0) { $0 + Double($1) * Double($1) } / (127 * 127)
  }
}
