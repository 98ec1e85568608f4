import GraphIR
import Interpreter
import ONNXFrontend
import TensorTypes
import TestSupport
import Testing

/// One operator with its operands as inputs, imported and evaluated.
func evaluate(
  _ type: String, _ inputs: [Tensor], attributes: [(String, ONNXFile.Attribute)] = [], constants: [Int: Tensor] = [:], outputs: Int = 1, opset: Int = 17,
  domain: String = ""
) throws -> [Tensor] {
  let folder = TemporaryFolder()
  var file = ONNXFile(opset: opset)
  var names: [String] = []
  let types: [ElementType: Int] = [.f32: 1, .u8: 2, .i8: 3, .i32: 6, .i64: 7, .bool: 9, .f16: 10, .f64: 11, .string: 8]
  var next = 0
  for position in 0..<inputs.count + constants.count {
    names.append("x\(position)")
    if let tensor = constants[position] { file.initializer("x\(position)", tensor) } else {
      file.input("x\(position)", inputs[next].dimensions.map(String.init), element: types[inputs[next].element] ?? 0)
      next += 1
    }
  }
  let results = (0..<outputs).map { "y\($0)" }
  file.node(type, names, results, attributes, domain: domain)
  for result in results { file.output(result, element: 0) }
  let model = try loadONNX(path: file.write(to: folder))
  return try Interpreter.evaluate(model.graph, inputs: inputs)
}

@Suite("loading models") struct LoadTests {
  let folder = TemporaryFolder()

  @Test func shapeArithmeticStaysSymbolic() throws {
    var file = ONNXFile()
    file.input("x", ["batch", "seq", "64"])
    file.initializer("one", Tensor([1]))
    file.initializer("heads", Tensor([4, 16]))
    file.initializer("two", Tensor([2]))
    file.node("Shape", ["x"], ["shape"])
    file.node("Gather", ["shape", "one"], ["length"], [("axis", .integer(0))])
    file.node("Mul", ["length", "two"], ["doubled"])
    file.node("Div", ["doubled", "two"], ["again"])
    file.node("Slice", ["shape", "zero", "one"], ["rows"])
    file.initializer("zero", Tensor([0]))
    file.node("Concat", ["rows", "again", "heads"], ["target"], [("axis", .integer(0))])
    file.node("Reshape", ["x", "target"], ["y"])
    file.output("y")
    let model = try loadONNX(path: file.write(to: folder))
    let output = model.graph.type(of: model.graph.outputs[0])
    #expect(output == TensorType(.f32, [Extent(symbol: "batch"), Extent(symbol: "seq"), 4, 16]))
    // Nothing of the arithmetic is left.
    #expect(model.graph.topologicalOrder().count == 1)
  }

  @Test func aMissingExtentIsTheQuotient() throws {
    var file = ONNXFile()
    file.input("x", ["n", "6"])
    file.initializer("target", Tensor([-1, 2]))
    file.node("Reshape", ["x", "target"], ["y"])
    file.output("y")
    let model = try loadONNX(path: file.write(to: folder))
    #expect(model.graph.type(of: model.graph.outputs[0]).shape == [Extent(symbol: "n") * 3, 2])
  }

  @Test func symbolsAreBoundByNameAndByShape() throws {
    var file = ONNXFile()
    file.input("a", ["batch", "?"])
    file.input("b", ["batch", "3"])
    file.node("Relu", ["a"], ["y"])
    file.node("Relu", ["b"], ["z"])
    file.output("y")
    file.output("z")
    let path = file.write(to: folder)
    let free = try loadONNX(path: path)
    #expect(free.graph.types(of: free.graph.inputs).map(\.description) == ["f32[batch,a_1]", "f32[batch,3]"])
    let named = try loadONNX(path: path, options: ImportOptions(dimensions: ["batch": 2, "a_1": 5]))
    #expect(named.graph.types(of: named.graph.outputs).map(\.description) == ["f32[2,5]", "f32[2,3]"])
    let shaped = try loadONNX(path: path, options: ImportOptions(shapes: ["a": [4, 7]]))
    #expect(shaped.graph.types(of: shaped.graph.outputs).map(\.description) == ["f32[4,7]", "f32[4,3]"])
    for options in [
      ImportOptions(dimensions: ["nobody": 1]), ImportOptions(shapes: ["nobody": [1]]), ImportOptions(shapes: ["a": [1]]),
      ImportOptions(dimensions: ["batch": 2], shapes: ["a": [3, 1]]), ImportOptions(shapes: ["b": [1, 4]]), ImportOptions(dimensions: ["batch": -1]),
    ] {
      let error = #expect(throws: CompileError.self) { try loadONNX(path: path, options: options) }
      #expect(error?.problem == .usage)
    }
  }

