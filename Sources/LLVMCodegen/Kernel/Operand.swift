internal import CLLVM

/// What an expression is in the code being emitted.
enum Operand {
  /// The same in every lane: a scalar. The facts speak of an i64.
  case uniform(IRValue, IndexFacts)
  /// An i64 that is `base + lane * stride`, with a stride that is not 0.
  case affine(base: IRValue, stride: Int, IndexFacts)
  /// A vector with a lane for each iteration.
  case lanes(IRValue)

  static func uniform(_ value: IRValue) -> Operand { .uniform(value, IndexFacts(of: value)) }
}

/// What is known of an index (of its base, if it is affine).
///
/// They decide whether a division by a constant has the same result in all lanes.
struct IndexFacts {
  /// The value is a multiple of this; 0 is a multiple of everything.
  var multiple = 1
  var isNonNegative = false

  init(multiple: Int = 1, isNonNegative: Bool = false) { (self.multiple, self.isNonNegative) = (multiple, isNonNegative) }

  init(of value: IRValue) {
    if let constant = value.constantInteger, constant != .min { (multiple, isNonNegative) = (abs(constant), constant >= 0) }
  }

  static func + (a: IndexFacts, b: IndexFacts) -> IndexFacts {
    IndexFacts(multiple: greatestCommonDivisor(a.multiple, b.multiple), isNonNegative: a.isNonNegative && b.isNonNegative)
  }

  static func * (a: IndexFacts, b: IndexFacts) -> IndexFacts {
    let (product, overflowed) = a.multiple.multipliedReportingOverflow(by: b.multiple)
    return IndexFacts(multiple: overflowed ? max(a.multiple, b.multiple) : product, isNonNegative: a.isNonNegative && b.isNonNegative)
  }

  static func greatestCommonDivisor(_ a: Int, _ b: Int) -> Int {
    var (a, b) = (a, b)
    while b != 0 { (a, b) = (b, a % b) }
    return a
  }
}

/// One chunk of a vectorized loop: how many lanes there are, and which of them count.
struct Lanes {
  let width: Int
  /// An i1 for each lane; nil if all are on.
  let mask: IRValue?
  /// How many lanes are on, if that is known.
  let active: Int?
  /// Which of the interleaved accumulators it adds to.
  let accumulator: Int
}

/// Where a local lives.
struct LocalSlot {
  let address: IRValue
  let type: IRType
  let count: Int
  /// More than 1 if each lane has its own.
  let width: Int
}
