/// Which weights go together: what is zeroed or kept as a whole.
///
/// Weights are matrices of steps of the sum by columns of the result, as `dot` takes them; a filter's steps are its input channels and window.
public enum SparsityPattern: Sendable, Hashable, CustomStringConvertible {
  /// Every weight by itself.
  case elements
  /// Of every `of` consecutive steps `kept` are kept, the same ones for `columns` neighbouring columns.
  case ratio(kept: Int, of: Int, columns: Int)
  case blocks(steps: Int, columns: Int)

  /// `2:4`, `2:4x16`, `4x16`.
  ///
  /// - Returns: nil for anything else, and for numbers below 1 or above 4096.
  public init?(_ text: String) {
    func numbers(_ text: Substring, _ separator: Character) -> (Int, Int)? {
      let parts = text.split(separator: separator, omittingEmptySubsequences: false)
      guard parts.count == 2, let a = Int(parts[0]), let b = Int(parts[1]), (1...4096).contains(a), (1...4096).contains(b) else { return nil }
      return (a, b)
    }
    if text.contains(":") {
      let parts = text.split(separator: "x", omittingEmptySubsequences: false)
      guard (1...2).contains(parts.count), let (kept, of) = numbers(parts[0], ":"), kept < of else { return nil }
      var columns = 1
      if parts.count == 2 {
        guard let number = Int(parts[1]), (1...4096).contains(number) else { return nil }
        columns = number
      }
      self = .ratio(kept: kept, of: of, columns: columns)
      return
    }
    guard let (steps, columns) = numbers(text[...], "x") else { return nil }
    self = steps == 1 && columns == 1 ? .elements : .blocks(steps: steps, columns: columns)
  }

  public var description: String {
    switch self {
    case .elements: "1x1"
    case .ratio(let kept, let of, let columns): columns == 1 ? "\(kept):\(of)" : "\(kept):\(of)x\(columns)"
    case .blocks(let steps, let columns): "\(steps)x\(columns)"
    }
  }

  /// Steps and columns of what is zeroed as a whole.
  public var unit: (steps: Int, columns: Int) {
    switch self {
    case .elements: (1, 1)
    case .ratio(_, _, let columns): (1, columns)
    case .blocks(let steps, let columns): (steps, columns)
    }
  }
}
