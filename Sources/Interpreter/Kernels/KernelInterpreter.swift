import GraphIR
import KernelIR
import TensorTypes

/// Executes kernel programs plainly, without LLVM, so that lowering can be tested by itself.
///
/// Vectorized, parallel and unrolled loops are plain loops. Every load and store is checked against its buffer, and memory
/// that nothing has written holds NaN (all bits 1), so that a read of it is seen in the result. A `let`, a local and every
/// intermediate value is rounded to its element type.
public enum KernelInterpreter {
  /// Runs a program.
  ///
  /// - Parameters:
  ///   - inputs: One tensor for each input port.
  ///   - symbols: Values for symbols that do not follow from the shapes of the inputs.
  ///   - observing: Called after each call of a kernel, with the contents of its arguments from their offsets on.
  /// - Throws: `KernelError` that names kernel, buffer and index.
  public static func execute(
    _ program: KernelProgram, inputs: [Tensor], symbols: [String: Int] = [:], observing: ((KernelProgram.Call, [Tensor]) -> Void)? = nil
  ) throws(KernelError) -> [Tensor] {
    let binding: SymbolBinding
    do throws(CompileError) {
      binding = try SymbolBinding(program.name, program.inputs.map { ($0.name, $0.type) }, inputs: inputs, given: symbols)
    } catch {
      throw KernelError(kernel: program.name, message: error.message)
    }
    var execution = try ProgramExecution(program, inputs, binding.values, observing)
    try execution.run(program.variant(for: binding.values)?.steps ?? program.steps, binding.values)
    return try execution.outputs(binding.values)
  }
}

/// The memory of one run of a program.
private struct ProgramExecution {
  let program: KernelProgram
  private var memory: [KernelMemory] = []
  private var owned: [TensorBytes] = []
  private var codes: [Int: KernelCode] = [:]
  private let observing: ((KernelProgram.Call, [Tensor]) -> Void)?
  /// The numbers of the strings of this run.
  private var strings = StringNumbering()

  /// Bytes that live as long as the run.
  private final class TensorBytes {
    let bytes: UnsafeMutableRawBufferPointer
    init(_ count: Int) {
      bytes = .allocate(byteCount: max(count, 1), alignment: 64)
      bytes.initializeMemory(as: UInt8.self, repeating: 0xff)
    }
    deinit { bytes.deallocate() }
  }

  init(
    _ program: KernelProgram, _ inputs: [Tensor], _ symbols: [String: Int], _ observing: ((KernelProgram.Call, [Tensor]) -> Void)?
  ) throws(KernelError) {
    (self.program, self.observing) = (program, observing)
    if let table = program.strings { strings = StringNumbering(table) }
    let inputs = try numbered(inputs)
    let variant = program.variant(for: symbols)
    let arenaBytes = try Self.value(variant?.arenaBytes ?? program.arenaBytes, symbols, "the arena", program.name)
    let touched = Self.touched(by: variant?.steps ?? program.steps, program.kernels)
    let arena = TensorBytes(arenaBytes)
    owned.append(arena)
    for (position, buffer) in program.buffers.enumerated() {
      if case .arena = buffer.placement, !touched.contains(position), let base = allocate(0) {
        // Other lengths use it.
        memory.append(KernelMemory(name: buffer.name, element: buffer.element, count: 0, base: base, isWritable: false))
        continue
      }
      let count = try Self.value(buffer.elementCount, symbols, buffer.name, program.name)
      let byteCount = count * buffer.element.byteCount
      var base: UnsafeMutableRawPointer?
      var isWritable = false
      switch buffer.placement {
      case .input(let number):
        guard inputs.indices.contains(number), inputs[number].byteCount == byteCount else {
          throw KernelError(kernel: program.name, message: "buffer `\(buffer.name)` of \(byteCount) bytes is input \(number)")
        }
        base = allocate(copying: inputs[number])
      case .constant(let number):
        guard program.constants.indices.contains(number), program.constants[number].tensor.byteCount == byteCount else {
          throw KernelError(kernel: program.name, message: "buffer `\(buffer.name)` of \(byteCount) bytes is constant \(number)")
        }
        base = allocate(copying: program.constants[number].tensor)
      case .output(let number):
        guard program.outputs.indices.contains(number) else {
          throw KernelError(kernel: program.name, message: "buffer `\(buffer.name)` is output \(number), which does not exist")
        }
        base = allocate(byteCount)
        isWritable = true
      case .arena(offset: nil):
        base = allocate(byteCount)
        isWritable = true
      case .arena(offset: let offset?):
        let start = try Self.value(offset, symbols, buffer.name, program.name)
        guard start <= arenaBytes, byteCount <= arenaBytes - start, start % buffer.element.byteCount == 0 else {
          throw KernelError(kernel: program.name, message: "buffer `\(buffer.name)`, bytes \(start) to \(start + byteCount), leaves the arena of \(arenaBytes)")
        }
        base = arena.bytes.baseAddress.map { $0 + start }
        isWritable = true
      }
      guard let base else { throw KernelError(kernel: program.name, message: "no memory for buffer `\(buffer.name)`") }
      memory.append(KernelMemory(name: buffer.name, element: buffer.element, count: count, base: base, isWritable: isWritable))
    }
  }

