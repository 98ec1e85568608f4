import Foundation
import TensorTypes

/// Signal over noise of a model's outputs against those of another one, in decibels: the worst of the outputs that are floating point.
struct SignalToNoise {
  private var signal: [Double] = []
  private var noise: [Double] = []
  /// Of each output, whether the other model has given a finite number for it.
  private var isFinite: [Bool] = []

  /// Takes in the results of one sample. Where the reference is no finite number, nothing is compared.
  mutating func add(_ results: [Tensor], reference: [Tensor]) {
    if signal.isEmpty {
      (signal, noise) = ([Double](repeating: 0, count: reference.count), [Double](repeating: 0, count: reference.count))
      isFinite = [Bool](repeating: false, count: reference.count)
    }
    for (output, (result, exact)) in zip(results, reference).enumerated() where exact.element.isFloatingPoint || !reference.contains(where: { $0.element.isFloatingPoint }) {
      guard result.dimensions == exact.dimensions, exact.element.isNumber else { continue }
      let sums = result.withBytes { a in
        exact.withBytes { b in
          result.element == .f32 && exact.element == .f32 ? Sums(floats: a, reference: b, count: exact.count) : Sums(result.element, a, exact.element, b, count: exact.count)
        }
      }
      signal[output] += sums.signal
      noise[output] += sums.noise.isNaN ? .infinity : sums.noise
      if sums.isFinite { isFinite[output] = true }
    }
  }

  /// False if there was no finite number to compare with.
  var hasNumbers: Bool { isFinite.contains(true) }

  /// Infinite where nothing differs.
  var decibels: Double {
    var worst = Double.infinity
    for output in isFinite.indices where isFinite[output] && noise[output] != 0 {
      worst = min(worst, signal[output] == 0 ? -.infinity : 10 * log10(signal[output] / noise[output]))
    }
    return worst
  }
}

/// Sums of squares over one tensor.
private struct Sums {
  var signal = 0.0
  /// NaN or infinite if some number is not finite where that of the reference is.
  var noise = 0.0
  var isFinite = false

  /// Any elements.
  init(_ element: ElementType, _ a: UnsafeRawBufferPointer, _ reference: ElementType, _ b: UnsafeRawBufferPointer, from first: Int = 0, count: Int) {
    for position in first..<max(first, count) { add(Tensor.double(a, element, position), Tensor.double(b, reference, position)) }
  }

  private mutating func add(_ x: Double, _ y: Double) {
    guard y.isFinite else { return }
    isFinite = true
    signal += y * y
    noise += (x - y) * (x - y)
  }

  /// f32, eight at a time: differences in f32, squares and sums in f64.
  init(floats a: UnsafeRawBufferPointer, reference b: UnsafeRawBufferPointer, count: Int) {
    typealias Numbers = SIMD8<Float>
    let most = Numbers(repeating: .greatestFiniteMagnitude)
    let whole = count / 8 * 8
    self.init(.f32, a, .f32, b, from: whole, count: count)
    var (signals, noises) = (SIMD8<Double>.zero, SIMD8<Double>.zero)
    var position = 0
    while position < whole {
      let x = a.loadUnaligned(fromByteOffset: position * 4, as: Numbers.self), y = b.loadUnaligned(fromByteOffset: position * 4, as: Numbers.self)
      let isNumber = (y .<= most) .& (y .>= -most)
      let exact = SIMD8<Double>(Numbers.zero.replacing(with: y, where: isNumber)), difference = SIMD8<Double>(Numbers.zero.replacing(with: x - y, where: isNumber))
      signals += exact * exact
      noises += difference * difference
      if !isFinite { isFinite = any(isNumber) }
      position += 8
    }
    signal += signals.sum()
    noise += noises.sum()
  }
}
