import Interpreter
import KernelIR
import TensorTypes
import Testing

@Suite("Kernel interpreter") struct KernelInterpreterTests {
  private let n = Extent(symbol: "n")

  /// A program of one kernel: input `x` f32[n], output `y` of an element type, [n].
  private func program(_ element: ElementType = .f32, count: Extent = Extent(symbol: "n"), _ body: (inout KernelBuilder, Buffer, Buffer) -> [Statement]) -> KernelProgram {
    var builder = KernelBuilder()
    let x = builder.buffer("x", .f32, .read), y = builder.buffer("y", element, .write)
    let statements = body(&builder, x, y)
    let kernel = builder.kernel("test", statements)
    var program = KernelProgram(
      name: "p", inputs: [.init(name: "x", type: TensorType(.f32, [n]))], outputs: [.init(name: "y", type: TensorType(element, [count]))], symbols: ["n"])
    program.buffers = [
      .init(name: "x", element: .f32, elementCount: n, placement: .input(0)), .init(name: "y", element: element, elementCount: count, placement: .output(0)),
    ]
    let number = program.add(kernel)
    program.steps = [.call(.init(kernel: number, arguments: [.init(0), .init(1)], symbols: kernel.symbols.map { Extent(symbol: $0) }, origin: "test"))]
    return program
  }

  private func run(_ program: KernelProgram, _ values: [Double]) throws -> [Double] {
    try KernelInterpreter.execute(program, inputs: [Tensor(.f32, [values.count], values)])[0].doubles
  }

  private func message(_ program: KernelProgram, _ values: [Double] = [1, 2, 3]) -> String {
    do throws(KernelError) {
      _ = try KernelInterpreter.execute(program, inputs: [Tensor(.f32, [values.count], values)])
      return "none"
    } catch { return error.description }
  }

  @Test(arguments: [Loop.Kind.serial, .parallel, .vectorized]) func elementwise(_ kind: Loop.Kind) throws {
    let program = program { builder, x, y in
      [builder.loop("i", to: .extent(n), kind) { _, i in [.store(y, index: i, value: .unary(.exponential, .load(x, i)))] }]
    }
    #expect(close(try run(program, [0, 1, -1]), [1, 2.718281828, 0.367879441]))
    #expect(try run(program, []) == [])
  }

  @Test func reducesInALocal() throws {
    let program = program(count: 1) { builder, x, y in
      let total = builder.local("total", .f32, count: 2)
      return [
        .allocate(total), .assign(total, index: .index(1), value: .number(10, .f32)),
        builder.loop("i", to: .extent(n), .vectorized) { _, i in [.accumulate(total, index: .index(1), with: .sum, value: .load(x, i))] },
        .store(y, index: .index(0), value: .local(total, .index(1))),
      ]
    }
    #expect(try run(program, [1, 2, 3, 4]) == [20])
  }

  @Test func branchesBindsAndRepeats() throws {
    // The number of halvings until an element is below 1, for positive ones; -1 for others.
    let program = program(.i32) { builder, x, y in
      [
        builder.loop("i", to: .extent(n), .parallel) { builder, i in
          let value = builder.variable("v", .f32), state = builder.local("s", .f32, count: 1), steps = builder.local("c", .i32, count: 1)
          return [
            .bind(value, .load(x, i)), .allocate(state), .allocate(steps),
            .branch(
              if: .compare(.greater, .variable(value), .number(0, .f32)),
              then: [
                .assign(state, index: .index(0), value: .variable(value)), .assign(steps, index: .index(0), value: .number(0, .i32)),
                .repeatWhile(
                  .compare(.greaterOrEqual, .local(state, .index(0)), .number(1, .f32)),
                  body: [
                    .assign(state, index: .index(0), value: .binary(.multiply, .local(state, .index(0)), .number(0.5, .f32))),
                    .accumulate(steps, index: .index(0), with: .sum, value: .number(1, .i32)),
                  ]), .store(y, index: i, value: .local(steps, .index(0))),
              ], else: [.store(y, index: i, value: .number(-1, .i32))]),
          ]
        }
      ]
    }
    #expect(try run(program, [8, 0.5, -3, 1]) == [4, 0, -1, 1])
  }

  @Test func roundsEveryIntermediateValue() throws {
    let program = program { builder, x, y in
      [
        builder.loop("i", to: .extent(n)) { _, i in
          let half = Expression.convert(.load(x, i), .f16)
          return [.store(y, index: i, value: .convert(.binary(.add, half, .number(1, .f16)), .f32))]
        }
      ]
    }
    #expect(try run(program, [2048, 1, 65504]) == [2048, 2, 65504])
    let integers = self.program(.u8) { builder, x, y in
      [
        builder.loop("i", to: .extent(n)) { _, i in
          [.store(y, index: i, value: .binary(.divide, .binary(.add, .convert(.load(x, i), .u8), .number(200, .u8)), .number(2, .u8)))]
        }
      ]
    }
    #expect(try run(integers, [100, 0, -7]) == [22, 100, 100])
    let fused = self.program { builder, x, y in
      [builder.loop("i", to: .extent(n)) { _, i in [.store(y, index: i, value: .multiplyAdd(.load(x, i), .load(x, i), .number(1, .f32)))] }]
    }
    #expect(try run(fused, [3, -2]) == [10, 5])
    let chosen = self.program { builder, x, y in
      [
        builder.loop("i", to: .extent(n)) { _, i in
          [.store(y, index: i, value: .select(.unary(.isNaN, .load(x, i)), .number(0, .f32), .load(x, i)))]
        }
      ]
    }
    #expect(try run(chosen, [.nan, 2]) == [0, 2])
  }