  private static func touched(by steps: [KernelProgram.Step], _ kernels: [Kernel]) -> Set<Int> {
    steps.reduce(into: []) { found, step in
      let views = step.views(kernels)
      found.formUnion((views.read + views.written).map(\.buffer))
      for body in step.bodies { found.formUnion(touched(by: body, kernels)) }
    }
  }

  // MARK: Strings

  /// The inputs with strings under the numbers of this run.
  private mutating func numbered(_ inputs: [Tensor]) throws(KernelError) -> [Tensor] {
    do throws(TextError) {
      var numbered: [Tensor] = []
      for tensor in inputs {
        numbered.append(tensor.element == .string ? Tensor(numbers: try tensor.renumbered(by: &strings), tensor.dimensions, of: strings.table) : tensor)
      }
      return numbered
    } catch { throw KernelError(kernel: program.name, message: error.message) }
  }

  private mutating func run(_ text: KernelProgram.TextCall, _ symbols: [String: Int]) throws(KernelError) {
    var addresses: [UnsafeRawPointer] = []
    let count = try Self.value(text.count, symbols, "a text", program.name), width = try Self.value(text.width, symbols, "a text", program.name)
    func place(_ view: KernelProgram.View, _ least: Int) throws(KernelError) -> UnsafeMutableRawPointer {
      guard memory.indices.contains(view.buffer) else { throw KernelError(kernel: program.name, message: "`\(text.function)` names buffer \(view.buffer)") }
      let (whole, offset) = (memory[view.buffer], try Self.value(view.elementOffset, symbols, "an argument", program.name))
      guard offset <= whole.count, least <= whole.count - offset else { throw KernelError(kernel: program.name, message: "`\(text.function)` leaves `\(whole.name)`") }
      return whole.base + offset * whole.element.byteCount
    }
    for (position, view) in text.arguments.enumerated() {
      addresses.append(UnsafeRawPointer(try place(view, text.function.readsPattern && position == 1 ? 0 : count)))
    }
    let target = try place(text.result, count * width)
    do throws(TextError) {
      try text.function.apply(addresses, target, count: count, width: width, strings: &strings)
    } catch { throw KernelError(kernel: program.name, message: error.message) }
  }

  private mutating func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer? {
    owned.append(TensorBytes(byteCount))
    return owned.last?.bytes.baseAddress
  }

  private mutating func allocate(copying tensor: Tensor) -> UnsafeMutableRawPointer? {
    let base = allocate(tensor.byteCount)
    tensor.withBytes { if let from = $0.baseAddress { base?.copyMemory(from: from, byteCount: $0.count) } }
    return base
  }

