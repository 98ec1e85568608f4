/// A concrete tensor: an element type, dimensions, and a range of bytes in row-major order, little-endian.
///
/// Copies share their bytes. A constant of the graph is one of these, usually a range of a mapped model file.
public struct Tensor: Sendable {
  public let element: ElementType
  public let dimensions: [Int]
  /// The number of elements.
  public let count: Int
  public let storage: TensorStorage
  public let byteOffset: Int

  public var byteCount: Int { count * element.byteCount }
  public var type: TensorType { TensorType(element, Shape(dimensions)) }

  /// A tensor over part of a storage.
  ///
  /// - Returns: nil if a dimension is negative, the size overflows or the range leaves the storage.
  public init?(_ element: ElementType, _ dimensions: [Int], storage: TensorStorage, byteOffset: Int) {
    guard let count = elementCount(of: dimensions) else { return nil }
    let (bytes, overflowed) = count.multipliedReportingOverflow(by: element.byteCount)
    guard !overflowed, byteOffset >= 0, byteOffset <= storage.byteCount, bytes <= storage.byteCount - byteOffset else { return nil }
    self.element = element
    self.dimensions = dimensions
    self.count = count
    self.storage = storage
    self.byteOffset = byteOffset
  }

  /// A new tensor whose bytes `fill` writes; they are zero before.
  ///
  /// The caller has checked the dimensions: none negative, product times element size within 63 bits.
  public init<Failure: Error>(
    _ element: ElementType, _ dimensions: [Int], strings: StringTable? = nil, initializing fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    guard let count = elementCount(of: dimensions) else { preconditionFailure("dimensions \(dimensions) were not checked") }
    self.element = element
    self.dimensions = dimensions
    self.count = count
    let byteCount = count * element.byteCount
    storage = TensorStorage(byteCount: byteCount, strings: strings)
    byteOffset = 0
    let bytes = UnsafeMutableRawBufferPointer(start: storage.base, count: byteCount)
    bytes.initializeMemory(as: UInt8.self, repeating: 0)
    try fill(bytes)
  }

  /// All elements zero.
  public init(zeros element: ElementType, _ dimensions: [Int]) { self.init(element, dimensions) { _ in } }

  /// The elements as they lie in memory. The buffer must not leave `body`.
  public func withBytes<Result, Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try body(UnsafeRawBufferPointer(start: storage.base + byteOffset, count: byteCount))
  }

  /// The same bytes with other dimensions; nil if the element counts differ.
  public func reshaped(_ dimensions: [Int]) -> Tensor? {
    guard TensorTypes.elementCount(of: dimensions) == count else { return nil }
    return Tensor(element, dimensions, storage: storage, byteOffset: byteOffset)
  }

  /// True if types, dimensions and bytes are the same.
  public func isIdentical(to other: Tensor) -> Bool {
    guard element == other.element, dimensions == other.dimensions else { return false }
    if element == .string, strings !== other.strings { return texts == other.texts }
    return withBytes { a in other.withBytes { b in a.elementsEqual(b) } }
  }
}
