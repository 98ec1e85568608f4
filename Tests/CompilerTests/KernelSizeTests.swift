import Compiler
import Foundation
import GraphIR
import Interpreter
import KernelIR
import TensorTypes
import TestSupport
import Testing

/// Small models whose elements reach an input over very many paths: a kernel must not write them all out.
@Suite("kernel size") struct KernelSizeTests {
  /// A chain over f32[40], `$` being what the step before made, and `#` its number.
  private struct Chain: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let steps: @Sendable (Int) -> [String]
    let end: String
    /// False where the values are too long to compute here.
    var isShort = true

    /// In text form. A step's lines name the values in between `%a#` and `%b#`.
    func text(_ count: Int) -> String {
      let lines = (0..<count).flatMap { number in
        steps(number).map { $0.replacing("$", with: "%v\(number)").replacing("%r", with: "%v\(number + 1)").replacing("#", with: "\(number)") }
      }
      return "graph @chain(%v0: f32[40]) {\n  \((lines + [end.replacing("$", with: "%v\(count)")]).joined(separator: "\n  "))\n  return %out\n}\n"
    }
  }

  private static let chains = [
    Chain(testDescription: "concatenate, reduced", steps: { _ in ["%r = concatenate $, $ {axis = 0}"] }, end: "%out = reduce $ {with = sum, axes = [0]}", isShort: false),
    Chain(testDescription: "concatenate", steps: { _ in ["%r = concatenate $, $ {axis = 0}"] }, end: "%out = neg $", isShort: false),
    Chain(
      testDescription: "concatenate and slice", steps: { _ in ["%a# = concatenate $, $ {axis = 0}", "%r = slice %a# {starts = [3], sizes = [40], steps = [1]}"] }, end: "%out = neg $"),
    Chain(
      testDescription: "sums of neighbours",
      steps: { ["%a# = slice $ {starts = [0], sizes = [\(39 - $0)], steps = [1]}", "%b# = slice $ {starts = [1], sizes = [\(39 - $0)], steps = [1]}", "%r = add %a#, %b#"] },
      end: "%out = neg $"),
    Chain(testDescription: "products with oneself", steps: { _ in ["%a# = tanh $", "%r = mul %a#, $"] }, end: "%out = neg $"),
  ]

  @Test(arguments: chains) private func kernelsStaySmall(_ chain: Chain) throws {
    let folder = TemporaryFolder()
    let path = folder.file("chain.ingot")
    try chain.text(30).write(toFile: path, atomically: true, encoding: .utf8)
    let plan = try Compiler(print: { _ in }).plan(path)
    #expect(plan.program.kernels.allSatisfy { $0.text.utf8.count < 1 << 18 })
    #expect((1...12).contains(plan.program.kernels.count), "\(plan.program.kernels.count) kernels")
    guard chain.isShort else { return }
    let x = Tensor(.f32, [40], (0..<40).map { Double($0) / 64 })
    let (wanted, got) = (try Interpreter.evaluate(plan.source, inputs: [x], symbols: [:]), try KernelInterpreter.execute(plan.program, inputs: [x]))
    for (a, b) in zip(wanted[0].doubles, got[0].doubles) { #expect(abs(a - b) <= 1e-4 * max(1, abs(a))) }
  }

  @Test func aPlainConcatenationOfConvolutionsStaysOneKernel() throws {
    let folder = TemporaryFolder()
    let path = folder.file("two.ingot")
    let convolution = "{strides = [1, 1], pads = [0, 0, 0, 0]}"
    try """
      graph @two(%x: f32[1,8,6,6], %f: f32[8,8,3,3], %g: f32[8,8,3,3]) {
        %a = convolution %x, %f \(convolution)
        %b = convolution %x, %g \(convolution)
        %c = concatenate %a, %b {axis = 1}
        %y = tanh %c
        return %y
      }

      """.write(toFile: path, atomically: true, encoding: .utf8)
    let plan = try Compiler(print: { _ in }).plan(path)
    let loops = plan.graph.topologicalOrder().compactMap { plan.graph.node($0).operation as? Fusion }.filter { $0.template == .loop }
    let mnemonics = loops.map { loop in loop.body.topologicalOrder().map { loop.body.node($0).operation.mnemonic } }
    #expect(mnemonics.filter { $0.contains("concatenate") && $0.contains("tanh") }.count == 1, "\(mnemonics)")
  }

  /// A window over more channels than there are sums them all; it used to loop over what is not there.
  @Test func aWindowOverChannelsEndsWithThem() throws {
    func model(_ size: Int) -> ONNXBytes {
      let attributes: [ONNXBytes] = [.integer("size", size), .float("alpha", Float(size))]
      return .model(.graph([.node("LRN", ["x"], ["y"], attributes)], inputs: [.value("x", 1, 4, 2, 2)]))
    }
    let folder = TemporaryFolder()
    let x = Tensor(.f32, [1, 4, 2, 2], (0..<16).map { Double($0) / 8 })
    let results = try [8, 1 << 29].map { size in
      let path = folder.file("\(size).onnx")
      try Data(model(size).bytes).write(to: URL(fileURLWithPath: path))
      return try Interpreter.evaluate(Compiler(print: { _ in }).load(path), inputs: [x], symbols: [:])[0]
    }
    #expect(results[0].isIdentical(to: results[1]))
  }
}
