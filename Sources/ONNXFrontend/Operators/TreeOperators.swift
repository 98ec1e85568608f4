import GraphIR
import TensorTypes

/// Decision trees: one `tree_ensemble`, and what makes labels and probabilities of its sums.
enum TreeOperators {
  static let table: [String: OperatorImporter] = [
    "ai.onnx.ml::TreeEnsembleClassifier": classifier, "ai.onnx.ml::TreeEnsembleRegressor": regressor, "ai.onnx.ml::TreeEnsemble": ensemble,
  ]

  private enum Aggregate: String, CaseIterable {
    case average = "AVERAGE", sum = "SUM", minimum = "MIN", maximum = "MAX"
    var reducer: Reducer {
      switch self {
      case .average, .sum: .sum
      case .minimum: .minimum
      case .maximum: .maximum
      }
    }
  }

  // MARK: Lists of nodes by tree and number (TreeEnsembleRegressor, TreeEnsembleClassifier)

  private struct Key: Hashable {
    var tree: Int
    var node: Int
  }

  /// Floats as attribute, or numbers of any type as a tensor.
  private static func numbers(_ call: OperatorCall, _ name: String) throws(CompileError) -> [Double] {
    if let tensor = try call.tensor(name + "_as_tensor") { return tensor.doubles }
    return try call.numbers(name) ?? []
  }

  private static func test(_ mode: String) -> TreeTables.Test? {
    switch mode {
    case "BRANCH_LEQ": .lessOrEqual
    case "BRANCH_LT": .less
    case "BRANCH_GTE": .greaterOrEqual
    case "BRANCH_GT": .greater
    case "BRANCH_EQ": .equal
    case "BRANCH_NEQ": .notEqual
    default: nil
    }
  }

  /// - Parameter prefix: `target` or `class`, which the lists of weights are named after.
  private static func tables(_ call: OperatorCall, prefix: String, targets: Int, element: ElementType) throws(CompileError) -> TreeTables {
    let trees = try call.integers("nodes_treeids") ?? []
    let count = trees.count
    guard count >= 1, count <= TreeTables.mostNodes else { throw call.refusal("\(call.name) has \(count) nodes") }
    func integers(_ name: String) throws(CompileError) -> [Int] {
      let values = try call.integers(name) ?? []
      guard values.count == count else { throw call.refusal("`\(name)` of \(call.name) has \(values.count) entries; \(count) are needed") }
      return values
    }
    let (ids, features) = (try integers("nodes_nodeids"), try integers("nodes_featureids"))
    let (whenTrue, whenFalse) = (try integers("nodes_truenodeids"), try integers("nodes_falsenodeids"))
    let (modes, thresholds) = (try call.strings("nodes_modes") ?? [], try numbers(call, "nodes_values"))
    let missing = try call.integers("nodes_missing_value_tracks_true") ?? []
    guard modes.count == count, thresholds.count == count, missing.isEmpty || missing.count == count else {
      throw call.refusal("the lists of \(call.name) have different lengths")
    }
    var position: [Key: Int] = [:]
    position.reserveCapacity(count)
    for index in 0..<count {
      guard position.updateValue(index, forKey: Key(tree: trees[index], node: ids[index])) == nil else {
        throw call.refusal("\(call.name) has two nodes \(ids[index]) in tree \(trees[index])")
      }
    }
    var tables = TreeTables(element: element)
    let entries = try weights(call, prefix: prefix, targets: targets, position, nodes: count, &tables)
    var tests: [TreeTables.Test?] = []
    for index in 0..<count {
      if modes[index] == "LEAF" {
        _ = tables.addLeaf(entries[index]..<entries[index + 1])
        tests.append(nil)
        continue
      }
      guard let test = test(modes[index]) else { throw call.refusal("\(call.name) has the test `\(printable(modes[index]))`") }
      guard features[index] >= 0, features[index] < 1 << 30 else {
        throw call.refusal("node \(ids[index]) of tree \(trees[index]) tests feature \(features[index])")
      }
      _ = tables.addSplit(features[index], test, thresholds[index], tracksTrue: missing.isEmpty ? false : missing[index] != 0)
      tests.append(test)
    }
    var isChild = [Bool](repeating: false, count: count)
    for index in 0..<count {
      guard let test = tests[index] else { continue }
      guard let yes = position[Key(tree: trees[index], node: whenTrue[index])], let no = position[Key(tree: trees[index], node: whenFalse[index])] else {
        throw call.refusal("node \(ids[index]) of tree \(trees[index]) has a child that is not there")
      }
      guard yes != index, no != index else { throw call.refusal("node \(ids[index]) of tree \(trees[index]) is its own child") }
      (isChild[yes], isChild[no]) = (true, true)
      tables.setChildren(of: index, test, whenTrue: yes, whenFalse: no)
    }
    // The first node of each tree that is nobody's child; trees in the order of the file.
    var seen: Set<Int> = []
    for index in 0..<count where !isChild[index] && seen.insert(trees[index]).inserted { tables.addRoot(index) }
    guard seen.count == Set(trees).count else { throw call.refusal("\(call.name) has a tree without a root") }
    return tables
  }

