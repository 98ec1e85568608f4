import Artifact
import Compiler
import GraphIR
import LLVMCodegen
import Runtime
import TensorTypes
import TestSupport
import Testing

/// `--precision bf16`, from the file to the artifact.
@Suite("precision", .enabled(if: (try? Target.host().hasBF16) == true, "needs AVX512_BF16")) struct PrecisionTests {
  private func options(_ precision: Precision, threads: Int? = nil) -> CompileOptions {
    var options = CompileOptions()
    options.precision = precision
    options.threads = threads
    return options
  }

  @Test(arguments: ModelCase.all) func staysNear(_ model: ModelCase) throws {
    let compiled = try Compiler(options: options(.bf16)).compile(model.path)
    let loaded = try compiled.makeModel()
    let session = try loaded.makeSession(threads: 2), alone = try loaded.makeSession(threads: 1)
    var reference = try PrecisionReference(model.path, options: options(.bf16))
    for symbols in model.bindings {
      let inputs = try compiled.source.randomInputs(seed: 7, symbols: symbols)
      let results = try session.run(inputs)
      #expect(zip(results, try alone.run(inputs)).allSatisfy { $0.isIdentical(to: $1) }, "\(model.name) at \(symbols): one thread and two differ")
      try reference.compare(results, for: inputs)
    }
    for deviation in reference.deviations { #expect(deviation.relativeL2 < 0.02, "\(model.name): \(deviation.text)") }
  }

  /// A product of `x` [rows, 64] by a constant [64, 64].
  private func product(_ folder: TemporaryFolder, rows: Int, _ weight: (Int) -> String) -> String {
    let weights = (0..<64 * 64).map(weight).joined(separator: ", ")
    let text = """
      graph @product(%x: f32[\(rows),64]) {
        %w = constant dense [\(weights)] : f32[64,64]
        %y = dot %x, %w
        return %y
      }
      """
    folder.write(Array(text.utf8), to: "product.ingot")
    return folder.file("product.ingot")
  }

  @Test func artifactsHoldHalfTheWeightsAndSaySo() throws {
    let folder = TemporaryFolder()
    let path = product(folder, rows: 40) { "\($0 % 17)" }
    let (wide, narrow) = (try Compiler(options: options(.fp32)).compile(path), try Compiler(options: options(.bf16)).compile(path))
    #expect(wide.manifest.precision == "fp32")
    #expect(narrow.manifest.precision == "bf16")
    #expect(narrow.constantsByteCount < wide.constantsByteCount * 2 / 3)
    try narrow.writeArtifact(to: folder.file("model"))
    let shipped = try Runtime.Model(artifact: ArtifactReader(path: folder.file("model")))
    #expect(shipped.manifest.precision == "bf16")
    let inputs = try narrow.source.randomInputs(seed: 3, symbols: narrow.source.smallBinding())
    let (here, there) = (try narrow.makeModel().makeSession(threads: 1).run(inputs), try shipped.makeSession(threads: 1).run(inputs))
    #expect(zip(here, there).allSatisfy { $0.isIdentical(to: $1) })
  }

  @Test func aMachineWithoutTheInstructionIsRefused() throws {
    var options = options(.bf16)
    options.target = "x86-64-v3"
    let error = #expect(throws: CompileError.self) { try Compiler(options: options).compile(ModelCase.named("perceptron").path) }
    #expect(error?.problem == .usage)
    #expect(error?.description.contains("AVX512_BF16") == true)
  }

  /// Not-a-number and infinity go through, where every product is made; 16-bit subnormal numbers count as zero.
  @Test func keepsWhatIsNoNumber() throws {
    let folder = TemporaryFolder()
    var options = options(.bf16)
    options.passes.disabled = ["sparse-products"]
    let compiled = try Compiler(options: options).compile(product(folder, rows: 3) { $0 % 65 == 0 ? "1" : "0" })
    var values = [Double](repeating: 1, count: 3 * 64)
    (values[3], values[64 + 5], values[128 + 7]) = (.infinity, .nan, 1e-40)
    let result = try compiled.makeModel().makeSession(threads: 1).run([Tensor(.f32, [3, 64], values)])[0].doubles
    #expect(result[3] == .infinity)
    // Infinity times zero.
    #expect(result[..<3].allSatisfy { $0.isNaN })
    #expect(result[64..<128].allSatisfy { $0.isNaN })
    #expect(result[128] == 1 && result[128 + 7] == 0)
  }

  @Test func deviationsCountMissingNumbers() {
    var deviation = Deviation(output: "y")
    deviation.add(Tensor(.f32, [3], [1, .infinity, .nan]), reference: Tensor(.f32, [3], [1, .infinity, .nan]))
    #expect(deviation.largest == 0 && deviation.relativeL2 == 0)
    deviation.add(Tensor(.f32, [2], [3, 4]), reference: Tensor(.f32, [2], [3, 5]))
    #expect(deviation.largest == 1 && deviation.scale == 5)
    deviation.add(Tensor(.f32, [1], [.nan]), reference: Tensor(.f32, [1], [1]))
    #expect(deviation.largest == .infinity)
  }
}
