import GraphIR
import GraphTestSupport
import Passes
import TensorTypes
import Testing

@Suite("integer-contractions") struct IntegerContractionsTests {
  /// A quantised network of one contraction: `x` is quantised, dequantised and multiplied by dequantised weights.
  private struct Network {
    var graph = Graph()
    func splat(_ value: Double, _ element: ElementType, _ graph: inout Graph) throws -> ValueID { try graph.insert(Constant(Tensor(scalar: value, element))) }

    /// x, quantised to `element` and dequantised.
    mutating func activation(_ shape: Shape, _ element: ElementType, zero: Double?) throws -> ValueID {
      let x = graph.addInput("x", TensorType(.f32, shape))
      let scale = try splat(0.05, .f32, &graph), zero = try zero.map { try splat($0, element, &graph) }
      return try graph.dequantizeLinear(try graph.quantizeLinear(x, scale: scale, zero: zero, to: element), scale: scale, zero: zero)
    }

    /// Constant weights with a scale for each position of an axis.
    mutating func weights(_ dimensions: [Int], _ element: ElementType, axis: Int, zero: Double? = nil, range: ClosedRange<Int>) throws -> ValueID {
      let count = dimensions.reduce(1, *)
      let numbers = (0..<count).map { Double(range.lowerBound + ($0 &* 7919 &+ 13) % range.count) }
      let w = try graph.insert(Constant(Tensor(element, dimensions, numbers)))
      let scales = (0..<dimensions[axis]).map { 0.01 + 0.001 * Double($0 % 5) }
      let scale = try graph.insert(Constant(Tensor(.f32, [dimensions[axis]], scales)))
      let shift = try zero.map { try graph.insert(Constant(Tensor(element, [dimensions[axis]], [Double](repeating: $0, count: dimensions[axis])))) }
      return try graph.dequantizeLinear(w, scale: scale, zero: shift, axis: axis)
    }
  }

  private static let pipeline = Pipeline<Graph>("test") {
    delayDequantization
    foldConstants
    chooseIntegerContractions
    expandComposites
  }

  private func rewritten(_ graph: Graph) throws -> String {
    try expectSameResults(graph, after: Self.pipeline, within: .relative(1e-5)).text(elidingAbove: 16)
  }

  @Test(arguments: [(ElementType.u8, 0.0), (.u8, 113), (.i8, 0), (.i8, -7)]) func productsOfBytes(_ element: ElementType, _ zero: Double) throws {
    var network = Network()
    let x = try network.activation([9, 20], element, zero: zero)
    let w = try network.weights([20, 12], .i8, axis: 1, range: -128...127)
    network.graph.setOutputs([("y", try network.graph.insert(Dot(), x, w))])
    let text = try rewritten(network.graph)
    #expect(text.contains("dot") && text.contains("{result = i32} : i32[9,12]"), "\(text)")
    // Signed inputs are quantised as u8, not copied.
    #expect(!text.contains("i8[9,20]") && !text.contains("xor"), "\(text)")
  }

  /// Signed bytes become unsigned ones where they are made, behind concatenations that each read the one before twice.
  @Test func concatenationsOfConcatenationsAreWalkedOnce() throws {
    var network = Network()
    var x = try network.activation([9, 20], .i8, zero: -7)
    for _ in 0..<40 {
      x = try network.graph.insert(Concatenate(axis: 1), x, x)
      x = try network.graph.insert(Slice(starts: [0, 10], sizes: [9, 20], steps: [1, 1]), x)
    }
    let w = try network.weights([20, 12], .i8, axis: 1, range: -128...127)
    network.graph.setOutputs([("y", try network.graph.insert(Dot(), x, w))])
    let text = try rewritten(network.graph)
    #expect(text.contains("{result = i32} : i32[9,12]") && !text.contains("i8[9,20]") && !text.contains("xor"), "\(text)")
  }

  /// Both operands computed: attention's products.
  @Test(arguments: [(ElementType.u8, 0.0), (.u8, 113), (.i8, -7)], [(ElementType.i8, 0.0), (.i8, 5), (.u8, 0), (.u8, 131)])
  func productsOfTwoValues(_ left: (element: ElementType, zero: Double), _ right: (element: ElementType, zero: Double)) throws {
    for isTransposed in [false, true] {
      var network = Network()
      let x = try network.activation([2, 9, 20], left.element, zero: left.zero)
      let other = network.graph.addInput("y", TensorType(.f32, isTransposed ? [2, 12, 20] : [2, 20, 12]))
      let scale = try network.splat(0.03, .f32, &network.graph), zero = try network.splat(right.zero, right.element, &network.graph)
      var y = try network.graph.dequantizeLinear(try network.graph.quantizeLinear(other, scale: scale, zero: zero, to: right.element), scale: scale, zero: zero)
      if isTransposed { y = try network.graph.insert(Transpose([0, 2, 1]), y) }
      network.graph.setOutputs([("z", try network.graph.insert(Dot(), x, y))])
      let text = try rewritten(network.graph)
      #expect(text.contains("{result = i32} : i32[2,9,12]"), "\(text)")
      // Either side is quantised as the machine multiplies it, not copied.
      #expect(!text.contains("xor"), "\(text)")
    }
  }

  @Test func weightsLoseTheirZeroPoint() throws {
    var network = Network()
    let x = try network.activation([9, 20], .u8, zero: 3)
    let w = try network.weights([20, 12], .u8, axis: 1, zero: 128, range: 0...255)
    network.graph.setOutputs([("y", try network.graph.insert(Dot(), x, w))])
    #expect(try rewritten(network.graph).contains("{result = i32}"))
  }

