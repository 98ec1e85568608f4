/// Where the parts of an artifact lie.
///
///     runtime (ELF)  pad  preamble  | code  pad | constants  pad | manifest  pad | footer
///     0                             | page      | page           | 64            | file size - 256
///
/// Code and constants start on pages, so that they are mapped straight from the file. The preamble, a page before the code,
/// repeats the file size: it tells a truncated artifact, which has lost its footer, from a runtime without a model.
/// The digest of a section covers the padding behind it, so every byte of the file is under one digest.
struct ArtifactLayout: Hashable {
  /// A range of the file and its digest.
  struct Section: Hashable {
    var offset = 0
    /// Without padding.
    var byteCount = 0
    var digest = Digest(low: 0, high: 0)
  }

  static let pageBytes = 4096
  static let manifestAlignment = 64
  static let footerBytes = 256
  static let formatVersion = 1
  static let footerMagic = Array("INGOTEND".utf8)
  static let preambleMagic = Array("INGOTPAY".utf8)
  /// Magic and file size.
  static let preambleBytes = 16

  var runtime = Section()
  var code = Section()
  var constants = Section()
  var manifest = Section()
  var fileBytes = 0

  var preambleOffset: Int { code.offset - Self.pageBytes }
  var footerOffset: Int { fileBytes - Self.footerBytes }

  /// The sections in file order with the byte behind each one's padding.
  var sections: [(name: ArtifactError.Section, section: Section, end: Int)] {
    [
      (.runtime, runtime, code.offset), (.code, code, constants.offset), (.constants, constants, manifest.offset),
      (.manifest, manifest, footerOffset),
    ]
  }

  /// Places sections of the given sizes; nil if the file would leave 63 bits.
  init?(runtimeBytes: Int, codeBytes: Int, constantsBytes: Int, manifestBytes: Int) {
    guard let runtimeEnd = Self.aligned(runtimeBytes, to: Self.pageBytes), let codeStart = Self.sum(runtimeEnd, Self.pageBytes),
      let codeEnd = Self.sum(codeStart, codeBytes), let constantsStart = Self.aligned(codeEnd, to: Self.pageBytes),
      let constantsEnd = Self.sum(constantsStart, constantsBytes),
      let manifestStart = Self.aligned(constantsEnd, to: Self.manifestAlignment),
      let manifestEnd = Self.sum(manifestStart, manifestBytes), let footerStart = Self.aligned(manifestEnd, to: Self.manifestAlignment),
      let end = Self.sum(footerStart, Self.footerBytes)
    else { return nil }
    runtime = Section(offset: 0, byteCount: runtimeBytes)
    code = Section(offset: codeStart, byteCount: codeBytes)
    constants = Section(offset: constantsStart, byteCount: constantsBytes)
    manifest = Section(offset: manifestStart, byteCount: manifestBytes)
    fileBytes = end
  }

  private static func sum(_ a: Int, _ b: Int) -> Int? {
    let (total, overflowed) = a.addingReportingOverflow(b)
    return overflowed || b < 0 ? nil : total
  }

  private static func aligned(_ offset: Int, to alignment: Int) -> Int? {
    sum(offset, alignment - 1).map { $0 / alignment * alignment }
  }

  // MARK: Bytes

  /// The preamble's first bytes; zeros follow up to the code.
  var preamble: [UInt8] { Self.preambleMagic + Self.bytes(of: fileBytes) }

  var footer: [UInt8] {
    var bytes = Self.footerMagic
    bytes += Self.bytes(of: Self.formatVersion)
    bytes += Self.bytes(of: fileBytes)
    for (_, section, _) in sections {
      bytes += Self.bytes(of: section.offset) + Self.bytes(of: section.byteCount)
      bytes += Self.bytes(of: Int(bitPattern: UInt(section.digest.low))) + Self.bytes(of: Int(bitPattern: UInt(section.digest.high)))
    }
    bytes += [UInt8](repeating: 0, count: Self.footerBytes - 16 - bytes.count)
    let digest = Digest(of: bytes)
    return bytes + Self.bytes(of: Int(bitPattern: UInt(digest.low))) + Self.bytes(of: Int(bitPattern: UInt(digest.high)))
  }

  private static func bytes(of value: Int) -> [UInt8] { (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }

  /// Reads a footer and checks that its sections follow each other inside a file of `fileBytes` bytes.
  init(footer: [UInt8], fileBytes: Int) throws(FooterProblem) {
    guard footer.count == Self.footerBytes, footer.starts(with: Self.footerMagic) else { throw .absent }
    func word(_ position: Int) -> Int {
      (0..<8).reduce(0) { $0 | Int(footer[position + $1]) << (8 * $1) }
    }
    func digest(_ position: Int) -> Digest {
      Digest(low: UInt64(UInt(bitPattern: word(position))), high: UInt64(UInt(bitPattern: word(position + 8))))
    }
    // The version comes first: another version may have another digest.
    guard word(8) == Self.formatVersion else { throw .version(word(8)) }
    guard Digest(of: Array(footer.dropLast(16))) == digest(Self.footerBytes - 16) else { throw .digest }
    func section(_ index: Int) -> Section {
      let position = 24 + 32 * index
      return Section(offset: word(position), byteCount: word(position + 8), digest: digest(position + 16))
    }
    let (runtime, code, constants, manifest) = (section(0), section(1), section(2), section(3))
    guard word(16) == fileBytes else { throw .inconsistent("the file has \(fileBytes) bytes where the footer says \(word(16))") }
    guard runtime.byteCount >= 0, code.byteCount >= 0, constants.byteCount >= 0, manifest.byteCount >= 0,
      let expected = ArtifactLayout(
        runtimeBytes: runtime.byteCount, codeBytes: code.byteCount, constantsBytes: constants.byteCount, manifestBytes: manifest.byteCount),
      expected.fileBytes == fileBytes, runtime.offset == 0, code.offset == expected.code.offset,
      constants.offset == expected.constants.offset, manifest.offset == expected.manifest.offset
    else { throw .inconsistent("the section table contradicts the file") }
    self = expected
    self.runtime.digest = runtime.digest
    self.code.digest = code.digest
    self.constants.digest = constants.digest
    self.manifest.digest = manifest.digest
  }

  /// What is wrong with a footer.
  enum FooterProblem: Error { case absent, version(Int), digest, inconsistent(String) }
}
