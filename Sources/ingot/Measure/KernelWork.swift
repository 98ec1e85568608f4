import Artifact
import Compiler
import KernelIR
import TensorTypes

/// What each kernel call of a run ought to cost, in the order of its steps.
struct KernelWork {
  /// Nil where that depends on data.
  var flops: Int?
  var bytes: Int?

  /// For the steps that a run with these lengths takes.
  ///
  /// - Parameter symbols: The lengths of symbolic axes in this run.
  static func perStep(_ manifest: Manifest, _ program: KernelProgram?, symbols: [String: Int]) -> [KernelWork] {
    guard let program else {
      return manifest.steps[manifest.variant(for: symbols)?.steps ?? manifest.generalSteps].map { KernelWork(flops: $0.flops.evaluated(symbols), bytes: $0.bytes.evaluated(symbols)) }
    }
    var work: [KernelWork] = []
    collect(program.variant(for: symbols)?.steps ?? program.steps, times: 1, symbols, into: &work)
    return work
  }

  /// Calls inside loops count as often as the loop runs; where the amount changes from round to round, by the middle one.
  private static func collect(_ steps: [KernelProgram.Step], times: Int?, _ symbols: [String: Int], into work: inout [KernelWork]) {
    func scaled(_ extent: Extent) -> Int? {
      guard let times, let value = extent.evaluated(symbols) else { return nil }
      let (product, overflowed) = value.multipliedReportingOverflow(by: times)
      return overflowed ? nil : product
    }
    for step in steps {
      switch step {
      case .call(let call): work.append(KernelWork(flops: scaled(call.flops), bytes: scaled(call.bytes)))
      case .loop(let symbol, let count, let body):
        var inner = symbols
        let rounds = count.evaluated(symbols)
        inner[symbol] = rounds.map { max(0, $0 / 2) }
        collect(body, times: rounds.flatMap { scaled(Extent($0)) }, inner, into: &work)
      case .branch, .repeatWhile:
        // How often each body runs, only the run itself knows.
        for body in step.bodies { collect(body, times: nil, symbols, into: &work) }
      case .define, .set, .require, .advance, .export, .reserve, .text: continue
      }
    }
  }

  static func total(_ work: [KernelWork]) -> (flops: Double, bytes: Double) {
    work.reduce((0, 0)) { ($0.0 + Double($1.flops ?? 0), $0.1 + Double($1.bytes ?? 0)) }
  }
}
