import TensorTypes

/// How a window moves over spatial axes; all lists have one entry for each of them.
public struct Window: Sendable, Hashable {
  public var strides: [Int]
  public var padsLow: [Int]
  public var padsHigh: [Int]
  public var dilations: [Int]

  public init(strides: [Int], padsLow: [Int], padsHigh: [Int], dilations: [Int]) {
    (self.strides, self.padsLow, self.padsHigh, self.dilations) = (strides, padsLow, padsHigh, dilations)
  }

  /// Stride and dilation 1, no padding.
  public init(rank: Int) {
    let (ones, zeros) = ([Int](repeating: 1, count: rank), [Int](repeating: 0, count: rank))
    self.init(strides: ones, padsLow: zeros, padsHigh: zeros, dilations: ones)
  }

  /// Far above any window, and small enough that positions computed from a few of them stay far below 2^63.
  static let largestNumber = 1 << 31

  /// The extents of the result: floor((input + pads - dilation * (size - 1) - 1) / stride) + 1.
  ///
  /// - Source: ONNX `Conv`, `MaxPool` with `ceil_mode` 0.
  func output(_ input: [Extent], size: [Int]) throws(TypeError) -> [Extent] {
    let rank = input.count
    guard [strides.count, padsLow.count, padsHigh.count, dilations.count, size.count].allSatisfy({ $0 == rank }) else {
      throw TypeError("a window over \(rank) axes needs as many sizes, strides, pads and dilations")
    }
    guard strides.allSatisfy({ $0 >= 1 }), dilations.allSatisfy({ $0 >= 1 }), size.allSatisfy({ $0 >= 1 }), (padsLow + padsHigh).allSatisfy({ $0 >= 0 })
    else { throw TypeError("a window takes sizes, strides and dilations of at least 1 and no negative pads") }
    guard [strides, dilations, size, padsLow, padsHigh].allSatisfy({ $0.allSatisfy { $0 <= Self.largestNumber } }) else {
      throw TypeError("the sizes, strides, dilations and pads of a window are at most \(Self.largestNumber)")
    }
    var result: [Extent] = []
    for axis in 0..<rank {
      let reach = Extent(dilations[axis]) * Extent(size[axis] - 1) + 1
      let room = input[axis] + Extent(padsLow[axis]) + Extent(padsHigh[axis]) - reach
      if let value = room.constant, value < 0 {
        throw TypeError("a window of \(reach) does not fit into \(input[axis]) elements padded by \(padsLow[axis]) and \(padsHigh[axis])")
      }
      result.append(room.floorDivided(by: Extent(strides[axis])) + 1)
    }
    return result
  }

  var attributes: Attributes {
    var list = Attributes()
    list.set("strides", .integers(strides))
    list.set("pads", .integers(padsLow + padsHigh))
    list.set("dilations", dilations, unless: dilations.map { _ in 1 }) { .integers($0) }
    return list
  }

  init(_ attributes: Attributes) throws(TypeError) {
    let strides = try attributes.integers("strides")
    let pads = try attributes.integers("pads", default: [Int](repeating: 0, count: strides.count * 2))
    guard pads.count == strides.count * 2 else { throw TypeError("`pads` needs two numbers for each stride") }
    self.init(
      strides: strides, padsLow: Array(pads[..<strides.count]), padsHigh: Array(pads[strides.count...]),
      dilations: try attributes.integers("dilations", default: strides.map { _ in 1 }))
  }
}

/// Combines the elements under a window that moves over all axes.
///
///     %y = reduce_window %x {with = max, size = [1, 1, 3, 3], strides = [1, 1, 2, 2], pads = [0, 0, 1, 1, 0, 0, 1, 1]} : f32[1,64,56,56]
///
/// - Operands: `x`. Padding counts as the reducer's neutral element (0 for sum, the lowest value for max).
/// - Source: StableHLO `reduce_window`; ONNX `MaxPool`, and `AveragePool` as a sum and a division.
public struct ReduceWindow: Operation {
  public var reducer: Reducer
  /// One entry for each axis of the operand.
  public var size: [Int]
  public var window: Window
  public init(_ reducer: Reducer, size: [Int], window: Window) { (self.reducer, self.size, self.window) = (reducer, size, window) }

  public static let mnemonics = ["reduce_window"]
  public var arity: ClosedRange<Int> { 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("with", .word(reducer.rawValue))
    list.set("size", .integers(size))
    for entry in window.attributes.entries { list.set(entry.name, entry.value) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(try attributes.word("with", as: Reducer.self), size: try attributes.integers("size"), window: try Window(attributes))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    guard operands[0].element.isNumber else { throw TypeError("`reduce_window` does not take \(operands[0].element.name)") }
    try requireReducible(operands[0].element, by: reducer)
    return [TensorType(operands[0].element, Shape(try window.output(operands[0].shape.extents, size: size)))]
  }
}
