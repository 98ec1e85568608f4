internal import TensorTypes

// How a manifest states what concerns text.

extension TextFunction {
  var json: JSON {
    func split(_ name: String, _ rule: PieceRule) -> JSON {
      var members: [JSON.Member] = [.init("function", .string(name)), .init("delimiter", .string(rule.delimiter))]
      if let limit = rule.limit { members.append(.init("limit", .integer(limit))) }
      return .object(members)
    }
    func tokens(_ name: String, _ rule: TokenRule) -> JSON {
      [
        "function": .string(name), "separators": .bool(rule.matchesSeparators), "fewest": .integer(rule.fewestCharacters), "marked": .bool(rule.isMarked),
        "padding": .string(rule.padding),
      ]
    }
    switch self {
    case .concatenate: return ["function": .string("concatenate")]
    case .lowercase: return ["function": .string("lowercase")]
    case .uppercase: return ["function": .string("uppercase")]
    case .matches: return ["function": .string("matches")]
    case .rank: return ["function": .string("rank")]
    case .parse(let element): return ["function": .string("parse"), "element": .string(element.name)]
    case .format(let element): return ["function": .string("format"), "element": .string(element.name)]
    case .countPieces(let rule): return split("countPieces", rule)
    case .pieces(let rule): return split("pieces", rule)
    case .countTokens(let rule): return tokens("countTokens", rule)
    case .tokens(let rule): return tokens("tokens", rule)
    }
  }

  init?(json: JSON) {
    let element = json["element"]?.string.flatMap { ElementType(name: $0) }
    let pieces = json["delimiter"]?.string.map { PieceRule(delimiter: $0, limit: json["limit"]?.integer) }
    var tokens: TokenRule?
    if let separators = json["separators"]?.bool, let fewest = json["fewest"]?.integer, let marked = json["marked"]?.bool, let padding = json["padding"]?.string {
      tokens = TokenRule(matchesSeparators: separators, fewestCharacters: fewest, isMarked: marked, padding: padding)
    }
    switch json["function"]?.string {
    case "concatenate": self = .concatenate
    case "lowercase": self = .lowercase
    case "uppercase": self = .uppercase
    case "matches": self = .matches
    case "rank": self = .rank
    case "parse":
      guard let element else { return nil }
      self = .parse(element)
    case "format":
      guard let element else { return nil }
      self = .format(element)
    case "countPieces":
      guard let pieces else { return nil }
      self = .countPieces(pieces)
    case "pieces":
      guard let pieces else { return nil }
      self = .pieces(pieces)
    case "countTokens":
      guard let tokens else { return nil }
      self = .countTokens(tokens)
    case "tokens":
      guard let tokens else { return nil }
      self = .tokens(tokens)
    default: return nil
    }
  }
}

extension MapKeys {
  var json: JSON {
    switch self {
    case .integers(let keys): .array(keys.map { .integer($0) })
    case .strings(let keys): .array(keys.map { .string($0) })
    }
  }

  init?(json: JSON) {
    guard let array = json.array else { return nil }
    let (integers, strings) = (array.compactMap(\.integer), array.compactMap(\.string))
    if integers.count == array.count { self = .integers(integers) } else if strings.count == array.count { self = .strings(strings) } else { return nil }
  }
}
