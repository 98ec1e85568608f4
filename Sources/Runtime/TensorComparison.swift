public import TensorTypes

/// How far a number may be from the expected one: `|got - want| <= absolute + relative * |want|`.
public struct Tolerance: Sendable, Hashable {
  public var relative: Double
  public var absolute: Double

  public init(relative: Double, absolute: Double) {
    self.relative = relative
    self.absolute = absolute
  }

  /// What the runner of the ONNX backend tests uses.
  public static let onnxBackendTest = Tolerance(relative: 1e-3, absolute: 1e-7)

  /// For this element type: bfloat16 carries 8 bits, so it is given 2^-6.
  func adapted(to element: ElementType) -> Tolerance {
    element == .bf16 ? Tolerance(relative: max(relative, 0x1p-6), absolute: absolute) : self
  }
}

/// The outcome of comparing a result with what was expected.
public struct TensorComparison: Sendable, Hashable {
  /// The first element that is too far off, by its row-major index.
  public struct Difference: Sendable, Hashable {
    public var index: [Int]
    public var got: Double
    public var want: Double
    /// Of strings: the two texts in quotes.
    public var gotText: String?
    public var wantText: String?
  }

  /// Set if the two cannot be compared at all: another element type or shape.
  public var mismatch: String?
  public var differingElements = 0
  public var first: Difference?
  /// Over all pairs of finite elements; infinite if one is finite and the other not.
  public var largestAbsoluteError = 0.0
  /// `|got - want| / |want|` where that counts: a `want` below the absolute tolerance is taken as that tolerance.
  public var largestRelativeError = 0.0

  public var passed: Bool { mismatch == nil && differingElements == 0 }

  /// NaN matches NaN, an infinity matches the same infinity only, other numbers match within the tolerance.
  public init(_ got: Tensor, against want: Tensor, tolerance: Tolerance = .onnxBackendTest) {
    guard got.element == want.element, got.dimensions == want.dimensions else {
      mismatch = "is \(got.type), expected \(want.type)"
      largestAbsoluteError = .infinity
      largestRelativeError = .infinity
      return
    }
    if want.element == .string {
      compareTexts(got, want)
      return
    }
    let limit = tolerance.adapted(to: want.element)
    let floor = max(limit.absolute, .leastNormalMagnitude)
    got.withBytes { gotBytes in
      want.withBytes { wantBytes in
        for position in 0..<want.count {
          let (a, b) = (Tensor.double(gotBytes, got.element, position), Tensor.double(wantBytes, want.element, position))
          if a == b || a.isNaN && b.isNaN { continue }
          let error = a.isFinite && b.isFinite ? abs(a - b) : .infinity
          largestAbsoluteError = max(largestAbsoluteError, error)
          largestRelativeError = max(largestRelativeError, error / max(b.isFinite ? abs(b) : floor, floor))
          if error <= limit.absolute + limit.relative * abs(b), error.isFinite { continue }
          differingElements += 1
          if first == nil { first = Difference(index: Self.index(of: position, in: want.dimensions), got: a, want: b) }
        }
      }
    }
  }

  /// Strings are equal byte by byte or differ.
  private mutating func compareTexts(_ got: Tensor, _ want: Tensor) {
    for (position, (a, b)) in zip(got.texts, want.texts).enumerated() where a != b {
      differingElements += 1
      largestAbsoluteError = .infinity
      largestRelativeError = .infinity
      if first == nil {
        first = Difference(
          index: Self.index(of: position, in: want.dimensions), got: 0, want: 0, gotText: a.string.debugDescription, wantText: b.string.debugDescription)
      }
    }
  }

  private static func index(of position: Int, in dimensions: [Int]) -> [Int] {
    var (rest, index) = (position, dimensions)
    for axis in dimensions.indices.reversed() {
      index[axis] = rest % dimensions[axis]
      rest /= dimensions[axis]
    }
    return index
  }
}
