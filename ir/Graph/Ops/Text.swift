import TensorTypes

/// What makes or reads text: `text_concat`, `text_lower`, `text_match`, `text_parse`, `text_format`, ...
///
///     %y = text_concat %a, %b : string[2,3]
///     %m = text_match %x {pattern = "[a-z]+@[a-z.]+"} : bool[2,3]
///     %n = text_piece_count %x {delimiter = ","} : i64[2,3]
///     %p = text_pieces %x {delimiter = ",", width = [n]} : string[2,3,n]
///
/// - Operands: `x`, two of one shape for `text_concat`. Result: the same shape; `text_pieces` and `text_tokens` add an axis of `width`.
/// - Source: ONNX `StringConcat`, `StringNormalizer`, `StringSplit`, `RegexFullMatch`, `Cast`, and `Tokenizer` of com.microsoft.
public struct TextOperation: Operation {
  public enum Kind: String, Sendable, CaseIterable {
    case concatenate = "text_concat", lowercase = "text_lower", uppercase = "text_upper"
    case match = "text_match", parse = "text_parse", format = "text_format", rank = "text_rank"
    case countPieces = "text_piece_count", pieces = "text_pieces", countTokens = "text_token_count", tokens = "text_tokens"
  }

  public let kind: Kind
  /// Of `parse`: the element type of the result.
  public let element: ElementType?
  public let pieces: PieceRule?
  public let tokens: TokenRule?
  public let pattern: Pattern?
  /// Of `pieces` and `tokens`: the length of the axis that they add.
  public let width: Extent?

  public init(_ kind: Kind, element: ElementType? = nil, pieces: PieceRule? = nil, tokens: TokenRule? = nil, pattern: Pattern? = nil, width: Extent? = nil) {
    (self.kind, self.element, self.pieces, self.tokens, self.pattern, self.width) = (kind, element, pieces, tokens, pattern, width)
  }

  /// The function of single elements; `element` is that of the operand.
  public func function(of element: ElementType) -> TextFunction? {
    switch kind {
    case .concatenate: .concatenate
    case .lowercase: .lowercase
    case .uppercase: .uppercase
    case .match: .matches
    case .parse: self.element.map { .parse($0) }
    case .format: .format(element)
    case .rank: .rank
    case .countPieces: pieces.map { .countPieces($0) }
    case .pieces: pieces.map { .pieces($0) }
    case .countTokens: tokens.map { .countTokens($0) }
    case .tokens: tokens.map { .tokens($0) }
    }
  }

  // MARK: Text form

  public static let mnemonics = Kind.allCases.map(\.rawValue)
  public var mnemonic: String { kind.rawValue }
  public var arity: ClosedRange<Int> { kind == .concatenate ? 2...2 : 1...1 }
  public var attributes: Attributes {
    var list = Attributes()
    if let element { list.set("element", .element(element)) }
    if let pieces {
      list.set("delimiter", .word(pieces.delimiter))
      if let limit = pieces.limit { list.set("limit", .integer(limit)) }
    }
    if let pattern { list.set("pattern", .word(pattern.text)) }
    if let tokens {
      list.set("separators", tokens.matchesSeparators, unless: false) { .flag($0) }
      list.set("fewest", tokens.fewestCharacters, unless: 1) { .integer($0) }
      list.set("marked", tokens.isMarked, unless: false) { .flag($0) }
      list.set("padding", .word(tokens.padding))
    }
    if let width { list.set("width", .extents([width])) }
    return list
  }

  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    guard let kind = Kind(rawValue: mnemonic) else { throw TypeError("`\(mnemonic)` is no operation on text") }
    func word(_ name: String) throws(TypeError) -> String {
      switch attributes[name] {
      case .word(let value): return value
      case nil: return ""
      default: throw TypeError("attribute `\(name)` must be text in quotes")
      }
    }
    self.kind = kind
    element = kind == .parse ? try attributes.element("element") : nil
    switch kind {
    case .countPieces, .pieces: pieces = PieceRule(delimiter: try word("delimiter"), limit: attributes["limit"] == nil ? nil : try attributes.integer("limit"))
    default: pieces = nil
    }
    switch kind {
    case .countTokens, .tokens:
      tokens = TokenRule(
        matchesSeparators: try attributes.flag("separators"), fewestCharacters: try attributes.integer("fewest", default: 1),
        isMarked: try attributes.flag("marked"), padding: try word("padding"))
    default: tokens = nil
    }
    switch kind {
    case .match, .countTokens, .tokens:
      let text = try word("pattern")
      do throws(TextError) { pattern = try Pattern(text) } catch { throw TypeError(error.message) }
    default: pattern = nil
    }
    switch kind {
    case .pieces, .tokens:
      let extents = try attributes.extents("width")
      guard extents.count == 1 else { throw TypeError("attribute `width` must be one extent") }
      width = extents[0]
    default: width = nil
    }
  }

  // MARK: Types

  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    try requireSameShape(operands)
    for type in operands where (type.element == .string) == (kind == .format) { throw TypeError("`\(mnemonic)` does not take \(type)") }
    guard let function = function(of: operands[0].element) else { throw TypeError("`\(mnemonic)` lacks an attribute") }
    if case .parse(.string) = function { throw TypeError("`\(mnemonic)` gives numbers, not strings") }
    return [TensorType(function.result, Shape(operands[0].shape.extents + (width.map { [$0] } ?? [])))]
  }

  public func substituting(_ bindings: [String: Extent]) -> TextOperation {
    TextOperation(kind, element: element, pieces: pieces, tokens: tokens, pattern: pattern, width: width?.substituting(bindings))
  }
}

/// What stands for each string in a table.
///
///     %y = text_find %x, %names, %table : f32[8]
///
/// - Operands: `x`, strings; `names`, string [n], a constant; `table` [n + 1], a constant.
/// - Result: for each string the entry of `table` at its first place among `names`, and the last entry if it has none. As compiled,
///   `names` are all strings of the model in the order of their numbers, so that a number is a place.
/// - Source: ONNX `LabelEncoder`, `CategoryMapper`, `OneHotEncoder`, `TfIdfVectorizer`.
public struct TextFind: Operation {
  public init() {}

  public static let mnemonics = ["text_find"]
  public var arity: ClosedRange<Int> { 3...3 }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {}
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    let (x, names, table) = (operands[0], operands[1], operands[2])
    guard x.element == .string, names.element == .string, names.rank == 1, let count = names.shape[0].constant, table.shape.constants == [count + 1] else {
      throw TypeError("`text_find` of \(x) among \(names) with \(table)")
    }
    return [TensorType(table.element, x.shape)]
  }
}
