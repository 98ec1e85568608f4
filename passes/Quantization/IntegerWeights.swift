import GraphIR
import TensorTypes

/// The right operand of a contraction: constant bytes whose zero point is 0, and their scale.
struct IntegerWeights {
  /// i8, in the shape of the operand.
  let tensor: Tensor
  /// What every weight of an output is larger by than the tensor has it, one for each output; nil if all are 0.
  let offsets: [Int]?
  /// With offsets, the weights themselves in i32.
  let wide: Tensor?
  /// One element, or one for each output; nil if the contraction is one of whole numbers.
  let scale: ValueID?
  /// The axis of the operand that outputs lie along.
  private let outputs: Int

  /// - Parameters:
  ///   - outputs: The axis of the operand that scales and zero points may belong to.
  ///   - reason: Why not.
  init?(_ value: ValueID, outputs: Int, in graph: Graph, reason: inout String?) {
    let source: Tensor, zeros: [Int]
    if let found = DequantizedValue(value, in: graph) {
      guard let bytes = graph.constant(found.quantized), bytes.element.isByte else {
        reason = "its weights are no constant bytes"
        return nil
      }
      switch found.granularity {
      case .tensor, .axis(outputs): break
      case .axis, .blocks:
        reason = "the scales of its weights vary along the sum"
        return nil
      }
      guard graph.type(of: found.scale).element == .f32, let numbers = found.zero.map({ graph.constant($0)?.integers }) ?? [0] else {
        reason = "the scales of its weights are not f32, or their zero points are not constant"
        return nil
      }
      (source, zeros, scale) = (bytes, numbers, found.scale)
    } else {
      guard let numbers = graph.constant(value), numbers.element == .i32 else { return nil }
      (source, zeros, scale) = (numbers, [0], nil)
    }
    guard source.dimensions.indices.contains(outputs), zeros.count == 1 || zeros.count == source.dimensions[outputs] else { return nil }
    self.outputs = outputs
    if source.element == .i8, zeros.allSatisfy({ $0 == 0 }) {
      (tensor, offsets, wide) = (source, nil, nil)
      return
    }
    guard let centered = CenteredWeights(source, zeros, along: outputs) else {
      reason = "its weights less their zero points need more than 8 bits"
      return nil
    }
    (tensor, offsets, wide) = (centered.tensor, centered.offsets, centered.wide)
  }

  /// Products that one sum has.
  var steps: Int { tensor.count / max(1, tensor.dimensions[outputs]) }

  /// The sum of all weights of each output.
  var sums: [Int] {
    let inner = max(1, tensor.dimensions[(outputs + 1)...].reduce(1, *)), extent = tensor.dimensions[outputs]
    var sums = (offsets ?? [Int](repeating: 0, count: extent)).map { $0 * steps }
    if extent == 0 { return sums }
    tensor.withBytes { bytes in
      for position in 0..<tensor.count { sums[position / inner % extent] += Int(Int8(bitPattern: bytes[position])) }
    }
    return sums
  }
}

/// Weights less their zero points, as i8 and an offset for each output.
private struct CenteredWeights {
  let tensor: Tensor
  let offsets: [Int]?
  let wide: Tensor?

  /// - Returns: nil if the weights of an output are further apart than bytes are.
  init?(_ source: Tensor, _ zeros: [Int], along axis: Int) {
    let inner = max(1, source.dimensions[(axis + 1)...].reduce(1, *)), extent = max(1, source.dimensions[axis])
    var numbers = source.integers
    var (least, most) = ([Int](repeating: 0, count: extent), [Int](repeating: 0, count: extent))
    for position in numbers.indices {
      let output = position / inner % extent
      let (number, overflow) = numbers[position].subtractingReportingOverflow(zeros[zeros.count == 1 ? 0 : output])
      if overflow || number.magnitude > 1 << 16 { return nil }
      numbers[position] = number
      (least[output], most[output]) = (min(least[output], number), max(most[output], number))
    }
    guard zip(least, most).allSatisfy({ $1 - $0 <= 255 }) else { return nil }
    let shifts = zip(least, most).map { $0 < -128 ? $0 + 128 : $1 > 127 ? $1 - 127 : 0 }
    tensor = Tensor(.i8, source.dimensions) { bytes in
      for (position, number) in numbers.enumerated() {
        bytes.storeBytes(of: Int8(truncatingIfNeeded: number - shifts[position / inner % extent]), toByteOffset: position, as: Int8.self)
      }
    }
    let isNarrow = shifts.allSatisfy { $0 == 0 }
    offsets = isNarrow ? nil : shifts
    wide = isNarrow
      ? nil
      : Tensor(.i32, source.dimensions) { bytes in
        for (position, number) in numbers.enumerated() { bytes.storeBytes(of: Int32(truncatingIfNeeded: number), toByteOffset: position * 4, as: Int32.self) }
      }
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
