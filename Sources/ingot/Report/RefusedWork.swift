import Passes

/// What a pass, or a way to write kernels, was not used for: all nodes with the same reason together.
struct RefusedWork {
  var pass: String
  var reason: String
  /// As they are named in the model's file, with their operators.
  var nodes: [String]

  /// In the order in which passes first refused something.
  static func all(of refusals: [Refusal]) -> [RefusedWork] {
    struct Key: Hashable { var pass: String, reason: String }
    var places: [Key: Int] = [:]
    var found: [RefusedWork] = []
    for refusal in refusals {
      let node = refusal.origin.node.isEmpty ? "(unnamed)" : refusal.origin.node
      let name = refusal.origin.operatorName.isEmpty ? node : "\(node) (\(refusal.origin.operatorName))"
      let key = Key(pass: refusal.pass, reason: refusal.reason)
      if let place = places[key] { found[place].nodes.append(name) } else {
        places[key] = found.count
        found.append(RefusedWork(pass: refusal.pass, reason: refusal.reason, nodes: [name]))
      }
    }
    return found
  }

  /// The first few, and how many more there are.
  var shortNodes: String {
    let shown = nodes.prefix(3).joined(separator: ", ")
    return nodes.count > 3 ? "\(shown) and \(nodes.count - 3) more" : shown
  }
}
