import GraphIR
import KernelIR
import TensorTypes

/// Arithmetic between the index vectors of tensors of different shapes with the same elements.
struct IndexMapping {
  var ranges: IndexRanges

  /// The row-major position of an element.
  static func linearize(_ index: [Expression], in shape: Shape) -> Expression {
    var position: Expression = .index(0)
    var stride: Extent = 1
    for axis in (0..<shape.rank).reversed() {
      if shape[axis] != 1 { position = index[axis] * .of(stride) + position }
      stride = stride * shape[axis]
    }
    return position
  }

  /// The index vector of a row-major position.
  func delinearize(_ position: Expression, in shape: Shape) -> [Expression] {
    var index = [Expression](repeating: .index(0), count: shape.rank)
    var rest = position
    let axes = (0..<shape.rank).filter { shape[$0] != 1 }
    for axis in axes.dropFirst().reversed() { (rest, index[axis]) = ranges.quotientAndRemainder(rest, by: shape[axis]) }
    if let first = axes.first { index[first] = rest }
    return index
  }

  /// Where an element of `target` lies in `source`, both row-major over the same elements.
  ///
  /// Axes are matched in groups of equal products, so that untouched axes keep their plain index.
  func reshape(_ index: [Expression], from target: Shape, to source: Shape) -> [Expression] {
    var result = [Expression](repeating: .index(0), count: source.rank)
    var (t, s) = (0, 0)
    while t < target.rank || s < source.rank {
      // Grow the smaller side until the products agree.
      var (targetEnd, sourceEnd) = (t, s)
      var (targetCount, sourceCount): (Extent, Extent) = (1, 1)
      repeat {
        let targetIsBehind = targetEnd < target.rank && (sourceEnd >= source.rank || Self.isSmaller(targetCount, sourceCount) || (targetCount == sourceCount && targetEnd == t))
        if targetIsBehind {
          targetCount = targetCount * target[targetEnd]
          targetEnd += 1
        } else if sourceEnd < source.rank {
          sourceCount = sourceCount * source[sourceEnd]
          sourceEnd += 1
        } else {
          break
        }
      } while targetCount != sourceCount || targetEnd == t || sourceEnd == s
      let targetGroup = Shape(Array(target.extents[t..<targetEnd])), sourceGroup = Shape(Array(source.extents[s..<sourceEnd]))
      let position = Self.linearize(Array(index[t..<targetEnd]), in: targetGroup)
      for (offset, part) in delinearize(position, in: sourceGroup).enumerated() { result[s + offset] = part }
      (t, s) = (targetEnd, sourceEnd)
    }
    return result
  }

  /// A guess that only steers the grouping; any answer is correct.
  private static func isSmaller(_ a: Extent, _ b: Extent) -> Bool {
    if let difference = (a - b).constant { return difference < 0 }
    return b.dividedExactly(by: a) != nil
  }
}
