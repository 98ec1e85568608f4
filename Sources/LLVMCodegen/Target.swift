internal import CLLVM

/// The machine that code is generated for.
///
/// Code uses exactly the instructions in `features`: the base is a level of the x86-64 psABI, further
/// extensions are named one by one, and the CPU's name only tunes. So an artifact can state what it needs.
public struct Target: Sendable, Hashable {
  /// The name it was made from; `native` becomes the name of the machine.
  public let cpu: String
  /// The level of the psABI that is the base: `x86-64-v2`, `-v3` or `-v4`.
  let level: String
  /// Extensions beyond the level.
  let extensions: [String]
  /// Whose instruction costs LLVM schedules for.
  let tuning: String

  /// The machine this process runs on.
  public static func host() throws(CodegenError) -> Target { try Target(named: "native") }

  /// - Parameter name: `native`, `x86-64-v2`, `x86-64-v3`, `x86-64-v4`, or an LLVM CPU name.
  public init(named name: String) throws(CodegenError) {
    if name == "native" {
      self = try Self.detect()
      return
    }
    guard let known = Self.table[name] else { throw CodegenError(.unknownTarget(name: name, known: Self.knownNames)) }
    // In one order, so that a machine and its name give the same bytes.
    (cpu, level, extensions) = (name, known.level, Self.usefulExtensions.filter(known.extensions.contains))
    tuning = known.level == name ? (known.level == "x86-64-v4" ? "znver4" : "generic") : name
  }

  private init(cpu: String, level: String, extensions: [String]) {
    (self.cpu, self.level, self.extensions, self.tuning) = (cpu, level, extensions, cpu)
  }

  /// Every instruction set extension the code may use, as LLVM spells them; for the manifest.
  public var features: [String] { Self.levels.prefix { $0.name <= level }.flatMap(\.adds) + extensions }

  public func has(_ feature: String) -> Bool { features.contains(feature) }

  /// Bytes of the widest vector register.
  public var vectorBytes: Int { level == "x86-64-v4" ? 64 : level == "x86-64-v3" ? 32 : 16 }
  /// Number of vector registers.
  public var registerCount: Int { level == "x86-64-v4" ? 32 : 16 }
  public var hasFMA: Bool { level >= "x86-64-v3" }
  public var hasF16C: Bool { level >= "x86-64-v3" }
  public var hasAVX512: Bool { level == "x86-64-v4" }
  /// u8 x s8 dot products of four (`vpdpbusd`) at full vector width.
  public var hasVNNI: Bool { extensions.contains("avx512vnni") || (!hasAVX512 && extensions.contains("avxvnni")) }
  /// bf16 dot products of two (`vdpbf16ps`).
  public var hasBF16: Bool { extensions.contains("avx512bf16") }

  /// The target for LLVM's `target-features`.
  var featureString: String { extensions.map { "+\($0)" }.joined(separator: ",") }

  // MARK: Tables

  private static let levels: [(name: String, adds: [String])] = [
    ("x86-64-v2", ["cx16", "sahf", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3", "crc32"]),
    ("x86-64-v3", ["avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"]),
    ("x86-64-v4", ["avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"]),
  ]

  /// Extensions that help kernels; others of the machine are left alone.
  private static let usefulExtensions = ["avx512vnni", "avx512bf16", "avx512vbmi", "avx512vbmi2", "avxvnni", "avx512fp16"]

  private static let iceLake = ["avx512vnni", "avx512vbmi", "avx512vbmi2"]
  private static let table: [String: (level: String, extensions: [String])] = [
    "x86-64-v2": ("x86-64-v2", []), "x86-64-v3": ("x86-64-v3", []), "x86-64-v4": ("x86-64-v4", []),
    "nehalem": ("x86-64-v2", []), "westmere": ("x86-64-v2", []), "sandybridge": ("x86-64-v2", []), "ivybridge": ("x86-64-v2", []),
    "haswell": ("x86-64-v3", []), "broadwell": ("x86-64-v3", []), "skylake": ("x86-64-v3", []),
    "alderlake": ("x86-64-v3", ["avxvnni"]), "raptorlake": ("x86-64-v3", ["avxvnni"]),
    "skylake-avx512": ("x86-64-v4", []), "cascadelake": ("x86-64-v4", ["avx512vnni"]),
    "cooperlake": ("x86-64-v4", ["avx512vnni", "avx512bf16"]),
    "icelake-client": ("x86-64-v4", iceLake), "icelake-server": ("x86-64-v4", iceLake), "tigerlake": ("x86-64-v4", iceLake),
    "rocketlake": ("x86-64-v4", iceLake),
    "sapphirerapids": ("x86-64-v4", iceLake + ["avx512bf16", "avxvnni", "avx512fp16"]),
    "emeraldrapids": ("x86-64-v4", iceLake + ["avx512bf16", "avxvnni", "avx512fp16"]),
    "graniterapids": ("x86-64-v4", iceLake + ["avx512bf16", "avxvnni", "avx512fp16"]),
    "znver1": ("x86-64-v3", []), "znver2": ("x86-64-v3", []), "znver3": ("x86-64-v3", []),
    "znver4": ("x86-64-v4", iceLake + ["avx512bf16"]), "znver5": ("x86-64-v4", iceLake + ["avx512bf16", "avxvnni"]),
  ]

  /// What `init(named:)` accepts.
  public static var knownNames: [String] { ["native"] + table.keys.sorted() }

  private static func detect() throws(CodegenError) -> Target {
    #if arch(x86_64)
    guard let rawName = LLVMGetHostCPUName(), let rawFeatures = LLVMGetHostCPUFeatures() else {
      throw CodegenError(.unsupportedHost("LLVM cannot name it"))
    }
    defer {
      LLVMDisposeMessage(rawName)
      LLVMDisposeMessage(rawFeatures)
    }
    let present = Set(String(cString: rawFeatures).split(separator: ",").filter { $0.hasPrefix("+") }.map { String($0.dropFirst()) })
    guard let level = levels.prefix(while: { $0.adds.allSatisfy(present.contains) }).last?.name else {
      throw CodegenError(.unsupportedHost("it is below x86-64-v2"))
    }
    return Target(cpu: String(cString: rawName), level: level, extensions: usefulExtensions.filter { present.contains($0) && (level == "x86-64-v4" || !$0.hasPrefix("avx512")) })
    #else
    throw CodegenError(.unsupportedHost("it is no x86-64 machine"))
    #endif
  }
}
