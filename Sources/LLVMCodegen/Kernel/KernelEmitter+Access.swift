internal import CLLVM
import KernelIR
import TensorTypes

/// Loads and stores of buffers and locals.
extension KernelEmitter {
  // MARK: Buffers

  /// - Parameter isRaw: Gives what memory holds, not widened for registers.
  func emitLoad(_ buffer: Buffer, at index: Operand, isRaw: Bool = false) throws(CodegenError) -> Operand {
    let base = try address(of: buffer)
    let type = b.memoryType(buffer.element)
    let alignment = buffer.element.byteCount
    if case .uniform(let position, _) = index {
      let value = b.load(type, b.element(base, type, at: position), alignment: alignment)
      return .uniform(isRaw ? value : b.widen(value, buffer.element))
    }
    guard let lanes else { throw CodegenError(.malformed("lanes outside of a vectorized loop")) }
    let value = loadLanes(base, type, alignment: alignment, at: index, lanes, mask: lanes.mask)
    return .lanes(isRaw ? value : b.widen(value, buffer.element))
  }

  /// - Parameter narrowed: What memory holds for a value in a register.
  func emitStore(_ buffer: Buffer, at index: Operand, _ value: Operand, narrowed: (IRValue) -> IRValue) throws(CodegenError) {
    let base = try address(of: buffer)
    let type = b.memoryType(buffer.element)
    let alignment = buffer.element.byteCount
    if case .uniform(let position, _) = index {
      // All lanes write the same place; the last one wins.
      let scalar = lastLane(of: value)
      b.store(narrowed(scalar), b.element(base, type, at: position), alignment: alignment)
      return
    }
    guard let lanes else { throw CodegenError(.malformed("lanes outside of a vectorized loop")) }
    storeLanes(narrowed(vector(value, lanes)), base, type, alignment: alignment, at: index, lanes, mask: lanes.mask)
  }

  func emitPrefetch(_ buffer: Buffer, at position: IRValue, forWriting: Bool) throws(CodegenError) {
    b.prefetch(b.address(try address(of: buffer), b.memoryType(buffer.element), at: position), forWriting: forWriting)
  }

  private func address(of buffer: Buffer) throws(CodegenError) -> IRValue {
    guard buffers.indices.contains(buffer.slot) else { throw CodegenError(.malformed("buffer `\(buffer.name)` is no parameter")) }
    return buffers[buffer.slot]
  }

  // MARK: Locals

  func toSlot(_ value: IRValue, _ element: ElementType) -> IRValue { element == .bool ? b.narrow(value, .bool) : value }
  func fromSlot(_ value: IRValue, _ element: ElementType) -> IRValue { element == .bool ? b.widen(value, .bool) : value }

  private func slot(of local: Local) throws(CodegenError) -> LocalSlot {
    guard let slot = locals[local.id] else { throw CodegenError(.malformed("local `\(local.name)` is not in scope")) }
    return slot
  }

  func slotAlignment(_ slot: LocalSlot) -> Int { max(1, slot.type.bitWidth / 8) }

  func emitLocal(_ local: Local, at index: Operand) throws(CodegenError) -> Operand {
    let slot = try slot(of: local)
    if case .uniform(let position, _) = index {
      let value = fromSlot(b.load(slot.type, b.element(slot.address, slot.type, at: position), alignment: slotAlignment(slot)), local.element)
      return slot.width > 1 ? .lanes(value) : .uniform(value)
    }
    guard let lanes else { throw CodegenError(.malformed("lanes outside of a vectorized loop")) }
    let value: IRValue
    if slot.width > 1 {
      value = b.gather(slot.type, laneAddresses(slot, index, lanes), alignment: slotAlignment(slot), mask: lanes.mask)
    } else if case .affine(_, 1, _) = index {
      // Locals have room for a whole vector at their end, so the rest of a masked chunk may be read.
      value = loadLanes(slot.address, slot.type, alignment: slotAlignment(slot), at: index, lanes, mask: nil)
    } else if case .lanes(let places) = index, let table = smallTable(slot, lanes) {
      value = b.permuted(table, by: places)
    } else {
      value = loadLanes(slot.address, slot.type, alignment: slotAlignment(slot), at: index, lanes, mask: lanes.mask)
    }
    return .lanes(fromSlot(value, local.element))
  }

