import GraphIR
import TensorTypes

extension TextOperation: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    guard let function = function(of: operands[0].element) else { throw EvaluationError("`\(mnemonic)` lacks an attribute") }
    do throws(TextError) {
      var (shared, strings) = try Tensor.sharingStrings(operands)
      if let pattern { shared.append(pattern.table) }
      let bytes = shared.map { tensor in Array<UInt8>(unsafeUninitializedCapacity: tensor.byteCount + 8) { target, count in
        tensor.withBytes { source in UnsafeMutableRawBufferPointer(target).copyMemory(from: source) }
        count = tensor.byteCount
      } }
      let columns = width?.constant ?? 1
      let result = try Tensor(function.result, results[0].dimensions) { target throws(TextError) in
        guard let base = target.baseAddress else { return }
        try Self.withAddresses(bytes[...], []) { addresses throws(TextError) in
          try function.apply(addresses, base, count: operands[0].count, width: columns, strings: &strings)
        }
      }
      return [result.element == .string ? result.referring(to: strings.table) : result]
    } catch { throw EvaluationError(error.message) }
  }

  /// Calls `body` with the address of every argument's bytes.
  private static func withAddresses(
    _ arguments: ArraySlice<[UInt8]>, _ addresses: [UnsafeRawPointer], _ body: ([UnsafeRawPointer]) throws(TextError) -> Void
  ) throws(TextError) {
    guard let first = arguments.first else { return try body(addresses) }
    try first.withUnsafeBytes { buffer throws(TextError) in
      guard let base = buffer.baseAddress else { return }
      try withAddresses(arguments.dropFirst(), addresses + [base], body)
    }
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
