/// The memory that the inputs of a run may take, counted before any of them is made.
///
/// Allocating without this would abort the process: Swift has no allocation that fails gently.
public struct InputRoom {
  public let limit: Int
  private var taken = 0

  /// - Parameter limit: nil means half of what the process may use; a session takes at most the other half.
  public init(limit: Int? = nil) { self.limit = limit ?? Allowance.memoryBytes / 2 }

  public mutating func take(_ bytes: Int, for input: String) throws(RunError) {
    guard bytes <= limit else { throw .tooLarge(what: "input `\(input)`", bytes: bytes, limit: limit) }
    let (sum, overflowed) = taken.addingReportingOverflow(bytes)
    guard !overflowed, sum <= limit else {
      throw .tooLarge(what: "input `\(input)` together with those before it", bytes: overflowed ? nil : sum, limit: limit)
    }
    taken = sum
  }
}
