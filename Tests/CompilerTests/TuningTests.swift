import Compiler
import Foundation
import GraphIR
import LLVMCodegen
import TestSupport
import Testing

/// Measured choices: what `--tune` writes, and what later compilations make of it.
@Suite("tuning") struct TuningTests {
  private static let text = """
    graph @small(%x: f32[1,8,6,6], %r: f32[9,40]) {
      %i = iota {shape = [2304], axis = 0, element = f32}
      %f = reshape %i {shape = [32, 8, 3, 3]}
      %j = iota {shape = [1920], axis = 0, element = f32}
      %w = reshape %j {shape = [40, 48]}
      %a = convolution %x, %f {strides = [1, 1], pads = [1, 1, 1, 1]}
      %b = dot %r, %w
      return %a, %b
    }

    """

  private func model(in folder: TemporaryFolder) -> String { folder.write(Array(Self.text.utf8), to: "small.ingot") }

  private func compile(_ model: String, seconds: Double? = nil, place: TuningOptions.Place = .besideModel, threads: Int = 1) throws -> CompiledModel {
    var options = CompileOptions()
    options.threads = threads
    options.tuning.seconds = seconds
    options.tuning.place = place
    return try Compiler(options: options).compile(model)
  }

  @Test(arguments: [1, 2]) func measuresAndRemembers(_ threads: Int) throws {
    let folder = TemporaryFolder()
    let model = model(in: folder)
    let tuned = try compile(model, seconds: 4, threads: threads)
    let report = try #require(tuned.tuning)
    #expect(report.kernels == 2 && report.measured == 2 && report.known == 0)
    #expect(folder.names == ["small.ingot", "small.tuning.json"])
    let file = try TuningFile(reading: TuningFile.path(besideModel: model))
    #expect(file.count == 2)
    // The same bytes with the file, whether measured just now or read.
    let later = try compile(model, threads: threads)
    #expect(later.tuning == nil)
    #expect(later.code.image == tuned.code.image)
    let choices = later.program.calls.compactMap(\.choice)
    #expect(choices.count == 2)
    for choice in choices { #expect(choice.explanation.contains("measured fastest"), "\(choice.explanation)") }
    // Nothing is measured twice.
    let again = try #require(try compile(model, seconds: 4, threads: threads).tuning)
    #expect(again.measured == 0 && again.known == 2)
    #expect(try TuningFile(reading: TuningFile.path(besideModel: model)) == file)
    // Other options are other kernels.
    #expect(try compile(model, threads: threads + 1).program.calls.compactMap(\.choice).allSatisfy { $0.reason == .estimate })
  }

  @Test func aNamedFileIsUsedAndNoneMeansNone() throws {
    let folder = TemporaryFolder()
    let model = model(in: folder), named = folder.file("elsewhere.json")
    #expect(throws: CompileError.self) { try compile(model, place: .file(named)) }
    _ = try compile(model, seconds: 4, place: .file(named))
    #expect(folder.names == ["elsewhere.json", "small.ingot"])
    func reasons(_ place: TuningOptions.Place) throws -> [Bool] { try compile(model, place: place).program.calls.compactMap(\.choice).map { $0.reason == .estimate } }
    #expect(try reasons(.file(named)) == [false, false])
    #expect(try reasons(.besideModel) == [true, true])
    #expect(try reasons(.none) == [true, true])
    #expect(try compile(model, seconds: 4, place: .none).tuning?.measured == 2)
    #expect(folder.names == ["elsewhere.json", "small.ingot"])
  }

  @Test func anAnswerThatNoCandidateHasIsRefusedAndMeasuredAgain() throws {
    let folder = TemporaryFolder()
    let model = model(in: folder)
    _ = try compile(model, seconds: 4)
    let path = TuningFile.path(besideModel: model)
    var file = try TuningFile(reading: path)
    for (machine, kernels) in file.entries {
      for (problem, entry) in kernels { file[machine, problem] = .init(best: .init(candidate: "of old", nanoseconds: 1), others: [entry.best]) }
    }
    try file.write(to: path)
    let error = #expect(throws: CompileError.self) { try compile(model) }
    #expect(error?.description.contains("of old") == true && error?.exitCode == 2)
    #expect(try compile(model, seconds: 4).tuning?.measured == 2)
    _ = try compile(model)
  }

  @Test(arguments: ["", "{", "[]", "{\"format\": \"ingot-tuning\"}", "{\"format\": \"ingot-tuning\", \"version\": 99, \"machines\": []}",
    "{\"format\": \"ingot-tuning\", \"version\": 1, \"machines\": [{}]}",
    "{\"format\": \"ingot-tuning\", \"version\": 1, \"machines\": [{\"cpu\": \"a\", \"features\": [], \"kernels\": [{\"kernel\": \"k\"}]}]}",
    "{\"format\": \"ingot-tuning\", \"version\": 1, \"machines\": [{\"cpu\": \"a\", \"features\": [], \"kernels\": [{\"kernel\": \"k\", \"candidate\": \"c\", \"nanoseconds\": -1}]}]}"])
  func aDamagedFileIsAnError(_ text: String) throws {
    let folder = TemporaryFolder()
    let model = model(in: folder)
    folder.write(Array(text.utf8), to: "small.tuning.json")
    let error = #expect(throws: CompileError.self) { try compile(model) }
    #expect(error?.description.contains("small.tuning.json") == true)
    #expect(error?.exitCode == 1)
  }

  /// A pipe would be waited for without end.
  @Test func aPipeIsNoTuningFile() throws {
    let folder = TemporaryFolder()
    let path = folder.file("pipe.json")
    try #require(mkfifo(path, 0o600) == 0)
    #expect(throws: CompileError.self) { try TuningFile(reading: path) }
  }

  @Test func filesMerge() throws {
    let (old, new) = (TuningFile.Machine(cpu: "old", features: ["a"]), TuningFile.Machine(cpu: "new", features: ["a", "b"]))
    func entry(_ name: String, _ nanoseconds: Int) -> TuningFile.Entry {
      .init(best: .init(candidate: name, nanoseconds: nanoseconds), others: [.init(candidate: "other \"one\"", nanoseconds: nanoseconds + 1)])
    }
    var (a, b) = (TuningFile(), TuningFile())
    a[old, "one"] = entry("first", 10)
    a[old, "two"] = entry("first", 20)
    b[old, "two"] = entry("second", 30)
    b[new, "one"] = entry("second", 40)
    var merged = a
    merged.merge(b)
    #expect(merged.count == 3)
    #expect(merged[old, "one"] == a[old, "one"] && merged[old, "two"] == b[old, "two"] && merged[new, "one"] == b[new, "one"])
    let folder = TemporaryFolder()
    try merged.write(to: folder.file("merged.json"))
    #expect(try TuningFile(reading: folder.file("merged.json")) == merged)
    // The text does not depend on the order in which entries came.
    var other = b
    other.merge(a)
    other[old, "two"] = b[old, "two"]
    #expect(other.text == merged.text)
  }

  @Test func symbolicKernelsAreCounted() throws {
    let folder = TemporaryFolder()
    let text = Self.text.replacingOccurrences(of: "%r: f32[9,40]", with: "%r: f32[rows,40]")
    let report = try #require(try compile(folder.write(Array(text.utf8), to: "small.ingot"), seconds: 4).tuning)
    #expect(report.kernels == 1 && report.symbolic == 1)
  }

  @Test func anotherMachineIsNotMeasured() throws {
    let folder = TemporaryFolder()
    var options = CompileOptions()
    options.tuning.seconds = 0.1
    options.target = "graniterapids"
    let host = try Compiler(options: CompileOptions()).compile(model(in: folder)).target
    guard !host.has("avx512fp16") else { return }
    #expect(throws: CompileError.self) { try Compiler(options: options).compile(model(in: folder)) }
  }
}
