import Artifact
import GraphIR
import KernelIR
import LLVMCodegen
import Runtime
import TensorTypes

/// What this machine can do at most, measured now with code from the same generator: the yardsticks of `bench`.
struct MachinePeak {
  /// Floating-point operations per second on f32, a multiply-add counting two.
  var flops: Double
  /// Bytes per second read from memory.
  var bandwidth: Double

  /// - Parameter threads: As many as the measured model uses.
  static func measure(target: Target, threads: Int) throws -> MachinePeak {
    let lanes = target.vectorBytes / 4
    let program = multiplyAddProgram(threads: threads, lanes: lanes)
    let code = try LLVMCodegen.compile(program, for: target, workers: 1)
    var manifest = Manifest(
      modelName: "peak", inputs: [], outputs: program.outputs.map { Manifest.Port(name: $0.name, type: $0.type) },
      target: Manifest.Target(name: target.cpu, requiredFeatures: []))
    manifest.entryOffset = code.entryOffset
    let model = Runtime.Model(
      code: try CodeImage(copying: code.image, entryOffset: code.entryOffset), constants: try ConstantImage(copying: [], byteCount: code.constantsByteCount),
      manifest: manifest)
    let session = try model.makeSession(threads: threads)
    try session.prepare([])
    // The fastest of many runs: anything that disturbs a run makes it slower, nothing makes it faster than the machine.
    let result = try Benchmark(length: .seconds(0.2), warmUpSeconds: 0.1).run { () throws(RunError) in try session.invoke() }
    let work = Double(threads) * Double(rounds) * Double(chains) * Double(lanes) * 2
    return MachinePeak(flops: work / result.minimum, bandwidth: try MachineLimits.memoryBandwidth(threads: threads))
  }

  /// Independent chains of multiply-adds: enough to hide the latency of two units (4 or 5 cycles each), few enough for 16 registers.
  private static let chains = 12
  private static let rounds = 20_000

  private static func multiplyAddProgram(threads: Int, lanes: Int) -> KernelProgram {
    var builder = KernelBuilder()
    let result = builder.buffer("result", .f32, .write)
    let body = builder.loop("thread", to: .index(threads), .parallel) { builder, thread in
      [
        builder.loop("lane", to: .index(lanes), .vectorized) { builder, lane in
          let chain = builder.local("chain", .f32, count: chains)
          var statements: [Statement] = [.allocate(chain)]
          // Starts that differ, so that no two chains can become one.
          for number in 0..<chains {
            statements.append(.assign(chain, index: .index(number), value: .convert(lane + .index(number), .f32)))
          }
          statements.append(
            builder.loop("round", to: .index(rounds)) { _, _ in
              (0..<chains).map { number in
                .assign(chain, index: .index(number), value: .multiplyAdd(.local(chain, .index(number)), .number(0.999, .f32), .number(0.001, .f32)))
              }
            })
          let sum = (1..<chains).reduce(Expression.local(chain, .index(0))) { .binary(.add, $0, .local(chain, .index($1))) }
          statements.append(.store(result, index: thread * .index(lanes) + lane, value: sum))
          return statements
        }
      ]
    }
    let count = threads * lanes
    var program = KernelProgram(name: "peak", inputs: [], outputs: [KernelProgram.Port(name: "result", type: TensorType(.f32, Shape([count])))], symbols: [])
    program.buffers = [.init(name: "result", element: .f32, elementCount: Extent(count), placement: .output(0))]
    let kernel = program.add(builder.kernel("multiply_add", [body]))
    program.steps = [.call(KernelProgram.Call(kernel: kernel, arguments: [KernelProgram.View(0)], symbols: [], origin: "peak"))]
    return program
  }
}
