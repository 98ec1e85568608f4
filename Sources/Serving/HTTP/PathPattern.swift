/// The path of a route, such as `/v2/models/{model}/versions/{version}/infer` or `/v1/models/{model}:predict`.
package struct PathPattern: Sendable {
  enum Parameter: String { case model, version }

  enum Segment: Sendable {
    case literal(String)
    /// Any text that ends with the suffix.
    case parameter(Parameter, suffix: String)
  }

  /// As it is written; also the route's name in metrics.
  package let text: String
  let segments: [Segment]

  init(_ text: String) {
    self.text = text
    segments = text.split(separator: "/").map { part in
      guard part.first == "{", let end = part.firstIndex(of: "}"),
        let parameter = Parameter(rawValue: String(part[part.index(after: part.startIndex)..<end]))
      else { return .literal(String(part)) }
      return .parameter(parameter, suffix: String(part[part.index(after: end)...]))
    }
  }

  /// The parameters, if the path matches.
  func match(_ path: [String]) -> [Parameter: String]? {
    guard path.count == segments.count else { return nil }
    for (segment, part) in zip(segments, path) {
      if case .literal(let word) = segment, word != part { return nil }
    }
    var found: [Parameter: String] = [:]
    for (segment, part) in zip(segments, path) {
      guard case .parameter(let parameter, let suffix) = segment else { continue }
      guard part.hasSuffix(suffix), part.utf8.count > suffix.utf8.count else { return nil }
      // Without a suffix of its own a parameter does not take one that belongs to another route.
      if suffix.isEmpty, part.utf8.contains(UInt8(ascii: ":")) { return nil }
      found[parameter] = String(part.dropLast(suffix.count))
    }
    return found
  }

  /// Longer targets are refused.
  static let longestTarget = 4096

  /// The segments of a request target, percent-decoded; the query is left out.
  static func segments(of target: String) throws(RequestError) -> [String] {
    guard target.utf8.count <= longestTarget else {
      throw RequestError(.uriTooLong, code: "target_too_long", "the request target is longer than \(longestTarget) bytes")
    }
    // Bytes, not characters: finding grapheme boundaries costs more than all of the routing.
    var path = target.utf8[...]
    if path.first != UInt8(ascii: "/") {
      // The absolute form that proxies send: the scheme and the authority are left out.
      let rest = path.drop { $0 != UInt8(ascii: ":") }
      guard rest.starts(with: "://".utf8) else { return [target] }
      path = rest.dropFirst(3).drop { $0 != UInt8(ascii: "/") }
    }
    path = path.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
    var parts: [String] = []
    for part in path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: true) {
      guard part.contains(UInt8(ascii: "%")) else {
        parts.append(String(Substring(part)))
        continue
      }
      guard let decoded = percentDecoded(part) else { throw .malformed("the request target has an invalid percent escape") }
      parts.append(decoded)
    }
    return parts
  }

  private static func percentDecoded(_ text: Substring.UTF8View) -> String? {
    var bytes: [UInt8] = []
    var source = text.makeIterator()
    while let byte = source.next() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = source.next().flatMap(hexDigit), let low = source.next().flatMap(hexDigit) else { return nil }
      bytes.append(high << 4 | low)
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 48...57: byte - 48
    case 65...70: byte - 55
    case 97...102: byte - 87
    default: nil
    }
  }
}