  @Test func initializersAmongTheInputsAreConstants() throws {
    var file = ONNXFile()
    file.irVersion = 3
    file.input("x", ["2"])
    file.input("w", ["2"])
    file.initializer("w", Tensor(.f32, [2], [1, 2]))
    file.node("Add", ["x", "w"], ["y"])
    file.output("y")
    let path = file.write(to: folder)
    let model = try loadONNX(path: path)
    #expect(model.graph.inputs.count == 1)
    #expect(try loadInputs(path: path).map(\.name) == ["x"])
    #expect(try Interpreter.evaluate(model.graph, inputs: [Tensor(.f32, [2], [10, 20])])[0].doubles == [11, 22])
  }

  @Test func weightsStayInTheMappedFile() throws {
    var file = ONNXFile()
    file.input("x", ["2", "2"])
    file.initializer("w", Tensor(.f32, [2, 2], [1, 2, 3, 4]))
    file.node("MatMul", ["x", "w"], ["y"])
    file.output("y")
    let model = try loadONNX(path: file.write(to: folder))
    let constants = model.graph.topologicalOrder().compactMap { model.graph.node($0).operation(as: Constant.self)?.tensor }
    #expect(constants.count == 1)
    #expect(constants.first?.storage.byteCount == file.bytes.count)
  }

  @Test func functionsAreInlinedWithTheirAttributes() throws {
    var file = ONNXFile()
    file.function(
      "scaled", inputs: ["a"], outputs: ["b"],
      nodes: [ONNXFile.node("Elu", ["a"], ["t"], [("alpha", .reference("slope"))]), ONNXFile.node("Neg", ["t"], ["b"])])
    file.input("x", ["2"])
    file.node("scaled", ["x"], ["y"], [("slope", .float(2))], domain: "local")
    file.output("y")
    let model = try loadONNX(path: file.write(to: folder))
    let result = try Interpreter.evaluate(model.graph, inputs: [Tensor(.f32, [2], [1, -40])])[0].doubles
    #expect(result == [-1, 2])
  }

  @Test func aKnownConditionChoosesItsBranch() throws {
    var branch = ProtoMessage(), other = ProtoMessage()
    branch.message(1, ONNXFile.node("Neg", ["x"], ["n"]))
    branch.message(12, ONNXFile.value("n"))
    other.message(1, ONNXFile.node("NoSuchOperator", ["x"], ["m"]))
    other.message(12, ONNXFile.value("m"))
    var file = ONNXFile()
    file.input("x", ["3"])
    file.initializer("zero", Tensor([0], dimensions: []))
    file.node("Size", ["x"], ["size"])
    file.node("Greater", ["size", "zero"], ["isFilled"])
    file.node("If", ["isFilled"], ["y"], [("then_branch", .graph(branch)), ("else_branch", .graph(other))])
    file.output("y")
    let model = try loadONNX(path: file.write(to: folder))
    #expect(try Interpreter.evaluate(model.graph, inputs: [Tensor(.f32, [3], [1, 2, 3])])[0].doubles == [-1, -2, -3])
  }

