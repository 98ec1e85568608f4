import GraphIR
import TensorTypes

extension Composite: Differentiable {
  /// That of the decomposition.
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    let positions = node.operands.indices.filter { s.element(node.operands[$0]).isFloatingPoint }
    let product = try body.vectorJacobianProduct(withRespectTo: positions)
    let derivatives = try s.splice(product, node.operands + s.seeds(results, of: node))
    var operands = [ValueID?](repeating: nil, count: node.operands.count)
    for (position, derivative) in zip(positions, derivatives) { operands[position] = derivative }
    return operands
  }
}

extension BackwardSweep {
  /// A seed for each floating-point result: its derivative, or zeros.
  fileprivate mutating func seeds(_ results: [ValueID?], of node: Node) throws(CompileError) -> [ValueID] {
    var seeds: [ValueID] = []
    for (result, derivative) in zip(node.results, results) where element(result).isFloatingPoint {
      if let derivative { seeds.append(derivative) } else { seeds.append(try filled(0, type(result))) }
    }
    return seeds
  }
}

extension Scan: Differentiable {
  /// A scan in the opposite direction over the carried values of each step, which the loop is run once more to collect.
  ///
  /// It carries the derivatives of the carried values, and sums of those of captured values; slices of scanned operands get theirs
  /// as stacked results.
  func pullBack(_ results: [ValueID?], through node: Node, _ s: inout BackwardSweep) throws(CompileError) -> [ValueID?] {
    let isFloating = body.inputs.map { body.type(of: $0).element.isFloatingPoint }
    let positions = isFloating.indices.filter { isFloating[$0] }
    let product = try body.vectorJacobianProduct(withRespectTo: positions)
    let states = try carriedValues(node.operands, &s)
    let seeds = try s.seeds(results, of: node)

    // What the body's inputs are in a step: carried values (stacked), slices, captured values.
    let scannedRange = carried..<carried + scanned
    let floatingOutputs = body.outputs.indices.filter { body.type(of: body.outputs[$0]).element.isFloatingPoint }
    let carriedSeeds = zip(floatingOutputs, seeds).filter { $0.0 < carried }.map { $0.1 }
    let stackedSeeds = zip(floatingOutputs, seeds).filter { $0.0 >= carried }.map { $0.1 }
    let captured = Array(node.operands[scannedRange.upperBound...])
    let sums = positions.filter { $0 >= scannedRange.upperBound }
    var initial = carriedSeeds
    for position in sums { initial.append(try s.filled(0, s.type(node.operands[position]))) }
    let sequences = states + Array(node.operands[scannedRange]) + stackedSeeds

    var step = BackwardSweep(Graph(name: "backward"))
    var flowing: [ValueID] = []
    for (number, value) in initial.enumerated() { flowing.append(step.addInput("d\(number)", s.type(value))) }
    var slices: [ValueID] = []
    for (number, value) in sequences.enumerated() {
      slices.append(step.addInput("x\(number)", TensorType(s.element(value), Shape(Array(s.shape(value).extents.dropFirst())))))
    }
    var whole: [ValueID] = []
    for (number, value) in captured.enumerated() { whole.append(step.addInput("w\(number)", s.type(value))) }
    let forward = Array(slices[..<(carried + scanned)])
    let derivatives = try step.splice(product, forward + whole + Array(flowing[..<carriedSeeds.count]) + Array(slices[(carried + scanned)...]))
    let byInput = Dictionary(uniqueKeysWithValues: zip(positions, derivatives))
    var outputs: [ValueID] = positions.filter { $0 < carried }.compactMap { byInput[$0] }
    for (number, position) in sums.enumerated() {
      guard let derivative = byInput[position] else { continue }
      outputs.append(try step.binary(.add, flowing[carriedSeeds.count + number], derivative))
    }
    outputs += positions.filter(scannedRange.contains).compactMap { byInput[$0] }
    step.setOutputs(outputs.enumerated().map { ("y\($0)", $1) })
    var back = step.graph
    back.removeDeadNodes()

    let found = try s.addAll(
      Scan(carried: initial.count, scanned: sequences.count, extent: extent, isReversed: !isReversed, body: back), initial + sequences + captured)
    var operands = [ValueID?](repeating: nil, count: node.operands.count)
    let order = positions.filter { $0 < carried } + sums + positions.filter(scannedRange.contains)
    for (position, derivative) in zip(order, found) { operands[position] = derivative }
    return operands
  }

  /// The carried values that each step starts from, stacked.
  private func carriedValues(_ operands: [ValueID], _ s: inout BackwardSweep) throws(CompileError) -> [ValueID] {
    var graph = body
    let kept = zip(body.outputNames, body.outputs).map { (name: $0, value: $1) }
    graph.setOutputs(Array(kept[..<carried]) + body.inputs[..<carried].enumerated().map { ("state\($0)", $1) })
    graph.removeDeadNodes()
    let results = try s.addAll(Scan(carried: carried, scanned: scanned, extent: extent, isReversed: isReversed, body: graph), operands)
    return Array(results[carried...])
  }
}
