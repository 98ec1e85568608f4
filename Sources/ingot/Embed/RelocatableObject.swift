import Artifact
import Compiler
import Foundation
import GraphIR
import TensorTypes

/// A relocatable ELF object with a model's code and weights, for a system linker.
///
/// The code image is position independent and imports nothing, so the object needs no relocations. Symbols:
/// `NAME_entry`, the `ingot_entry` of CRuntime.h, and `NAME_weights`, the constants it wants; functions keep local names for profilers.
struct RelocatableObject {
  private struct Section {
    var name: String
    var type: UInt32
    var flags: UInt64 = 0
    var link: UInt32 = 0
    var info: UInt32 = 0
    var alignment: UInt64 = 1
    var entryBytes: UInt64 = 0
    var byteCount = 0
    var offset = 0
  }

  private let model: CompiledModel
  private let prefix: String

  /// - Parameter prefix: A C identifier.
  init(_ model: CompiledModel, prefix: String) { (self.model, self.prefix) = (model, prefix) }

  func write(to path: String) throws(CompileError) {
    try OutputFile.replace(path) { temporary in
      guard FileManager.default.createFile(atPath: temporary, contents: nil), let file = FileHandle(forWritingAtPath: temporary) else {
        throw CompileError(.badInput, "cannot create `\(temporary)`", stage: .write)
      }
      defer { try? file.close() }
      try write(to: file)
    }
  }

  private func write(to file: FileHandle) throws {
    var names = StringTable(), sectionNames = StringTable()
    let symbols = symbolTable(&names)
    var sections = [
      Section(name: "", type: 0),
      Section(name: ".text", type: 1, flags: 0x6, alignment: 64, byteCount: model.code.image.count),
      Section(name: ".rodata", type: 1, flags: 0x2, alignment: 4096, byteCount: model.constantsByteCount),
      Section(name: ".symtab", type: 2, link: 4, info: UInt32(symbols.localCount), alignment: 8, entryBytes: 24, byteCount: symbols.bytes.count),
      Section(name: ".strtab", type: 3, byteCount: names.bytes.count),
      // Says that the stack need not be executable.
      Section(name: ".note.GNU-stack", type: 1),
      Section(name: ".shstrtab", type: 3),
    ]
    let nameOffsets = sections.map { sectionNames.add($0.name) }
    sections[6].byteCount = sectionNames.bytes.count
    var offset = 64
    for index in 1..<sections.count {
      let alignment = Int(sections[index].alignment)
      offset = (offset + alignment - 1) / alignment * alignment
      sections[index].offset = offset
      offset += sections[index].byteCount
    }
    let tableOffset = (offset + 7) / 8 * 8

    var writer = PaddedWriter(file: file)
    try writer.write(header(tableOffset: tableOffset, sectionCount: sections.count))
    for (index, section) in sections.enumerated() where section.byteCount > 0 {
      try writer.pad(to: section.offset)
      switch index {
      case 1: try writer.write(model.code.image)
      case 2:
        for chunk in model.chunks.sorted(by: { $0.byteOffset < $1.byteOffset }) {
          try writer.pad(to: section.offset + chunk.byteOffset)
          try chunk.tensor.withBytes { try writer.write($0) }
        }
        try writer.pad(to: section.offset + section.byteCount)
      case 3: try writer.write(symbols.bytes)
      case 4: try writer.write(names.bytes)
      default: try writer.write(sectionNames.bytes)
      }
    }
    try writer.pad(to: tableOffset)
    for (section, name) in zip(sections, nameOffsets) {
      var bytes: [UInt8] = []
      bytes.append(integer: UInt32(name))
      bytes.append(integer: section.type)
      bytes.append(integer: section.flags)
      bytes.append(integer: UInt64(0))
      bytes.append(integer: UInt64(section.offset))
      bytes.append(integer: UInt64(section.byteCount))
      bytes.append(integer: section.link)
      bytes.append(integer: section.info)
      bytes.append(integer: section.alignment)
      bytes.append(integer: section.entryBytes)
      try writer.write(bytes)
    }
  }

  private func header(tableOffset: Int, sectionCount: Int) -> [UInt8] {
    // 64 bits, little-endian, version 1, System V.
    var bytes: [UInt8] = [0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0] + [UInt8](repeating: 0, count: 8)
    bytes.append(integer: UInt16(1))  // relocatable
    bytes.append(integer: UInt16(62))  // x86-64
    bytes.append(integer: UInt32(1))
    bytes.append(integer: UInt64(0))
    bytes.append(integer: UInt64(0))
    bytes.append(integer: UInt64(tableOffset))
    bytes.append(integer: UInt32(0))
    for value in [64, 0, 0, 64, sectionCount, sectionCount - 1] { bytes.append(integer: UInt16(value)) }
    return bytes
  }

  /// Local symbols come first, as the format wants.
  private func symbolTable(_ names: inout StringTable) -> (bytes: [UInt8], localCount: Int) {
    var bytes = [UInt8](repeating: 0, count: 24)
    func add(_ name: Int, information: UInt8, section: UInt16, value: Int, size: Int) {
      bytes.append(integer: UInt32(name))
      bytes.append(information)
      bytes.append(0)
      bytes.append(integer: section)
      bytes.append(integer: UInt64(value))
      bytes.append(integer: UInt64(size))
    }
    for function in model.code.functions where function.offset != model.code.entryOffset {
      add(names.add(function.name), information: 0x02, section: 1, value: function.offset, size: function.byteCount)
    }
    let localCount = bytes.count / 24
    let entrySize = model.code.functions.first { $0.offset == model.code.entryOffset }?.byteCount ?? 0
    add(names.add(prefix + "_entry"), information: 0x12, section: 1, value: model.code.entryOffset, size: entrySize)
    add(names.add(prefix + "_weights"), information: 0x11, section: 2, value: 0, size: model.constantsByteCount)
    return (bytes, localCount)
  }

  /// Zero-terminated names, one after the other; offset 0 is the empty name.
  private struct StringTable {
    var bytes: [UInt8] = [0]

    mutating func add(_ name: String) -> Int {
      if name.isEmpty { return 0 }
      defer { bytes += Array(name.utf8.filter { $0 != 0 }) + [0] }
      return bytes.count
    }
  }

  /// Writes and knows how far it has come.
  private struct PaddedWriter {
    let file: FileHandle
    var position = 0

    init(file: FileHandle) { self.file = file }

    mutating func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

    mutating func write(_ bytes: UnsafeRawBufferPointer) throws {
      // In pieces: Foundation copies what it is given.
      var rest = bytes[...]
      while !rest.isEmpty {
        let piece = rest.prefix(1 << 24)
        try file.write(contentsOf: Data(UnsafeRawBufferPointer(rebasing: piece)))
        rest = rest.dropFirst(piece.count)
      }
      position += bytes.count
    }

    mutating func pad(to offset: Int) throws {
      while position < offset { try write([UInt8](repeating: 0, count: min(offset - position, 1 << 16))) }
    }
  }
}

extension [UInt8] {
  /// Appends an integer in little-endian order.
  fileprivate mutating func append(integer value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) }
  }
}
