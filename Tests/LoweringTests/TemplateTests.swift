import GraphIR
import KernelIR
import Lowering
import LoweringTestSupport
import TensorTypes
import Testing

/// Every case is computed by the interpreter, by the compiled kernels, and (where it is small) by the kernel
/// interpreter, which checks every access.
///
/// - Parameter narrows: Whether filters are stored in 8 bits where they can be, as all of these can.
private func expectSame(_ test: TemplateCase, threads: Int = 1, narrows: Bool = false) throws {
  for var target in [LoweringTarget(lanes: 16, registers: 32, threads: threads), LoweringTarget(lanes: 8, registers: 16, threads: 1)] {
    target.narrowsFilters = narrows
    let (expected, actual, notes) = try test.results(target)
    let difference = TemplateCase.difference(expected, actual)
    #expect(difference < 1e-5, "\(test.name), \(target.lanes) lanes: \(difference); \(notes)")
  }
  var target = LoweringTarget(lanes: 16, registers: 32, threads: threads)
  target.narrowsFilters = narrows
  let checked = try test.results(target, compiled: false)
  let difference = TemplateCase.difference(checked.expected, checked.actual)
  #expect(difference < 1e-5, "\(test.name), interpreted: \(difference); \(checked.notes)")
}

@Suite("dot template") struct DotTemplateTests {
  @Test(arguments: try DotCases.shapes()) func shapes(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try DotCases.views()) func views(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try DotCases.symbolic()) func symbolic(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try DotCases.elements()) func elements(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try DotCases.parallel()) func parallel(_ test: TemplateCase) throws { try expectSame(test, threads: 2) }
}

@Suite("convolution template") struct ConvolutionTemplateTests {
  @Test(arguments: try ConvolutionCases.windows()) func windows(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try ConvolutionCases.groups()) func groups(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try ConvolutionCases.ranks()) func ranks(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try ConvolutionCases.transposed()) func transposed(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try ConvolutionCases.symbolic()) func symbolic(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try ConvolutionCases.surroundings()) func surroundings(_ test: TemplateCase) throws { try expectSame(test, threads: 2) }
}

/// The same with filters of 8 bits, whose panels are unpacked on the stack.
@Suite("convolutions with narrow filters") struct NarrowFilterTests {
  @Test(arguments: try ConvolutionCases.windows() + ConvolutionCases.ranks() + ConvolutionCases.surroundings()) func tiles(_ test: TemplateCase) throws {
    try expectSame(test, threads: 2, narrows: true)
  }
  @Test(arguments: try ChainCases.all()) func chains(_ test: TemplateCase) throws { try expectSame(test, threads: 2, narrows: true) }

  /// 64 channels of 14 x 14 pixels, by a filter of [1, 1, 64, 96].
  private func pointwise(_ filter: [Int: Double] = [:]) throws -> TemplateCase {
    var test = try TemplateCase("pointwise", .convolution) { graph in
      let x = graph.addInput("x", TensorType(.f32, [1, 14, 14, 64])), w = graph.addInput("w", TensorType(.f32, [1, 1, 64, 96]))
      return try graph.insert(Convolution(window: Window(rank: 2), layout: .channelsLast), x, w)
    }
    test.replaced["w"] = filter
    return test
  }

  private func constantBytes(_ test: TemplateCase, _ target: LoweringTarget) throws -> Int {
    let program = try test.lowered(target).program
    let read = Set(program.calls.flatMap { $0.arguments.map(\.buffer) })
    return read.reduce(0) { sum, buffer in
      if case .constant(let number) = program.buffers[buffer].placement { return sum + program.constants[number].tensor.byteCount }
      return sum
    }
  }

  @Test func quantizedFiltersTakeAQuarter() throws {
    var target = LoweringTarget(lanes: 16, registers: 32, threads: 1)
    #expect(try constantBytes(pointwise(), target) == 64 * 96 + 96 * 4)
    try expectSame(pointwise(), narrows: true)
    target.narrowsFilters = false
    #expect(try constantBytes(pointwise(), target) == 64 * 96 * 4)
  }

  /// One number beside the grid, or one that is not finite, and the filter stays as it is.
  @Test(arguments: [0.3141592653589793, .infinity, .nan, 1e-42]) func otherFiltersStayWide(_ number: Double) throws {
    let test = try pointwise([17: number])
    #expect(try constantBytes(test, LoweringTarget(lanes: 16, registers: 32, threads: 1)) == 64 * 96 * 4)
  }
}

@Suite("convolution chain") struct ConvolutionChainTests {
  @Test(arguments: try ChainCases.all()) func chains(_ test: TemplateCase) throws { try expectSame(test, threads: 2) }
  @Test(arguments: try ChainCases.all()) func chainsOnOneThread(_ test: TemplateCase) throws { try expectSame(test) }
}

@Suite("window template") struct WindowTemplateTests {
  @Test(arguments: try WindowCases.all()) func windows(_ test: TemplateCase) throws { try expectSame(test, threads: 2) }
}

@Suite("loop template") struct LoopTemplateTests {
  @Test(arguments: try LoopCases.transposed()) func transposed(_ test: TemplateCase) throws { try expectSame(test, threads: 2) }
  @Test(arguments: try LoopCases.transposed()) func transposedOnOneThread(_ test: TemplateCase) throws { try expectSame(test) }
}

@Suite("tree template") struct TreeTemplateTests {
  @Test(arguments: try TreeCases.rows()) func rows(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try TreeCases.shapes()) func shapes(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try TreeCases.results()) func results(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try TreeCases.small()) func small(_ test: TemplateCase) throws { try expectSame(test) }
  @Test(arguments: try TreeCases.parallel()) func parallel(_ test: TemplateCase) throws { try expectSame(test, threads: 2) }

  @Test func threadsDoNotChangeABit() throws {
    for test in try TreeCases.parallel() {
      let one = try test.results(LoweringTarget(lanes: 16, registers: 32, threads: 1)).actual
      let two = try test.results(LoweringTarget(lanes: 16, registers: 32, threads: 2)).actual
      #expect(one.isIdentical(to: two), "\(test.name)")
    }
  }
}
