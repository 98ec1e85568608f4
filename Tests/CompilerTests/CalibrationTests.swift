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

  // MARK: What cannot be learned from

  /// What the calibration says about samples of a model with one input `x: f32[n,2]`, or of another one.
  private func complaint(_ samples: [Tensor], model: String = Self.model) throws -> CompileError? {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    for (position, sample) in samples.enumerated() { try NumPyFile.write(sample, to: "\(folder)/\(position).npy") }
    let graph = try Graph(text: model, file: "m.ingot")
    let calibration = try Calibration(graph, watching: [], options: CompileOptions())
    do {
      try calibration.run(CalibrationSamples(CalibrationOptions(path: folder), for: graph)) { _, _, _ in }
      return nil
    } catch { return error }
  }

  @Test func saysHowToMendASample() throws {
    #expect(try complaint([Tensor(.f64, [1, 2], [0, 1])])?.hint == "write it as f32: array.astype(numpy.float32)")
    #expect(try complaint([Tensor(.f32, [2], [0, 1])])?.hint == "its first axis is missing: array[None]")
    #expect(try complaint([Tensor(.f32, [1, 1, 2], [0, 1])])?.hint == "its first axis is one too many: array[0]")
    #expect(try complaint([Tensor(.f32, [2, 1, 2], [0, 1, 2, 3])])?.hint == "a file holds one sample: write each array[i] by itself")
    let picture = """
      graph @main(%x: f32[1,3,4,5]) {
        %y = tanh %x : f32[1,3,4,5]
        return %y as "y"
      }
      """
    let error = try complaint([Tensor(.f32, [1, 4, 5, 3], (0..<60).map(Double.init))], model: picture)
    #expect(error?.hint == "its axes are in another order: array.transpose(0, 3, 1, 2)")
    #expect(error?.message.contains("0.npy holds f32[1,4,5,3], but input `x` takes f32[1,3,4,5]") == true)
  }

  @Test func tensorsOfASampleHaveToAgree() throws {
    let model = """
      graph @main(%a: f32[n,2], %b: f32[n,2]) {
        %y = add %a, %b : f32[n,2]
        return %y as "y"
      }
      """
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let arrays = try [NumPyFile.encode(Tensor(.f32, [1, 2], [0, 1])), NumPyFile.encode(Tensor(.f32, [2, 2], [0, 1, 2, 3]))]
    try Data(arrays.flatMap { $0 }).write(to: URL(fileURLWithPath: "\(folder)/all.npy"))
    let samples = try CalibrationSamples(CalibrationOptions(path: "\(folder)/all.npy"), for: Graph(text: model, file: "m.ingot"))
    let error = #expect(throws: CompileError.self) { try samples.tensors(0) }
    #expect(error?.hint == "another tensor of this sample has n = 1, this one 2")
  }

  @Test func refusesWhatIsNoNumber() throws {
    let error = try complaint([Tensor(.f32, [2, 2], [0, 1, 2, 3]), Tensor(.f32, [5, 2], (0..<10).map { $0 == 9 ? .nan : Double($0) })])
    #expect(error?.message.contains("element [4, 1] of input `x` is NaN in sample") == true && error?.message.contains("1.npy") == true)
    #expect(error?.exitCode == 1)
    #expect(try complaint([Tensor(.f32, [2, 2], [0, 1, 2, .infinity])]) == nil)
  }

  @Test func refusesSamplesThatNeverChange() throws {
    let error = try complaint([Tensor(.f32, [1, 2], [7, 7]), Tensor(.f32, [1, 2], [7, 7])])
    #expect(error?.message.contains("every number of `x` is 7 in all 2 samples of") == true)
    #expect(try complaint([Tensor(.f32, [1, 2], [7, 7]), Tensor(.f32, [1, 2], [8, 8])]) == nil)
    #expect(try complaint([Tensor(.f32, [1, 2], [.infinity, -.infinity])])?.message.contains("no number of `x` is finite in the one sample") == true)
  }

  @Test func readsWhatAScriptWritesIntoAPipe() throws {
    let folder = try folder()
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let pipe = folder + "/pipe"
    try #require(mkfifo(pipe, 0o600) == 0)
    let arrays = try (1...3).flatMap { try NumPyFile.encode(Tensor(.f32, [$0, 2], [Double](repeating: Double($0), count: 2 * $0))) }
    let feed = Process()
    feed.executableURL = URL(fileURLWithPath: "/bin/sh")
    try Data(arrays).write(to: URL(fileURLWithPath: folder + "/all"))
    feed.arguments = ["-c", "cat '\(folder)/all' > '\(pipe)'"]
    try feed.run()
    let samples = try CalibrationSamples(CalibrationOptions(path: pipe), for: Graph(text: Self.model, file: "m.ingot"))
    feed.waitUntilExit()
    #expect(samples.count == 3)
    #expect(try samples.tensors(2).map(\.dimensions) == [[3, 2]])
    // What ends in the middle of an array, as when the script fails.
    try Data(arrays.dropLast(4)).write(to: URL(fileURLWithPath: folder + "/all.npy"))
    let error = #expect(throws: CompileError.self) { try CalibrationSamples(CalibrationOptions(path: folder + "/all.npy"), for: Graph(text: Self.model, file: "m.ingot")) }
    #expect(error?.message.contains("what follows array 2 is no array") == true)
    #expect(error?.hint?.contains("numpy.save") == true)
  }
}
