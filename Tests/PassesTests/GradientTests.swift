import GraphIR
import Interpreter
import Passes
import TensorTypes
import Testing

@Suite("gradient") struct GradientTests {
  /// A graph of f64 inputs, and where its inputs lie.
  struct Case: CustomTestStringConvertible, Sendable {
    var inputs: String
    var nodes: String
    var range: ClosedRange<Double> = -1.0...1.0
    var testDescription: String { nodes }

    func graph() throws -> Graph { try Graph(text: "graph @f(\(inputs)) {\n\(nodes)\n  return %y\n}\n", file: "case") }
  }

  /// Numbers that repeat for no case, away from each other and from whole numbers.
  private func numbers(_ count: Int, in range: ClosedRange<Double>, seed: inout UInt64) -> [Double] {
    (0..<count).map { _ in
      seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return range.lowerBound + Double(seed >> 11) * 0x1p-53 * (range.upperBound - range.lowerBound)
    }
  }

  /// Every derivative against the change of the outputs' sum when one element moves a little to both sides.
  private func check(_ example: Case) throws {
    let graph = try example.graph()
    var seed: UInt64 = 42
    let inputs = graph.inputs.map { input -> Tensor in
      let dimensions = graph.type(of: input).shape.constants ?? []
      return Tensor(.f64, dimensions, numbers(dimensions.reduce(1, *), in: example.range, seed: &seed))
    }
    let derivative = try gradient(of: graph, withRespectTo: Array(inputs.indices))
    try derivative.verify(stage: .pass("gradient"))
    let found = try Interpreter.evaluate(derivative, inputs: inputs)
    func sum(_ inputs: [Tensor]) throws -> Double { try Interpreter.evaluate(graph, inputs: inputs)[0].doubles.reduce(0, +) }
    for (position, input) in inputs.enumerated() {
      #expect(found[position].type == input.type)
      for element in 0..<input.count {
        let step = 1e-5
        var (above, below) = (input.doubles, input.doubles)
        above[element] += step
        below[element] -= step
        var (high, low) = (inputs, inputs)
        high[position] = Tensor(.f64, input.dimensions, above)
        low[position] = Tensor(.f64, input.dimensions, below)
        let wanted = (try sum(high) - sum(low)) / (2 * step)
        let got = found[position].doubles[element]
        #expect(abs(got - wanted) <= 1e-6 + 1e-5 * abs(wanted), "input \(position), element \(element): \(got), expected \(wanted)")
      }
    }
  }

  @Test(arguments: [
    "neg", "abs", "exp", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "atanh", "logistic", "erf", "floor", "sign",
  ]) func ofFunctions(_ name: String) throws {
    try check(Case(inputs: "%x: f64[5]", nodes: "  %y = \(name) %x : f64[5]", range: -0.9...0.9))
  }

  @Test(arguments: ["log", "sqrt", "reciprocal", "acosh"]) func ofFunctionsOfPositiveNumbers(_ name: String) throws {
    try check(Case(inputs: "%x: f64[5]", nodes: "  %y = \(name) %x : f64[5]", range: 1.2...3))
  }

  @Test(arguments: ["add", "sub", "mul", "div", "max", "min", "pow", "rem", "mod"]) func ofTwoOperands(_ name: String) throws {
    try check(Case(inputs: "%a: f64[6], %b: f64[6]", nodes: "  %y = \(name) %a, %b : f64[6]", range: 0.4...2.5))
  }

