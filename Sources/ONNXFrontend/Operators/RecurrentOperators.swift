import GraphIR
import TensorTypes

/// Recurrent networks as loops over time.
///
/// The product of all inputs with their weights does not depend on the state, so it is taken before the loop, in one
/// `dot` over all steps; each step then costs one product with the recurrent weights.
enum RecurrentOperators {
  static let table: [String: OperatorImporter] = [
    "RNN": { call, b throws(CompileError) in try RecurrentLayer(call, .simple, &b).build(&b) },
    "GRU": { call, b throws(CompileError) in try RecurrentLayer(call, .gatedUnit, &b).build(&b) },
    "LSTM": { call, b throws(CompileError) in try RecurrentLayer(call, .longShortTerm, &b).build(&b) },
  ]
}

/// The cell of a recurrent layer.
enum RecurrentCell {
  case simple, gatedUnit, longShortTerm

  /// How many gates one step computes.
  var gates: Int {
    switch self {
    case .simple: 1
    case .gatedUnit: 3
    case .longShortTerm: 4
    }
  }
  /// How many values go from step to step.
  var states: Int { self == .longShortTerm ? 2 : 1 }
  var activations: [String] {
    switch self {
    case .simple: ["Tanh"]
    case .gatedUnit: ["Sigmoid", "Tanh"]
    case .longShortTerm: ["Sigmoid", "Tanh", "Tanh"]
    }
  }
}

/// One recurrent operator of the model.
struct RecurrentLayer {
  private enum Direction: String, CaseIterable { case forward, reverse, bidirectional }

  private let call: OperatorCall
  private let cell: RecurrentCell
  private let direction: Direction
  private let hidden: Int
  private let isBatchFirst: Bool
  private let clip: Double?
  private let activations: [RecurrentActivation]
  /// [steps, batch, features].
  private let x: ValueID
  private let steps: Extent
  private let batch: Extent

  private var directions: Int { direction == .bidirectional ? 2 : 1 }

  init(_ call: OperatorCall, _ cell: RecurrentCell, _ b: inout GraphBuilder) throws(CompileError) {
    self.call = call
    self.cell = cell
    direction = try call.word("direction", default: .forward)
    isBatchFirst = try call.flag("layout")
    clip = call.has("clip") ? try call.number("clip") : nil
    let (input, recurrent) = (try call.input(0), try call.input(2))
    guard b.rank(input) == 3, b.rank(recurrent) == 3, b.rank(try call.input(1)) == 3 else {
      throw b.refusal("\(call.name) takes three axes", operands: [input, try call.input(1), recurrent])
    }
    guard let size = b.shape(recurrent)[2].constant, size >= 1, try call.integer("hidden_size", default: size) == size else {
      throw b.refusal("`hidden_size` does not agree with the recurrent weights", operands: [input, recurrent])
    }
    hidden = size
    x = isBatchFirst ? try b.transpose(input, [1, 0, 2]) : input
    (steps, batch) = (b.shape(x)[0], b.shape(x)[1])
    let count = direction == .bidirectional ? 2 : 1
    activations = try RecurrentActivation.read(call, usual: cell.activations, directions: count)
    for (position, width) in [(1, cell.gates * size), (2, cell.gates * size)] {
      let shape = b.shape(try call.input(position))
      guard shape[0] == Extent(count), shape[1] == Extent(width) else {
        throw b.refusal("\(call.name) has weights of another shape than \(count) directions of \(width) rows", operands: [try call.input(position)])
      }
    }
  }

  /// Y [steps, directions, batch, hidden], then the last states [directions, batch, hidden].
  func build(_ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var sequences: [ValueID] = []
    var states = [[ValueID]](repeating: [], count: cell.states)
    for index in 0..<directions {
      let results = try run(index, isReverse: direction == .reverse || index == 1, &b)
      sequences.append(try b.unsqueeze(results[cell.states], axis: 2))
      for state in 0..<cell.states { states[state].append(try b.unsqueeze(results[state], axis: 0)) }
    }
    // Joined with the directions inside the batch, as the next layer reads them; models turn Y back that way themselves.
    var outputs = [try b.transpose(b.concatenate(sequences, axis: 2), [0, 2, 1, 3])]
    for state in states { outputs.append(try b.concatenate(state, axis: 0)) }
    guard isBatchFirst else { return outputs }
    var turned = [try b.transpose(outputs[0], [2, 0, 1, 3])]
    for state in outputs.dropFirst() { turned.append(try b.transpose(state, [1, 0, 2])) }
    return turned
  }

