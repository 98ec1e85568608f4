/// A 64-bit little-endian ELF relocatable object, read with every offset checked.
struct ELFObject {
  struct Section {
    var name: String
    var type: UInt32
    var flags: UInt64
    var bytes: Range<Int>
    var alignment: Int
    var link: Int
    var info: Int

    var isAllocated: Bool { flags & 2 != 0 }
    var isWritable: Bool { flags & 1 != 0 }
  }

  struct Symbol {
    var name: String
    /// 0 local, 1 global, 2 weak.
    var binding: UInt8
    /// 0 is undefined; 0xfff1 absolute; 0xfff2 common.
    var section: Int
    var value: Int
    var size: Int
    var isFunction: Bool
  }

  struct Relocation {
    var offset: Int
    var type: UInt32
    var symbol: Int
    var addend: Int
  }

  /// Gives a function and what was cut out of it (`old.loop1`) another name.
  mutating func rename(_ old: String, to new: String) {
    for number in symbols.indices where symbols[number].name == old || symbols[number].name.hasPrefix(old + ".") {
      symbols[number].name = new + symbols[number].name.dropFirst(old.count)
    }
  }

  static let relocatableHeader: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]

  let bytes: [UInt8]
  private(set) var sections: [Section] = []
  private(set) var symbols: [Symbol] = []

  init(_ bytes: [UInt8]) throws(CodegenError) {
    self.bytes = bytes
    guard bytes.starts(with: Self.relocatableHeader) else { throw Self.damaged("no ELF header") }
    guard try integer(16, 2) == 1, try integer(18, 2) == 62 else { throw Self.damaged("no x86-64 relocatable object") }
    let (table, entrySize, count, nameTable) = (try integer(40, 8), try integer(58, 2), try integer(60, 2), try integer(62, 2))
    guard entrySize == 64, nameTable < count else { throw Self.damaged("section table") }
    var names: [Int] = []
    for number in 0..<count {
      let start = try sum(table, number * 64)
      let type = UInt32(try integer(start + 4, 4))
      let (offset, size) = (try integer(start + 24, 8), try integer(start + 32, 8))
      // A section without bytes in the file (type 8) has a size all the same.
      let end = type == 8 || type == 0 ? offset : try sum(offset, size)
      guard offset <= end, end <= bytes.count || type == 8 || type == 0 else { throw Self.damaged("section \(number) leaves the file") }
      let alignment = try integer(start + 48, 8)
      guard alignment <= 4096, alignment & (alignment - 1) == 0 || alignment == 0 else { throw Self.damaged("alignment of section \(number)") }
      names.append(try integer(start, 4))
      if type == 8, size > 0, UInt64(try integer(start + 8, 8)) & 2 != 0 { throw CodegenError(.link("the code wants \(size) bytes of zeroed memory")) }
      sections.append(
        Section(
          name: "", type: type, flags: UInt64(try integer(start + 8, 8)), bytes: type == 8 || type == 0 ? 0..<0 : offset..<end, alignment: max(1, alignment),
          link: try integer(start + 40, 4), info: try integer(start + 44, 4)))
    }
    for number in 0..<count { sections[number].name = try string(names[number], in: nameTable) }
    guard let symbolTable = sections.first(where: { $0.type == 2 }) else { return }
    for start in stride(from: symbolTable.bytes.lowerBound, to: symbolTable.bytes.upperBound, by: 24) {
      let information = UInt8(try integer(start + 4, 1))
      symbols.append(
        Symbol(
          name: try string(try integer(start, 4), in: symbolTable.link), binding: information >> 4, section: try integer(start + 6, 2),
          value: try integer(start + 8, 8), size: try integer(start + 16, 8), isFunction: information & 15 == 2))
    }
  }

  /// The relocations of a section, from its `.rela` section.
  func relocations(of section: Int) throws(CodegenError) -> [Relocation] {
    var found: [Relocation] = []
    for table in sections where table.info == section && (table.type == 4 || table.type == 9) {
      guard table.type == 4 else { throw CodegenError(.link("relocations without addends")) }
      for start in stride(from: table.bytes.lowerBound, to: table.bytes.upperBound, by: 24) {
        let information = try integer(start + 8, 8)
        found.append(
          Relocation(offset: try integer(start, 8), type: UInt32(information & 0xffff_ffff), symbol: information >> 32, addend: try signedInteger(start + 16)))
      }
    }
    return found
  }

  static func damaged(_ what: String) -> CodegenError { CodegenError(.link("damaged object: \(what)")) }

  // MARK: Checked reads

  private func sum(_ a: Int, _ b: Int) throws(CodegenError) -> Int {
    let (result, overflowed) = a.addingReportingOverflow(b)
    guard !overflowed, result >= 0 else { throw Self.damaged("an offset leaves 63 bits") }
    return result
  }

  /// An unsigned integer of `width` bytes that fits 63 bits.
  private func integer(_ offset: Int, _ width: Int) throws(CodegenError) -> Int {
    guard offset >= 0, offset <= bytes.count - width else { throw Self.damaged("it ends too early") }
    var value: UInt64 = 0
    for position in 0..<width { value |= UInt64(bytes[offset + position]) << (8 * UInt64(position)) }
    guard let result = Int(exactly: value) else { throw Self.damaged("a number leaves 63 bits") }
    return result
  }

  private func signedInteger(_ offset: Int) throws(CodegenError) -> Int {
    guard offset >= 0, offset <= bytes.count - 8 else { throw Self.damaged("it ends too early") }
    var value: UInt64 = 0
    for position in 0..<8 { value |= UInt64(bytes[offset + position]) << (8 * UInt64(position)) }
    return Int(Int64(bitPattern: value))
  }

  private func string(_ offset: Int, in table: Int) throws(CodegenError) -> String {
    guard sections.indices.contains(table) else { throw Self.damaged("string table") }
    let range = sections[table].bytes
    let start = try sum(range.lowerBound, offset)
    guard start < range.upperBound, let end = bytes[start..<range.upperBound].firstIndex(of: 0) else { throw Self.damaged("a name") }
    return String(decoding: bytes[start..<end], as: UTF8.self)
  }
}
