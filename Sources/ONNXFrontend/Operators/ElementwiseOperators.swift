import GraphIR
import TensorTypes

/// Arithmetic, comparison and logic on corresponding elements, with NumPy broadcasting.
///
/// Small tensors with known contents (shapes, mostly) are computed here, symbolically where axes are symbolic.
enum ElementwiseOperators {
  static let table: [String: OperatorImporter] = {
    var table: [String: OperatorImporter] = [
      "Pow": power, "Mod": modulo, "BitShift": shift, "Where": select, "Cast": cast, "CastLike": castLike, "IsInf": isInfinite, "Mean": mean,
      "Identity": { call, _ throws(CompileError) in [try call.input(0)] },
      "BitCast": { call, builder throws(CompileError) in
        let x = try call.input(0)
        let element = try call.element("to")
        guard element == builder.element(x) else { throw builder.unsupported("operator BitCast (opset \(call.opset)) is not supported yet") }
        return [x]
      },
    ]
    let unaries: [(String, UnaryFunction)] = [
      ("Abs", .absolute), ("Neg", .negate), ("Sign", .sign), ("Ceil", .ceiling), ("Floor", .floor), ("Round", .round), ("Exp", .exponential),
      ("Log", .logarithm), ("Sqrt", .squareRoot), ("Reciprocal", .reciprocal), ("Sin", .sine), ("Cos", .cosine), ("Tan", .tangent),
      ("Asin", .arcsine), ("Acos", .arccosine), ("Atan", .arctangent), ("Sinh", .hyperbolicSine), ("Cosh", .hyperbolicCosine),
      ("Tanh", .hyperbolicTangent), ("Asinh", .inverseHyperbolicSine), ("Acosh", .inverseHyperbolicCosine), ("Atanh", .inverseHyperbolicTangent),
      ("Sigmoid", .logistic), ("Erf", .errorFunction), ("Not", .not), ("BitwiseNot", .not), ("IsNaN", .isNaN),
    ]
    for (name, function) in unaries { table[name] = importer(unary: function) }
    let binaries: [(String, BinaryFunction)] = [
      ("Add", .add), ("Sub", .subtract), ("Mul", .multiply), ("Div", .divide), ("And", .and), ("Or", .or), ("Xor", .xor), ("BitwiseAnd", .and),
      ("BitwiseOr", .or), ("BitwiseXor", .xor),
    ]
    for (name, function) in binaries { table[name] = importer(binary: function) }
    let variadics: [(String, BinaryFunction)] = [("Max", .maximum), ("Min", .minimum), ("Sum", .add)]
    for (name, function) in variadics { table[name] = importer(variadic: function) }
    let comparisons: [(String, Comparison)] = [
      ("Equal", .equal), ("Less", .less), ("LessOrEqual", .lessOrEqual), ("Greater", .greater), ("GreaterOrEqual", .greaterOrEqual),
    ]
    for (name, comparison) in comparisons { table[name] = importer(comparison: comparison) }
    return table
  }()

  private static func importer(unary function: UnaryFunction) -> OperatorImporter {
    { call, builder throws(CompileError) in [try unary(function, call.input(0), &builder)] }
  }

  private static func importer(binary function: BinaryFunction) -> OperatorImporter {
    { call, builder throws(CompileError) in
      let (a, b) = try operands(call, &builder)
      return [try binary(function, a, b, &builder)]
    }
  }

  private static func importer(variadic function: BinaryFunction) -> OperatorImporter {
    { call, builder throws(CompileError) in [try fold(function, call.allInputs(), &builder)] }
  }

  private static func importer(comparison: Comparison) -> OperatorImporter {
    { call, builder throws(CompileError) in
      let (a, b) = try operands(call, &builder)
      return [try compare(comparison, a, b, &builder)]
    }
  }

  // MARK: With known contents

  /// Contents of which every element is known.
  private static func all(_ elements: [KnownElement?], _ dimensions: [Int]) -> KnownContents? {
    let found = elements.compactMap { $0 }
    return found.count == elements.count ? KnownContents(dimensions: dimensions, elements: found) : nil
  }

  static func unary(_ function: UnaryFunction, _ x: ValueID, _ builder: inout GraphBuilder) throws(CompileError) -> ValueID {
    if let contents = builder.contents(x), !function.isPredicate {
      let element = builder.element(x)
      return try builder.settle(all(contents.elements.map { .apply(function, $0, element: element) }, contents.dimensions), element) {
        builder throws(CompileError) in try builder.unary(function, x)
      }
    }
    return try builder.unary(function, x)
  }

  static func binary(_ function: BinaryFunction, _ a: ValueID, _ b: ValueID, _ builder: inout GraphBuilder) throws(CompileError) -> ValueID {
    if let (x, y, dimensions) = knownTogether(a, b, builder) {
      let element = builder.element(a)
      return try builder.settle(all(zip(x, y).map { .apply(function, $0, $1, element: element) }, dimensions), element) {
        builder throws(CompileError) in try builder.binary(function, a, b)
      }
    }
    return try builder.binary(function, a, b)
  }

  static func compare(_ comparison: Comparison, _ a: ValueID, _ b: ValueID, _ builder: inout GraphBuilder) throws(CompileError) -> ValueID {
    if let (x, y, dimensions) = knownTogether(a, b, builder) {
      return try builder.settle(all(zip(x, y).map { .compare(comparison, $0, $1) }, dimensions), .bool) {
        builder throws(CompileError) in try builder.compare(comparison, a, b)
      }
    }
    return try builder.compare(comparison, a, b)
  }

