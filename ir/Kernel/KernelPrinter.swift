import TensorTypes

extension Kernel {
  /// The text form, for people (`--emit kernels`) and for tests.
  public var text: String {
    let parameters = zip(parameters, accesses).map { "\($0.name): \($1 == .read ? "" : $1 == .write ? "out " : "inout ")\($0.element.name)" }
    var text = "kernel @\(name)(\(parameters.joined(separator: ", ")))"
    if !symbols.isEmpty { text += " over \(symbols.joined(separator: ", "))" }
    return text + " {\n" + body.map { $0.text(indent: "  ") }.joined() + "}\n"
  }
}

extension Statement {
  func text(indent: String) -> String {
    func block(_ body: [Statement]) -> String { "{\n" + body.map { $0.text(indent: indent + "  ") }.joined() + indent + "}" }
    switch self {
    case .loop(let loop):
      let kind =
        switch loop.kind {
        case .serial: "for"
        case .parallel: "parallel"
        case .unrolled: "unroll"
        case .vectorized: "vector"
        }
      return "\(indent)\(kind) \(loop.variable.text) in \(loop.lower)..<\(loop.upper)\(loop.step == 1 ? "" : " by \(loop.step)") \(block(loop.body))\n"
    case .bind(let variable, let value): return "\(indent)let \(variable.text): \(variable.element.name) = \(value)\n"
    case .allocate(let local): return "\(indent)local \(local.text): \(local.element.name)[\(local.count)]\n"
    case .store(let buffer, let index, let value): return "\(indent)\(buffer.name)[\(index)] = \(value)\n"
    case .assign(let local, let index, let value): return "\(indent)\(local.text)[\(index)] = \(value)\n"
    case .accumulate(let local, let index, let reducer, let value): return "\(indent)\(local.text)[\(index)] \(reducer.rawValue)= \(value)\n"
    case .branch(let condition, let then, let otherwise):
      return "\(indent)if \(condition) \(block(then))" + (otherwise.isEmpty ? "\n" : " else \(block(otherwise))\n")
    case .prefetch(let buffer, let index, let forWriting): return "\(indent)prefetch \(buffer.name)[\(index)]\(forWriting ? " for writing" : "")\n"
    case .repeatWhile(let condition, let body): return "\(indent)while \(condition) \(block(body))\n"
    }
  }
}

extension Variable { var text: String { "\(name)\(id)" } }
extension Local { var text: String { "\(name)\(id)" } }

extension Expression: CustomStringConvertible {
  public var description: String {
    switch self {
    case .index(let value): "\(value)"
    case .number(let value, let element): "\(element.name)(\(value))"
    case .variable(let variable): variable.text
    case .extent(let extent): "<\(extent)>"
    case .load(let buffer, let index): "\(buffer.name)[\(index)]"
    case .local(let local, let index): "\(local.text)[\(index)]"
    case .unary(let function, let x): "\(function.mnemonic)(\(x))"
    case .binary(.add, let a, let b): "(\(a) + \(b))"
    case .binary(.subtract, let a, let b): "(\(a) - \(b))"
    case .binary(.multiply, let a, let b): "\(a)*\(b)"
    case .binary(let function, let a, let b): "\(function.mnemonic)(\(a), \(b))"
    case .compare(let comparison, let a, let b): "\(comparison.rawValue)(\(a), \(b))"
    case .select(let condition, let a, let b): "select(\(condition), \(a), \(b))"
    case .convert(let x, let element): "\(element.name)(\(x))"
    case .bits(let x, let element): "bits.\(element.name)(\(x))"
    case .multiplyAdd(let a, let b, let c): "fma(\(a), \(b), \(c))"
    }
  }
}
