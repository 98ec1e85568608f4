internal import CLLVM
import KernelIR
import TensorTypes

extension KernelEmitter {
  /// Emits a vectorized loop as chunks of `width` iterations and a masked rest.
  ///
  /// Few chunks of a known number are unrolled, so that locals indexed by the loop's variable become registers.
  /// Loops that accumulate into a local take four accumulators in turn, which hides the latency of the addition.
  func emitVectorized(_ loop: Loop) throws(CodegenError) {
    guard case .uniform(let lower, let facts) = try emit(loop.lower), case .uniform(let upper, _) = try emit(loop.upper) else {
      throw CodegenError(.divergentControl("a bound of loop `\(loop.variable.name)`"))
    }
    let shape = VectorLoopShape(loop, vectorBytes: target.vectorBytes)
    let outerReductions = reductions
    if shape.hasReduction { reductions = openReductions() }
    if let first = lower.constantInteger, let end = upper.constantInteger {
      if first < end { try emitChunks(of: loop, shape, first..<end) }
    } else {
      try emitChunks(of: loop, shape, from: lower, to: upper, facts)
    }
    if shape.hasReduction {
      try closeReductions()
      reductions = outerReductions
    }
  }

  /// A known number of iterations.
  private func emitChunks(of loop: Loop, _ shape: VectorLoopShape, _ range: Range<Int>) throws(CodegenError) {
    let width = shape.width
    let full = range.count / width
    let loopedChunks: Int
    if full <= 8 && (shape.indexesOuterLocals || full * shape.cost <= 600) {
      loopedChunks = 0
    } else {
      loopedChunks = full - full % shape.interleaving
      let facts = IndexFacts(multiple: IndexFacts.greatestCommonDivisor(range.lowerBound, width), isNonNegative: range.lowerBound >= 0)
      try b.loop(
        loop.variable.name, from: b.index(range.lowerBound), to: b.index(range.lowerBound + loopedChunks * width), by: width * shape.interleaving,
        isNeverEmpty: true
      ) { base throws(CodegenError) in try self.emitGroup(of: loop, shape, at: base, facts) }
    }
    for chunk in loopedChunks..<full {
      let base = b.index(range.lowerBound + chunk * width)
      try emitChunk(of: loop, at: base, IndexFacts(of: base), Lanes(width: width, mask: nil, active: nil, accumulator: chunk % 4))
    }
    let rest = range.count - full * width
    if rest > 0 {
      var narrow = 1
      while narrow < rest { narrow *= 2 }
      let base = b.index(range.lowerBound + full * width)
      let mask = narrow == rest ? nil : b.vector((0..<narrow).map { b.integer($0 < rest ? 1 : 0, b.i1) })
      try emitChunk(of: loop, at: base, IndexFacts(of: base), Lanes(width: narrow, mask: mask, active: rest, accumulator: full % 4))
    }
  }

  /// A number of iterations that is only known when the code runs.
  private func emitChunks(of loop: Loop, _ shape: VectorLoopShape, from lower: IRValue, to upper: IRValue, _ lowerFacts: IndexFacts) throws(CodegenError) {
    let width = shape.width
    let count = b.smax(b.sub(upper, lower), b.index(0))
    let facts = IndexFacts(multiple: IndexFacts.greatestCommonDivisor(lowerFacts.multiple, width), isNonNegative: lowerFacts.isNonNegative)
    let fullEnd = b.add(lower, b.and(count, -width))
    var start = lower
    if shape.interleaving > 1 {
      let groupEnd = b.add(lower, b.and(count, -(width * shape.interleaving)))
      try b.loop(loop.variable.name, from: lower, to: groupEnd, by: width * shape.interleaving) { base throws(CodegenError) in
        try self.emitGroup(of: loop, shape, at: base, facts)
      }
      start = groupEnd
    }
    try b.loop(loop.variable.name, from: start, to: fullEnd, by: width) { base throws(CodegenError) in
      try self.emitChunk(of: loop, at: base, facts, Lanes(width: width, mask: nil, active: nil, accumulator: 0))
    }
    let rest = b.and(count, width - 1)
    try b.when(b.compare(LLVMIntNE, rest, 0), "rest") { () throws(CodegenError) in
      let lane = b.iota(width, stride: 1, b.i32)
      let mask = b.compare(LLVMIntULT, lane, b.splat(b.cast(LLVMTrunc, rest, to: b.i32), width))
      try self.emitChunk(of: loop, at: fullEnd, facts, Lanes(width: width, mask: mask, active: nil, accumulator: 1))
    }
  }

  private func emitGroup(of loop: Loop, _ shape: VectorLoopShape, at base: IRValue, _ facts: IndexFacts) throws(CodegenError) {
    for member in 0..<shape.interleaving {
      try emitChunk(of: loop, at: b.add(base, member * shape.width), facts, Lanes(width: shape.width, mask: nil, active: nil, accumulator: member))
    }
  }

  private func emitChunk(of loop: Loop, at base: IRValue, _ facts: IndexFacts, _ chunk: Lanes) throws(CodegenError) {
    let outer = lanes
    if chunk.width == 1 {
      lanes = nil
      try emitIteration(loop, .uniform(base, facts))
    } else {
      lanes = chunk
      try emitIteration(loop, .affine(base: base, stride: 1, facts))
    }
    lanes = outer
  }
}
