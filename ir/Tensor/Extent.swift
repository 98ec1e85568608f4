/// The length of one tensor axis: an integer expression over named symbols.
///
///     batch        2*sequence + 1        floordiv(height + 1, 2)        197
///
/// Extents are kept in a normal form (a sum of products with integer coefficients), so that equal
/// expressions compare equal: `2*(n+1)` and `n+n+2` are the same value. A symbol stands for an integer of
/// at least 0. An expression whose coefficients leave 64 bits becomes `Extent.overflow`, which absorbs
/// everything it meets; the graph verifier refuses it.
public struct Extent: Sendable, Hashable, ExpressibleByIntegerLiteral {
  /// What is not a sum or a product.
  public indirect enum Atom: Sendable, Hashable, Comparable {
    case symbol(String)
    /// Quotient rounded toward minus infinity.
    case floorDiv(Extent, Extent)
    /// Remainder with the sign of the divisor.
    case modulo(Extent, Extent)
    case maximum(Extent, Extent)
    case minimum(Extent, Extent)

    public static func < (a: Atom, b: Atom) -> Bool {
      if case .symbol(let x) = a, case .symbol(let y) = b { return x < y }
      return "\(a)" < "\(b)"
    }
  }

  /// A product of atoms, sorted; the empty product is 1.
  typealias Monomial = [Atom]

  struct Term: Sendable, Hashable {
    var coefficient: Int
    var factors: Monomial
  }

  /// Sorted by factors, no coefficient 0. Empty means 0.
  var terms: [Term]
  /// True for an expression that left 64 bits.
  public private(set) var isOverflow = false

  public init(_ value: Int) { terms = value == 0 ? [] : [Term(coefficient: value, factors: [])] }
  public init(integerLiteral value: Int) { self.init(value) }
  public init(symbol: String) { self.init(atom: .symbol(symbol)) }
  init(atom: Atom) { terms = [Term(coefficient: 1, factors: [atom])] }

  private init(terms: [Term]) { self.terms = terms }

  /// The result of arithmetic that left 64 bits.
  public static let overflow: Extent = {
    var extent = Extent(0)
    extent.isOverflow = true
    return extent
  }()

  /// The value, if it names no symbol.
  public var constant: Int? {
    if isOverflow { return nil }
    if terms.isEmpty { return 0 }
    guard terms.count == 1, terms[0].factors.isEmpty else { return nil }
    return terms[0].coefficient
  }

  public var isConstant: Bool { constant != nil }

  /// The symbol's name, if the expression is nothing but one symbol.
  public var symbol: String? {
    guard terms.count == 1, terms[0].coefficient == 1, terms[0].factors.count == 1,
      case .symbol(let name) = terms[0].factors[0]
    else { return nil }
    return name
  }

  /// All symbols in it, in alphabetical order.
  public var symbols: [String] {
    var found: Set<String> = []
    collectSymbols(into: &found)
    return found.sorted()
  }

  private func collectSymbols(into found: inout Set<String>) {
    for term in terms {
      for atom in term.factors {
        switch atom {
        case .symbol(let name): found.insert(name)
        case .floorDiv(let a, let b), .modulo(let a, let b), .maximum(let a, let b), .minimum(let a, let b):
          a.collectSymbols(into: &found)
          b.collectSymbols(into: &found)
        }
      }
    }
  }

  // MARK: Size

  /// An expression with more terms or factors, more atoms, or a deeper nesting than any real model has becomes `overflow`:
  /// hostile shape arithmetic could otherwise double in size at every step.
  static let maximumTerms = 64, maximumAtoms = 1000, maximumDepth = 48

  /// How many atoms an expression is made of, and how deep they are nested.
  private var size: (atoms: Int, depth: Int) {
    var (atoms, depth) = (0, 0)
    for term in terms {
      for atom in term.factors {
        atoms += 1
        switch atom {
        case .symbol: break
        case .floorDiv(let a, let b), .modulo(let a, let b), .maximum(let a, let b), .minimum(let a, let b):
          let (x, y) = (a.size, b.size)
          atoms += x.atoms + y.atoms
          depth = max(depth, x.depth + 1, y.depth + 1)
        }
      }
    }
    return (atoms, depth)
  }

  /// An atom made of two expressions.
  private static func bounded(_ atom: Atom, _ a: Extent, _ b: Extent) -> Extent {
    let (x, y) = (a.size, b.size)
    return x.atoms + y.atoms > maximumAtoms || max(x.depth, y.depth) >= maximumDepth ? .overflow : Extent(atom: atom)
  }

