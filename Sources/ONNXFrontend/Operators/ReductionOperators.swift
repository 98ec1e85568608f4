import GraphIR
import TensorTypes

/// Reductions along axes, arg-max, running sums, top-k.
enum ReductionOperators {
  static let table: [String: OperatorImporter] = [
    "ReduceSum": reduction { b, x, axes throws(CompileError) in try b.reduce(.sum, x, axes: axes, keepsAxes: true) },
    "ReduceProd": reduction { b, x, axes throws(CompileError) in try b.reduce(.product, x, axes: axes, keepsAxes: true) },
    "ReduceMax": reduction { b, x, axes throws(CompileError) in try b.reduce(.maximum, x, axes: axes, keepsAxes: true) },
    "ReduceMin": reduction { b, x, axes throws(CompileError) in try b.reduce(.minimum, x, axes: axes, keepsAxes: true) },
    "ReduceMean": reduction { b, x, axes throws(CompileError) in axes.isEmpty ? x : try b.mean(x, axes: axes, keepsAxes: true) },
    "ReduceL1": reduction { b, x, axes throws(CompileError) in try b.reduce(.sum, b.unary(.absolute, x), axes: axes, keepsAxes: true) },
    "ReduceL2": reduction { b, x, axes throws(CompileError) in
      try squareRoot(b.reduce(.sum, b.binary(.multiply, x, x), axes: axes, keepsAxes: true), &b)
    },
    "ReduceSumSquare": reduction { b, x, axes throws(CompileError) in
      try b.reduce(.sum, b.binary(.multiply, x, x), axes: axes, keepsAxes: true)
    },
    "ReduceLogSum": reduction { b, x, axes throws(CompileError) in
      try logarithm(b.reduce(.sum, x, axes: axes, keepsAxes: true), &b)
    },
    "ReduceLogSumExp": reduction(logSumExp),
    "ArgMax": { call, b throws(CompileError) in [try argReduce(.max, call, &b)] },
    "ArgMin": { call, b throws(CompileError) in [try argReduce(.min, call, &b)] },
    "CumSum": { call, b throws(CompileError) in [try cumulative(.sum, call, &b)] },
    "CumProd": { call, b throws(CompileError) in [try cumulative(.product, call, &b)] },
    "TopK": topK,
  ]

  /// A reduction whose axes are an attribute in older operator sets and an operand since (18; 13 for ReduceSum).
  private static func reduction(
    _ body: @escaping @Sendable (inout GraphBuilder, ValueID, [Int]) throws(CompileError) -> ValueID
  ) -> OperatorImporter {
    { call, b throws(CompileError) in
      let x = try call.input(0)
      let rank = b.rank(x)
      let given = try call.integers("axes", orInput: 1, b) ?? []
      let isIdentity = try given.isEmpty ? call.flag("noop_with_empty_axes") : false
      let axes = given.isEmpty ? (isIdentity ? [] : Array(0..<rank)) : try call.axes(given, rank: rank)
      if let folded = try fold(call, x, axes, isIdentity, &b) { return [folded] }
      let element = b.element(x)
      let wide = b.accumulator(element)
      // f16 and bf16 sums are taken in f32 and rounded once, so that intermediate results do not overflow.
      let isExact = call.name == "ReduceMax" || call.name == "ReduceMin"
      let reduced = try b.convert(body(&b, isExact ? x : b.convert(x, to: wide), axes), to: element)
      if try call.flag("keepdims", default: true) || isIdentity { return [reduced] }
      let kept = (0..<rank).filter { !axes.contains($0) }.map { b.shape(x)[$0] }
      return [try b.reshape(reduced, to: Shape(kept))]
    }
  }

  /// Products and sums of shapes, which exporters write to flatten.
  private static func fold(
    _ call: OperatorCall, _ x: ValueID, _ axes: [Int], _ isIdentity: Bool, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID? {
    let functions: [String: BinaryFunction] = ["ReduceSum": .add, "ReduceProd": .multiply, "ReduceMax": .maximum, "ReduceMin": .minimum]
    guard let function = functions[call.name], let contents = b.contents(x), contents.dimensions.count == 1, axes == [0], !isIdentity,
      !b.element(x).isFloatingPoint, b.element(x) != .bool, var total = contents.elements.first
    else { return nil }
    for element in contents.elements.dropFirst() {
      guard let next = KnownElement.apply(function, total, element, element: b.element(x)) else { return nil }
      total = next
    }
    let dimensions = try call.flag("keepdims", default: true) ? [1] : []
    return try b.materialize(KnownContents(dimensions: dimensions, elements: [total]), b.element(x))
  }

  private static func throughDouble(
    _ function: UnaryFunction, _ x: ValueID, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let element = b.element(x)
    return element.isFloatingPoint ? try b.unary(function, x) : try b.convert(b.unary(function, b.convert(x, to: .f64)), to: element)
  }
  private static func squareRoot(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID { try throughDouble(.squareRoot, x, &b) }
  private static func logarithm(_ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID { try throughDouble(.logarithm, x, &b) }

  /// log(sum(e^(x - m))) + m with m the largest element, or 0 where that is infinite.
  private static func logSumExp(_ b: inout GraphBuilder, _ input: ValueID, _ axes: [Int]) throws(CompileError) -> ValueID {
    let element = b.element(input)
    let x = try b.convert(input, to: element.isFloatingPoint ? element : .f64)
    let largest = try b.reduce(.maximum, x, axes: axes, keepsAxes: true)
    let shift = try b.select(b.unary(.isInfinite, largest), b.scalar(0, b.element(x)), largest)
    let sum = try b.reduce(.sum, b.unary(.exponential, b.binary(.subtract, x, shift)), axes: axes, keepsAxes: true)
    return try b.convert(b.binary(.add, b.unary(.logarithm, sum), shift), to: element)
  }

  private static func argReduce(_ extreme: ArgReduce.Extreme, _ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let x = try call.input(0)
    let axis = try call.axis(call.integer("axis", default: 0), rank: b.rank(x))
    let index = try b.add(ArgReduce(extreme, axis: axis, selectsLast: call.flag("select_last_index")), x)
    return try call.flag("keepdims", default: true) ? b.unsqueeze(index, axis: axis) : index
  }

  private static func cumulative(_ reducer: Reducer, _ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let x = try call.input(0)
    let (isExclusive, isReverse) = (try call.flag("exclusive"), try call.flag("reverse"))
    func along(_ axis: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      try b.add(Cumulative(reducer, axis: axis, isExclusive: isExclusive, isReverse: isReverse), x)
    }
    let (given, rank) = (try b.length(call.input(1), "the axis"), b.rank(x))
    if let axis = given.constant { return try along(call.axis(axis, rank: rank), &b) }
    guard rank >= 1, rank <= 4 else { throw b.unknownContents("\(call.name) takes the axis from a tensor that is only known when the model runs", of: [try call.input(1)]) }
    // Every axis that it may be.
    var result = try along(0, &b)
    for axis in 1..<max(rank, 1) {
      let number = try b.scalar(given)
      let isAxis = try b.binary(.or, b.compare(.equal, number, Double(axis)), b.compare(.equal, number, Double(axis - rank)))
      result = try b.select(isAxis, along(axis, &b), result)
    }
    return result
  }

  private static func topK(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let axis = try call.axis(call.integer("axis", default: -1), rank: b.rank(x))
    let k: Extent
    if call.opset < 10 { k = Extent(try call.integer("k")) } else {
      k = try b.measured(b.length(call.input(1), "`k`"))
    }
    return try b.addAll(TopK(k: k, axis: axis, isAscending: !call.flag("largest", default: true)), [x])
  }
}
