import Compiler
import Foundation
import GraphIR
import TestSupport
import Testing

/// Files that are no right model: each is refused with a clear message, quickly, in bounded memory. One that crashes ends the
/// test process, so nothing here may be skipped.
@Suite("malformed models", .serialized) struct MalformedModelTests {
  @Test func thereAreEnough() { #expect(MalformedModel.all.count >= 150) }

  @Test func theModelThatTheyAreMadeFromIsRight() throws {
    let folder = TemporaryFolder()
    let path = folder.write(MalformedModel.valid.bytes, to: "valid.onnx")
    _ = try Compiler().compile(path)
  }

  @Test(arguments: MalformedModel.tolerable) func isRefusedOrCompiled(_ model: MalformedModel) throws {
    let folder = TemporaryFolder()
    let path = folder.write(model.bytes, to: "model.onnx")
    do throws(CompileError) { _ = try Compiler().compile(path) } catch { #expect(error.description.hasPrefix("error: ")) }
  }

  @Test(arguments: MalformedModel.all) func isRefused(_ model: MalformedModel) throws {
    let folder = TemporaryFolder()
    for file in model.files { folder.write(file.bytes, to: file.name) }
    for link in model.links { try FileManager.default.createSymbolicLink(atPath: folder.file(link.name), withDestinationPath: link.destination) }
    let path = folder.write(model.bytes, to: "model.onnx")
    Self.forgetPeakMemory()
    let start = ContinuousClock.now
    do throws(CompileError) {
      _ = try Compiler().compile(path)
      Issue.record("\(model.name) was compiled")
    } catch {
      let text = error.description
      #expect(text.hasPrefix("error: ") && error.message.count >= 10, "\(model.name): \(text)")
      #expect(error.exitCode == 1 || error.exitCode == 3, "\(model.name): \(text)")
      #expect(text.count < 4000, "\(model.name): a message of \(text.count) characters")
      #expect(model.words.isEmpty || model.words.contains { text.contains($0) || $0.isEmpty }, "\(model.name): expected one of \(model.words) in\n\(text)")
    }
    #expect(ContinuousClock.now - start < .seconds(10), "\(model.name) took \(ContinuousClock.now - start)")
    #expect(Self.peakMemoryBytes < 2 << 30, "\(model.name) took \(Self.peakMemoryBytes >> 20) MB")
  }

  /// Linux starts counting the largest resident set anew.
  private static func forgetPeakMemory() { try? "5".write(toFile: "/proc/self/clear_refs", atomically: false, encoding: .utf8) }

  private static var peakMemoryBytes: Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return (line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) << 10
  }
}
