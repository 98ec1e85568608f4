public import TensorTypes

/// The numbers that a quantised value can hold: an interval that contains 0.
public struct ValueRange: Sendable, Hashable {
  public var lower: Double
  public var upper: Double

  /// Widened to contain 0, so that padding and rectified numbers are exact. Infinite and missing bounds count as the largest f32.
  public init(_ lower: Double, _ upper: Double) {
    let most = Double(Float.greatestFiniteMagnitude)
    self.lower = lower.isNaN ? 0 : max(min(lower, 0), -most)
    self.upper = upper.isNaN ? 0 : min(max(upper, 0), most)
  }

  public var width: Double { upper - lower }

  /// The smallest range that contains both.
  public func union(_ other: ValueRange) -> ValueRange { ValueRange(min(lower, other.lower), max(upper, other.upper)) }
}

/// Scale and zero point of a value in bytes: `number = (byte - zero) * scale`.
public struct ByteScale: Sendable, Hashable {
  /// An f32, above 0.
  public let scale: Float
  public let zero: Int
  public let element: ElementType

  /// The 256 numbers that cover a range best, 0 among them.
  public init(covering range: ValueRange) {
    element = .u8
    scale = Self.ordinary(Float(range.width / 255))
    zero = min(max(Int((-range.lower / Double(scale)).rounded(.toNearestOrEven)), 0), 255)
  }

  /// As many numbers above 0 as below it: i8 with the zero point 0.
  public init(around range: ValueRange) {
    (element, zero) = (.i8, 0)
    scale = Self.ordinary(Float(max(-range.lower, range.upper) / 127))
  }

  private static func ordinary(_ step: Float) -> Float { step.isNormal && step < 0x1p100 ? step : step > 1 ? 0x1p100 : 1 }

  /// The number that a number becomes.
  public func rounded(_ value: Double) -> Double {
    let (least, most) = element == .i8 ? (-128.0, 127.0) : (0, 255)
    let byte = min(max((value / Double(scale)).rounded(.toNearestOrEven) + Double(zero), least), most)
    return (byte - Double(zero)) * Double(scale)
  }
}
