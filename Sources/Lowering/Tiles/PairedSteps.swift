import GraphIR
import KernelIR
import TensorTypes

/// Neighbouring steps of a sum that one instruction multiplies and adds: two of bf16 (`vdpbf16ps`).
///
///     acc = fma(f32(a[k + 1]), f32(w[.. + 1]), fma(f32(a[k]), f32(w[..]), acc))
///
/// The neighbours of the left operand lie side by side in memory and are broadcast as 32 bits; those of the right one are packed side
/// by side for every column. An odd step at the end is multiplied by itself.
enum PairedSteps {
  /// How many steps of operands of this type go together.
  static func group(of element: ElementType) -> Int { element == .bf16 ? 2 : 1 }

  /// The load of the element behind the one that an expression loads. Whoever multiplies pairs has made sure that it is a plain load.
  static func neighbour(of expression: Expression) throws(CompileError) -> Expression {
    guard case .load(let buffer, let index) = expression else { throw CompileError(.unsupported, "`\(expression)` has no neighbour in memory", stage: .lower) }
    return .load(buffer, index + .index(1))
  }
}

extension PanelSource {
  /// The same matrices in memory of their own, rounded to bf16.
  var narrowed: PanelSource? {
    guard element == .bf16, tensor.element == .f32 else { return nil }
    let copy = Tensor(.bf16, tensor.dimensions) { target in
      tensor.withBytes { source in
        for position in 0..<tensor.count {
          target.storeBytes(of: Tensor.bfloat16(source.loadUnaligned(fromByteOffset: position * 4, as: Float.self)), toByteOffset: position * 2, as: UInt16.self)
        }
      }
    }
    return PanelSource(
      tensor: copy, element: element, matrices: matrices, steps: steps, columns: columns, matrixStride: matrixStride, stepStride: stepStride, columnStride: columnStride)
  }

  /// The constant as bf16 with neighbouring steps side by side.
  func packedInPairs(_ layout: PanelLayout) -> Tensor? {
    guard element == .bf16, tensor.element == .bf16 || tensor.element == .f32 else { return nil }
    guard let total = layout.matrixElements.constant, let stored = layout.storedSteps.constant, let count = elementCount(of: [matrices, total]) else { return nil }
    guard isInside else { return nil }
    return Tensor(.bf16, [count]) { target in
      tensor.withBytes { source in
        guard let from = source.baseAddress, let base = target.baseAddress else { return }
        let to = base.assumingMemoryBound(to: UInt16.self)
        for matrix in 0..<matrices {
          var position = matrix * total
          for first in stride(from: 0, to: columns, by: layout.width) {
            let used = min(layout.width, columns - first)
            let width = used == layout.width ? layout.width : layout.tailWidth
            let start = matrix * matrixStride + first * columnStride
            if tensor.element == .f32 {
              copy(from.assumingMemoryBound(to: Float.self) + start, to + position, used: used, width: width) { Tensor.bfloat16($0) }
            } else {
              copy(from.assumingMemoryBound(to: UInt16.self) + start, to + position, used: used, width: width) { $0 }
            }
            position += stored * width
          }
        }
      }
    }
  }

  @inline(__always) private func copy<Number>(
    _ from: UnsafePointer<Number>, _ to: UnsafeMutablePointer<UInt16>, used: Int, width: Int, _ narrowed: (Number) -> UInt16
  ) {
    if columnStride == 1 {
      for step in 0..<steps {
        let (source, target) = (from + step * stepStride, to + step / 2 * width * 2 + step % 2)
        for column in 0..<used { target[column * 2] = narrowed(source[column]) }
      }
      return
    }
    // Sixteen steps of a column share a cache line of the source.
    for block in stride(from: 0, to: steps, by: 16) {
      for column in 0..<used {
        for step in block..<min(block + 16, steps) {
          to[step / 2 * width * 2 + column * 2 + step % 2] = narrowed(from[step * stepStride + column * columnStride])
        }
      }
    }
  }
}
