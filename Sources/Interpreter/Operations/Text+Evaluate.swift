import GraphIR
import TensorTypes

extension TextOperation: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    guard let function = function(of: operands[0].element) else { throw EvaluationError("`\(mnemonic)` lacks an attribute") }
    do throws(TextError) {
      var (shared, strings) = try Tensor.sharingStrings(operands)
      if let pattern { shared.append(pattern.table) }
      let copies = shared.map { Self.copy($0) }
      defer { for copy in copies { copy.deallocate() } }
      let columns = width?.constant ?? 1
      let result = try Tensor(function.result, results[0].dimensions) { target throws(TextError) in
        guard let base = target.baseAddress else { return }
        try function.apply(copies.map { UnsafeRawPointer($0) }, base, count: operands[0].count, width: columns, strings: &strings)
      }
      return [result.element == .string ? result.referring(to: strings.table) : result]
    } catch { throw EvaluationError(error.message) }
  }

  /// The bytes of a tensor, aligned for its elements.
  private static func copy(_ tensor: Tensor) -> UnsafeMutableRawPointer {
    let memory = UnsafeMutableRawPointer.allocate(byteCount: max(tensor.byteCount, 1), alignment: 64)
    tensor.withBytes { if let base = $0.baseAddress { memory.copyMemory(from: base, byteCount: $0.count) } }
    return memory
  }
}

extension TextFind: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (x, table) = (operands[0], operands[2])
    var places: [Text: Int] = [:]
    for (place, text) in operands[1].texts.enumerated() where places[text] == nil { places[text] = place }
    let width = table.element.byteCount
    let found = x.texts.map { places[$0] ?? table.count - 1 }
    return [
      Tensor(table.element, x.dimensions, strings: table.strings) { target in
        table.withBytes { source in
          for (position, place) in found.enumerated() {
            for byte in 0..<width { target[position * width + byte] = source[place * width + byte] }
          }
        }
      }
    ]
  }
}
