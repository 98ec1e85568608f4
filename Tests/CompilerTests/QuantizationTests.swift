import Compiler
import Foundation
import GraphIR
import Passes
import Runtime
import TensorTypes
import TestSupport
import Testing

/// A small classifier in a folder of its own, with samples.
private final class QuantizedModel {
  let folder: String
  var path: String { folder + "/model.ingot" }
  var samples: String { folder + "/samples" }

  init() throws {
    folder = NSTemporaryDirectory() + "ingot-quantization-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: samples, withIntermediateDirectories: true)
    func list(_ count: Int, seed: UInt64) -> String { "dense [" + numbers(count, seed: seed).map { "\(Float($0))" }.joined(separator: ", ") + "]" }
    let text = """
      graph @model(%x: f32[1,16]) {
        %w = constant \(list(16 * 24, seed: 1)) : f32[16,24]
        %v = constant \(list(24 * 5, seed: 2)) : f32[24,5]
        %h = dot %x, %w : f32[1,24]
        %t = tanh %h : f32[1,24]
        %y = dot %t, %v : f32[1,5]
        return %y as "y"
      }
      """
    try text.write(toFile: path, atomically: true, encoding: .utf8)
    for position in 0..<12 { try NumPyFile.write(Tensor(.f32, [1, 16], numbers(16, seed: UInt64(100 + position))), to: String(format: "%@/%02d.npy", samples, position)) }
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func numbers(_ count: Int, seed: UInt64) -> [Double] {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { _ in Double(generator.next() >> 11) * 0x1p-52 - 1 }
  }

  func options(_ scheme: QuantizationOptions.Scheme, _ change: (inout QuantizationOptions) -> Void = { _ in }) -> CompileOptions {
    var options = CompileOptions()
    options.threads = 1
    options.tuning.place = .none
    var quantization = QuantizationOptions(scheme)
    change(&quantization)
    options.quantization = quantization
    options.calibration = CalibrationOptions(path: samples)
    return options
  }

  func compile(_ options: CompileOptions) throws -> CompiledModel { try Compiler(options: options).compile(path) }

  /// The relative error of the outputs on new inputs.
  func error(_ model: CompiledModel) throws -> Double {
    var plain = CompileOptions()
    plain.threads = 1
    var reference = try PrecisionReference(path, options: plain)
    let session = try model.makeModel().makeSession(threads: 1)
    for seed in 0..<8 {
      let inputs = [Tensor(.f32, [1, 16], numbers(16, seed: UInt64(1000 + seed)))]
      try reference.compare(try session.run(inputs), for: inputs)
    }
    return reference.deviations[0].relativeL2
  }
}

@Suite("quantization, compiled") struct QuantizationTests {
  @Test(arguments: ObserverKind.allCases) func everyObserverGivesNumbersNearThoseOfTheModel(_ kind: ObserverKind) throws {
    let model = try QuantizedModel()
    let compiled = try model.compile(model.options(.int8) { $0.observer = kind })
    #expect(try model.error(compiled) < 0.04)
    #expect(compiled.manifest.precision == "int8 (\(kind.rawValue))")
    #expect(compiled.revision?.quantization?.quantizedLayers == 2)
  }

  @Test func rangesOfEachRunNeedNoSamples() throws {
    let model = try QuantizedModel()
    var options = model.options(.dynamicInt8)
    options.calibration = nil
    #expect(try model.error(model.compile(options)) < 0.03)
  }

  /// Targets and the errors of single layers are for every scheme, with weights moved by `--reconstruct` too.
  @Test(arguments: [
    (QuantizationOptions.Scheme.weightsInt4, false), (.weightsInt4, true), (.weightsInt8, false), (.dynamicInt8, false),
  ]) func everySchemeMeetsTargets(_ scheme: QuantizationOptions.Scheme, _ reconstructs: Bool) throws {
    let model = try QuantizedModel()
    let path = model.folder + "/wide.ingot"
    func list(_ seed: UInt64) -> String { "dense [" + model.numbers(128 * 128, seed: seed).map { "\(Float($0 / 8))" }.joined(separator: ", ") + "]" }
    try """
    graph @model(%x: f32[1,128]) {
      %w = constant \(list(1)) : f32[128,128]
      %v = constant \(list(2)) : f32[128,128]
      %h = dot %x, %w : f32[1,128]
      %t = tanh %h : f32[1,128]
      %y = dot %t, %v : f32[1,128]
      return %y as "y"
    }
    """.write(toFile: path, atomically: true, encoding: .utf8)
    let folder = model.folder + "/rows"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for position in 0..<6 { try NumPyFile.write(Tensor(.f32, [1, 128], model.numbers(128, seed: UInt64(position + 9))), to: "\(folder)/\(position).npy") }
    func report(_ change: (inout QuantizationOptions) -> Void) throws -> QuantizationReport {
      var options = model.options(scheme, change)
      options.quantization?.reconstructs = reconstructs
      options.calibration = CalibrationOptions(path: folder)
      return try #require(try Compiler(options: options).compile(path).revision?.quantization)
    }
    let free = try report { $0.measuresLayers = true }
    let reached = try #require(free.decibels)
    #expect(free.layers.count == 2 && free.layers.allSatisfy { ($0.decibelsAlone ?? 0) > reached - 3 && ($0.decibelsAlone ?? .infinity) < 90 })
    let strict = try report { $0.minimumDecibels = reached + 0.5 }
    #expect(strict.quantizedLayers == 1 && strict.floatLayers.first?.name == free.measuredLayers.first?.name)
    #expect(try #require(strict.decibels) >= reached + 0.5)
    #expect(throws: CompileError.self) { try report { $0.minimumDecibels = 200 } }
  }

