import KernelIR
import LLVMCodegen
import Testing
import TensorTypes

@Suite("image linker") struct ImageLinkerTests {
  private func objects() throws -> [[UInt8]] {
    var kernel = map(.f32, .f32, count: nil) { .unary(.exponential, $0) }
    kernel.name = "large"
    return try emitObjects(program(of: kernel), for: Target.host())
  }

  @Test func linksAndNamesFunctions() throws {
    let objects = try objects()
    #expect(objects.count == 2)
    let image = try ImageLinker.link(objects)
    #expect(image.offset(of: "ingot_entry") != nil)
    #expect(image.functions.contains { $0.name.contains("large") && $0.byteCount > 0 })
  }

  @Test func missingFunctionsAreNamed() throws {
    let objects = try objects()
    do {
      _ = try ImageLinker.link([objects[0]])
      Issue.record("linked without the kernel")
    } catch {
      #expect("\(error)".contains("k0.large"))
    }
  }

  @Test func duplicatesAreRefused() throws {
    let objects = try objects()
    #expect(throws: CodegenError.self) { try ImageLinker.link(objects + [objects[1]]) }
  }

  @Test func truncatedObjectsAreRefused() throws {
    let objects = try objects()
    for count in stride(from: 0, to: objects[1].count - 1, by: 97) {
      #expect(throws: CodegenError.self, "\(count) bytes") { try ImageLinker.link([objects[0], Array(objects[1].prefix(count))]) }
    }
  }

  /// Any damage either goes unnoticed (a byte of code) or is refused; nothing traps.
  @Test func damagedObjectsNeverTrap() throws {
    let objects = try objects()
    var state: UInt64 = 11
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    var refused = 0
    for round in 0..<4000 {
      var damaged = objects[round % 2]
      // Half of the damage goes to the header and the section table at the end.
      for _ in 0...next(3) {
        let place = round % 4 < 2 ? next(damaged.count) : next(2) == 0 ? next(64) : damaged.count - 1 - next(min(damaged.count, 1200))
        damaged[place] = UInt8(truncatingIfNeeded: next(256))
      }
      do { _ = try ImageLinker.link(round % 2 == 0 ? [damaged, objects[1]] : [objects[0], damaged]) } catch { refused += 1 }
    }
    #expect(refused > 100)
  }
}
