public import TensorTypes

/// Why a model cannot be run on some inputs.
public enum RunError: Error, Sendable, Hashable {
  case inputCount(expected: [String], got: Int)
  /// An input was made a constant when the model was compiled, and is given another value now.
  case fixedInput(name: String, expected: String, got: String)
  case elementType(input: String, expected: TensorType, got: TensorType)
  case shape(input: String, expected: TensorType, got: [Int])
  /// Two inputs give one symbol different values.
  case conflict(symbol: String, value: Int, of: String, otherValue: Int, ofOther: String)
  /// An expression such as `2*n` cannot have the length of the input's axis.
  case extent(input: String, axis: Int, expression: String, expected: Int?, got: Int)
  /// The values of the symbols leave an axis of an output without a length: a negative one, a division by zero, an overflow.
  case outputExtent(output: String, axis: Int, expression: String, value: Int?, bindings: [String: Int])
  case undetermined(symbol: String)
  /// The lengths of the inputs break what a node of the model needs.
  case condition(violation: String, symbols: String)
  case tooLarge(what: String, bytes: Int?, limit: Int)
  case outOfMemory(bytes: Int)
  /// The code gave up: a condition on computed lengths is broken, or a limit is reached.
  case failed(code: Int, reason: String?, symbols: String = "")
  /// Another thread ended the run.
  case stopped
  /// The code says something impossible about its own result.
  case inconsistentResult(String)
  /// The strings of the inputs are too many or too long.
  case text(TextError)
  case notPrepared
  case cannotLoadCode(bytes: Int)
}

extension RunError: CustomStringConvertible {
  public var description: String {
    switch self {
    case .inputCount(let expected, let got):
      "the model takes \(expected.count) input\(expected.count == 1 ? "" : "s") (\(expected.joined(separator: ", "))), got \(got)"
    case .fixedInput(let name, let expected, let got):
      "input `\(name)` was fixed to \(expected) when the model was compiled, and is \(got) here; compile it with another --fix \(name)=FILE"
    case .elementType(let input, let expected, let got): "input `\(input)` is \(got); the model takes \(expected)"
    case .shape(let input, let expected, let got): "input `\(input)` has shape \(Shape(got)); the model takes \(expected)"
    case .conflict(let symbol, let value, let input, let otherValue, let otherInput):
      "inputs `\(input)` and `\(otherInput)` disagree: `\(symbol)` is \(value) in one and \(otherValue) in the other"
    case .extent(let input, let axis, let expression, let expected, let got):
      "axis \(axis) of input `\(input)` has length \(got); the model takes \(expression)" + (expected.map { ", which is \($0) here" } ?? "")
    case .outputExtent(let output, let axis, let expression, let value, let bindings):
      "axis \(axis) of output `\(output)` has length \(expression), which is \(value.map { "\($0)" } ?? "no number")\(SymbolBinding.suffix(bindings))"
    case .undetermined(let symbol): "no input determines `\(symbol)`"
    case .condition(let violation, let symbols): "these inputs do not fit the model: \(violation), where \(symbols)"
    case .tooLarge(let what, let bytes, let limit):
      "\(what) would take \(bytes.map { "\($0) bytes" } ?? "more bytes than 63 bits can count"), above the limit of \(limit)"
    case .outOfMemory(let bytes): "the system has no \(bytes) bytes of memory"
    case .failed(let code, let reason, let symbols):
      (reason ?? "the compiled code failed with code \(code)") + (symbols.isEmpty ? "" : ", where \(symbols)")
    case .stopped: "the run was stopped: it took longer than it may"
    case .inconsistentResult(let fact): "the compiled code returned \(fact)"
    case .text(let error): error.message
    case .notPrepared: "a session was invoked before inputs were bound to it"
    case .cannotLoadCode(let bytes): "the system refuses to map \(bytes) bytes of code"
    }
  }
}
