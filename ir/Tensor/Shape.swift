/// The extents of a tensor, outermost axis first. Tensors are row-major.
public struct Shape: Sendable, Hashable, ExpressibleByArrayLiteral, RandomAccessCollection {
  public var extents: [Extent]

  public init(_ extents: [Extent]) { self.extents = extents }
  public init(_ dimensions: [Int]) { extents = dimensions.map { Extent($0) } }
  public init(arrayLiteral elements: Extent...) { extents = elements }

  public var rank: Int { extents.count }
  public var startIndex: Int { 0 }
  public var endIndex: Int { extents.count }
  public subscript(axis: Int) -> Extent {
    get { extents[axis] }
    set { extents[axis] = newValue }
  }

  /// The dimensions, if every one is a constant.
  public var constants: [Int]? {
    var dimensions: [Int] = []
    for extent in extents {
      guard let value = extent.constant else { return nil }
      dimensions.append(value)
    }
    return dimensions
  }

  public var isStatic: Bool { extents.allSatisfy(\.isConstant) }

  /// The number of elements; `Extent.overflow` if it leaves 64 bits.
  public var elementCount: Extent { extents.reduce(1) { $0 * $1 } }

  public func substituting(_ bindings: [String: Extent]) -> Shape { Shape(extents.map { $0.substituting(bindings) }) }

  /// The dimensions under a binding of every symbol; nil if one is missing or an extent is negative or overflows.
  public func evaluated(_ bindings: [String: Int]) -> [Int]? {
    var dimensions: [Int] = []
    for extent in extents {
      guard let value = extent.evaluated(bindings), value >= 0 else { return nil }
      dimensions.append(value)
    }
    return dimensions
  }

  public var symbols: [String] { Set(extents.flatMap(\.symbols)).sorted() }

  /// The shape that two operands have after NumPy-style broadcasting; nil if they do not fit together.
  /// A symbolic extent against another one that is not 1 is taken to be equal to it; the constant wins.
  public func broadcast(with other: Shape) -> Shape? {
    var result: [Extent] = []
    for position in 0..<Swift.max(rank, other.rank) {
      let a = position < rank ? self[rank - 1 - position] : 1
      let b = position < other.rank ? other[other.rank - 1 - position] : 1
      if a == b || b == 1 { result.append(a) } else if a == 1 { result.append(b) } else if !a.isConstant || !b.isConstant {
        result.append(a.isConstant ? a : b)
      } else {
        return nil
      }
    }
    return Shape(result.reversed())
  }
}

extension Shape: CustomStringConvertible {
  public var description: String { "[" + extents.map(\.description).joined(separator: ",") + "]" }
}

/// Element type and shape.
public struct TensorType: Sendable, Hashable, CustomStringConvertible {
  public var element: ElementType
  public var shape: Shape

  public init(_ element: ElementType, _ shape: Shape) {
    self.element = element
    self.shape = shape
  }

  public var rank: Int { shape.rank }
  /// Size in bytes; `Extent.overflow` if it leaves 64 bits.
  public var byteCount: Extent { shape.elementCount * Extent(element.byteCount) }
  /// Such as `f32[batch,3,224,224]`.
  public var description: String { element.name + shape.description }
}

/// The number of elements of a concrete shape; nil if a dimension is negative or the product of those that are not zero leaves 63 bits.
///
/// So whatever passes has strides that can be counted, in any order of its axes, even where an axis is empty.
public func elementCount(of dimensions: [Int]) -> Int? {
  var count = 1
  var isEmpty = false
  for dimension in dimensions {
    if dimension == 0 {
      isEmpty = true
      continue
    }
    let (product, overflowed) = count.multipliedReportingOverflow(by: dimension)
    if dimension < 0 || overflowed { return nil }
    count = product
  }
  return isEmpty ? 0 : count
}
