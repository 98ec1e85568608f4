import Compiler
import GraphIR
import Interpreter
import Passes
import Runtime
import TensorTypes
import TestSupport
import Testing

/// A quantised network from the file to the results: convolutions of every kind, a residual, and a product, between kernels as bytes.
@Suite("integer network") struct IntegerNetworkTests {
  /// A graph that grows by quantised layers.
  private struct Layers {
    var graph = Graph(name: "quantized")

    func constant(_ dimensions: [Int], _ element: ElementType = .f32, _ value: (Int) -> Double) throws -> Tensor {
      Tensor(element, dimensions, (0..<dimensions.reduce(1, *)).map(value))
    }

    mutating func add(_ tensor: Tensor) throws -> ValueID { try graph.insert(Constant(tensor)) }

    /// The numbers that x is quantised to.
    mutating func quantized(_ x: ValueID, scale: Double, zero: Double, _ element: ElementType = .u8) throws -> ValueID {
      let scale = try add(Tensor(scalar: scale, .f32)), zero = try add(Tensor(scalar: zero, element))
      return try graph.dequantizeLinear(try graph.quantizeLinear(x, scale: scale, zero: zero, to: element), scale: scale, zero: zero)
    }

    mutating func weights(_ dimensions: [Int], outputs axis: Int, zero: Double? = nil) throws -> ValueID {
      let element = zero == nil ? ElementType.i8 : .u8
      let w = try add(constant(dimensions, element) { Double(($0 &* 7919 &+ 13) % 251) - (zero == nil ? 125 : 0) })
      let scale = try add(constant([dimensions[axis]]) { 0.004 + 0.0005 * Double($0 % 7) })
      let shift = try zero.map { zero in try add(constant([dimensions[axis]], element) { _ in zero }) }
      return try graph.dequantizeLinear(w, scale: scale, zero: shift, axis: axis)
    }

    mutating func convolution(_ x: ValueID, _ outputs: Int, kernel: Int, stride: Int = 1, groups: Int = 1, zero: Double? = nil) throws -> ValueID {
      let channels = try #require(graph.type(of: x).shape[1].constant)
      let w = try weights([outputs, channels / groups, kernel, kernel], outputs: 0, zero: zero)
      let pads = [kernel / 2, kernel / 2]
      let y = try graph.insert(Convolution(window: Window(strides: [stride, stride], padsLow: pads, padsHigh: pads, dilations: [1, 1]), groups: groups), x, w)
      let bias = try add(constant([outputs, 1, 1]) { Double($0 % 5) / 8 - 0.2 })
      return try graph.insert(Binary(.add), y, try graph.insert(Broadcast(to: graph.type(of: y).shape), bias))
    }

    mutating func positive(_ x: ValueID) throws -> ValueID {
      try graph.insert(Binary(.maximum), x, try graph.insert(Broadcast(to: graph.type(of: x).shape), add(Tensor(scalar: 0, .f32))))
    }
  }

  private func network() throws -> Graph {
    var n = Layers()
    var x = try n.quantized(n.graph.addInput("x", TensorType(.f32, [1, 3, 17, 18])), scale: 0.02, zero: 101)
    x = try n.quantized(n.positive(n.convolution(x, 16, kernel: 3, stride: 2)), scale: 0.03, zero: 0)
    let shortcut = try n.quantized(n.convolution(x, 16, kernel: 1), scale: 0.05, zero: 120)
    x = try n.quantized(n.positive(n.convolution(x, 16, kernel: 3, groups: 16)), scale: 0.04, zero: -128, .i8)
    x = try n.quantized(n.convolution(x, 16, kernel: 3, groups: 16, zero: 150), scale: 0.04, zero: 90)
    x = try n.quantized(n.convolution(x, 16, kernel: 3, zero: 101), scale: 0.2, zero: 128)
    x = try n.quantized(n.positive(n.graph.insert(Binary(.add), x, shortcut)), scale: 0.1, zero: 0)
    let window = Window(strides: [1, 1, 2, 2], padsLow: [0, 0, 1, 1], padsHigh: [0, 0, 1, 1], dilations: [1, 1, 1, 1])
    x = try n.graph.insert(ReduceWindow(.maximum, size: [1, 1, 3, 3], window: window), x)
    let count = try #require(n.graph.type(of: x).shape.elementCount.constant)
    x = try n.graph.insert(Dot(), n.graph.insert(Reshape(to: [1, Extent(count)]), x), n.weights([count, 10], outputs: 1))
    n.graph.setOutputs([("y", x)])
    return n.graph
  }

