#if canImport(Glibc)
import Glibc
#endif

/// Read-only or executable memory that the system mapped; unmapped with the last reference.
///
/// `@unchecked Sendable`: nothing writes to it once it is made.
public final class MappedRegion: @unchecked Sendable {
  /// On a page, unless the region is a part of another one.
  public let base: UnsafeRawPointer
  public let byteCount: Int
  /// The region that this one is a part of, which owns the mapping.
  private let whole: MappedRegion?

  private init(base: UnsafeRawPointer, byteCount: Int, whole: MappedRegion?) {
    self.base = base
    self.byteCount = byteCount
    self.whole = whole
  }

  deinit {
    if whole == nil, byteCount > 0 { munmap(UnsafeMutableRawPointer(mutating: base), byteCount) }
  }

  private static let hugePageBytes = 2 << 20

  public enum Access: Sendable { case read, readAndExecute }

  /// Maps part of a file; nil if the system refuses (`errno` says why).
  ///
  /// - Parameter offset: A multiple of the page size; the range lies inside the file.
  package static func file(descriptor: Int32, offset: Int, byteCount: Int, access: Access) -> MappedRegion? {
    if byteCount == 0 { return empty }
    let protection = access == .read ? PROT_READ : PROT_READ | PROT_EXEC
    guard let address = mmap(nil, byteCount, protection, MAP_PRIVATE, descriptor, off_t(offset)), address != MAP_FAILED else { return nil }
    // What is not in the page cache yet is then read in huge pages, where the file system can.
    if access == .read, byteCount >= hugePageBytes { madvise(address, byteCount, MADV_HUGEPAGE) }
    return MappedRegion(base: UnsafeRawPointer(address), byteCount: byteCount, whole: nil)
  }

  /// New memory that `fill` writes and that is then given its final protection; nil if the system refuses.
  /// It is never writable and executable at once.
  package static func anonymous(byteCount: Int, access: Access, fill: (UnsafeMutableRawBufferPointer) -> Void) -> MappedRegion? {
    if byteCount == 0 { return empty }
    guard byteCount > 0, let address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), address != MAP_FAILED
    else { return nil }
    // Weights are read from end to end: a page table entry for 2 MB instead of 512 of them.
    if access == .read, byteCount >= hugePageBytes { madvise(address, byteCount, MADV_HUGEPAGE) }
    fill(UnsafeMutableRawBufferPointer(start: address, count: byteCount))
    guard mprotect(address, byteCount, access == .read ? PROT_READ : PROT_READ | PROT_EXEC) == 0 else {
      munmap(address, byteCount)
      return nil
    }
    return MappedRegion(base: UnsafeRawPointer(address), byteCount: byteCount, whole: nil)
  }

  /// Part of this region. The range lies inside it.
  package func part(offset: Int, byteCount: Int) -> MappedRegion {
    precondition(offset >= 0 && byteCount >= 0 && offset <= self.byteCount && byteCount <= self.byteCount - offset, "range leaves the region")
    return MappedRegion(base: base + offset, byteCount: byteCount, whole: self)
  }

  /// No bytes, at an address aligned to 64.
  package static let empty = MappedRegion(
    base: UnsafeRawPointer(UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)), byteCount: 0, whole: nil)

  /// The bytes. The pointer must not leave `body`.
  public func withBytes<Result, Failure: Error>(_ body: (UnsafeRawBufferPointer) throws(Failure) -> Result) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(start: base, count: byteCount))
  }
}
