import GraphIR
import TensorTypes

/// Encoders of `ai.onnx.ml`: tables from strings or numbers to strings or numbers.
enum EncoderOperators {
  static let table: [String: OperatorImporter] = [
    "ai.onnx.ml::LabelEncoder": label, "ai.onnx.ml::CategoryMapper": category, "ai.onnx.ml::OneHotEncoder": oneHot,
    "ai.onnx.ml::ZipMap": zipMap,
  ]

  /// Where keys or values come from: one of several attributes.
  private static func list(_ call: OperatorCall, _ prefix: String) throws(CompileError) -> Tensor? {
    if let tensor = try call.tensor("\(prefix)_tensor") { return tensor.reshaped([tensor.count]) ?? tensor }
    if let texts = try call.strings("\(prefix)_strings"), !texts.isEmpty { return Tensor(texts: texts.map { Text($0) }) }
    if let integers = try call.integers("\(prefix)_int64s"), !integers.isEmpty { return Tensor(integers) }
    if let numbers = try call.numbers("\(prefix)_floats"), !numbers.isEmpty { return Tensor(.f32, [numbers.count], numbers) }
    return nil
  }

  private static func label(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    if call.opset < 2 || call.has("classes_strings") {
      let classes = try (call.strings("classes_strings") ?? []).map { Text($0) }
      return [try mapped(x, classes, Array(classes.indices), call, &b)]
    }
    guard let keys = try list(call, "keys"), let values = try list(call, "values") else {
      throw call.refusal("LabelEncoder has no keys or no values")
    }
    guard keys.count == values.count else { throw call.refusal("LabelEncoder has \(keys.count) keys for \(values.count) values") }
    let usual: Tensor
    if let tensor = try call.tensor("default_tensor") { usual = tensor } else {
      switch values.element {
      case .string: usual = Tensor(texts: [Text(try call.string("default_string", default: "_Unused"))])
      case .i64: usual = Tensor([try call.integer("default_int64", default: -1)])
      case .f32: usual = Tensor(.f32, [1], [try call.number("default_float", default: -0.0)])
      default: usual = values.element.isInteger ? Tensor(values.element, [1], [-1]) : Tensor(values.element, [1], [-0.0])
      }
    }
    guard usual.element == values.element, usual.count == 1, let last = usual.reshaped([1]) else { throw call.refusal("LabelEncoder has the default \(usual.type) for \(values.type)") }
    return [try mapped(x, keys, joined(values, last), call, &b)]
  }

  private static func joined(_ values: Tensor, _ last: Tensor) -> Tensor {
    if values.element == .string { return Tensor(texts: values.texts + last.texts) }
    return Tensor(values.element, [values.count + 1]) { target in
      values.withBytes { target.copyMemory(from: $0) }
      last.withBytes { UnsafeMutableRawBufferPointer(rebasing: target[values.byteCount...]).copyMemory(from: $0) }
    }
  }

  private static func mapped(_ x: ValueID, _ keys: Tensor, _ table: Tensor, _ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard (b.element(x) == .string) == (keys.element == .string), b.element(x) == .string || b.element(x).isFloatingPoint == keys.element.isFloatingPoint else {
      throw b.refusal("\(call.name) has keys of type \(keys.element.name)", operands: [x])
    }
    return keys.element == .string ? try b.find(x, keys.texts, table) : try b.find(x, keys, table)
  }

  /// Strings to integers, and integers to strings, of one list of pairs.
  private static func mapped(_ x: ValueID, _ texts: [Text], _ integers: [Int], _ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    if b.element(x) == .string {
      return try b.find(x, texts, Tensor(integers + [call.integer("default_int64", default: -1)]))
    }
    guard b.element(x).isInteger else { throw b.refusal("\(call.name) takes strings or integers", operands: [x]) }
    return try b.find(x, Tensor(integers), Tensor(texts: texts + [Text(call.string("default_string", default: "_Unused"))]))
  }

  private static func category(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (texts, integers) = (try call.strings("cats_strings") ?? [], try call.integers("cats_int64s") ?? [])
    guard texts.count == integers.count, !texts.isEmpty else { throw call.refusal("CategoryMapper has \(texts.count) strings for \(integers.count) integers") }
    return [try mapped(call.input(0), texts.map { Text($0) }, integers, call, &b)]
  }

  /// An axis behind the others with a 1 at the place of each element's category, zeros for an unknown one.
  private static func oneHot(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let place: ValueID, count: Int
    if b.element(x) == .string {
      let names = try (call.strings("cats_strings") ?? []).map { Text($0) }
      count = names.count
      place = try b.find(x, names, Tensor(Array(0...count)))
    } else {
      let keys = try call.integers("cats_int64s") ?? []
      count = keys.count
      place = try b.placeOfInteger(b.convert(x, to: .i64), keys, missing: count)
    }
    guard count > 0 else { throw b.refusal("OneHotEncoder has no categories for \(b.type(x))", operands: [x]) }
    let row = try b.constant(Tensor(Array(0..<count)))
    return [try b.convert(b.compare(.equal, b.unsqueeze(place, axis: b.rank(x)), row), to: .f32)]
  }

  /// A map for each row, with the same keys in all. The tensor stays; its columns are put in the ascending order that maps have.
  private static func zipMap(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var x = try call.input(0)
    if b.rank(x) == 1 { x = try b.unsqueeze(x, axis: 0) }
    let order: [Int], keys: MapKeys
    if let names = try call.strings("classlabels_strings"), !names.isEmpty {
      order = names.indices.sorted { Text(names[$0]) < Text(names[$1]) }
      keys = .strings(order.map { names[$0] })
    } else {
      let numbers = try call.integers("classlabels_int64s") ?? []
      order = numbers.indices.sorted { numbers[$0] < numbers[$1] }
      keys = .integers(order.map { numbers[$0] })
    }
    guard b.rank(x) == 2, b.shape(x)[1].constant.map({ $0 == keys.count }) ?? true else { throw b.refusal("ZipMap has \(keys.count) keys", operands: [x]) }
    if b.shape(x)[1].constant == nil { x = try b.reshape(x, to: [b.shape(x)[0], Extent(keys.count)]) }
    // A value of its own, since the tensor may be an output, too.
    x = try order == Array(order.indices) ? b.add(Reshape(to: b.shape(x)), x) : b.add(Gather(axis: 1), x, b.constant(Tensor(order)))
    b.noteMap(x, keys: keys)
    return [x]
  }
}
