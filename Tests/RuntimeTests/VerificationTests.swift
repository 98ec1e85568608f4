import Runtime
import TensorTypes
import TestSupport
import Testing

@Suite("verification") struct VerificationTests {
  @Test func matchesWithinTheTolerance() {
    let want = Tensor(.f32, [4], [1, 1000, .nan, .infinity])
    #expect(TensorComparison(Tensor(.f32, [4], [1.0009, 1000.9, .nan, .infinity]), against: want).passed)
    let off = TensorComparison(Tensor(.f32, [4], [1, 1002, .nan, .infinity]), against: want)
    #expect(off.differingElements == 1 && off.first?.index == [1] && off.largestAbsoluteError == 2)
    #expect(!TensorComparison(Tensor(.f32, [4], [1, 1000, 0, .infinity]), against: want).passed)
    #expect(!TensorComparison(Tensor(.f32, [4], [1, 1000, .nan, -.infinity]), against: want).passed)
    #expect(!TensorComparison(Tensor(.f32, [4], [1, 1000, .nan, 3]), against: want).passed)
    #expect(!TensorComparison(Tensor(.f32, [1], [.infinity]), against: Tensor(.f32, [1], [3])).passed)
    #expect(!TensorComparison(Tensor(.f32, [2, 2], [1, 1000, .nan, .infinity]), against: want).passed)
    #expect(!TensorComparison(Tensor(.f64, [4], [1, 1000, .nan, .infinity]), against: want).passed)
    #expect(TensorComparison(Tensor(.bf16, [1], [1.015625]), against: Tensor(.bf16, [1], [1])).passed)
  }

  @Test func runsDataSetsInNumericOrder() throws {
    let folder = TemporaryFolder()
    for number in 0..<12 {
      folder.write(TensorProto(name: "", tensor: Tensor([number])).encoded, to: "input_\(number).pb")
      folder.write(TensorProto(name: "", tensor: Tensor([number * 2])).encoded, to: "output_\(number).pb")
    }
    folder.write([], to: "input_x.pb")
    let verification = Verification(outputNames: ["first"])
    let right = try verification.run([folder.path], model: { inputs in inputs.map { Tensor([$0.integers[0] * 2]) } })
    #expect(right.passed && right.json == "{\"passed\":true,\"max_abs_err\":0.0,\"max_rel_err\":0.0}")
    let wrong = try verification.run([folder.path], model: { inputs in inputs.map { Tensor([$0.integers[0] * 2 + ($0.integers[0] == 3 ? 1 : 0)]) } })
    #expect(!wrong.passed && wrong.lines == ["\(folder.path): differs: output 3[0] is 7.0, expected 6.0 (1 of 1 elements differ)"])
    let failed = try verification.run([folder.path], model: { _ in throw RunError.notPrepared })
    #expect(!failed.passed && failed.json.contains("null"))
    #expect(throws: TensorFileError.self) { try verification.run([folder.file("absent")], model: { $0 }) }
  }

  @Test func readsTheToleranceBesideTheModel() {
    let folder = TemporaryFolder()
    #expect(Verification.tolerance(besideModel: folder.file("model.onnx")) == nil)
    folder.write(Array("{\"rtol\":2e-3}".utf8), to: "data.json")
    #expect(Verification.tolerance(besideModel: folder.file("model.onnx")) == Tolerance(relative: 2e-3, absolute: 1e-7))
  }

  @Test func benchmarkOrdersItsSamples() {
    var runs = 0
    let result = Benchmark(length: .iterations(50), warmUpSeconds: 0).run { runs += 1 }
    #expect(runs >= 50 && result.minimum <= result.median && result.median <= result.p99)
    let samples = Benchmark.Result(samples: [1, 2, 3, 4, 5], runsPerSample: 1)
    #expect(samples.median == 3 && samples.mean == 3 && samples.quantile(1) == 5 && samples.spread == 2.0 / 3)
  }
}
