import Compiler
import Foundation
import GraphIR
import Passes
import Runtime
import TensorTypes
import TestSupport
import Testing

/// `--prune`, from the file to the program; and the fit of what remains.
@Suite("pruning") struct PruningTests {
  // MARK: Options

  private func options(_ method: PruningOptions.Method, _ sparsity: Double?, pattern: String? = nil, reconstructs: Bool = false) -> PruningOptions {
    var options = PruningOptions(method)
    (options.sparsity, options.pattern, options.reconstructs) = (sparsity, pattern.flatMap { SparsityPattern($0) }, reconstructs)
    return options
  }

  @Test func refusesWhatContradictsItself() throws {
    func message(_ options: PruningOptions) -> String {
      let error = #expect(throws: CompileError.self) { try options.check(hasSamples: false) }
      #expect(error?.problem == .usage && error?.hint != nil)
      return error?.description ?? ""
    }
    #expect(message(options(.blocks, 1.2)).contains("between 0 and 1, got 1.2"))
    #expect(message(options(.blocks, 0)).contains("between 0 and 1"))
    #expect(message(options(.blocks, nil)).contains("needs --sparsity"))
    #expect(message(options(.blocks, 0.5, pattern: "2:4")).contains("--prune blocks takes a pattern such as"))
    #expect(message(options(.ratio, nil, pattern: "4x16")).contains("--prune n:m takes a pattern such as"))
    #expect(message(options(.ratio, 0.8, pattern: "2:4")).contains("contradicts the pattern 2:4"))
    #expect(message(options(.channels, 0.3, pattern: "4x16")).contains("takes no --pattern"))
    #expect(message(options(.magnitude, 0.5, reconstructs: true)).contains("needs samples"))
    for fine in [options(.ratio, nil), options(.ratio, 0.5), options(.blocks, 0.8, pattern: "4x16"), options(.channels, 0.3), options(.magnitude, 0.9)] {
      try fine.check(hasSamples: false)
    }
  }

  // MARK: Models

  /// Three linear layers; the middle one is 64 x 128.
  private func model(_ folder: TemporaryFolder) -> String {
    func numbers(_ count: Int, _ seed: Int) -> String { (0..<count).map { "\(Double(($0 * 7919 + seed) % 1009) / 1009 - 0.5)" }.joined(separator: ", ") }
    let text = """
      graph @layers(%x: f32[32,32]) {
        %a = constant dense [\(numbers(32 * 64, 1))] : f32[32,64]
        %b = constant dense [\(numbers(64 * 128, 2))] : f32[64,128]
        %c = constant dense [\(numbers(128 * 32, 3))] : f32[128,32]
        %h = dot %x, %a : f32[32,64]
        %s = tanh %h
        %i = dot %s, %b : f32[32,128]
        %t = tanh %i
        %y = dot %t, %c : f32[32,32]
        return %y
      }
      """
    folder.write(Array(text.utf8), to: "layers.ingot")
    return folder.file("layers.ingot")
  }

  private func compiled(_ path: String, _ pruning: PruningOptions?, samples: String? = nil) throws -> CompiledModel {
    var options = CompileOptions()
    options.threads = 1
    options.pruning = pruning
    options.calibration = samples.map { CalibrationOptions(path: $0) }
    return try Compiler(options: options).compile(path)
  }

  /// An input whose columns depend on each other: eight numbers for each row, mixed. Only then can one weight make up for another.
  private func dependentInput(_ seed: Int, _ dimensions: [Int]) -> Tensor {
    func number(_ key: Int) -> Double {
      var bits = UInt64(truncatingIfNeeded: key) &* 0x9e37_79b9_7f4a_7c15
      bits = (bits ^ bits >> 30) &* 0xbf58_476d_1ce4_e5b9
      bits = (bits ^ bits >> 27) &* 0x94d0_49bb_1331_11eb
      return Double((bits ^ bits >> 31) >> 11) * 0x1p-52 - 1
    }
    let (rows, columns) = (dimensions[0], dimensions[1])
    let numbers = (0..<rows * columns).map { place in
      (0..<8).reduce(0.0) { $0 + number((seed * rows + place / columns) * 8 + $1) * number(1 << 40 + $1 * columns + place % columns) }
    }
    return Tensor(.f32, dimensions, numbers)
  }

  private func inputDimensions(_ graph: Graph) throws -> [Int] {
    let input = try #require(graph.inputs.first)
    return try #require(graph.type(of: input).shape.constants)
  }

