import KernelIR
import LLVMCodegen
import Testing
import TensorTypes

@Suite("vectorized loops") struct VectorLoopTests {
  static let targets = ["native", "x86-64-v2", "x86-64-v3"]

  @Test(arguments: targets, [true, false]) func oddTails(_ target: String, _ isStatic: Bool) throws {
    for count in Array(0...40) + [63, 127, 130, 200, 1000] {
      let x = (0..<count).map { Float($0) * 0.5 - 3 }
      let kernel = map(.f32, .f32, count: isStatic ? count : nil) { .binary(.maximum, .multiplyAdd($0, .number(2, .f32), .number(1, .f32)), .number(0, .f32)) }
      let y = try run(kernel, [x], as: Float.self, count: count, symbols: isStatic ? [] : [count], target: Target(named: target))
      #expect(y == x.map { max($0 * 2 + 1, 0) }, "count \(count)")
    }
  }

  /// Neighbouring bytes of every lane; those between them stay as they were.
  @Test(arguments: targets + ["znver4"], [2, 3, 4]) func bytesBesideEachOther(_ target: String, _ count: Int) throws {
    for lanes in [4, 16, 37] {
      var builder = KernelBuilder()
      let x = builder.buffer("x", .f32, .read), y = builder.buffer("y", .u8, .write)
      let kernel = builder.kernel(
        "colours",
        [
          builder.loop("j", to: .index(lanes * 4), .vectorized) { _, j in [.store(y, index: j, value: .number(9, .u8))] },
          builder.loop("j", to: .index(lanes), .vectorized) { inner, j in
            [
              inner.loop("i", to: .index(count), .unrolled) { _, i in
                [.store(y, index: j * .index(4) + i, value: .convert(.unary(.round, .load(x, i * .index(lanes) + j)), .u8))]
              }
            ]
          },
        ])
      let values = (0..<count * lanes).map { Float($0) * 1.5 - 20 }
      let result = try run(kernel, [values], as: UInt8.self, count: lanes * 4, target: Target(named: target))
      let expected = (0..<lanes * 4).map { place -> UInt8 in
        place % 4 < count ? UInt8(max(0, min(255, values[place % 4 * lanes + place / 4].rounded(.toNearestOrEven)))) : 9
      }
      #expect(result == expected, "\(lanes) lanes")
    }
  }

  @Test(arguments: targets) func sumsAndMaxima(_ target: String) throws {
    for count in [1, 2, 3, 7, 16, 31, 64, 65, 128, 200, 1000] {
      for isStatic in [true, false] {
        var builder = KernelBuilder()
        let x = builder.buffer("x", .f32, .read)
        let y = builder.buffer("y", .f32, .write)
        let sum = builder.local("sum", .f32, count: 2)
        let upper: Expression = isStatic ? .index(count) : .extent(Extent(symbol: "n"))
        let kernel = builder.kernel(
          "reduce",
          [
            .allocate(sum),
            .assign(sum, index: .index(0), value: .number(0, .f32)),
            .assign(sum, index: .index(1), value: .number(-.infinity, .f32)),
            builder.loop("i", to: upper, .vectorized) { _, i in
              [
                .accumulate(sum, index: .index(0), with: .sum, value: .load(x, i)),
                .accumulate(sum, index: .index(1), with: .maximum, value: .load(x, i)),
              ]
            },
            .store(y, index: .index(0), value: .local(sum, .index(0))),
            .store(y, index: .index(1), value: .local(sum, .index(1))),
          ])
        let values = (0..<count).map { Float(($0 * 37) % 101) - 50 }
        let result = try run(kernel, [values], as: Float.self, count: 2, symbols: isStatic ? [] : [count], target: Target(named: target))
        #expect(result == [values.reduce(0, +), values.max() ?? 0], "count \(count)")
        var poisoned = values
        poisoned[count / 2] = .nan
        let withNaN = try run(kernel, [poisoned], as: Float.self, count: 2, symbols: isStatic ? [] : [count], target: Target(named: target))
        #expect(withNaN[0].isNaN && withNaN[1].isNaN)
      }
    }
  }

