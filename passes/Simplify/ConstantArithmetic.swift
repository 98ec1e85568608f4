import GraphIR
import TensorTypes
#if canImport(Glibc)
import Glibc
#endif

/// Work on constants that is done too often, or on too many bytes, for the plain interpreter.
extension Tensor {
  /// Every element times the number of its index along `axis`; each product is computed in f64 and rounded once.
  ///
  /// - Returns: nil if a finite element would become infinite.
  func scaled(by vector: AxisVector, along axis: Int) -> Tensor? {
    if count == 0 { return self }
    let inner = dimensions[(axis + 1)...].reduce(1, *)
    let extent = dimensions[axis]
    var overflows = false
    let result = Tensor(element, dimensions) { output in
      withBytes { input in
        if element == .f32 {
          for position in 0..<count {
            let number = Double(input.loadUnaligned(fromByteOffset: position * 4, as: Float.self))
            let product = Float(number * vector[position / inner % extent])
            overflows = overflows || (product.isInfinite && number.isFinite)
            output.storeBytes(of: product, toByteOffset: position * 4, as: Float.self)
          }
          return
        }
        for position in 0..<count {
          let number = Tensor.double(input, element, position)
          Tensor.store(number * vector[position / inner % extent], element, output, position)
          overflows = overflows || (Tensor.double(UnsafeRawBufferPointer(output), element, position).isInfinite && number.isFinite)
        }
      }
    }
    return overflows ? nil : result
  }

  /// The axes permuted: axis `i` of the result is axis `permutation[i]` of this tensor.
  func transposed(_ permutation: [Int]) -> Tensor {
    // Nothing to move; and the extents beside a 0 may be too large to multiply.
    if count == 0 { return Tensor(element, permutation.map { dimensions[$0] }, storage: storage, byteOffset: byteOffset) ?? self }
    // Axes that stay neighbours are one axis; extents of 1 are none.
    var groups: [(extent: Int, stride: Int)] = []
    var strides = [Int](repeating: 1, count: dimensions.count)
    for axis in dimensions.indices.reversed().dropFirst() { strides[axis] = strides[axis + 1] * dimensions[axis + 1] }
    for axis in permutation where dimensions[axis] != 1 {
      if let last = groups.last, last.stride == strides[axis] * dimensions[axis] {
        groups[groups.count - 1] = (last.extent * dimensions[axis], strides[axis])
      } else {
        groups.append((dimensions[axis], strides[axis]))
      }
    }
    let result = permutation.map { dimensions[$0] }
    if groups.count <= 1, let same = reshaped(result) { return same }
    return Tensor(element, result, strings: strings) { output in
      withBytes { input in
        switch element.byteCount {
        case 1: Self.permute(input, output, groups, as: UInt8.self)
        case 2: Self.permute(input, output, groups, as: UInt16.self)
        case 4: Self.permute(input, output, groups, as: UInt32.self)
        default: Self.permute(input, output, groups, as: UInt64.self)
        }
      }
    }
  }

  /// Writes the elements in the order of `groups`, in blocks, so that both sides stay in cache.
  private static func permute<Word: BitwiseCopyable>(
    _ input: UnsafeRawBufferPointer, _ output: UnsafeMutableRawBufferPointer, _ groups: [(extent: Int, stride: Int)], as: Word.Type
  ) {
    guard groups.count >= 2, !input.isEmpty else { return }
    let width = MemoryLayout<Word>.size
    let last = groups[groups.count - 1]
    // The axis of the result that is contiguous in the source; it and the last axis make the blocks.
    let fast = groups.firstIndex { $0.stride == 1 } ?? groups.count - 1
    var targetStrides = [Int](repeating: 1, count: groups.count)
    for axis in groups.indices.reversed().dropFirst() { targetStrides[axis] = targetStrides[axis + 1] * groups[axis + 1].extent }
    let outer = groups.indices.filter { $0 != fast && $0 != groups.count - 1 }
    let isPlane = fast != groups.count - 1
    let block = 32
    var index = [Int](repeating: 0, count: outer.count)
    var (from, to) = (0, 0)
    while true {
      if isPlane {
        let rows = groups[fast].extent
        for firstRow in stride(from: 0, to: rows, by: block) {
          for firstColumn in stride(from: 0, to: last.extent, by: block) {
            for row in firstRow..<min(firstRow + block, rows) {
              for column in firstColumn..<min(firstColumn + block, last.extent) {
                let word = input.loadUnaligned(fromByteOffset: (from + row + column * last.stride) * width, as: Word.self)
                output.storeBytes(of: word, toByteOffset: (to + row * targetStrides[fast] + column) * width, as: Word.self)
              }
            }
          }
        }
      } else if let source = input.baseAddress, let target = output.baseAddress {
        memcpy(target + to * width, source + from * width, last.extent * width)
      }
      var axis = outer.count - 1
      while axis >= 0 {
        let group = outer[axis]
        index[axis] += 1
        from += groups[group].stride
        to += targetStrides[group]
        if index[axis] < groups[group].extent { break }
        from -= groups[group].stride * index[axis]
        to -= targetStrides[group] * index[axis]
        index[axis] = 0
        axis -= 1
      }
      if axis < 0 { return }
    }
  }
}
