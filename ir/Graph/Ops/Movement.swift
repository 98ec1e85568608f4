import TensorTypes

/// Repeats a tensor along axes of extent 1 and along new leading axes.
///
///     %y = broadcast %x {shape = [batch, 64, 56]} : f32[batch,64,56]
///
/// - Operands: `x`; its axes line up with the last ones of `shape`, each equal to it or 1.
/// - Source: NumPy broadcasting; ONNX `Expand`.
public struct Broadcast: Operation {
  public var shape: Shape
  public init(to shape: Shape) { self.shape = shape }

  public static let mnemonics = ["broadcast"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("shape", .extents(shape.extents))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) { self.init(to: Shape(try attributes.extents("shape"))) }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    let source = operands[0].shape
    guard source.rank <= shape.rank else { throw TypeError("`broadcast` of \(operands[0]) to the lower rank of \(shape)") }
    for axis in 0..<source.rank where source[axis] != 1 && source[axis] != shape[shape.rank - source.rank + axis] {
      throw TypeError("`broadcast` cannot repeat \(operands[0]) to \(shape): axis \(axis) is \(source[axis])")
    }
    return [TensorType(operands[0].element, shape)]
  }
  public func substituting(_ bindings: [String: Extent]) -> Broadcast { Broadcast(to: shape.substituting(bindings)) }
}

/// The same elements in row-major order under another shape.
///
///     %y = reshape %x {shape = [batch, 1024]} : f32[batch,1024]
///
/// - Operands: `x`, with as many elements as `shape`.
public struct Reshape: Operation {
  public var shape: Shape
  public init(to shape: Shape) { self.shape = shape }

  public static let mnemonics = ["reshape"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("shape", .extents(shape.extents))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) { self.init(to: Shape(try attributes.extents("shape"))) }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    let (before, after) = (operands[0].shape.elementCount, shape.elementCount)
    // Two symbolic counts that differ in form may still be equal; two constants may not.
    if let a = before.constant, let b = after.constant, a != b {
      throw TypeError("`reshape` of \(operands[0]) (\(a) elements) to \(shape) (\(b) elements)")
    }
    return [TensorType(operands[0].element, shape)]
  }
  public func substituting(_ bindings: [String: Extent]) -> Reshape { Reshape(to: shape.substituting(bindings)) }
}

/// Permutes the axes: axis `i` of the result is axis `permutation[i]` of the operand.
///
///     %y = transpose %x {permutation = [0, 2, 3, 1]} : f32[1,56,56,64]
public struct Transpose: Operation {
  public var permutation: [Int]
  public init(_ permutation: [Int]) { self.permutation = permutation }

  public static let mnemonics = ["transpose"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("permutation", .integers(permutation))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) { self.init(try attributes.integers("permutation")) }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    guard permutation.sorted() == Array(0..<operands[0].rank) else { throw TypeError("\(permutation) is no permutation of the axes of \(operands[0])") }
    return [TensorType(operands[0].element, Shape(permutation.map { operands[0].shape[$0] }))]
  }
  public var isIdentity: Bool { permutation == Array(permutation.indices) }
  /// The permutation that undoes this one.
  public var inverse: Transpose {
    var inverse = [Int](repeating: 0, count: permutation.count)
    for (position, axis) in permutation.enumerated() { inverse[axis] = position }
    return Transpose(inverse)
  }
}

/// A rectangular part with constant steps.
///
///     %y = slice %x {starts = [0, 1], sizes = [batch, 4], steps = [1, 2]} : f32[batch,4]
///
/// Element `i` of an axis is element `start + i * step` of the operand; steps are at least 1 and the range lies
/// within the operand (the frontend clamps; negative steps become `reverse`).
public struct Slice: Operation {
  public var starts: [Extent]
  public var sizes: [Extent]
  public var steps: [Int]
  public init(starts: [Extent], sizes: [Extent], steps: [Int]) { (self.starts, self.sizes, self.steps) = (starts, sizes, steps) }

  public static let mnemonics = ["slice"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("starts", .extents(starts))
    list.set("sizes", .extents(sizes))
    list.set("steps", .integers(steps))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    let starts = try attributes.extents("starts")
    self.init(starts: starts, sizes: try attributes.extents("sizes"), steps: try attributes.integers("steps", default: starts.map { _ in 1 }))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    let shape = operands[0].shape
    guard starts.count == shape.rank, sizes.count == shape.rank, steps.count == shape.rank else {
      throw TypeError("`slice` needs a start, a size and a step for each axis of \(operands[0])")
    }
    for axis in 0..<shape.rank {
      guard steps[axis] >= 1 else { throw TypeError("`slice` has step \(steps[axis]) on axis \(axis)") }
      let last = starts[axis] + (sizes[axis] - 1) * Extent(steps[axis])
      guard !last.isOverflow, !starts[axis].isOverflow, !sizes[axis].isOverflow else { throw TypeError("`slice` of axis \(axis) reaches beyond 64 bits") }
      if let start = starts[axis].constant, start < 0 { throw TypeError("`slice` starts at \(start) on axis \(axis)") }
      if let size = sizes[axis].constant, size <= 0 { continue }
      if let room = (shape[axis] - 1 - last).constant, room < 0 {
        throw TypeError("`slice` reaches element \(last) of axis \(axis) of \(operands[0])")
      }
    }
    return [TensorType(operands[0].element, Shape(sizes))]
  }
  public func substituting(_ bindings: [String: Extent]) -> Slice {
    Slice(starts: starts.map { $0.substituting(bindings) }, sizes: sizes.map { $0.substituting(bindings) }, steps: steps)
  }
}