  @Test(arguments: [
    Case(inputs: "%x: f64[2,1,3]", nodes: "  %b = broadcast %x {shape = [4, 2, 5, 3]} : f64[4,2,5,3]\n  %y = mul %b, %b : f64[4,2,5,3]"),
    Case(inputs: "%x: f64[2,3]", nodes: "  %t = transpose %x {permutation = [1, 0]} : f64[3,2]\n  %r = reshape %t {shape = [6]} : f64[6]\n  %y = exp %r : f64[6]"),
    Case(inputs: "%x: f64[7,4]", nodes: "  %s = slice %x {starts = [1, 0], sizes = [3, 2], steps = [2, 3]} : f64[3,2]\n  %y = exp %s : f64[3,2]"),
    Case(inputs: "%x: f64[2,3], %v: f64[]", nodes: "  %p = pad %x, %v {low = [1, 0], high = [0, 2]} : f64[3,5]\n  %y = exp %p : f64[3,5]"),
    Case(inputs: "%x: f64[5]", nodes: "  %p = pad %x {low = [2], high = [3], mode = reflect} : f64[10]\n  %y = exp %p : f64[10]"),
    Case(inputs: "%x: f64[2,4]", nodes: "  %p = pad %x {low = [1, 2], high = [2, 0], mode = edge} : f64[5,6]\n  %y = exp %p : f64[5,6]"),
    Case(inputs: "%x: f64[5]", nodes: "  %p = pad %x {low = [2], high = [3], mode = wrap} : f64[10]\n  %y = exp %p : f64[10]"),
    Case(inputs: "%a: f64[2,2], %b: f64[2,3]", nodes: "  %c = concatenate %a, %b {axis = 1} : f64[2,5]\n  %r = reverse %c {axes = [1]} : f64[2,5]\n  %y = exp %r : f64[2,5]"),
    Case(inputs: "%a: f64[4], %b: f64[4]", nodes: "  %m = compare %a, %b {is = lt} : bool[4]\n  %y = select %m, %a, %b : f64[4]"),
  ]) func ofMovement(_ example: Case) throws { try check(example) }

  @Test(arguments: [
    Case(inputs: "%x: f64[3,2]", nodes: "  %i = constant dense [2, 0, 2, 1] : i64[2,2]\n  %g = gather %x, %i {axis = 0} : f64[2,2,2]\n  %y = exp %g : f64[2,2,2]"),
    Case(inputs: "%x: f64[3,2]", nodes: "  %i = constant dense [1, 1, 0] : i64[3,1]\n  %g = gather_elements %x, %i {axis = 1} : f64[3,1]\n  %y = exp %g : f64[3,1]"),
    Case(inputs: "%x: f64[2,3]", nodes: "  %i = constant dense [1, 2, 1, 0] : i64[2,2,1]\n  %g = gather_nd %x, %i {batch_axes = 1} : f64[2,2]\n  %y = exp %g : f64[2,2]"),
    Case(
      inputs: "%x: f64[4], %u: f64[3]",
      nodes: "  %i = constant dense [1, 3, 1] : i64[3]\n  %s = scatter_elements %x, %i, %u {axis = 0, combine = sum} : f64[4]\n  %y = exp %s : f64[4]"),
    Case(
      inputs: "%x: f64[4,2], %u: f64[2,2]",
      nodes: "  %i = constant dense [2, 0] : i64[2,1]\n  %s = scatter_nd %x, %i, %u : f64[4,2]\n  %y = exp %s : f64[4,2]"),
    Case(inputs: "%x: f64[2,5]", nodes: "  %v, %i = top_k %x {k = 2, axis = 1} : f64[2,2], i64[2,2]\n  %y = exp %v : f64[2,2]"),
    Case(inputs: "%x: f64[3,4]", nodes: "  %c = cumulative %x {with = sum, axis = 1, exclusive = true} : f64[3,4]\n  %y = exp %c : f64[3,4]"),
  ]) func ofIndexing(_ example: Case) throws { try check(example) }

  @Test(arguments: ["sum", "product", "max", "min"]) func ofReductions(_ reducer: String) throws {
    try check(Case(inputs: "%x: f64[3,2,4]", nodes: "  %r = reduce %x {with = \(reducer), axes = [0, 2]} : f64[2]\n  %y = exp %r : f64[2]"))
  }

  @Test func ofProductsWithZeros() throws {
    let graph = try Case(inputs: "%x: f64[3]", nodes: "  %y = reduce %x {with = product, axes = [0]} : f64[]").graph()
    let found = try Interpreter.evaluate(gradient(of: graph, withRespectTo: [0]), inputs: [Tensor(.f64, [3], [0, 2, 5])])
    #expect(found[0].doubles == [10, 0, 0])
  }

  @Test(arguments: ["max", "min", "sum"]) func ofWindows(_ reducer: String) throws {
    try check(Case(
      inputs: "%x: f64[1,7,6]",
      nodes: """
          %w = reduce_window %x {with = \(reducer), size = [1, 3, 2], strides = [1, 2, 1], pads = [0, 1, 0, 0, 0, 1], dilations = [1, 1, 2]} : f64[1,3,5]
          %y = exp %w : f64[1,3,5]
        """))
  }

