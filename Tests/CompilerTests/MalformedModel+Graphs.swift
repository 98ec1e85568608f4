extension MalformedModel {
  /// Names and edges of the graph.
  static let values: [MalformedModel] = [
    MalformedModel("an undefined value", node: .node("Add", ["x", "ghost"]), "ghost"),
    MalformedModel("two nodes in a circle", graph: .graph([.node("Add", ["x", "b"], ["a"]), .node("Relu", ["a"], ["b"]), .node("Relu", ["b"])]), "cycl", "circle", "before it is defined", "depend"),
    MalformedModel("a node that reads its own result", node: .node("Add", ["x", "y"]), "cycl", "circle", "y"),
    MalformedModel("an output that nothing defines", graph: .graph([.node("Relu", ["x"], ["z"])]), "y"),
    MalformedModel("a value defined twice", graph: .graph([.node("Relu"), .node("Neg")]), "y"),
    MalformedModel("a result named like an input", graph: .graph([.node("Relu", ["x"], ["x"]), .node("Neg")]), "x"),
    MalformedModel("an input given twice", graph: .graph([.node("Relu")], inputs: [.x, .value("x", 2, 3)]), "x"),
    MalformedModel("a weight given twice", node: .node("Add", ["x", "w"]), weights: [.floats("w", [2, 3]), .floats("w", [3])], "w"),
    MalformedModel("an output given twice", graph: .graph([.node("Relu")], outputs: [.y, .y]), "y"),
    MalformedModel("a result without a name that is used", graph: .graph([.node("Relu", ["x"], [""]), .node("Neg", [""])])),
    MalformedModel("too few operands", node: .node("Add", ["x"]), "Add"),
    MalformedModel("no operands", node: .node("Relu", []), "Relu"),
    MalformedModel("too many results", node: .node("Relu", ["x"], ["y", "z"]), "Relu"),
    MalformedModel("an unknown operator", node: .node("Frobnicate"), "Frobnicate"),
    MalformedModel("an operator without a name", node: .node("")),
    MalformedModel("an operator of an unknown domain", node: .node("Relu", domain: "com.example.magic"), "com.example.magic"),
    MalformedModel("an unknown operator in a branch", node: .node("If", ["c"], ["y"], [
      .graph(attribute: "then_branch", .graph([.node("Identity")], inputs: [])), .graph(attribute: "else_branch", .graph([.node("Frobnicate")], inputs: [])),
    ]), inputs: [.x, .value("c", [], element: 9)], "Frobnicate"),
    MalformedModel("an If without branches", node: .node("If", ["c"]), weights: [.tensor("c", [], element: 9, bytes: [1])], "If"),
    MalformedModel("a Loop without a body", node: .node("Loop", ["", "", "x"]), "Loop"),
    MalformedModel("a Scan without a body", node: .node("Scan", ["x"], ["y"], [.integer("num_scan_inputs", 1)]), "Scan"),
  ]

  /// Element types and shapes that do not go together.
  static let types: [MalformedModel] = [
    MalformedModel("f32 plus i64", graph: .graph([.node("Add", ["x", "i"])], inputs: [.x, .value("i", 2, 3, element: 7)]), "Add", "i64"),
    MalformedModel("shapes that do not broadcast", node: .node("Add", ["x", "w"]), weights: [.floats("w", [2, 4])], "Add", "[2,4]"),
    MalformedModel("a product with unlike depths", node: .node("MatMul", ["x", "w"]), weights: [.floats("w", [4, 5])], "MatMul"),
    MalformedModel("a product of a scalar", node: .node("MatMul", ["x", "w"]), weights: [.floats("w", [])], "MatMul"),
    MalformedModel("a Gemm of rank 3", node: .node("Gemm", ["x", "w"]), weights: [.floats("w", [3, 2, 2])], "Gemm"),
    MalformedModel("an input without a type", graph: .graph([.node("Relu")], inputs: [ONNXBytes().text(1, "x")]), "x"),
    MalformedModel("an input of element type 0", graph: .graph([.node("Relu")], inputs: [.value("x", 2, element: 0)]), "x"),
    MalformedModel("an input of element type 99", graph: .graph([.node("Relu")], inputs: [.value("x", 2, element: 99)]), "99"),
    MalformedModel("an input of strings", graph: .graph([.node("Relu")], inputs: [.value("x", 2, element: 8)]), "x", "string"),
    MalformedModel("an input of complex numbers", graph: .graph([.node("Relu")], inputs: [.value("x", 2, element: 14)]), "x", "omplex"),
    MalformedModel("an input that is a sequence", graph: .graph([.node("Relu")], inputs: [ONNXBytes().text(1, "x").message(2, ONNXBytes().message(4, ONNXBytes()))]), "x", "equence"),
    MalformedModel("indices that are no integers", node: .node("Gather", ["x", "x"]), "Gather"),
    MalformedModel("a condition that is a number", node: .node("Where", ["x", "x", "x"]), "Where"),
    MalformedModel("branches of unlike types", graph: .graph([.node("If", ["c"], ["y"], [
      .graph(attribute: "then_branch", .graph([.node("Identity")], inputs: [])),
      .graph(attribute: "else_branch", .graph([.node("Cast", ["x"], ["y"], [.integer("to", 7)])], inputs: [])),
    ])], inputs: [.x, .value("c", [], element: 9)]), "If"),
    MalformedModel("an output declared with another element type", graph: .graph([.node("Relu")], outputs: [.value("y", 2, 3, element: 7)]), "y"),
  ]

  /// Attributes that are missing, of the wrong kind or out of range.
  static let attributes: [MalformedModel] = [
    MalformedModel("a Cast to nothing", node: .node("Cast"), "to"),
    MalformedModel("a Cast to element type 99", node: .node("Cast", ["x"], ["y"], [.integer("to", 99)]), "99"),
    MalformedModel("a Concat without an axis", node: .node("Concat", ["x", "x"]), "axis"),
    MalformedModel("a Concat along axis 5", node: .node("Concat", ["x", "x"], ["y"], [.integer("axis", 5)]), "axis", "5"),
    MalformedModel("a Concat along the least axis", node: .node("Concat", ["x", "x"], ["y"], [.integer("axis", .min)]), "axis"),
    MalformedModel("an axis that is a float", node: .node("Concat", ["x", "x"], ["y"], [.float("axis", 1)]), "axis"),
    MalformedModel("an axis that is text", node: .node("Softmax", ["x"], ["y"], [.text("axis", "last")]), "axis"),
    MalformedModel("an attribute given twice", node: .node("Softmax", ["x"], ["y"], [.integer("axis", 0), .integer("axis", 1)]), "axis"),
    MalformedModel("a Softmax along axis 9", node: .node("Softmax", ["x"], ["y"], [.integer("axis", 9)]), "axis", "9"),
    MalformedModel("a permutation that repeats an axis", node: .node("Transpose", ["x"], ["y"], [.integers(attribute: "perm", [0, 0])]), "Transpose", "perm"),
    MalformedModel("a permutation of three axes of two", node: .node("Transpose", ["x"], ["y"], [.integers(attribute: "perm", [0, 1, 2])]), "Transpose", "perm"),
    MalformedModel("a Constant without a value", node: .node("Constant", [], ["y"]), "Constant"),
    MalformedModel("a Constant that is a graph", node: .node("Constant", [], ["y"], [.graph(attribute: "value", .graph([]))]), "Constant", "value"),
    MalformedModel("an Einsum of nonsense", node: .node("Einsum", ["x"], ["y"], [.text("equation", "i->->..j,")]), "Einsum", "equation"),
  ]

  /// Against the standard, but harmless: some runtimes refuse these, some read them. They may be refused or compiled.
  static let tolerable: [MalformedModel] = [
    MalformedModel("a weight with data of two kinds", node: .node("Add", ["x", "w"]), weights: [.tensor("w", [3], bytes: Array(repeating: 0, count: 12)).data(4, Array(repeating: 0, count: 12))]),
    MalformedModel("too many operands", node: .node("Relu", ["x", "x"]), "Relu"),
    MalformedModel("Relu of truth values", graph: .graph([.node("Relu")], inputs: [.value("x", 2, element: 9)]), "Relu", "bool"),
    MalformedModel("an output declared with another shape", graph: .graph([.node("Relu")], outputs: [.value("y", 7, 7)]), "y"),
    MalformedModel("a Constant with two values", node: .node("Constant", [], ["y"], [.integer("value_int", 1), .float("value_float", 1)]), "Constant"),
    MalformedModel("an attribute of an unknown kind", node: .node("Softmax", ["x"], ["y"], [ONNXBytes().text(1, "axis").integer(3, 1).integer(20, 77)]), "axis", "77"),
  ]
}
