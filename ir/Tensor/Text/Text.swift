/// One element of a string tensor: UTF-8, compared byte by byte.
///
/// Swift's own `String` compares what people see, so that "é" in one scalar equals "é" in two; a model that was
/// trained on one of them does not know the other.
public struct Text: Sendable, Hashable, Comparable, ExpressibleByStringLiteral, CustomStringConvertible {
  public let string: String

  public init(_ string: String) {
    var native = string
    native.makeContiguousUTF8()
    self.string = native
  }

  public init(stringLiteral value: String) { self.init(value) }

  /// Text from the bytes of a file or a request; nil if they are no UTF-8.
  public init?(validating bytes: some Collection<UInt8>) {
    guard let string = String(validating: bytes, as: UTF8.self) else { return nil }
    self.string = string
  }

  /// The number of bytes.
  public var byteCount: Int { string.utf8.count }
  public var description: String { string }

  /// The bytes. The buffer must not leave `body`.
  public func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
    if let result = string.utf8.withContiguousStorageIfAvailable(body) { return result }
    return Array(string.utf8).withUnsafeBufferPointer(body)
  }

  public static func == (a: Text, b: Text) -> Bool {
    a.withBytes { x in b.withBytes { y in x.count == y.count && x.elementsEqual(y) } }
  }
  /// By bytes, which is also by Unicode scalars.
  public static func < (a: Text, b: Text) -> Bool { a.withBytes { x in b.withBytes { y in x.lexicographicallyPrecedes(y) } } }
  public func hash(into hasher: inout Hasher) { withBytes { hasher.combine(bytes: UnsafeRawBufferPointer($0)) } }

  /// Longer texts are refused wherever they come in.
  public static let maximumBytes = 64 << 20
}