  /// One direction's part of an operand, or nil if it is left out.
  private func part(_ position: Int, _ index: Int, rank: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID? {
    guard let value = call.optional(position) else { return nil }
    guard b.rank(value) == rank, b.shape(value)[0] == Extent(directions) else {
      throw b.refusal("operand \(position) of \(call.name) does not have \(directions) directions", operands: [value])
    }
    return try b.select(value, axis: 0, at: Extent(index))
  }

  private func initialState(_ position: Int, _ index: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let shape: Shape = [batch, Extent(hidden)]
    guard let value = call.optional(position) else { return try b.broadcast(b.scalar(0, b.element(x)), to: shape) }
    guard b.rank(value) == 3 else { throw b.refusal("an initial state of \(call.name) has three axes", operands: [value]) }
    let state = isBatchFirst ? try b.transpose(value, [1, 0, 2]) : value
    return try b.broadcast(b.select(state, axis: 0, at: Extent(index)), to: shape)
  }

  private func run(_ index: Int, isReverse: Bool, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let gates = cell.gates * hidden
    guard let weights = try part(1, index, rank: 3, &b), let recurrent = try part(2, index, rank: 3, &b) else { throw b.refusal("\(call.name) has no weights") }
    let resetsAfter = try cell == .gatedUnit ? call.flag("linear_before_reset") : false

    var projected = try MatrixOperators.product(x, b.transpose(weights, [1, 0]), &b)
    var candidateBias: ValueID?
    if let bias = try part(3, index, rank: 2, &b) {
      guard b.shape(bias) == [Extent(2 * gates)] else { throw b.refusal("\(call.name) has a bias of another size than \(2 * gates)", operands: [bias]) }
      let own = try b.slice(bias, axis: 0, start: 0, size: Extent(gates))
      var other = try b.slice(bias, axis: 0, start: Extent(gates), size: Extent(gates))
      if resetsAfter {
        // The reset gate multiplies this part of the bias, so it stays in the loop.
        candidateBias = try b.slice(other, axis: 0, start: Extent(2 * hidden), size: Extent(hidden))
        let zeros = try b.broadcast(b.scalar(0, b.element(x)), to: [Extent(hidden)])
        other = try b.concatenate([b.slice(other, axis: 0, start: 0, size: Extent(2 * hidden)), zeros], axis: 0)
      }
      projected = try b.binary(.add, projected, b.binary(.add, own, other))
    }

    var carried = [try initialState(5, index, &b)]
    if cell == .longShortTerm { carried.append(try initialState(6, index, &b)) }
    var scanned = [projected]
    var captured = [try b.transpose(recurrent, [1, 0])]
    if cell == .gatedUnit, !resetsAfter {
      // Two products, the second behind the reset gate: their weights are cut here, not in every step.
      let whole = captured[0]
      captured = [
        try b.slice(whole, axis: 1, start: 0, size: Extent(2 * hidden)), try b.slice(whole, axis: 1, start: Extent(2 * hidden), size: Extent(hidden)),
      ]
    }
    let peepholes = cell == .longShortTerm ? try part(7, index, rank: 2, &b) : nil
    let lengths = try self.lengths(b)
    if let candidateBias { captured.append(candidateBias) }
    if let peepholes { captured.append(peepholes) }
    if let lengths {
      scanned.append(try b.add(Iota(.i64, [steps], axis: 0)))
      captured.append(try b.reshape(b.convert(lengths, to: .i64), to: [batch, 1]))
    }

    var types = carried.map { b.type($0) }
    for value in scanned { types.append(TensorType(b.element(value), Shape(Array(b.shape(value).extents.dropFirst())))) }
    types += captured.map { b.type($0) }
    let functions = Array(activations[(index * cell.activations.count)...].prefix(cell.activations.count))
    let (cell, hidden, clip) = (cell, hidden, clip)
    let couplesGates = try call.flag("input_forget")
    let body = try b.region(call.name.lowercased(), types: types) { b, inputs throws(CompileError) in
      let states = Array(inputs[..<cell.states])
      var rest = inputs[cell.states...]
      let x = rest.removeFirst()
      let step = lengths == nil ? nil : rest.removeFirst()
      var equations = RecurrentEquations(hidden: hidden, clip: clip, activations: functions, recurrent: rest.removeFirst())
      if cell == .gatedUnit, !resetsAfter { equations.candidateWeights = rest.removeFirst() }
      equations.couplesGates = couplesGates
      if candidateBias != nil { equations.candidateBias = rest.removeFirst() }
      if peepholes != nil { equations.peepholes = rest.removeFirst() }
      var next: [ValueID]
      switch cell {
      case .simple: next = try equations.simple(x, states[0], &b)
      case .gatedUnit: next = try equations.gatedUnit(x, states[0], &b)
      case .longShortTerm: next = try equations.longShortTerm(x, states[0], states[1], &b)
      }
      var output = next[0]
      if let step, let limit = rest.first {
        // Behind its length a sequence keeps its state and gives zeros.
        let isInside = try b.compare(.less, b.broadcast(step, to: b.shape(limit)), limit)
        output = try b.select(isInside, output, b.scalar(0, b.element(output)))
        for state in states.indices { next[state] = try b.select(isInside, next[state], states[state]) }
      }
      return next + [output]
    }
    return try b.addAll(
      Scan(carried: carried.count, scanned: scanned.count, extent: steps, isReversed: isReverse, body: body), carried + scanned + captured)
  }

  /// The lengths of the sequences, unless all of them are known to be whole.
  private func lengths(_ b: GraphBuilder) throws(CompileError) -> ValueID? {
    guard let lengths = call.optional(4) else { return nil }
    guard b.rank(lengths) == 1, b.element(lengths).isInteger else { throw b.refusal("`sequence_lens` of \(call.name)", operands: [lengths]) }
    if let known = b.extents(lengths), known.allSatisfy({ $0 == steps }) { return nil }
    return lengths
  }
}

/// What one step computes; all values lie inside the loop body.
struct RecurrentEquations {
  var hidden: Int
  var clip: Double?
  var activations: [RecurrentActivation]
  /// The recurrent weights, [hidden, gates * hidden]; without the candidate's where those are given apart.
  var recurrent: ValueID
  var candidateWeights: ValueID?
  var candidateBias: ValueID?
  var peepholes: ValueID?
  var couplesGates = false

