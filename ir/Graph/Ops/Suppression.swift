import TensorTypes

/// Boxes by descending score, without those that overlap one of them too much.
///
///     %s = suppress %boxes, %scores, %overlap, %least {extent = k, centered = true} : i64[batch,classes,k]
///
/// - Operands: `boxes` f32 [batch, n, 4]: two opposite corners y, x, y, x, or with `centered` the center x, y, the width and the height;
///   `scores` f32 [batch, classes, n]; `overlap`, an f32 scalar: a box whose intersection with a chosen one is a larger part of their union
///   is left out; `least`, an f32 scalar: only boxes with a greater score are looked at.
/// - Result: for each batch and class the numbers of at most `k` boxes, -1 behind the last. Of equal scores the first box is chosen first.
/// - Source: ONNX `NonMaxSuppression`. Each choice depends on those before it, which no tensor operation says.
public struct Suppress: Operation {
  public var extent: Extent
  public var isCentered: Bool
  public init(to extent: Extent, isCentered: Bool = false) { (self.extent, self.isCentered) = (extent, isCentered) }

  public static let mnemonics = ["suppress"]
  public var arity: ClosedRange<Int> { 4...4 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("extent", .extents([extent]))
    list.set("centered", isCentered, unless: false) { .flag($0) }
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    guard let extent = try attributes.extents("extent").first else { throw TypeError("`suppress` needs an extent") }
    self.init(to: extent, isCentered: try attributes.flag("centered"))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    let (boxes, scores) = (operands[0].shape, operands[1].shape)
    guard operands.allSatisfy({ $0.element == .f32 }), boxes.rank == 3, scores.rank == 3, boxes[2] == 4, boxes[0] == scores[0], boxes[1] == scores[2],
      operands[2].rank == 0, operands[3].rank == 0
    else { throw TypeError("`suppress` of boxes \(operands[0]) by scores \(operands[1]), \(operands[2]) and \(operands[3])") }
    return [TensorType(.i64, [scores[0], scores[1], extent])]
  }
  public func substituting(_ bindings: [String: Extent]) -> Suppress { Suppress(to: extent.substituting(bindings), isCentered: isCentered) }
}