  /// Weights of more than 8 bits without their zero point.
  @Test(arguments: [(8, 1), (3, 1), (8, 8)]) func weightsKeepAnOffset(_ channels: Int, _ groups: Int) throws {
    var network = Network()
    let x = try network.activation([1, Extent(channels), 7, 6], .u8, zero: 40)
    let w = try network.weights([8, channels / groups, 3, 3], .u8, axis: 0, zero: 165, range: 1...255)
    let window = Window(strides: [1, 1], padsLow: [1, 1], padsHigh: [1, 1], dilations: [1, 1])
    network.graph.setOutputs([("y", try network.graph.insert(Convolution(window: window, groups: groups), x, w))])
    let text = try rewritten(network.graph)
    #expect(text.contains("i32[1,8,7,6]") && !text.contains("convolution %x"), "\(text)")
    var product = Network()
    let rows = try product.activation([9, 20], .u8, zero: 3)
    product.graph.setOutputs([("y", try product.graph.insert(Dot(), rows, try product.weights([20, 12], .u8, axis: 1, zero: 101, range: 0...255)))])
    #expect(try rewritten(product.graph).contains("{result = i32}"))
  }

  @Test(arguments: [(3, 1, 0.0), (3, 1, 40), (8, 1, 40), (8, 2, 0), (8, 8, 9)]) func convolutions(_ channels: Int, _ groups: Int, _ zero: Double) throws {
    var network = Network()
    let x = try network.activation([1, Extent(channels), 7, 6], .u8, zero: zero)
    let w = try network.weights([8, channels / groups, 3, 3], .i8, axis: 0, range: -128...127)
    let window = Window(strides: [2, 1], padsLow: [1, 0], padsHigh: [1, 2], dilations: [1, 1])
    network.graph.setOutputs([("y", try network.graph.insert(Convolution(window: window, groups: groups), x, w))])
    let text = try rewritten(network.graph)
    #expect(text.contains("result = i32"), "\(text)")
    // Channels become four, and padding the zero point.
    #expect(text.contains("pad ") == (channels == 3 || zero != 0), "\(text)")
  }

  @Test func movementAndMaximaWorkOnBytes() throws {
    var network = Network()
    let x = try network.activation([1, 4, 8, 8], .u8, zero: 11)
    let window = Window(strides: [1, 1, 2, 2], padsLow: [0, 0, 1, 1], padsHigh: [0, 0, 1, 1], dilations: [1, 1, 1, 1])
    let pooled = try network.graph.insert(ReduceWindow(.maximum, size: [1, 1, 3, 3], window: window), x)
    let flat = try network.graph.insert(Reshape(to: [1, 64]), pooled)
    let w = try network.weights([10, 64], .i8, axis: 0, range: -128...127)
    network.graph.setOutputs([("y", try network.graph.insert(Dot(), flat, try network.graph.insert(Transpose([1, 0]), w)))])
    let text = try rewritten(network.graph)
    #expect(text.contains("u8[1,4,4,4]") && text.contains("result = i32"), "\(text)")
  }

  /// Differences of whole numbers whose zero point is known only when run.
  @Test func sumsOfWholeNumbers() throws {
    let text = """
      graph @main(%x: u8[5,16], %z: u8[]) {
        %w = constant dense [\((0..<16).map { "[\($0 * 5 - 60), \(7 - $0), \($0)]" }.joined(separator: ", "))] : i8[16,3]
        %a = convert %x {to = i32} : i32[5,16]
        %s = convert %z {to = i32} : i32[]
        %b = broadcast %s {shape = [5, 16]} : i32[5,16]
        %c = sub %a, %b
        %v = convert %w {to = i32} : i32[16,3]
        %y = dot %c, %v
        return %y
      }
      """
    let graph = try expectSameResults(try parseGraph(text), after: Self.pipeline, within: .exact)
    #expect(graph.text(elidingAbove: 16).contains("result = i32"))
  }

  @Test func saysWhyAContractionStaysFloat() throws {
    var network = Network()
    let x = try network.activation([9, 20], .u8, zero: 0)
    let rows = try network.weights([20, 12], .i8, axis: 0, range: -128...127)
    network.graph.setOutputs([("y", try network.graph.insert(Dot(), x, rows))])
    var graph = network.graph
    var runner = PassRunner<Graph>()
    try runner.run(Self.pipeline, on: &graph)
    #expect(runner.context.refusals.map(\.reason) == ["the scales of its weights vary along the sum"])
  }

  /// A bias of whole multiples joins the sum; one that is none stays behind it.
  @Test(arguments: [true, false]) func biasesJoinTheSum(_ isWhole: Bool) throws {
    var network = Network()
    let x = try network.activation([3, 8], .u8, zero: 5), w = try network.weights([8, 4], .i8, axis: 1, range: -100...100)
    let product = try network.graph.insert(Dot(), x, w)
    var numbers: [Double] = []
    for column in 0..<4 {
      let factor = Float(0.05) * Float(0.01 + 0.001 * Double(column))
      let multiple = isWhole ? Double(100 * column - 150) : Double(column) + 0.4
      numbers.append(Double(factor) * multiple)
    }
    let bias = try network.graph.insert(Constant(Tensor(.f32, [4], numbers)))
    network.graph.setOutputs([("y", try network.graph.insert(Binary(.add), product, try network.graph.insert(Broadcast(to: [3, 4]), bias)))])
    let pipeline = Pipeline<Graph>("test") {
      Self.pipeline
      foldConstants
      addBiasesToSums
    }
    let text = try expectSameResults(network.graph, after: pipeline, within: .relative(1e-5)).text(elidingAbove: 16)
    let addsBehind = text.split(separator: "\n").contains { $0.contains(" = add ") && $0.contains(": f32[3,4]") }
    #expect(addsBehind != isWhole, "\(text)")
  }
}
