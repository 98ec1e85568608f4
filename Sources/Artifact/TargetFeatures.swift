import CRuntime

/// The instruction set extensions of an x86-64 machine, named as LLVM names them.
///
/// A feature counts only if the operating system saves the registers that it uses.
public struct TargetFeatures: Sendable, Hashable {
  public var names: Set<String>

  public init(names: Set<String>) { self.names = names }

  /// The machine this process runs on.
  public static let host = TargetFeatures(names: detect())

  public func contains(_ name: String) -> Bool { names.contains(name) }

  /// Those of `required` that are not here, in their order.
  public func missing(from required: [String]) -> [String] { required.filter { !names.contains($0) } }

  /// Sorted by name.
  public var sorted: [String] { names.sorted() }

  /// What each level of the x86-64 psABI adds to the one before it.
  public static let levels: [(name: String, adds: [String])] = [
    ("x86-64-v2", ["cx16", "sahf", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3"]),
    ("x86-64-v3", ["avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"]),
    ("x86-64-v4", ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
  ]

  /// The highest psABI level that these features reach, such as `x86-64-v3`.
  public var level: String {
    var reached = "x86-64"
    for (name, adds) in Self.levels {
      guard missing(from: adds).isEmpty else { break }
      reached = name
    }
    return reached
  }

  // MARK: Detection

  private enum Register: Int { case eax, ebx, ecx, edx }

  /// Which registers the system has to save for a feature to be usable.
  private enum State { case none, avx, avx512, amx }

  private struct Bit {
    var leaf: UInt32
    var subleaf: UInt32
    var register: Register
    var position: UInt32
    var name: String
    var state: State

    init(_ leaf: UInt32, _ subleaf: UInt32, _ register: Register, _ position: UInt32, _ name: String, _ state: State = .none) {
      self.leaf = leaf
      self.subleaf = subleaf
      self.register = register
      self.position = position
      self.name = name
      self.state = state
    }
  }

  /// Intel SDM volume 2A, CPUID; AMD APM volume 3, appendix E.
  private static let bits: [Bit] = [
    Bit(1, 0, .edx, 25, "sse"), Bit(1, 0, .edx, 26, "sse2"),
    Bit(1, 0, .ecx, 0, "sse3"), Bit(1, 0, .ecx, 1, "pclmul"), Bit(1, 0, .ecx, 9, "ssse3"), Bit(1, 0, .ecx, 13, "cx16"),
    Bit(1, 0, .ecx, 19, "sse4.1"), Bit(1, 0, .ecx, 20, "sse4.2"), Bit(1, 0, .ecx, 20, "crc32"), Bit(1, 0, .ecx, 22, "movbe"),
    Bit(1, 0, .ecx, 23, "popcnt"), Bit(1, 0, .ecx, 25, "aes"), Bit(1, 0, .ecx, 27, "xsave"),
    Bit(1, 0, .ecx, 12, "fma", .avx), Bit(1, 0, .ecx, 28, "avx", .avx), Bit(1, 0, .ecx, 29, "f16c", .avx),
    Bit(1, 0, .ecx, 30, "rdrnd"),
    Bit(7, 0, .ebx, 0, "fsgsbase"), Bit(7, 0, .ebx, 3, "bmi"), Bit(7, 0, .ebx, 5, "avx2", .avx), Bit(7, 0, .ebx, 8, "bmi2"),
    Bit(7, 0, .ebx, 18, "rdseed"), Bit(7, 0, .ebx, 19, "adx"), Bit(7, 0, .ebx, 23, "clflushopt"), Bit(7, 0, .ebx, 24, "clwb"),
    Bit(7, 0, .ebx, 29, "sha"),
    Bit(7, 0, .ebx, 16, "avx512f", .avx512), Bit(7, 0, .ebx, 17, "avx512dq", .avx512), Bit(7, 0, .ebx, 21, "avx512ifma", .avx512),
    Bit(7, 0, .ebx, 28, "avx512cd", .avx512), Bit(7, 0, .ebx, 30, "avx512bw", .avx512), Bit(7, 0, .ebx, 31, "avx512vl", .avx512),
    Bit(7, 0, .ecx, 1, "avx512vbmi", .avx512), Bit(7, 0, .ecx, 6, "avx512vbmi2", .avx512), Bit(7, 0, .ecx, 8, "gfni"),
    Bit(7, 0, .ecx, 9, "vaes", .avx), Bit(7, 0, .ecx, 10, "vpclmulqdq", .avx), Bit(7, 0, .ecx, 11, "avx512vnni", .avx512),
    Bit(7, 0, .ecx, 12, "avx512bitalg", .avx512), Bit(7, 0, .ecx, 14, "avx512vpopcntdq", .avx512),
    Bit(7, 0, .edx, 8, "avx512vp2intersect", .avx512), Bit(7, 0, .edx, 23, "avx512fp16", .avx512),
    Bit(7, 0, .edx, 22, "amx-bf16", .amx), Bit(7, 0, .edx, 24, "amx-tile", .amx), Bit(7, 0, .edx, 25, "amx-int8", .amx),
    Bit(7, 1, .eax, 4, "avxvnni", .avx), Bit(7, 1, .eax, 5, "avx512bf16", .avx512), Bit(7, 1, .eax, 23, "avxifma", .avx),
    Bit(7, 1, .edx, 4, "avxvnniint8", .avx), Bit(7, 1, .edx, 5, "avxneconvert", .avx), Bit(7, 1, .edx, 10, "avxvnniint16", .avx),
    Bit(0x8000_0001, 0, .ecx, 0, "sahf"), Bit(0x8000_0001, 0, .ecx, 5, "lzcnt"), Bit(0x8000_0001, 0, .ecx, 6, "sse4a"),
    Bit(0x8000_0001, 0, .ecx, 8, "prfchw"),
  ]

  private static func detect() -> Set<String> {
    let saved = ingot_xcr0()
    func isSaved(_ state: State) -> Bool {
      switch state {
      case .none: true
      case .avx: saved & 0x6 == 0x6
      case .avx512: saved & 0xe6 == 0xe6
      case .amx: saved & 0x60000 == 0x60000
      }
    }
    var found: Set<String> = []
    for bit in bits {
      var registers: (UInt32, UInt32, UInt32, UInt32) = (0, 0, 0, 0)
      let word = withUnsafeMutableBytes(of: &registers) { bytes in
        let words = bytes.assumingMemoryBound(to: UInt32.self)
        ingot_cpuid(bit.leaf, bit.subleaf, words.baseAddress)
        return words[bit.register.rawValue]
      }
      if word >> bit.position & 1 == 1, isSaved(bit.state) { found.insert(bit.name) }
    }
    return found
  }
}
