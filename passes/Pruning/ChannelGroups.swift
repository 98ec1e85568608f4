public import GraphIR
public import TensorTypes

/// Channels (or heads) of a model that can be removed, by the groups in which they compete.
///
/// A group is what is coupled: the channels of the convolutions that feed one sum, say. Each of its members is a class of
/// `ChannelDependencies` that may go.
public struct ChannelGroups: Sendable {
  /// Channels that can only be removed together.
  public struct Group: Sendable {
    /// The contractions whose result channels these are, by name.
    public var producers: [String]
    /// The classes that may go, in the order of their first positions.
    public var channels: [Int32]
    /// How many channels of weights one class is: 64 for an attention head of that size.
    public var width: Int
    /// Importance of each channel.
    public var scores: [Double]
    /// The contractions that sum over these channels.
    public var readers: [Reader] = []
    /// True if the scores are errors relative to what they are errors of, which are alike in all groups.
    public internal(set) var isMeasured = false
  }
  /// A contraction that sums over channels of a group.
  public struct Reader: Sendable {
    public var node: NodeID
    /// By channel of the group: its positions in the summed axis of the weights.
    public var positions: [[Int]]
  }
  public let dependencies: ChannelDependencies
  public private(set) var groups: [Group] = []
  /// Contractions whose channels stay, with the reason.
  public private(set) var refused: [(name: String, reason: String)] = []

  /// - Parameter energies: The mean square of each position of the last (dot) or channel axis (convolution) of a contraction's left operand,
  ///   where it is known. Channels are then ranked by what their removal changes, otherwise by the magnitude of the weights around them.
  public init(_ graph: Graph, energies: [ValueID: [Double]] = [:]) throws(CompileError) {
    dependencies = try ChannelDependencies(graph)
    let dependencies = dependencies
    var byGroup: [Int: Int] = [:]
    var (made, used): ([Int32: Double], [Int32: Double]) = ([:], [:])
    var seen: Set<Int32> = []
    var readers: [Int: [NodeID]] = [:]
    for id in graph.topologicalOrder() {
      let node = graph.node(id)
      guard let axes = Self.axes(of: node, graph), let tensor = graph.constant(node.operands[1]), tensor.element == .f32 else { continue }
      let filter = node.operands[1]
      let energy = energies[node.operands[0]]
      // What leaves the contraction.
      if let slot = dependencies.slot(filter, axes.output), let group = dependencies.group(filter, axes.output) {
        let squares = tensor.squares(along: axes.output)
        var (free, classes): (Int, Set<Int32>) = (0, [])
        for position in 0..<slot.extent {
          guard let atom = dependencies.atom(filter, axes.output, position), dependencies.reason(atom) == nil else { continue }
          free += 1
          classes.insert(atom)
          made[atom, default: 0] += squares[position]
          let place = byGroup[group] ?? groups.count
          if place == groups.count {
            byGroup[group] = place
            groups.append(Group(producers: [], channels: [], width: 1, scores: []))
          }
          if seen.insert(atom).inserted { groups[place].channels.append(atom) }
        }
        let name = node.origin.node.isEmpty ? node.operation.mnemonic : node.origin.node
        if free > 0, let place = byGroup[group] {
          groups[place].producers.append(name)
          groups[place].width = max(groups[place].width, free / max(1, classes.count))
        } else if let atom = dependencies.atom(filter, axes.output, 0), let reason = dependencies.reason(atom) {
          refused.append((name, reason))
        }
      }
      // What enters it.
      guard let input = axes.input, let slot = dependencies.slot(filter, input) else { continue }
      if let group = dependencies.group(filter, input) { readers[group, default: []].append(id) }
      var squares = tensor.squares(along: input)
      if let energy, energy.count == squares.count {
        // The part of the result that comes from each channel: what its loss costs, whatever the size of the numbers is.
        squares = zip(squares, energy).map(*)
        let whole = max(squares.reduce(0, +), .leastNormalMagnitude)
        squares = squares.map { $0 / whole }
      }
      for position in 0..<slot.extent {
        guard let atom = dependencies.atom(filter, input, position), dependencies.reason(atom) == nil else { continue }
        used[atom, default: 0] += squares[position]
      }
    }
    let isMeasured = !energies.isEmpty
    for (group, place) in byGroup {
      let numbers = Dictionary(uniqueKeysWithValues: groups[place].channels.enumerated().map { ($1, $0) })
      groups[place].readers = (readers[group] ?? []).compactMap { id in
        let filter = graph.node(id).operands[1]
        guard let axis = Self.axes(of: graph.node(id), graph)?.input, let slot = dependencies.slot(filter, axis) else { return nil }
        var positions = [[Int]](repeating: [], count: numbers.count)
        for position in 0..<slot.extent { if let atom = dependencies.atom(filter, axis, position), let number = numbers[atom] { positions[number].append(position) } }
        return positions.allSatisfy(\.isEmpty) ? nil : Reader(node: id, positions: positions)
      }
    }
    for number in groups.indices {
      groups[number].isMeasured = isMeasured
      groups[number].scores = groups[number].channels.map { channel in
        let (a, b) = (made[channel] ?? 0, used[channel] ?? 0)
        // Scales can move from one side of a channel to the other: only their product means something.
        return isMeasured ? b : (a * b).squareRoot()
      }
    }
  }