/// Adds elements before and after along each axis.
///
///     %y = pad %x, %zero {low = [0, 0, 1, 1], high = [0, 0, 1, 1]} : f32[1,3,226,226]
///     %y = pad %x {low = [1], high = [1], mode = reflect} : f32[10]
///
/// - Operands: `x`; in mode `constant` also `value`, a scalar. Amounts are not negative (the frontend slices).
/// - Modes: `constant`; `edge` repeats the border; `reflect` mirrors without the border; `wrap` continues from the other side.
public struct Pad: Operation {
  public enum Mode: String, Sendable, Hashable, CaseIterable { case constant, edge, reflect, wrap }
  public var low: [Extent]
  public var high: [Extent]
  public var mode: Mode
  public init(low: [Extent], high: [Extent], mode: Mode = .constant) { (self.low, self.high, self.mode) = (low, high, mode) }

  public static let mnemonics = ["pad"]
  public var arity: ClosedRange<Int> { mode == .constant ? 2...2 : 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("low", .extents(low))
    list.set("high", .extents(high))
    list.set("mode", mode, unless: .constant) { .word($0.rawValue) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(low: try attributes.extents("low"), high: try attributes.extents("high"), mode: try attributes.word("mode", as: Mode.self, default: .constant))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    let shape = operands[0].shape
    guard low.count == shape.rank, high.count == shape.rank else { throw TypeError("`pad` needs two amounts for each axis of \(operands[0])") }
    if mode == .constant {
      guard operands[1].rank == 0, operands[1].element == operands[0].element else {
        throw TypeError("the value of `pad` must be a scalar \(operands[0].element.name), not \(operands[1])")
      }
    }
    for amount in low + high where (amount.constant ?? 0) < 0 { throw TypeError("`pad` has a negative amount: \(amount)") }
    for axis in 0..<shape.rank where mode == .reflect || mode == .wrap {
      let most = mode == .reflect ? shape[axis] - 1 : shape[axis]
      for amount in [low[axis], high[axis]] where ((most - amount).constant ?? 0) < 0 && amount != 0 {
        throw TypeError("`pad` of \(amount) by \(mode.rawValue) needs more elements than axis \(axis) of \(operands[0]) has")
      }
    }
    return [TensorType(operands[0].element, Shape((0..<shape.rank).map { low[$0] + shape[$0] + high[$0] }))]
  }
  public func substituting(_ bindings: [String: Extent]) -> Pad {
    Pad(low: low.map { $0.substituting(bindings) }, high: high.map { $0.substituting(bindings) }, mode: mode)
  }
}

/// Tensors one after the other along an axis.
///
///     %y = concatenate %a, %b {axis = 1} : f32[1,128,56,56]
public struct Concatenate: Operation {
  public var axis: Int
  public init(axis: Int) { self.axis = axis }

  public static let mnemonics = ["concatenate"]
  public var arity: ClosedRange<Int> { 1...Int.max }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("axis", .integer(axis))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) { self.init(axis: try attributes.integer("axis")) }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireSameElement(operands)
    try requireAxis(axis, of: operands[0])
    var result = operands[0]
    for type in operands.dropFirst() {
      var (a, b) = (result.shape, type.shape)
      guard a.rank == b.rank else { throw TypeError("`concatenate` of ranks \(a.rank) and \(b.rank)") }
      (a[axis], b[axis]) = (0, 0)
      guard a == b else { throw TypeError("`concatenate` along axis \(axis) of \(operands.map(\.description).joined(separator: ", "))") }
      result.shape[axis] = result.shape[axis] + type.shape[axis]
    }
    return [result]
  }
}

/// The elements of some axes in the opposite order.
///
///     %y = reverse %x {axes = [0]} : f32[64,256]
public struct Reverse: Operation {
  public var axes: [Int]
  public init(axes: [Int]) { self.axes = axes }

  public static let mnemonics = ["reverse"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("axes", .integers(axes))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) { self.init(axes: try attributes.integers("axes")) }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireAxes(axes, of: operands[0])
    return [operands[0]]
  }
}
