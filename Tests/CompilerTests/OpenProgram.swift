import Artifact
import Interpreter
import KernelIR
import LLVMCodegen
import Passes
import Runtime
import TensorTypes
import Testing

/// A program with computed symbols, written by hand, and the ways to run it.
struct OpenProgram {
  var program: KernelProgram

  init(_ name: String, inputs: [(String, TensorType)], outputs: [(String, TensorType)], symbols: [String] = [], computed: [String]) {
    program = KernelProgram(
      name: name, inputs: inputs.map { .init(name: $0.0, type: $0.1) }, outputs: outputs.map { .init(name: $0.0, type: $0.1) }, symbols: symbols)
    program.computedSymbols = computed
    for (number, port) in inputs.enumerated() { _ = buffer(port.0, port.1.element, port.1.shape.elementCount, .input(number)) }
  }

  mutating func buffer(_ name: String, _ element: ElementType, _ count: Extent, _ placement: KernelProgram.Placement = .arena(offset: nil)) -> Int {
    program.buffers.append(.init(name: name, element: element, elementCount: count, placement: placement))
    return program.buffers.count - 1
  }

  /// `to[i + offset] = value(from[i])` for all i below `count`, a symbol of the kernel.
  mutating func map(
    _ from: KernelProgram.View, to: KernelProgram.View, count: Extent, _ value: (KernelIR.Expression) -> KernelIR.Expression = { $0 }
  ) -> KernelProgram.Step {
    let (source, target) = (program.buffers[from.buffer].element, program.buffers[to.buffer].element)
    var builder = KernelBuilder()
    let (x, y) = (builder.buffer("x", source, .read), builder.buffer("y", target, .write))
    let kernel = builder.kernel(
      "map", [builder.loop("i", to: .extent(Extent(symbol: "count"))) { _, i in [.store(y, index: i, value: value(.load(x, i)))] }])
    return .call(.init(kernel: program.add(kernel), arguments: [from, to], symbols: [count], origin: "map"))
  }

  /// `to[i] = value(i)` for all i below `count`.
  mutating func fill(_ to: KernelProgram.View, count: Extent, _ value: (KernelIR.Expression) -> KernelIR.Expression) -> KernelProgram.Step {
    var builder = KernelBuilder()
    let y = builder.buffer("y", program.buffers[to.buffer].element, .write)
    let kernel = builder.kernel(
      "fill", [builder.loop("i", to: .extent(Extent(symbol: "count"))) { _, i in [.store(y, index: i, value: value(i))] }])
    return .call(.init(kernel: program.add(kernel), arguments: [to], symbols: [count], origin: "fill"))
  }

  func planned() throws -> KernelProgram {
    try program.check()
    let planned = try #require(program.planningMemory())
    try planned.check()
    return planned
  }

  func model() throws -> Runtime.Model {
    let planned = try planned()
    let target = try Target.host()
    let code = try LLVMCodegen.compile(planned, for: target)
    var manifest = Manifest(
      modelName: planned.name, inputs: planned.inputs.map { .init(name: $0.name, type: $0.type) }, outputs: planned.outputs.map { .init(name: $0.name, type: $0.type) },
      target: .init(name: target.cpu, requiredFeatures: []))
    manifest.symbols = planned.symbols + planned.computedSymbols
    manifest.computedSymbols = planned.computedSymbols
    manifest.failures = planned.failures
    manifest.arenaBytes = planned.arenaBytes
    manifest.steps = planned.calls.map { .init(name: "k", origin: $0.origin, flops: 0, bytes: 0) }
    manifest = try Manifest(json: JSON(parsing: Array(manifest.json.text().utf8)))
    return Runtime.Model(
      code: try CodeImage(copying: code.image, entryOffset: code.entryOffset),
      constants: try ConstantImage(copying: zip(code.constantOffsets, planned.constants).map { ConstantChunk(byteOffset: $0, tensor: $1.tensor) }, byteCount: code.constantsByteCount),
      manifest: manifest)
  }

  /// Runs it as kernels with memory of their own, as kernels in the planned arena, and compiled; all give the same bits.
  func results(_ inputs: [Tensor], in session: Session) throws -> [Tensor] {
    let expected = try KernelInterpreter.execute(program, inputs: inputs)
    let planned = try KernelInterpreter.execute(planned(), inputs: inputs)
    let compiled = try session.run(inputs)
    session.isProfiling = true
    let measured = try session.run(inputs)
    session.isProfiling = false
    for (number, tensor) in expected.enumerated() {
      #expect(planned[number].isIdentical(to: tensor), "planned: \(planned[number].doubles) \(tensor.doubles)")
      #expect(compiled[number].isIdentical(to: tensor), "compiled: \(compiled[number].doubles) \(tensor.doubles)")
      #expect(measured[number].isIdentical(to: tensor))
    }
    return compiled
  }
}

extension OpenProgram {
  static let count = Extent(symbol: "%count")