  @Test(arguments: [QuantizationOptions.Scheme.weightsInt8, .dynamicInt8]) func targetsNeedSamples(_ scheme: QuantizationOptions.Scheme) throws {
    let model = try QuantizedModel()
    var options = model.options(scheme) { $0.minimumDecibels = 20 }
    options.calibration = nil
    let error = #expect(throws: CompileError.self) { try model.compile(options) }
    #expect(error?.problem == .usage)
  }

  /// What rows are looked up in has 8 bits too, if it is large, and can be kept by its name.
  @Test(arguments: [QuantizationOptions.Scheme.int8, .dynamicInt8]) func tablesBesideLayersAreNarrow(_ scheme: QuantizationOptions.Scheme) throws {
    let model = try QuantizedModel()
    let path = model.folder + "/table.ingot"
    try """
    graph @model(%i: i64[1,4]) {
      %t = constant dense [\((0..<600 * 32).map { "\(Float($0 % 97) / 97)" }.joined(separator: ", "))] : f32[600,32]
      %w = constant dense [\((0..<32 * 20).map { "\(Float($0 % 89) / 89)" }.joined(separator: ", "))] : f32[32,20]
      %r = gather %t, %i {axis = 0} : f32[1,4,32]
      %x = reshape %r {shape = [4, 32]} : f32[4,32]
      %y = dot %x, %w : f32[4,20]
      return %y as "y"
    }
    """.write(toFile: path, atomically: true, encoding: .utf8)
    let folder = model.folder + "/rows"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for position in 0..<4 { try NumPyFile.write(Tensor(.i64, [1, 4], (0..<4).map { Double(($0 * 151 + position * 37) % 600) }), to: "\(folder)/\(position).npy") }
    var options = model.options(scheme)
    options.calibration = CalibrationOptions(path: folder)
    let compiled = try Compiler(options: options).compile(path)
    #expect(compiled.revision?.quantization?.tables == 1)
    #expect(try #require(compiled.revision?.quantization?.decibels ?? 99) > 25)
    options.quantization?.floatNodes = ["r"]
    let kept = try Compiler(options: options).compile(path)
    #expect(kept.revision?.quantization?.tables == 0)
    func bytes(_ model: CompiledModel) -> Int { model.program.constants.reduce(0) { $0 + $1.tensor.byteCount } }
    #expect(bytes(kept) > bytes(compiled) + 3 * 600 * 32 - 600 * 4 - 1)
  }

  @Test func refinementsKeepTheNumbers() throws {
    let model = try QuantizedModel()
    let options = model.options(.int8) {
      ($0.equalizes, $0.correctsBias, $0.smoothing) = (true, true, .strength(0.5))
    }
    #expect(try model.error(model.compile(options)) < 0.04)
  }

  @Test func theSameOptionsGiveTheSameBytes() throws {
    let model = try QuantizedModel()
    let options = model.options(.int8) { $0.minimumDecibels = 30 }
    let (a, b) = (try Compiler(options: options).portable(model.path), try Compiler(options: options).portable(model.path))
    #expect(a.text() == b.text())
    #expect(a.text().contains("quantize_linear"))
  }

  @Test func thePrintedModelCompilesWithoutData() throws {
    let model = try QuantizedModel()
    let options = model.options(.int8)
    let text = try Compiler(options: options).portable(model.path).text()
    let again = model.folder + "/quantized.ingot"
    try text.write(toFile: again, atomically: true, encoding: .utf8)
    var plain = CompileOptions()
    plain.threads = 1
    let input = [Tensor(.f32, [1, 16], model.numbers(16, seed: 5))]
    let (a, b) = (try model.compile(options).makeModel().makeSession(threads: 1).run(input), try Compiler(options: plain).compile(again).makeModel().makeSession(threads: 1).run(input))
    #expect(a[0].isIdentical(to: b[0]))
  }

