import GraphIR
import TensorTypes

/// The types of a model's inputs, with symbolic axes named and bound.
struct InputTypes {
  private let options: ImportOptions
  private let origin: NodeOrigin
  /// Values of symbols, by the name that the user knows.
  private var bindings: [String: Int]
  /// Names of all symbols that occur, as the user knows them.
  private var names: Set<String> = []
  /// Symbols that stand alone as the extent of some axis, so that an input gives their value.
  private var plain: Set<String> = []

  init(options: ImportOptions, origin: NodeOrigin) throws(CompileError) {
    self.options = options
    self.origin = origin
    bindings = options.dimensions
    for (name, value) in options.dimensions.sorted(by: { $0.key < $1.key }) where value < 0 {
      throw usage("dimension `\(printable(name))` is bound to \(value)")
    }
  }

  private func usage(_ message: String, hint: String? = nil) -> CompileError {
    CompileError(.usage, message, stage: .load, origin: origin, hint: hint)
  }
  private func refuse(_ message: String, hint: String? = nil) -> CompileError {
    CompileError(.badInput, message, stage: .load, origin: origin, hint: hint)
  }

  /// The types of the inputs, in their order.
  mutating func resolve(_ inputs: [ValueInfoProto]) throws(CompileError) -> [TensorType] {
    for name in options.shapes.keys.sorted() where !inputs.contains(where: { $0.name == name }) {
      throw usage("the model has no input `\(printable(name))`", hint: "its inputs are " + inputs.map { printable($0.name) }.joined(separator: ", "))
    }
    var declared: [(element: ElementType, dimensions: [TypeProto.Dimension])] = []
    for input in inputs { declared.append(try self.declared(input)) }
    for (_, dimensions) in declared {
      for case .parameter(let name) in dimensions { plain.insert(name) }
    }
    for (input, type) in zip(inputs, declared) { try bind(input.name, type.dimensions) }
    var types: [TensorType] = []
    for (input, type) in zip(inputs, declared) {
      let extents = type.dimensions.enumerated().map { extent($1, axis: $0, of: input.name) }
      types.append(TensorType(type.element, Shape(extents)))
    }
    for name in options.dimensions.keys.sorted() where !names.contains(name) {
      throw usage(
        "the model has no symbolic axis `\(printable(name))`",
        hint: names.isEmpty ? "all its axes are fixed" : "its symbolic axes are " + names.sorted().map(printable).joined(separator: ", "))
    }
    return types
  }

  private func declared(_ input: ValueInfoProto) throws(CompileError) -> (element: ElementType, dimensions: [TypeProto.Dimension]) {
    let what = "input `\(printable(input.name))`"
    guard case .tensor(let number, let shape) = input.type else {
      if case .none = input.type { throw refuse("\(what) has no type") }
      throw CompileError(.unsupported, "\(what) is \(input.type.kind); only tensors are supported as inputs", stage: .load, origin: origin)
    }
    let element = try TensorDecoder.element(number, of: what, origin: origin)
    let given = options.shapes[input.name]
    guard let dimensions = shape ?? given?.map({ .value($0) }) else {
      throw CompileError(
        .unsupported, "\(what) has no shape, not even a number of axes", stage: .load, origin: origin,
        hint: "give one: --shape \(printable(input.name))=1x3x224x224")
    }
    guard dimensions.count <= options.limits.rank else { throw refuse("\(what) has \(dimensions.count) axes; at most \(options.limits.rank) are supported", hint: "--limit rank=N allows more") }
    for case .value(let value) in dimensions where value < 0 { throw refuse("\(what) has a negative dimension: \(value)") }
    if let given {
      guard given.count == dimensions.count else { throw usage("\(what) has \(dimensions.count) axes, but is given with \(given.count)") }
      guard given.allSatisfy({ $0 >= 0 }) else { throw usage("\(what) is given a negative dimension") }
    }
    return (element, dimensions)
  }

  /// Takes over what `--shape` says about the symbols of one input.
  private mutating func bind(_ input: String, _ dimensions: [TypeProto.Dimension]) throws(CompileError) {
    guard let given = options.shapes[input] else { return }
    for (axis, dimension) in dimensions.enumerated() {
      switch dimension {
      case .value(let value):
        guard value == given[axis] else { throw usage("axis \(axis) of input `\(printable(input))` is \(value), but is given as \(given[axis])") }
      case .parameter(let name):
        if let other = bindings[name], other != given[axis] {
          throw usage("the symbolic axis `\(printable(name))` is bound to \(other) and to \(given[axis])")
        }
        bindings[name] = given[axis]
      case .unknown: bindings[Self.freshName(input, axis)] = given[axis]
      }
    }
  }

  private static func freshName(_ input: String, _ axis: Int) -> String { "\(input)_\(axis)" }

  private mutating func extent(_ dimension: TypeProto.Dimension, axis: Int, of input: String) -> Extent {
    switch dimension {
    case .value(let value): return Extent(value)
    case .parameter(let name):
      names.insert(name)
      if let value = bindings[name] { return Extent(value) }
      return expression(name) ?? Self.symbol(name)
    case .unknown:
      // A name of ours must not coincide with one of the model's.
      var name = Self.freshName(input, axis)
      if let value = bindings[name], !plain.contains(name) {
        names.insert(name)
        return Extent(value)
      }
      while plain.contains(name) { name += "_" }
      names.insert(name)
      return bindings[name].map { Extent($0) } ?? Self.symbol(name)
    }
  }

  /// Exporters write sums such as `past_sequence + sequence`; they are understood if every symbol is an axis elsewhere.
  private mutating func expression(_ text: String) -> Extent? {
    guard text.utf8.count <= 256, let parsed = Extent(text: text), parsed.symbol == nil, !parsed.isOverflow, parsed.complexity <= Extent.maximumComplexity,
      !parsed.symbols.isEmpty, parsed.symbols.allSatisfy({ plain.contains($0) && $0 != text })
    else { return nil }
    return parsed.substituting(bindings.mapValues { Extent($0) })
  }

  /// The text form of extents quotes odd names; only what its quotes cannot hold is replaced.
  private static func symbol(_ name: String) -> Extent {
    let bounded = name.unicodeScalars.prefix(128).map { $0 == "'" || $0 == "\"" || $0 == "\\" || $0.value < 32 || $0.value == 127 ? "_" : Character($0) }
    return Extent(symbol: String(bounded))
  }
}