  /// A layer of a transformer, everything in bytes but the softmax and what GELU is computed in.
  ///
  /// - Parameter isSigned: Keys and values as i8, or as u8 with a zero point.
  private func transformer(isSigned: Bool) throws -> Graph {
    var n = Layers()
    let (tokens, heads, size): (Extent, Extent, Extent) = (64, 4, 16)
    let x = try n.quantized(n.graph.addInput("x", TensorType(.f32, [tokens, 64])), scale: 0.02, zero: 127)
    func projected(_ x: ValueID, _ columns: Int) throws -> ValueID {
      let y = try n.graph.insert(Dot(), x, n.weights([Int(n.graph.type(of: x).shape[1].constant ?? 0), columns], outputs: 1))
      return try n.graph.insert(Binary(.add), y, n.graph.insert(Broadcast(to: [tokens, Extent(columns)]), n.add(n.constant([columns]) { Double($0 % 5) / 8 - 0.2 })))
    }
    func head(_ element: ElementType, zero: Double, _ axes: [Int]) throws -> ValueID {
      let y = try n.quantized(projected(x, 64), scale: 0.06, zero: zero, element)
      return try n.graph.insert(Transpose(axes), n.graph.insert(Reshape(to: [tokens, heads, size]), y))
    }
    let right: (ElementType, Double) = isSigned ? (.i8, 0) : (.u8, 125)
    let scores = try n.graph.insert(Dot(), head(.u8, zero: 130, [1, 0, 2]), head(right.0, zero: right.1, [1, 2, 0]))
    let space = n.graph.type(of: scores).shape
    func repeated(_ value: ValueID) throws -> ValueID { try n.graph.insert(Broadcast(to: space), n.graph.insert(Reshape(to: [heads, tokens, 1]), value)) }
    let scaled = try n.graph.insert(Binary(.multiply), scores, n.graph.insert(Broadcast(to: space), n.add(Tensor(scalar: 0.05, .f32))))
    let e = try n.graph.insert(Unary(.exponential), n.graph.insert(Binary(.subtract), scaled, repeated(n.graph.insert(Reduce(.maximum, axes: [2]), scaled))))
    let weights = try n.quantized(n.graph.insert(Binary(.divide), e, repeated(n.graph.insert(Reduce(.sum, axes: [2]), e))), scale: 1 / 255, zero: 0)
    let context = try n.graph.insert(Dot(), weights, head(right.0, zero: right.1, [1, 0, 2]))
    let merged = try n.graph.insert(Reshape(to: [tokens, 64]), n.graph.insert(Transpose([1, 0, 2]), context))
    let inner = try projected(n.quantized(merged, scale: 0.03, zero: 120), 96)
    func number(_ value: Double) throws -> ValueID { try n.graph.insert(Broadcast(to: n.graph.type(of: inner).shape), n.add(Tensor(scalar: value, .f32))) }
    let error = try n.graph.insert(Unary(.errorFunction), n.graph.insert(Binary(.divide), inner, number(1.4142135)))
    let gelu = try n.graph.insert(Binary(.multiply), n.graph.insert(Binary(.multiply), inner, n.graph.insert(Binary(.add), error, number(1))), number(0.5))
    n.graph.setOutputs([("y", try projected(n.quantized(gelu, scale: 0.03, zero: 6), 64))])
    return n.graph
  }

  @Test(arguments: ["native", "x86-64-v3", "x86-64-v2"], [true, false]) func attentionIsNearTheDefinition(_ target: String, _ isSigned: Bool) throws {
    // Bytes that are rounded the other way go through a softmax and two more products.
    let model = try expectNearDefinition(try transformer(isSigned: isSigned), target, within: 0.02)
    let notes = model.program.calls.map(\.note)
    // A zero point on the right takes the sums of the weights' rows, which a kernel of its own makes.
    #expect(notes.contains { $0.contains("attention in bytes") } == isSigned, "\(notes)")
  }

  @Test(arguments: ["native", "x86-64-v3", "x86-64-v2"]) func isNearTheDefinition(_ target: String) throws { try expectNearDefinition(try network(), target) }

