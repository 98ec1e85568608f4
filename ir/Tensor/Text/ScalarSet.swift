/// A set of Unicode scalars as ranges of their numbers, ascending and apart. Surrogates may lie inside; they encode to nothing.
struct ScalarSet {
  private(set) var ranges: [ClosedRange<UInt32>] = []
  static let last: UInt32 = 0x10ffff

  init() {}
  init(_ scalars: [Unicode.Scalar]) { for scalar in scalars { insert(scalar.value...scalar.value) } }
  init(_ range: ClosedRange<Unicode.Scalar>) { ranges = [range.lowerBound.value...range.upperBound.value] }
  private init(ranges: [ClosedRange<UInt32>]) { for range in ranges { insert(range) } }

  static let all = ScalarSet(ranges: [0...last])
  static let digits = ScalarSet(ranges: [48...57])
  static let blanks = ScalarSet(["\t", "\n", "\u{c}", "\r", " "])
  static let wordCharacters = ScalarSet(ranges: [48...57, 65...90, 95...95, 97...122])

  private mutating func insert(_ range: ClosedRange<UInt32>) {
    // Mostly in ascending order; where it is not, neighbours are merged by sorting.
    if let last = ranges.last, range.lowerBound <= last.upperBound { return formUnion(of: ranges + [range]) }
    if let last = ranges.last, last.upperBound + 1 == range.lowerBound { ranges[ranges.count - 1] = last.lowerBound...range.upperBound } else { ranges.append(range) }
  }

  private mutating func formUnion(of all: [ClosedRange<UInt32>]) {
    var merged: [ClosedRange<UInt32>] = []
    for range in all.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      if let last = merged.last, range.lowerBound <= last.upperBound || last.upperBound + 1 == range.lowerBound {
        merged[merged.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
      } else { merged.append(range) }
    }
    ranges = merged
  }

  mutating func formUnion(_ other: ScalarSet) { formUnion(of: ranges + other.ranges) }

  var inverted: ScalarSet {
    var found = ScalarSet()
    var next: UInt32 = 0
    for range in ranges {
      if range.lowerBound > next { found.ranges.append(next...range.lowerBound - 1) }
      next = range.upperBound + 1
    }
    if next <= Self.last { found.ranges.append(next...Self.last) }
    return found
  }

  /// With the other case of every letter that has one.
  var ignoringCase: ScalarSet {
    var others: [UInt32] = []
    // No letter with another case lies beyond Adlam.
    for range in ranges where range.lowerBound <= 0x1e943 {
      for value in range.lowerBound...min(range.upperBound, 0x1e943) {
        guard let scalar = Unicode.Scalar(value) else { continue }
        if scalar.isASCII {
          if scalar.properties.isAlphabetic { others.append(value ^ 0x20) }
          // Long s and the Kelvin sign fold to ASCII letters.
          if value | 0x20 == 0x73 { others.append(0x17f) }
          if value | 0x20 == 0x6b { others.append(0x212a) }
          continue
        }
        for mapping in [scalar.properties.lowercaseMapping, scalar.properties.uppercaseMapping] {
          let mapped = mapping.unicodeScalars
          if mapped.count == 1, let other = mapped.first, other != scalar { others.append(other.value) }
        }
      }
    }
    var found = self
    found.formUnion(of: ranges + others.map { $0...$0 })
    return found
  }

  static func posix(named name: String) -> ScalarSet? {
    switch name {
    case "alnum": ScalarSet(ranges: [48...57, 65...90, 97...122])
    case "alpha": ScalarSet(ranges: [65...90, 97...122])
    case "ascii": ScalarSet(ranges: [0...127])
    case "blank": ScalarSet(ranges: [9...9, 32...32])
    case "cntrl": ScalarSet(ranges: [0...31, 127...127])
    case "digit": digits
    case "graph": ScalarSet(ranges: [33...126])
    case "lower": ScalarSet(ranges: [97...122])
    case "print": ScalarSet(ranges: [32...126])
    case "punct": ScalarSet(ranges: [33...47, 58...64, 91...96, 123...126])
    case "space": ScalarSet(ranges: [9...13, 32...32])
    case "upper": ScalarSet(ranges: [65...90])
    case "word": wordCharacters
    case "xdigit": ScalarSet(ranges: [48...57, 65...70, 97...102])
    default: nil
    }
  }

  /// The scalars of a general category: `L`, `Lu`, `Nd`, ...; nil for a name that is none.
  static func category(named name: String) -> ScalarSet? {
    if name == "Any" { return .all }
    guard (1...2).contains(name.utf8.count) else { return nil }
    return categories[name]
  }

  /// All categories, by one look at every scalar.
  private static let categories: [String: ScalarSet] = {
    var found: [String: ScalarSet] = [:]
    for value in 0...last {
      guard let scalar = Unicode.Scalar(value), let name = abbreviation(scalar.properties.generalCategory) else { continue }
      found[name, default: ScalarSet()].insert(value...value)
      found[String(name.prefix(1)), default: ScalarSet()].insert(value...value)
    }
    return found
  }()

  private static func abbreviation(_ category: Unicode.GeneralCategory) -> String? {
    switch category {
    case .uppercaseLetter: "Lu"
    case .lowercaseLetter: "Ll"
    case .titlecaseLetter: "Lt"
    case .modifierLetter: "Lm"
    case .otherLetter: "Lo"
    case .nonspacingMark: "Mn"
    case .spacingMark: "Mc"
    case .enclosingMark: "Me"
    case .decimalNumber: "Nd"
    case .letterNumber: "Nl"
    case .otherNumber: "No"
    case .connectorPunctuation: "Pc"
    case .dashPunctuation: "Pd"
    case .openPunctuation: "Ps"
    case .closePunctuation: "Pe"
    case .initialPunctuation: "Pi"
    case .finalPunctuation: "Pf"
    case .otherPunctuation: "Po"
    case .mathSymbol: "Sm"
    case .currencySymbol: "Sc"
    case .modifierSymbol: "Sk"
    case .otherSymbol: "So"
    case .spaceSeparator: "Zs"
    case .lineSeparator: "Zl"
    case .paragraphSeparator: "Zp"
    case .control: "Cc"
    case .format: "Cf"
    case .privateUse: "Co"
    case .surrogate, .unassigned: nil
    @unknown default: nil
    }
  }
}
