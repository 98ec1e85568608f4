import Artifact
import Foundation
import TestSupport
import Testing

/// `compile` and what it makes.
@Suite("command line: compile") struct CompileTests {
  private let model = Tool.examples + "/iris/iris.onnx"
  private let data = Tool.examples + "/iris/test_data_set_0"

  @Test func anArtifactVerifiesItself() throws {
    let folder = TemporaryFolder()
    let artifact = folder.file("iris")
    let compiled = try Tool.ingot("compile", model, "-o", artifact, "--labels", Tool.examples + "/iris/labels.txt", "--name", "flowers", "--model-version", "7")
    #expect(compiled.status == 0, "\(compiled.errors)")
    #expect(compiled.output.split(separator: "\n").count == 1, "one line at the end: \(compiled.output)")
    #expect(compiled.errors.isEmpty, "silent in a pipe: \(compiled.errors)")
    #expect(folder.names == ["iris"])

    let verified = try Tool.run(artifact, ["verify", data])
    #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
    let json = try JSON(parsing: Array(verified.lastLine.utf8))
    #expect(json["passed"]?.bool == true)
    let info = try Tool.run(artifact, ["info"])
    #expect(info.output.contains("flowers, version 7") && info.output.contains("measurements"))
    let inspected = try Tool.ingot("inspect", artifact)
    #expect(inspected.status == 0)
    #expect(inspected.output.contains("flowers"))
    // The compiler runs artifacts too.
    let run = try Tool.ingot("run", artifact, "--input", "measurements=" + Tool.examples + "/iris/sample.json")
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.contains("setosa"))
  }

  @Test func theSameModelGivesTheSameBytes() throws {
    let folder = TemporaryFolder()
    for name in ["a", "b"] { #expect(try Tool.ingot("compile", model, "-o", folder.file(name)).status == 0) }
    #expect(folder.read("a") == folder.read("b"))
  }

  /// Whatever a user may name as a file: one letter, the standard output, what is no file.
  @Test func filesOfEveryKind() throws {
    let folder = TemporaryFolder()
    let short = try Tool.ingot("compile", model, "-o", "a", "--report", "r", "--write-recipe", "w", in: folder.path)
    #expect(short.status == 0, "\(short.errors)")
    #expect(folder.names == ["a", "r", "w"])
    let stream = try Tool.ingot("compile", model, "-o", "a", "--write-recipe", "-", "--report", "-", in: folder.path)
    #expect(stream.status == 0 && stream.output.contains("target:") && stream.output.contains("\"passes\""), "\(stream.errors)")

    let same = try Tool.ingot("compile", model, "-o", "a", "--report", "./a", in: folder.path)
    #expect(same.status == 2 && same.errors.contains("same file"), "\(same.errors)")
    // A device is written into, and stays one; an executable cannot take its place.
    #expect(symlink("/dev/null", folder.file("nothing")) == 0)
    #expect(try Tool.ingot("compile", model, "-o", "a", "--report", "nothing", in: folder.path).status == 0)
    #expect(try Tool.ingot("compile", model, "-o", "nothing", in: folder.path).status == 1)
    var facts = stat()
    #expect(stat("/dev/null", &facts) == 0 && facts.st_mode & S_IFMT == S_IFCHR)
    // A link keeps pointing at what is written.
    #expect(symlink("r", folder.file("link")) == 0)
    folder.write([], to: "r")
    #expect(try Tool.ingot("compile", model, "-o", "a", "--report", "link", in: folder.path).status == 0)
    #expect(lstat(folder.file("link"), &facts) == 0 && facts.st_mode & S_IFMT == S_IFLNK && !folder.read("r").isEmpty)

    for (path, word) in [("", "no name"), (".", "folder"), ("missing/x", "does not exist")] {
      let refused = try Tool.ingot("compile", model, "-o", "a", "--report", path, in: folder.path)
      #expect(refused.status == 1 && refused.errors.contains(word), "`\(path)`: \(refused.status) \(refused.errors)")
    }
  }

  @Test func textToRead() throws {
    for (kind, word) in [("graph", "return"), ("kernels", "kernel @"), ("llvm", "define "), ("asm", ".globl")] {
      let result = try Tool.ingot("compile", model, "--emit", kind)
      #expect(result.status == 0, "\(kind): \(result.errors)")
      #expect(result.output.contains(word), "\(kind) has no `\(word)`")
    }
  }

  @Test func theTextFormIsAModel() throws {
    let folder = TemporaryFolder()
    let text = folder.file("iris.ingot")
    #expect(try Tool.ingot("compile", model, "--emit", "graph", "-o", text).status == 0)
    let verified = try Tool.ingot("verify", text, data)
    #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
    // The example beside the model is the same thing.
    let example = try Tool.ingot("verify", Tool.examples + "/iris/iris.ingot", data)
    #expect(example.status == 0, "\(example.output)\(example.errors)")
  }

  @Test func theReportIsJSON() throws {
    let folder = TemporaryFolder()
    let result = try Tool.ingot("compile", model, "-o", folder.file("iris"), "--report", folder.file("report.json"), "--time-passes")
    #expect(result.status == 0, "\(result.errors)")
    let report = try JSON(parsing: folder.read("report.json"))
    let passes = report["passes"]?.array ?? []
    #expect(passes.contains { $0["name"]?.string == "form-fusion-groups" && $0["changed"]?.bool == true && ($0["constant_bytes_after"]?.integer ?? 0) > 0 })
    #expect(report["fusion_groups"]?.array?.contains { $0["template"]?.string == "dot" } == true)
    #expect(report["output_bytes"]?.integer == folder.read("iris").count)
    #expect((report["kernels"]?.array?.count ?? 0) > 0)
    #expect(result.errors.contains("fold-constants"))
  }

  @Test func verifiesEachPass() throws {
    let folder = TemporaryFolder()
    let result = try Tool.ingot("compile", model, "-o", folder.file("iris"), "--verify-each")
    #expect(result.status == 0, "\(result.errors)")
  }

  @Test func passesCanBeLeftOutAndWatched() throws {
    let folder = TemporaryFolder()
    let result = try Tool.ingot("compile", model, "-o", folder.file("iris"), "--disable", "simplify-algebra", "--print-after", "fold-constants")
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("// after fold-constants"))
    #expect(try Tool.run(folder.file("iris"), ["verify", data]).status == 0)
  }

  @Test func fixedDimensionsAreFixed() throws {
    let folder = TemporaryFolder()
    #expect(try Tool.ingot("compile", model, "-o", folder.file("iris"), "--dim", "batch=2").status == 0)
    #expect(try Tool.run(folder.file("iris"), ["info"]).output.contains("f32[2,4]"))
    // The data set has three flowers.
    let verified = try Tool.run(folder.file("iris"), ["verify", data])
    #expect(verified.status == 1)
  }

  @Test func failureLeavesNothingBehind() throws {
    let folder = TemporaryFolder()
    folder.write(Array("not a model".utf8), to: "broken.onnx")
    let result = try Tool.ingot("compile", folder.file("broken.onnx"), "-o", folder.file("out"))
    #expect(result.status == 1)
    #expect(result.errors.contains("error:"))
    #expect(folder.names == ["broken.onnx"])
    let nowhere = try Tool.ingot("compile", model, "-o", folder.file("no/such/folder/out"))
    #expect(nowhere.status == 1)
    #expect(nowhere.errors.contains("No such file"))
  }

  @Test func anArtifactForAnotherMachineSaysSo() throws {
    let folder = TemporaryFolder()
    let result = try Tool.ingot("compile", model, "-o", folder.file("iris"), "--target", "x86-64-v2")
    #expect(result.status == 0, "\(result.errors)")
    #expect(try Tool.run(folder.file("iris"), ["info"]).output.contains("x86-64-v2"))
    #expect(try Tool.run(folder.file("iris"), ["verify", data]).status == 0)
  }
}
