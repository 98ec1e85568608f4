import TensorTypes

/// Matrix products over leading batch axes.
///
///     %c = dot %a, %b : f32[12,128,64]
///     %c = dot %u, %s {result = i32} : i32[128,64]
///
/// - Operands: `a` [batch..., M, K]; `b` [batch..., K, N], same element type and batch axes; with `result` i32 each is u8 or i8.
/// - Result: [batch..., M, N]. Other arrangements are `transpose` and `reshape` around it.
/// - Numerics: f32 is accumulated in f32, f16 and bf16 in f32, integers in their own width (wrapping).
/// - `result`: f32 keeps the sum of f16 or bf16 products as it was accumulated; i32 that of products of bytes (wrapping).
/// - Source: ONNX `MatMul`, `Gemm`, `Einsum`; `result` is `preferred_element_type` of StableHLO's `dot_general`.
public struct Dot: Operation {
  /// The result's element type; nil means that of the operands.
  public var result: ElementType?
  public init(result: ElementType? = nil) { self.result = result }
  public static let mnemonics = ["dot"]
  public var arity: ClosedRange<Int> { 2...2 }
  public var attributes: Attributes {
    var list = Attributes()
    if let result { list.set("result", .element(result)) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(result: attributes["result"] == nil ? nil : try attributes.element("result"))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireFactors(operands, result: result)
    let (a, b) = (operands[0].shape.extents, operands[1].shape.extents)
    guard a.count >= 2, a.count == b.count, a.dropLast(2) == b.dropLast(2), a[a.count - 1] == b[b.count - 2] else {
      throw TypeError("`dot` of \(operands[0]) and \(operands[1])", hint: "it takes [batch..., M, K] and [batch..., K, N]")
    }
    guard operands[0].element.isNumber else { throw TypeError("`dot` does not take \(operands[0].element.name)") }
    return [TensorType(try resultElement(result, of: operands[0].element), Shape(a.dropLast() + [b[b.count - 1]]))]
  }
}

extension Operation {
  /// Operands of one type, or bytes of either sign that are summed up in i32.
  fileprivate func requireFactors(_ operands: [TensorType], result: ElementType?) throws(TypeError) {
    if result == .i32, operands.allSatisfy({ $0.element.isByte }) { return }
    try requireSameElement(operands)
  }

  /// The element type of a contraction's result: that of its operands, or the wider one that they are accumulated in.
  fileprivate func resultElement(_ result: ElementType?, of operand: ElementType) throws(TypeError) -> ElementType {
    guard let result, result != operand else { return operand }
    guard (result == .f32 && operand.isNarrowFloat) || (result == .i32 && operand.isByte) else {
      throw TypeError(
        "`\(mnemonic)` of \(operand.name) cannot give \(result.name)", hint: "f32 is possible for narrower floating point, i32 for u8 and i8")
    }
    return result
  }
}

/// Convolution (cross-correlation) over the spatial axes; also its transpose, through `input_dilations`.
///
///     %y = convolution %x, %f {strides = [2, 2], pads = [1, 1, 1, 1], groups = 1} : f32[1,64,56,56]
///     %y = convolution %x, %f {strides = [1, 1], pads = [0, 0, 0, 0], layout = channels_last} : f32[1,56,56,64]
///
/// - Operands, channels first: `input` [N, C, spatial...]; `filter` [O, C / groups, window...].
///   Channels last: `input` [N, spatial..., C]; `filter` [window..., C / groups, O]. With `result` i32 each is u8 or i8.
/// - `input_dilations` d puts d - 1 zeros between neighbours of the input before the window moves over it.
/// - Source: ONNX `Conv` (a bias is an `add`); `ConvTranspose` with the filter flipped and its channel axes swapped.
public struct Convolution: Operation {
  public enum Layout: String, Sendable, Hashable, CaseIterable { case channelsFirst = "channels_first", channelsLast = "channels_last" }
  public var window: Window
  public var inputDilations: [Int]
  public var groups: Int
  public var layout: Layout
  /// The result's element type, as for `dot`; nil means that of the operands.
  public var result: ElementType?

