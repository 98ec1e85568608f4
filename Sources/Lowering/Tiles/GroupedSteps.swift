import GraphIR
import KernelIR
import TensorTypes

/// Neighbouring steps of a sum that one instruction multiplies and adds: two of bf16 (`vdpbf16ps`), four of bytes (`vpdpbusd`).
///
///     acc = fma(f32(a[k + 1]), f32(w[.. + 1]), fma(f32(a[k]), f32(w[..]), acc))
///     acc = i32(a[k + 3]) * i32(w[.. + 3]) + (... + (i32(a[k]) * i32(w[..]) + acc))
///
/// The neighbours of the left operand lie side by side in memory and are broadcast as 32 bits; those of the right one are packed side
/// by side for every column. Steps left over at the end are multiplied one by one.
enum GroupedSteps {
  /// How many steps of such operands go together.
  static func size(_ left: ElementType, _ right: ElementType, result: ElementType) -> Int {
    if left == .bf16, right == .bf16, result == .f32 { return 2 }
    return left.isByte && right.isByte && result == .i32 ? 4 : 1
  }

  /// The load of an element behind the one that an expression loads. Whoever multiplies groups has made sure that it is a plain load.
  static func neighbour(_ distance: Int, of expression: Expression) throws(CompileError) -> Expression {
    if distance == 0 { return expression }
    guard case .load(let buffer, let index) = expression else { throw CompileError(.unsupported, "`\(expression)` has no neighbour in memory", stage: .lower) }
    return .load(buffer, index + .index(distance))
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

  /// The constant with neighbouring steps side by side: bytes, or bf16, to which f32 is rounded.
  func packedInGroups(_ layout: PanelLayout) -> Tensor? {
    guard let total = layout.matrixElements.constant, let stored = layout.storedSteps.constant, let count = elementCount(of: [matrices, total]), isInside else { return nil }
    let (element, group) = (element, layout.group)
    switch (element, tensor.element) {
    case (.bf16, .f32): return packed(count, total, stored, layout) { copy($0, $1, as: Float.self, group, used: $2, width: $3) { Tensor.bfloat16($0) } }
    case (.bf16, .bf16): return packed(count, total, stored, layout) { copy($0, $1, as: UInt16.self, group, used: $2, width: $3) { $0 } }
    case (.u8, .u8), (.i8, .i8): return packed(count, total, stored, layout) { copy($0, $1, as: UInt8.self, group, used: $2, width: $3) { $0 } }
    default: return nil
    }
  }

  /// Memory whose panels `fill` writes, from where each starts in the constant; zero where it writes nothing.
  private func packed(
    _ count: Int, _ total: Int, _ stored: Int, _ layout: PanelLayout, _ fill: (_ from: UnsafeRawPointer, _ to: UnsafeMutableRawPointer, _ used: Int, _ width: Int) -> Void
  ) -> Tensor {
    Tensor(element, [count]) { target in
      tensor.withBytes { source in
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        eachPanel(layout, matrixElements: total, storedSteps: stored) { start, position, used, width in
          fill(from + start * tensor.element.byteCount, to + position * element.byteCount, used, width)
        }
      }
    }
  }

  @inline(__always) private func copy<Number, Stored>(
    _ from: UnsafeRawPointer, _ to: UnsafeMutableRawPointer, as type: Number.Type, _ group: Int, used: Int, width: Int, _ narrowed: (Number) -> Stored
  ) {
    let (source, target) = (from.assumingMemoryBound(to: Number.self), to.assumingMemoryBound(to: Stored.self))
    if columnStride == 1 {
      for step in 0..<steps {
        let (line, place) = (source + step * stepStride, target + step / group * width * group + step % group)
        for column in 0..<used { place[column * group] = narrowed(line[column]) }
      }
      return
    }
    // Sixteen steps of a column share a cache line of the source.
    for block in stride(from: 0, to: steps, by: 16) {
      for column in 0..<used {
        for step in block..<min(block + 16, steps) {
          target[step / group * width * group + column * group + step % group] = narrowed(source[step * stepStride + column * columnStride])
        }
      }
    }
  }
}
