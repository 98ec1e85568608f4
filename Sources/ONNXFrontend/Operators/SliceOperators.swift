import GraphIR
import TensorTypes

/// NumPy's slices, with bounds that may depend on symbolic axes.
enum SliceOperators {
  static let table: [String: OperatorImporter] = ["Slice": slice]

  /// Part of one axis: first element, number of elements, distance between them, and whether they come backward.
  private struct Part {
    var start: Extent
    var size: Extent
    var step: Int
    var isReversed = false
  }

  private static func slice(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let shape = b.shape(x)
    let (starts, ends, axes, steps): ([Length], [Length], [Int], [Length])
    if call.opset < 10 {
      starts = (try call.integers("starts") ?? []).map { .constant($0) }
      ends = (try call.integers("ends") ?? []).map { .constant($0) }
      axes = try call.integers("axes") ?? Array(starts.indices)
      steps = starts.map { _ in .constant(1) }
    } else {
      starts = try b.lengths(call.input(1), "the starts")
      ends = try b.lengths(call.input(2), "the ends")
      axes = try call.optional(3).map { value throws(CompileError) in try b.requireIntegers(value, "the axes") } ?? Array(starts.indices)
      steps = try call.optional(4).map { value throws(CompileError) in try b.lengths(value, "the steps") } ?? starts.map { _ in .constant(1) }
    }
    guard starts.count == ends.count, axes.count == starts.count, steps.count == starts.count, axes.count <= shape.rank else {
      throw b.refusal("Slice has \(starts.count) starts, \(ends.count) ends, \(axes.count) axes, \(steps.count) steps", operands: [x])
    }
    // The first rows of a table, as many as a sequence is long: models mean that the table is long enough.
    let isTable = b.graph.constant(x) != nil
    func within(_ bound: Extent) -> Extent? { (bound.lowerBound ?? -1) >= 0 ? bound : nil }
    var parts = shape.map { Part(start: 0, size: $0, step: 1) }
    var seen: Set<Int> = []
    var stepped: [Int] = []
    for position in axes.indices {
      let axis = try call.axis(axes[position], rank: shape.rank)
      guard seen.insert(axis).inserted else { throw b.refusal("Slice names axis \(axis) twice", operands: [x]) }
      guard let step = steps[position].constant else {
        stepped.append(position)
        continue
      }
      guard step != 0, step > -(1 << 40) else { throw b.refusal("Slice with step \(step)", operands: [x]) }
      guard let start = starts[position].extent, let end = ends[position].extent else {
        parts[axis] = try computedPart(shape[axis], starts[position], ends[position], min(step, 1 << 40), &b)
        continue
      }
      let trusted = isTable && !end.isConstant && step > 0 ? within(end) : nil
      parts[axis] = part(shape[axis], start, end, min(step, 1 << 40), trusted: trusted)
    }
    if stepped.isEmpty, let contents = b.contents(x), let known = known(contents, parts) {
      return [try b.settle(known, b.element(x)) { b throws(CompileError) in try emit(x, parts, &b) }]
    }
    var result = try emit(x, parts, &b)
    for position in stepped {
      let axis = try call.axis(axes[position], rank: shape.rank)
      result = try ComputedShapes.stepped(result, axis: axis, from: starts[position], to: ends[position], by: steps[position], &b)
    }
    return [result]
  }

  /// The part between bounds that the model computes.
  private static func computedPart(_ extent: Extent, _ start: Length, _ end: Length, _ step: Int, _ b: inout GraphBuilder) throws(CompileError) -> Part {
    let isForward = step > 0
    let (low, high) = isForward ? (Extent(0), extent) : (Extent(-1), extent - 1)
    let (first, last) = (try b.resolved(start, extent: extent, within: low, high), try b.resolved(end, extent: extent, within: low, high))
    let span = try b.apply(.maximum, isForward ? b.apply(.subtract, last, first) : b.apply(.subtract, first, last), .constant(0))
    let stride = Length.constant(isForward ? step : -step)
    let size = try b.ceilDivided(span, by: stride)
    if isForward {
      let found = try b.measured([first, size])
      return Part(start: found[0], size: found[1], step: step)
    }
    let reach = try b.apply(.multiply, b.apply(.subtract, size, .constant(1)), stride)
    let begin = try b.choose(.equal, size, .constant(0), .constant(0), else: b.apply(.subtract, first, reach))
    let found = try b.measured([begin, size])
    return Part(start: found[0], size: found[1], step: -step, isReversed: true)
  }

