import Glibc
import GraphIR
import ONNXFrontend
import TensorTypes
import TestSupport
import Testing

/// Files that are wrong must be refused with a sentence, quickly and without much memory.
@Suite("hostile files") struct HostileFileTests {
  let folder = TemporaryFolder()

  private func refusal(_ file: ONNXFile) -> CompileError? {
    #expect(throws: CompileError.self) { try loadONNX(path: file.write(to: folder)) }
  }

  private func smallModel() -> ONNXFile {
    var file = ONNXFile()
    file.input("x", ["2", "3"])
    file.initializer("w", Tensor(.f32, [3], [1, 2, 3]))
    file.node("Add", ["x", "w"], ["a"])
    file.node("Softmax", ["a"], ["y"], [("axis", .integer(1))])
    file.output("y")
    return file
  }

  @Test func everyPrefixIsRefusedOrLoads() {
    let bytes = smallModel().bytes
    for length in 0..<bytes.count {
      let path = folder.write(Array(bytes[..<length]), to: "prefix.onnx")
      do throws(CompileError) { _ = try loadONNX(path: path) } catch { #expect(error.problem != .usage && !error.message.isEmpty) }
    }
  }

  @Test func everyFlippedBitIsSurvived() {
    let bytes = smallModel().bytes
    for position in bytes.indices {
      for bit in 0..<8 {
        var broken = bytes
        broken[position] ^= 1 << UInt8(bit)
        let path = folder.write(broken, to: "flipped.onnx")
        do throws(CompileError) { _ = try loadONNX(path: path) } catch { #expect(!error.message.isEmpty) }
      }
    }
  }

  @Test func missingFilesFoldersAndPipesAreRefused() {
    mkfifo(folder.file("pipe.onnx"), 0o600)
    for path in [folder.file("missing.onnx"), folder.path, folder.file("pipe.onnx"), folder.write([], to: "empty.onnx"), "a\0b"] {
      let error = #expect(throws: CompileError.self) { try loadONNX(path: path) }
      #expect(error?.exitCode == 1)
    }
  }

  @Test func graphsThatCannotBeAreRefused() {
    var cycle = ONNXFile()
    cycle.input("x", ["2"])
    cycle.node("Add", ["x", "b"], ["a"])
    cycle.node("Neg", ["a"], ["b"])
    cycle.output("b")
    #expect(refusal(cycle)?.message.contains("cycle") == true)

    var twice = ONNXFile()
    twice.input("x", ["2"])
    twice.node("Neg", ["x"], ["y"])
    twice.node("Relu", ["x"], ["y"])
    twice.output("y")
    #expect(refusal(twice)?.message.contains("defined twice") == true)

    var undefined = ONNXFile()
    undefined.node("Neg", ["nothing"], ["y"])
    undefined.output("y")
    #expect(refusal(undefined)?.message.contains("never defined") == true)

    var unknown = ONNXFile()
    unknown.input("x", ["2"])
    unknown.node("Frobnicate", ["x"], ["y"])
    unknown.output("y")
    let error = refusal(unknown)
    #expect(error?.exitCode == 3)
    #expect(error?.description.contains("Frobnicate") == true && error?.description.contains("opset 17") == true && error?.description.contains("node_y") == true)
  }

  @Test(arguments: [["-2"], ["4611686018427387904", "4611686018427387904"]]) func impossibleDimensionsAreRefused(_ dimensions: [String]) {
    var file = ONNXFile()
    file.input("x", dimensions)
    file.node("Neg", ["x"], ["y"])
    file.output("y")
    #expect(refusal(file)?.exitCode == 1)
  }

  @Test func weightsMustFillTheirShape() {
    for dimensions in [[4], [2], [-3]] {
      var file = ONNXFile()
      file.input("x", ["3"])
      file.graph.message(5, ONNXFile.tensor("w", Tensor(.f32, [3], [1, 2, 3]), dimensions: dimensions))
      file.node("Add", ["x", "w"], ["y"])
      file.output("y")
      #expect(refusal(file)?.message.contains("`w`") == true)
    }
  }

  @Test func aHugeConstantTakesNoMemory() throws {
    var file = ONNXFile()
    file.initializer("shape", Tensor([1 << 40]))
    file.node("ConstantOfShape", ["shape"], ["c"])
    file.node("ReduceMax", ["c"], ["y"])
    file.output("y")
    let model = try loadONNX(path: file.write(to: folder))
    #expect(model.graph.topologicalOrder().count <= 4)
  }

  @Test func expressionsCannotGrowWithoutBound() throws {
    var file = ONNXFile()
    file.input("x", ["n"])
    file.node("Shape", ["x"], ["s0"])
    for step in 0..<60 { file.node("Mul", ["s\(step)", "s\(step)"], ["s\(step + 1)"]) }
    file.node("ConstantOfShape", ["s60"], ["y"])
    file.output("y")
    // Beyond the bound the arithmetic is left to the run, which finds the length as a number.
    let model = try loadONNX(path: file.write(to: folder))
    let shape = model.graph.type(of: model.graph.outputs[0]).shape
    #expect(shape[0].symbol?.hasPrefix("%ConstantOfShape") == true)
  }

  @Test func functionsThatCallThemselvesAreRefused() {
    var file = ONNXFile()
    file.function("again", inputs: ["a"], outputs: ["b"], nodes: [ONNXFile.node("again", ["a"], ["b"], domain: "local")])
    file.input("x", ["2"])
    file.node("again", ["x"], ["y"], domain: "local")
    file.output("y")
    #expect(refusal(file)?.exitCode == 1)
  }

  @Test func deepNestingStops() {
    var graph = ProtoMessage()
    for _ in 0..<2000 {
      var outer = ProtoMessage()
      outer.message(1, ONNXFile.node("If", ["c"], ["y"], [("then_branch", .graph(graph))]))
      graph = outer
    }
    var file = ONNXFile()
    file.graph = graph
    #expect(refusal(file)?.message.contains("nested") == true)
  }

  // MARK: External data

  private func external(_ location: String, offset: String = "0", length: String = "8") -> ONNXFile {
    var tensor = ProtoMessage()
    tensor.integer(1, 2)
    tensor.integer(2, 1)
    tensor.string(8, "w")
    for (key, value) in [("location", location), ("offset", offset), ("length", length)] {
      var entry = ProtoMessage()
      entry.string(1, key)
      entry.string(2, value)
      tensor.message(13, entry)
    }
    tensor.integer(14, 1)
    var file = ONNXFile()
    file.graph.message(5, tensor)
    file.node("Neg", ["w"], ["y"])
    file.output("y")
    return file
  }

  @Test func externalDataIsReadFromTheModelsFolder() throws {
    folder.write([0, 0, 0, 0, 0, 0, 128, 63, 0, 0, 0, 64], to: "w.bin")
    let model = try loadONNX(path: external("w.bin", offset: "4").write(to: folder))
    let constants = model.graph.topologicalOrder().compactMap { model.graph.node($0).operation(as: Constant.self)?.tensor }
    // The importer knows the weight, and with it the negation.
    #expect(constants.first?.doubles == [-1, -2])
  }

  @Test func externalDataCannotLeaveTheFolder() {
    folder.write([UInt8](repeating: 0, count: 8), to: "w.bin")
    symlink(folder.file("w.bin"), folder.file("link.bin"))
    symlink("/etc", folder.file("outside"))
    for location in ["/etc/passwd", "../w.bin", "a/../../w.bin", "link.bin", "outside/passwd", ".", "", "missing.bin", "w.bin\0"] {
      #expect(refusal(external(location))?.exitCode == 1, "\(location) was read")
    }
    for (offset, length) in [("4", "8"), ("-1", "8"), ("0", "4"), ("99999999999999999999", "8"), ("x", "8")] {
      #expect(refusal(external("w.bin", offset: offset, length: length))?.message.contains("`w`") == true)
    }
  }
}
