import Artifact
import Foundation
import TestSupport
import Testing

/// `verify`, `bench`, `run` and `inspect` on the example.
@Suite("command line: run and measure") struct MeasureTests {
  private let model = Tool.examples + "/iris/iris.onnx"
  private let data = Tool.examples + "/iris/test_data_set_0"

  @Test(arguments: [[], ["--interpreter"], ["--threads", "1"], ["--dim", "batch=3"]]) func verifies(_ options: [String]) throws {
    let result = try Tool.run(Tool.folder + "/ingot", ["verify", model, data] + options)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    let json = try JSON(parsing: Array(result.lastLine.utf8))
    #expect(json["passed"]?.bool == true)
    #expect((json["max_abs_err"]?.double ?? 1) < 1e-5)
  }

  @Test func aWrongResultFails() throws {
    let folder = TemporaryFolder()
    for name in ["input_0.pb", "output_0.pb"] { folder.write(Array(try Data(contentsOf: URL(fileURLWithPath: data + "/" + name))), to: name) }
    var bytes = folder.read("output_0.pb")
    bytes[bytes.count - 1] ^= 0x10
    folder.write(bytes, to: "output_0.pb")
    let result = try Tool.ingot("verify", model, folder.path)
    #expect(result.status == 1)
    #expect(try JSON(parsing: Array(result.lastLine.utf8))["passed"]?.bool == false)
    #expect(result.output.contains("probabilities"))
    let missing = try Tool.ingot("verify", model, folder.path + "/nowhere")
    #expect(missing.status == 1)
  }

  @Test func printsTheLargestClasses() throws {
    let result = try Tool.ingot("run", model, "--input", "measurements=" + Tool.examples + "/iris/sample.json", "--top", "1", "--labels", Tool.examples + "/iris/labels.txt")
    #expect(result.status == 0, "\(result.errors)")
    let names = result.output.split(separator: "\n").compactMap { line in ["setosa", "versicolor", "virginica"].first { line.contains($0) } }
    #expect(names == ["setosa", "versicolor", "virginica"])
  }

  @Test func randomInputsRepeat() throws {
    let runs = try ["7", "7", "8"].map { try Tool.ingot("run", model, "--input", "measurements=random:\($0)").output }
    #expect(runs[0] == runs[1] && runs[0] != runs[2])
  }

  @Test(arguments: ["run", "bench"]) func refusesInputsThatDoNotFitIntoMemory(_ verb: String) throws {
    let result = try Tool.run("/bin/sh", ["-c", "ulimit -v 4000000; exec \"$@\"", "sh", Tool.folder + "/ingot", verb, model, "--dim", "batch=1000000000"])
    #expect(result.status == 1 && result.errors.contains("above the limit of"), "\(result.status) \(result.errors)")
  }

  @Test func writesOutputs() throws {
    let folder = TemporaryFolder()
    let result = try Tool.ingot("run", model, "--input", "measurements=" + data + "/input_0.pb", "--output", folder.path)
    #expect(result.status == 0, "\(result.errors)")
    #expect(folder.names == ["probabilities.npy"])
  }

  /// Names of outputs that cannot be names of files, or would be the same: every output has a file, from the tool and from the artifact.
  @Test func writesOutputsOfAnyName() throws {
    let folder = TemporaryFolder(), one = TemporaryFolder(), two = TemporaryFolder()
    let long = String(repeating: "long", count: 100)
    let text = "graph @main(%x: f32[3]) {\n%a = abs %x\n%b = neg %x\n%c = exp %x\n%d = sqrt %a\nreturn %a as \"a/b\", %b as \"a_b\", %c as \"\(long)1\", %d as \"\(long)2\"\n}\n"
    folder.write(Array(text.utf8), to: "model.ingot")
    #expect(try Tool.ingot("compile", folder.file("model.ingot"), "-o", folder.file("artifact")).status == 0)
    let byTool = try Tool.ingot("run", folder.file("model.ingot"), "--output", one.path)
    let byArtifact = try Tool.run(folder.file("artifact"), ["run", "--output", two.path, "--peak-memory"])
    #expect(byTool.status == 0 && byArtifact.status == 0, "\(byTool.errors)\(byArtifact.errors)")
    let names = one.names
    #expect(names.count == 4 && names.contains("a_b.npy") && names.allSatisfy { $0.utf8.count <= 255 }, "\(names)")
    #expect(two.names == names)
    // Which file is which is said.
    for name in names { #expect(byTool.output.contains(name) && byArtifact.output.contains(name)) }
    #expect(byArtifact.lastLine.hasPrefix("peak memory "))
  }

  @Test func measures() throws {
    let folder = TemporaryFolder()
    let result = try Tool.ingot("bench", model, "--seconds", "0.1", "--threads", "1", "--dim", "batch=1", "--profile", "--json", folder.file("bench.json"))
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("median") && result.output.contains("p99") && result.output.contains("GFLOP/s"))
    let json = try JSON(parsing: folder.read("bench.json"))
    #expect((json["median_seconds"]?.double ?? 1) < 0.01)
    #expect((json["peak_flops_per_second"]?.double ?? 0) > 1e9)
    #expect((json["steps"]?.array?.count ?? 0) > 0)
  }

  @Test func inspects() throws {
    let folder = TemporaryFolder()
    let result = try Tool.ingot("inspect", model, "--svg", folder.file("iris.svg"), "--json", folder.file("iris.json"))
    #expect(result.status == 0, "\(result.errors)")
    for word in ["measurements", "probabilities", "Gemm", "parameters", "f32[batch,4]"] { #expect(result.output.contains(word), "no `\(word)`") }
    #expect(String(decoding: folder.read("iris.svg"), as: UTF8.self).hasPrefix("<svg"))
    let json = try JSON(parsing: folder.read("iris.json"))
    #expect(json["operators"]?["Gemm"]?.integer == 2)
    // Mean, deviation, two layers.
    #expect((json["parameters"]?.integer ?? 0) >= 4 + 4 + 4 * 16 + 16 + 16 * 3 + 3)
  }
}
