import GraphIR
import TensorTypes

/// ONNX `TfIdfVectorizer`: how often each n-gram of a pool occurs in a row, counted or weighted.
///
/// Tokens become small numbers first. A run of tokens is then found step by step, as in a trie: the number of what was read so far
/// and the next token make a pair, and the pair has a number. What is not in the pool ends in a column of its own, which is cut off.
struct TermFrequency {
  static let table: [String: OperatorImporter] = [
    "TfIdfVectorizer": { call, b throws(CompileError) in [try TermFrequency(call).counted(call.input(0), &b)] }
  ]

  private enum Mode: String, CaseIterable { case counts = "TF", weights = "IDF", both = "TFIDF" }

  private let mode: Mode
  private let lengths: ClosedRange<Int>
  private let mostSkips: Int
  /// The distinct tokens of the pool; one of the two is empty.
  private var texts: [Text] = []
  private var integers: [Int] = []
  /// For each length the n-grams, as numbers of tokens, and the columns that they count in.
  private var grams: [Int: [(tokens: [Int], column: Int)]] = [:]
  private let columns: Int
  private let weights: [Double]

  init(_ call: OperatorCall) throws(CompileError) {
    guard call.has("mode") else { throw call.refusal("TfIdfVectorizer has no mode") }
    mode = try call.word("mode", default: .counts)
    let (least, most) = (try call.integer("min_gram_length"), try call.integer("max_gram_length"))
    mostSkips = try call.integer("max_skip_count")
    guard least >= 1, most >= least, most <= 64, (0...64).contains(mostSkips) else {
      throw call.refusal("TfIdfVectorizer has n-grams of \(least) to \(most) tokens with up to \(mostSkips) skips")
    }
    lengths = least...most
    let (starts, indexes) = (try call.integers("ngram_counts") ?? [], try call.integers("ngram_indexes") ?? [])
    // Tokens by their number; equal ones have the same.
    var pool: [Int] = []
    if let names = try call.strings("pool_strings"), !names.isEmpty {
      var known: [Text: Int] = [:]
      for name in names {
        let text = Text(name)
        if known[text] == nil {
          known[text] = texts.count
          texts.append(text)
        }
        pool.append(known[text] ?? 0)
      }
    } else {
      var known: [Int: Int] = [:]
      for value in try call.integers("pool_int64s") ?? [] {
        if known[value] == nil {
          known[value] = integers.count
          integers.append(value)
        }
        pool.append(known[value] ?? 0)
      }
    }
    guard let highest = indexes.max(), let lowest = indexes.min(), lowest >= 0, highest < 1 << 24 else { throw call.refusal("TfIdfVectorizer has unusable `ngram_indexes`") }
    columns = highest + 1
    var gram = 0
    for (position, start) in starts.enumerated() {
      let length = position + 1
      let end = position + 1 < starts.count ? starts[position + 1] : pool.count
      guard start >= 0, start <= end, end <= pool.count, (end - start) % length == 0 else { throw call.refusal("`ngram_counts` of TfIdfVectorizer do not fit its pool") }
      for first in stride(from: start, to: end, by: length) {
        guard gram < indexes.count else { throw call.refusal("TfIdfVectorizer has more n-grams than indexes") }
        grams[length, default: []].append((Array(pool[first..<first + length]), indexes[gram]))
        gram += 1
      }
    }
    guard gram == indexes.count else { throw call.refusal("TfIdfVectorizer has \(gram) n-grams for \(indexes.count) indexes") }
    var weights = [Double](repeating: 1, count: columns)
    if let given = try call.numbers("weights"), !given.isEmpty {
      guard given.count == indexes.count else { throw call.refusal("TfIdfVectorizer has \(given.count) weights for \(indexes.count) n-grams") }
      for (index, weight) in zip(indexes, given) { weights[index] = weight }
    }
    self.weights = weights
  }

  func counted(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard b.rank(x) == 1 || b.rank(x) == 2 else { throw b.refusal("TfIdfVectorizer takes [C] or [N, C]", operands: [x]) }
    let rows = b.rank(x) == 1 ? try b.unsqueeze(x, axis: 0) : x
    let (count, width) = (b.shape(rows)[0], b.shape(rows)[1])
    let tokens = try numbered(rows, &b)
    // Positions behind the end hold an unknown token, so that every n-gram starts at every position.
    let used = lengths.filter { grams[$0]?.isEmpty == false }
    let reach = used.map { ($0 - 1) * (mostSkips + 1) }.max() ?? 0
    let padded = try b.pad(tokens, low: [0, 0], high: [0, Extent(reach)], value: Double(unknown))
    var found: [ValueID] = []
    for length in used {
      for skip in 0...(length == 1 ? 0 : mostSkips) {
        var parts: [ValueID] = []
        for position in 0..<length { parts.append(try b.slice(padded, axis: 1, start: Extent(position * (skip + 1)), size: width)) }
        found.append(try self.columns(of: parts, length, &b))
      }
    }
    let type = TensorType(.f32, [count, Extent(columns + 1)])
    var counts = try b.broadcast(b.scalar(0, .f32), to: type.shape)
    if !found.isEmpty {
      let places = try b.concatenate(found, axis: 1)
      let ones = try b.broadcast(b.scalar(1, .f32), to: b.shape(places))
      counts = try b.add(ScatterElements(axis: 1, combine: .sum), counts, places, ones)
    }
    counts = try b.slice(counts, axis: 1, start: 0, size: Extent(columns))
    if mode == .weights { counts = try b.binary(.minimum, counts, 1) }
    if mode != .counts, weights.contains(where: { $0 != 1 }) { counts = try b.binary(.multiply, counts, b.constant(Tensor(.f32, [columns], weights))) }
    return b.rank(x) == 1 ? try b.reshape(counts, to: [Extent(columns)]) : counts
  }

  private var unknown: Int { max(texts.count, integers.count) }

  /// The number of each token; `unknown` for one that is not in the pool.
  private func numbered(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    if b.element(x) == .string { return try b.find(x, texts, Tensor(Array(0...texts.count))) }
    guard b.element(x).isInteger else { throw b.refusal("TfIdfVectorizer takes strings or integers", operands: [x]) }
    return try b.placeOfInteger(b.convert(x, to: .i64), integers, missing: unknown)
  }

  /// The column that each n-gram counts in, `columns` for one that is not in the pool.
  private func columns(of parts: [ValueID], _ length: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let list = grams[length] ?? []
    var state = parts[0]
    // States after the first token are the tokens; `stateCount` is the state of what is not in the pool.
    var states = list.map { $0.tokens[0] }
    var stateCount = unknown
    for depth in 1..<max(length, 1) where depth < length {
      var pairs: [Int: Int] = [:]
      var keys: [Int] = []
      let radix = unknown + 1
      for (position, gram) in list.enumerated() {
        let pair = states[position] * radix + gram.tokens[depth]
        if pairs[pair] == nil {
          pairs[pair] = keys.count
          keys.append(pair)
        }
        states[position] = pairs[pair] ?? 0
      }
      let pair = try b.binary(.add, b.binary(.multiply, state, b.constant(integer: radix)), parts[depth])
      state = try b.placeOfInteger(pair, keys, missing: keys.count)
      stateCount = keys.count
    }
    var table = [Int](repeating: columns, count: stateCount + 1)
    for (position, gram) in list.enumerated() { table[states[position]] = gram.column }
    return try b.add(Gather(axis: 0), b.constant(Tensor(table)), state)
  }
}
