import GraphIR
import Interpreter
import Passes
import TensorTypes
import Testing

/// A bound on the difference between two results.
public enum Tolerance: Sendable {
  case exact
  /// Relative to the largest magnitude of the output, at least 1.
  case relative(Double)
  /// Units in the last place of f32 at the largest magnitude of the output.
  case ulps(Int)

  var relative: Double {
    switch self {
    case .exact: 0
    case .relative(let bound): bound
    case .ulps(let count): Double(count) * 0x1p-23
    }
  }
}

/// Parses a graph. Inputs whose names start with `c_` become constants of random numbers, so that weights need not be written out.
public func parseGraph(_ text: String, seed: UInt64 = 7) throws -> Graph {
  try Graph(text: text, file: "test.ingot").bindingConstants(seed: seed)
}

/// Checks that a pass rewrites a graph into one whose text has the lines given, verifies, and computes the same.
public func expectRewrite(
  _ pass: Pass<Graph>, _ text: String, becomes checks: String, within tolerance: Tolerance = .ulps(8), sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let before = try parseGraph(text)
  var after = before
  var context = PassContext()
  let hasChanged = try pass.run(&after, &context)
  #expect(hasChanged, "`\(pass.name)` left the graph as it was", sourceLocation: sourceLocation)
  #expect(context.runawayPass == nil, sourceLocation: sourceLocation)
  let printed = after.text(elidingAbove: 16)
  do { try TextExpectation(checks).verify(printed) } catch { Issue.record("\(error)", sourceLocation: sourceLocation) }
  try expectEquivalent(before, after, pass: pass.name, within: tolerance, sourceLocation: sourceLocation)
  var again = after
  let changesAgain = try pass.run(&again, &context)
  #expect(!changesAgain, "`\(pass.name)` does not rest: \(again.text(elidingAbove: 16))", sourceLocation: sourceLocation)
}

/// Checks that a pass finds nothing to do.
public func expectUnchanged(_ pass: Pass<Graph>, _ text: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
  let before = try parseGraph(text)
  var after = before
  var context = PassContext()
  let hasChanged = try pass.run(&after, &context)
  #expect(!hasChanged, "`\(pass.name)` made of it: \(after.text(elidingAbove: 16))", sourceLocation: sourceLocation)
  #expect(after.topologicalOrder().count == before.topologicalOrder().count, sourceLocation: sourceLocation)
}

/// Checks that a graph verifies and computes the same after a pass.
public func expectSameResults(
  _ graph: Graph, after pass: Pass<Graph>, within tolerance: Tolerance, sourceLocation: SourceLocation = #_sourceLocation
) throws {
  var after = graph
  var context = PassContext()
  _ = try pass.run(&after, &context)
  try expectEquivalent(graph, after, pass: pass.name, within: tolerance, sourceLocation: sourceLocation)
}

/// Checks that a graph verifies and computes the same after a pipeline, and gives it back.
@discardableResult
public func expectSameResults(
  _ graph: Graph, after pipeline: Pipeline<Graph>, within tolerance: Tolerance, sourceLocation: SourceLocation = #_sourceLocation
) throws -> Graph {
  var after = graph
  var runner = PassRunner<Graph>()
  try runner.run(pipeline, on: &after)
  #expect(runner.context.runawayPass == nil, sourceLocation: sourceLocation)
  try expectEquivalent(graph, after, pass: pipeline.name, within: tolerance, sourceLocation: sourceLocation)
  return after
}

private func expectEquivalent(
  _ before: Graph, _ after: Graph, pass: String, within tolerance: Tolerance, sourceLocation: SourceLocation
) throws {
  do {
    try before.verify(stage: .load)
    try after.verify(stage: .pass(pass))
    let check = try NumericCheck(reference: before, tolerance: tolerance.relative)
    try check(after, .pass(pass))
  } catch {
    Issue.record("\(error)\n\(after.text(elidingAbove: 16))", sourceLocation: sourceLocation)
  }
}

extension Graph {
  /// The graph with its inputs named `c_...` as constants of random numbers in 0.5..<1.5, so that none divides by zero.
  fileprivate func bindingConstants(seed: UInt64) throws -> Graph {
    var graph = Graph(name: name)
    var renamed: [ValueID: ValueID] = [:]
    var generator = SeededGenerator(seed: seed)
    for input in inputs {
      let (name, type) = (value(input).name, type(of: input))
      guard name.hasPrefix("c_"), let dimensions = type.shape.constants, let count = elementCount(of: dimensions) else {
        renamed[input] = graph.addInput(name, type)
        continue
      }
      let numbers = (0..<count).map { _ in Double(generator.next() >> 40) * 0x1p-24 + 0.5 }
      renamed[input] = try graph.insert(Constant(Tensor(type.element, dimensions, numbers)), name: name)
    }
    for id in topologicalOrder() {
      let node = node(id)
      let results = try graph.add(node.operation, node.operands.compactMap { renamed[$0] }, origin: node.origin, name: value(node.results[0]).name)
      for (old, new) in zip(node.results, results) { renamed[old] = new }
    }
    graph.setOutputs(zip(outputNames, outputs).compactMap { name, output in renamed[output].map { (name, $0) } })
    return graph
  }
}