  @discardableResult private func expectNearDefinition(_ graph: Graph, _ target: String, within tolerance: Double = 0.01) throws -> CompiledModel {
    let folder = TemporaryFolder()
    folder.write(Array(graph.text().utf8), to: "quantized.ingot")
    var options = CompileOptions()
    options.target = target
    let compiled = try Compiler(options: options).compile(folder.file("quantized.ingot"))
    let model = try compiled.makeModel()
    let (alone, shared) = (try model.makeSession(threads: 1), try model.makeSession(threads: 2))
    for seed in [3, 4] as [UInt64] {
      let inputs = try compiled.source.randomInputs(seed: seed, symbols: [:])
      let (result, expected) = (try alone.run(inputs)[0], try Interpreter.evaluate(graph, inputs: inputs, symbols: [:])[0])
      #expect(result.isIdentical(to: try shared.run(inputs)[0]), "one thread and two differ")
      // A sum near a half may be rounded the other way by the definition, which adds in f32.
      var (largest, difference) = (1.0, 0.0)
      for (a, b) in zip(result.doubles, expected.doubles) { (largest, difference) = (max(largest, abs(b)), max(difference, abs(a - b))) }
      #expect(difference < tolerance * largest, "\(target)")
    }
    return compiled
  }

  private func results(_ graph: Graph, target: String, _ inputs: [Tensor]) throws -> [Tensor] {
    let folder = TemporaryFolder()
    folder.write(Array(graph.text().utf8), to: "integers.ingot")
    var options = CompileOptions()
    options.target = target
    return try Compiler(options: options).compile(folder.file("integers.ingot")).makeModel().makeSession(threads: 1).run(inputs)
  }

  /// A processor without VNNI and AVX-512, and one with nothing but SSE 4.2, get the sums of this one, bit for bit: where pairs of products
  /// of bytes are largest (255 times -128 and 127) an instruction that adds them in 16 bits would saturate.
  @Test(arguments: ["x86-64-v3", "x86-64-v2"], [false, true]) func sumsAreTheSameOnProcessorsWithoutVNNI(_ target: String, _ isConvolution: Bool) throws {
    let (shape, count) = isConvolution ? ("[24,32,3,3]", 24 * 32 * 9) : ("[67,45]", 67 * 45)
    let (x, y) = isConvolution ? ([1, 32, 9, 10], "[1,24,9,10]") : ([13, 67], "[13,45]")
    let operation = isConvolution ? "convolution %x, %w {strides = [1, 1], pads = [1, 1, 1, 1], result = i32}" : "dot %x, %w {result = i32}"
    func byte(_ position: Int) -> Int { position &* 7919 % 251 }
    for (left, right): (Int?, Int?) in [(255, -128), (255, 127), (0, -128), (nil, nil)] {
      let weights = (0..<count).map { "\(right ?? byte($0) - 125)" }.joined(separator: ", ")
      let text = """
        graph @main(%x: u8[\(x.map { "\($0)" }.joined(separator: ","))]) {
          %w = constant dense [\(weights)] : i8\(shape)
          %y = \(operation) : i32\(y)
          return %y as "y"
        }
        """
      let graph = try Graph(text: text, file: "integers.ingot")
      let input = [Tensor(.u8, x, (0..<x.reduce(1, *)).map { Double(left ?? byte($0 &+ 5)) })]
      let (here, there) = (try results(graph, target: "native", input)[0], try results(graph, target: target, input)[0])
      #expect(there.isIdentical(to: here), "\(target)")
      #expect(there.isIdentical(to: try Interpreter.evaluate(graph, inputs: input, symbols: [:])[0]))
    }
  }

  /// Behind the sums there are f32 multiplications and roundings; they have the same bits wherever products and sums can be fused.
  @Test func theNetworkHasTheSameBitsWithoutVNNI() throws {
    let graph = try network()
    for seed in [7, 8] as [UInt64] {
      let inputs = [RandomTensor.make(.f32, [1, 3, 17, 18], seed: seed)]
      #expect(try results(graph, target: "x86-64-v3", inputs)[0].isIdentical(to: results(graph, target: "native", inputs)[0]))
    }
  }

  /// Bytes are multiplied unless that is switched off; weights are then a quarter of the memory.
  @Test func canBeSwitchedOff() throws {
    let folder = TemporaryFolder()
    folder.write(Array(try network().text().utf8), to: "quantized.ingot")
    var options = CompileOptions()
    let bytes = try Compiler(options: options).compile(folder.file("quantized.ingot"))
    options.passes.disabled = ["integer-contractions"]
    let floats = try Compiler(options: options).compile(folder.file("quantized.ingot"))
    #expect(bytes.constantsByteCount * 2 < floats.constantsByteCount)
  }
}
