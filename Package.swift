// swift-tools-version: 6.1
import Foundation
import PackageDescription

// LLVM 19 is found through `llvm-config`. `INGOT_LLVM_CONFIG` names another one.
func llvm(_ query: String) -> String {
  let named = Context.environment["INGOT_LLVM_CONFIG"]
  let candidates = named.map { [$0] } ?? ["/usr/bin/llvm-config-19", "/usr/lib/llvm-19/bin/llvm-config", "/usr/local/bin/llvm-config-19"]
  guard let tool = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
    fatalError(
      """
      LLVM 19 was not found (looked for \(candidates.joined(separator: ", "))).
        install it:  apt-get install llvm-19-dev libopenblas-dev libjpeg-dev libpng-dev
        or set INGOT_LLVM_CONFIG to the llvm-config of an LLVM 19 that is elsewhere.
      """)
  }
  let process = Process()
  let pipe = Pipe()
  process.executableURL = URL(fileURLWithPath: tool)
  process.arguments = [query]
  process.standardOutput = pipe
  try! process.run()
  let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  return output.trimmingCharacters(in: .whitespacesAndNewlines)
}

let llvmIncludes = llvm("--includedir")
let llvmLibraries = llvm("--libdir")

/// What every file that calls LLVM's headers is compiled with.
let usesLLVM: [SwiftSetting] = [.unsafeFlags(["-Xcc", "-I\(llvmIncludes)"])]

let package = Package(
  name: "ingot",
  products: [
    .executable(name: "ingot", targets: ["ingot"]),
    .executable(name: "ingot-runtime", targets: ["ingot-runtime"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    // Nouns.
    .target(name: "TensorTypes", path: "ir/Tensor"),
    .target(name: "GraphIR", dependencies: ["TensorTypes"], path: "ir/Graph"),
    .target(name: "KernelIR", dependencies: ["TensorTypes"], path: "ir/Kernel"),
    .target(name: "Artifact", dependencies: ["TensorTypes", "CRuntime"]),

    // The ends of the road.
    .target(
      name: "ONNXFrontend",
      dependencies: ["TensorTypes", "GraphIR"],
      exclude: ["onnx.proto"]),
    .target(name: "Interpreter", dependencies: ["TensorTypes", "GraphIR", "KernelIR"]),
    .target(name: "Lowering", dependencies: ["TensorTypes", "GraphIR", "KernelIR"]),
    .systemLibrary(name: "CLLVM"),
    .target(
      name: "LLVMCodegen", dependencies: ["TensorTypes", "KernelIR", "CLLVM"],
      swiftSettings: usesLLVM,
      linkerSettings: [.unsafeFlags(["-L\(llvmLibraries)"]), .linkedLibrary("LLVM-19")]),
    .target(name: "CRuntime"),
    .target(name: "Runtime", dependencies: ["TensorTypes", "Artifact", "CRuntime"]),

    // Verbs.
    .target(name: "Passes", dependencies: ["TensorTypes", "GraphIR", "KernelIR", "Interpreter"], path: "passes"),
    .target(
      name: "Serving",
      dependencies: [
        "TensorTypes", "Artifact", "Runtime", "CRuntime",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOPosix", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ]),
    .target(
      name: "Compiler",
      dependencies: [
        "TensorTypes", "GraphIR", "KernelIR", "Artifact", "Runtime", "Interpreter", "ONNXFrontend", "Lowering", "LLVMCodegen", "Passes", "COpenBLAS",
      ]),

    // Executables.
    .target(name: "CImageCodecs", linkerSettings: [.linkedLibrary("jpeg"), .linkedLibrary("png16")]),
    .systemLibrary(name: "COpenBLAS"),
    .executableTarget(
      name: "ingot",
      dependencies: [
        "TensorTypes", "GraphIR", "KernelIR", "Artifact", "Interpreter", "LLVMCodegen", "Runtime", "Passes", "Compiler", "CImageCodecs", "COpenBLAS",
        .product(name: "ArgumentParser", package: "swift-argument-parser"), .product(name: "Yams", package: "Yams"),
      ]),
    .executableTarget(
      name: "ingot-runtime", dependencies: ["TensorTypes", "Artifact", "Runtime", "Serving"],
      // Without symbols: they would be two thirds of every artifact.
      linkerSettings: [.unsafeFlags(["-static-stdlib", "-Xlinker", "-s", "-Xlinker", "--exclude-libs=ALL", "-Xlinker", "--no-export-dynamic"])]),

    // Tests.
    .target(name: "TestSupport", path: "Tests/TestSupport"),
    .target(name: "CSteadyState", path: "Tests/CSteadyState"),
    .target(name: "GraphTestSupport", dependencies: ["TensorTypes", "GraphIR", "Interpreter", "Passes"], path: "Tests/GraphTestSupport"),
    .testTarget(name: "TensorTypesTests", dependencies: ["TensorTypes"]),
    .testTarget(name: "GraphIRTests", dependencies: ["TensorTypes", "GraphIR"]),
    .testTarget(name: "ONNXFrontendTests", dependencies: ["TensorTypes", "GraphIR", "Interpreter", "ONNXFrontend", "TestSupport"]),
    .testTarget(name: "InterpreterTests", dependencies: ["TensorTypes", "GraphIR", "KernelIR", "Interpreter"]),
    .testTarget(name: "PassesTests", dependencies: ["TensorTypes", "GraphIR", "KernelIR", "Interpreter", "Passes", "GraphTestSupport"]),
    .executableTarget(name: "kernel-bench", dependencies: ["TensorTypes", "KernelIR", "LLVMCodegen", "CRuntime"], path: "Tests/KernelBench"),
    .target(
      name: "LoweringTestSupport", dependencies: ["TensorTypes", "GraphIR", "KernelIR", "Interpreter", "Lowering", "LLVMCodegen", "CRuntime"],
      path: "Tests/LoweringTestSupport"),
    .testTarget(name: "LoweringTests", dependencies: ["TensorTypes", "GraphIR", "KernelIR", "Lowering", "LoweringTestSupport"]),
    .executableTarget(
      name: "template-bench",
      dependencies: ["TensorTypes", "GraphIR", "KernelIR", "Lowering", "LLVMCodegen", "LoweringTestSupport", "CRuntime"], path: "Tests/TemplateBench"),
    .testTarget(name: "HouseTests"),
    .testTarget(name: "CommandLineTests", dependencies: ["TensorTypes", "Artifact", "Runtime", "TestSupport"]),
    .testTarget(name: "LLVMCodegenTests", dependencies: ["TensorTypes", "KernelIR", "LLVMCodegen", "CRuntime"]),
    .testTarget(
      name: "CompilerTests",
      dependencies: [
        "TensorTypes", "GraphIR", "KernelIR", "Artifact", "Runtime", "Interpreter", "Passes", "LLVMCodegen", "Compiler", "TestSupport", "CSteadyState",
      ],
      exclude: ["Cases"]),
    .testTarget(name: "ArtifactTests", dependencies: ["TensorTypes", "Artifact", "TestSupport"]),
    .testTarget(name: "RuntimeTests", dependencies: ["TensorTypes", "Artifact", "Runtime", "TestSupport"]),
    .testTarget(
      name: "ServingTests",
      dependencies: [
        "Serving", "Artifact", "TensorTypes",
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
      ]),
  ]
)
