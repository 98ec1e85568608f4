import GraphIR
import TensorTypes

/// Lets movement and maxima work on bytes.
///
///     %x = composite %q, %s, %z {name = dequantize_linear}
///     %y = reduce_window %x {with = max, ...}
/// ->
///     %m = reduce_window %q {with = max, ...}
///     %y = composite %m, %s, %z {name = dequantize_linear}
///
/// One scale and zero point must hold for all elements; a transpose takes those of an axis along. Padding must be zero, parts of a concatenation must have the same
/// scale and zero point, and a maximum needs a positive scale. What is quantised again by the numbers that it was dequantised with is what
/// it was. Numerics: exact; of a whole number below 256 times a scale, the division by the scale gives back the number.
public let delayDequantization = rewrite(
  "delay-dequantization", "Lets movement and maxima of dequantized values work on bytes.",
  [
    .onAny { node, rewriter throws(TypeError) in
      switch node.operation {
      case is Reshape, is Slice, is Reverse, is Gather: return try DelayRules.moved(node, &rewriter)
      case let transpose as Transpose: return try DelayRules.transposed(node, transpose, &rewriter)
      case let pad as Pad: return try DelayRules.padded(node, pad, &rewriter)
      case is Concatenate: return try DelayRules.concatenated(node, &rewriter)
      case let window as ReduceWindow: return try DelayRules.maximum(node, window, &rewriter)
      case let composite as Composite where composite.name == QuantizedForm.quantizing: return try DelayRules.again(node, &rewriter)
      default: return .unchanged
      }
    }
  ])

private enum DelayRules {
  /// The value if it is dequantised by one number, and its axes and element may change.
  static func single(_ value: ValueID, _ rewriter: Rewriter) -> DequantizedValue? {
    guard let found = DequantizedValue(value, in: rewriter.graph), found.granularity == .tensor else { return nil }
    return found
  }

  static func restored(_ bytes: ValueID, like found: DequantizedValue, axis: Int = 0, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let element = rewriter.type(of: found.node.results[0]).element
    return .replaced(with: try rewriter.dequantizeLinear(bytes, scale: found.scale, zero: found.zero, to: element, axis: axis))
  }

  static func moved(_ node: Node, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    guard let found = single(node.operands[0], rewriter) else { return .unchanged }
    let bytes = try rewriter.insertAll(node.operation, [found.quantized] + node.operands.dropFirst())[0]
    return try restored(bytes, like: found, &rewriter)
  }

  static func transposed(_ node: Node, _ transpose: Transpose, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    guard let found = DequantizedValue(node.operands[0], in: rewriter.graph) else { return .unchanged }
    var axis = 0
    switch found.granularity {
    case .tensor: break
    case .axis(let old): axis = transpose.permutation.firstIndex(of: old) ?? 0
    case .blocks: return .unchanged
    }
    return try restored(try rewriter.insert(transpose, found.quantized), like: found, axis: axis, &rewriter)
  }

  static func padded(_ node: Node, _ pad: Pad, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    guard let found = single(node.operands[0], rewriter) else { return .unchanged }
    var operands = [found.quantized]
    if pad.mode == .constant {
      guard rewriter.graph.splat(node.operands[1]) == 0 else { return .unchanged }
      operands.append(try zero(of: found, &rewriter))
    }
    return try restored(try rewriter.insertAll(pad, operands)[0], like: found, &rewriter)
  }

  /// What zero is as a byte, without axes.
  private static func zero(of found: DequantizedValue, _ rewriter: inout Rewriter) throws(TypeError) -> ValueID {
    let element = rewriter.type(of: found.quantized).element
    guard let zero = found.zero else { return try rewriter.constant(Tensor(scalar: 0, element)) }
    let scalar = try rewriter.reshape(zero, to: [])
    return rewriter.type(of: scalar).element == element ? scalar : try rewriter.insert(Convert(to: element), scalar)
  }

  static func concatenated(_ node: Node, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    let parts = node.operands.compactMap { single($0, rewriter) }
    guard let first = parts.first, parts.count == node.operands.count else { return .unchanged }
    let element = rewriter.type(of: first.quantized).element
    for part in parts {
      guard rewriter.type(of: part.quantized).element == element, rewriter.graph.isSame(part.scale, first.scale), rewriter.graph.isSame(part.zero, first.zero) else { return .unchanged }
    }
    return try restored(try rewriter.insertAll(node.operation, parts.map(\.quantized))[0], like: first, &rewriter)
  }

  static func maximum(_ node: Node, _ window: ReduceWindow, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    guard window.reducer == .maximum, let found = single(node.operands[0], rewriter), let scale = rewriter.graph.splat(found.scale), scale > 0, scale.isFinite else { return .unchanged }
    // A window that sees nothing but padding has minus infinity for its result, which no byte is.
    for axis in window.size.indices {
      let reach = (window.size[axis] - 1) * window.window.dilations[axis] + 1
      guard window.window.padsLow[axis] < reach, window.window.padsHigh[axis] < reach, window.window.dilations[axis] == 1 else { return .unchanged }
    }
    return try restored(try rewriter.insert(window, found.quantized), like: found, &rewriter)
  }

  /// quantize(dequantize(q)) by the same numbers.
  static func again(_ node: Node, _ rewriter: inout Rewriter) throws(TypeError) -> Rewrite {
    guard let found = single(node.operands[0], rewriter), (2...3).contains(node.operands.count), rewriter.type(of: found.quantized) == rewriter.type(of: node.results[0]),
      rewriter.type(of: found.quantized).element.isByte, rewriter.type(of: node.operands[0]).element == .f32, rewriter.graph.isSame(node.operands[1], found.scale),
      rewriter.graph.isSame(node.operands.count > 2 ? node.operands[2] : nil, found.zero), let scale = rewriter.graph.splat(found.scale), scale > 0x1p-100, scale < 0x1p100
    else { return .unchanged }
    return .replaced(with: found.quantized)
  }
}

extension Graph {
  /// True for the same value, for constants of the same elements, and for a missing zero point beside one of zero.
  func isSame(_ a: ValueID?, _ b: ValueID?) -> Bool {
    switch (a, b) {
    case (nil, nil): return true
    case (let only?, nil), (nil, let only?): return splat(only) == 0
    case (let a?, let b?):
      if a == b { return true }
      guard let x = constant(a), let y = constant(b), x.element == y.element, x.count == y.count else { return false }
      return x.withBytes { first in y.withBytes { first.elementsEqual($0) } }
    }
  }
}
