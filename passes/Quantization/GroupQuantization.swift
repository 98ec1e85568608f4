import GraphIR
import TensorTypes

/// How a matrix [K, N] of weights becomes numbers of few bits: which of them share a scale, and how the scale is found.
///
/// - Symmetric: w = scale * q. For 4 bits the scale of each group is searched: for several first guesses around max|w| / 7.5, of either sign so
///   that -8 is used as well, the numbers are rounded, the scale that is best for these numbers in the sense of least squares is
///   sum(w q) / sum(q q), and the guess with the least error wins. For 8 bits it is max|w| / 127.
/// - Asymmetric: w = scale * (q - zero), from the least and the greatest weight of a group, 0 included.
///
/// Error of the weights in 4 bits, relative (L2), groups of 32 / 64 / 128, measured on 768 x 2048 random numbers:
///
///     normal                         max|w| / 7  9.7 / 10.8 / 11.7 %   searched  8.1 /  9.0 /  9.7 %   asymmetric  8.1 /  9.1 / 10.1 %
///     Student's t, 4 degrees        max|w| / 7 13.1 / 16.0 / 19.2 %   searched 11.1 / 13.4 / 15.8 %   asymmetric  9.7 / 11.9 / 14.5 %
///
/// Symmetric numbers are the usual ones, because they need no second table; heavy tails speak for asymmetric ones. 8 bits: 0.8 and 1.7 % by columns.
///
/// Scales of groups are stored as bf16, before the numbers are rounded, so that they cost 0.5 bits a weight in groups of 32 and no accuracy.
public struct GroupQuantization: Sendable, Hashable {
  public var bits: Int
  /// Steps of the sum that share a scale; nil for a scale for each column.
  public var block: Int?
  public var isSymmetric: Bool

  public init(bits: Int, block: Int?, isSymmetric: Bool = true) { (self.bits, self.block, self.isSymmetric) = (bits, block, isSymmetric) }

  /// A matrix of few bits: `numbers` [K, N], and `scale` and `zero` [K / block, N], or [N] without groups.
  public struct Result: Sendable {
    public var numbers: Tensor
    public var scale: Tensor
    public var zero: Tensor?
    /// 0 without groups.
    public var block: Int
  }

  public var element: ElementType { bits == 4 ? (isSymmetric ? .i4 : .u4) : isSymmetric ? .i8 : .u8 }

  /// - Returns: nil if the tensor is no matrix of f32, f16 or bf16, or has numbers that are not finite.
  public func quantize(_ weights: Tensor) -> Result? {
    guard weights.dimensions.count == 2, weights.count > 0, bits == 4 || bits == 8, weights.element.isFloatingPoint, weights.element != .f64 else { return nil }
    let wide = weights.element == .f32 ? weights : Tensor(.f32, weights.dimensions, weights.doubles)
    let (steps, columns) = (weights.dimensions[0], weights.dimensions[1])
    let block = max(1, min(self.block ?? steps, steps))
    let groups = (steps + block - 1) / block
    let isGrouped = self.block != nil
    var (scales, zeros) = ([Float](repeating: 0, count: groups * columns), [UInt8](repeating: 0, count: isSymmetric ? 0 : groups * columns))
    var isFinite = true
    let numbers = Tensor(element, weights.dimensions) { target in
      wide.withBytes { source in
        let from = source.assumingMemoryBound(to: Float.self), to = target.assumingMemoryBound(to: Int8.self)
        for group in 0..<groups {
          let rows = group * block..<min(steps, (group + 1) * block)
          for first in stride(from: 0, to: columns, by: Lanes.scalarCount) {
            let used = min(Lanes.scalarCount, columns - first)
            let panel = Panel(from: from, rows: rows, columns: columns, first: first, used: used)
            let fit = isSymmetric ? symmetric(panel, isGrouped) : asymmetric(panel, isGrouped)
            panel.round(fit, range: range, into: to)
            for lane in 0..<used {
              scales[group * columns + first + lane] = fit.scale[lane]
              if !fit.scale[lane].isFinite { isFinite = false }
              if !isSymmetric { zeros[group * columns + first + lane] = UInt8(max(0, min(255, fit.zero[lane]))) }
            }
          }
        }
      }
    }
    guard isFinite else { return nil }
    let shape = isGrouped ? [groups, columns] : [columns]
    let scale = Tensor(isGrouped ? .bf16 : .f32, shape) { bytes in
      for (position, value) in scales.enumerated() {
        if isGrouped { bytes.storeBytes(of: Tensor.bfloat16(value), toByteOffset: position * 2, as: UInt16.self) } else {
          bytes.storeBytes(of: value, toByteOffset: position * 4, as: Float.self)
        }
      }
    }
    let zero = isSymmetric ? nil : Tensor(element, shape) { bytes in for (position, value) in zeros.enumerated() { bytes[position] = value } }
    return Result(numbers: numbers, scale: scale, zero: zero, block: isGrouped ? block : 0)
  }

  private var range: ClosedRange<Float> { bits == 4 ? (isSymmetric ? -8...7 : 0...15) : isSymmetric ? -127...127 : 0...255 }

  /// Columns side by side.
  fileprivate typealias Lanes = SIMD16<Float>

