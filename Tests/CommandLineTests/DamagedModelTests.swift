import Foundation
import TestSupport
import Testing

/// The example model, cut off and altered: each gives an answer or an error, never a crash or a hang.
@Suite("command line: damaged models") struct DamagedModelTests {
  private static func bytes(_ name: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: Tool.examples + "/iris/" + name))) }

  private func expectAnswer(_ bytes: [UInt8], as name: String, _ what: String, mayPass: Bool) throws {
    let folder = TemporaryFolder()
    folder.write(bytes, to: name)
    let result = try Tool.run(Tool.folder + "/ingot", ["run", folder.file(name)], seconds: 20)
    #expect(!result.crashed, "\(what) crashed or hung: \(result.errors)")
    #expect((mayPass ? [0, 1, 2, 3] : [1, 3]).contains(result.status), "\(what) ended with \(result.status): \(result.output)")
    if result.status != 0 { #expect(result.errors.hasPrefix("error:"), "\(what): \(result.errors)") }
  }

  @Test(arguments: 0..<24) func cutOff(_ part: Int) throws {
    let bytes = try Self.bytes("iris.onnx")
    try expectAnswer(Array(bytes.prefix(bytes.count * part / 24)), as: "cut.onnx", "\(part)/24 of the file", mayPass: false)
  }

  @Test(arguments: 0..<32) func altered(_ seed: UInt64) throws {
    var bytes = try Self.bytes("iris.onnx")
    var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    for _ in 0...seed % 4 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      bytes[Int(state >> 33) % bytes.count] = UInt8(truncatingIfNeeded: state >> 20)
    }
    try expectAnswer(bytes, as: "altered.onnx", "alteration \(seed)", mayPass: true)
  }

  @Test(arguments: 0..<16) func alteredText(_ seed: UInt64) throws {
    var bytes = try Self.bytes("iris.ingot")
    var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
    for _ in 0...seed % 3 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      bytes[Int(state >> 33) % bytes.count] = Array("{}[]()%=:,x9-\"".utf8)[Int(state >> 20) % 14]
    }
    try expectAnswer(bytes, as: "altered.ingot", "alteration \(seed)", mayPass: true)
  }

  @Test func noFile() throws {
    let result = try Tool.ingot("run", "/nowhere/model.onnx")
    #expect(result.status == 1)
    #expect(result.errors.contains("/nowhere/model.onnx") && result.errors.contains("No such file"))
    #expect(try Tool.ingot("run", "/dev/null").status == 1)
    #expect(try Tool.ingot("run", "/").status == 1)
  }
}
