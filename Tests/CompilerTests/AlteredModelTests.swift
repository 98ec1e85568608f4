import Compiler
import Foundation
import GraphIR
import TestSupport
import Testing

/// Right and wrong models, altered at random: each is planned or refused, and none takes the process down.
///
/// `INGOT_FUZZ_ROUNDS` (1 by default) is how often every file is altered anew, `INGOT_FUZZ_FIRST` (0) the first round: other rounds
/// alter otherwise. The file at work is kept in `INGOT_FUZZ_KEEP` if that names a folder: the last one there crashed.
@Suite("altered models", .serialized) struct AlteredModelTests {
  private static func setting(_ name: String, _ usual: UInt64) -> UInt64 { ProcessInfo.processInfo.environment[name].flatMap { UInt64($0) } ?? usual }
  private static let first = setting("INGOT_FUZZ_FIRST", 0), last = first + setting("INGOT_FUZZ_ROUNDS", 1)
  private static let compiles = ProcessInfo.processInfo.environment["INGOT_FUZZ_COMPILE"] != nil
  private static let kept = ProcessInfo.processInfo.environment["INGOT_FUZZ_KEEP"]

  private struct Generator {
    var state: UInt64
    mutating func below(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % max(bound, 1)
    }
  }

  private func expectAnswer(_ bytes: [UInt8], _ name: String, _ what: String) {
    let folder = TemporaryFolder()
    let path = folder.write(bytes, to: name)
    if let kept = Self.kept { try? Data(bytes).write(to: URL(fileURLWithPath: kept + "/" + name)) }
    let start = ContinuousClock.now
    do throws(CompileError) {
      if Self.compiles { _ = try Compiler().compile(path) } else { _ = try Compiler().plan(path) }
    } catch {
      #expect(error.description.hasPrefix("error: ") && error.message.count >= 10, "\(what): \(error)")
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    if seconds > 5 { Issue.record("\(what) took \(seconds) s: \(Data(bytes).base64EncodedString().prefix(4000))") }
  }

  @Test(arguments: MalformedModel.all.filter { $0.bytes.count < 4096 }.indices) func files(_ index: Int) throws {
    let models = MalformedModel.all.filter { $0.bytes.count < 4096 }
    let model = models[index]
    for round in Self.first * 4..<Self.last * 4 {
      var generator = Generator(state: UInt64(index) << 32 | round)
      var bytes = model.bytes
      for _ in 0...generator.below(4) where !bytes.isEmpty {
        let position = generator.below(bytes.count)
        switch generator.below(5) {
        case 0: bytes[position] = UInt8(truncatingIfNeeded: generator.below(256))
        case 1: bytes[position] ^= UInt8(1 << generator.below(8))
        case 2: bytes.remove(at: position)
        case 3: bytes.insert(UInt8(truncatingIfNeeded: generator.below(256)), at: position)
        // A piece of another file: other fields and operators in the same place.
        default:
          let other = models[generator.below(models.count)].bytes
          let start = generator.below(other.count)
          bytes.replaceSubrange(position..<min(bytes.count, position + generator.below(40)), with: other[start..<min(other.count, start + generator.below(40))])
        }
      }
      expectAnswer(bytes, "altered.onnx", "`\(model.name)`, alteration \(round)")
    }
  }

  /// Whole nodes of the operators that models are made of, with numbers that no exporter writes.
  @Test(arguments: ModelCase.all) func texts(_ model: ModelCase) throws {
    let text = Array(try Data(contentsOf: URL(fileURLWithPath: model.path)))
    let pieces = ["-1", "0", "9223372036854775807", "n", "f16", "i64", "bool", "[", "]", "{", "%", ",", "4611686018427387904", "1", "7", "-9223372036854775808"].map { Array($0.utf8) }
    for round in Self.first * 12..<Self.last * 12 {
      var generator = Generator(state: UInt64(text.count) << 32 | round)
      var bytes = text
      for _ in 0...generator.below(3) {
        let position = generator.below(bytes.count)
        if let digit = bytes[position...].firstIndex(where: { (48...57).contains($0) }), generator.below(4) > 0 {
          bytes.replaceSubrange(digit...digit, with: pieces[generator.below(pieces.count)])
        } else {
          bytes.replaceSubrange(position..<min(bytes.count, position + generator.below(3)), with: pieces[generator.below(pieces.count)])
        }
      }
      expectAnswer(bytes, "altered.ingot", "`\(model.name)`, alteration \(round)")
    }
  }
}
