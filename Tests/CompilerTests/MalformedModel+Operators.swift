extension MalformedModel {
  private static let image = [ONNXBytes.value("x", 1, 4, 8, 8)]

  private static func convolution(_ name: String, _ filter: [Int], _ attributes: [ONNXBytes], _ word: String = "Conv") -> MalformedModel {
    MalformedModel(name, .model(.graph([.node("Conv", ["x", "f"], ["y"], attributes)], weights: [.floats("f", filter)], inputs: image)), [word])
  }

  /// Operators that are asked for what they cannot do.
  static let operators: [MalformedModel] = [
    convolution("a convolution of other channels", [6, 3, 3, 3], []),
    convolution("a convolution of another rank", [6, 4, 3], []),
    convolution("a convolution in no groups", [6, 4, 3, 3], [.integer("group", 0)]),
    convolution("a convolution in -2 groups", [6, 2, 3, 3], [.integer("group", -2)]),
    convolution("a convolution in 2^62 groups", [6, 4, 3, 3], [.integer("group", 1 << 62)]),
    convolution("a convolution with stride 0", [6, 4, 3, 3], [.integers(attribute: "strides", [0, 1])]),
    convolution("a convolution with dilation 0", [6, 4, 3, 3], [.integers(attribute: "dilations", [1, 0])]),
    convolution("a convolution with a huge dilation", [6, 4, 3, 3], [.integers(attribute: "dilations", [1 << 62, 1])]),
    convolution("a convolution with three strides", [6, 4, 3, 3], [.integers(attribute: "strides", [1, 1, 1])]),
    convolution("a convolution with too much padding taken away", [6, 4, 3, 3], [.integers(attribute: "pads", [-9, -9, -9, -9])]),
    convolution("a convolution with overflowing padding", [6, 4, 3, 3], [.integers(attribute: "pads", [.max, 0, .max, 0])]),
    convolution("a convolution whose kernel_shape lies", [6, 4, 3, 3], [.integers(attribute: "kernel_shape", [5, 5])]),
    convolution("a convolution with an unknown auto_pad", [6, 4, 3, 3], [.text("auto_pad", "SOMEHOW")]),
    convolution("a filter larger than its image", [6, 4, 30, 30], []),
    MalformedModel("a pool larger than its image", node: .node("MaxPool", ["x"], ["y"], [.integers(attribute: "kernel_shape", [90, 90])]), inputs: image, "MaxPool"),
    MalformedModel("a pool without a size", node: .node("MaxPool"), inputs: image, "kernel_shape"),
    MalformedModel("a pool of size 0", node: .node("AveragePool", ["x"], ["y"], [.integers(attribute: "kernel_shape", [0, 2])]), inputs: image, "AveragePool"),
    MalformedModel("a norm with too few scales", node: .node("BatchNormalization", ["x", "s", "s", "s", "s"]), weights: [.floats("s", [3])], inputs: image, "BatchNormalization"),
    MalformedModel("a Reshape that loses elements", node: .node("Reshape", ["x", "s"]), weights: [.integers("s", [2, 2])], "Reshape"),
    MalformedModel("a Reshape with two unknown lengths", node: .node("Reshape", ["x", "s"]), weights: [.integers("s", [-1, -1])], "Reshape"),
    MalformedModel("a Reshape to length -2", node: .node("Reshape", ["x", "s"]), weights: [.integers("s", [-2, 3])], "Reshape"),
    MalformedModel("a Reshape to an overflowing size", node: .node("Reshape", ["x", "s"]), weights: [.integers("s", [1 << 62, 1 << 62])], "Reshape"),
    MalformedModel("a Squeeze of a long axis", node: .node("Squeeze", ["x", "s"]), weights: [.integers("s", [0])], "Squeeze"),
    MalformedModel("an Unsqueeze far away", node: .node("Unsqueeze", ["x", "s"]), weights: [.integers("s", [12])], "Unsqueeze"),
    MalformedModel("a Slice with step 0", node: .node("Slice", ["x", "a", "b", "c", "d"]), weights: [.integers("a", [0]), .integers("b", [2]), .integers("c", [0]), .integers("d", [0])], "Slice"),
    MalformedModel("a Slice of axis 7", node: .node("Slice", ["x", "a", "b", "c"]), weights: [.integers("a", [0]), .integers("b", [2]), .integers("c", [7])], "Slice"),
    MalformedModel("a Split into other sizes", node: .node("Split", ["x", "s"], ["y", "z"]), weights: [.integers("s", [5, 5])], "Split"),
    MalformedModel("a Pad that leaves less than nothing", node: .node("Pad", ["x", "p"]), weights: [.integers("p", [-5, 0, 0, 0])], "Pad"),
    MalformedModel("a Pad with too few numbers", node: .node("Pad", ["x", "p"]), weights: [.integers("p", [1, 1])], "Pad"),
    MalformedModel("a Gather beyond the end", node: .node("Gather", ["x", "i"], ["y"], [.integer("axis", 0)]), weights: [.integers("i", [5])], "Gather", "5"),
    MalformedModel("a TopK of more than there is", node: .node("TopK", ["x", "k"], ["y", "z"]), weights: [.integers("k", [50])], "TopK"),
    MalformedModel("a Resize by 0", node: .node("Resize", ["x", "", "s"]), weights: [.floats("s", [4])], inputs: image, "Resize"),
    MalformedModel("a DepthToSpace of block 0", node: .node("DepthToSpace", ["x"], ["y"], [.integer("blocksize", 0)]), inputs: image, "DepthToSpace"),
    MalformedModel("an LSTM with the wrong weights", node: .node("LSTM", ["x", "w", "r"], ["y"], [.integer("hidden_size", 5)]), weights: [.floats("w", [1, 7, 3]), .floats("r", [1, 7, 5])],
      inputs: [.value("x", 4, 1, 3)], "LSTM"),
    MalformedModel("a Range with step 0", node: .node("Range", ["a", "b", "c"]),
      weights: [.tensor("a", [], element: 7, bytes: Array(repeating: 0, count: 8)), .tensor("b", [], element: 7, bytes: [9, 0, 0, 0, 0, 0, 0, 0]), .tensor("c", [], element: 7, bytes: Array(repeating: 0, count: 8))], "Range"),
  ]

  /// Small files that ask for very much memory.
  static let sizes: [MalformedModel] = [
    MalformedModel("an input of negative length", graph: .graph([.node("Relu")], inputs: [.value("x", 2, -3)]), "x", "-3"),
    MalformedModel("an input whose size overflows", graph: .graph([.node("Relu")], inputs: [.value("x", 1 << 62, 1 << 62)]), "x", "size", "large", "overflow"),
    MalformedModel("an input of 2^62 elements", graph: .graph([.node("Relu")], inputs: [.value("x", 1 << 62)]), "x", "size", "large", "overflow"),
    MalformedModel("an input of 100000 axes", graph: .graph([.node("Relu")], inputs: [.value("x", Array(repeating: .fixed(1), count: 100_000))]), "axes", "rank"),
    MalformedModel("a ConstantOfShape of 2^60 elements", node: .node("ConstantOfShape", ["s"]), weights: [.integers("s", [1 << 30, 1 << 30])], "ConstantOfShape", "large"),
    MalformedModel("a ConstantOfShape of negative length", node: .node("ConstantOfShape", ["s"]), weights: [.integers("s", [-4])], "ConstantOfShape"),
    MalformedModel("an Expand to 2^60 elements", node: .node("Expand", ["x", "s"]), weights: [.integers("s", [1 << 58, 2, 3])], "Expand", "large"),
    MalformedModel("a Tile of 2^62", node: .node("Tile", ["x", "s"]), weights: [.integers("s", [1 << 62, 1 << 62])], "Tile"),
    MalformedModel("a Tile of -1", node: .node("Tile", ["x", "s"]), weights: [.integers("s", [-1, 1])], "Tile"),
    MalformedModel("a Pad of 2^62", node: .node("Pad", ["x", "p"]), weights: [.integers("p", [1 << 62, 1 << 62, 1 << 62, 1 << 62])], "Pad"),
    MalformedModel("a Range to 2^62", node: .node("Range", ["a", "b", "c"]),
      weights: [.tensor("a", [], element: 7, bytes: Array(repeating: 0, count: 8)), .tensor("b", [], element: 7, bytes: [0, 0, 0, 0, 0, 0, 0, 0x40]), .tensor("c", [], element: 7, bytes: [1, 0, 0, 0, 0, 0, 0, 0])], "Range"),
    MalformedModel("a OneHot of depth 2^50", node: .node("OneHot", ["i", "d", "v"]), weights: [.integers("i", [0]), .integers("d", [1 << 50]), .floats("v", [2])], "OneHot"),
    MalformedModel("a Resize to 2^40", node: .node("Resize", ["x", "", "", "s"]), weights: [.integers("s", [1, 4, 1 << 40, 1 << 40])], inputs: image, "Resize"),
    MalformedModel("a doubling 62 times over", graph: .graph((0..<62).map { .node("Concat", ["v\($0)", "v\($0)"], ["v\($0 + 1)"], [.integer("axis", 0)]) } + [.node("Relu", ["v62"])],
      weights: [.floats("v0", [4])], inputs: []), ""),
  ]
}
