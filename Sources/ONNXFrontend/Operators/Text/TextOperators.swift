import GraphIR
import TensorTypes

/// Operators that read or make text.
enum TextOperators {
  static let table: [String: OperatorImporter] = [
    "StringConcat": { call, b throws(CompileError) in
      let (x, y) = (try call.input(0), try call.input(1))
      guard let target = b.shape(x).broadcast(with: b.shape(y)) else { throw b.refusal("shapes that do not broadcast", operands: [x, y]) }
      return [try b.add(TextOperation(.concatenate), b.broadcast(x, to: target), b.broadcast(y, to: target))]
    },
    "StringSplit": split, "StringNormalizer": normalize, "com.microsoft::Tokenizer": tokenize,
    "RegexFullMatch": { call, b throws(CompileError) in
      [try b.add(TextOperation(.match, pattern: pattern(call.string("pattern", default: ""), call)), call.input(0))]
    },
  ]

  private static func pattern(_ text: String, _ call: OperatorCall) throws(CompileError) -> Pattern {
    do throws(TextError) { return try Pattern(text) } catch {
      throw call.unsupported(error.message, hint: "patterns are those of RE2: https://github.com/google/re2/wiki/Syntax")
    }
  }

  /// The largest element as an extent, 0 for a tensor without elements.
  private static func width(_ counts: ValueID, _ what: String, _ b: inout GraphBuilder) throws(CompileError) -> Extent {
    let flat = try b.reshape(counts, to: [b.shape(counts).elementCount])
    let largest = try b.binary(.maximum, b.reduce(.maximum, flat, axes: [0], keepsAxes: false), 0)
    return try b.measured(largest, what)[0]
  }

  private static func split(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let limit = call.has("maxsplit") ? try call.integer("maxsplit") : nil
    if let limit, limit < 0 { throw call.refusal("`maxsplit` is \(limit)") }
    let rule = PieceRule(delimiter: try call.string("delimiter", default: ""), limit: limit)
    let counts = try b.add(TextOperation(.countPieces, pieces: rule), x)
    let pieces = try b.add(TextOperation(.pieces, pieces: rule, width: width(counts, "the number of pieces", &b)), x)
    return [pieces, counts]
  }

  private static func normalize(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    enum Change: String, CaseIterable { case lower = "LOWER", upper = "UPPER", none = "NONE" }
    let x = try call.input(0)
    guard b.element(x) == .string, b.rank(x) == 1 || b.rank(x) == 2 && b.shape(x)[0] == 1 else {
      throw b.refusal("StringNormalizer takes strings [C] or [1, C]", operands: [x])
    }
    let change = try call.word("case_change_action", default: Change.none)
    let stopwords = try call.strings("stopwords") ?? []
    var kept = try b.reshape(x, to: [b.shape(x).elementCount])
    if !stopwords.isEmpty {
      let ignoresCase = try !call.flag("is_case_sensitive")
      let compared = ignoresCase ? try b.add(TextOperation(.lowercase), kept) : kept
      let names = stopwords.map { Text(ignoresCase ? $0.lowercased() : $0) }
      let isKept = try b.find(compared, names, Tensor(.bool, [names.count + 1], names.map { _ in 0 } + [1]))
      let count = try b.measured(b.reduce(.sum, b.convert(isKept, to: .i64), axes: [0], keepsAxes: false), "the number of strings that are kept")[0]
      kept = try b.add(Gather(axis: 0), kept, b.add(Compact(to: count), isKept))
    }
    // Where nothing is left, there is one empty string.
    if b.shape(kept)[0].constant.map({ $0 == 0 }) ?? true {
      let padded = try b.concatenate([kept, b.constant(Tensor(texts: [""]))], axis: 0)
      kept = try b.slice(padded, axis: 0, start: 0, size: .maximum(b.shape(kept)[0], 1))
    }
    switch change {
    case .none: break
    case .lower: kept = try b.add(TextOperation(.lowercase), kept)
    case .upper: kept = try b.add(TextOperation(.uppercase), kept)
    }
    return [b.rank(x) == 2 ? try b.unsqueeze(kept, axis: 0) : kept]
  }

  /// ONNX Runtime's operator that every converted text pipeline of scikit-learn has.
  private static func tokenize(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    guard b.element(x) == .string else { throw b.refusal("Tokenizer takes strings", operands: [x]) }
    let separators = try call.strings("separators") ?? []
    let expression = try call.string("tokenexp", default: "")
    guard separators.isEmpty != expression.isEmpty else { throw call.refusal("Tokenizer takes either `separators` or `tokenexp`") }
    // A single empty separator stands for a cut between every two characters.
    let isCharacters = separators == [""]
    let text = !expression.isEmpty ? expression : isCharacters ? "(?s)." : separators.map { "(?:\($0))" }.joined(separator: "|")
    let rule = TokenRule(
      matchesSeparators: !separators.isEmpty && !isCharacters, fewestCharacters: try call.integer("mincharnum", default: 1), isMarked: try call.flag("mark"),
      padding: try call.string("pad_value", default: ""))
    let pattern = try pattern(text, call)
    let counts = try b.add(TextOperation(.countTokens, tokens: rule, pattern: pattern), x)
    return [try b.add(TextOperation(.tokens, tokens: rule, pattern: pattern, width: width(counts, "the number of tokens", &b)), x)]
  }

  // MARK: Conversion

  /// A cast between strings and numbers; nil if there is no string in it.
  static func cast(_ x: ValueID, to element: ElementType, _ b: inout GraphBuilder) throws(CompileError) -> ValueID? {
    switch (b.element(x), element) {
    case (.string, .string): x
    case (.string, _): try b.add(TextOperation(.parse, element: element), x)
    case (_, .string): try b.add(TextOperation(.format), x)
    default: nil
    }
  }
}