  /// Adds the weights of the leaves, grouped by node; the start of each node's, and the end of all.
  private static func weights(
    _ call: OperatorCall, prefix: String, targets: Int, _ position: [Key: Int], nodes: Int, _ tables: inout TreeTables
  ) throws(CompileError) -> [Int] {
    let (trees, ids) = (try call.integers(prefix + "_treeids") ?? [], try call.integers(prefix + "_nodeids") ?? [])
    let (columns, weights) = (try call.integers(prefix + "_ids") ?? [], try numbers(call, prefix + "_weights"))
    guard ids.count == trees.count, columns.count == trees.count, weights.count == trees.count else {
      throw call.refusal("the `\(prefix)` lists of \(call.name) have different lengths")
    }
    var owners: [Int] = []
    var starts = [Int](repeating: 0, count: nodes + 1)
    for index in trees.indices {
      guard let node = position[Key(tree: trees[index], node: ids[index])], columns[index] >= 0, columns[index] < targets else {
        throw call.refusal("\(call.name) gives a weight to a node or target that is not there")
      }
      owners.append(node)
      starts[node + 1] += 1
    }
    for node in 0..<nodes { starts[node + 1] += starts[node] }
    var next = starts
    var order = [Int](repeating: 0, count: owners.count)
    for (index, node) in owners.enumerated() {
      order[next[node]] = index
      next[node] += 1
    }
    for index in order { tables.addWeight(weights[index], for: columns[index]) }
    return starts
  }

  /// The sums of all trees; f64 features have f64 sums.
  private static func sums(
    _ call: OperatorCall, _ x: ValueID, prefix: String, targets: Int, _ aggregate: Aggregate, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    guard targets >= 1, targets <= 1 << 20 else { throw call.refusal("\(call.name) has \(targets) targets") }
    let tables = try tables(call, prefix: prefix, targets: targets, element: b.element(x))
    let result = try tables.build(x, aggregate.reducer, results: targets, sums: b.element(x), &b)
    return aggregate == .average ? try b.binary(.divide, result, Double(tables.treeCount)) : result
  }