  /// Each row's sum goes to an element of a local whose place is not a literal.
  @Test func reductionsIntoManyPlaces() throws {
    let (rows, columns) = (5, 37)
    var builder = KernelBuilder()
    let x = builder.buffer("x", .f32, .read)
    let y = builder.buffer("y", .f32, .write)
    let sums = builder.local("sums", .f32, count: rows)
    let kernel = builder.kernel(
      "rows",
      [
        .allocate(sums),
        builder.loop("r", to: .index(rows)) { _, r in [.assign(sums, index: r, value: .number(0, .f32))] },
        builder.loop("c", to: .index(columns), .vectorized) { kb, c in
          [kb.loop("r", to: .index(rows)) { _, r in [.accumulate(sums, index: r, with: .sum, value: .load(x, r * .index(columns) + c))] }]
        },
        builder.loop("r", to: .index(rows)) { _, r in [.store(y, index: r, value: .local(sums, r))] },
      ])
    let values = (0..<rows * columns).map { Float($0 % 13) }
    let result = try run(kernel, [values], as: Float.self, count: rows)
    #expect(result == (0..<rows).map { r in values[r * columns..<(r + 1) * columns].reduce(0, +) })
  }

  /// Locals declared in the loop are private to a lane, also when a lane picks an element of its own.
  @Test(arguments: [3, 16, 29, 100]) func laneLocals(_ count: Int) throws {
    var builder = KernelBuilder()
    let x = builder.buffer("x", .i32, .read)
    let y = builder.buffer("y", .i32, .write)
    let kernel = builder.kernel(
      "lanes",
      [
        builder.loop("i", to: .index(count), .vectorized) { kb, i in
          let mine = kb.local("mine", .i32, count: 4)
          return [
            .allocate(mine),
            kb.loop("k", to: .index(4)) { _, k in [.assign(mine, index: k, value: .binary(.multiply, .load(x, i), .convert(k, .i32)))] },
            .accumulate(mine, index: .index(3), with: .sum, value: .number(5, .i32)),
            .store(y, index: i, value: .local(mine, .binary(.remainder, i, .index(4)))),
          ]
        }
      ])
    let values = (0..<count).map { Int32($0 * 3 - 7) }
    let result = try run(kernel, [values], as: Int32.self, count: count)
    #expect(result == values.indices.map { values[$0] * Int32($0 % 4) + ($0 % 4 == 3 ? 5 : 0) })
  }

  @Test(arguments: [-3, -2, -1, 0, 2, 3, 5], targets) func strides(_ stride: Int, _ target: String) throws {
    for count in [1, 5, 16, 33, 100] {
      var builder = KernelBuilder()
      let x = builder.buffer("x", .f32, .read)
      let y = builder.buffer("y", .f32, .write)
      let origin = stride < 0 ? -stride * (count - 1) : 0
      let kernel = builder.kernel(
        "strided",
        [
          builder.loop("i", to: .index(count), .vectorized) { _, i in
            [.store(y, index: i * .index(2) + .index(1), value: .load(x, .binary(.add, .binary(.multiply, i, .index(stride)), .index(origin))))]
          }
        ])
      let values = (0..<(abs(stride) * (count - 1) + 1)).map { Float($0) }
      let result = try run(kernel, [values], as: Float.self, count: 2 * count, target: Target(named: target))
      #expect((0..<count).map { result[2 * $0 + 1] } == (0..<count).map { values[origin + stride * $0] }, "count \(count)")
    }
  }

  @Test(arguments: targets) func gathersAndScatters(_ target: String) throws {
    for (count, isStatic) in [(1, true), (7, true), (16, false), (50, false), (200, true)] {
      var builder = KernelBuilder()
      let place = builder.buffer("place", .i32, .read)
      let x = builder.buffer("x", .u8, .read)
      let y = builder.buffer("y", .f32, .write)
      let kernel = builder.kernel(
        "gather",
        [
          builder.loop("i", to: isStatic ? .index(count) : .extent(Extent(symbol: "n")), .vectorized) { _, i in
            let index = Expression.convert(.load(place, i), .i64)
            return [.store(y, index: index, value: .convert(.load(x, .binary(.maximum, index - .index(1), .index(0))), .f32))]
          }
        ])
      let places = (0..<count).map { Int32(count - 1 - $0) }
      let bytesIn = (0..<count).map { UInt8($0 & 255) }
      let executor = try Executor(program(of: kernel), for: Target(named: target))
      let result = values(executor.run([bytes(places), bytesIn], outputs: [count * 4], symbols: isStatic ? [] : [count])[0], as: Float.self)
      #expect(result == (0..<count).map { Float(bytesIn[max($0 - 1, 0)]) })
    }
  }

