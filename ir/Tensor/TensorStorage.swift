#if canImport(Glibc)
import Glibc
#endif

/// Bytes that tensors refer to: memory of its own, or a mapped file.
///
/// `@unchecked Sendable`: the bytes are written only through `Tensor.init(_:_:initializing:)`, before the
/// storage is shared; after that they are read only.
public final class TensorStorage: @unchecked Sendable {
  let base: UnsafeMutableRawPointer
  public let byteCount: Int
  private let isMapped: Bool
  /// What the numbers in a string tensor's storage mean.
  let strings: StringTable?

  /// Uninitialised memory, aligned to 64 bytes.
  init(byteCount: Int, strings: StringTable? = nil) {
    self.byteCount = byteCount
    self.strings = strings
    isMapped = false
    base = .allocate(byteCount: max(byteCount, 1), alignment: 64)
  }

  private init(mapped base: UnsafeMutableRawPointer, byteCount: Int) {
    self.base = base
    self.byteCount = byteCount
    strings = nil
    isMapped = true
  }

  deinit {
    if isMapped { munmap(base, byteCount) } else { base.deallocate() }
  }

  /// Maps a whole file for reading. An empty file gives an empty storage.
  ///
  /// - Parameter descriptor: An open file; it may be closed afterwards.
  /// - Returns: nil if the system refuses (`errno` says why).
  public static func mapping(descriptor: Int32) -> TensorStorage? {
    var information = stat()
    guard fstat(descriptor, &information) == 0, information.st_mode & S_IFMT == S_IFREG else { return nil }
    let size = Int(information.st_size)
    if size == 0 { return TensorStorage(byteCount: 0) }
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else { return nil }
    return TensorStorage(mapped: address, byteCount: size)
  }

  /// Bytes that read as zero and take no memory: in place of weights that nothing will read again. nil if the system refuses.
  public static func hollow(byteCount: Int) -> TensorStorage? {
    if byteCount == 0 { return TensorStorage(byteCount: 0) }
    guard let address = mmap(nil, byteCount, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0), address != MAP_FAILED else { return nil }
    return TensorStorage(mapped: address, byteCount: byteCount)
  }

  /// Gives the pages of a mapped file back to the system; a later read maps them again.
  public func releasePages() { if isMapped { madvise(base, byteCount, MADV_DONTNEED) } }

  /// The bytes. The pointer must not leave `body`.
  public func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(start: base, count: byteCount))
  }
}