  // MARK: Arithmetic

  public static func + (a: Extent, b: Extent) -> Extent {
    if a.isOverflow || b.isOverflow { return .overflow }
    return sum(of: a.terms + b.terms)
  }

  public static func - (a: Extent, b: Extent) -> Extent { a + b * Extent(-1) }

  public static func * (a: Extent, b: Extent) -> Extent {
    if a.isOverflow || b.isOverflow || a.terms.count * b.terms.count > maximumTerms * maximumTerms { return .overflow }
    var products: [Term] = []
    for x in a.terms {
      for y in b.terms {
        let (coefficient, overflowed) = x.coefficient.multipliedReportingOverflow(by: y.coefficient)
        if overflowed { return .overflow }
        if x.factors.count + y.factors.count > maximumTerms { return .overflow }
        products.append(Term(coefficient: coefficient, factors: (x.factors + y.factors).sorted()))
      }
    }
    return sum(of: products)
  }

  private static func sum(of terms: [Term]) -> Extent {
    var coefficients: [Monomial: Int] = [:]
    for term in terms {
      let (total, overflowed) = coefficients[term.factors, default: 0].addingReportingOverflow(term.coefficient)
      if overflowed { return .overflow }
      coefficients[term.factors] = total
    }
    if coefficients.count > maximumTerms { return .overflow }
    let kept = coefficients.filter { $0.value != 0 }.map { Term(coefficient: $0.value, factors: $0.key) }
    return Extent(terms: kept.sorted { precedes($0.factors, $1.factors) })
  }

  /// Longer products first, then alphabetically, so that the constant comes last.
  private static func precedes(_ a: Monomial, _ b: Monomial) -> Bool {
    a.count != b.count ? a.count > b.count : a.lexicographicallyPrecedes(b)
  }

  /// Quotient rounded toward minus infinity. A constant divisor of 0 gives `overflow`.
  public func floorDivided(by divisor: Extent) -> Extent {
    if isOverflow || divisor.isOverflow || divisor.constant == 0 { return .overflow }
    if divisor.constant == 1 { return self }
    if let quotient = dividedExactly(by: divisor) { return quotient }
    if let a = constant, let b = divisor.constant { return Self.floorDivide(a, b).map { Extent($0.quotient) } ?? .overflow }
    // Terms that divide exactly leave the quotient; the rest stays under the division.
    if divisor.isConstant {
      var whole = Extent(0), rest = Extent(0)
      for term in terms {
        let part = Extent(terms: [term])
        if let quotient = part.dividedExactly(by: divisor) { whole = whole + quotient } else { rest = rest + part }
      }
      if !whole.terms.isEmpty { return whole + rest.floorDivided(by: divisor) }
    }
    if let merged = mergedFloorDivision(by: divisor) { return merged }
    return Self.bounded(.floorDiv(self, divisor), self, divisor)
  }

  /// `floordiv(floordiv(a, b) + r, c)` as `floordiv(a + r*b, b*c)` for positive constants b and c; a stack of
  /// convolutions with stride 2 makes towers of these.
  private func mergedFloorDivision(by divisor: Extent) -> Extent? {
    guard let outer = divisor.constant, outer > 0 else { return nil }
    for term in terms where term.coefficient == 1 && term.factors.count == 1 {
      guard case .floorDiv(let inner, let by) = term.factors[0], let first = by.constant, first > 0 else { continue }
      let rest = self - Extent(atom: term.factors[0])
      return (inner + rest * by).floorDivided(by: by * divisor)
    }
    return nil
  }

  /// Quotient rounded toward plus infinity.
  public func ceilDivided(by divisor: Extent) -> Extent { (self + divisor - 1).floorDivided(by: divisor) }

  public func modulo(_ divisor: Extent) -> Extent {
    if isOverflow || divisor.isOverflow || divisor.constant == 0 { return .overflow }
    if divisor.constant == 1 || dividedExactly(by: divisor) != nil { return 0 }
    if let a = constant, let b = divisor.constant { return Self.floorDivide(a, b).map { Extent($0.remainder) } ?? .overflow }
    return Self.bounded(.modulo(self, divisor), self, divisor)
  }