  /// Several lanes add to one place.
  @Test func histogramKeepsEveryLane() throws {
    var builder = KernelBuilder()
    let x = builder.buffer("x", .i32, .read)
    let y = builder.buffer("y", .i32, .write)
    let bins = builder.local("bins", .i32, count: 3)
    let kernel = builder.kernel(
      "histogram",
      [
        .allocate(bins),
        builder.loop("b", to: .index(3)) { _, b in [.assign(bins, index: b, value: .number(0, .i32))] },
        builder.loop("i", to: .index(37), .vectorized) { _, i in
          [.accumulate(bins, index: .convert(.load(x, i), .i64), with: .sum, value: .number(1, .i32))]
        },
        builder.loop("b", to: .index(3)) { _, b in [.store(y, index: b, value: .local(bins, b))] },
      ])
    let values = (0..<37).map { Int32($0 * $0 % 3) }
    let result = try run(kernel, [values], as: Int32.self, count: 3)
    #expect(result == (0..<3).map { b in Int32(values.count { $0 == b }) })
  }

  /// A flat index over rows of 64 stays consecutive within a chunk.
  @Test func divisionOfAFlatIndex() throws {
    let kernel: Kernel = {
      var builder = KernelBuilder()
      let x = builder.buffer("x", .f32, .read)
      let y = builder.buffer("y", .f32, .write)
      let loop = builder.loop("i", to: .index(640), .vectorized) { _, i in
        [.store(y, index: i, value: .binary(.add, .load(x, i.remainderByIndex(.index(64))), .convert(i.dividedByIndex(.index(64)), .f32)))]
      }
      return builder.kernel("flat", [loop])
    }()
    let values = (0..<64).map { Float($0) * 100 }
    #expect(try run(kernel, [values], as: Float.self, count: 640) == (0..<640).map { values[$0 % 64] + Float($0 / 64) })
    let assembly = try emitAssembly(program(of: kernel), for: Target(named: "x86-64-v4"))
    #expect(!assembly.contains("gather"))
  }

  @Test func divergentConditionsAreRefused() throws {
    var builder = KernelBuilder()
    let x = builder.buffer("x", .f32, .read)
    let y = builder.buffer("y", .f32, .write)
    let kernel = builder.kernel(
      "divergent",
      [
        builder.loop("i", to: .index(8), .vectorized) { _, i in
          [.branch(if: .compare(.less, .load(x, i), .number(0, .f32)), then: [.store(y, index: i, value: .load(x, i))], else: [])]
        }
      ])
    let refused = program(of: kernel)
    #expect {
      try compile(refused, for: Target.host())
    } throws: { error in
      if case .divergentControl = (error as? CodegenError)?.problem { true } else { false }
    }
  }

  @Test func uniformControlAndWhile() throws {
    // Collatz steps of one number, then a branch that all lanes share.
    var builder = KernelBuilder()
    let x = builder.buffer("x", .i64, .read)
    let y = builder.buffer("y", .i64, .write)
    let state = builder.local("state", .i64, count: 2)
    let value = Expression.local(state, .index(0))
    let kernel = builder.kernel(
      "collatz",
      [
        .allocate(state),
        .assign(state, index: .index(0), value: .load(x, .index(0))),
        .assign(state, index: .index(1), value: .index(0)),
        .repeatWhile(
          .compare(.notEqual, value, .index(1)),
          body: [
            .branch(
              if: .compare(.equal, .binary(.remainder, value, .index(2)), .index(0)), then: [.assign(state, index: .index(0), value: .binary(.divide, value, .index(2)))],
              else: [.assign(state, index: .index(0), value: .binary(.add, .binary(.multiply, value, .index(3)), .index(1)))]),
            .accumulate(state, index: .index(1), with: .sum, value: .index(1)),
          ]),
        builder.loop("i", to: .index(5), .vectorized) { _, i in
          [.branch(if: .compare(.greater, .local(state, .index(1)), .index(100)), then: [.store(y, index: i, value: .binary(.add, .local(state, .index(1)), i))], else: [.store(y, index: i, value: .index(0))])]
        },
      ])
    #expect(try run(kernel, [[Int64(27)]], as: Int64.self, count: 5) == [111, 112, 113, 114, 115])
  }
}
