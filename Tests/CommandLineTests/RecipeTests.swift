import Foundation
import Runtime
import TensorTypes
import TestSupport
import Testing

/// `--recipe` and `--write-recipe`.
@Suite("command line: recipes") struct RecipeTests {
  private let model = Tool.examples + "/iris/iris.onnx"

  /// The digest of an artifact's contents would do as well; equal bytes say it plainer.
  private func artifact(_ folder: TemporaryFolder, _ name: String, of model: String? = nil, _ arguments: [String]) throws -> [UInt8] {
    let result = try Tool.run(Tool.folder + "/ingot", ["compile", model ?? self.model, "-o", folder.file(name), "--name", "iris"] + arguments)
    try #require(result.status == 0, "\(result.errors)")
    return folder.read(name)
  }

  @Test func saysWhatOptionsSay() throws {
    let folder = TemporaryFolder()
    folder.write(Array("# what is served\ndim: {batch: 1}\nthreads: 1\ndisable: [fuse-attention, channels-last]\nno-cache: true\nwinograd: \"off\"\n".utf8), to: "recipe.yaml")
    let options = ["--dim", "batch=1", "--threads", "1", "--disable", "fuse-attention", "--disable", "channels-last", "--winograd", "off"]
    #expect(try artifact(folder, "a", ["--recipe", folder.file("recipe.yaml")]) == artifact(folder, "b", options))
    // The command line wins, name by name.
    #expect(try artifact(folder, "c", ["--recipe=" + folder.file("recipe.yaml"), "--dim", "batch=3"]) == artifact(folder, "d", ["--dim", "batch=3"] + options.dropFirst(2)))
  }

