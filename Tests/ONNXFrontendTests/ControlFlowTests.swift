import GraphIR
import Interpreter
import ONNXFrontend
import TensorTypes
import TestSupport
import Testing

/// A graph inside a node.
private func graph(inputs: [ProtoMessage] = [], _ nodes: [ProtoMessage], outputs: [String], constants: [(String, Tensor)] = []) -> ProtoMessage {
  var message = ProtoMessage()
  for node in nodes { message.message(1, node) }
  for (name, tensor) in constants { message.message(5, ONNXFile.tensor(name, tensor)) }
  for input in inputs { message.message(11, input) }
  for output in outputs { message.message(12, ONNXFile.value(output)) }
  return message
}

private func node(_ type: String, _ inputs: [String], _ outputs: [String], _ attributes: [(String, ONNXFile.Attribute)] = []) -> ProtoMessage {
  ONNXFile.node(type, inputs, outputs, attributes)
}

private func scalar(_ value: Int, _ element: ElementType = .i64) -> Tensor { Tensor(scalar: Double(value), element) }

@Suite("branches, loops and sequences of models") struct ControlFlowTests {
  let folder = TemporaryFolder()

  private func run(_ file: ONNXFile, _ inputs: [Tensor], options: ImportOptions = ImportOptions()) throws -> [Tensor] {
    try Interpreter.evaluate(try loadONNX(path: file.write(to: folder), options: options).graph, inputs: inputs)
  }

  // MARK: If

  @Test func aConditionOfTheRunChoosesABranchOfAnotherLength() throws {
    var file = ONNXFile()
    file.input("c", [], element: 9)
    file.input("x", ["n"])
    let then = graph([node("Concat", ["x", "x"], ["a"], [("axis", .integer(0))])], outputs: ["a"])
    let other = graph([node("Neg", ["x"], ["b"])], outputs: ["b"])
    file.node("If", ["c"], ["y"], [("then_branch", .graph(then)), ("else_branch", .graph(other))])
    file.output("y")
    let x = Tensor(.f32, [2], [1, 2])
    #expect(try run(file, [scalar(1, .bool), x])[0].doubles == [1, 2, 1, 2])
    #expect(try run(file, [scalar(0, .bool), x])[0].doubles == [-1, -2])
  }

  @Test func branchesOfDifferentRanksNeedTheConditionBeforehand() throws {
    var file = ONNXFile()
    file.input("c", [], element: 9)
    file.input("x", ["2"])
    let then = graph([node("Identity", ["x"], ["a"])], outputs: ["a"])
    let other = graph([node("ReduceSum", ["x"], ["b"], [("keepdims", .integer(0))])], outputs: ["b"])
    file.node("If", ["c"], ["y"], [("then_branch", .graph(then)), ("else_branch", .graph(other))])
    file.output("y")
    let error = #expect(throws: CompileError.self) { try loadONNX(path: file.write(to: folder)) }
    #expect(error?.problem == .unsupported && error?.dependsOn == ["c"])
  }

  @Test func aConditionOnLengthsThatDecidesRanksIsAssumedAndChecked() throws {
    // What PyTorch writes for `squeeze`: only one of the branches fits what follows.
    var file = ONNXFile(opset: 13)
    file.input("x", ["n", "m"])
    file.initializer("one", Tensor([1]))
    file.node("Shape", ["x"], ["shape"])
    file.node("Gather", ["shape", "one"], ["length"], [("axis", .integer(0))])
    file.node("Equal", ["length", "one"], ["isOne"])
    let then = graph([node("Squeeze", ["x", "one"], ["a"])], outputs: ["a"])
    let other = graph([node("Identity", ["x"], ["b"])], outputs: ["b"])
    file.node("If", ["isOne"], ["y"], [("then_branch", .graph(then)), ("else_branch", .graph(other))])
    file.node("Unsqueeze", ["y", "one"], ["z"])
    file.initializer("shape3", Tensor([1, 1]))
    file.node("Expand", ["z", "shape3"], ["w"])
    file.node("Concat", ["w", "x"], ["v"], [("axis", .integer(1))])
    file.output("v")
    let model = try loadONNX(path: file.write(to: folder))
    #expect(model.graph.requirements.contains { $0.violation.contains("then branch") })
    #expect(try Interpreter.evaluate(model.graph, inputs: [Tensor(.f32, [2, 1], [3, 4])])[0].doubles == [3, 3, 4, 4])
  }

