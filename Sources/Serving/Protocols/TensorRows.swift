import NIOCore
import TensorTypes

/// Tensors in TensorFlow Serving's two JSON forms, without shapes and element types: those come from the model.
///
/// - Row form: a list of examples. With one input an example is its value, otherwise an object by input name.
/// - Column form: whole tensors, an object by input name, or the bare value of the only input.
struct TensorRows: Sendable {
  let inputs: [Tensor]
  /// The number of examples in the row form; nil in the column form.
  let rowCount: Int?

  /// Runs a parser over the whole body, which must hold one JSON document.
  static func withScanner<Result>(
    of request: Request, _ parse: (inout JSONScanner) throws(RequestError) -> Result
  ) throws(RequestError) -> Result {
    guard request.body.readableBytes > 0 else { throw .malformed("the request has no body; send JSON") }
    return try request.body.withUnsafeReadableBytes { (bytes) throws(RequestError) in
      var scanner = JSONScanner(bytes)
      let result = try parse(&scanner)
      try scanner.expectEnd()
      return result
    }
  }

  // MARK: Reading

  static func rows(
    _ scanner: inout JSONScanner, _ signature: ModelSignature, field: String, allowingOneExample: Bool = false
  ) throws(RequestError) -> TensorRows {
    guard scanner.next() == UInt8(ascii: "[") else { throw .malformed("\(field.quoted) must be a list of examples") }
    var probe = scanner
    probe.advance()
    if probe.next() == UInt8(ascii: "{") { return try objectRows(&scanner, signature) }
    guard signature.inputs.count == 1, let port = signature.inputs.first else {
      throw .invalid("the model has \(signature.inputs.count) inputs: each example must be an object with \(ModelSignature.list(signature.inputs))")
    }
    let column = InputColumn(port, bodyBytes: scanner.bytes.count)
    try column.read(&scanner)
    var tensor = try column.tensor()
    if allowingOneExample, tensor.dimensions.count + 1 == port.type.rank, let single = tensor.reshaped([1] + tensor.dimensions) { tensor = single }
    return TensorRows(inputs: try signature.checked([tensor]), rowCount: tensor.dimensions.first ?? 0)
  }

  private static func objectRows(_ scanner: inout JSONScanner, _ signature: ModelSignature) throws(RequestError) -> TensorRows {
    let columns = signature.inputs.map { InputColumn($0, bodyBytes: scanner.bytes.count) }
    var rowCount = 0
    try scanner.array { (row, scanner) throws(RequestError) in
      try scanner.object { (key, scanner) throws(RequestError) in
        let column = columns[try signature.inputIndex(named: key)]
        guard column.rowCount == row else { throw .invalid("example \(row): input \(key.quoted) appears twice") }
        try column.read(&scanner)
        column.rowCount = row + 1
      }
      for (port, column) in zip(signature.inputs, columns) where column.rowCount != row + 1 {
        throw RequestError(.badRequest, code: "missing_input", "example \(row): missing input \(port.name.quoted)")
      }
      rowCount = row + 1
    }
    var tensors: [Tensor?] = []
    for column in columns { tensors.append(try column.tensor(rowCount: rowCount)) }
    return TensorRows(inputs: try signature.checked(tensors), rowCount: rowCount)
  }

  static func columns(_ scanner: inout JSONScanner, _ signature: ModelSignature) throws(RequestError) -> TensorRows {
    var tensors = [Tensor?](repeating: nil, count: signature.inputs.count)
    if scanner.next() == UInt8(ascii: "{") {
      try scanner.object { (key, scanner) throws(RequestError) in
        let index = try signature.inputIndex(named: key)
        guard tensors[index] == nil else { throw .invalid("input \(key.quoted) appears twice") }
        tensors[index] = try wholeTensor(&scanner, signature.inputs[index])
      }
    } else {
      guard signature.inputs.count == 1, let port = signature.inputs.first else {
        throw .invalid("the model has \(signature.inputs.count) inputs: send an object with \(ModelSignature.list(signature.inputs))")
      }
      tensors[0] = try wholeTensor(&scanner, port)
    }
    return TensorRows(inputs: try signature.checked(tensors), rowCount: nil)
  }

  private static func wholeTensor(_ scanner: inout JSONScanner, _ port: ModelSignature.Port) throws(RequestError) -> Tensor {
    let column = InputColumn(port, bodyBytes: scanner.bytes.count)
    try column.read(&scanner)
    return try column.tensor()
  }

  // MARK: Writing

  /// True if every output has one item per example, so that the reply can be written by rows.
  func hasRows(_ outputs: [Tensor]) -> Bool { rowCount.map { count in outputs.allSatisfy { $0.dimensions.first == count } } ?? false }

  /// Writes outputs in the form of the request: by rows where they have rows, else whole.
  func write(_ outputs: [Tensor], _ signature: ModelSignature, _ writer: inout JSONWriter) {
    if outputs.count == 1, let output = outputs.first, let port = signature.outputs.first { return writer.nested(output, keys: port.keys) }
    guard let rowCount, hasRows(outputs) else {
      return writer.object { writer in
        for (port, output) in zip(signature.outputs, outputs) {
          writer.key(port.name)
          writer.nested(output, keys: port.keys)
        }
      }
    }
    writer.array { writer in
      for row in 0..<rowCount {
        writer.object { writer in
          for (port, output) in zip(signature.outputs, outputs) {
            writer.key(port.name)
            if let keys = port.keys { writer.map(row, of: output, keys: keys.names) } else { writer.row(row, of: output) }
          }
        }
      }
    }
  }
}
