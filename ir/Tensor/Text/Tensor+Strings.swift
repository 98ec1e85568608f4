extension Tensor {
  /// A tensor of strings with a table of its own, numbered in the order in which they first appear.
  ///
  /// The caller has checked the dimensions: their product is the number of texts.
  public init(texts: [Text], dimensions: [Int]? = nil) {
    var known: [Text: Int] = ["": 0]
    var table: [Text] = [""]
    var numbers: [Int64] = []
    numbers.reserveCapacity(texts.count)
    for text in texts {
      if let number = known[text] { numbers.append(Int64(number)) } else {
        known[text] = table.count
        numbers.append(Int64(table.count))
        table.append(text)
      }
    }
    self.init(.string, dimensions ?? [texts.count], strings: StringTable(table)) { bytes in
      numbers.withUnsafeBytes { bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(bytes.count))) }
    }
  }

  /// What the numbers of a string tensor mean; nil if all of them are 0.
  public var strings: StringTable? { storage.strings }

  /// All elements of a string tensor; none for other tensors.
  public var texts: [Text] {
    guard element == .string else { return [] }
    guard let table = strings else { return Array(repeating: "", count: count) }
    return withBytes { bytes in (0..<count).map { table.text(Int(bytes.loadUnaligned(fromByteOffset: $0 * 8, as: Int64.self))) } }
  }

  /// The text of one element of a string tensor.
  public func text(at position: Int) -> Text {
    guard element == .string, position >= 0, position < count, let table = strings else { return "" }
    return withBytes { table.text(Int($0.loadUnaligned(fromByteOffset: position * 8, as: Int64.self))) }
  }

  /// The same texts under the numbers of a numbering, which learns those it does not know.
  ///
  /// - Parameter table: What the result refers to; the caller makes it of the numbering when all tensors are renumbered.
  public func renumbered(by numbering: inout StringNumbering) throws(TextError) -> [Int64] {
    guard let table = strings else { return Array(repeating: 0, count: count) }
    var translation = [Int64](repeating: -1, count: table.texts.count)
    var numbers: [Int64] = []
    numbers.reserveCapacity(count)
    for position in 0..<count {
      let own = withBytes { Int($0.loadUnaligned(fromByteOffset: position * 8, as: Int64.self)) }
      guard translation.indices.contains(own) else {
        numbers.append(0)
        continue
      }
      if translation[own] < 0 { translation[own] = Int64(try numbering.number(table.texts[own])) }
      numbers.append(translation[own])
    }
    return numbers
  }

  /// String tensors brought to one table; other tensors stay as they are.
  ///
  /// - Returns: The tensors, and the numbering that their numbers come from.
  public static func sharingStrings(_ tensors: [Tensor]) throws(TextError) -> (tensors: [Tensor], numbering: StringNumbering) {
    // The largest table keeps its numbers, so that a model's numbering survives what is computed from its constants.
    let tables = tensors.compactMap { $0.element == .string ? $0.strings : nil }
    guard let largest = tables.max(by: { $0.texts.count < $1.texts.count }) else { return (tensors, StringNumbering()) }
    var numbering = StringNumbering(largest)
    if tables.allSatisfy({ $0 === largest }) { return (tensors, numbering) }
    var renumbered: [Int: [Int64]] = [:]
    for (position, tensor) in tensors.enumerated() where tensor.element == .string && tensor.strings !== largest {
      renumbered[position] = try tensor.renumbered(by: &numbering)
    }
    let table = numbering.table
    return (tensors.enumerated().map { position, tensor in renumbered[position].map { Tensor(numbers: $0, tensor.dimensions, of: table) } ?? tensor }, numbering)
  }

  /// A string tensor of numbers that a table has given. `numbers.count` is the product of the dimensions.
  public init(numbers: [Int64], _ dimensions: [Int], of table: StringTable) {
    self.init(.string, dimensions, strings: table) { bytes in
      numbers.withUnsafeBytes { bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(bytes.count))) }
    }
  }

  /// The same numbers, referring to a table.
  public func referring(to table: StringTable) -> Tensor {
    Tensor(element, dimensions, strings: table) { target in withBytes { target.copyMemory(from: $0) } }
  }
}
