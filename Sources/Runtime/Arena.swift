#if canImport(Glibc)
import Glibc
#endif

/// Scratch memory that is kept between runs and only grows, or is reserved once and filled as it is touched. Aligned to 64 bytes at least;
/// contents do not survive growth.
struct Arena: ~Copyable {
  private var mapping: UnsafeMutableRawPointer?
  private var mappedBytes = 0
  /// Where the usable part starts.
  private(set) var base: UnsafeMutableRawPointer
  private(set) var byteCount = 0
  /// What `base` is while nothing is mapped: some address that is aligned.
  private let emptyBase: UnsafeMutableRawPointer

  /// Arenas from this size on start on a huge page: fewer TLB misses for activations of tens of megabytes.
  private static let hugePageBytes = 2 << 20

  init() {
    emptyBase = .allocate(byteCount: 64, alignment: 64)
    base = emptyBase
  }

  deinit {
    if let mapping { munmap(mapping, mappedBytes) }
    emptyBase.deallocate()
  }

  /// Makes room for at least `wanted` bytes.
  mutating func grow(to wanted: Int) throws(RunError) {
    guard wanted > byteCount else { return }
    if let mapping { munmap(mapping, mappedBytes) }
    mapping = nil
    byteCount = 0
    base = emptyBase
    let isHuge = wanted >= Self.hugePageBytes
    // Up to the end of the last huge page where that is a small part; and room to begin on one.
    let rounded = wanted >= 4 * Self.hugePageBytes && wanted <= Int.max / 2 ? (wanted + Self.hugePageBytes - 1) / Self.hugePageBytes * Self.hugePageBytes : wanted
    let (size, overflowed) = rounded.addingReportingOverflow(isHuge ? Self.hugePageBytes : 0)
    guard !overflowed, let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), address != MAP_FAILED else {
      throw .outOfMemory(bytes: wanted)
    }
    mapping = address
    mappedBytes = size
    byteCount = wanted
    base = isHuge ? address.alignedUp(toMultipleOf: Self.hugePageBytes) : address
    if isHuge { madvise(base, rounded, MADV_HUGEPAGE) }
  }

  /// Reserves addresses for `wanted` bytes, or as many as the system gives if those are at least `least`. Memory is taken as it is touched.
  ///
  /// - Parameter isHuge: Whether most of it will be touched in large pieces.
  mutating func reserve(_ wanted: Int, least: Int, isHuge: Bool) throws(RunError) {
    precondition(mapping == nil, "an arena is reserved once")
    var size = max(wanted, least)
    while true {
      let (padded, overflowed) = size.addingReportingOverflow(Self.hugePageBytes)
      if !overflowed, let address = mmap(nil, padded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), address != MAP_FAILED {
        mapping = address
        mappedBytes = padded
        byteCount = size
        base = address.alignedUp(toMultipleOf: Self.hugePageBytes)
        if isHuge { madvise(base, size, MADV_HUGEPAGE) }
        return
      }
      guard size / 2 >= least, size / 2 >= 1 << 20 else { throw .outOfMemory(bytes: wanted) }
      size /= 2
    }
  }

  /// Gives memory from a byte on back to the system, up to another byte; it reads as zero when it is touched again.
  func giveBack(from start: Int, to end: Int) {
    let first = (start + Self.hugePageBytes - 1) / Self.hugePageBytes * Self.hugePageBytes
    guard mapping != nil, first < min(end, byteCount) else { return }
    madvise(base + first, min(end, byteCount) - first, MADV_DONTNEED)
  }
}
