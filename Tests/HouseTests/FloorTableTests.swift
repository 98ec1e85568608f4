import Testing

/// Who may import whom. Data flows from left to right:
/// TensorTypes <- GraphIR, KernelIR, Artifact <- Interpreter, ONNXFrontend, Lowering, LLVMCodegen, Runtime <- Passes, Serving <- Compiler <- ingot.
@Suite("floor table") struct FloorTableTests {
  private static let system: Set = ["Glibc", "Synchronization"]
  private static let nouns: Set = ["TensorTypes", "GraphIR", "KernelIR", "Artifact"]
  private static let network: Set = ["NIOCore", "NIOPosix", "NIOHTTP1", "NIOConcurrencyHelpers", "NIOFoundationCompat", "Logging"]

  /// For each target: its folder, and everything that its files may import. What an artifact links has no Foundation (44 MB).
  private static let table: [(folder: String, may: Set<String>)] = [
    ("ir/Tensor", system),
    ("ir/Graph", system.union(["TensorTypes"])),
    ("ir/Kernel", system.union(["TensorTypes"])),
    ("Sources/Artifact", system.union(["TensorTypes", "CRuntime"])),
    ("Sources/Interpreter", system.union(["TensorTypes", "GraphIR", "KernelIR", "Foundation"])),
    ("Sources/ONNXFrontend", system.union(["TensorTypes", "GraphIR"])),
    ("Sources/Lowering", system.union(["TensorTypes", "GraphIR", "KernelIR", "Foundation"])),
    ("Sources/LLVMCodegen", system.union(["TensorTypes", "KernelIR", "CLLVM", "Foundation"])),
    ("Sources/Runtime", system.union(["TensorTypes", "Artifact", "CRuntime"])),
    ("passes", system.union(["TensorTypes", "GraphIR", "KernelIR", "Interpreter", "Foundation"])),
    ("Sources/Serving", system.union(["TensorTypes", "Artifact", "Runtime", "CRuntime"]).union(network)),
    (
      "Sources/Compiler",
      system.union(nouns).union(["Interpreter", "ONNXFrontend", "Lowering", "LLVMCodegen", "Runtime", "Passes", "COpenBLAS", "Foundation"])
    ),
    (
      "Sources/ingot",
      system.union(nouns).union([
        "Interpreter", "LLVMCodegen", "Runtime", "Passes", "Compiler", "CImageCodecs", "COpenBLAS", "ArgumentParser", "Foundation", "Yams",
      ])
    ),
    ("Sources/ingot-runtime", system.union(["TensorTypes", "Artifact", "Runtime", "Serving"])),
  ]

  @Test(arguments: table.map(\.folder)) func importsOnlyWhatLiesBelow(_ folder: String) throws {
    let may = Self.table.first { $0.folder == folder }?.may ?? []
    for file in try SourceTree.files(below: [folder], endingIn: [".swift"]) {
      for (number, line) in file.lines.enumerated() {
        guard let module = Self.importedModule(line) else { continue }
        #expect(may.contains(module), "\(file):\(number + 1) imports \(module), which lies above or beside it")
      }
    }
  }

  @Test func everyFolderIsInTheTable() throws {
    let folders = Set(Self.table.map(\.folder))
    for file in try SourceTree.productSources() {
      #expect(folders.contains { file.path.hasPrefix($0 + "/") }, "\(file) belongs to no target of the floor table")
    }
  }

  @Test func readsEveryFormOfImport() {
    #expect(Self.importedModule("import GraphIR") == "GraphIR")
    #expect(Self.importedModule("  internal import CLLVM  // LLVM") == "CLLVM")
    #expect(Self.importedModule("@preconcurrency public import Foundation") == "Foundation")
    #expect(Self.importedModule("import struct Foundation.Data") == "Foundation")
    #expect(Self.importedModule("package import Artifact;") == "Artifact")
    #expect(Self.importedModule("// import GraphIR") == nil)
    #expect(Self.importedModule("let important = 1") == nil)
  }

  /// The module that a line imports, if it is an import.
  static func importedModule(_ line: Substring) -> String? {
    var words = line.split(whereSeparator: { $0 == " " || $0 == "\t" || $0 == ";" })[...]
    while let word = words.first, word.hasPrefix("@") || ["public", "package", "internal", "fileprivate", "private"].contains(word) { words.removeFirst() }
    guard words.first == "import" else { return nil }
    words.removeFirst()
    if let kind = words.first, ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"].contains(kind) { words.removeFirst() }
    return words.first.map { String($0.prefix { $0 != "." }) }
  }
}