  fileprivate struct Fit {
    var scale: Lanes
    var zero: Lanes = .zero
  }

  private func stored(_ scale: Lanes, _ isGrouped: Bool) -> Lanes {
    guard isGrouped else { return scale }
    var rounded = scale
    for lane in rounded.indices { rounded[lane] = Float(bitPattern: UInt32(Tensor.bfloat16(scale[lane])) << 16) }
    return rounded
  }

  private func symmetric(_ panel: Panel, _ isGrouped: Bool) -> Fit {
    let (low, high) = panel.extremes()
    let magnitude = pointwiseMax(high, -low)
    if bits == 8 { return Fit(scale: stored(magnitude / 127, isGrouped)) }
    // The number of larger magnitude gets the sign that has one value more.
    var sign = Lanes(repeating: 1)
    sign.replace(with: -1, where: high .> -low)
    var (best, bestGain) = (magnitude / 7.5, Lanes(repeating: -1))
    for guess in Self.guesses {
      for side in guess.sides {
        let inverse = side * sign * guess.top / pointwiseMax(magnitude, Lanes(repeating: .leastNormalMagnitude))
        let (products, squares) = panel.fit(inverse, range)
        // What the best scale for these numbers takes off the sum of squares.
        let gain = products * products / pointwiseMax(squares, Lanes(repeating: 1))
        let isBetter = gain .> bestGain
        best.replace(with: products / pointwiseMax(squares, Lanes(repeating: 1)), where: isBetter)
        bestGain.replace(with: gain, where: isBetter)
      }
    }
    return Fit(scale: stored(best, isGrouped))
  }

  /// What the largest magnitude becomes, and on which side of 0.
  private static let guesses: [(top: Float, sides: [Float])] = [(8, [1]), (7, [1, -1]), (7.5, [1, -1]), (8.5, [1]), (9, [1]), (6.5, [1]), (10, [1])]

  private func asymmetric(_ panel: Panel, _ isGrouped: Bool) -> Fit {
    var (low, high) = panel.extremes()
    (low, high) = (pointwiseMin(low, .zero), pointwiseMax(high, .zero))
    let scale = stored((high - low) / range.upperBound, isGrouped)
    var safe = scale
    safe.replace(with: 1, where: scale .<= 0)
    return Fit(scale: scale, zero: Panel.rounded(-low / safe, range))
  }

  /// Some columns of a group.
  fileprivate struct Panel {
    let from: UnsafeBufferPointer<Float>
    let rows: Range<Int>
    let columns: Int, first: Int, used: Int

    @inline(__always) private func row(_ row: Int) -> Lanes {
      let start = row * columns + first
      if used == Lanes.scalarCount { return UnsafeRawPointer(from.baseAddress! + start).loadUnaligned(as: Lanes.self) }
      var lanes = Lanes.zero
      for lane in 0..<used { lanes[lane] = from[start + lane] }
      return lanes
    }

    func extremes() -> (low: Lanes, high: Lanes) {
      var (low, high) = (row(rows.lowerBound), row(rows.lowerBound))
      var sum = Lanes.zero
      for index in rows.dropFirst() {
        let values = row(index)
        low.replace(with: values, where: values .< low)
        high.replace(with: values, where: values .> high)
      }
      // A NaN anywhere has to be found.
      for index in rows { sum += row(index) * 0 }
      return (low + sum, high + sum)
    }

    /// To the nearest integer, ties to even; magnitudes up to 2^22.
    @inline(__always) static func rounded(_ values: Lanes, _ range: ClosedRange<Float>) -> Lanes { shifted(values, range) - shift }

    /// Integers, as the low bits of numbers whose last place is 1.
    ///
    /// `pointwiseMin` of vectors takes one lane after the other: 100 M weights of 4 bits took 17 s to quantize with it.
    @inline(__always) private static func shifted(_ values: Lanes, _ range: ClosedRange<Float>) -> Lanes {
      let (low, high) = (Lanes(repeating: range.lowerBound), Lanes(repeating: range.upperBound))
      var held = values
      held.replace(with: low, where: held .< low)
      held.replace(with: high, where: held .> high)
      return held + shift
    }
    private static let shift: Float = 12_582_912

    /// The sums of w q and q q for q = round(w * inverse).
    func fit(_ inverse: Lanes, _ range: ClosedRange<Float>) -> (products: Lanes, squares: Lanes) {
      var (products, squares) = (Lanes.zero, Lanes.zero)
      for index in rows {
        let values = row(index)
        let numbers = Self.rounded(values * inverse, range)
        products += values * numbers
        squares += numbers * numbers
      }
      return (products, squares)
    }

    func round(_ fit: Fit, range: ClosedRange<Float>, into target: UnsafeMutableBufferPointer<Int8>) {
      var inverse = Lanes(repeating: 1) / fit.scale
      inverse.replace(with: 0, where: fit.scale .== 0)
      for index in rows {
        let bits = unsafeBitCast(Self.shifted(row(index) * inverse + fit.zero, range), to: SIMD16<UInt32>.self)
        for lane in 0..<used { target[index * columns + first + lane] = Int8(truncatingIfNeeded: bits[lane]) }
      }
    }
  }
}
