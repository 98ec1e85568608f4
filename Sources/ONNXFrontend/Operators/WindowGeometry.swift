import GraphIR
import TensorTypes

/// How the window of a convolution or pooling moves, from the attributes that these operators share.
struct WindowGeometry {
  enum AutoPad: String, CaseIterable { case notSet = "NOTSET", same = "SAME_UPPER", sameLower = "SAME_LOWER", valid = "VALID" }

  var size: [Int]
  var strides: [Int]
  var dilations: [Int]
  var autoPad: AutoPad
  /// Padding as the attribute gives it; zeros under `auto_pad`.
  var low: [Int]
  var high: [Int]
  var isCeiling: Bool

  init(_ call: OperatorCall, size: [Int]) throws(CompileError) {
    let rank = size.count
    func list(_ name: String, count: Int, default usual: Int) throws(CompileError) -> [Int] {
      guard let values = try call.integers(name), !values.isEmpty else { return [Int](repeating: usual, count: count) }
      guard values.count == count else { throw call.refusal("attribute `\(name)` of \(call.name) has \(values.count) entries; \(count) are needed") }
      return values
    }
    self.size = size
    strides = try list("strides", count: rank, default: 1)
    dilations = try list("dilations", count: rank, default: 1)
    autoPad = try call.word("auto_pad", default: AutoPad.notSet)
    let pads = autoPad == .notSet ? try list("pads", count: 2 * rank, default: 0) : [Int](repeating: 0, count: 2 * rank)
    low = Array(pads[..<rank])
    high = Array(pads[rank...])
    isCeiling = try call.flag("ceil_mode")
    // Far beyond any model, and small enough that no product below leaves 64 bits.
    let bound = 1 << 30
    guard (size + strides + dilations).allSatisfy({ $0 >= 1 && $0 < bound }), pads.allSatisfy({ $0 > -bound && $0 < bound }) else {
      throw call.refusal("the window of \(call.name): size \(size), strides \(strides), dilations \(dilations), pads \(pads)")
    }
  }

  /// The extent that a window covers, holes included.
  func reach(_ axis: Int) -> Int { dilations[axis] * (size[axis] - 1) + 1 }

  /// The padding on both sides of each axis, and the extents of the result.
  func padding(_ input: [Extent]) -> (low: [Extent], high: [Extent], output: [Extent]) {
    var result: (low: [Extent], high: [Extent], output: [Extent]) = ([], [], [])
    for (axis, extent) in input.enumerated() {
      let stride = Extent(strides[axis])
      let reach = Extent(reach(axis))
      switch autoPad {
      case .notSet, .valid:
        let (before, after) = (Extent(low[axis]), Extent(high[axis]))
        let room = extent + before + after - reach
        guard isCeiling, strides[axis] > 1 else {
          result.low.append(before)
          result.high.append(after)
          result.output.append(room.floorDivided(by: stride) + 1)
          continue
        }
        // The last window must start inside the input or its leading padding.
        let rounded = room.ceilDivided(by: stride) + 1
        let output = Extent.least(rounded, (extent + before - 1).floorDivided(by: stride) + 1)
        let needed = (output - 1) * stride + reach - extent - before
        result.low.append(before)
        result.high.append(.greatest(needed, after))
        result.output.append(output)
      case .same, .sameLower:
        let output = extent.ceilDivided(by: stride)
        let total = strides[axis] == 1 ? reach - 1 : Extent.greatest((output - 1) * stride + reach - extent, 0)
        let (less, more) = (total.floorDivided(by: 2), total - total.floorDivided(by: 2))
        result.low.append(autoPad == .same ? less : more)
        result.high.append(autoPad == .same ? more : less)
        result.output.append(output)
      }
    }
    return result
  }

  /// The window for a core operation: padding that is a constant is part of it, symbolic padding is a `pad` before.
  func window(_ x: inout ValueID, spatial: [Int], neutral: Double, _ b: inout GraphBuilder) throws(CompileError) -> Window {
    let padding = padding(spatial.map { b.shape(x)[$0] })
    if let before = Shape(padding.low).constants, let after = Shape(padding.high).constants, (before + after).allSatisfy({ $0 >= 0 }) {
      return Window(strides: strides, padsLow: before, padsHigh: after, dilations: dilations)
    }
    var (before, after) = ([Extent](repeating: 0, count: b.rank(x)), [Extent](repeating: 0, count: b.rank(x)))
    for (position, axis) in spatial.enumerated() {
      // Negative padding takes elements away.
      let (first, last) = (padding.low[position].constant ?? 0, padding.high[position].constant ?? 0)
      if first < 0 || last < 0 {
        let (cutLow, cutHigh) = (Extent(max(0, -first)), Extent(max(0, -last)))
        x = try b.slice(x, axis: axis, start: cutLow, size: b.shape(x)[axis] - cutLow - cutHigh)
      }
      before[axis] = first < 0 ? 0 : padding.low[position]
      after[axis] = last < 0 ? 0 : padding.high[position]
    }
    x = try b.pad(x, low: before, high: after, value: neutral)
    let zeros = [Int](repeating: 0, count: spatial.count)
    return Window(strides: strides, padsLow: zeros, padsHigh: zeros, dilations: dilations)
  }
}