  @Test func namedNodesStayInFloatingPoint() throws {
    let model = try QuantizedModel()
    let report = try #require(try model.compile(model.options(.int8) { $0.floatNodes = ["h"] }).revision?.quantization)
    #expect(report.floatLayers.map(\.name) == ["h"])
    let error = #expect(throws: CompileError.self) { try model.compile(model.options(.int8) { $0.floatNodes = ["nothing"] }) }
    #expect(error?.problem == .usage && error?.hint?.contains("h, y") == true)
  }

  @Test func targetsKeepTheWorstLayers() throws {
    let model = try QuantizedModel()
    let free = try #require(try model.compile(model.options(.int8) { $0.measuresLayers = true }).revision?.quantization)
    let reached = try #require(free.decibels)
    #expect(free.layers.allSatisfy { ($0.decibelsAlone ?? 0) > 15 })
    let strict = try #require(try model.compile(model.options(.int8) { $0.minimumDecibels = reached + 1 }).revision?.quantization)
    #expect(strict.quantizedLayers == 1)
    #expect(strict.floatLayers.first?.name == free.measuredLayers.first?.name)
    #expect(try #require(strict.decibels) >= reached + 1)
  }

  @Test func aTargetThatCannotBeMetSaysWhatCan() throws {
    let model = try QuantizedModel()
    let error = #expect(throws: CompileError.self) { try model.compile(model.options(.int8) { $0.minimumDecibels = 200 }) }
    #expect(error?.exitCode == 1)
    #expect(error?.message.contains("no choice of layers reaches 200 dB: the best is") == true)
  }

  @Test func accuracyIsMeasuredWithLabels() throws {
    let model = try QuantizedModel()
    let session = try Compiler(options: CompileOptions()).compile(model.path).makeModel().makeSession(threads: 1)
    // The classes that fp32 finds are the right ones.
    var lines = ["file,class_index"]
    for name in try FileManager.default.contentsOfDirectory(atPath: model.samples).sorted() {
      let values = try session.run([NumPyFile.read(model.samples + "/" + name)])[0].doubles
      lines.append("\(name),\(try #require(values.indices.max { values[$0] < values[$1] }))")
    }
    let labels = model.folder + "/labels.csv"
    try lines.joined(separator: "\n").write(toFile: labels, atomically: true, encoding: .utf8)
    var options = model.options(.int8) { $0.maximumAccuracyDrop = 0 }
    options.calibration?.labels = labels
    let accuracy = try #require(try model.compile(options).revision?.quantization?.accuracy)
    #expect(accuracy.exact == 12 && accuracy.quantized == 12 && accuracy.count == 12)
    // Classes that the model does not have, and classes that are never right.
    options.calibration?.labelOffset = 100
    let beyond = #expect(throws: CompileError.self) { try model.compile(options) }
    #expect(beyond?.message.contains("but the model's classes are 0 to 4") == true && beyond?.hint?.contains("--label-offset") == true)
    options.calibration?.labelOffset = 0
    let wrong = lines.dropFirst().map { line in line.split(separator: ",")[0] + ",\((Int(line.split(separator: ",")[1])! + 1) % 5)" }
    try (["file,class_index"] + wrong).joined(separator: "\n").write(toFile: labels, atomically: true, encoding: .utf8)
    let none = #expect(throws: CompileError.self) { try model.compile(options) }
    #expect(none?.message.contains("fp32 is right for none of 12 samples") == true)
  }

  @Test func correctedBiasesAreNearerOnAverage() throws {
    let model = try QuantizedModel()
    let plain = try model.compile(model.options(.int8) { $0.correctsBias = false })
    #expect(plain.manifest.precision == "int8 (mse, biases as they were)")
    #expect(try model.error(plain) < 0.04)
    let graphs = try [true, false].map { corrects in try Compiler(options: model.options(.int8) { $0.correctsBias = corrects }).portable(model.path).text() }
    #expect(graphs[0] != graphs[1])
  }

  /// What a script writes into a pipe can be read once, and two ask for it: the observers, and the comparison with fp32.
  @Test func aPipeServesAllWhoLearn() throws {
    let model = try QuantizedModel()
    let pipe = model.folder + "/pipe"
    try #require(mkfifo(pipe, 0o600) == 0)
    let feed = Process()
    feed.executableURL = URL(fileURLWithPath: "/bin/sh")
    feed.arguments = ["-c", "cat '\(model.samples)'/*.npy > '\(pipe)'"]
    var options = model.options(.int8) { ($0.measuresLayers, $0.minimumDecibels) = (true, 3) }
    let expected = try Compiler(options: options).portable(model.path).text()
    options.calibration = CalibrationOptions(path: pipe)
    try feed.run()
    #expect(try Compiler(options: options).portable(model.path).text() == expected)
    feed.waitUntilExit()
  }

  @Test func samplesAreNeeded() throws {
    let model = try QuantizedModel()
    var options = model.options(.int8)
    options.calibration = nil
    let error = #expect(throws: CompileError.self) { try model.compile(options) }
    #expect(error?.problem == .usage && error?.hint?.contains("--calibrate") == true)
  }
}
