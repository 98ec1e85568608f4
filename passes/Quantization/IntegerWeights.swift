import GraphIR
import TensorTypes

/// The right operand of a contraction: constant bytes whose zero point is 0, and their scale.
struct IntegerWeights {
  /// i8, in the shape of the operand.
  var tensor: Tensor
  /// One element, or one for each output; nil if the contraction is one of whole numbers.
  var scale: ValueID?

  /// - Parameters:
  ///   - outputs: The axis of the operand that scales and zero points may belong to.
  ///   - reason: Why not.
  init?(_ value: ValueID, outputs: Int, in graph: Graph, reason: inout String?) {
    if let found = DequantizedValue(value, in: graph) {
      guard let source = graph.constant(found.quantized), source.element.isByte else {
        reason = "its weights are no constant bytes"
        return nil
      }
      switch found.granularity {
      case .tensor: break
      case .axis(outputs): break
      case .axis, .blocks:
        reason = "the scales of its weights vary along the sum"
        return nil
      }
      guard graph.type(of: found.scale).element == .f32, let zeros = Self.zeros(found.zero, graph) else {
        reason = "the scales of its weights are not f32, or their zero points are not constant"
        return nil
      }
      guard let tensor = Self.centered(source, zeros, along: outputs) else {
        reason = "its weights less their zero points need more than 8 bits"
        return nil
      }
      (self.tensor, scale) = (tensor, found.scale)
      return
    }
    guard let source = graph.constant(value), source.element == .i32, let tensor = Self.centered(source, [0], along: outputs) else { return nil }
    (self.tensor, scale) = (tensor, nil)
  }

  private static func zeros(_ zero: ValueID?, _ graph: Graph) -> [Int]? {
    guard let zero else { return [0] }
    return graph.constant(zero)?.integers
  }

  /// The numbers less their zero points as i8; nil if they do not fit.
  private static func centered(_ source: Tensor, _ zeros: [Int], along axis: Int) -> Tensor? {
    guard source.dimensions.indices.contains(axis), zeros.count == 1 || zeros.count == source.dimensions[axis] else { return nil }
    if source.element == .i8, zeros.allSatisfy({ $0 == 0 }) { return source }
    let inner = max(1, source.dimensions[(axis + 1)...].reduce(1, *)), extent = max(1, source.dimensions[axis])
    let numbers = source.integers
    var fits = true
    let result = Tensor(.i8, source.dimensions) { bytes in
      for (position, number) in numbers.enumerated() {
        let (value, overflow) = number.subtractingReportingOverflow(zeros[zeros.count == 1 ? 0 : position / inner % extent])
        if overflow || Int8(exactly: value) == nil { fits = false } else { bytes.storeBytes(of: Int8(truncatingIfNeeded: value), toByteOffset: position, as: Int8.self) }
      }
    }
    return fits ? result : nil
  }

  /// The sum of all weights of each output.
  func sums(along axis: Int) -> [Int] {
    let dimensions = tensor.dimensions
    let inner = max(1, dimensions[(axis + 1)...].reduce(1, *)), extent = dimensions[axis]
    var sums = [Int](repeating: 0, count: extent)
    if extent == 0 { return sums }
    tensor.withBytes { bytes in
      for position in 0..<tensor.count { sums[position / inner % extent] += Int(Int8(bitPattern: bytes[position])) }
    }
    return sums
  }
}

extension Tensor {
  /// Zeros behind the elements of an axis.
  func widened(_ axis: Int, by more: Int) -> Tensor {
    var dimensions = dimensions
    let inner = self.dimensions[(axis + 1)...].reduce(1, *) * element.byteCount
    let (line, wide) = (dimensions[axis] * inner, (dimensions[axis] + more) * inner)
    dimensions[axis] += more
    return Tensor(element, dimensions) { target in
      withBytes { source in
        guard line > 0 else { return }
        for part in 0..<source.count / line {
          UnsafeMutableRawBufferPointer(rebasing: target[part * wide..<part * wide + line]).copyMemory(from: UnsafeRawBufferPointer(rebasing: source[part * line..<(part + 1) * line]))
        }
      }
    }
  }
}
