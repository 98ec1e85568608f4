import Runtime
import TensorTypes
import TestSupport
import Testing

/// `--quantize` and `--calibrate`.
@Suite("command line: quantization") struct QuantizeTests {
  /// A product of `x` [1,8], with samples of it that are [1,width] beside it.
  private func model(_ folder: TemporaryFolder, width: Int = 8) throws -> String {
    let weights = (0..<8 * 16).map { "\(Double($0 * 37 % 101) / 50 - 1)" }.joined(separator: ", ")
    let text = """
      graph @product(%x: f32[1,8]) {
        %w = constant dense [\(weights)] : f32[8,16]
        %y = dot %x, %w
        return %y as "y"
      }
      """
    folder.write(Array(text.utf8), to: "product.ingot")
    // One file of arrays, since the folder holds the model, too.
    let arrays = try (0..<4).map { sample in try NumPyFile.encode(Tensor(.f32, [1, width], (0..<width).map { Double(($0 + sample) * 29 % 41) / 20 - 1 })) }
    folder.write(arrays.flatMap { $0 }, to: "samples.npy")
    return folder.file("product.ingot")
  }

  @Test func quantisesAndSaysSo() throws {
    let folder = TemporaryFolder()
    let (path, samples) = (try model(folder), folder.file("samples.npy"))
    let result = try Tool.ingot("compile", path, "-o", folder.file("artifact"), "--quantize", "int8", "--calibrate", samples, "--report", folder.file("report.json"))
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("int8 (mse): 1 of 1 layers, from 4 samples"))
    #expect(String(decoding: folder.read("report.json"), as: UTF8.self).contains("\"quantized_layers\":1"))
    #expect(try Tool.run(folder.file("artifact"), ["info"]).output.contains("int8 (mse)"))
    let printed = try Tool.ingot("compile", path, "--emit", "graph", "--quantize", "int8", "--calibrate", samples)
    #expect(printed.status == 0 && printed.output.contains("quantize_linear") && printed.output.contains("u8[1,8]"))
  }

  @Test func namesTheObserversThereAre() throws {
    let folder = TemporaryFolder()
    let result = try Tool.ingot("compile", try model(folder), "-o", folder.file("a"), "--quantize", "int8", "--calibrate", folder.file("samples.npy"), "--observer", "crystal-ball")
    #expect(result.status == 2)
    for name in ["minmax", "moving-average", "percentile", "entropy", "mse"] { #expect(result.errors.contains(name)) }
  }

  @Test func saysWhatSamplesAreMissing() throws {
    let folder = TemporaryFolder()
    let result = try Tool.ingot("compile", try model(folder), "-o", folder.file("a"), "--quantize", "int8")
    #expect(result.status == 2 && result.errors.contains("--calibrate FOLDER"))
  }

  @Test func namesSamplesOfTheWrongShape() throws {
    let folder = TemporaryFolder()
    let result = try Tool.ingot("compile", try model(folder, width: 9), "-o", folder.file("a"), "--quantize", "int8", "--calibrate", folder.file("samples.npy"))
    #expect(result.status == 1)
    #expect(result.errors.contains("samples.npy") && result.errors.contains("f32[1,9]") && result.errors.contains("`x` takes f32[1,8]"))
  }

  @Test func saysWhatAnImpossibleTargetCouldBe() throws {
    let folder = TemporaryFolder()
    let result = try Tool.ingot("compile", try model(folder), "-o", folder.file("a"), "--quantize", "int8", "--calibrate", folder.file("samples.npy"), "--min-sqnr", "300")
    #expect(result.status == 1)
    #expect(result.errors.contains("no choice of layers reaches 300 dB: the best is"))
  }

  @Test func refusesRefinementsOfNothing() throws {
    let folder = TemporaryFolder()
    for words in [["--equalize"], ["--smooth", "0.5"], ["--quantize", "dynamic-int8", "--min-sqnr", "20"], ["--keep-float", "y"], ["--quantize", "int8", "--smooth", "2"]] {
      let result = try Tool.run(Tool.folder + "/ingot", ["compile", try model(folder), "-o", folder.file("a")] + words)
      #expect(result.status == 2, "\(words): \(result.errors)")
    }
  }

  /// What would be read by nobody is refused, with what it is for.
  @Test func refusesWhatNobodyReads() throws {
    let folder = TemporaryFolder()
    let (path, samples) = (try model(folder), folder.file("samples.npy"))
    folder.write(Array("0\n1\n2\n3\n".utf8), to: "labels.txt")
    let cases: [(words: [String], message: String)] = [
      (["--calibrate", samples], "it is for --quantize, and for --prune with --reconstruct"),
      (["--calibrate", samples, "--prune", "blocks", "--sparsity", "0.5"], "add --reconstruct"),
      (["--calibrate", samples, "--prune", "blocks", "--sparsity", "0.5", "--reconstruct", "--calibration-labels", folder.file("labels.txt")], "--calibration-labels is for --quantize"),
      (["--quantize", "dynamic-int8", "--calibration-samples", "3"], "--calibration-samples says how many of the samples of --calibrate"),
      (["--quantize", "dynamic-int8", "--observer", "entropy"], "--observer belongs to --quantize int8"),
      (["--quantize", "int8", "--calibrate", samples, "--group-size", "32"], "--group-size belongs to --quantize weights-int8"),
      (["--quantize", "weights-int4", "--group-size", "99999999999"], "from 8 to 1048576"),
    ]
    for (words, message) in cases {
      let result = try Tool.run(Tool.folder + "/ingot", ["compile", path, "-o", folder.file("a")] + words)
      #expect(result.status == 2 && result.errors.contains(message), "\(words): \(result.errors)")
    }
  }

  @Test func artifactsAreCompiledAlready() throws {
    let folder = TemporaryFolder()
    let path = try model(folder)
    #expect(try Tool.ingot("compile", path, "-o", folder.file("artifact")).status == 0)
    for words in [["bench"], ["run"], ["inspect"]] {
      let result = try Tool.run(Tool.folder + "/ingot", words + [folder.file("artifact"), "--quantize", "dynamic-int8"])
      #expect(result.status == 2 && result.errors.contains("--quantize needs a model file; an artifact is compiled already"), "\(words): \(result.errors)")
    }
    #expect(try Tool.ingot("run", folder.file("artifact"), "--threads", "1").status == 0)
  }

  /// Samples that the command names are for the variants that learn from them.
  @Test func variantsShareSamples() throws {
    let folder = TemporaryFolder()
    let path = try model(folder)
    let result = try Tool.ingot(
      "bench", path, "--calibrate", folder.file("samples.npy"), "--compare", "int8: --quantize int8", "--seconds", "0.2", "--threads", "1", "--json", folder.file("r.json"))
    #expect(result.status == 0, "\(result.errors)")
    #expect(!result.output.contains("has nothing to do"), "\(result.output)")
    let idle = try Tool.ingot("bench", path, "--compare", "idle: --calibrate \(folder.file("samples.npy"))")
    #expect(idle.status == 2 && idle.errors.contains("--calibrate has nothing to do"), "\(idle.errors)")
  }
}
