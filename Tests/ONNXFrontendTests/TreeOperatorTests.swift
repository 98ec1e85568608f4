import GraphIR
import Interpreter
import ONNXFrontend
import TensorTypes
import TestSupport
import Testing

@Suite("tree operators") struct TreeOperatorTests {
  private func run(_ type: String, _ x: Tensor, _ attributes: [(String, ONNXFile.Attribute)], outputs: Int = 1) throws -> [[Double]] {
    let folder = TemporaryFolder()
    var file = ONNXFile()
    file.input("x", x.dimensions.map(String.init), element: x.element == .f64 ? 11 : 1)
    let results = (0..<outputs).map { "y\($0)" }
    file.node(type, ["x"], results, attributes, domain: "ai.onnx.ml")
    for result in results { file.output(result, element: 0) }
    let model = try loadONNX(path: file.write(to: folder))
    return try Interpreter.evaluate(model.graph, inputs: [x]).map(\.doubles)
  }

  /// One test of feature 0 against 2, with leaves 1 and 2 behind it.
  private func stump(_ mode: String, _ prefix: String, missing: Int = 0, targets: [Int] = [0, 0], weights: [Float] = [1, -3]) -> [(String, ONNXFile.Attribute)] {
    [
      ("nodes_treeids", .integers([0, 0, 0])), ("nodes_nodeids", .integers([0, 1, 2])), ("nodes_featureids", .integers([0, 0, 0])), ("nodes_values", .floats([2, 0, 0])),
      ("nodes_modes", .strings([mode, "LEAF", "LEAF"])), ("nodes_truenodeids", .integers([1, 0, 0])), ("nodes_falsenodeids", .integers([2, 0, 0])),
      ("nodes_missing_value_tracks_true", .integers([missing, 0, 0])), (prefix + "_treeids", .integers([0, 0])), (prefix + "_nodeids", .integers([1, 2])),
      (prefix + "_ids", .integers(targets)), (prefix + "_weights", .floats(weights)),
    ]
  }

  @Test(arguments: [
    ("BRANCH_LEQ", [1, 1, -3, -3]), ("BRANCH_LT", [1, -3, -3, -3]), ("BRANCH_GTE", [-3, 1, 1, -3]), ("BRANCH_GT", [-3, -3, 1, -3]), ("BRANCH_EQ", [-3, 1, -3, -3]),
    ("BRANCH_NEQ", [1, -3, 1, 1]),
  ]) func modes(_ mode: String, _ wanted: [Double]) throws {
    let x = Tensor(.f32, [4, 1], [1, 2, 3, .nan])
    #expect(try run("TreeEnsembleRegressor", x, stump(mode, "target"))[0] == wanted)
    let missing = try run("TreeEnsembleRegressor", x, stump(mode, "target", missing: 1))[0]
    #expect(missing == Array(wanted[..<3]) + [1])
  }

  @Test func classifiersWithOneColumn() throws {
    let x = Tensor(.f32, [2, 1], [1, 3])
    let labels: (String, ONNXFile.Attribute) = ("classlabels_int64s", .integers([10, 20]))
    let margins = try run("TreeEnsembleClassifier", x, stump("BRANCH_LEQ", "class") + [labels], outputs: 2)
    #expect(margins[0] == [20, 10] && margins[1] == [-1, 1, 3, -3])
    let probabilities = try run("TreeEnsembleClassifier", x, stump("BRANCH_LEQ", "class", weights: [0.75, 0.25]) + [labels], outputs: 2)
    #expect(probabilities[0] == [20, 10] && probabilities[1] == [0.25, 0.75, 0.75, 0.25])
  }

  @Test func ensemblesTestMembership() throws {
    func numbers(_ name: String, _ values: [Double], _ element: ElementType = .f32) -> (String, ONNXFile.Attribute) {
      (name, .tensor(ONNXFile.tensor(name, Tensor(element, [values.count], values))))
    }
    let attributes: [(String, ONNXFile.Attribute)] = [
      ("nodes_featureids", .integers([0, 1])), ("nodes_truenodeids", .integers([0, 1])), ("nodes_trueleafs", .integers([1, 1])), ("nodes_falsenodeids", .integers([1, 2])),
      ("nodes_falseleafs", .integers([0, 1])), ("tree_roots", .integers([0])), ("leaf_targetids", .integers([0, 1, 0])), ("n_targets", .integer(2)),
      numbers("nodes_modes", [6, 4], .u8), numbers("nodes_splits", [0, 4]), numbers("leaf_weights", [1, 2, 3]), numbers("membership_values", [5, 7, .nan]),
    ]
    let x = Tensor(.f32, [4, 2], [5, 0, 7, 4, 6, 4, .nan, 0])
    #expect(try run("TreeEnsemble", x, attributes)[0] == [1, 0, 1, 0, 0, 2, 3, 0])
  }

  @Test func refusesWhatIsNoTree() throws {
    var loop = stump("BRANCH_LEQ", "target")
    loop[5] = ("nodes_truenodeids", .integers([0, 0, 0]))
    #expect(throws: CompileError.self) { try run("TreeEnsembleRegressor", Tensor(.f32, [1, 1], [1]), loop) }
    var beyond = stump("BRANCH_LEQ", "target")
    beyond[2] = ("nodes_featureids", .integers([4, 0, 0]))
    #expect(throws: CompileError.self) { try run("TreeEnsembleRegressor", Tensor(.f32, [1, 1], [1]), beyond) }
    #expect(throws: CompileError.self) { try run("TreeEnsembleRegressor", Tensor(.f32, [1, 1], [1]), stump("BRANCH_ODD", "target")) }
  }
}
