internal import CLLVM

extension FunctionBuilder {
  /// Elements of a small table that lies in registers: at most 64 numbers of four bytes as vectors of 16, chosen by 16 indices.
  ///
  /// One to three instructions of AVX-512 instead of 16 loads. An index beyond the table gives any number.
  func permuted(_ table: [IRValue], by indices: IRValue) -> IRValue {
    let places = indices.type.bitWidth == 32 ? indices : cast(LLVMTrunc, indices, to: i32)
    func pair(_ low: IRValue, _ high: IRValue) -> IRValue {
      intrinsic(low.type.scalar.raw == f32.raw ? "llvm.x86.avx512.vpermi2var.ps.512" : "llvm.x86.avx512.vpermi2var.d.512", [], [low, places, high])
    }
    switch table.count {
    case 1: return intrinsic(table[0].type.scalar.raw == f32.raw ? "llvm.x86.avx512.permvar.sf.512" : "llvm.x86.avx512.permvar.si.512", [], [table[0], places])
    case 2: return pair(table[0], table[1])
    default:
      let isHigh = compare(LLVMIntUGT, places, splat(integer(31, i32), 16))
      return select(isHigh, pair(table[2], table[table.count - 1]), pair(table[0], table[1]))
    }
  }
}
