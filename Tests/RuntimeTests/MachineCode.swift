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

  /// Sets `symbols[1]` to a value below 128, writes 2.0 to the arena and says that the first output lies there; or fails with `code`.
  static func computing(_ value: UInt8, code: UInt8 = 0) -> [UInt8] {
    [
      0x49, 0xc7, 0x41, 0x08, value, 0, 0, 0,  // mov qword [r9 + 8], value
      0x41, 0xc7, 0x00, 0, 0, 0, 0x40,  // mov dword [r8], 2.0
      0x4c, 0x89, 0x02,  // mov [rdx], r8
      0xb8, code, 0, 0, 0, 0xc3,  // mov eax, code; ret
    ]
  }

  /// Adds 7 cycles to step 0 if there is a profile.
  static let profiling: [UInt8] = [
    0x48, 0x8b, 0x47, 0x18,  // mov rax, [rdi + 24]
    0x48, 0x85, 0xc0,  // test rax, rax
    0x74, 0x04,  // je over the next
    0x48, 0x83, 0x00, 0x07,  // add qword [rax], 7
    0x31, 0xc0, 0xc3,
  ]

  /// Adds 1 to each of the first `symbols[0]` 32-bit integers of the first output, in one parallel loop.
  static let parallelCount: [UInt8] = [
    0x48, 0x83, 0xec, 0x08,  // sub rsp, 8
    0x48, 0x8b, 0x07,  // mov rax, [rdi]: context->parallel
    0x49, 0x8b, 0x09,  // mov rcx, [r9]: how many iterations
    0x48, 0x8b, 0x12,  // mov rdx, [rdx]: the output is the closure
    0x48, 0x8d, 0x35, 0x09, 0, 0, 0,  // lea rsi, [body]
    0xff, 0xd0,  // call rax
    0x31, 0xc0,  // xor eax, eax
    0x48, 0x83, 0xc4, 0x08, 0xc3,  // add rsp, 8; ret
    // body: rdi closure, rsi begin, rdx end
    0x48, 0x39, 0xd6,  // cmp rsi, rdx
    0x7d, 0x08,  // jge over the loop
    0xff, 0x04, 0xb7,  // inc dword [rdi + 4 * rsi]
    0x48, 0xff, 0xc6,  // inc rsi
    0xeb, 0xf3,  // jmp body
    0xc3,
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