  // MARK: Loop

  private let condition = ONNXFile.value("go", 9, [])
  private let counter = ONNXFile.value("i", 7, [])

  /// Adds 1 to 0 until it is 5 or the trips are over; stacks each value's square.
  private func counting(trips: Bool) -> ONNXFile {
    var file = ONNXFile()
    if trips { file.input("trips", [], element: 7) }
    file.input("c", [], element: 9)
    file.initializer("start", scalar(0))
    let body = graph(
      inputs: [counter, condition, ONNXFile.value("v", 7, [])],
      [node("Add", ["v", "one"], ["next"]), node("Less", ["next", "five"], ["again"]), node("Mul", ["next", "next"], ["square"])],
      outputs: ["again", "next", "square"], constants: [("one", scalar(1)), ("five", scalar(5))])
    file.node("Loop", [trips ? "trips" : "", "c", "start"], ["last", "squares"], [("body", .graph(body))])
    file.output("last", element: 0)
    file.output("squares", element: 0)
    return file
  }

  @Test func aLoopEndsWhenItsBodySaysSo() throws {
    let results = try run(counting(trips: false), [scalar(1, .bool)])
    #expect(results[0].integers == [5] && results[1].integers == [1, 4, 9, 16, 25])
    let none = try run(counting(trips: false), [scalar(0, .bool)])
    #expect(none[0].integers == [0] && none[1].dimensions == [0])
  }

  @Test(arguments: [-3, 0, 1, 3, 9, Int.max]) func aTripCountOfTheRunEndsItAsWell(_ trips: Int) throws {
    let results = try run(counting(trips: true), [Tensor([trips], dimensions: []), scalar(1, .bool)])
    let count = min(max(trips, 0), 5)
    #expect(results[0].integers == [count] && results[1].integers == (0..<count).map { ($0 + 1) * ($0 + 1) })
  }

  @Test func carriedValuesMayGrow() throws {
    var file = ONNXFile()
    file.input("trips", [], element: 7)
    file.input("x", ["n"])
    let body = graph(
      inputs: [counter, condition, ONNXFile.value("v", 1, ["?"]), ONNXFile.value("w", 1, ["?"])],
      [
        node("Concat", ["v", "x"], ["longer"], [("axis", .integer(0))]), node("Concat", ["w", "v"], ["more"], [("axis", .integer(0))]), node("Identity", ["go"], ["again"]),
      ], outputs: ["again", "longer", "more"])
    file.node("Loop", ["trips", "", "x", "x"], ["last", "other"], [("body", .graph(body))])
    file.output("last")
    file.output("other")
    let results = try run(file, [scalar(3), Tensor(.f32, [2], [1, 2])])
    #expect(results[0].doubles == [1, 2, 1, 2, 1, 2, 1, 2])
    // 2, then 2 + 2, then 4 + 4, then 8 + 6.
    #expect(results[1].dimensions == [14])
  }