  @Test func inputsThatDecideShapesCanBeFixed() throws {
    var file = ONNXFile()
    file.input("x", ["2", "3"])
    file.input("axis", ["1"], element: 7)
    file.node("ReduceSum", ["x", "axis"], ["y"], [("keepdims", .integer(0))])
    file.output("y")
    let path = file.write(to: folder)
    let error = #expect(throws: CompileError.self) { try loadONNX(path: path) }
    #expect(error?.problem == .unsupported)
    #expect(error?.dependsOn == ["axis"])
    #expect(error?.hint?.contains("--fix axis=FILE") == true)
    let model = try loadONNX(path: path, options: ImportOptions(values: ["axis": Tensor([1])]))
    #expect(model.graph.inputs.map { model.graph.value($0).name } == ["x"])
    #expect(try Interpreter.evaluate(model.graph, inputs: [Tensor(.f32, [2, 3], [1, 2, 3, 4, 5, 6])])[0].doubles == [6, 15])
    // A value of another type, another shape, or for no input is a mistake of the one who gives it.
    for values in [["axis": Tensor(.f32, [1], [1])], ["axis": Tensor([0, 1])], ["axes": Tensor([1])]] {
      let error = #expect(throws: CompileError.self) { try loadONNX(path: path, options: ImportOptions(values: values)) }
      #expect(error?.problem == .usage)
    }
  }

  @Test func nothingThatIsRefusedHidesTheRest() throws {
    var file = ONNXFile()
    file.input("x", ["2", "3"])
    file.input("axis", ["1"], element: 7)
    file.node("NoSuchOperator", ["x"], ["a"])
    file.node("Relu", ["a"], ["b"])
    file.node("Softmax", ["b"], ["c"], [("axis", .string("last"))])
    file.node("ReduceSum", ["x", "axis"], ["d"])
    file.node("Reluu", ["x"], ["e"])
    file.node("Neg", ["e"], ["f"])
    for name in ["c", "d", "f"] { file.output(name) }
    // Only of this value the type is known although nothing can compute it.
    file.graph.message(13, ONNXFile.value("a", 1, ["2", "n"]))
    let found = try findObstacles(path: file.write(to: folder))
    #expect(found.refusals.map(\.origin.operatorName) == ["NoSuchOperator", "Softmax", "ReduceSum", "Reluu"])
    #expect(found.refusals.map(\.problem) == [.unsupported, .badInput, .unsupported, .unsupported])
    #expect(found.refusals.first { $0.origin.operatorName == "ReduceSum" }?.dependsOn == ["axis"])
    #expect(found.refusals.last?.hint?.contains("Relu") == true)
    #expect(found.unexaminedNodes == 1)
    #expect(try findObstacles(path: ONNXFile.identity.write(to: folder)).refusals.isEmpty)
  }

  @Test func limitsNameThemselves() throws {
    var file = ONNXFile()
    file.input("x", ["2", "3"])
    for (input, output) in [("x", "a"), ("a", "b"), ("b", "y")] { file.node("Neg", [input], [output]) }
    file.output("y")
    let path = file.write(to: folder)
    func message(_ change: (inout ImportLimits) -> Void) -> String? {
      var limits = ImportLimits()
      change(&limits)
      return (#expect(throws: CompileError.self) { try loadONNX(path: path, options: ImportOptions(limits: limits)) })?.description
    }
    #expect(message { $0.nodes = 2 }?.contains("--limit nodes=") == true)
    #expect(message { $0.messages = 5 }?.contains("--limit messages=") == true)
    #expect(message { $0.rank = 1 }?.contains("--limit rank=") == true)
    #expect(message { $0.tensorBytes = 8 }?.contains("--limit tensor-bytes=") == true)
  }

  @Test func allObstaclesAreListed() throws {
    var file = ONNXFile()
    file.input("x", ["2"])
    file.node("FirstUnknown", ["x"], ["a"])
    file.node("Relu", ["a"], ["b"])
    file.node("SecondUnknown", ["b"], ["y"])
    file.output("y")
    let missing = try unsupportedOperators(path: file.write(to: folder))
    #expect(missing.map(\.name) == ["FirstUnknown", "SecondUnknown"])
    #expect(missing.allSatisfy { $0.count == 1 && $0.opset == 17 })
  }
}
