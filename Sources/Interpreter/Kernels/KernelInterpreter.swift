import GraphIR
import KernelIR
import TensorTypes

/// Executes kernel programs plainly, without LLVM, so that lowering can be tested by itself.
///
/// Vectorized, parallel and unrolled loops are plain loops. Every load and store is checked against its buffer, and memory
/// that nothing has written holds NaN (all bits 1), so that a read of it is seen in the result. A `let`, a local and every
/// intermediate value is rounded to its element type. Computed symbols bind as in compiled code; a failure of the program is a `KernelError`.
public enum KernelInterpreter {
  /// Runs a program.
  ///
  /// - Parameters:
  ///   - inputs: One tensor for each input port.
  ///   - symbols: Values for symbols that do not follow from the shapes of the inputs.
  ///   - arenaLimit: The bytes of arena for a program with regions.
  ///   - observing: Called after each call of a kernel, with the contents of its arguments from their offsets on.
  /// - Throws: `KernelError` that names kernel, buffer and index.
  public static func execute(
    _ program: KernelProgram, inputs: [Tensor], symbols: [String: Int] = [:], arenaLimit: Int = 16 << 20,
    observing: ((KernelProgram.Call, [Tensor]) -> Void)? = nil
  ) throws(KernelError) -> [Tensor] {
    let binding: SymbolBinding
    do throws(CompileError) {
      binding = try SymbolBinding(program.name, program.inputs.map { ($0.name, $0.type) }, inputs: inputs, given: symbols)
    } catch {
      throw KernelError(kernel: program.name, message: error.message)
    }
    var strings = program.strings.map { StringNumbering($0) } ?? StringNumbering()
    var numbered = inputs
    do throws(TextError) {
      for (position, tensor) in inputs.enumerated() where tensor.element == .string {
        numbered[position] = Tensor(numbers: try tensor.renumbered(by: &strings), tensor.dimensions, of: strings.table)
      }
    } catch { throw KernelError(kernel: program.name, message: error.message) }
    var execution = try ProgramExecution(program, numbered, binding.values, arenaLimit: arenaLimit, observing)
    execution.strings = strings
    try execution.run()
    return try execution.outputs()
  }
}
