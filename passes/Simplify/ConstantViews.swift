import GraphIR
import TensorTypes
#if canImport(Glibc)
import Glibc
#endif

/// Numbers of a constant that vary along one axis at most.
struct AxisVector: Sendable, Equatable {
  /// One number for each index of the axis, or a single one that holds for all.
  var values: [Double]

  var isSplat: Bool { values.count == 1 }
  subscript(index: Int) -> Double { values[isSplat ? 0 : index] }

  func map(_ transform: (Double) -> Double) -> AxisVector { AxisVector(values: values.map(transform)) }

  func combined(with other: AxisVector, _ transform: (Double, Double) -> Double) -> AxisVector {
    if isSplat && other.isSplat { return AxisVector(values: [transform(values[0], other.values[0])]) }
    return AxisVector(values: (0..<max(values.count, other.values.count)).map { transform(self[$0], other[$0]) })
  }

  /// True if no number becomes infinite, NaN, or loses digits to underflow in an element type.
  func isOrdinary(in element: ElementType) -> Bool {
    let (smallest, largest): (Double, Double)
    switch element {
    case .f64: (smallest, largest) = (Double.leastNormalMagnitude, Double.greatestFiniteMagnitude)
    case .f16: (smallest, largest) = (0x1p-14, 65504)
    case .f32, .bf16: (smallest, largest) = (Double(Float.leastNormalMagnitude), Double(Float.greatestFiniteMagnitude))
    default: return false
    }
    return values.allSatisfy { $0 == 0 || ($0.magnitude >= smallest && $0.magnitude <= largest) }
  }
}

extension Tensor {
  /// True if every element has the same bits. An empty tensor is not uniform.
  var isUniform: Bool {
    guard count > 0 else { return false }
    return withBytes { bytes in
      guard let base = bytes.baseAddress else { return false }
      return memcmp(base, base + element.byteCount, bytes.count - element.byteCount) == 0
    }
  }

  /// The first element, with no axes.
  var firstElement: Tensor? { count > 0 ? Tensor(element, [], storage: storage, byteOffset: byteOffset) : nil }
}

extension Graph {
  /// The constant behind a value, through broadcasts that only repeat it.
  func constantSource(_ id: ValueID) -> Tensor? {
    var id = id
    while let (node, _) = producer(of: id, as: Broadcast.self) { id = node.operands[0] }
    return constant(id)
  }

  /// True for constants and for repetitions of one.
  func isConstantLike(_ id: ValueID) -> Bool { constantSource(id) != nil }

  /// The number that every element is, if the value is a constant of one number, repeated or not.
  func splat(_ id: ValueID) -> Double? {
    guard let tensor = constantSource(id), tensor.element != .string, tensor.isUniform, let first = tensor.firstElement else { return nil }
    return first.withBytes { Tensor.double($0, first.element, 0) }
  }

  /// The numbers of a constant that varies along `axis` of its type only.
  func axisVector(_ id: ValueID, along axis: Int) -> AxisVector? {
    guard let tensor = constantSource(id) else { return nil }
    if tensor.count > 1, tensor.isUniform, let value = splat(id) { return AxisVector(values: [value]) }
    let offset = type(of: id).rank - tensor.dimensions.count
    for (position, dimension) in tensor.dimensions.enumerated() where dimension != 1 && position + offset != axis { return nil }
    return tensor.count == 0 ? nil : AxisVector(values: tensor.doubles)
  }

  /// The only axis along which a constant varies, and its numbers; axis 0 for a splat.
  func axisVector(_ id: ValueID) -> (axis: Int, vector: AxisVector)? {
    guard let tensor = constantSource(id), tensor.count > 0 else { return nil }
    if let value = splat(id) { return (0, AxisVector(values: [value])) }
    let wide = tensor.dimensions.indices.filter { tensor.dimensions[$0] != 1 }
    guard wide.count == 1 else { return nil }
    return (wide[0] + type(of: id).rank - tensor.dimensions.count, AxisVector(values: tensor.doubles))
  }
}

extension Rewriter {
  /// A constant along one axis, repeated to a type.
  mutating func insert(_ vector: AxisVector, along axis: Int, as type: TensorType) throws(TypeError) -> ValueID {
    let dimensions = vector.isSplat ? [] : [vector.values.count] + [Int](repeating: 1, count: type.rank - 1 - axis)
    return try broadcast(constant(Tensor(type.element, dimensions, vector.values)), to: type.shape)
  }

  /// One number, repeated to a type.
  mutating func splat(_ value: Double, as type: TensorType) throws(TypeError) -> ValueID {
    try broadcast(constant(Tensor(scalar: value, type.element)), to: type.shape)
  }
}
