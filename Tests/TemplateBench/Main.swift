import CRuntime
import Glibc
import GraphIR
import KernelIR
import LLVMCodegen
import Lowering
import LoweringTestSupport
import TensorTypes

/// Measures what the templates make of the layers of well-known networks, against the peak of one core.
///
///     template-bench [--threads N] [--winograd auto|off|2|4] [--asm] [--kernels] [network] [layer]
///     template-bench --candidates [--threads N] [--winograd auto|off|2|4] [network] [layer]
///     template-bench --check [--threads N] [--winograd auto|off|2|4] [case]
@main struct Main {
  static func main() throws {
    var words = Array(CommandLine.arguments.dropFirst())
    func flag(_ name: String) -> Bool {
      guard let place = words.firstIndex(of: name) else { return false }
      words.remove(at: place)
      return true
    }
    let (wantsAssembly, wantsKernels) = (flag("--asm"), flag("--kernels"))
    var threads = 1
    if let place = words.firstIndex(of: "--threads"), place + 1 < words.count {
      threads = Int(words[place + 1]) ?? 1
      words.removeSubrange(place...place + 1)
    }
    var winograd = WinogradUse.automatic
    if let place = words.firstIndex(of: "--winograd"), place + 1 < words.count {
      winograd = WinogradUse(rawValue: words[place + 1]) ?? .automatic
      words.removeSubrange(place...place + 1)
    }
    let target = LoweringTarget(lanes: 16, registers: 32, threads: threads, winograd: winograd)
    if flag("--check") { return try check(target, named: words.first) }
    if flag("--candidates") { return try candidates(target, words) }
    let peak = try measurePeak()
    print("peak of one core \(short(peak)) GFLOP/s, \(threads) threads")
    for (name, layers) in try networks() where words.isEmpty || words[0] == name {
      var (seconds, flops) = (0.0, 0.0)
      for layer in layers where words.count < 2 || layer.name.contains(words[1]) {
        let (time, work, note) = try measure(layer, target, wantsAssembly: wantsAssembly, wantsKernels: wantsKernels)
        seconds += time * Double(layer.count)
        flops += work * Double(layer.count)
        let rate = work / time * 1e-9
        print("\(pad("\(layer.count)x", 4))\(pad(layer.name, 40))\(pad(short(time * 1e6), 10))us \(pad(short(rate), 8)) \(pad(short(rate / peak * 100), 6))%  \(note)")
      }
      print("\(name): \(short(seconds * 1e3)) ms, \(short(flops * 1e-9)) GFLOP, \(short(flops / seconds * 1e-9)) GFLOP/s, \(short(flops / seconds * 1e-7 / peak)) % of one core's peak\n")
    }
  }

  /// Measures every candidate of every layer.
  static func candidates(_ target: LoweringTarget, _ words: [String]) throws {
    for (name, layers) in try networks() where words.isEmpty || words[0] == name {
      var (taken, best) = (0.0, 0.0)
      for layer in layers where words.count < 2 || layer.name.contains(words[1]) {
        let table = try CandidateTable(layer, target)
        guard let first = table.rows.first, let least = table.rows.map(\.seconds).min() else { continue }
        taken += first.seconds * Double(layer.count)
        best += least * Double(layer.count)
        print(table.text(most: words.count < 2 ? 5 : .max))
      }
      print("\(name): \(short(taken * 1e3)) ms by estimate, \(short(best * 1e3)) ms by measurement, \(short((taken / best - 1) * 100)) % lost\n")
    }
  }

