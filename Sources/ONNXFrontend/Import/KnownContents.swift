import TensorTypes

/// What is known at import of one element of a small tensor.
enum KnownElement: Hashable {
  /// An integer expression over symbols, divided by a positive constant. Integers and booleans have the divisor 1;
  /// others come from code such as `floor(height * 0.5)`.
  case extent(Extent, over: Int)
  /// Any other number.
  case number(Double)

  init(_ value: Int) { self = .extent(Extent(value), over: 1) }

  /// A number as a fraction with a small power of two below, or as it is.
  init(_ value: Double) {
    var scaled = value
    if value == 0 && value.sign == .minus {
      self = .number(value)
      return
    }
    for shift in 0...8 {
      if scaled == scaled.rounded(), scaled.magnitude < 0x1p53 {
        self = .extent(Extent(Int(scaled)), over: 1 << shift)
        return
      }
      scaled *= 2
    }
    self = .number(value)
  }

  /// The integer expression, if it is one.
  var extent: Extent? {
    if case .extent(let extent, over: 1) = self { return extent }
    return nil
  }

  /// The value, if it names no symbol.
  var constant: Double? {
    switch self {
    case .number(let value): return value
    case .extent(let extent, let divisor): return extent.constant.map { Double($0) / Double(divisor) }
    }
  }

  /// The value, if it is an integer and names no symbol.
  var integer: Int? { extent?.constant }
}

/// The contents of a small tensor, as far as they are known at import: shape arithmetic as symbolic integers.
struct KnownContents {
  var dimensions: [Int]
  /// Row-major.
  var elements: [KnownElement]

  /// Larger tensors are data, not shapes.
  static let maximumCount = 1024
  /// The same for floating point, which is a shape more rarely.
  static let maximumNumberCount = 64

  init(dimensions: [Int], elements: [KnownElement]) { (self.dimensions, self.elements) = (dimensions, elements) }
  init(_ extents: [Extent]) { self.init(dimensions: [extents.count], elements: extents.map { .extent($0, over: 1) }) }
  init(scalar: Extent) { self.init(dimensions: [], elements: [.extent(scalar, over: 1)]) }

  /// The elements of a small constant.
  init?(_ tensor: Tensor) {
    guard tensor.element != .string, tensor.count <= (tensor.element.isFloatingPoint ? Self.maximumNumberCount : Self.maximumCount) else { return nil }
    dimensions = tensor.dimensions
    elements = tensor.element.isFloatingPoint ? tensor.doubles.map { KnownElement($0) } : tensor.integers.map { KnownElement($0) }
  }

  var extents: [Extent]? {
    var list: [Extent] = []
    for element in elements {
      guard let extent = element.extent else { return nil }
      list.append(extent)
    }
    return list
  }

  /// Contents of other dimensions, each element taken from a position of these; nil if there would be too many.
  func rearranged(to target: [Int], from source: ([Int]) -> [Int]) -> KnownContents? {
    guard let count = elementCount(of: target), count <= Self.maximumCount else { return nil }
    var result = KnownContents(dimensions: target, elements: [])
    var index = [Int](repeating: 0, count: target.count)
    for _ in 0..<count {
      let position = zip(source(index), dimensions).reduce(0) { $0 * $1.1 + $1.0 }
      guard elements.indices.contains(position) else { return nil }
      result.elements.append(elements[position])
      for axis in target.indices.reversed() {
        index[axis] += 1
        if index[axis] < target[axis] { break }
        index[axis] = 0
      }
    }
    return result
  }

  func reshaped(_ target: [Int]) -> KnownContents? {
    elementCount(of: target) == elements.count ? KnownContents(dimensions: target, elements: elements) : nil
  }

  /// The elements after NumPy broadcasting to dimensions that fit.
  func broadcast(to target: [Int]) -> [KnownElement]? {
    if dimensions == target { return elements }
    guard dimensions.count <= target.count, zip(dimensions.reversed(), target.reversed()).allSatisfy({ $0 == 1 || $0 == $1 }) else { return nil }
    let skipped = target.count - dimensions.count
    return rearranged(to: target) { index in dimensions.indices.map { dimensions[$0] == 1 ? 0 : index[$0 + skipped] } }?.elements
  }
}

extension Extent {
  /// A size of the expression, for refusing those that grow without bound.
  var complexity: Int {
    var total = 0
    for (_, factors) in sumOfProducts {
      total += 1
      for atom in factors {
        switch atom {
        case .symbol: total += 1
        case .floorDiv(let a, let b), .modulo(let a, let b), .maximum(let a, let b), .minimum(let a, let b): total += 1 + a.complexity + b.complexity
        }
      }
    }
    return total
  }

  /// Expressions of a greater complexity are not carried through shape arithmetic.
  static let maximumComplexity = 128

  /// A number that it is never less than (symbols are at least 0), or nil.
  var lowerBound: Int? {
    if isOverflow { return nil }
    var total = 0
    for (coefficient, factors) in sumOfProducts {
      if factors.isEmpty {
        total &+= coefficient
      } else if coefficient < 0 || !factors.allSatisfy(\.isNeverNegative) {
        return nil
      }
    }
    return total
  }

  /// True if the value is at least that of the other whatever the symbols are.
  func isProvablyAtLeast(_ other: Extent) -> Bool { ((self - other).lowerBound ?? -1) >= 0 }
  func isProvablyDifferent(from other: Extent) -> Bool { isProvablyAtLeast(other + 1) || other.isProvablyAtLeast(self + 1) }

  /// The smaller one, without a `min` where the order is known.
  static func least(_ a: Extent, _ b: Extent) -> Extent { a.isProvablyAtLeast(b) ? b : b.isProvablyAtLeast(a) ? a : .minimum(a, b) }
  static func greatest(_ a: Extent, _ b: Extent) -> Extent { a.isProvablyAtLeast(b) ? a : b.isProvablyAtLeast(a) ? b : .maximum(a, b) }
}

extension Extent.Atom {
  var isNeverNegative: Bool {
    switch self {
    case .symbol: true
    case .floorDiv(let a, let b): (a.lowerBound ?? -1) >= 0 && (b.lowerBound ?? 0) >= 1
    case .modulo(_, let b): (b.lowerBound ?? 0) >= 1
    case .maximum(let a, let b): (a.lowerBound ?? -1) >= 0 || (b.lowerBound ?? -1) >= 0
    case .minimum(let a, let b): (a.lowerBound ?? -1) >= 0 && (b.lowerBound ?? -1) >= 0
    }
  }
}