  @Test func repeatsWhatWasWritten() throws {
    let folder = TemporaryFolder()
    let first = try artifact(folder, "a", ["--dim", "batch=1,8", "--threads", "1", "--disable", "sink-reshapes", "--write-recipe", folder.file("kept.yaml")])
    let text = String(decoding: folder.read("kept.yaml"), as: UTF8.self)
    for line in ["batch: 1,8", "disable: [sink-reshapes]", "threads: 1", "target: "] { #expect(text.contains(line), "\(text)") }
    #expect(try artifact(folder, "b", ["--recipe", folder.file("kept.yaml")]) == first)
  }

  /// Eleven lists of nine times the one before.
  @Test func aliasesDoNotExplode() throws {
    let folder = TemporaryFolder()
    let text = "fix: {a: &a0 [1, 2], " + (1...11).map { "a\($0): &a\($0) [" + [String](repeating: "*a\($0 - 1)", count: 9).joined(separator: ", ") + "]" }.joined(separator: ", ") + "}\n"
    folder.write(Array(text.utf8), to: "bomb.yaml")
    let result = try Tool.ingot("inspect", model, "--recipe", folder.file("bomb.yaml"))
    #expect(result.status == 2 && result.errors.contains("aliases"), "\(result.status) \(result.errors)")
  }

  /// Everything that learns from samples, kept and repeated byte for byte; the samples lie beside the recipe.
  @Test func repeatsPruningAndQuantization() throws {
    let folder = TemporaryFolder()
    var bytes: [UInt8] = []
    for number in 0..<12 {
      let values: [Double] = (0..<32).map { place in Double((number * 13 + place * 7) % 60) / 10 - 3 }
      bytes += try NumPyFile.encode(Tensor(.f32, [1, 32], values))
    }
    func weights(_ rows: Int, _ columns: Int) -> String {
      (0..<rows).map { row in "[" + (0..<columns).map { "\(Double((row * 31 + $0 * 17) % 200 - 100) / 300)" }.joined(separator: ", ") + "]" }.joined(separator: ", ")
    }
    let text = """
      graph @main(%x: f32[1,32]) {
        %w = constant dense [\(weights(32, 64))] : f32[32,64]
        %v = constant dense [\(weights(64, 32))] : f32[64,32]
        %h = dot %x, %w
        %r = tanh %h
        %y = dot %r, %v
        return %y
      }
      """
    folder.write(Array(text.utf8), to: "layers.ingot")
    let model = folder.file("layers.ingot")
    folder.write(bytes, to: "samples.npy")
    let samples = folder.file("samples.npy")
    let options = [
      "--threads", "1", "--no-cache", "--prune", "magnitude", "--sparsity", "0.4", "--reconstruct", "--quantize", "int8", "--calibrate", samples, "--observer", "entropy",
      "--calibration-samples", "10", "--bias-correction", "--equalize", "--smooth", "0.5", "--min-sqnr", "3",
    ]
    let first = try artifact(folder, "a", of: model, options + ["--write-recipe", folder.file("kept.yaml")])
    let recipe = String(decoding: folder.read("kept.yaml"), as: UTF8.self)
    for line in ["quantize: int8", "prune: magnitude", "calibrate: samples.npy", "reconstruct: true", "smooth: 0.5"] { #expect(recipe.contains(line), "\(recipe)") }
    #expect(try artifact(folder, "b", of: model, ["--recipe", folder.file("kept.yaml")]) == first)
    // The same from another folder, and by a path with no folder.
    let beside = try Tool.ingot("compile", model, "-o", "c", "--name", "iris", "--recipe", "kept.yaml", in: folder.path)
    #expect(beside.status == 0 && folder.read("c") == first, "\(beside.errors)")
  }

  @Test func verbsReadIt() throws {
    let folder = TemporaryFolder()
    folder.write(Array("dim: {batch: 3}\nthreads: 1\n".utf8), to: "recipe.yml")
    let data = Tool.examples + "/iris/test_data_set_0"
    #expect(try Tool.ingot("verify", model, data, "--recipe", folder.file("recipe.yml")).status == 0)
    let bench = try Tool.ingot("bench", model, "--recipe", folder.file("recipe.yml"), "--seconds", "0.05")
    #expect(bench.status == 0 && bench.output.contains("1 thread "), "\(bench.output)\(bench.errors)")
  }

  @Test(arguments: [
    ("threads: 1\npresicion: bf16\n", "recipe.yaml:2: unknown option `presicion`", "did you mean `precision`?"), ("tune_cache: a\n", "recipe.yaml:1: unknown option `tune_cache`", "did you mean `tune-cache`?"),
    ("dim: {batch: 1}\nthreads: many\n", "recipe.yaml:2: The value 'many' is invalid", ""), ("no-cache: perhaps\n", "recipe.yaml:1: `no-cache` takes true or false", ""),
    ("precision: [bf16]\n", "recipe.yaml:1: `precision` takes one value, not a list", ""), ("threads: {a: 1}\n", "`threads` takes one value, not a mapping", ""), ("threads:\n", "`threads` has no value", ""),
    ("- threads\n", "a recipe is a mapping of options", ""), ("threads: 1\nthreads: 2\n", "given twice: threads", ""), ("dim: {batch: 0}\n", "recipe.yaml:1: The value 'batch=0' is invalid", ""),
    ("recipe: other.yaml\n", "a recipe cannot name another one", ""), ("a: [\n", "recipe.yaml:", ""),
  ]) func mistakesHaveALine(_ text: String, _ message: String, _ hint: String) throws {
    let folder = TemporaryFolder()
    folder.write(Array(text.utf8), to: "recipe.yaml")
    let result = try Tool.ingot("run", model, "--recipe", folder.file("recipe.yaml"))
    #expect(result.status == 2 && result.errors.contains(message) && (hint.isEmpty || result.errors.contains(hint)), "\(result.status) \(result.errors)")
  }

  /// Paths are relative to the recipe, wherever the tool is started.
  @Test func pathsAreRelativeToTheFile() throws {
    let folder = TemporaryFolder()
    folder.write(Array("tune-cache: sub/answers.json\n".utf8), to: "recipe.yaml")
    let result = try Tool.ingot("run", model, "--recipe", folder.file("recipe.yaml"))
    #expect(result.status == 2 && result.errors.contains(folder.path + "/sub/answers.json"), "\(result.errors)")
    #expect(try Tool.ingot("run", model, "--recipe", folder.file("nowhere.yaml")).errors.contains("cannot read the recipe"))
  }
}
