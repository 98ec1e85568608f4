internal import CLLVM
import KernelIR
import TensorTypes

/// The vector accumulators of one vectorized loop.
///
/// An accumulation whose place all lanes share goes to a vector per place and interleaving; they start at the reducer's
/// neutral element and are combined into the local after the loop, in an order that depends on nothing but the kernel.
struct ReductionScope {
  struct Key: Hashable {
    let local: Int
    /// The place, if it is a literal; otherwise there is a vector for each element of the local.
    let position: Int?
    let reducer: Reducer
    let accumulator: Int
    let width: Int
  }

  struct Accumulator {
    let key: Key
    let element: ElementType
    let address: IRValue
    /// Vectors at `address`.
    let count: Int
    let target: LocalSlot
  }

  /// The block before the loop, where accumulators are set to neutral.
  let start: IRBlock
  var accumulators: [Key: Accumulator] = [:]
  var order: [Key] = []
}

extension KernelEmitter {
  func openReductions() -> ReductionScope {
    let (start, loop) = (b.block("reduce"), b.block("reduce.loop"))
    b.branch(to: start)
    b.position(atEndOf: start)
    b.branch(to: loop)
    b.position(atEndOf: loop)
    return ReductionScope(start: start)
  }

  /// local[position] = reducer(local[position], value), where all lanes share the position.
  func emitReduction(_ local: Local, _ slot: LocalSlot, at position: IRValue, _ reducer: Reducer, _ value: IRValue, _ lanes: Lanes) throws(CodegenError) {
    guard var scope = reductions else { throw CodegenError(.malformed("reduction outside of a vectorized loop")) }
    let place = position.constantInteger
    let key = ReductionScope.Key(local: local.id, position: place, reducer: reducer, accumulator: lanes.accumulator, width: lanes.width)
    let type = slot.type.vector(lanes.width)
    let accumulator: ReductionScope.Accumulator
    if let existing = scope.accumulators[key] {
      accumulator = existing
    } else {
      let count = place == nil ? slot.count : 1
      let address = b.slot(type, count: count, "\(local.name).lanes")
      accumulator = ReductionScope.Accumulator(key: key, element: local.element, address: address, count: count, target: slot)
      let neutral = b.neutral(reducer, local.element, lanes.width)
      b.inserting(beforeEndOf: scope.start) {
        for index in 0..<count { b.store(toSlot(neutral, local.element), b.element(address, type, at: index), alignment: slotAlignment(slot)) }
      }
      scope.accumulators[key] = accumulator
      scope.order.append(key)
      reductions = scope
    }
    let address = place == nil ? b.element(accumulator.address, type, at: position) : accumulator.address
    let old = fromSlot(b.load(type, address, alignment: slotAlignment(slot)), local.element)
    var added = b.splat(value, lanes.width)
    if let mask = lanes.mask { added = b.select(mask, added, b.neutral(reducer, local.element, lanes.width)) }
    let sum = try b.binary(reducer.function, old, added, local.element)
    b.store(toSlot(sum, local.element), address, alignment: slotAlignment(slot))
  }

  /// Combines the accumulators of the scope into their locals.
  func closeReductions() throws(CodegenError) {
    guard let scope = reductions else { return }
    // Interleaved accumulators of one place, widest first as they were made.
    var pending = scope.order
    while let first = pending.first {
      let group = pending.filter { $0.local == first.local && $0.position == first.position && $0.reducer == first.reducer }
      pending.removeAll { group.contains($0) }
      let members = group.compactMap { scope.accumulators[$0] }
      guard let count = members.first?.count else { continue }
      for index in 0..<count { try combine(members, at: index) }
    }
  }

  private func combine(_ members: [ReductionScope.Accumulator], at index: Int) throws(CodegenError) {
    guard let first = members.first else { return }
    let (element, reducer) = (first.element, first.key.reducer)
    var byWidth: [(width: Int, value: IRValue)] = []
    for member in members {
      let type = first.target.type.vector(member.key.width)
      let value = fromSlot(b.load(type, b.element(member.address, type, at: index), alignment: slotAlignment(first.target)), element)
      if let known = byWidth.firstIndex(where: { $0.width == member.key.width }) {
        byWidth[known].value = try b.binary(reducer.function, byWidth[known].value, value, element)
      } else {
        byWidth.append((member.key.width, value))
      }
    }
    let place = first.key.position ?? index
    let address = b.element(first.target.address, first.target.type, at: place)
    var total = fromSlot(b.load(first.target.type, address, alignment: slotAlignment(first.target)), element)
    for (width, vector) in byWidth {
      var (lanes, value) = (width, vector)
      while lanes > 1 {
        lanes /= 2
        let (low, high) = (b.shuffle(value, Array(0..<lanes)), b.shuffle(value, Array(lanes..<2 * lanes)))
        value = try b.binary(reducer.function, lanes == 1 ? b.extract(low, 0) : low, lanes == 1 ? b.extract(high, 0) : high, element)
      }
      total = try b.binary(reducer.function, total, value, element)
    }
    b.store(toSlot(total, element), address, alignment: slotAlignment(first.target))
  }
}

extension FunctionBuilder {
  /// The value that leaves every other one as it is.
  func neutral(_ reducer: Reducer, _ element: ElementType, _ lanes: Int) -> IRValue {
    let type = registerType(element).vector(lanes)
    let isFloat = element.isFloatingPoint
    switch reducer {
    case .sum, .or: return isFloat ? real(0, type) : integer(0, type)
    case .product: return isFloat ? real(1, type) : integer(1, type)
    case .and: return integer(-1, type)
    case .maximum:
      if isFloat { return real(-.infinity, type) }
      return integer(element.isSignedInteger ? element.integerRange?.lowerBound ?? 0 : 0, type)
    case .minimum:
      if isFloat { return real(.infinity, type) }
      return integer(element.isSignedInteger ? element.integerRange?.upperBound ?? -1 : -1, type)
    }
  }
}