  /// `self / divisor` if it leaves no remainder whatever the symbols are.
  public func dividedExactly(by divisor: Extent) -> Extent? {
    if isOverflow || divisor.isOverflow { return nil }
    if terms.isEmpty { return divisor.constant == 0 ? nil : 0 }
    if self == divisor { return 1 }
    // A sum divided by a sum is only tried as a multiple by a constant.
    guard divisor.terms.count == 1 else {
      guard terms.count == divisor.terms.count, let a = terms.first, let b = divisor.terms.first,
        a.factors == b.factors, b.coefficient != 0, !(b.coefficient == -1 && a.coefficient == .min), a.coefficient % b.coefficient == 0
      else { return nil }
      let ratio = Extent(a.coefficient / b.coefficient)
      return divisor * ratio == self ? ratio : nil
    }
    let by = divisor.terms[0]
    var quotient: [Term] = []
    for term in terms {
      if by.coefficient == -1 && term.coefficient == Int.min { return nil }
      guard by.coefficient != 0, term.coefficient % by.coefficient == 0 else { return nil }
      var factors = term.factors
      for atom in by.factors {
        guard let position = factors.firstIndex(of: atom) else { return nil }
        factors.remove(at: position)
      }
      quotient.append(Term(coefficient: term.coefficient / by.coefficient, factors: factors))
    }
    return Self.sum(of: quotient)
  }

  public static func maximum(_ a: Extent, _ b: Extent) -> Extent {
    if a.isOverflow || b.isOverflow { return .overflow }
    if let difference = (a - b).constant { return difference >= 0 ? a : b }
    return bounded(a.description <= b.description ? .maximum(a, b) : .maximum(b, a), a, b)
  }

  public static func minimum(_ a: Extent, _ b: Extent) -> Extent {
    if a.isOverflow || b.isOverflow { return .overflow }
    if let difference = (a - b).constant { return difference <= 0 ? a : b }
    return bounded(a.description <= b.description ? .minimum(a, b) : .minimum(b, a), a, b)
  }

  static func floorDivide(_ a: Int, _ b: Int) -> (quotient: Int, remainder: Int)? {
    if b == 0 || (a == Int.min && b == -1) { return nil }
    let (quotient, remainder) = a.quotientAndRemainder(dividingBy: b)
    return remainder != 0 && (remainder < 0) != (b < 0) ? (quotient - 1, remainder + b) : (quotient, remainder)
  }

  // MARK: Binding

  /// The value under a binding of every symbol; nil if one is missing, or on overflow or division by 0.
  public func evaluated(_ bindings: [String: Int]) -> Int? {
    if isOverflow { return nil }
    var total = 0
    for term in terms {
      var product = term.coefficient
      for atom in term.factors {
        guard let value = Self.evaluate(atom, bindings) else { return nil }
        let (next, overflowed) = product.multipliedReportingOverflow(by: value)
        if overflowed { return nil }
        product = next
      }
      let (next, overflowed) = total.addingReportingOverflow(product)
      if overflowed { return nil }
      total = next
    }
    return total
  }

  private static func evaluate(_ atom: Atom, _ bindings: [String: Int]) -> Int? {
    switch atom {
    case .symbol(let name): return bindings[name]
    case .floorDiv(let a, let b):
      guard let x = a.evaluated(bindings), let y = b.evaluated(bindings) else { return nil }
      return floorDivide(x, y)?.quotient
    case .modulo(let a, let b):
      guard let x = a.evaluated(bindings), let y = b.evaluated(bindings) else { return nil }
      return floorDivide(x, y)?.remainder
    case .maximum(let a, let b):
      guard let x = a.evaluated(bindings), let y = b.evaluated(bindings) else { return nil }
      return max(x, y)
    case .minimum(let a, let b):
      guard let x = a.evaluated(bindings), let y = b.evaluated(bindings) else { return nil }
      return min(x, y)
    }
  }

  /// The same expression with some symbols replaced.
  public func substituting(_ bindings: [String: Extent]) -> Extent {
    if isOverflow || isConstant { return self }
    var total = Extent(0)
    for term in terms {
      var product = Extent(term.coefficient)
      for atom in term.factors {
        switch atom {
        case .symbol(let name): product = product * (bindings[name] ?? Extent(symbol: name))
        case .floorDiv(let a, let b): product = product * a.substituting(bindings).floorDivided(by: b.substituting(bindings))
        case .modulo(let a, let b): product = product * a.substituting(bindings).modulo(b.substituting(bindings))
        case .maximum(let a, let b): product = product * .maximum(a.substituting(bindings), b.substituting(bindings))
        case .minimum(let a, let b): product = product * .minimum(a.substituting(bindings), b.substituting(bindings))
        }
      }
      total = total + product
    }
    return total
  }

  /// The sum of products that makes up this expression, for code that emits it.
  public var sumOfProducts: [(coefficient: Int, factors: [Atom])] { terms.map { ($0.coefficient, $0.factors) } }
}
