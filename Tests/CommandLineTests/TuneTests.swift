import Artifact
import Foundation
import TestSupport
import Testing

/// `--tune`, `tune` and the object cache, as users meet them.
@Suite("command line: tune") struct TuneTests {
  private static let text = """
    graph @small(%r: f32[9,40]) {
      %i = iota {shape = [1920], axis = 0, element = f32}
      %w = reshape %i {shape = [40, 48]}
      %b = dot %r, %w
      return %b
    }

    """

  @Test func theFileMakesTheBytes() throws {
    let folder = TemporaryFolder()
    let model = folder.write(Array(Self.text.utf8), to: "small.ingot"), answers = folder.file("answers.json")
    let tuned = try Tool.ingot("compile", model, "-o", folder.file("a"), "--threads", "1", "--tune=0.2", "--tune-cache", answers)
    #expect(tuned.status == 0, "\(tuned.errors)")
    #expect(tuned.errors.contains("tuned 1 of 1 kernels"), "\(tuned.errors)")
    for (name, extra) in [("b", []), ("c", ["--no-cache"])] {
      let later = try Tool.run(Tool.folder + "/ingot", ["compile", model, "-o", folder.file(name), "--threads", "1", "--tune-cache", answers, "--report", folder.file(name + ".json")] + extra)
      #expect(later.status == 0, "\(later.errors)")
      #expect(folder.read(name) == folder.read("a"))
    }
    let report = try JSON(parsing: folder.read("c.json"))
    #expect(report["cached_objects"]?.integer == 0)
    let choice = report["kernels"]?.array?.compactMap { $0["choice"] }.first { $0["taken"] != nil }
    #expect(choice?["reason"]?.string == "measured")
    let inspected = try Tool.ingot("inspect", model, "--threads", "1", "--tune-cache", answers)
    #expect(inspected.output.contains("measured fastest"), "\(inspected.output)")
    #expect(try Tool.ingot("inspect", model, "--threads", "1").output.contains("least estimate"))
    let shown = try Tool.ingot("tune", "show", answers)
    #expect(shown.status == 0 && shown.output.contains("dot f32[9,40]"), "\(shown.output)\(shown.errors)")

    let merged = try Tool.ingot("tune", "merge", answers, answers, "-o", folder.file("merged.json"))
    #expect(merged.status == 0, "\(merged.errors)")
    #expect(folder.read("merged.json") == folder.read("answers.json"))
    folder.write(Array("{".utf8), to: "damaged.json")
    let refused = try Tool.ingot("tune", "merge", answers, folder.file("damaged.json"), "-o", folder.file("none.json"))
    #expect(refused.status == 1 && refused.errors.contains("damaged.json"), "\(refused.errors)")
    #expect(!folder.names.contains("none.json"))
  }

  @Test func wrongUse() throws {
    let folder = TemporaryFolder()
    let model = folder.write(Array(Self.text.utf8), to: "small.ingot")
    for arguments in [["--tune=0"], ["--tune=x"], ["--tune-cache", folder.file("none.json")]] {
      let result = try Tool.run(Tool.folder + "/ingot", ["compile", model, "-o", folder.file("a")] + arguments)
      #expect(result.status == 2, "\(arguments): \(result.errors)")
    }
    #expect(folder.names == ["small.ingot"])
  }
}