  /// Compares every case of the tests with the interpreter.
  static func check(_ target: LoweringTarget, named name: String?) throws {
    let cases = try DotCases.all() + ConvolutionCases.all() + WindowCases.all()
    var wrong = 0
    for test in cases where name.map({ test.name.contains($0) }) ?? true {
      let narrow = LoweringTarget(lanes: 8, registers: 16, threads: target.threads, winograd: target.winograd)
      for (target, isCompiled) in [(target, true), (narrow, true), (target, false)] {
        do {
          let (expected, actual, notes) = try test.results(target, compiled: isCompiled)
          let difference = TemplateCase.difference(expected, actual)
          if difference < 1e-5 { continue }
          print("WRONG \(test.name), \(target.lanes) lanes\(isCompiled ? "" : ", interpreted"): \(difference) [\(notes.joined(separator: "; "))]")
        } catch { print("FAILED \(test.name), \(target.lanes) lanes\(isCompiled ? "" : ", interpreted"): \(error)") }
        wrong += 1
      }
    }
    print("\(cases.count) cases, \(wrong) wrong")
  }

  static func short(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
  static func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }

  static func measure(_ layer: Layer, _ target: LoweringTarget, wantsAssembly: Bool, wantsKernels: Bool) throws -> (seconds: Double, flops: Double, note: String) {
    let lowered = try layer.test.lowered(target)
    if wantsKernels { for kernel in lowered.program.kernels { print(kernel.text) } }
    if wantsAssembly { print(try emitAssembly(lowered.program, for: try Target.host())) }
    let machine = try layer.test.machine(lowered, target)
    let flops = lowered.program.calls.reduce(0) { $0 + Double($1.flops.evaluated(layer.test.symbols) ?? 0) }
    return (fastest { machine.run(rounds: $0) }, flops, lowered.notes.joined(separator: "; "))
  }

  /// Seconds of the fastest of several runs of `body`, each about 10 ms.
  static func fastest(_ body: (Int) -> Void) -> Double {
    body(1)
    var rounds = 1
    while true {
      let start = ingot_nanoseconds()
      body(rounds)
      if ingot_nanoseconds() - start > 5_000_000 || rounds > 1 << 22 { break }
      rounds *= 2
    }
    var best = Double.infinity
    for _ in 0..<12 {
      let start = ingot_nanoseconds()
      body(rounds)
      best = min(best, Double(ingot_nanoseconds() - start) / Double(rounds))
    }
    return best * 1e-9
  }

  /// Multiply-adds on registers alone: 24 chains, from the same code generator.
  static func measurePeak() throws -> Double {
    var builder = KernelBuilder()
    let x = builder.buffer("x", .f32, .read)
    let y = builder.buffer("y", .f32, .write)
    let acc = builder.local("acc", .f32, count: 24 * 16)
    let rounds = 10_000
    func chains(_ builder: inout KernelBuilder, _ body: (Expression, Expression) -> Statement) -> Statement {
      builder.loop("i", to: .index(24), .unrolled) { kb, i in [kb.loop("j", to: .index(16), .vectorized) { _, j in [body(i * .index(16) + j, j)] }] }
    }
    let body: [Statement] = [
      .allocate(acc),
      chains(&builder) { place, lane in .assign(acc, index: place, value: .load(x, lane)) },
      builder.loop("r", to: .index(rounds)) { kb, _ in
        [chains(&kb) { place, lane in .assign(acc, index: place, value: .multiplyAdd(.load(x, lane), .load(x, lane + .index(16)), .local(acc, place))) }]
      },
      chains(&builder) { place, lane in .store(y, index: place, value: .local(acc, place)) },
    ]
    let kernel = builder.kernel("peak", body)
    var program = KernelProgram(
      name: "peak", inputs: [.init(name: "x", type: TensorType(.f32, [32]))], outputs: [.init(name: "y", type: TensorType(.f32, [384]))], symbols: [])
    program.buffers = [.init(name: "x", element: .f32, elementCount: 32, placement: .input(0)), .init(name: "y", element: .f32, elementCount: 384, placement: .output(0))]
    program.steps = [.call(.init(kernel: program.add(kernel), arguments: [.init(0), .init(1)], symbols: [], origin: "peak"))]
    let machine = try CompiledFusion(program, inputs: [Tensor(zeros: .f32, [32])])
    return Double(rounds) * 24 * 16 * 2 / fastest { machine.run(rounds: $0) } * 1e-9
  }
}
