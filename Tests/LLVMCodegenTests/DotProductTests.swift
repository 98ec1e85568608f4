import KernelIR
import LLVMCodegen
import Testing
import TensorTypes

@Suite("dot products of narrow numbers") struct DotProductTests {
  static let targets = ["native", "x86-64-v2", "x86-64-v3", "x86-64-v4", "znver4"]

  /// y[j] = start + sum over k of i32(a[k]) * i32(w[(k / 4 * columns + j) * 4 + k % 4]).
  private func bytesKernel(_ a: ElementType, _ w: ElementType, columns: Int, depth: Int) -> Kernel {
    var builder = KernelBuilder()
    let x = builder.buffer("a", a, .read)
    let weights = builder.buffer("w", w, .read)
    let y = builder.buffer("y", .i32, .write)
    let acc = builder.local("acc", .i32, count: columns)
    return builder.kernel(
      "dot",
      [
        .allocate(acc),
        builder.loop("j", to: .index(columns), .vectorized) { _, j in [.assign(acc, index: j, value: .number(7, .i32))] },
        builder.loop("k", to: .index(depth), by: 4) { kb, k in
          [
            kb.loop("j", to: .index(columns), .vectorized) { _, j in
              var sum = Expression.local(acc, j)
              for step in 0..<4 {
                let activation = Expression.load(x, k + .index(step))
                let weight = Expression.load(weights, (k * .index(columns) + j * .index(4)) + .index(step))
                sum = .binary(.add, sum, .binary(.multiply, .convert(activation, .i32), .convert(weight, .i32)))
              }
              return [.assign(acc, index: j, value: sum)]
            }
          ]
        },
        builder.loop("j", to: .index(columns), .vectorized) { _, j in [.store(y, index: j, value: .local(acc, j))] },
      ])
  }