  /// A local of at most four vectors, whole, where the machine can choose among their elements; locals have room for a whole vector at their end.
  private func smallTable(_ slot: LocalSlot, _ lanes: Lanes) -> [IRValue]? {
    guard target.vectorBytes == 64, lanes.width == 16, slot.type.bitWidth == 32, slot.count <= 64 else { return nil }
    return stride(from: 0, to: slot.count, by: 16).map {
      b.load(slot.type.vector(16), b.element(slot.address, slot.type, at: $0), alignment: slotAlignment(slot))
    }
  }

  func emitAssign(_ local: Local, at index: Operand, _ value: Operand) throws(CodegenError) {
    let slot = try slot(of: local)
    if case .uniform(let position, _) = index {
      let stored =
        if slot.width > 1, let lanes { vector(value, lanes) } else { lastLane(of: value) }
      b.store(toSlot(stored, local.element), b.element(slot.address, slot.type, at: position), alignment: slotAlignment(slot))
      return
    }
    guard let lanes else { throw CodegenError(.malformed("lanes outside of a vectorized loop")) }
    let stored = toSlot(vector(value, lanes), local.element)
    if slot.width > 1 {
      b.scatter(stored, laneAddresses(slot, index, lanes), alignment: slotAlignment(slot), mask: lanes.mask)
    } else if case .affine(let base, 1, _) = index, lanes.mask != nil {
      storeRest(stored, slot, at: base, lanes)
    } else {
      storeLanes(stored, slot.address, slot.type, alignment: slotAlignment(slot), at: index, lanes, mask: lanes.mask)
    }
  }

  /// The rest of a chunk into consecutive elements of a local. Whole vectors keep the local in registers, so beyond its
  /// end they are stored whole, and before it blended with what is there.
  private func storeRest(_ value: IRValue, _ slot: LocalSlot, at base: IRValue, _ lanes: Lanes) {
    let address = b.element(slot.address, slot.type, at: base)
    let alignment = slotAlignment(slot)
    guard let mask = lanes.mask else { return b.store(value, address, alignment: alignment) }
    if let position = base.constantInteger, let active = lanes.active, position + active >= slot.count {
      return b.store(value, address, alignment: alignment)
    }
    let old = b.load(value.type, address, alignment: alignment)
    b.store(b.select(mask, value, old), address, alignment: alignment)
  }

  func emitAccumulate(_ local: Local, at index: Operand, _ reducer: Reducer, _ value: Operand) throws(CodegenError) {
    let slot = try slot(of: local)
    guard let lanes else {
      guard case .uniform(let position, _) = index, case .uniform(let added, _) = value else {
        throw CodegenError(.malformed("lanes outside of a vectorized loop"))
      }
      return try accumulate(added, into: local, slot, at: position, reducer)
    }
    switch index {
    case .uniform(let position, _) where slot.width == 1:
      try emitReduction(local, slot, at: position, reducer, scalarOrVector(value, lanes), lanes)
    case .uniform, .affine:
      let old = vector(try emitLocal(local, at: index), lanes)
      try emitAssign(local, at: index, .lanes(b.binary(reducer.function, old, vector(value, lanes), local.element)))
    case .lanes(let positions):
      if slot.width > 1 {
        let old = vector(try emitLocal(local, at: index), lanes)
        try emitAssign(local, at: index, .lanes(b.binary(reducer.function, old, vector(value, lanes), local.element)))
      } else {
        // Places may meet: one lane after the other, those that are off with the neutral element.
        var (added, places) = (vector(value, lanes), positions)
        if let mask = lanes.mask {
          added = b.select(mask, added, b.neutral(reducer, local.element, lanes.width))
          places = b.select(mask, places, b.integer(0, places.type))
        }
        for lane in 0..<lanes.width { try accumulate(b.extract(added, lane), into: local, slot, at: b.extract(places, lane), reducer) }
      }
    }
  }