  /// Numbers 0, 2, 4, ... as many as the input says, then the table of their products: two values of computed size, one behind the other.
  ///
  /// - Parameter isBounded: Whether it refuses more than 100000 numbers itself.
  static func table(isBounded: Bool = true) -> OpenProgram {
    var made = OpenProgram("table", inputs: [("k", TensorType(.i64, [1]))], outputs: [("y", TensorType(.i64, [count, count]))], computed: ["%count"])
    let line = made.buffer("line", .i64, count), product = made.buffer("product", .i64, count * count), spare = made.buffer("spare", .i64, count + 3)
    let negative = made.program.addFailure("node: the length `%count` is negative or too large")
    made.program.steps = [
      .define(symbols: ["%count"], from: .init(0), failure: negative),
      .require(.nonNegative, 100_000 - count, failure: made.program.addFailure("node: %count is above 100000")),
      made.fill(.init(line), count: count) { $0 + $0 },
      made.map(.init(line), to: .init(spare), count: count),
      .loop(
        symbol: "%row", count: count,
        body: [made.map(.init(spare), to: .init(product, offset: Extent(symbol: "%row") * count), count: count) { $0 * $0 }]),
      .export(.init(product), output: 0),
    ]
    if !isBounded { made.program.steps.remove(at: 1) }
    return made
  }

  /// `a` and `b` start as one element each and double in every round: a' = b ++ a, b' = a ++ a. As many rounds as the input says.
  static func doubling() -> OpenProgram {
    let size = Extent(symbol: "%size"), round = Extent(symbol: "%round"), next = Extent(symbol: "%next")
    var made = OpenProgram(
      "doubling", inputs: [("rounds", TensorType(.i64, [1]))], outputs: [("a", TensorType(.f32, [size])), ("b", TensorType(.f32, [size])), ("n", TensorType(.i64, []))],
      computed: ["%size", "%round", "%next"])
    let a = made.buffer("a", .f32, size), b = made.buffer("b", .f32, size), after = made.buffer("b'", .f32, next), before = made.buffer("a'", .f32, next)
    let goesOn = made.buffer("goes on", .bool, 1), done = made.buffer("n", .i64, 1, .output(2))
    let failure = made.program.addFailure("loop: `%size` grows beyond what fits")
    // goes on = rounds > round: the kernel gets `round` as its symbol.
    func test(_ round: Extent) -> KernelProgram.Step {
      var builder = KernelBuilder()
      let (x, y) = (builder.buffer("x", .i64, .read), builder.buffer("y", .bool, .write))
      let kernel = builder.kernel("test", [.store(y, index: .index(0), value: .compare(.less, .extent(Extent(symbol: "round")), .load(x, .index(0))))])
      return .call(.init(kernel: made.program.add(kernel), arguments: [.init(0), .init(goesOn)], symbols: [round], origin: "test"))
    }
    made.program.steps = [
      test(0),
      .set(symbol: "%size", to: 1, failure: failure),
      made.fill(.init(a), count: 1) { _ in .number(1, .f32) },
      made.fill(.init(b), count: 1) { _ in .number(2, .f32) },
      .repeatWhile(
        .init(goesOn), symbol: "%round",
        body: [
          .set(symbol: "%next", to: size * 2, failure: failure),
          made.map(.init(b), to: .init(before), count: size), made.map(.init(a), to: .init(before, offset: size), count: size),
          made.map(.init(a), to: .init(after), count: size), made.map(.init(a), to: .init(after, offset: size), count: size),
          test(round + 1),
          .advance(
            .init(
              [.init("%size", to: next)],
              moves: [.init(from: .init(before), to: .init(a), elementCount: next), .init(from: .init(after), to: .init(b), elementCount: next)], failure: failure)),
        ]),
      made.fill(.init(done), count: 1) { _ in .index(0) },
      .export(.init(a), output: 0), .export(.init(b), output: 1),
    ]
    return made
  }

  /// Repeats for ever if the input is true.
  static func endless() -> OpenProgram {
    var made = OpenProgram("endless", inputs: [("c", TensorType(.bool, [1]))], outputs: [("y", TensorType(.i64, [1]))], computed: ["%round"])
    let y = made.buffer("y", .i64, 1, .output(0))
    let step = made.fill(.init(y), count: 1) { $0 + .index(7) }
    made.program.steps = [step, .repeatWhile(.init(0), symbol: "%round", body: [step])]
    return made
  }

  /// As long as the second input if the first one is true, else 5; what is computed before lives on.
  static func choosing() -> OpenProgram {
    let length = Extent(symbol: "%length"), other = Extent(symbol: "%other"), tail = Extent(symbol: "%tail")
    var made = OpenProgram(
      "choosing", inputs: [("c", TensorType(.bool, [1])), ("k", TensorType(.i64, [2]))],
      outputs: [("y", TensorType(.i64, [length])), ("z", TensorType(.i64, [tail]))], computed: ["%tail", "%other", "%length"])
    let y = made.buffer("y", .i64, length), inner = made.buffer("inner", .i64, other), z = made.buffer("z", .i64, tail)
    let failure = made.program.addFailure("a length is wrong: `%other` or `%tail`")
    made.program.steps = [
      .define(symbols: ["%tail"], from: .init(1, offset: 1), failure: failure),
      made.fill(.init(z), count: tail) { $0 * .index(7) },
      .branch(
        if: .init(0),
        then: [
          .define(symbols: ["%other"], from: .init(1), failure: failure),
          made.fill(.init(inner), count: other) { $0 + .index(1) },
          .set(symbol: "%length", to: other, failure: failure),
          made.map(.init(inner), to: .init(y), count: other) { $0 + $0 },
        ],
        else: [.set(symbol: "%length", to: 5, failure: failure), made.fill(.init(y), count: 5) { $0 }]),
      .export(.init(y), output: 0), .export(.init(z), output: 1),
    ]
    return made
  }
}