  private static func value(_ extent: Extent, _ symbols: [String: Int], _ what: String, _ program: String) throws(KernelError) -> Int {
    guard let value = extent.evaluated(symbols), value >= 0 else {
      throw KernelError(kernel: program, message: "the size or place of \(what), \(extent), has no value for \(symbols)")
    }
    return value
  }

  mutating func run(_ steps: [KernelProgram.Step], _ symbols: [String: Int]) throws(KernelError) {
    for step in steps {
      switch step {
      case .call(let call): try run(call, symbols)
      case .text(let text): try run(text, symbols)
      case .define, .set, .require, .branch, .repeatWhile, .advance, .export, .reserve: throw KernelError(kernel: program.name, message: "computes symbols")
      case .loop(let symbol, let count, let body):
        var inner = symbols
        for index in 0..<(try Self.value(count, symbols, "a loop", program.name)) {
          inner[symbol] = index
          try run(body, inner)
        }
      }
    }
  }

  private mutating func run(_ call: KernelProgram.Call, _ symbols: [String: Int]) throws(KernelError) {
    guard program.kernels.indices.contains(call.kernel) else { throw KernelError(kernel: program.name, message: "a call of kernel \(call.kernel), which does not exist") }
    let kernel = program.kernels[call.kernel]
    guard call.arguments.count == kernel.parameters.count, call.symbols.count == kernel.symbols.count else {
      throw KernelError(kernel: kernel.name, message: "is called with \(call.arguments.count) buffers and \(call.symbols.count) symbols")
    }
    let code: KernelCode
    if let known = codes[call.kernel] { code = known } else { code = try KernelCode(kernel) }
    codes[call.kernel] = code

    var buffers: [KernelMemory] = []
    for (argument, parameter) in zip(call.arguments, kernel.parameters) {
      guard memory.indices.contains(argument.buffer) else { throw KernelError(kernel: kernel.name, message: "is called with buffer \(argument.buffer)") }
      let whole = memory[argument.buffer]
      let offset = try Self.value(argument.elementOffset, symbols, "an argument", kernel.name)
      guard whole.element == parameter.element, offset <= whole.count else {
        throw KernelError(
          kernel: kernel.name,
          message: "parameter `\(parameter.name)` of \(parameter.element.name) is given `\(whole.name)` of \(whole.count) \(whole.element.name) from element \(offset) on")
      }
      buffers.append(
        KernelMemory(
          name: whole.name == parameter.name ? whole.name : "\(parameter.name) (\(whole.name))", element: whole.element, count: whole.count - offset,
          base: whole.base + offset * whole.element.byteCount, isWritable: whole.isWritable))
    }
    var values: [String: Int] = [:]
    for (symbol, extent) in zip(kernel.symbols, call.symbols) {
      // A loop's symbol may be negative in an index; only sizes may not.
      guard let value = extent.evaluated(symbols) else { throw KernelError(kernel: kernel.name, message: "symbol `\(symbol)`, \(extent), has no value for \(symbols)") }
      values[symbol] = value
    }
    try code.run(buffers, symbols: values)
    observing?(call, buffers.map { Self.tensor($0, [$0.count]) })
  }

  func outputs(_ symbols: [String: Int]) throws(KernelError) -> [Tensor] {
    var results: [Tensor] = []
    for (number, port) in program.outputs.enumerated() {
      guard let position = program.buffers.firstIndex(where: { $0.placement == .output(number) }),
        let dimensions = port.type.shape.evaluated(symbols), elementCount(of: dimensions) == memory[position].count
      else { throw KernelError(kernel: program.name, message: "output `\(port.name)` (\(port.type)) has no buffer of its size") }
      let result = Self.tensor(memory[position], dimensions)
      results.append(result.element == .string ? result.referring(to: strings.table) : result)
    }
    return results
  }

  private static func tensor(_ memory: KernelMemory, _ dimensions: [Int]) -> Tensor {
    Tensor(memory.element, dimensions) { $0.copyMemory(from: UnsafeRawBufferPointer(start: memory.base, count: memory.count * memory.element.byteCount)) }
  }
}
