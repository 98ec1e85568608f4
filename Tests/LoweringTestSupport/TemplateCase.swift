import GraphIR
import Interpreter
import KernelIR
import Lowering
import TensorTypes

/// A fusion with numbers: its body, which of its inputs are constants, and what the symbols stand for.
package struct TemplateCase: Sendable, CustomStringConvertible {
  package var name: String
  package var template: Fusion.Template
  package var body: Graph
  /// Inputs of the body whose names start with `w` are constants.
  package var symbols: [String: Int]
  /// Elements that are other numbers, by the input's name and their position (modulo the number of elements).
  package var replaced: [String: [Int: Double]] = [:]
  /// Inputs of which only some elements are not zero: by the input's name, whether the element at a row and a column of its last two axes is kept.
  package var kept: [String: @Sendable (_ row: Int, _ column: Int) -> Bool] = [:]

  package init(_ name: String, _ template: Fusion.Template, symbols: [String: Int] = [:], _ build: (inout Graph) throws -> ValueID) throws {
    (self.name, self.template, self.symbols) = (name, template, symbols)
    var graph = Graph(name: "body")
    let result = try build(&graph)
    graph.setOutputs([("y", result)])
    body = graph
  }

  package var description: String { name }

  package struct Wrong: Error, CustomStringConvertible { package var description: String }

  /// Numbers for every input, small multiples of 1/8 so that sums are exact.
  private func tensors() throws -> [Tensor] {
    var state: UInt64 = 88_172_645_463_325_252
    return try body.inputs.map { input in
      let type = body.type(of: input)
      guard let dimensions = type.shape.evaluated(symbols) else { throw Wrong(description: "no size for \(type)") }
      let count = dimensions.reduce(1, *)
      var values = (0..<count).map { _ -> Double in
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        let number = Double(Int(state % 17) - 8)
        return type.element.isFloatingPoint ? number / 8 : type.element.isUnsignedInteger ? abs(number) : number
      }
      for (position, value) in replaced[body.value(input).name] ?? [:] where count > 0 { values[position % count] = value }
      if let isKept = kept[body.value(input).name], dimensions.count >= 2 {
        let (rows, columns) = (dimensions[dimensions.count - 2], dimensions[dimensions.count - 1])
        for position in values.indices where !isKept(position / columns % rows, position % columns) { values[position] = 0 }
      }
      return Tensor(type.element, dimensions, values)
    }
  }

  /// The body's inputs that are not constants, and those that are, by number.
  private func divided(_ tensors: [Tensor]) -> (inputs: [Tensor], constants: [Int: Tensor]) {
    var constants: [Int: Tensor] = [:]
    var inputs: [Tensor] = []
    for (position, input) in body.inputs.enumerated() {
      if body.value(input).name.hasPrefix("w") { constants[position] = tensors[position] } else { inputs.append(tensors[position]) }
    }
    return (inputs, constants)
  }

  package func lowered(_ target: LoweringTarget, answers: KernelAnswers = KernelAnswers()) throws -> LoweredFusion {
    try LoweredFusion(template, body, constants: divided(try tensors()).constants, target: target, answers: answers)
  }

  package func machine(_ lowered: LoweredFusion, _ target: LoweringTarget) throws -> CompiledFusion {
    try CompiledFusion(lowered.program, inputs: divided(try tensors()).inputs, symbols: symbols, threads: target.threads)
  }

  /// What the interpreter and the compiled fusion give, and how the fusion was lowered.
  package func results(_ target: LoweringTarget, answers: KernelAnswers = KernelAnswers(), compiled: Bool = true) throws -> (expected: Tensor, actual: Tensor, notes: [String]) {
    let tensors = try tensors()
    let expected = try Interpreter.evaluate(body, inputs: tensors, symbols: symbols)[0]
    let (inputs, constants) = divided(tensors)
    let lowered = try LoweredFusion(template, body, constants: constants, target: target, answers: answers)
    if !compiled { return (expected, try KernelInterpreter.execute(lowered.program, inputs: inputs, symbols: symbols)[0], lowered.notes) }
    let machine = try CompiledFusion(lowered.program, inputs: inputs, symbols: symbols, threads: target.threads)
    machine.run()
    return (expected, machine.output(), lowered.notes)
  }

  /// The largest difference, relative to the largest magnitude; infinite if a number is missing, or is where none is expected.
  package static func difference(_ a: Tensor, _ b: Tensor) -> Double {
    let (x, y) = (a.doubles, b.doubles)
    guard a.dimensions == b.dimensions, a.element == b.element else { return .infinity }
    let scale = x.reduce(1) { max($0, $1.isFinite ? abs($1) : 1) }
    var largest = 0.0
    for (x, y) in zip(x, y) where x != y && !(x.isNaN && y.isNaN) { largest = (x - y).isFinite ? max(largest, abs(x - y) / scale) : .infinity }
    return largest
  }
}
