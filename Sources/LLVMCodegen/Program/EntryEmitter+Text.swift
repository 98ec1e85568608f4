internal import CLLVM
import KernelIR
import TensorTypes

// Steps that whoever runs the program computes.
extension EntryEmitter {
  /// Emits the call through the context, and the return if it fails.
  func emit(_ text: KernelProgram.TextCall, _ symbols: [String: IRValue], _ ports: [KernelProgram.Placement: IRValue]) throws(CodegenError) {
    var arguments: [IRValue] = []
    for view in text.arguments { arguments.append(try address(of: view, symbols, ports)) }
    let result = try address(of: text.result, symbols, ports)
    let (count, width) = (try value(of: text.count, symbols), try value(of: text.width, symbols))
    guard let function = program.textFunctions.firstIndex(of: text.function) else { throw CodegenError(.malformed("a step asks for text that the program does not list")) }
    let list = b.slot(b.pointer, count: max(arguments.count, 1), "text.arguments")
    for (position, argument) in arguments.enumerated() { b.store(argument, b.element(list, b.pointer, at: position), alignment: 8) }
    let callee = b.load(b.pointer, b.element(b.parameter(0), b.i64, at: Self.textField), alignment: 8)
    let state = b.load(b.pointer, b.element(b.parameter(0), b.i64, at: Self.textField + 1), alignment: 8)
    let type = module.functionType([b.pointer, b.i64, b.pointer, b.pointer, b.i64, b.i64], returning: b.i32)
    let status = b.call(callee, type, [state, b.index(function), list, result, count, width])
    fail(text.failure, if: b.compare(LLVMIntNE, status, 0))
  }

  /// Where `text` and `text_state` are in the context, in words.
  private static var textField: Int { 6 }
}