  private func activate(_ position: Int, _ x: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    var value = x
    if let clip { value = try b.binary(.minimum, b.binary(.maximum, value, -clip), clip) }
    return try activations[position].apply(value, &b)
  }

  private func gate(_ x: ValueID, _ position: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    try b.slice(x, axis: b.rank(x) - 1, start: Extent(position * hidden), size: Extent(hidden))
  }

  func simple(_ x: ValueID, _ h: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    [try activate(0, b.binary(.add, x, b.add(Dot(), h, recurrent)), &b)]
  }

  /// Gates in the order update, reset, candidate.
  func gatedUnit(_ x: ValueID, _ h: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let update: ValueID, candidate: ValueID
    guard let candidateWeights else {
      let product = try b.add(Dot(), h, recurrent)
      update = try activate(0, b.binary(.add, gate(x, 0, &b), gate(product, 0, &b)), &b)
      let reset = try activate(0, b.binary(.add, gate(x, 1, &b), gate(product, 1, &b)), &b)
      var memory = try gate(product, 2, &b)
      if let candidateBias { memory = try b.binary(.add, memory, candidateBias) }
      candidate = try activate(1, b.binary(.add, gate(x, 2, &b), b.binary(.multiply, reset, memory)), &b)
      return [try mixed(update, h, candidate, &b)]
    }
    let product = try b.add(Dot(), h, recurrent)
    update = try activate(0, b.binary(.add, gate(x, 0, &b), gate(product, 0, &b)), &b)
    let reset = try activate(0, b.binary(.add, gate(x, 1, &b), gate(product, 1, &b)), &b)
    let memory = try b.add(Dot(), b.binary(.multiply, reset, h), candidateWeights)
    candidate = try activate(1, b.binary(.add, gate(x, 2, &b), memory), &b)
    return [try mixed(update, h, candidate, &b)]
  }

  private func mixed(_ update: ValueID, _ h: ValueID, _ candidate: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let kept = try b.binary(.multiply, update, h)
    let fresh = try b.binary(.multiply, b.binary(.subtract, b.scalar(1, like: update), update), candidate)
    return try b.binary(.add, fresh, kept)
  }

  /// Gates in the order input, output, forget, candidate; the result is the output and the cell state.
  func longShortTerm(_ x: ValueID, _ h: ValueID, _ c: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let gates = try b.binary(.add, x, b.add(Dot(), h, recurrent))
    func gated(_ position: Int, peephole: Int, _ state: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      var value = try gate(gates, position, &b)
      if let peepholes { value = try b.binary(.add, value, b.binary(.multiply, gate(peepholes, peephole, &b), state)) }
      return try activate(0, value, &b)
    }
    let input = try gated(0, peephole: 0, c, &b)
    let forget = try couplesGates ? b.binary(.subtract, b.scalar(1, like: input), input) : gated(2, peephole: 2, c, &b)
    let candidate = try activate(1, gate(gates, 3, &b), &b)
    let state = try b.binary(.add, b.binary(.multiply, forget, c), b.binary(.multiply, input, candidate))
    let output = try gated(1, peephole: 1, state, &b)
    return [try b.binary(.multiply, output, activations[2].apply(state, &b)), state]
  }
}
