import Testing
import TestSupport

/// What the tool says when it is asked for help, and when it is asked for something that does not exist.
@Suite("command line: usage") struct UsageTests {
  @Test func explainsItself() throws {
    let result = try Tool.ingot("--help")
    #expect(result.status == 0)
    for verb in ["compile", "run", "verify", "bench", "inspect", "passes"] {
      #expect(result.output.contains(verb))
      let help = try Tool.ingot(verb, "--help")
      #expect(help.status == 0)
      #expect(help.output.contains("USAGE: ingot \(verb)"))
      #expect(help.output.contains("Example"), "the help of \(verb) shows no example")
    }
  }

  @Test func listsPasses() throws {
    let result = try Tool.ingot("passes")
    #expect(result.status == 0)
    #expect(result.output.contains("fold-constants"))
    // Number, name and a sentence.
    for line in result.output.split(separator: "\n") { #expect(line.split(separator: " ").count >= 4, "\(line)") }
  }

  @Test(arguments: [
    ["nonsense"], ["compile"], ["compile", "model.onnx"], ["compile", "model.onnx", "-o", "x", "--emit", "nothing"], ["run", "model.onnx", "--input", "x"],
    ["run", "model.onnx", "--input", "x=picture.tiff"], ["run", "model.onnx", "--input", "x=random", "--input", "x=random"],
    ["run", "model.onnx", "--scale", "0/0"], ["run", "model.onnx", "--crop", "0"], ["run", "model.onnx", "--preset", "lena"],
    ["verify", "model.onnx"], ["verify", "model.onnx", "set", "--rtol", "-1"], ["bench", "model.onnx", "--seconds", "0"],
    ["compile", "model.onnx", "-o", "x", "--dim", "batch=0"], ["compile", "model.onnx", "-o", "x", "--dim", "batch"],
    ["compile", "model.onnx", "-o", "x", "--shape", "image=1x-3"], ["compile", "model.onnx", "-o", "x", "--threads", "0"],
    ["compile", "model.onnx", "-o", "x", "--dim", "n=1", "--dim", "n=2"], ["compile", "model.onnx", "-o", "x", "--name", "a/b"],
  ])
  func refusesWhatItDoesNotUnderstand(_ words: [String]) throws {
    let result = try Tool.run(Tool.folder + "/ingot", words)
    #expect(result.status == 2, "\(words): \(result.errors)")
    #expect(!result.crashed)
    #expect(!result.errors.isEmpty)
    #expect(result.output.isEmpty)
  }

  @Test func limitsAreNamedAndExplained() throws {
    let model = Tool.examples + "/iris/iris.onnx"
    let folder = TemporaryFolder()
    let help = try Tool.ingot("compile", "--help").output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    for name in ["messages", "nodes", "nesting", "rank", "tensor-bytes", "loop-steps", "sequence-length", "folded-bytes", "folded-operations", "seconds", "memory"] {
      #expect(help.contains("\(name) ("), "the help does not explain the limit \(name)")
    }
    for (limit, status) in [("nodes=1", Int32(1)), ("messages=3", 1), ("rank=1", 1), ("tensor-bytes=4", 1), ("seconds=0", 1), ("memory=1", 1), ("nodes", 2), ("nodes=-1", 2), ("noise=1", 2)] {
      let result = try Tool.ingot("compile", model, "-o", folder.file("x"), "--limit", limit)
      #expect(result.status == status, "\(limit): \(result.errors)")
      if status == 1 { #expect(result.errors.contains("--limit " + limit.prefix { $0 != "=" }), "\(limit): \(result.errors)") }
    }
    #expect(folder.names.isEmpty, "a refused compilation left \(folder.names)")
    #expect(try Tool.ingot("compile", model, "-o", folder.file("x"), "--limit", "nodes=100", "--limit", "seconds=600").status == 0)
  }

  @Test func namesWhatThereIs() throws {
    let model = Tool.examples + "/iris/iris.onnx"
    let folder = TemporaryFolder()
    let pass = try Tool.ingot("compile", model, "-o", folder.file("x"), "--disable", "fold-everything")
    #expect(pass.status == 2)
    #expect(pass.errors.contains("fold-everything") && pass.errors.contains("fold-constants"))
    let target = try Tool.ingot("compile", model, "-o", folder.file("x"), "--target", "pdp11")
    #expect(target.status == 2)
    #expect(target.errors.contains("pdp11") && target.errors.contains("x86-64-v3"))
    let dimension = try Tool.ingot("compile", model, "-o", folder.file("x"), "--dim", "bach=1")
    #expect(dimension.status == 2)
    #expect(dimension.errors.contains("bach") && dimension.errors.contains("batch"))
    let input = try Tool.ingot("run", model, "--input", "flowers=random")
    #expect(input.status == 2)
    #expect(input.errors.contains("measurements"))
    #expect(folder.names.isEmpty, "a failed compilation left \(folder.names)")
  }
}