  private static func knownTogether(_ a: ValueID, _ b: ValueID, _ builder: GraphBuilder) -> ([KnownElement], [KnownElement], [Int])? {
    guard builder.element(a) == builder.element(b), let first = builder.contents(a), let second = builder.contents(b),
      let dimensions = Shape(first.dimensions).broadcast(with: Shape(second.dimensions))?.constants,
      let x = first.broadcast(to: dimensions), let y = second.broadcast(to: dimensions)
    else { return nil }
    return (x, y, dimensions)
  }

  static func fold(_ function: BinaryFunction, _ values: [ValueID], _ builder: inout GraphBuilder) throws(CompileError) -> ValueID {
    var total = values[0]
    for value in values.dropFirst() { total = try binary(function, total, value, &builder) }
    return total
  }

  /// Both operands; before opset 7 the second one was lined up with the first by attributes.
  private static func operands(_ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> (ValueID, ValueID) {
    let (a, b) = (try call.input(0), try call.input(1))
    guard call.opset < 7, try call.flag("broadcast"), call.has("axis") else { return (a, b) }
    let rank = builder.rank(a)
    let axis = try call.axis(try call.integer("axis"), rank: rank)
    let trailing = rank - axis - builder.rank(b)
    guard trailing >= 0 else { throw builder.refusal("`axis` \(axis) leaves no room to broadcast", operands: [a, b]) }
    return (a, try builder.reshape(b, to: Shape(builder.shape(b).extents + [Extent](repeating: 1, count: trailing))))
  }

  // MARK: Single operators

  private static func power(_ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var (base, exponent) = try operands(call, &builder)
    let element = builder.element(base)
    if builder.element(exponent) == element { return [try binary(.power, base, exponent, &builder)] }
    // The result has the type of the base; the power itself is taken in floating point if either side is.
    if builder.element(exponent).isFloatingPoint && !element.isFloatingPoint {
      base = try convert(base, to: builder.element(exponent), &builder)
    } else {
      exponent = try convert(exponent, to: element, &builder)
    }
    return [try convert(try binary(.power, base, exponent, &builder), to: element, &builder)]
  }

  private static func modulo(_ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (a, b) = try operands(call, &builder)
    return [try binary(try call.flag("fmod") ? .remainder : .modulo, a, b, &builder)]
  }

  private static func shift(_ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    enum Direction: String, CaseIterable { case left = "LEFT", right = "RIGHT" }
    guard call.has("direction") else { throw builder.refusal("BitShift needs a `direction`") }
    let direction = try call.word("direction", default: Direction.left)
    let x = try call.input(0)
    var count = try call.input(1)
    if direction == .right, builder.element(x).isSignedInteger {
      // A count outside of the width leaves nothing but the sign.
      let last = Double(builder.element(x).byteCount * 8 - 1)
      let isInside = try builder.binary(.and, builder.compare(.greaterOrEqual, count, 0), builder.compare(.less, count, last))
      count = try builder.select(isInside, count, builder.scalar(last, builder.element(x)))
    }
    return [try builder.binary(direction == .left ? .shiftLeft : .shiftRight, x, count)]
  }

  private static func mean(_ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let values = try call.allInputs()
    let sum = try fold(.add, values, &builder)
    return [try builder.binary(.divide, sum, Double(values.count))]
  }

  private static func select(_ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let (condition, a, b) = (try call.input(0), try call.input(1), try call.input(2))
    guard builder.element(condition) == .bool else { throw builder.refusal("the condition of Where must be bool", operands: [condition, a, b]) }
    if let flags = builder.contents(condition), let first = builder.contents(a), let second = builder.contents(b), builder.element(a) == builder.element(b),
      let inner = Shape(first.dimensions).broadcast(with: Shape(second.dimensions)),
      let dimensions = inner.broadcast(with: Shape(flags.dimensions))?.constants,
      let f = flags.broadcast(to: dimensions), let x = first.broadcast(to: dimensions), let y = second.broadcast(to: dimensions)
    {
      let elements = f.indices.map { position -> KnownElement? in
        if let flag = f[position].integer { return flag != 0 ? x[position] : y[position] }
        return x[position] == y[position] ? x[position] : nil
      }
      return [
        try builder.settle(all(elements, dimensions), builder.element(a)) { builder throws(CompileError) in try builder.select(condition, a, b) }
      ]
    }
    return [try builder.select(condition, a, b)]
  }

  static func convert(_ x: ValueID, to element: ElementType, _ builder: inout GraphBuilder) throws(CompileError) -> ValueID {
    let source = builder.element(x)
    if source == element { return x }
    if let text = try TextOperators.cast(x, to: element, &builder) { return text }
    guard let contents = builder.contents(x) else { return try builder.convert(x, to: element) }
    return try builder.settle(all(contents.elements.map { $0.converted(to: element, from: source) }, contents.dimensions), element) {
      builder throws(CompileError) in try builder.convert(x, to: element)
    }
  }

  private static func cast(_ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    [try convert(try call.input(0), to: try call.element("to"), &builder)]
  }

  private static func castLike(_ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    [try convert(try call.input(0), to: builder.element(try call.input(1)), &builder)]
  }

  private static func isInfinite(_ call: OperatorCall, _ builder: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let (negative, positive) = (try call.flag("detect_negative", default: true), try call.flag("detect_positive", default: true))
    let isInfinite = try builder.unary(.isInfinite, x)
    if negative && positive { return [isInfinite] }
    if !negative && !positive { return [try builder.scalar(0, like: isInfinite)] }
    return [try builder.binary(.and, isInfinite, builder.compare(positive ? .greater : .less, x, 0))]
  }
}