  /// For each class whether a leaf of the row adds to it (1) or not (0); nil if some tree adds to each class, wherever a row ends.
  private static func mentions(_ call: OperatorCall, _ x: ValueID, classes: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID? {
    let tables = try tables(call, prefix: "class", targets: classes, element: b.element(x))
    if tables.alwaysAddsTo(classes) { return nil }
    return try tables.mentions().build(x, .maximum, results: classes, sums: b.element(x), &b)
  }

  private static func regressor(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try FeatureMatrix.rows(call.input(0), &b)
    let targets = try call.integer("n_targets", default: 1)
    var result = try sums(call, x, prefix: "target", targets: targets, call.word("aggregate_function", default: .sum), &b)
    let base = try numbers(call, "base_values")
    guard base.isEmpty || base.count == 1 || base.count == targets else { throw call.refusal("\(call.name) has \(base.count) base values for \(targets) targets") }
    if !base.isEmpty { result = try b.binary(.add, result, b.constant(Tensor(b.element(result), [base.count], base))) }
    return [try b.convert(ClassScores.transformedTargets(result, call.word("post_transform", default: .none), &b), to: .f32)]
  }

  private static func classifier(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try FeatureMatrix.rows(call.input(0), &b)
    let labels = try ClassLabels(call, integers: "classlabels_int64s")
    let transform = try call.word("post_transform", default: ClassScores.Transform.none)
    let columns = Set(try call.integers("class_ids") ?? [])
    let weights = try numbers(call, "class_weights"), base = try numbers(call, "base_values")
    guard base.count <= max(2, labels.count) else { throw call.refusal("\(call.name) has \(base.count) base values for \(labels.count) classes") }
    var scores = try sums(call, x, prefix: "class", targets: labels.count, .sum, &b)
    let element = b.element(scores)
    let results: [ValueID]
    if labels.count == 2, !columns.contains(1) {
      // One score for two classes.
      var score = try b.slice(scores, axis: 1, start: 0, size: 1)
      if let value = base.first { score = try b.binary(.add, score, value) }
      let kind: ClassScores.Binary = weights.allSatisfy { $0 >= 0 } ? .probability : .margin
      results = try ClassScores.binary(score, kind, labels, transform, second: base.count == 2 ? 0 : nil, &b)
    } else if labels.count == 2 {
      if !base.isEmpty { scores = try b.binary(.add, scores, b.constant(Tensor(element, [2], base.count == 2 ? base : [base[0], 0]))) }
      let second = try b.select(scores, axis: 1, at: 1)
      let isSecond = try b.compare(.greater, second, columns.count == 1 && weights.allSatisfy { $0 >= 0 } ? 0.5 : 0)
      // With scores for both classes ONNX Runtime answers with 0 and 1, whatever the labels are.
      results = [
        columns.count == 1 || labels.tensor.element != .i64 ? try labels.chosen(isSecond, &b) : try b.convert(isSecond, to: .i64),
        try ClassScores.transformed(scores, transform, &b),
      ]
    } else {
      if !base.isEmpty {
        guard base.count == labels.count || base.count == 1 else { throw call.refusal("\(call.name) has \(base.count) base values for \(labels.count) classes") }
        scores = try b.binary(.add, scores, b.constant(Tensor(element, [labels.count], base.count == 1 ? base + [Double](repeating: 0, count: labels.count - 1) : base)))
      }
      var candidates = scores
      if base.count < labels.count, weights.contains(where: { $0 < 0 }), let mentions = try mentions(call, x, classes: labels.count, &b) {
        // A class that no leaf of the row adds to is not chosen, even if all others are below 0.
        candidates = try b.select(b.compare(.greater, mentions, 0), scores, b.scalar(-.infinity, element))
      }
      results = [try labels.best(candidates, &b), try ClassScores.transformed(scores, transform, &b)]
    }
    return [results[0], try b.convert(results[1], to: .f32)]
  }

  // MARK: Lists of splits and leaves (TreeEnsemble)

  private static func ensemble(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let own = b.element(x)
    let rows = try FeatureMatrix.rows(x, &b)
    let aggregates: [Aggregate] = [.average, .sum, .minimum, .maximum]
    let transforms: [ClassScores.Transform] = [.none, .softmax, .logistic, .softmaxZero, .probit]
    let (aggregate, transform) = (try call.integer("aggregate_function", default: 1), try call.integer("post_transform", default: 0))
    guard aggregates.indices.contains(aggregate), transforms.indices.contains(transform) else {
      throw call.refusal("TreeEnsemble with aggregate function \(aggregate) and transform \(transform)")
    }
    let targets = try call.integer("n_targets", default: 1)
    guard targets >= 1, targets <= 1 << 20 else { throw call.refusal("TreeEnsemble has \(targets) targets") }
    let tables = try splits(call, targets: targets, element: b.element(rows))
    var result = try tables.build(rows, aggregates[aggregate].reducer, results: targets, sums: b.element(rows), &b)
    if aggregates[aggregate] == .average { result = try b.binary(.divide, result, Double(tables.treeCount)) }
    return [try b.convert(ClassScores.transformedTargets(result, transforms[transform], &b), to: own)]
  }

  private static func splits(_ call: OperatorCall, targets: Int, element: ElementType) throws(CompileError) -> TreeTables {
    let features = try call.integers("nodes_featureids") ?? []
    let count = features.count
    guard count >= 1, count <= TreeTables.mostNodes else { throw call.refusal("TreeEnsemble has \(count) nodes") }
    func integers(_ name: String) throws(CompileError) -> [Int] {
      let values = try call.integers(name) ?? []
      guard values.count == count else { throw call.refusal("`\(name)` of TreeEnsemble has \(values.count) entries; \(count) are needed") }
      return values
    }
    let (whenTrue, trueIsLeaf) = (try integers("nodes_truenodeids"), try integers("nodes_trueleafs"))
    let (whenFalse, falseIsLeaf) = (try integers("nodes_falsenodeids"), try integers("nodes_falseleafs"))
    let (modes, values) = (try call.tensor("nodes_modes")?.integers ?? [], try call.tensor("nodes_splits")?.doubles ?? [])
    let missing = try call.integers("nodes_missing_value_tracks_true") ?? []
    let (leafTargets, leafWeights) = (try call.integers("leaf_targetids") ?? [], try call.tensor("leaf_weights")?.doubles ?? [])
    guard modes.count == count, values.count == count, missing.isEmpty || missing.count == count, leafTargets.count == leafWeights.count else {
      throw call.refusal("the lists of TreeEnsemble have different lengths")
    }
    // Sets of members follow each other in the order of the nodes that test them, with a NaN behind each.
    var sets: [[Double]] = [[]]
    for value in try call.tensor("membership_values")?.doubles ?? [] { if value.isNaN { sets.append([]) } else { sets[sets.count - 1].append(value) } }
    var nextSet = sets.startIndex
    var tables = TreeTables(element: element)
    for (target, weight) in zip(leafTargets, leafWeights) {
      guard target >= 0, target < targets else { throw call.refusal("TreeEnsemble gives a weight to target \(target) of \(targets)") }
      tables.addWeight(weight, for: target)
    }
    var tests: [TreeTables.Test] = []
    let kinds: [TreeTables.Test] = [.lessOrEqual, .less, .greaterOrEqual, .greater, .equal, .notEqual]
    for index in 0..<count {
      guard features[index] >= 0, features[index] < 1 << 30 else { throw call.refusal("node \(index) of TreeEnsemble tests feature \(features[index])") }
      if kinds.indices.contains(modes[index]) { tests.append(kinds[modes[index]]) } else {
        guard modes[index] == 6, sets.indices.contains(nextSet) else { throw call.refusal("node \(index) of TreeEnsemble has mode \(modes[index])") }
        tests.append(.member(sets[nextSet]))
        nextSet += 1
      }
      _ = tables.addSplit(features[index], tests[index], values[index], tracksTrue: missing.isEmpty ? false : missing[index] != 0)
    }
    func child(_ id: Int, isLeaf: Bool) throws(CompileError) -> Int {
      if isLeaf {
        guard leafTargets.indices.contains(id) else { throw call.refusal("TreeEnsemble names leaf \(id) of \(leafTargets.count)") }
        return tables.addLeaf(id..<id + 1)
      }
      guard features.indices.contains(id) else { throw call.refusal("TreeEnsemble names node \(id) of \(count)") }
      return id
    }
    for index in 0..<count {
      let yes = try child(whenTrue[index], isLeaf: trueIsLeaf[index] != 0), no = try child(whenFalse[index], isLeaf: falseIsLeaf[index] != 0)
      tables.setChildren(of: index, tests[index], whenTrue: yes, whenFalse: no)
    }
    for root in try call.integers("tree_roots") ?? [] {
      guard features.indices.contains(root) else { throw call.refusal("TreeEnsemble has a tree that starts at node \(root)") }
      tables.addRoot(root)
    }
    return tables
  }
}
