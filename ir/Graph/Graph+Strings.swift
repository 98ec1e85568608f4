extension Graph {
  /// True if any value in it, nested graphs included, is a tensor of strings.
  public var hasStrings: Bool {
    if inputs.contains(where: { type(of: $0).element == .string }) { return true }
    return topologicalOrder().contains { id in
      let node = node(id)
      return node.results.contains { type(of: $0).element == .string } || node.operation.regions.contains(where: \.hasStrings)
    }
  }
}
