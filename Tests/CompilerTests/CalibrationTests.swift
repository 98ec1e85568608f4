import Compiler
import Foundation
import GraphIR
import Runtime
import TensorTypes
import TestSupport
import Testing

@Suite("calibration") struct CalibrationTests {
  private static let model = """
    graph @main(%x: f32[n,2]) {
      %w = constant dense [1, 2, 3, 4] : f32[2,2]
      %h = dot %x, %w : f32[n,2]
      %y = tanh %h : f32[n,2]
      return %y as "y"
    }
    """

  private func folder() throws -> String {
    let path = NSTemporaryDirectory() + "ingot-calibration-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    return path
  }

  private func value(_ name: String, of graph: Graph) throws -> ValueID {
    let ids = graph.inputs + graph.topologicalOrder().flatMap { graph.node($0).results }
    return try #require(ids.first { graph.value($0).name == name })
  }

  @Test func showsInputsAndValuesInside() throws {
    let graph = try Graph(text: Self.model, file: "m.ingot")
    let (x, h) = (try value("x", of: graph), try value("h", of: graph))
    let calibration = try Calibration(graph, watching: [x, h], options: CompileOptions())
    var seen: [ValueID: [Double]] = [:]
    let results = try calibration.run([Tensor(.f32, [1, 2], [0.5, -1])]) { value, tensor in seen[value] = tensor.doubles }
    #expect(seen == [x: [0.5, -1], h: [-2.5, -3]])
    #expect(results.count == 1 && abs(results[0].doubles[0] - tanh(-2.5)) < 1e-5)
  }

  @Test func readsAFolderInTheOrderOfItsNames() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for position in 0..<5 { try NumPyFile.write(Tensor(.f32, [1, 2], [Double(position), 0]), to: "\(folder)/\(position).npy") }
    let graph = try Graph(text: Self.model, file: "m.ingot")
    var options = CalibrationOptions(path: folder)
    options.maximumSamples = 2
    let samples = try CalibrationSamples(options, for: graph)
    #expect(samples.count == 2)
    #expect(try (0..<2).map { try samples.tensors($0)[0].doubles[0] } == [0, 2])
  }

  @Test func readsArraysOneBehindTheOther() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let arrays = try (1...3).map { try NumPyFile.encode(Tensor(.f32, [$0, 2], [Double](repeating: Double($0), count: 2 * $0))) }
    try Data(arrays.flatMap { $0 }).write(to: URL(fileURLWithPath: "\(folder)/all.npy"))
    let samples = try CalibrationSamples(CalibrationOptions(path: "\(folder)/all.npy"), for: Graph(text: Self.model, file: "m.ingot"))
    #expect(samples.count == 3)
    #expect(try samples.tensors(2).map(\.dimensions) == [[3, 2]])
  }

  @Test func readsTestDataFolders() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for sample in ["a", "b"] {
      try FileManager.default.createDirectory(atPath: "\(folder)/\(sample)", withIntermediateDirectories: true)
      try NumPyFile.write(Tensor(.f32, [1, 2], [1, 2]), to: "\(folder)/\(sample)/x.npy")
    }
    let samples = try CalibrationSamples(CalibrationOptions(path: folder), for: Graph(text: Self.model, file: "m.ingot"))
    #expect(samples.count == 2)
    #expect(try samples.tensors(1)[0].doubles == [1, 2])
  }

  @Test func namesTheFileThatDoesNotFit() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try NumPyFile.write(Tensor(.f32, [1, 3], [0, 0, 0]), to: "\(folder)/wide.npy")
    let samples = try CalibrationSamples(CalibrationOptions(path: folder), for: Graph(text: Self.model, file: "m.ingot"))
    let error = #expect(throws: CompileError.self) { try samples.tensors(0) }
    let message = error?.message ?? ""
    #expect(message.contains("wide.npy holds f32[1,3]") && message.contains("`x` takes f32[n,2]"))
    #expect(error?.exitCode == 1)
  }

  @Test func refusesAnEmptyFolder() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let error = #expect(throws: CompileError.self) { try CalibrationSamples(CalibrationOptions(path: folder), for: Graph(text: Self.model, file: "m.ingot")) }
    #expect(error?.message.contains("holds no samples") == true)
  }
}
