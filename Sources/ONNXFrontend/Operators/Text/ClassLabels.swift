import GraphIR
import TensorTypes

/// What a classifier calls its classes: integers or strings, one for each column of its scores.
struct ClassLabels {
  /// i64 or string [classes].
  let tensor: Tensor
  var count: Int { tensor.count }
  /// True if a label is its position.
  private var isPosition: Bool { tensor.element != .string && tensor.integers == Array(0..<tensor.count) }

  /// - Parameter integers: The attribute that holds integers: operators spell it in two ways.
  init(_ call: OperatorCall, integers: String) throws(CompileError) {
    if let values = try call.integers(integers), !values.isEmpty { tensor = Tensor(values) } else {
      guard let names = try call.strings("classlabels_strings"), !names.isEmpty else { throw call.refusal("\(call.name) has no labels") }
      tensor = Tensor(texts: names.map { Text($0) })
    }
  }

  /// The labels of columns that are known by position.
  func named(_ positions: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    isPosition ? positions : try b.add(Gather(axis: 0), b.constant(tensor), positions)
  }

  /// The second label where a condition holds, the first one elsewhere.
  func chosen(_ isSecond: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    try named(b.convert(isSecond, to: .i64), &b)
  }
}