  /// Ranks a group's channels by the error that the loss of each adds to those before it.
  ///
  /// - Parameter order: Channels of the group, by their number in it, in the order of their removal.
  public mutating func rank(_ group: Int, by order: [(channel: Int, cost: Double)]) {
    guard groups.indices.contains(group), order.count == groups[group].channels.count else { return }
    var last = 0.0
    for (channel, cost) in order where groups[group].scores.indices.contains(channel) {
      // What goes later is worth more, whatever it costs by then.
      last = max(cost, last * (1 + 1e-9), .leastNormalMagnitude)
      groups[group].scores[channel] = last
    }
    groups[group].isMeasured = true
  }

  /// The axes of a contraction's right operand that are channels of its result and of its left operand; nil for other operations.
  static func axes(of node: Node, _ graph: Graph) -> (output: Int, input: Int?)? {
    guard node.operands.count == 2 else { return nil }
    let rank = graph.type(of: node.operands[1]).rank
    if node.operation is Dot { return (rank - 1, rank - 2) }
    if let convolution = node.operation as? Convolution {
      let axes = convolution.filterAxes(rank: rank)
      return (axes.output, convolution.groups == 1 ? axes.input : nil)
    }
    return nil
  }

  /// What the global budget takes from a group at most.
  public static let mostOfAGroup = 0.8

  /// The least important channels.
  ///
  /// - Parameters:
  ///   - sparsity: The part of the channels that is to go: of each group, or of all together. What can only be removed together counts once.
  ///   - isRounded: Keep multiples of eight where a group is large enough: vectors are filled.
  public func channels(removing sparsity: Double, budget: PruningBudget, isRounded: Bool = true) -> Set<Int32> {
    var removed: Set<Int32> = []
    func number(_ group: Group, _ wish: Double) -> Int {
      let count = group.channels.count
      var kept = Double(count) - wish
      if isRounded, group.width == 1, kept >= 12 { kept = (kept / 8).rounded() * 8 }
      return count - min(count, max(1, Int(kept.rounded())))
    }
    switch budget {
    case .layer:
      for group in groups { removed.formUnion(Self.least(number(group, Double(group.channels.count) * sparsity), of: group)) }
    case .global:
      var all: [(score: Double, group: Int)] = []
      for (place, group) in groups.enumerated() {
        let mean = group.isMeasured ? 1 : max(group.scores.reduce(0, +) / Double(max(1, group.scores.count)), .leastNormalMagnitude)
        all += group.scores.map { ($0 / mean, place) }
      }
      all.sort { ($0.score, $0.group) < ($1.score, $1.group) }
      var counts = groups.map { _ in 0 }
      for (_, place) in all.prefix(Int((Double(all.count) * sparsity).rounded())) where Double(counts[place] + 1) <= Self.mostOfAGroup * Double(groups[place].channels.count) { counts[place] += 1 }
      for (place, group) in groups.enumerated() { removed.formUnion(Self.least(number(group, Double(counts[place])), of: group)) }
    }
    // No axis loses all: a group may be made of several, as where channels are put one behind the other.
    for slot in dependencies.slots {
      let atoms = (0..<slot.extent).compactMap { dependencies.atom(slot.value, slot.axis, $0) }
      if let first = atoms.first, atoms.allSatisfy(removed.contains) { removed.remove(first) }
    }
    return removed
  }

  private static func least(_ count: Int, of group: Group) -> [Int32] {
    group.channels.indices.sorted { (group.scores[$0], $0) < (group.scores[$1], $1) }.prefix(count).map { group.channels[$0] }
  }
}

extension Tensor {
  /// The sum of the squares at each position of an axis. For f32.
  public func squares(along axis: Int) -> [Double] {
    let inner = dimensions[(axis + 1)...].reduce(1, *), extent = dimensions[axis]
    var sums = [Double](repeating: 0, count: extent)
    withBytes { bytes in
      for position in 0..<count {
        let number = Double(bytes.loadUnaligned(fromByteOffset: position * 4, as: Float.self))
        if number.isFinite { sums[position / max(1, inner) % max(1, extent)] += number * number }
      }
    }
    return sums
  }
}
