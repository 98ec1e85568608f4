import TensorTypes

/// One attribute of an operation, as the text form shows it.
public enum Attribute: Sendable, Hashable {
  case integer(Int)
  case integers([Int])
  case number(Double)
  case flag(Bool)
  case word(String)
  case element(ElementType)
  /// A list of extents: symbolic integers.
  case extents([Extent])
}

/// The attributes of one operation, by name. Those at their default are left out.
public struct Attributes: Sendable, Hashable {
  public private(set) var entries: [(name: String, value: Attribute)] = []

  public init() {}

  /// Adds an attribute. A list of constant extents is kept as integers, which is how the text form reads it.
  public mutating func set(_ name: String, _ value: Attribute) {
    if case .extents(let list) = value, let numbers = Shape(list).constants { return entries.append((name, .integers(numbers))) }
    entries.append((name, value))
  }
  public mutating func set<T: Equatable>(_ name: String, _ value: T, unless usual: T, as wrap: (T) -> Attribute) {
    if value != usual { set(name, wrap(value)) }
  }

  public subscript(name: String) -> Attribute? { entries.first { $0.name == name }?.value }

  public static func == (a: Attributes, b: Attributes) -> Bool {
    a.entries.count == b.entries.count && zip(a.entries, b.entries).allSatisfy { $0.name == $1.name && $0.value == $1.value }
  }
  public func hash(into hasher: inout Hasher) {
    for entry in entries {
      hasher.combine(entry.name)
      hasher.combine(entry.value)
    }
  }

  // MARK: Reading, for the text form

  public func integer(_ name: String, default usual: Int? = nil) throws(TypeError) -> Int {
    switch self[name] {
    case .integer(let value): return value
    case .extents(let list) where list.count == 1: if let value = list[0].constant { return value }
    case nil: if let usual { return usual }
    default: break
    }
    throw TypeError("attribute `\(name)` must be an integer")
  }

  public func integers(_ name: String, default usual: [Int]? = nil) throws(TypeError) -> [Int] {
    switch self[name] {
    case .integers(let values): return values
    case .extents(let list): if let values = Shape(list).constants { return values }
    case nil: if let usual { return usual }
    default: break
    }
    throw TypeError("attribute `\(name)` must be a list of integers")
  }

  public func extents(_ name: String, default usual: [Extent]? = nil) throws(TypeError) -> [Extent] {
    switch self[name] {
    case .extents(let values): return values
    case .integers(let values): return values.map { Extent($0) }
    case nil: if let usual { return usual }
    default: break
    }
    throw TypeError("attribute `\(name)` must be a list of extents")
  }

  /// A list of extents that are nothing but symbols, by name.
  public func symbols(_ name: String) throws(TypeError) -> [String] {
    var names: [String] = []
    for extent in try extents(name) {
      guard let symbol = extent.symbol else { throw TypeError("attribute `\(name)` lists symbols, not \(extent)") }
      names.append(symbol)
    }
    return names
  }

  public func number(_ name: String, default usual: Double? = nil) throws(TypeError) -> Double {
    switch self[name] {
    case .number(let value): return value
    case .integer(let value): return Double(value)
    case nil: if let usual { return usual }
    default: break
    }
    throw TypeError("attribute `\(name)` must be a number")
  }

  public func flag(_ name: String) throws(TypeError) -> Bool {
    switch self[name] {
    case .flag(let value): return value
    case nil: return false
    default: throw TypeError("attribute `\(name)` must be true or false")
    }
  }

  /// A word that names a case of an enumeration.
  public func word<T: RawRepresentable & CaseIterable>(_ name: String, as type: T.Type, default usual: T? = nil) throws(TypeError) -> T
  where T.RawValue == String {
    switch self[name] {
    case .word(let value): if let found = T(rawValue: value) { return found }
    case nil: if let usual { return usual }
    default: break
    }
    throw TypeError("attribute `\(name)` must be one of " + T.allCases.map(\.rawValue).joined(separator: ", "))
  }

  public func element(_ name: String) throws(TypeError) -> ElementType {
    if case .element(let value)? = self[name] { return value }
    throw TypeError("attribute `\(name)` must be an element type")
  }
}