  private static func emit(_ x: ValueID, _ parts: [Part], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var result = x
    if parts.map(\.size) != b.shape(x).extents || parts.contains(where: { $0.start != 0 }) {
      result = try b.add(Slice(starts: parts.map(\.start), sizes: parts.map(\.size), steps: parts.map(\.step)), x)
    }
    let reversed = parts.indices.filter { parts[$0].isReversed }
    return reversed.isEmpty ? result : try b.add(Reverse(axes: reversed), result)
  }

  private static func known(_ contents: KnownContents, _ parts: [Part]) -> KnownContents? {
    guard parts.allSatisfy({ $0.start.isConstant && $0.size.isConstant }) else { return nil }
    let (starts, sizes) = (parts.compactMap(\.start.constant), parts.compactMap(\.size.constant))
    return contents.rearranged(to: sizes) { index in
      index.indices.map { axis in
        let position = parts[axis].isReversed ? sizes[axis] - 1 - index[axis] : index[axis]
        return starts[axis] + position * parts[axis].step
      }
    }
  }

  /// Numbers this far out say "to the end"; exporters write the limits of 32 and of 64 bits.
  private static let farOut = Int(Int32.max) - 1

  /// `trusted` is an end that needs no clamping.
  private static func part(_ extent: Extent, _ start: Extent, _ end: Extent, _ step: Int, trusted: Extent?) -> Part {
    if step > 0 {
      let last = trusted ?? bound(end, extent)
      let first = trusted.map { $0.isProvablyAtLeast(start) && (start.lowerBound ?? -1) >= 0 } == true ? start : bound(start, extent)
      let span = Extent.greatest(last - first, 0)
      let size = step == 1 ? span : span.ceilDivided(by: Extent(step))
      // With at most one element the step does not matter; 1 keeps every bound small.
      return size == 0 ? Part(start: 0, size: 0, step: 1) : Part(start: first, size: size, step: size == 1 ? 1 : step)
    }
    // Backward: elements first, first - s, ... down to but without last; -1 stands for "before the first".
    let stride = Extent(-step)
    let first: Extent
    if let value = start.constant {
      first = value >= 0 ? .least(value >= farOut ? extent - 1 : start, extent - 1) : .greatest(value <= -farOut ? -1 : extent + start, -1)
    } else {
      first = .least(start, extent - 1)
    }
    let last: Extent
    if let value = end.constant {
      last = value >= 0 ? .least(value >= farOut ? extent - 1 : end, extent - 1) : value <= -farOut ? -1 : .greatest(extent + end, -1)
    } else {
      last = .greatest(end, -1)
    }
    let size = Extent.greatest((first - last).ceilDivided(by: stride), 0)
    if size == 0 { return Part(start: 0, size: 0, step: 1) }
    return Part(start: first - (size - 1) * stride, size: size, step: size == 1 ? 1 : -step, isReversed: size != 1)
  }

  /// A bound brought into 0...extent; negative ones count from the end.
  private static func bound(_ bound: Extent, _ extent: Extent) -> Extent {
    if let value = bound.constant {
      if value >= farOut { return extent }
      if value <= -farOut { return 0 }
      return value >= 0 ? .least(bound, extent) : .greatest(extent + bound, 0)
    }
    // A symbolic bound that is surely negative counts from the end; any other one is taken not to be.
    if (bound * -1).lowerBound ?? 0 > 0 { return .greatest(extent + bound, 0) }
    return .least(.greatest(bound, 0), extent)
  }
}
