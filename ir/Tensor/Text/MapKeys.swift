/// The keys that the columns of a tensor [rows, keys] stand for, where a model gives a map for each row (ONNX `ZipMap`).
public enum MapKeys: Sendable, Hashable {
  case integers([Int])
  case strings([String])

  public var count: Int {
    switch self {
    case .integers(let keys): keys.count
    case .strings(let keys): keys.count
    }
  }

  /// Each key as text, for the members of JSON objects.
  public var names: [String] {
    switch self {
    case .integers(let keys): keys.map(String.init)
    case .strings(let keys): keys
    }
  }
}
