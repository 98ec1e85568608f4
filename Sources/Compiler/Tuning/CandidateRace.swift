import Artifact
import GraphIR
import KernelIR
import LLVMCodegen
import Runtime
import TensorTypes

/// Runs several programs that compute the same thing, turn by turn, and says how long each takes.
final class CandidateRace {
  private struct Runner {
    let session: Session
    var samples: [Double] = []
    var isOut = false
    var median: Double { samples.isEmpty ? .infinity : samples.sorted()[samples.count / 2] }
  }
  private var runners: [Runner] = []
  private let inputs: [Tensor]
  /// Read between runs, so that a run finds its constants where a large network leaves them: beyond the second-level cache.
  private let eviction = [UInt64](repeating: 1, count: (3 << 20) / 8)
  private var sink: UInt64 = 0

  init(_ programs: [KernelProgram], for target: Target, threads: Int, store: (any ObjectStore)? = nil) throws(CompileError) {
    let compiled: [CompiledProgram]
    do throws(CodegenError) { compiled = try LLVMCodegen.compile(programs, for: target, workers: Allowance.cpus, store: store) } catch {
      throw CompileError(.unsupported, "\(error)", stage: .emit)
    }
    let bytes = (programs.first?.inputs ?? []).reduce(0.0) { $0 + Double($1.type.byteCount.constant ?? 0) }
    guard bytes <= Double(Allowance.memoryBytes / 4) else {
      throw CompileError(.badInput, "measuring a kernel with inputs of \(Int(min(bytes, 1e18))) bytes", stage: .run, hint: "compile without --tune")
    }
    inputs = (programs.first?.inputs ?? []).enumerated().map { number, port in
      // Numbers without subnormals; integers may be positions, of which 0 is always one.
      let dimensions = port.type.shape.constants ?? []
      return port.type.element.isFloatingPoint
        ? RandomTensor.make(port.type.element, dimensions, seed: UInt64(number)) : Tensor(zeros: port.type.element, dimensions)
    }
    do throws(RunError) {
      for (program, code) in zip(programs, compiled) {
        func ports(_ ports: [KernelProgram.Port]) -> [Manifest.Port] { ports.map { Manifest.Port(name: $0.name, type: $0.type) } }
        var manifest = Manifest(
          modelName: "kernel", inputs: ports(program.inputs), outputs: ports(program.outputs), target: Manifest.Target(name: target.cpu, requiredFeatures: target.features))
        manifest.arenaBytes = program.arenaBytes
        manifest.entryOffset = code.entryOffset
        manifest.threads = threads
        let chunks = zip(code.constantOffsets, program.constants).map { ConstantChunk(byteOffset: $0, tensor: $1.tensor) }
        let constants = try ConstantImage(copying: chunks, byteCount: code.constantsByteCount)
        let model = Runtime.Model(code: try CodeImage(copying: code.image, entryOffset: code.entryOffset), constants: constants, manifest: manifest)
        let session = try model.makeSession(threads: threads)
        try session.prepare(inputs)
        runners.append(Runner(session: session))
      }
    } catch { throw CompileError(.badInput, "\(error)", stage: .run) }
  }

  /// - Parameter seconds: When to stop, once every runner has had five turns.
  /// - Returns: The median of each runner's turns in nanoseconds; nil for those that fell far behind after three.
  func run(seconds: Double) throws(CompileError) -> [Int?] {
    let clock = ContinuousClock()
    let start = clock.now
    for number in runners.indices { _ = try turn(number) }
    for round in 0..<51 {
      if round >= 5, (clock.now - start) / .seconds(1) > seconds { break }
      for number in runners.indices where !runners[number].isOut { runners[number].samples.append(try turn(number)) }
      if round == 2 || round == 10 {
        let best = runners.map(\.median).min() ?? 0
        for number in runners.indices where runners[number].median > best * (round == 2 ? 1.25 : 1.05) { runners[number].isOut = true }
      }
    }
    return runners.map { $0.isOut ? nil : Int(clamping: Int($0.median * 1e9)) }
  }

  private func turn(_ number: Int) throws(CompileError) -> Double {
    eviction.withUnsafeBufferPointer { words in for place in stride(from: 0, to: words.count, by: 8) { sink &+= words[place] } }
    for input in inputs where input.byteCount <= 512 << 10 {
      // What the kernel before has just written.
      input.withBytes { bytes in for place in stride(from: 0, to: bytes.count, by: 64) { sink &+= UInt64(bytes[place]) } }
    }
    let clock = ContinuousClock()
    let start = clock.now
    do throws(RunError) { try runners[number].session.invoke() } catch { throw CompileError(.badInput, "\(error)", stage: .run) }
    return (clock.now - start) / .seconds(1)
  }
}
