import TensorTypes

/// Which axes of a reshape's operand become which axes of its result.
///
///     [batch, 64, 7, 7] -> [batch, 8, 8, 49]    is    batch -> batch,  64 -> 8*8,  7*7 -> 49
///
/// Axes of extent 1 are in no group: they can be dropped and inserted anywhere. The groups are as small as possible.
struct ReshapeGroups: Sendable {
  struct Group: Sendable, Equatable {
    /// Consecutive axes of the operand, extents of 1 left out.
    var before: [Int]
    /// Consecutive axes of the result, extents of 1 left out.
    var after: [Int]
  }
  private(set) var groups: [Group] = []

  /// - Returns: nil if a factor cannot be matched, as with symbolic extents that do not divide, or an extent of 0.
  init?(from: Shape, to: Shape) {
    if Self.onlyRenames(from, to) {
      groups = from.indices.filter { from[$0] != 1 }.map { Group(before: [$0], after: [$0]) }
      return
    }
    let before = from.indices.filter { from[$0] != 1 }
    let after = to.indices.filter { to[$0] != 1 }
    if before.contains(where: { from[$0] == 0 }) || after.contains(where: { to[$0] == 0 }) { return nil }
    var (i, j) = (0, 0)
    while i < before.count || j < after.count {
      guard i < before.count, j < after.count else { return nil }
      var group = Group(before: [before[i]], after: [after[j]])
      var (left, right) = (from[before[i]], to[after[j]])
      (i, j) = (i + 1, j + 1)
      while left != right {
        let extendsLeft: Bool
        if let a = left.constant, let b = right.constant {
          extendsLeft = a < b
        } else if right.dividedExactly(by: left) != nil {
          extendsLeft = true
        } else if left.dividedExactly(by: right) != nil {
          extendsLeft = false
        } else {
          return nil
        }
        if extendsLeft {
          guard i < before.count else { return nil }
          left = left * from[before[i]]
          group.before.append(before[i])
          i += 1
        } else {
          guard j < after.count else { return nil }
          right = right * to[after[j]]
          group.after.append(after[j])
          j += 1
        }
      }
      groups.append(group)
    }
  }

  /// True for a reshape that only writes symbolic extents in another form, such as `floordiv(n, 2)*2` as `n`.
  ///
  /// If one axis differs it must be equal, since all others are. If several do, each must be a function of symbols of its own, and the
  /// element counts differ in form, so that no factor can have moved from one to the other.
  private static func onlyRenames(_ from: Shape, _ to: Shape) -> Bool {
    guard from.rank == to.rank, from.allSatisfy({ $0 != 0 }) else { return false }
    let differing = from.indices.filter { from[$0] != to[$0] }
    if differing.isEmpty { return true }
    if differing.contains(where: { from[$0] == 1 || to[$0] == 1 }) { return false }
    if differing.count == 1 { return true }
    guard from.elementCount != to.elementCount else { return false }
    var seen: Set<String> = []
    for axis in differing {
      let symbols = from[axis].symbols
      guard !symbols.isEmpty, symbols == to[axis].symbols, seen.isDisjoint(with: symbols) else { return false }
      seen.formUnion(symbols)
    }
    return true
  }
}