  @Test func theRoundIsALengthLikeAnyOther() throws {
    var file = ONNXFile()
    file.input("x", ["n", "2"])
    file.initializer("zero", Tensor([0]))
    file.initializer("axis", Tensor([0]))
    file.node("Shape", ["x"], ["shape"])
    file.initializer("first", Tensor([0]))
    file.node("Gather", ["shape", "first"], ["trips"], [("axis", .integer(0))])
    let body = graph(
      inputs: [counter, condition, ONNXFile.value("s", 1, ["2"])],
      [node("Gather", ["x", "i"], ["row"], [("axis", .integer(0))]), node("Add", ["s", "row"], ["next"]), node("Identity", ["go"], ["again"])], outputs: ["again", "next", "row"])
    file.initializer("start", Tensor(.f32, [2], [0, 0]))
    file.node("Loop", ["trips", "", "start"], ["sum", "rows"], [("body", .graph(body))])
    file.output("sum")
    file.output("rows")
    let model = try loadONNX(path: file.write(to: folder))
    #expect(model.graph.topologicalOrder().contains { model.graph.node($0).operation is Scan })
    let results = try Interpreter.evaluate(model.graph, inputs: [Tensor(.f32, [3, 2], [1, 2, 3, 4, 5, 6])])
    #expect(results[0].doubles == [9, 12] && results[1].doubles == [1, 2, 3, 4, 5, 6])
  }

  // MARK: Scan

  @Test func scansRunBackwardsAndAlongOtherAxes() throws {
    var file = ONNXFile()
    file.input("s", ["2"])
    file.input("x", ["2", "n"])
    let body = graph(inputs: [ONNXFile.value("a", 1, ["2"]), ONNXFile.value("b", 1, ["2"])], [node("Add", ["a", "b"], ["c"]), node("Identity", ["c"], ["d"])], outputs: ["c", "d"])
    file.node(
      "Scan", ["s", "x"], ["last", "all"],
      [
        ("body", .graph(body)), ("num_scan_inputs", .integer(1)), ("scan_input_axes", .integers([-1])), ("scan_input_directions", .integers([1])),
        ("scan_output_axes", .integers([1])), ("scan_output_directions", .integers([1])),
      ])
    file.output("last")
    file.output("all")
    let results = try run(file, [Tensor(.f32, [2], [0, 10]), Tensor(.f32, [2, 3], [1, 2, 3, 4, 5, 6])])
    #expect(results[0].doubles == [6, 25])
    #expect(results[1].doubles == [6, 5, 3, 25, 21, 16])
  }

  @Test func theFirstScanHasABatch() throws {
    var file = ONNXFile(opset: 8)
    file.input("s", ["b", "1"])
    file.input("x", ["b", "n", "1"])
    let body = graph(inputs: [ONNXFile.value("a", 1, ["1"]), ONNXFile.value("v", 1, ["1"])], [node("Add", ["a", "v"], ["c"]), node("Identity", ["c"], ["d"])], outputs: ["c", "d"])
    file.node("Scan", ["", "s", "x"], ["last", "all"], [("body", .graph(body)), ("num_scan_inputs", .integer(1))])
    file.output("last")
    file.output("all")
    let results = try run(file, [Tensor(.f32, [2, 1], [0, 10]), Tensor(.f32, [2, 3, 1], [1, 2, 3, 4, 5, 6])])
    #expect(results[0].doubles == [6, 25])
    #expect(results[1].doubles == [1, 3, 6, 14, 19, 25])
  }

  // MARK: Sequences and optionals

  /// A graph input of a type that is no tensor: a sequence (4) or an optional (9) of a tensor of f32.
  private func wrapped(_ name: String, field: Int) -> ProtoMessage {
    var tensor = ProtoMessage(), inner = ProtoMessage(), wrapper = ProtoMessage(), type = ProtoMessage(), info = ProtoMessage()
    tensor.integer(1, 1)
    inner.message(1, tensor)
    wrapper.message(1, inner)
    type.message(field, wrapper)
    info.string(1, name)
    info.message(2, type)
    return info
  }

