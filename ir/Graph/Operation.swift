import TensorTypes

/// A core operation: what it is, not what can be done with it.
///
/// Verbs are conformances that live next to the doer: `Evaluable` in Interpreter, `Lowerable` in Lowering.
/// Equality compares attributes; two nodes with equal operations and operands compute the same values.
public protocol Operation: Sendable, Hashable {
  /// The name in the text form.
  var mnemonic: String { get }
  /// The number of operands it takes.
  var arity: ClosedRange<Int> { get }
  /// The attributes that `init(mnemonic:attributes:regions:)` reads back.
  var attributes: Attributes { get }
  /// Graphs inside the operation (loop bodies, decompositions).
  var regions: [Graph] { get }
  /// All mnemonics that the type answers to.
  static var mnemonics: [String] { get }
  /// Reads the text form. Operands are checked later, by `resultTypes`.
  init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError)
  /// The types of the results. `operands.count` lies within `arity`.
  func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType]
  /// What must hold of symbolic extents beside what `resultTypes` can decide.
  func conditions(on operands: [TensorType]) -> [ShapeCondition]
  /// Symbols that the operation finds while it runs, such as the number of elements that a mask selects. No other node defines them.
  var definedSymbols: [String] { get }
  /// The same operation with symbols of its attributes bound.
  func substituting(_ bindings: [String: Extent]) -> Self
}

extension Operation {
  public var attributes: Attributes { Attributes() }
  public var regions: [Graph] { [] }
  public func conditions(on operands: [TensorType]) -> [ShapeCondition] { [] }
  public var definedSymbols: [String] { [] }
  public func substituting(_ bindings: [String: Extent]) -> Self { self }
  public var mnemonic: String { Self.mnemonics[0] }

  /// Equality across types.
  public func isEqual(to other: any Operation) -> Bool { (other as? Self) == self }

  /// The result types, after a check of the operand count.
  public func checkedResultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    guard arity.contains(operands.count) else {
      let wanted = arity.count == 1 ? "\(arity.lowerBound)" : arity.upperBound == .max ? "at least \(arity.lowerBound)" : "\(arity.lowerBound) to \(arity.upperBound)"
      throw TypeError("`\(mnemonic)` takes \(wanted) operands but has \(operands.count)")
    }
    let types = try resultTypes(for: operands)
    for type in types {
      if type.byteCount.isOverflow || type.shape.contains(where: \.isOverflow) { throw TypeError("the size of \(type.element.name) result overflows 64 bits") }
      if let negative = type.shape.first(where: { ($0.constant ?? 0) < 0 }) {
        throw TypeError("`\(mnemonic)` would give a negative extent (\(negative)) in \(type)")
      }
    }
    return types
  }
}

/// Checks shared by the operations.
extension Operation {
  func requireSameElement(_ operands: [TensorType]) throws(TypeError) {
    for type in operands.dropFirst() where type.element != operands[0].element {
      throw TypeError("`\(mnemonic)` takes operands of one element type but has \(operands.map(\.description).joined(separator: " and "))")
    }
  }

  func requireSameShape(_ operands: [TensorType]) throws(TypeError) {
    for type in operands.dropFirst() where type.shape != operands[0].shape {
      throw TypeError(
        "`\(mnemonic)` takes operands of one shape but has \(operands.map(\.description).joined(separator: " and "))",
        hint: "insert `broadcast` operations")
    }
  }

  func requireAxis(_ axis: Int, of type: TensorType) throws(TypeError) {
    guard axis >= 0 && axis < type.rank else { throw TypeError("`\(mnemonic)` names axis \(axis) of \(type)") }
  }

  func requireAxes(_ axes: [Int], of type: TensorType) throws(TypeError) {
    for axis in axes { try requireAxis(axis, of: type) }
    guard Set(axes).count == axes.count else { throw TypeError("`\(mnemonic)` names an axis twice: \(axes)") }
  }
}
