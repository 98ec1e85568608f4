import TensorTypes

/// Reads a number, or arrays of numbers nested to one depth, and finds out their dimensions.
///
///     5 -> []        [1, 2] -> [2]        [[1, 2, 3], [4, 5, 6]] -> [2, 3]        [[], []] -> [2, 0]
///
/// Ragged arrays are refused. Several values read one after the other must agree, as the rows of a batch do.
struct NestedArrayReader {
  /// No tensor of a served model has more axes.
  static let maximumRank = 16

  /// Length by depth, outermost first; -1 where no array of that depth has ended yet.
  private var lengths = [Int](repeating: -1, count: maximumRank)
  private var counts = [Int](repeating: 0, count: maximumRank)
  private var deepest = 0
  private var leafDepth = -1

  /// The dimensions of every value read so far.
  var dimensions: [Int] { Array(lengths.prefix(leafDepth >= 0 ? leafDepth : deepest)) }

  mutating func read(_ scanner: inout JSONScanner, into buffer: inout ElementBuffer) throws(RequestError) {
    var depth = 0
    while true {
      // A value is expected here.
      if scanner.next() == UInt8(ascii: "[") {
        guard depth < Self.maximumRank else { throw .shape("arrays are nested deeper than \(Self.maximumRank) levels") }
        guard leafDepth < 0 || depth < leafDepth else { throw ragged(buffer) }
        scanner.advance()
        counts[depth] = 0
        depth += 1
        deepest = max(deepest, depth)
        guard scanner.take(UInt8(ascii: "]")) else { continue }
        depth -= 1
        try close(depth, buffer)
      } else {
        if leafDepth < 0 { leafDepth = depth }
        guard leafDepth == depth else { throw ragged(buffer) }
        if depth > 0 {
          counts[depth - 1] += try readRow(&scanner, into: &buffer)
          try scanner.expect(UInt8(ascii: "]"), "',' or ']' in an array")
          depth -= 1
          try close(depth, buffer)
        } else {
          try buffer.append(from: &scanner)
        }
      }
      // A value is complete: close the arrays that end here, or go on to the next item.
      while depth > 0 {
        counts[depth - 1] += 1
        if scanner.take(UInt8(ascii: ",")) { break }
        try scanner.expect(UInt8(ascii: "]"), "',' or ']' in an array")
        depth -= 1
        try close(depth, buffer)
      }
      if depth == 0 { return }
    }
  }

  /// The innermost loop: numbers up to the end of their array.
  private func readRow(_ scanner: inout JSONScanner, into buffer: inout ElementBuffer) throws(RequestError) -> Int {
    var count = 0
    repeat {
      if scanner.next() == UInt8(ascii: "[") { throw ragged(buffer) }
      try buffer.append(from: &scanner)
      count += 1
    } while scanner.take(UInt8(ascii: ","))
    return count
  }

  private mutating func close(_ depth: Int, _ buffer: borrowing ElementBuffer) throws(RequestError) {
    if lengths[depth] < 0 { lengths[depth] = counts[depth] }
    guard lengths[depth] == counts[depth] else {
      throw .shape("ragged array near element \(buffer.count): one has \(counts[depth]) items where another has \(lengths[depth])")
    }
  }

  private func ragged(_ buffer: borrowing ElementBuffer) -> RequestError {
    .shape("ragged array near element \(buffer.count): numbers and arrays at one level")
  }
}
