import CRuntime
import Glibc
import KernelIR
import LLVMCodegen
import TensorTypes

/// Measures tiles of the kernel IR against the peak of one core.
///
///     kernel-bench [asm]
@main struct Main {
  static func main() throws {
    let target = try Target.host()
    let wantsAssembly = CommandLine.arguments.contains("asm")
    let peak = try measurePeak(target)
    print("target \(target.cpu), peak \(format(peak)) GFLOP/s")
    if CommandLine.arguments.contains("functions") { return try measureFunctions(target) }
    for (m, n, k) in [(128, 768, 768), (144, 768, 768), (126, 768, 768), (3136, 64, 576)] {
      for tile in [Tile(rows: 12, columns: 32, unroll: 1), Tile(rows: 12, columns: 32, unroll: 2), Tile(rows: 12, columns: 32, unroll: 4), Tile(rows: 14, columns: 32, unroll: 1), Tile(rows: 14, columns: 32, unroll: 4), Tile(rows: 6, columns: 64, unroll: 1), Tile(rows: 6, columns: 64, unroll: 4)] {
        try measureMatmul(m, n, k, tile, target, peak, wantsAssembly)
      }
    }
    for bytes in [true, false] {
      for tile in [Tile(rows: 12, columns: 32, unroll: 1), Tile(rows: 8, columns: 48, unroll: 1), Tile(rows: 6, columns: 64, unroll: 1)] {
        try measureNarrow(144, 768, 768, tile, bytes: bytes, target, peak, wantsAssembly)
      }
    }
    for (h, w, c, o) in [(56, 56, 64, 64), (28, 28, 128, 128), (14, 14, 256, 256)] {
      for tile in [Tile(rows: 14, columns: 32, unroll: 1), Tile(rows: 14, columns: 32, unroll: 4), Tile(rows: 7, columns: 64, unroll: 1), Tile(rows: 7, columns: 64, unroll: 2)] {
        try measureConvolution(h, w, c, o, tile, target, peak, wantsAssembly)
      }
    }
  }

