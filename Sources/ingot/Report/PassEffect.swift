import Artifact
import Passes

/// What one pass did in all its runs.
struct PassEffect: Sendable {
  var name: String
  var runs = 0
  var seconds = 0.0
  /// Before its first run, and what all its runs together made of them.
  var nodesBefore: Int
  var nodesAfter: Int
  var constantBytesBefore: Int
  var constantBytesAfter: Int
  var hasChanged = false

  /// Each run on its own, in order. Of the code for all lengths: that for particular ones goes the same way again.
  static func runs(_ records: [PassRecord]) -> [PassEffect] {
    records.filter { !$0.isOfVariant }.map {
      PassEffect(
        name: $0.name, runs: 1, seconds: $0.seconds, nodesBefore: $0.nodesBefore, nodesAfter: $0.nodesAfter, constantBytesBefore: $0.constantBytesBefore,
        constantBytesAfter: $0.constantBytesAfter, hasChanged: $0.hasChanged)
    }
  }

  /// One effect for each pass, in the order of the first runs.
  static func merged(_ runs: [PassEffect]) -> [PassEffect] {
    var effects: [PassEffect] = []
    for run in runs {
      guard let place = effects.firstIndex(where: { $0.name == run.name }) else {
        effects.append(run)
        continue
      }
      effects[place].runs += run.runs
      effects[place].seconds += run.seconds
      effects[place].nodesAfter += run.nodesAfter - run.nodesBefore
      effects[place].constantBytesAfter += run.constantBytesAfter - run.constantBytesBefore
      effects[place].hasChanged = effects[place].hasChanged || run.hasChanged
    }
    return effects
  }

  /// What all its runs together made of the number of nodes, such as `-46`; nothing where it changed nothing.
  var change: String {
    let difference = nodesAfter - nodesBefore
    return !hasChanged ? "" : difference == 0 ? "as many" : difference > 0 ? "+\(difference)" : "\(difference)"
  }
  /// Such as `476 → 430`; nothing where it changed nothing.
  var nodes: String { hasChanged ? "\(nodesBefore) → \(nodesAfter)" : "" }
  var constants: String {
    constantBytesBefore == constantBytesAfter ? "" : "\(Quantity.bytes(constantBytesBefore)) → \(Quantity.bytes(max(0, constantBytesAfter)))"
  }
}