  @Test(arguments: targets, [16, 32, 21]) func bytesAreExact(_ name: String, _ columns: Int) throws {
    let target = try Target(named: name)
    let depth = 32
    let a = (0..<depth).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ 200) }
    let w = (0..<depth * columns).map { UInt8(truncatingIfNeeded: $0 &* 91 &+ 128) }
    for (left, right) in [(ElementType.u8, ElementType.i8), (.i8, .i8), (.u8, .u8), (.i8, .u8)] {
      func value(_ byte: UInt8, _ element: ElementType) -> Int32 { element == .u8 ? Int32(byte) : Int32(Int8(bitPattern: byte)) }
      let result = try run(bytesKernel(left, right, columns: columns, depth: depth), [a, w], as: Int32.self, count: columns, target: target)
      let expected = (0..<columns).map { j in
        (0..<depth).reduce(Int32(7)) { $0 + value(a[$1], left) * value(w[($1 / 4 * columns + j) * 4 + $1 % 4], right) }
      }
      #expect(result == expected, "\(left) x \(right)")
    }
  }

  @Test func oneInstructionWhereThereIsOne() throws {
    let assembly = try emitAssembly(program(of: bytesKernel(.u8, .i8, columns: 32, depth: 64)), for: Target(named: "znver4"))
    #expect(assembly.contains("vpdpbusd"))
    let older = try emitAssembly(program(of: bytesKernel(.u8, .i8, columns: 32, depth: 64)), for: Target(named: "x86-64-v3"))
    #expect(!older.contains("vpdpbusd") && older.contains("vpmaddwd"))
  }

  /// y[j] = 3 + sum over rows of i32(a[row * columns + j]) * i32(w[4 * j + row]).
  private func rowsKernel(_ a: ElementType, _ w: ElementType, columns: Int, rows: Int) -> Kernel {
    var builder = KernelBuilder()
    let x = builder.buffer("a", a, .read), weights = builder.buffer("w", w, .read), y = builder.buffer("y", .i32, .write)
    return builder.kernel(
      "rows",
      [
        builder.loop("j", to: .index(columns), .vectorized) { _, j in
          var sum = Expression.number(3, .i32)
          for row in 0..<4 {
            let factor: Expression = row < rows ? .convert(.load(x, j + .index(row * columns)), .i32) : .number(0, .i32)
            sum = .binary(.add, sum, .binary(.multiply, factor, .convert(.load(weights, j * .index(4) + .index(row)), .i32)))
          }
          return [.store(y, index: j, value: sum)]
        }
      ])
  }

  @Test(arguments: targets, [16, 40, 21]) func rowsOfBytesAreExact(_ name: String, _ columns: Int) throws {
    let a = (0..<4 * columns).map { UInt8(truncatingIfNeeded: $0 &* 57 &+ 255) }
    let w = (0..<4 * columns).map { UInt8(truncatingIfNeeded: $0 &* 91 &+ 128) }
    for (left, right) in [(ElementType.u8, ElementType.i8), (.i8, .i8), (.u8, .u8), (.i8, .u8)] {
      func value(_ byte: UInt8, _ element: ElementType) -> Int32 { element == .u8 ? Int32(byte) : Int32(Int8(bitPattern: byte)) }
      for rows in 1...4 {
        let result = try run(rowsKernel(left, right, columns: columns, rows: rows), [a, w], as: Int32.self, count: columns, target: Target(named: name))
        let expected = (0..<columns).map { j in (0..<rows).reduce(Int32(3)) { $0 + value(a[$1 * columns + j], left) * value(w[4 * j + $1], right) } }
        #expect(result == expected, "\(left) x \(right), \(rows) rows")
      }
    }
  }

  @Test func rowsAreOneInstruction() throws {
    let assembly = try emitAssembly(program(of: rowsKernel(.u8, .i8, columns: 32, rows: 3)), for: Target(named: "znver4"))
    #expect(assembly.contains("vpdpbusd") && !assembly.contains("vpmulld"))
  }

  @Test(arguments: targets) func brainFloats(_ name: String) throws {
    let (columns, depth) = (32, 48)
    var builder = KernelBuilder()
    let x = builder.buffer("a", .bf16, .read)
    let weights = builder.buffer("w", .bf16, .read)
    let y = builder.buffer("y", .f32, .write)
    let acc = builder.local("acc", .f32, count: columns)
    let kernel = builder.kernel(
      "dot",
      [
        .allocate(acc),
        builder.loop("j", to: .index(columns), .vectorized) { _, j in [.assign(acc, index: j, value: .number(0, .f32))] },
        builder.loop("k", to: .index(depth), by: 2) { kb, k in
          [
            kb.loop("j", to: .index(columns), .vectorized) { _, j in
              var sum = Expression.local(acc, j)
              for step in 0..<2 {
                sum = .multiplyAdd(
                  .convert(.load(x, k + .index(step)), .f32), .convert(.load(weights, (k * .index(columns) + j * .index(2)) + .index(step)), .f32), sum)
              }
              return [.assign(acc, index: j, value: sum)]
            }
          ]
        },
        builder.loop("j", to: .index(columns), .vectorized) { _, j in [.store(y, index: j, value: .local(acc, j))] },
      ])
    func brain(_ value: Float) -> UInt16 { UInt16(truncatingIfNeeded: value.bitPattern >> 16) }
    func float(_ bits: UInt16) -> Float { Float(bitPattern: UInt32(bits) << 16) }
    let a = (0..<depth).map { brain(Float($0 % 7) - 3) }
    let w = (0..<depth * columns).map { brain(Float($0 % 11) * 0.25 - 1) }
    let result = try run(kernel, [a, w], as: Float.self, count: columns, target: Target(named: name))
    // Small integers over four: every order of summation is exact.
    #expect(result == (0..<columns).map { j in (0..<depth).reduce(Float(0)) { $0 + float(a[$1]) * float(w[($1 / 2 * columns + j) * 2 + $1 % 2]) } })
  }
}
