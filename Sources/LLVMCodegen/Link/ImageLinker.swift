/// Code and read-only data in one flat block that runs at any 64-byte aligned address.
package struct Image: Sendable {
  /// A function in it.
  package struct Function: Sendable {
    package var name: String
    package var offset: Int
    package var byteCount: Int
  }
  package var bytes: [UInt8]
  package var functions: [Function]

  package func offset(of name: String) -> Int? { functions.first { $0.name == name }?.offset }
}

/// Joins relocatable objects to an image: lays out their sections, binds names, applies relocations.
///
/// The image imports nothing and is never written to, so only references relative to the place of the reference
/// exist, and they hold wherever it is mapped.
package enum ImageLinker {
  private struct Placement: Hashable {
    let object: Int
    let section: Int
  }

  /// - Parameter names: For each object what its `Units.anonymousName` is called in the image; nil leaves its names alone.
  package static func link(_ files: [[UInt8]], names: [String?] = []) throws(CodegenError) -> Image {
    var objects: [ELFObject] = []
    for (number, file) in files.enumerated() {
      objects.append(try ELFObject(file))
      if number < names.count, let name = names[number] { objects[number].rename(Units.anonymousName, to: name) }
    }
    var image = Image(bytes: [], functions: [])
    var places: [Placement: Int] = [:]
    // Code first, then data, so that code stays dense.
    for wantsCode in [true, false] {
      for (number, object) in objects.enumerated() {
        for (index, section) in object.sections.enumerated() where isPlaced(section) && (section.flags & 4 != 0) == wantsCode {
          if section.isWritable && !section.bytes.isEmpty { throw CodegenError(.link("writable section `\(section.name)`")) }
          let alignment = max(section.alignment, wantsCode ? 64 : 1)
          image.bytes.append(contentsOf: repeatElement(wantsCode ? 0xcc : 0, count: -image.bytes.count & (alignment - 1)))
          places[Placement(object: number, section: index)] = image.bytes.count
          image.bytes.append(contentsOf: object.bytes[section.bytes])
        }
      }
    }
    let globals = try bind(objects, places, &image)
    for (number, object) in objects.enumerated() {
      for (index, section) in object.sections.enumerated() {
        guard let start = places[Placement(object: number, section: index)] else { continue }
        for relocation in try object.relocations(of: index) {
          let target = try address(of: relocation.symbol, in: object, number, places, globals)
          try apply(relocation, at: start, size: section.bytes.count, target: target, to: &image.bytes)
        }
      }
    }
    return image
  }

  /// Allocated sections with contents; unwind tables are not needed, nothing unwinds through kernels.
  private static func isPlaced(_ section: ELFObject.Section) -> Bool {
    section.isAllocated && section.type != 8 && section.name != ".eh_frame" && !section.name.hasPrefix(".note")
  }

  private static func bind(_ objects: [ELFObject], _ places: [Placement: Int], _ image: inout Image) throws(CodegenError) -> [String: Int] {
    var globals: [String: Int] = [:]
    for (number, object) in objects.enumerated() {
      for symbol in object.symbols where symbol.section != 0 {
        guard let start = places[Placement(object: number, section: symbol.section)] else { continue }
        guard object.sections.indices.contains(symbol.section), symbol.value <= object.sections[symbol.section].bytes.count else {
          throw ELFObject.damaged("symbol `\(symbol.name)`")
        }
        if symbol.isFunction { image.functions.append(Image.Function(name: symbol.name, offset: start + symbol.value, byteCount: symbol.size)) }
        guard symbol.binding == 1 else { continue }
        guard globals.updateValue(start + symbol.value, forKey: symbol.name) == nil else { throw CodegenError(.link("`\(symbol.name)` is defined twice")) }
      }
    }
    return globals
  }

  private static func address(
    of number: Int, in object: ELFObject, _ objectNumber: Int, _ places: [Placement: Int], _ globals: [String: Int]
  ) throws(CodegenError) -> Int {
    guard object.symbols.indices.contains(number) else { throw ELFObject.damaged("a relocation names no symbol") }
    let symbol = object.symbols[number]
    if symbol.section == 0 {
      guard let global = globals[symbol.name] else { throw CodegenError(.link("the code calls `\(symbol.name)`, which the image does not have")) }
      return global
    }
    guard let start = places[Placement(object: objectNumber, section: symbol.section)] else { throw CodegenError(.link("`\(symbol.name)` is in no section of the image")) }
    return start + symbol.value
  }

  private static func apply(_ relocation: ELFObject.Relocation, at start: Int, size: Int, target: Int, to bytes: inout [UInt8]) throws(CodegenError) {
    let width: Int
    switch relocation.type {
    case 2, 4: width = 4  // R_X86_64_PC32, R_X86_64_PLT32
    case 24: width = 8  // R_X86_64_PC64
    default: throw CodegenError(.link("relocation of type \(relocation.type)"))
    }
    guard relocation.offset <= size - width, abs(relocation.addend) < 1 << 40 else { throw ELFObject.damaged("a relocation leaves its section") }
    let place = start + relocation.offset
    let value = target + relocation.addend - place
    if width == 4, Int32(exactly: value) == nil { throw CodegenError(.link("the image is larger than 2 GB")) }
    for position in 0..<width { bytes[place + position] = UInt8(truncatingIfNeeded: value >> (8 * position)) }
  }
}