  static func format(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

  /// Multiply-adds on registers alone: 24 chains, from the same code generator.
  static func measurePeak(_ target: Target) throws -> Double {
    var builder = KernelBuilder()
    let x = builder.buffer("x", .f32, .read)
    let y = builder.buffer("y", .f32, .write)
    let acc = builder.local("acc", .f32, count: 24 * 16)
    let rounds = 10_000
    let body: [Statement] = [
      .allocate(acc),
      builder.loop("i", to: .index(24), .unrolled) { kb, i in
        [kb.loop("j", to: .index(16), .vectorized) { _, j in [.assign(acc, index: i * .index(16) + j, value: .load(x, j))] }]
      },
      builder.loop("r", to: .index(rounds)) { kb, _ in
        [
          kb.loop("i", to: .index(24), .unrolled) { kb, i in
            [
              kb.loop("j", to: .index(16), .vectorized) { _, j in
                let place = i * .index(16) + j
                return [.assign(acc, index: place, value: .multiplyAdd(.load(x, j), .load(x, j + .index(16)), .local(acc, place)))]
              }
            ]
          }
        ]
      },
      builder.loop("i", to: .index(24), .unrolled) { kb, i in
        [kb.loop("j", to: .index(16), .vectorized) { _, j in [.store(y, index: i * .index(16) + j, value: .local(acc, i * .index(16) + j))] }]
      },
    ]
    let kernel = builder.kernel("peak", body)
    let machine = try Machine(program(of: kernel, counts: [32, 24 * 16]), target)
    let (input, output) = (floats(32, seed: 1), floats(24 * 16, seed: 2))
    let seconds = fastest { machine.run(inputs: [UnsafeRawPointer(input)], outputs: [UnsafeMutableRawPointer(output)], rounds: $0) }
    return Double(rounds) * 24 * 16 * 2 / seconds * 1e-9
  }

  static func measureMatmul(_ m: Int, _ n: Int, _ k: Int, _ tile: Tile, _ target: Target, _ peak: Double, _ wantsAssembly: Bool) throws {
    let kernel = matmul(m, n, k, tile)
    let counts = [m * k, n * k, m * n]
    let start = ingot_nanoseconds()
    let machine = try Machine(program(of: kernel, counts: counts), target)
    let compileSeconds = Double(ingot_nanoseconds() - start) * 1e-9
    let (a, b, c) = (floats(counts[0], seed: 1), floats(counts[1], seed: 2), floats(counts[2], seed: 3))
    let seconds = fastest { machine.run(inputs: [UnsafeRawPointer(a), UnsafeRawPointer(b)], outputs: [UnsafeMutableRawPointer(c)], rounds: $0) }
    for (row, column) in [(0, 0), (m - 1, n - 1), (m / 2, n / 3)] {
      var sum = 0.0
      for p in 0..<k { sum += Double(a[row * k + p]) * Double(b[(column / tile.columns * k + p) * tile.columns + column % tile.columns]) }
      guard abs(sum - Double(c[row * n + column])) < 1e-2 else { throw Machine.Failure.wrongResult("matmul [\(row), \(column)]: \(c[row * n + column]), not \(sum)") }
    }
    report("matmul \(m)x\(n)x\(k)", tile, 2 * Double(m) * Double(n) * Double(k), seconds, peak, compileSeconds)
    if wantsAssembly { print(try emitAssembly(program(of: kernel, counts: counts), for: target)) }
  }

  /// Nanoseconds per element of every function over 4096 elements in the cache.
  static func measureFunctions(_ target: Target) throws {
    let count = 4096
    let (input, output) = (floats(2 * count, seed: 5), floats(2 * count, seed: 6))
    for element in [ElementType.f32, .f64] {
      for function in UnaryFunction.allCases where !function.isPredicate && function != .not {
        var builder = KernelBuilder()
        let x = builder.buffer("x", element, .read)
        let y = builder.buffer("y", element, .write)
        let loop = builder.loop("i", to: .index(count), .vectorized) { _, i in [.store(y, index: i, value: .unary(function, .load(x, i)))] }
        let machine = try Machine(program(of: builder.kernel(function.mnemonic, [loop]), counts: [count, count]), target)
        let seconds = fastest { machine.run(inputs: [UnsafeRawPointer(input)], outputs: [UnsafeMutableRawPointer(output)], rounds: $0) }
        print("\(element.name) \(function.mnemonic): \(format(seconds * 1e12 / Double(count))) ps per element")
      }
    }
  }

  /// Rates are per cent of the f32 peak: 400 is the limit for bytes, 200 for bf16.
  static func measureNarrow(_ m: Int, _ n: Int, _ k: Int, _ tile: Tile, bytes: Bool, _ target: Target, _ peak: Double, _ wantsAssembly: Bool) throws {
    let kernel = narrowMatmul(m, n, k, tile, bytes: bytes)
    let counts = [m * k, n * k, m * n]
    let start = ingot_nanoseconds()
    let machine = try Machine(program(of: kernel, counts: counts), target)
    let compileSeconds = Double(ingot_nanoseconds() - start) * 1e-9
    let (a, b, c) = (floats(counts[0], seed: 1), floats(counts[1], seed: 2), floats(counts[2], seed: 3))
    let seconds = fastest { machine.run(inputs: [UnsafeRawPointer(a), UnsafeRawPointer(b)], outputs: [UnsafeMutableRawPointer(c)], rounds: $0) }
    report("\(bytes ? "u8 x i8" : "bf16") matmul \(m)x\(n)x\(k)", tile, 2 * Double(m) * Double(n) * Double(k), seconds, peak, compileSeconds)
    if wantsAssembly { print(try emitAssembly(program(of: kernel, counts: counts), for: target)) }
  }

  static func measureConvolution(_ h: Int, _ w: Int, _ c: Int, _ o: Int, _ tile: Tile, _ target: Target, _ peak: Double, _ wantsAssembly: Bool) throws {
    let kernel = convolution(h, w, c, o, tile)
    let counts = [(h + 2) * (w + 2) * c, 9 * c * o, h * w * o]
    let start = ingot_nanoseconds()
    let machine = try Machine(program(of: kernel, counts: counts), target)
    let compileSeconds = Double(ingot_nanoseconds() - start) * 1e-9
    let (x, f, y) = (floats(counts[0], seed: 1), floats(counts[1], seed: 2), floats(counts[2], seed: 3))
    let seconds = fastest { machine.run(inputs: [UnsafeRawPointer(x), UnsafeRawPointer(f)], outputs: [UnsafeMutableRawPointer(y)], rounds: $0) }
    report("conv3x3 \(h)x\(w)x\(c)x\(o)", tile, 18 * Double(h * w) * Double(c) * Double(o), seconds, peak, compileSeconds)
    if wantsAssembly { print(try emitAssembly(program(of: kernel, counts: counts), for: target)) }
  }

  static func report(_ name: String, _ tile: Tile, _ flops: Double, _ seconds: Double, _ peak: Double, _ compileSeconds: Double) {
    let rate = flops / seconds * 1e-9
    print("\(name)  tile \(tile.rows)x\(tile.columns) unroll \(tile.unroll): \(format(rate)) GFLOP/s, \(format(rate / peak * 100)) % of peak, \(format(seconds * 1e6)) us, compiled in \(format(compileSeconds * 1e3)) ms")
  }
}
