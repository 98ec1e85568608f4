import Artifact
import Runtime
import TensorTypes

/// Tiny models in hand-assembled x86-64, so that the runtime is tested without a compiler.
/// System V arguments: context rdi, inputs rsi, outputs rdx, constants rcx, arena r8, symbols r9.
enum MachineCode {
  /// Copies `symbols[0]` floats from the first input to the first output.
  static let copy: [UInt8] = [
    0x48, 0x8b, 0x3a,  // mov rdi, [rdx]
    0x48, 0x8b, 0x36,  // mov rsi, [rsi]
    0x49, 0x8b, 0x09,  // mov rcx, [r9]
    0x48, 0xc1, 0xe1, 0x02,  // shl rcx, 2
    0xf3, 0xa4,  // rep movsb
    0x31, 0xc0, 0xc3,  // xor eax, eax; ret
  ]

  /// Copies the first constant through the arena to the first output.
  static let constantThroughArena: [UInt8] = [
    0x8b, 0x01,  // mov eax, [rcx]
    0x41, 0x89, 0x00,  // mov [r8], eax
    0x41, 0x8b, 0x00,  // mov eax, [r8]
    0x48, 0x8b, 0x12,  // mov rdx, [rdx]
    0x89, 0x02,  // mov [rdx], eax
    0x31, 0xc0, 0xc3,
  ]

  /// Returns code 2.
  static let failing: [UInt8] = [0xb8, 0x02, 0x00, 0x00, 0x00, 0xc3]

  /// Sets `symbols[1]` to a value below 128.
  static func computing(_ value: UInt8) -> [UInt8] { [0x49, 0xc7, 0x41, 0x08, value, 0, 0, 0, 0x31, 0xc0, 0xc3] }

  /// Adds 7 cycles to step 0 if there is a profile.
  static let profiling: [UInt8] = [
    0x48, 0x8b, 0x47, 0x18,  // mov rax, [rdi + 24]
    0x48, 0x85, 0xc0,  // test rax, rax
    0x74, 0x04,  // je over the next
    0x48, 0x83, 0x00, 0x07,  // add qword [rax], 7
    0x31, 0xc0, 0xc3,
  ]

  /// A model with one input `x` and one output `y`.
  static func model(
    _ code: [UInt8], input: TensorType, output: TensorType, constants: [ConstantChunk] = [], constantsBytes: Int = 0,
    change: (inout Manifest) -> Void = { _ in }
  ) throws -> Model {
    var manifest = Manifest(
      modelName: "test", inputs: [.init(name: "x", type: input)], outputs: [.init(name: "y", type: output)],
      target: .init(name: "x86-64", requiredFeatures: []))
    manifest.symbols = input.shape.symbols
    change(&manifest)
    return Model(
      code: try CodeImage(copying: code, entryOffset: manifest.entryOffset),
      constants: try ConstantImage(copying: constants, byteCount: constantsBytes), manifest: manifest)
  }
}