  @Test(arguments: [
    Case(inputs: "%a: f64[2,3,4], %b: f64[2,4,2]", nodes: "  %d = dot %a, %b : f64[2,3,2]\n  %y = exp %d : f64[2,3,2]"),
    Case(inputs: "%x: f64[2,3,8], %f: f64[4,3,3]", nodes: "  %c = convolution %x, %f {strides = [2], pads = [1, 0]} : f64[2,4,4]\n  %y = tanh %c : f64[2,4,4]"),
    Case(inputs: "%x: f64[1,4,5,6], %f: f64[6,2,2,3]", nodes: "  %c = convolution %x, %f {strides = [1, 1], pads = [0, 2, 1, 1], dilations = [2, 1], groups = 2} : f64[1,6,4,7]\n  %y = tanh %c : f64[1,6,4,7]"),
    Case(inputs: "%x: f64[1,2,4], %f: f64[3,2,3]", nodes: "  %c = convolution %x, %f {strides = [1], pads = [2, 2], input_dilations = [2]} : f64[1,3,9]\n  %y = tanh %c : f64[1,3,9]"),
  ]) func ofContractions(_ example: Case) throws { try check(example) }

  @Test func ofComposites() throws {
    try check(Case(
      inputs: "%x: f64[2,3]",
      nodes: """
          %s = composite %x {name = halved} (
            graph @halved(%x: f64[2,3]) {
              %e = exp %x : f64[2,3]
              %m = mul %e, %x : f64[2,3]
              return %m
            }
          ) : f64[2,3]
          %y = mul %s, %x : f64[2,3]
        """))
  }

  /// A recurrence with a state, scanned inputs and weights that every step reads; the last state and the stacked ones both count.
  @Test(arguments: ["", ", reversed = true"]) func ofScans(_ direction: String) throws {
    try check(Case(
      inputs: "%h: f64[2,3], %xs: f64[4,2,3], %w: f64[3,3]",
      nodes: """
          %last, %all = scan %h, %xs, %w {carried = 1, scanned = 1, extent = [4]\(direction)} (
            graph @step(%h: f64[2,3], %x: f64[2,3], %w: f64[3,3]) {
              %d = dot %h, %w : f64[2,3]
              %s = add %d, %x : f64[2,3]
              %n = tanh %s : f64[2,3]
              %o = mul %n, %n : f64[2,3]
              return %n, %o
            }
          ) : f64[2,3], f64[4,2,3]
          %b = broadcast %last {shape = [4, 2, 3]} : f64[4,2,3]
          %y = mul %all, %b : f64[4,2,3]
        """))
  }

  @Test func anInputWithoutInfluenceGetsZeros() throws {
    let graph = try Case(inputs: "%x: f64[2], %z: f64[3]", nodes: "  %y = exp %x : f64[2]").graph()
    let found = try Interpreter.evaluate(gradient(of: graph, withRespectTo: [1]), inputs: [Tensor(.f64, [2], [1, 2]), Tensor(.f64, [3], [1, 2, 3])])
    #expect(found[0].doubles == [0, 0, 0])
  }

  @Test func secondDerivatives() throws {
    let graph = try Case(inputs: "%x: f64[2]", nodes: "  %s = mul %x, %x : f64[2]\n  %y = mul %s, %x : f64[2]").graph()
    let twice = try gradient(of: gradient(of: graph, withRespectTo: [0]), withRespectTo: [0])
    let found = try Interpreter.evaluate(twice, inputs: [Tensor(.f64, [2], [2, 3])])
    #expect(found[0].doubles == [12, 18])
  }

  @Test func anOperationWithoutRuleIsNamed() throws {
    let graph = try Case(inputs: "%x: f64[4]", nodes: "  %y = cumulative %x {with = product, axis = 0} : f64[4]").graph()
    #expect { try gradient(of: graph, withRespectTo: [0]) } throws: { error in
      guard let error = error as? CompileError else { return false }
      return error.problem == .unsupported && error.message.contains("cumulative")
    }
  }
}