  private func accumulate(_ value: IRValue, into local: Local, _ slot: LocalSlot, at position: IRValue, _ reducer: Reducer) throws(CodegenError) {
    let address = b.element(slot.address, slot.type, at: position)
    let old = fromSlot(b.load(slot.type, address, alignment: slotAlignment(slot)), local.element)
    let new = try b.binary(reducer.function, old, value, local.element)
    b.store(toSlot(new, local.element), address, alignment: slotAlignment(slot))
  }

  // MARK: Lanes

  /// An operand as a vector.
  func vector(_ operand: Operand, _ lanes: Lanes) -> IRValue {
    switch operand {
    case .uniform(let value, _): b.splat(value, lanes.width)
    case .affine(let base, let stride, _): b.add(b.splat(base, lanes.width), b.iota(lanes.width, stride: stride, b.i64))
    case .lanes(let value): value
    }
  }

  private func scalarOrVector(_ operand: Operand, _ lanes: Lanes) -> IRValue {
    if case .uniform(let value, _) = operand { value } else { vector(operand, lanes) }
  }

  private func lastLane(of operand: Operand) -> IRValue {
    switch operand {
    case .uniform(let value, _): value
    case .affine(let base, let stride, _): b.add(base, ((lanes?.active ?? lanes?.width ?? 1) - 1) * stride)
    case .lanes(let value): b.extract(value, (lanes?.active ?? value.type.lanes) - 1)
    }
  }

  /// Where each lane's own element is, in a local with a vector for each element.
  private func laneAddresses(_ slot: LocalSlot, _ index: Operand, _ lanes: Lanes) -> IRValue {
    let places = b.add(b.mul(vector(index, lanes), slot.width), b.iota(slot.width, stride: 1, b.i64))
    return b.element(slot.address, slot.type.scalar, at: places)
  }

  private func loadLanes(_ base: IRValue, _ type: IRType, alignment: Int, at index: Operand, _ lanes: Lanes, mask: IRValue?) -> IRValue {
    let width = lanes.width
    let vectorType = type.vector(width)
    switch index {
    case .affine(let position, 1, _):
      let address = b.element(base, type, at: position)
      if let mask { return b.maskedLoad(vectorType, address, alignment: alignment, mask: mask) }
      return b.load(vectorType, address, alignment: alignment)
    case .affine(let position, -1, _) where mask == nil:
      let address = b.element(base, type, at: b.add(position, 1 - width))
      return b.shuffle(b.load(vectorType, address, alignment: alignment), (0..<width).reversed())
    case .affine(let position, 2, _) where mask == nil:
      // Two vectors that end at the last element needed.
      let address = b.element(base, type, at: position)
      let low = b.load(vectorType, address, alignment: alignment)
      let high = b.load(vectorType, b.element(address, type, at: width - 1), alignment: alignment)
      return b.shuffle(low, with: high, (0..<width).map { 2 * $0 < width ? 2 * $0 : width + 2 * $0 - (width - 1) })
    case .affine(let position, let stride, _) where mask == nil:
      let address = b.element(base, type, at: position)
      var vector = b.undefined(vectorType)
      for lane in 0..<width {
        vector = b.insert(b.load(type, b.element(address, type, at: lane * stride), alignment: alignment), into: vector, lane)
      }
      return vector
    case .affine, .lanes, .uniform:
      return b.gather(vectorType, b.element(base, type, at: self.vector(index, lanes)), alignment: alignment, mask: mask)
    }
  }

  private func storeLanes(_ value: IRValue, _ base: IRValue, _ type: IRType, alignment: Int, at index: Operand, _ lanes: Lanes, mask: IRValue?) {
    switch index {
    case .affine(let position, 1, _):
      let address = b.element(base, type, at: position)
      if let mask { return b.maskedStore(value, address, alignment: alignment, mask: mask) }
      b.store(value, address, alignment: alignment)
    case .affine(let position, let stride, _) where mask == nil:
      let address = b.element(base, type, at: position)
      for lane in 0..<lanes.width { b.store(b.extract(value, lane), b.element(address, type, at: lane * stride), alignment: alignment) }
    case .affine, .lanes, .uniform:
      b.scatter(value, b.element(base, type, at: self.vector(index, lanes)), alignment: alignment, mask: mask)
    }
  }
}
