import GraphIR
import KernelIR
import LLVMCodegen
import Lowering
import Passes
import TensorTypes

/// A fusion of the model as a program of its own, which can be lowered with any of its candidates.
struct TuningProblem {
  let graph: Graph
  let choice: KernelChoice
  /// How often the model has it.
  var count: Int

  /// The work left to do if nothing is measured, in cycles.
  var weight: Double { (choice.candidates.first?.cycles ?? 0) * Double(count) }

  /// Every different kernel of a model that has candidates, the most expensive first, and how many cannot be measured.
  static func all(in graph: Graph, for target: LoweringTarget) throws(CompileError) -> (problems: [TuningProblem], symbolic: Int) {
    var found: [String: TuningProblem] = [:]
    var symbolic = 0
    for (node, scope) in fusions(of: graph) {
      guard let fusion = node.operation as? Fusion, fusion.template != .loop else { continue }
      if !fusion.body.symbols.isEmpty {
        if fusion.template == .dot || fusion.template == .convolution { symbolic += 1 }
        continue
      }
      guard let alone = try alone(fusion, node, scope) else { continue }
      guard let choice = try lower(alone, for: target).calls.compactMap(\.choice).first, choice.candidates.count > 1 else { continue }
      if found[choice.problem] == nil { found[choice.problem] = TuningProblem(graph: alone, choice: choice, count: 1) } else { found[choice.problem]?.count += 1 }
    }
    return (found.values.sorted { ($1.weight, $0.choice.problem) < ($0.weight, $1.choice.problem) }, symbolic)
  }

  /// Fusions with the graph they are in, those inside loops included.
  private static func fusions(of graph: Graph) -> [(node: Node, scope: Graph)] {
    graph.topologicalOrder().flatMap { id -> [(Node, Graph)] in
      let node = graph.node(id)
      if node.operation is Fusion { return [(node, graph)] }
      return node.operation.regions.flatMap { fusions(of: $0) }
    }
  }

  /// The fusion as a graph: constants stay constants, everything else it reads becomes an input.
  private static func alone(_ fusion: Fusion, _ node: Node, _ scope: Graph) throws(CompileError) -> Graph? {
    var graph = Graph(name: "kernel")
    var operands: [ValueID: ValueID] = [:]
    do throws(TypeError) {
      for (number, operand) in node.operands.enumerated() where operands[operand] == nil {
        if let tensor = scope.constant(operand) { operands[operand] = try graph.insert(Constant(tensor)) } else {
          operands[operand] = graph.addInput("x\(number)", scope.type(of: operand))
        }
      }
      let results = try graph.add(fusion, node.operands.compactMap { operands[$0] }, origin: node.origin)
      graph.setOutputs(results.enumerated().map { ("y\($0)", $1) })
    } catch { throw CompileError(error, stage: .lower, origin: node.origin) }
    return graph
  }

  /// The candidates to measure: the least estimates, but no more than two that differ in their blocks only, so that different tiles and
  /// methods get their turn.
  func finalists(most: Int) -> [String] {
    var taken: [String] = []
    var counts: [String: Int] = [:]
    guard let least = choice.candidates.first?.cycles else { return [] }
    for candidate in choice.candidates where taken.count < most && candidate.cycles <= 2 * least {
      let base = candidate.name.range(of: ", blocks of").map { String(candidate.name[..<$0.lowerBound]) } ?? candidate.name
      if counts[base, default: 0] >= 2 { continue }
      counts[base, default: 0] += 1
      taken.append(candidate.name)
    }
    return taken
  }

  /// The program with a candidate in it, its memory planned.
  func program(_ candidate: String, for target: LoweringTarget) throws(CompileError) -> KernelProgram {
    var program = try lower(graph, for: target, answers: KernelAnswers([choice.problem: .init(candidate: candidate)]))
    var runner = PassRunner<KernelProgram>(options: PassOptions(), write: { _ in })
    try runner.run(.program, on: &program)
    return program
  }
}
