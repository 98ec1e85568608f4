import Artifact
import Foundation
import TestSupport
import Testing

/// `compile --report`: what was done, in an order that can be believed, and what was not done and why.
@Suite("command line: what was not done") struct RefusalReportTests {
  /// Attention whose weights are returned too, so that they need memory.
  private static let model = """
    graph @main(%q: f32[2,40,16], %k: f32[2,16,50], %v: f32[2,50,8]) {
      %s = dot %q, %k : f32[2,40,50]
      %e = exp %s
      %t = reduce %e {with = sum, axes = [2]}
      %t1 = reshape %t {shape = [2, 40, 1]}
      %tb = broadcast %t1 {shape = [2, 40, 50]}
      %p = div %e, %tb
      %y = dot %p, %v : f32[2,40,8]
      return %y, %p
    }
    """

  private func report(_ ending: String) throws -> String {
    let folder = TemporaryFolder()
    folder.write(Array(Self.model.utf8), to: "model.ingot")
    let result = try Tool.ingot("compile", folder.file("model.ingot"), "-o", folder.file("a"), "--threads", "1", "--report", folder.file("report." + ending))
    #expect(result.status == 0, "\(result.errors)")
    return String(decoding: folder.read("report." + ending), as: UTF8.self)
  }

  @Test func everyFormNamesIt() throws {
    let json = try JSON(parsing: Array(try report("json").utf8))
    let refusals = json["refusals"]?.array ?? []
    #expect(refusals.contains { $0["pass"]?.string == "fuse-attention" && $0["reason"]?.string?.contains("read elsewhere") == true && $0["node"] != nil && $0["operator"] != nil })
    let text = try report("txt")
    #expect(text.contains("not done, and why") && text.contains("fuse-attention") && text.contains("read elsewhere too"), "\(text)")
    let page = try report("html")
    #expect(page.contains("What else was not done, and why") && page.contains("read elsewhere too"))
  }

  /// What one run leaves is what the next one finds.
  @Test func runsOfPassesFollowEachOther() throws {
    let passes = try #require(try JSON(parsing: Array(try report("json").utf8))["passes"]?.array)
    let onGraph = passes.prefix { $0["name"]?.string != "share-constants" }
    #expect(onGraph.count > 10)
    for (before, after) in zip(onGraph, onGraph.dropFirst()) {
      #expect(before["nodes_after"]?.integer == after["nodes_before"]?.integer, "\(before["name"]?.string ?? "") and \(after["name"]?.string ?? "")")
    }
    let text = try report("txt")
    #expect(text.contains("what passes did, in order") && text.contains("other runs changed nothing"), "\(text)")
  }

  /// Quantization is a step like others, with a row of its own.
  @Test func quantizationHasARow() throws {
    let folder = TemporaryFolder()
    let rows = (0..<128).map { row in "[" + (0..<128).map { "\(Double((row * 31 + $0 * 17) % 200 - 100) / 100)" }.joined(separator: ", ") + "]" }.joined(separator: ", ")
    let text = "graph @main(%x: f32[4,128]) {\n%w = constant dense [\(rows)] : f32[128,128]\n%y = dot %x, %w\nreturn %y\n}\n"
    folder.write(Array(text.utf8), to: "model.ingot")
    let words = ["compile", folder.file("model.ingot"), "-o", folder.file("a"), "--quantize", "weights-int8", "--report", folder.file("r.json"), "--no-error-report"]
    let result = try Tool.run(Tool.folder + "/ingot", words)
    try #require(result.status == 0, "\(result.errors)")
    let row = try #require(try JSON(parsing: folder.read("r.json"))["passes"]?.array?.first { $0["name"]?.string == "quantize" })
    #expect((row["constant_bytes_after"]?.integer ?? .max) < (row["constant_bytes_before"]?.integer ?? 0) && (row["nodes_after"]?.integer ?? 0) > (row["nodes_before"]?.integer ?? .max))
  }
}
