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
}