  public init(window: Window, inputDilations: [Int]? = nil, groups: Int = 1, layout: Layout = .channelsFirst, result: ElementType? = nil) {
    self.result = result
    self.window = window
    self.inputDilations = inputDilations ?? window.strides.map { _ in 1 }
    self.groups = groups
    self.layout = layout
  }

  public static let mnemonics = ["convolution"]
  public var arity: ClosedRange<Int> { 2...2 }
  public var attributes: Attributes {
    var list = window.attributes
    list.set("input_dilations", inputDilations, unless: inputDilations.map { _ in 1 }) { .integers($0) }
    list.set("groups", groups, unless: 1) { .integer($0) }
    list.set("layout", layout, unless: .channelsFirst) { .word($0.rawValue) }
    if let result { list.set("result", .element(result)) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    let window = try Window(attributes)
    self.init(
      window: window, inputDilations: try attributes.integers("input_dilations", default: window.strides.map { _ in 1 }),
      groups: try attributes.integer("groups", default: 1), layout: try attributes.word("layout", as: Layout.self, default: .channelsFirst),
      result: attributes["result"] == nil ? nil : try attributes.element("result"))
  }

  /// The axes of `input` and of the result.
  public func axes(rank: Int) -> (batch: Int, channel: Int, spatial: [Int]) {
    layout == .channelsFirst ? (0, 1, Array(2..<rank)) : (0, rank - 1, Array(1..<rank - 1))
  }

  /// The axes of `filter`.
  public func filterAxes(rank: Int) -> (output: Int, input: Int, window: [Int]) {
    layout == .channelsFirst ? (0, 1, Array(2..<rank)) : (rank - 1, rank - 2, Array(0..<rank - 2))
  }

  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireFactors(operands, result: result)
    let (input, filter) = (operands[0], operands[1])
    guard input.element.isNumber else { throw TypeError("`convolution` does not take \(input.element.name)") }
    guard input.rank >= 3, filter.rank == input.rank else { throw TypeError("`convolution` of \(input) by \(filter)") }
    let axes = axes(rank: input.rank), filterAxes = filterAxes(rank: filter.rank)
    let (channels, perGroup) = (input.shape[axes.channel], filter.shape[filterAxes.input])
    guard groups >= 1, channels == perGroup * Extent(groups) else {
      throw TypeError(
        "`convolution` takes \(perGroup * Extent(groups)) channels (\(perGroup) per group x \(groups) groups) but its input has \(channels)",
        hint: "`groups` is \(groups); the filter has the type \(filter)")
    }
    guard filter.shape[filterAxes.output].modulo(Extent(groups)) == 0 else {
      throw TypeError("`convolution` has \(filter.shape[filterAxes.output]) output channels for \(groups) groups")
    }
    guard inputDilations.count == axes.spatial.count, inputDilations.allSatisfy({ (1...Window.largestNumber).contains($0) }) else {
      throw TypeError("`input_dilations` needs a number from 1 to \(Window.largestNumber) for each of \(axes.spatial.count) spatial axes")
    }
    var size: [Int] = []
    for axis in filterAxes.window {
      guard let extent = filter.shape[axis].constant else { throw TypeError("`convolution` has a symbolic window: \(filter)") }
      size.append(extent)
    }
    let spread = zip(axes.spatial, inputDilations).map { (input.shape[$0] - 1) * Extent($1) + 1 }
    let spatial = try window.output(spread, size: size)
    var shape = input.shape
    shape[axes.channel] = filter.shape[filterAxes.output]
    for (axis, extent) in zip(axes.spatial, spatial) { shape[axis] = extent }
    return [TensorType(try resultElement(result, of: input.element), shape)]
  }
}
