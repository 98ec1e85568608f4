import GraphIR
import TensorTypes

extension ModelImporter {
  /// What a `Scan` scans, and along which axes.
  private struct ScanCall {
    let call: OperatorCall
    let graph: GraphProto
    /// The number of carried values.
    let states: Int
    let inputAxes: [Int]
    let inputDirections: [Int]
    let outputAxes: [Int]
    let outputDirections: [Int]

    var scanned: Int { graph.inputs.count - states }

    init(_ call: OperatorCall, inputs: Int) throws(CompileError) {
      self.call = call
      graph = try call.graph("body")
      let count = try call.integer("num_scan_inputs")
      guard count >= 1, count <= inputs, graph.inputs.count == inputs, graph.outputs.count >= inputs - count else {
        throw call.refusal("Scan of \(inputs) operands, \(count) of them scanned, by a body of \(graph.inputs.count) inputs")
      }
      states = inputs - count
      func list(_ name: String, _ count: Int) throws(CompileError) -> [Int] {
        let values = try call.integers(name) ?? []
        guard values.isEmpty || values.count == count else { throw call.refusal("`\(name)` of Scan has \(values.count) entries for \(count)") }
        return values.isEmpty ? [Int](repeating: 0, count: count) : values
      }
      let outputs = graph.outputs.count - states
      // Version 8 has directions of inputs only, under another name.
      inputAxes = try list("scan_input_axes", count)
      inputDirections = try list(call.opset < 9 ? "directions" : "scan_input_directions", count)
      outputAxes = try list("scan_output_axes", outputs)
      outputDirections = try list("scan_output_directions", outputs)
    }
  }

  mutating func importScan(
    _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    if call.opset < 9 { return try importBatchedScan(call, scope: scope, context: context, builder: &builder) }
    let inputs = try call.allInputs()
    let scan = try ScanCall(call, inputs: inputs.count)
    let captured = Captured([scan.graph], scope, builder)
    return try scanned(scan, inputs, captured, context, &builder) { mutableSelf, formals, builder throws(CompileError) in
      try mutableSelf.region(scan.graph, formals: formals, capturing: captured, operands: inputs.map { [$0] }, call, context: context, around: builder)
    }.map { .value($0) }
  }

  /// One scan over values of a builder.
  private mutating func scanned(
    _ scan: ScanCall, _ inputs: [ValueID], _ captured: Captured, _ context: BlockContext, _ builder: inout GraphBuilder,
    body: (inout ModelImporter, [Formal], GraphBuilder) throws(CompileError) -> Region
  ) throws(CompileError) -> [ValueID] {
    var scanned: [ValueID] = []
    for (position, x) in inputs[scan.states...].enumerated() {
      let axis = try scan.call.axis(scan.inputAxes[position], rank: builder.rank(x))
      let moved = try builder.transpose(x, [axis] + (0..<builder.rank(x)).filter { $0 != axis })
      scanned.append(scan.inputDirections[position] == 0 ? moved : try builder.add(Reverse(axes: [0]), moved))
    }
    let steps = builder.shape(scanned[0])[0]
    for position in scanned.indices.dropFirst() {
      // A length with another name is taken to be equal.
      var shape = builder.shape(scanned[position])
      shape[0] = steps
      guard builder.shape(scanned[position])[0] == steps || !builder.shape(scanned[position])[0].isConstant || !steps.isConstant else {
        throw scan.call.refusal("Scan of tensors of \(steps) and \(builder.shape(scanned[position])[0]) steps")
      }
      scanned[position] = try builder.reshape(scanned[position], to: shape)
    }
    var formals = zip(scan.graph.inputs, inputs[..<scan.states]).map { Formal($0.name, builder.type($1)) }
    for (input, x) in zip(scan.graph.inputs.dropFirst(scan.states), scanned) {
      formals.append(Formal(input.name, TensorType(builder.element(x), Shape(Array(builder.shape(x).extents.dropFirst())))))
    }
    let region = try body(&self, formals, builder)
    guard region.outputs.allSatisfy({ $0 == .value }) else { throw scan.call.unsupported("Scan over sequences or optionals") }
    let results = try builder.addAll(
      Scan(carried: scan.states, scanned: scanned.count, extent: steps, body: region.graph), Array(inputs[..<scan.states]) + scanned + captured.values)
    var values = Array(results[..<scan.states])
    for (position, stacked) in results[scan.states...].enumerated() {
      let forward = scan.outputDirections[position] == 0 ? stacked : try builder.add(Reverse(axes: [0]), stacked)
      let rank = builder.rank(forward)
      let axis = try scan.call.axis(scan.outputAxes[position], rank: rank)
      values.append(try builder.transpose(forward, Array(1..<axis + 1) + [0] + Array(axis + 1..<rank)))
    }
    return values
  }

  /// Version 8 scans each element of a batch on its own: a scan over the batch whose body is a scan over the steps.
  private mutating func importBatchedScan(
    _ call: OperatorCall, scope: Scope, context: BlockContext, builder: inout GraphBuilder
  ) throws(CompileError) -> [Binding] {
    var inputs: [ValueID] = []
    for position in call.inputs.indices.dropFirst() { inputs.append(try call.input(position)) }
    let scan = try ScanCall(call, inputs: inputs.count)
    guard inputs.allSatisfy({ builder.rank($0) >= 1 }), builder.rank(inputs[scan.states]) >= 2 else { throw call.refusal("Scan of version 8 takes batches") }
    if let lengths = call.optional(0) {
      let steps = builder.shape(inputs[scan.states])[1]
      guard let known = builder.extents(lengths), known.allSatisfy({ $0 == steps }) else {
        throw call.unsupported("Scan (opset 8) over sequences of different lengths", hint: "export the model with opset 9 or later, whose Scan has no `sequence_lens`")
      }
    }
    let batch = builder.shape(inputs[0])[0]
    let captured = Captured([scan.graph], scope, builder)
    let types = inputs.map { TensorType(builder.element($0), Shape(Array(builder.shape($0).extents.dropFirst()))) }
    // The outer body is made by hand: it takes what the inner one captures as values that it reads whole.
    let all = types + captured.values.map { builder.type($0) }
    let outer = builder
    var importer = self
    let body = try builder.region("scan", types: all) { b, values throws(CompileError) in
      let own = Array(values[..<types.count])
      let passed = Array(values[types.count...])
      return try importer.scanned(scan, own, Captured(passed), context, &b) { importer, formals, _ throws(CompileError) in
        try importer.region(scan.graph, formals: formals, capturing: captured, call, context: context, around: outer)
      }
    }
    self = importer
    let results = try builder.addAll(Scan(carried: 0, scanned: inputs.count, extent: batch, body: body), inputs + captured.values)
    return results.map { .value($0) }
  }
}
