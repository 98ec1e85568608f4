public import GraphIR
import TensorTypes

/// Which positions of which axes of a graph's values can only be removed together.
///
/// Every position of an axis of constant extent is an atom. Operations tie atoms to each other: an addition the channel of both operands and of
/// its result, a convolution its filter's output axis to its result's channels, a reshape a head to the columns that it is made of. What is tied
/// is one class, and is removed as a whole or not at all. A class that reaches the model's interface or an operation that looks at all positions at
/// once, such as a mean, stays; `reasons` says why.
///
/// Removing a class changes the numbers only where a contraction sums over it.
public struct ChannelDependencies: Sendable {
  /// Positions of one axis of a value.
  struct Slot: Sendable {
    var value: ValueID
    var axis: Int
    /// The first one's atom.
    var first: Int32
    var extent: Int
  }

  let graph: Graph
  private(set) var slots: [Slot] = []
  /// By value and axis; nil where the extent is 1 or symbolic.
  private var places: [ValueID: [Int?]] = [:]
  private var parents: [Int32] = []
  /// Slots with a class in common.
  private var slotParents: [Int] = []
  /// By atom: why it stays.
  private var noted: [(atom: Int32, reason: String)] = []
  private var reasons: [Int32: String] = [:]

  /// More atoms would take more memory than a compilation should.
  private static let mostAtoms = 1 << 27

  /// - Throws: `CompileError` if the graph is too large.
  public init(_ graph: Graph) throws(CompileError) {
    self.graph = graph
    let order = graph.topologicalOrder()
    var atoms = 0
    for value in graph.inputs + order.flatMap({ graph.node($0).results }) {
      var axes: [Int?] = []
      for (axis, extent) in graph.type(of: value).shape.enumerated() {
        guard let extent = extent.constant, extent > 1, atoms + extent <= Self.mostAtoms else {
          if let extent = extent.constant, extent > 1 {
            throw CompileError(.unsupported, "the model is too large to prune channels: more than \(Self.mostAtoms) positions", stage: .pass("prune-channels"))
          }
          axes.append(nil)
          continue
        }
        axes.append(slots.count)
        slots.append(Slot(value: value, axis: axis, first: Int32(atoms), extent: extent))
        atoms += extent
      }
      places[value] = axes
    }
    parents = (0..<Int32(atoms)).map { $0 }
    slotParents = Array(slots.indices)
    for input in graph.inputs { keep(input, "it is part of the input `\(graph.value(input).name)`") }
    for id in order { tie(graph.node(id)) }
    for (name, output) in zip(graph.outputNames, graph.outputs) { keep(output, "it is part of the output `\(name)`") }
    flatten()
    for (atom, reason) in noted {
      let root = parents[Int(atom)]
      if reasons[root] == nil { reasons[root] = reason }
    }
  }

  // MARK: Reading

  /// The class of a position; nil on axes that have none.
  func atom(_ value: ValueID, _ axis: Int, _ position: Int) -> Int32? {
    guard let slot = slot(value, axis), position < slot.extent else { return nil }
    return parents[Int(slot.first) + position]
  }

  func slot(_ value: ValueID, _ axis: Int) -> Slot? {
    guard let number = slotNumber(value, axis) else { return nil }
    return slots[number]
  }

  /// Slots with the same number belong together.
  func group(_ value: ValueID, _ axis: Int) -> Int? { slotNumber(value, axis).map { slotParents[$0] } }

  /// Why a class stays; nil if it may go.
  func reason(_ atom: Int32) -> String? { reasons[atom] }

  private func slotNumber(_ value: ValueID, _ axis: Int) -> Int? {
    guard let axes = places[value], axes.indices.contains(axis) else { return nil }
    return axes[axis]
  }

  // MARK: Ties

  private mutating func root(_ atom: Int32) -> Int32 {
    var root = atom
    while parents[Int(root)] != root { root = parents[Int(root)] }
    var current = atom
    while parents[Int(current)] != root {
      let next = parents[Int(current)]
      parents[Int(current)] = root
      current = next
    }
    return root
  }

  mutating func tie(_ a: Int32, _ b: Int32) {
    let (x, y) = (root(a), root(b))
    // The older one, so that the result does not depend on the way here.
    if x != y { parents[Int(max(x, y))] = min(x, y) }
  }

  private mutating func tieSlots(_ a: Int, _ b: Int) {
    func root(_ number: Int) -> Int {
      var current = number
      while slotParents[current] != current { current = slotParents[current] }
      return current
    }
    let (x, y) = (root(a), root(b))
    if x != y { slotParents[max(x, y)] = min(x, y) }
  }

  /// Position by position; where one of the axes is not known both stay.
  mutating func tie(_ a: (value: ValueID, axis: Int), _ b: (value: ValueID, axis: Int)) {
    tie(a, b, from: 0, to: 0, count: nil)
  }

  /// Positions from `from` on of one axis with those from `to` on of another.
  mutating func tie(_ a: (value: ValueID, axis: Int), _ b: (value: ValueID, axis: Int), from: Int, to: Int, count: Int?) {
    guard let x = slotNumber(a.value, a.axis), let y = slotNumber(b.value, b.axis) else { return }
    tieSlots(x, y)
    let number = min(count ?? .max, slots[x].extent - from, slots[y].extent - to)
    for position in 0..<max(0, number) { tie(slots[x].first + Int32(from + position), slots[y].first + Int32(to + position)) }
  }

  /// Position p of `a` with the positions p * factor ..< (p + 1) * factor of `b`.
  mutating func tieRuns(_ a: (value: ValueID, axis: Int), _ b: (value: ValueID, axis: Int), factor: Int) {
    guard let x = slotNumber(a.value, a.axis), let y = slotNumber(b.value, b.axis), factor > 0 else { return }
    tieSlots(x, y)
    for position in 0..<slots[y].extent where position / factor < slots[x].extent {
      tie(slots[x].first + Int32(position / factor), slots[y].first + Int32(position))
    }
  }

  mutating func note(_ atom: Int32, _ reason: String) { noted.append((atom, reason)) }

  mutating func keep(_ value: ValueID, axis: Int, _ reason: String) {
    guard let slot = slot(value, axis) else { return }
    // One class, so that the reason holds for all of them.
    for position in 1..<slot.extent { tie(slot.first, slot.first + Int32(position)) }
    noted.append((slot.first, reason))
  }

  mutating func keep(_ value: ValueID, _ reason: String) {
    for axis in 0..<graph.type(of: value).rank { keep(value, axis: axis, reason) }
  }
}

extension ChannelDependencies {
  /// Every atom's root in one step, for reading.
  private mutating func flatten() {
    for atom in parents.indices { _ = root(Int32(atom)) }
    for number in slotParents.indices {
      var current = number
      while slotParents[current] != current { current = slotParents[current] }
      slotParents[number] = current
    }
  }
}

extension ChannelDependencies {
  mutating func keepPosition(_ slot: Slot, _ position: Int, _ reason: String) { note(slot.first + Int32(position), reason) }

  /// The channels of each group of two axes are one class.
  mutating func tieGroups(_ a: Slot, _ b: Slot, perGroup: (Int, Int)) {
    if let x = places[a.value]?[a.axis], let y = places[b.value]?[b.axis] { tieSlots(x, y) }
    for position in 0..<a.extent { tie(a.first + Int32(position), a.first + Int32(position / max(1, perGroup.0) * perGroup.0)) }
    for position in 0..<b.extent {
      let group = position / max(1, perGroup.1)
      if group * perGroup.0 < a.extent { tie(b.first + Int32(position), a.first + Int32(group * perGroup.0)) }
    }
  }
}
