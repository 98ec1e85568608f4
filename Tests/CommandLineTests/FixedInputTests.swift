import Artifact
import Runtime
import TensorTypes
import TestSupport
import Testing

/// Inputs that are constants of the compiled model, because its shapes depend on their values.
@Suite("command line: fixed inputs") struct FixedInputTests {
  /// `y = ReduceSum(x, axes)` without the axes, `x` f32[2, 3].
  private static let model: [UInt8] = {
    func field(_ number: Int, _ bytes: [UInt8]) -> [UInt8] { [UInt8(number << 3 | 2), UInt8(bytes.count)] + bytes }
    func field(_ number: Int, _ text: String) -> [UInt8] { field(number, Array(text.utf8)) }
    func integer(_ number: Int, _ value: UInt8) -> [UInt8] { [UInt8(number << 3), value] }
    func value(_ name: String, _ element: UInt8, _ dimensions: [UInt8]?) -> [UInt8] {
      let shape = dimensions.map { field(2, $0.flatMap { field(1, integer(1, $0)) }) } ?? []
      return field(1, name) + field(2, field(1, integer(1, element) + shape))
    }
    let keepdims = field(1, "keepdims") + integer(3, 0)
    let node = field(1, "x") + field(1, "axes") + field(2, "y") + field(4, "ReduceSum") + field(5, keepdims)
    let graph = field(1, node) + field(2, "g") + field(11, value("x", 1, [2, 3])) + field(11, value("axes", 7, [1])) + field(12, value("y", 1, nil))
    return integer(1, 8) + field(7, graph) + field(8, integer(2, 13))
  }()

  private let folder = TemporaryFolder(), first = TemporaryFolder(), second = TemporaryFolder()
  private let path: String

  init() {
    path = folder.write(Self.model, to: "model.onnx")
    let x = Tensor(.f32, [2, 3], [1, 2, 3, 4, 5, 6])
    for (set, axis, sums) in [(first, 1, Tensor(.f32, [2], [6, 15])), (second, 0, Tensor(.f32, [3], [5, 7, 9]))] {
      set.write(TensorProto(name: "x", tensor: x).encoded, to: "input_0.pb")
      set.write(TensorProto(name: "axes", tensor: Tensor([axis])).encoded, to: "input_1.pb")
      set.write(TensorProto(name: "y", tensor: sums).encoded, to: "output_0.pb")
    }
  }

  @Test func verifyCompilesForEveryValue() throws {
    for words in [["verify", path], ["verify", path, "--interpreter"]] {
      let result = try Tool.run(Tool.folder + "/ingot", words + [first.path, second.path, first.path])
      #expect(result.status == 0, "\(result.output)\(result.errors)")
      let json = try JSON(parsing: Array(result.lastLine.utf8))
      #expect(json["passed"]?.bool == true)
      #expect(json["fixed"]?.array?.compactMap(\.string) == ["axes"])
    }
  }

  @Test func runSaysWhatItFixed() throws {
    let result = try Tool.ingot("run", path, "--input", "axes=" + second.file("input_1.pb"), "--input", "x=" + first.file("input_0.pb"))
    #expect(result.status == 0, "\(result.errors)")
    #expect(result.output.contains("f32[3]  5.0 7.0 9.0"))
    #expect(result.errors.contains("`axes`"))
  }

  @Test func compileTellsHow() throws {
    let refused = try Tool.ingot("compile", path, "-o", folder.file("artifact"))
    #expect(refused.status == 3)
    #expect(refused.errors.contains("--fix axes=FILE"), "\(refused.errors)")
    let json = folder.write(Array("[1]".utf8), to: "axes.json")
    let compiled = try Tool.ingot("compile", path, "-o", folder.file("artifact"), "--fix", "axes=" + json)
    #expect(compiled.status == 0, "\(compiled.errors)")

    let verified = try Tool.run(folder.file("artifact"), ["verify", first.path])
    #expect(verified.status == 0, "\(verified.output)\(verified.errors)")
    let other = try Tool.run(folder.file("artifact"), ["verify", second.path])
    #expect(other.status == 1)
    #expect(other.output.contains("input `axes` was fixed to i64[1] 1"), "\(other.output)")
    #expect(try Tool.run(folder.file("artifact"), ["info"]).output.contains("fixed   axes  i64[1] 1"))
    #expect(try Tool.ingot("inspect", folder.file("artifact")).output.contains("axes  i64[1] 1"))
    // What it is fixed to may be given, nothing else.
    #expect(try Tool.ingot("run", folder.file("artifact"), "--input", "axes=" + json).status == 0)
    #expect(try Tool.ingot("run", folder.file("artifact"), "--input", "axes=" + second.file("input_1.pb")).status == 1)
  }

  @Test func wrongUseIsExplained() throws {
    let number = folder.write(Array("[0.5]".utf8), to: "axes.json")
    let text = folder.write(Array("graph @main(%x: f32[2]) {\n  %y = neg %x : f32[2]\n  return %y\n}\n".utf8), to: "negate.ingot")
    let two = folder.write(Array("[1, 2]".utf8), to: "two.json")
    for (words, status) in [
      (["--fix", "axes"], Int32(2)), (["--fix", "axes=random"], 2), (["--fix", "axis=" + number], 2), (["--fix", "axes=missing.npy"], 1), (["--fix", "axes=" + number], 1),
    ] {
      let result = try Tool.run(Tool.folder + "/ingot", ["compile", path, "-o", folder.file("artifact")] + words)
      #expect(result.status == status, "\(words): \(result.errors)")
      #expect(!result.errors.isEmpty)
    }
    // The text form, too.
    let fixed = try Tool.ingot("run", text, "--fix", "x=" + two)
    #expect(fixed.status == 0 && fixed.output.contains("-1.0 -2.0"), "\(fixed.output)\(fixed.errors)")
  }
}
