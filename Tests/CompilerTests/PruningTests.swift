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

  /// Weights of zero stay zero in bytes, four steps of which one instruction multiplies: blocks are that high by themselves.
  @Test func quantizedBlocksGetSparseKernels() throws {
    let folder = TemporaryFolder()
    let path = model(folder)
    let reference = try compiled(path, nil)
    let samples = try samples(folder, reference.source, 8)
    func quantized(_ pruning: PruningOptions?, disabled: [String] = []) throws -> CompiledModel {
      var options = CompileOptions()
      (options.threads, options.pruning, options.calibration) = (1, pruning, CalibrationOptions(path: samples))
      options.quantization = QuantizationOptions(.int8)
      options.passes.disabled = Set(disabled)
      return try Compiler(options: options).compile(path)
    }
    let sparse = try quantized(options(.blocks, 0.75)), dense = try quantized(options(.blocks, 0.75), disabled: ["sparse-products"])
    let kernels = try #require(sparse.revision?.pruning).layers.map(\.kernel)
    #expect(kernels.count == 3 && kernels.allSatisfy { $0?.hasPrefix("sparse kernel") == true }, "\(kernels)")
    #expect(sparse.program.constants.contains { $0.tensor.element == .i8 && $0.tensor.count >= 64 * 128 / 4 && $0.tensor.count < 64 * 128 / 3 })
    #expect(dense.revision?.pruning?.layers.allSatisfy { $0.kernel?.hasPrefix("sparse") != true } == true)
    #expect(try error(sparse, dense) == 0)
    #expect(try error(sparse, try compiled(path, options(.blocks, 0.75, pattern: "4x16"))) < 0.02)
    // Half of the blocks of one step: hardly four of them are empty together.
    let scattered = try #require(try quantized(options(.blocks, 0.5, pattern: "1x16")).revision?.pruning).layers.map(\.kernel)
    #expect(scattered.allSatisfy { $0?.contains("blocks of 4x16") == true }, "\(scattered)")
  }

  @Test func blocksFollowThePrecision() throws {
    var compilation = CompileOptions()
    func block() -> SparsityPattern? { options(.blocks, 0.5).weightPattern(multipliedTogether: compilation.stepsMultipliedTogether) }
    #expect(block() == SparsityPattern("1x16"))
    compilation.precision = .bf16
    #expect(block() == SparsityPattern("2x16"))
    compilation.quantization = QuantizationOptions(.int8)
    #expect(block() == SparsityPattern("4x16"))
    compilation.quantization = QuantizationOptions(.weightsInt8)
    #expect(block() == SparsityPattern("2x16"))
    #expect(options(.blocks, 0.5, pattern: "8x32").weightPattern(multipliedTogether: 4) == SparsityPattern("8x32"))
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

  /// Half of the first layer's channels are copies of the others, and the second layer has more than its input says: with measured budgets such
  /// channels go, and what they gave moves to the others.
  @Test func redundantChannelsGoFirst() throws {
    let folder = TemporaryFolder()
    func number(_ place: Int, _ seed: Int) -> Double { Double((place * 7919 + seed) % 1009) / 1009 - 0.5 }
    let first = (0..<32 * 64).map { "\(number($0 / 64 * 32 + $0 % 32, 1))" }.joined(separator: ", ")
    func numbers(_ count: Int, _ seed: Int) -> String { (0..<count).map { "\(number($0, seed))" }.joined(separator: ", ") }
    let text = """
      graph @copies(%x: f32[32,32]) {
        %a = constant dense [\(first)] : f32[32,64]
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
    folder.write(Array(text.utf8), to: "copies.ingot")
    let path = folder.file("copies.ingot")
    let reference = try compiled(path, nil)
    let pruned = try compiled(path, options(.channels, 0.16, reconstructs: true), samples: try samples(folder, reference.source, 24))
    let report = try #require(pruned.revision?.pruning)
    #expect(report.channels?.removed == 32 && report.channels?.of == 192)
    #expect(report.layers.allSatisfy { ($0.heldOut ?? 0) < 0.05 })
    #expect(try error(pruned, reference) < 0.02)
  }

  /// Convolutions, a residual sum and pictures that are mirrored, too.
  @Test func picturesHaveVariants() throws {
    let folder = TemporaryFolder()
    func numbers(_ count: Int, _ seed: Int) -> String { (0..<count).map { "\(Double(($0 * 7919 + seed) % 1009) / 2018 - 0.25)" }.joined(separator: ", ") }
    let text = """
      graph @picture(%x: f32[1,3,12,12]) {
        %f = constant dense [\(numbers(16 * 27, 1))] : f32[16,3,3,3]
        %g = constant dense [\(numbers(32 * 16, 2))] : f32[32,16,1,1]
        %k = constant dense [\(numbers(16 * 32, 3))] : f32[16,32,1,1]
        %a = convolution %x, %f {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,16,10,10]
        %b = tanh %a
        %c = convolution %b, %g {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,32,10,10]
        %d = tanh %c
        %e = convolution %d, %k {strides = [1, 1], pads = [0, 0, 0, 0]} : f32[1,16,10,10]
        %y = add %e, %b : f32[1,16,10,10]
        return %y
      }
      """
    folder.write(Array(text.utf8), to: "picture.ingot")
    let path = folder.file("picture.ingot")
    let reference = try compiled(path, nil)
    let place = folder.file("samples")
    try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
    func picture(_ seed: Int) -> Tensor { Tensor(.f32, [1, 3, 12, 12], dependentInput(seed, [36, 12]).doubles) }
    for number in 0..<6 { try NumPyFile.write(picture(number), to: "\(place)/\(number).npy") }
    func difference(_ model: CompiledModel) throws -> Double {
      let (a, b) = (try model.makeModel().makeSession(threads: 1).run([picture(50)])[0].doubles, try reference.makeModel().makeSession(threads: 1).run([picture(50)])[0].doubles)
      return zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
    }
    var wanted = options(.channels, 0.5, reconstructs: true)
    wanted.variants = 4
    let fitted = try compiled(path, wanted, samples: place)
    #expect(try difference(fitted) < 0.5 * (try difference(try compiled(path, options(.channels, 0.5)))))
    #expect(fitted.revision?.pruning?.channels?.removed == 16)
    wanted.variants = 100
    #expect(throws: CompileError.self) { try wanted.check(hasSamples: true) }
    var plain = options(.channels, 0.5)
    plain.variants = 2
    #expect(throws: CompileError.self) { try plain.check(hasSamples: true) }
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
    let form = try #require(ContractionRows(node, graph))
    var moments = FitMoments(form)
    for sample in 0..<6 {
      let rows: [Float] = (0..<16).flatMap { row -> [Float] in [Float((row * 7 + sample) % 5) - 2, 3, 1] }
      moments.observe(rows, stride(from: 0, to: 48, by: 3).map { rows[$0] + 6 }, sample: sample)
    }
    let fit = try #require(moments.fitted([1, 2], keeping: [0]))
    #expect(abs(fit.weights[0] - 1) < 1e-4 && fit.weights[1] == 0 && abs(fit.shift[0] - 6) < 1e-3)
    #expect(fit.before > 1 && fit.after < 1e-3 && fit.heldOut < 1e-3)
  }

  @Test func noiseIsDampedAway() throws {
    var graph = Graph()
    let x = graph.addInput("x", TensorType(.f32, [1, 24]))
    let w = try graph.insert(Constant(Tensor(zeros: .f32, [24, 1])))
    let result = try graph.insert(Dot(), x, w)
    let node = try #require(graph.producer(of: result))
    var moments = FitMoments(try #require(ContractionRows(node, graph)))
    // As many rows as steps, and a sum of all steps that is half noise: the original weights are the better guess.
    for sample in 0..<24 {
      let row = dependentInput(sample, [1, 24]).doubles.map { Float($0) }
      let noise = Float((sample * 7919) % 17) / 8 - 1
      moments.observe(row + [1], [row.reduce(0, +) + noise * 2], sample: sample)
    }
    let fit = try #require(moments.fitted([Double](repeating: 1, count: 24), keeping: Array(0..<24)))
    #expect(fit.damping >= 1 && fit.weights.allSatisfy { abs($0 - 1) < 0.5 })
    #expect(fit.heldOut >= fit.after)
  }

  @Test func picturesAreMirroredAndMoved() throws {
    let picture = Tensor(.f32, [1, 1, 2, 3], [1, 2, 3, 4, 5, 6])
    let variants = PictureVariants(count: 4)
    #expect(variants.tensors([picture], 0)[0].doubles == [1, 2, 3, 4, 5, 6])
    #expect(variants.tensors([picture], 1)[0].doubles == [3, 2, 1, 6, 5, 4])
    let large = Tensor(.f32, [1, 1, 28, 28], (0..<784).map { Double($0) })
    let moved = variants.tensors([large], 2)[0].doubles
    // Two rows up, one column to the right, edges mirrored.
    #expect(moved[0] == 57 && moved[1] == 56 && moved[28] == 85 && moved == variants.tensors([large], 2)[0].doubles)
    let words = Tensor(.f32, [2, 3], [1, 2, 3, 4, 5, 6])
    #expect(variants.tensors([words], 3)[0].doubles == words.doubles)
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