  @Test func aSequenceIsAsManyInputsAsItHasElements() throws {
    var file = ONNXFile()
    file.graph.message(11, wrapped("xs", field: 4))
    file.input("k", [], element: 7)
    file.node("SequenceAt", ["xs", "k"], ["y"])
    file.node("SequenceInsert", ["xs", "y"], ["zs"])
    file.output("y")
    file.graph.message(12, wrapped("zs", field: 4))
    let path = file.write(to: folder)
    let error = #expect(throws: CompileError.self) { try loadONNX(path: path) }
    #expect(error?.hint?.contains("--sequence xs=2x3,4x3") == true)
    var options = ImportOptions()
    options.sequences["xs"] = [[2], [2]]
    let model = try loadONNX(path: path, options: options)
    #expect(model.graph.inputs.map { model.graph.value($0).name } == ["xs.0", "xs.1", "k"])
    #expect(model.graph.outputNames == ["y", "zs.0", "zs.1", "zs.2"])
    #expect(model.inputStructures == [PortStructure(name: "xs", kind: .sequence, ports: 0..<2)] && model.outputStructures == [PortStructure(name: "zs", kind: .sequence, ports: 1..<4)])
    let results = try Interpreter.evaluate(model.graph, inputs: [Tensor(.f32, [2], [1, 2]), Tensor(.f32, [2], [3, 4]), scalar(-1)])
    #expect(results[0].doubles == [3, 4] && results[3].doubles == [3, 4])
    // Of different shapes: the position decides the result's shape.
    options.sequences["xs"] = [[2], [3]]
    let other = #expect(throws: CompileError.self) { try loadONNX(path: path, options: options) }
    #expect(other?.dependsOn == ["k"])
  }

  @Test func anOptionalIsThereOrNot() throws {
    var file = ONNXFile()
    file.graph.message(11, wrapped("x", field: 9))
    file.input("z", ["2"])
    file.node("OptionalHasElement", ["x"], ["has"])
    let then = graph([node("OptionalGetElement", ["x"], ["a"]), node("Neg", ["a"], ["n"])], outputs: ["n"])
    let other = graph([node("Identity", ["z"], ["m"])], outputs: ["m"])
    file.node("If", ["has"], ["y"], [("then_branch", .graph(then)), ("else_branch", .graph(other))])
    file.output("y")
    var options = ImportOptions()
    options.optionals["x"] = .absent
    #expect(try run(file, [Tensor(.f32, [2], [1, 2])], options: options)[0].doubles == [1, 2])
    options.optionals["x"] = .shape([3])
    #expect(try run(file, [Tensor(.f32, [3], [1, 2, 3]), Tensor(.f32, [2], [1, 2])], options: options)[0].doubles == [-1, -2, -3])
  }

  @Test func aSequenceIsMapped() throws {
    var file = ONNXFile()
    file.graph.message(11, wrapped("xs", field: 4))
    file.input("w", ["1"])
    let body = graph(inputs: [ONNXFile.value("a"), ONNXFile.value("b")], [node("Mul", ["a", "b"], ["c"])], outputs: ["c"])
    file.node("SequenceMap", ["xs", "w"], ["ys"], [("body", .graph(body))])
    file.node("ConcatFromSequence", ["ys"], ["y"], [("axis", .integer(0))])
    file.output("y")
    var options = ImportOptions()
    options.sequences["xs"] = [[1], [2]]
    #expect(try run(file, [Tensor(.f32, [1], [1]), Tensor(.f32, [2], [2, 3]), Tensor(.f32, [1], [10])], options: options)[0].doubles == [10, 20, 30])
  }

  @Test func aSequenceIsSplitAtLengthsOfTheRun() throws {
    var file = ONNXFile()
    file.input("x", ["5"])
    file.input("sizes", ["2"], element: 7)
    file.node("SplitToSequence", ["x", "sizes"], ["xs"])
    file.initializer("one", scalar(1))
    file.node("SequenceAt", ["xs", "one"], ["y"])
    file.output("y")
    let x = Tensor(.f32, [5], [1, 2, 3, 4, 5])
    #expect(try run(file, [x, Tensor([2, 3])])[0].doubles == [3, 4, 5])
    #expect(try run(file, [x, Tensor([4, 1])])[0].doubles == [5])
  }
}