  private func samples(_ folder: TemporaryFolder, _ graph: Graph, _ count: Int) throws -> String {
    let path = folder.file("samples")
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    for number in 0..<count { try NumPyFile.write(dependentInput(number, try inputDimensions(graph)), to: "\(path)/\(number).npy") }
    return path
  }

  /// The error of a model's results against another's, relative to them, on an input that is no sample.
  private func error(_ model: CompiledModel, _ reference: CompiledModel) throws -> Double {
    let inputs = [dependentInput(99, try inputDimensions(reference.source))]
    let (a, b) = (try model.makeModel().makeSession(threads: 1).run(inputs)[0].doubles, try reference.makeModel().makeSession(threads: 1).run(inputs)[0].doubles)
    func energy(_ numbers: [Double]) -> Double { numbers.reduce(0) { $0 + $1 * $1 } }
    return (energy(zip(a, b).map(-)) / energy(b)).squareRoot()
  }

  @Test func blocksGetSparseKernels() throws {
    let folder = TemporaryFolder()
    let path = model(folder)
    let pruned = try compiled(path, options(.blocks, 0.75))
    let report = try #require(pruned.revision?.pruning)
    #expect(report.layers.count == 3)
    #expect(report.layers.allSatisfy { abs($0.kept - 0.25) < 0.02 && $0.before == $0.after })
    #expect(report.layers[1].kernel?.hasPrefix("sparse kernel") == true)
    #expect(pruned.constantsByteCount < (try compiled(path, nil).constantsByteCount) / 2)
    var disabled = CompileOptions()
    (disabled.pruning, disabled.threads) = (options(.blocks, 0.75), 1)
    disabled.passes.disabled = ["sparse-products"]
    let dense = try Compiler(options: disabled).compile(path)
    #expect(dense.revision?.pruning?.layers.allSatisfy { $0.kernel?.hasPrefix("sparse") != true } == true)
    #expect(try error(pruned, dense) < 1e-5)
  }

  @Test func reconstructionComesNearerToTheModel() throws {
    let folder = TemporaryFolder()
    let path = model(folder)
    let reference = try compiled(path, nil)
    let samples = try samples(folder, reference.source, 24)
    for (method, sparsity, pattern) in [(PruningOptions.Method.blocks, 0.5, "1x16"), (.magnitude, 0.6, nil), (.ratio, nil, "2:4"), (.channels, 0.25, nil)]
      as [(PruningOptions.Method, Double?, String?)]
    {
      let plain = try error(try compiled(path, options(method, sparsity, pattern: pattern)), reference)
      let fitted = try compiled(path, options(method, sparsity, pattern: pattern, reconstructs: true), samples: samples)
      #expect(try error(fitted, reference) < plain * 0.95, "\(method)")
      let errors = try #require(fitted.revision?.pruning).layers.compactMap(\.error)
      #expect(!errors.isEmpty && errors.allSatisfy { $0.after <= $0.before })
    }
  }

  @Test func channelsMakeSmallerLayers() throws {
    let folder = TemporaryFolder()
    let pruned = try compiled(model(folder), options(.channels, 0.5))
    let layers = try #require(pruned.revision?.pruning).layers
    #expect(layers.map(\.after) == [[32, 32], [32, 64], [64, 32]])
    #expect(pruned.manifest.outputs.map(\.type.shape) == [[32, 32]])
  }

  @Test func saysThatThereIsNothingToPrune() throws {
    let folder = TemporaryFolder()
    folder.write(Array("graph @g(%x: f32[4]) {\n  %y = tanh %x : f32[4]\n  return %y\n}\n".utf8), to: "g.ingot")
    for method in PruningOptions.Method.allCases {
      let error = #expect(throws: CompileError.self) { try compiled(folder.file("g.ingot"), options(method, method == .ratio ? nil : 0.5)) }
      #expect(error?.description.contains("nothing in the model can be pruned") == true)
    }
  }

