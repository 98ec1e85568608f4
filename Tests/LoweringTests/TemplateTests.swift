import GraphIR
import KernelIR
import Lowering
import LoweringTestSupport
import TensorTypes
import Testing

/// Every case is computed by the interpreter, by the compiled kernels, and (where it is small) by the kernel
/// interpreter, which checks every access.
private func expectSame(_ test: TemplateCase, threads: Int = 1) throws {
  for target in [LoweringTarget(lanes: 16, registers: 32, threads: threads), LoweringTarget(lanes: 8, registers: 16, threads: 1)] {
    let (expected, actual, notes) = try test.results(target)
    let difference = TemplateCase.difference(expected, actual)
    #expect(difference < 1e-5, "\(test.name), \(target.lanes) lanes: \(difference); \(notes)")
  }
  let checked = try test.results(LoweringTarget(lanes: 16, registers: 32, threads: threads), compiled: false)
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