  @Test func faultsNameKernelBufferAndIndex() {
    let beyond = program { builder, x, y in [builder.loop("i", to: .extent(n)) { _, i in [.store(y, index: i, value: .load(x, i + .index(1)))] }] }
    #expect(message(beyond) == "kernel `test`: loads element 3 of `x`, which has 3")
    let before = program { builder, x, y in [.store(y, index: .index(-1), value: .load(x, .index(0)))] }
    #expect(message(before) == "kernel `test`: stores element -1 of `y`, which has 3")
    let unwritten = program { builder, x, y in
      let local = builder.local("t", .f32, count: 2)
      return [.allocate(local), .store(y, index: .index(0), value: .local(local, .index(1)))]
    }
    #expect(message(unwritten) == "kernel `test`: reads element 1 of local `t` before it is written")
    let outside = program { builder, x, y in
      let local = builder.local("t", .f32, count: 2)
      return [.allocate(local), .assign(local, index: .index(2), value: .load(x, .index(0)))]
    }
    #expect(message(outside) == "kernel `test`: uses element 2 of local `t`, which has 2")
    let endless = program { builder, x, y in [.store(x, index: .index(0), value: .number(0, .f32))] }
    #expect(message(endless).contains("read only"))
    let mixed = program { builder, x, y in [.store(y, index: .index(0), value: .index(1))] }
    #expect(message(mixed).contains("is i64, not f32"))
  }

  @Test func memoryThatNothingWroteIsSeen() throws {
    let nothing = program { builder, x, y in [] }
    #expect(try run(nothing, [1, 2]).allSatisfy(\.isNaN))
  }

  @Test func programsHaveArenasViewsAndLoops() throws {
    // Each round adds row `t` of x [n, 2] to a state in the arena; the last state is the output.
    var builder = KernelBuilder()
    let (x, state) = (builder.buffer("x", .f32, .read), builder.buffer("h", .f32, .readWrite))
    let step = builder.kernel("step", [
      builder.loop("i", to: .index(2)) { _, i in [.store(state, index: i, value: .binary(.add, .load(state, i), .load(x, i)))] }
    ])
    builder = KernelBuilder()
    let (from, to) = (builder.buffer("from", .f32, .read), builder.buffer("to", .f32, .write))
    let copy = builder.kernel("copy", [builder.loop("i", to: .index(2)) { _, i in [.store(to, index: i, value: .load(from, i))] }])

    var program = KernelProgram(
      name: "p", inputs: [.init(name: "x", type: TensorType(.f32, [n, 2]))], outputs: [.init(name: "y", type: TensorType(.f32, [2]))], symbols: ["n"])
    program.arenaBytes = 16
    program.constants = [.init(name: "zero", tensor: Tensor(zeros: .f32, [2]))]
    program.buffers = [
      .init(name: "x", element: .f32, elementCount: n * 2, placement: .input(0)), .init(name: "y", element: .f32, elementCount: 2, placement: .output(0)),
      .init(name: "zero", element: .f32, elementCount: 2, placement: .constant(0)), .init(name: "h", element: .f32, elementCount: 2, placement: .arena(offset: 8)),
    ]
    let (stepNumber, copyNumber) = (program.add(step), program.add(copy))
    program.steps = [
      .call(.init(kernel: copyNumber, arguments: [.init(2), .init(3)], symbols: [], origin: "zero")),
      .loop(
        symbol: "t", count: n,
        body: [.call(.init(kernel: stepNumber, arguments: [.init(0, offset: Extent(symbol: "t") * 2), .init(3)], symbols: [], origin: "step"))]),
      .call(.init(kernel: copyNumber, arguments: [.init(3), .init(1)], symbols: [], origin: "result")),
    ]
    let input = Tensor(.f32, [3, 2], [1, 2, 3, 4, 5, 6])
    var calls: [String] = []
    let results = try KernelInterpreter.execute(program, inputs: [input], observing: { call, buffers in calls.append("\(call.origin) \(buffers[1].doubles)") })
    #expect(results[0].doubles == [9, 12])
    #expect(calls == ["zero [0.0, 0.0]", "step [1.0, 2.0]", "step [4.0, 6.0]", "step [9.0, 12.0]", "result [9.0, 12.0]"])

    program.arenaBytes = 8
    #expect(throws: KernelError.self) { try KernelInterpreter.execute(program, inputs: [input]) }
    program.arenaBytes = 16
    program.steps.insert(.call(.init(kernel: copyNumber, arguments: [.init(3), .init(2)], symbols: [], origin: "bad")), at: 0)
    #expect(throws: KernelError.self) { try KernelInterpreter.execute(program, inputs: [input]) }
  }
}