  @Test func fourBitsLoseLessWithSamples() throws {
    let folder = TemporaryFolder()
    func numbers(_ seed: Int) -> String { (0..<64 * 256).map { "\(Double(($0 * 7919 + seed) % 1009) / 4036 - 0.125)" }.joined(separator: ", ") }
    let text = """
      graph @layers(%x: f32[32,64]) {
        %a = constant dense [\(numbers(1))] : f32[64,256]
        %b = constant dense [\(numbers(2))] : f32[256,64]
        %h = dot %x, %a : f32[32,256]
        %s = tanh %h
        %y = dot %s, %b : f32[32,64]
        return %y
      }
      """
    folder.write(Array(text.utf8), to: "layers.ingot")
    let path = folder.file("layers.ingot")
    let reference = try compiled(path, nil)
    let samples = try samples(folder, reference.source, 24)
    func quantized(_ reconstructs: Bool) throws -> CompiledModel {
      var options = CompileOptions()
      options.threads = 1
      options.calibration = CalibrationOptions(path: samples)
      options.quantization = QuantizationOptions(.weightsInt4)
      options.quantization?.reconstructs = reconstructs
      options.quantization?.activations = .float
      return try Compiler(options: options).compile(path)
    }
    #expect(try error(try quantized(true), reference) < (try error(try quantized(false), reference)))
  }

  // MARK: The fit

  /// Rows of three numbers of which the last is the sum of the others.
  private func dependent() throws -> InputMoments {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [64, 3]))
    let w = try graph.insert(Constant(Tensor(zeros: .f32, [3, 1])))
    let product = try graph.insert(Dot(), x, w)
    let node = try #require(graph.producer(of: product))
    var moments = try #require(InputMoments(node, graph))
    var numbers: [Double] = []
    for row in 0..<64 {
      let (a, b) = (Double(row * 37 % 64) / 32 - 1, Double(row * 23 % 64) / 32 - 1)
      numbers += [a, b, a + b]
    }
    moments.observe(Tensor(.f32, [64, 3], numbers))
    return moments
  }

  @Test func whatIsLostMovesToWhatItDependsOn() throws {
    let fit = LayerFit(try dependent(), weights: [1, 2, 4], columns: 1)
    let found = try #require(fit.fitted(keeping: [true, true, false]))
    // x2 = x0 + x1: nothing is lost but what the dampening holds back.
    #expect(abs(found[0] - 5) < 0.2 && abs(found[1] - 6) < 0.2 && found[2] == 0)
    #expect(fit.error(of: found) < 0.03)
    #expect(fit.error(of: [1, 2, 0]) > 0.5)
    #expect(fit.error(of: [1, 2, 4]) == 0)
    let saliency = try #require(fit.saliency())
    #expect(saliency.allSatisfy { $0 >= 0 } && saliency[2] > saliency[0])
  }

  @Test func aSweepRoundsAndMakesUpForIt() throws {
    let fit = LayerFit(try dependent(), weights: [0.4, 0.4, 0.4], columns: 1)
    let swept = try #require(fit.swept { step, current in current[step] = current[step].rounded() })
    #expect(swept.allSatisfy { $0 == $0.rounded() })
    // Rounded alone each of them would be 0.
    #expect(fit.error(of: swept) < fit.error(of: [0, 0, 0]))
  }

  @Test func channelsThatAreConstantBecomeAShift() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [16, 2]))
    let w = try graph.insert(Constant(Tensor(zeros: .f32, [2, 1])))
    let result = try graph.insert(Dot(), x, w)
    let node = try #require(graph.producer(of: result))
    var moments = try #require(InputMoments(node, graph))
    moments.observe(Tensor(.f32, [16, 2], (0..<16).flatMap { [Double($0 % 4) - 1.5, 3] }))
    let fit = LayerFit(moments, weights: [1, 2], columns: 1)
    let (weights, shift) = try #require(fit.fitted(steps: [0]))
    #expect(abs(weights[0] - 1) < 0.02 && weights[1] == 0 && abs(shift[0] - 6) < 1e-3)
  }

  @Test func windowsOfConvolutionsAreRows() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [1, 2, 3, 3]))
    let f = try graph.insert(Constant(Tensor(zeros: .f32, [1, 2, 3, 3])))
    let window = Window(strides: [1, 1], padsLow: [1, 1], padsHigh: [1, 1], dilations: [1, 1])
    let result = try graph.insert(Convolution(window: window), x, f)
    let node = try #require(graph.producer(of: result))
    var moments = try #require(InputMoments(node, graph))
    #expect(moments.steps == 18)
    moments.observe(Tensor(.f32, [1, 2, 3, 3], [Double](repeating: 1, count: 18)))
    // The middle of the window sees all nine places, a corner of it four.
    #expect(abs(moments.energies[4] - 1) < 1e-6 && abs(moments.energies[0] - 4.0 / 9) < 1e-6)
  }
}
