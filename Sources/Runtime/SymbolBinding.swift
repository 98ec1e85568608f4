public import Artifact
internal import TensorTypes

/// The values that the dimensions of the inputs give to a model's symbols.
public struct SymbolBinding: Sendable, Hashable {
  public private(set) var values: [String: Int] = [:]

  /// Checks shapes against the signature and solves for its symbols.
  ///
  /// An axis that is nothing but a symbol defines it. Other axes must then evaluate to their length, except that an axis such
  /// as `2*n + 1` defines `n` if nothing else does.
  public init(_ inputs: [Manifest.Port], dimensions: [[Int]]) throws(RunError) {
    guard inputs.count == dimensions.count else { throw .inputCount(expected: inputs.map(\.name), got: dimensions.count) }
    var definedBy: [String: String] = [:]
    for (port, lengths) in zip(inputs, dimensions) {
      guard port.type.rank == lengths.count else { throw .shape(input: port.name, expected: port.type, got: lengths) }
      for (extent, length) in zip(port.type.shape, lengths) {
        if let constant = extent.constant {
          guard constant == length else { throw .shape(input: port.name, expected: port.type, got: lengths) }
        } else if let symbol = extent.symbol {
          if let value = values[symbol], value != length {
            // Within one input the two axes contradict its type; across inputs the message has to name both.
            guard let other = definedBy[symbol], other != port.name else { throw .shape(input: port.name, expected: port.type, got: lengths) }
            throw .conflict(symbol: symbol, value: value, of: other, otherValue: length, ofOther: port.name)
          }
          values[symbol] = length
          definedBy[symbol] = port.name
        }
      }
    }
    for (port, lengths) in zip(inputs, dimensions) {
      for (axis, (extent, length)) in zip(port.type.shape, lengths).enumerated() where !extent.isConstant && extent.symbol == nil {
        if let (symbol, value) = solve(extent, equals: length) { values[symbol] = value }
        let expected = extent.evaluated(values)
        guard expected == length else {
          throw .extent(input: port.name, axis: axis, expression: "\(extent)", expected: expected, got: length)
        }
      }
    }
  }

  /// The one unknown symbol of a linear extent and the value that gives it a length; nil if there is no such value.
  private func solve(_ extent: Extent, equals length: Int) -> (symbol: String, value: Int)? {
    let unknown = extent.symbols.filter { values[$0] == nil }
    guard unknown.count == 1, let symbol = unknown.first else { return nil }
    // A linear extent is `slope * symbol + rest`: two evaluations find both.
    let slope = extent.sumOfProducts.reduce(into: Int?(0)) { slope, term in
      guard let known = slope else { return }
      if term.factors == [.symbol(symbol)] {
        slope = known + term.coefficient
      } else if term.factors.contains(where: { Extent.symbols(in: $0).contains(symbol) }) {
        slope = nil
      }
    }
    var bound = values
    bound[symbol] = 0
    guard let slope, slope != 0, let rest = extent.evaluated(bound) else { return nil }
    let (difference, overflowed) = length.subtractingReportingOverflow(rest)
    guard !overflowed, !(slope == -1 && difference == .min), difference % slope == 0, difference / slope >= 0 else { return nil }
    return (symbol, difference / slope)
  }

  /// The value of a symbol.
  public func value(of symbol: String) throws(RunError) -> Int {
    guard let value = values[symbol] else { throw .undetermined(symbol: symbol) }
    return value
  }

  /// The dimensions that an output has under these values.
  func dimensions(ofOutput port: Manifest.Port) throws(RunError) -> [Int] {
    var lengths: [Int] = []
    for (axis, extent) in port.type.shape.enumerated() {
      let length = extent.evaluated(values)
      guard let length, length >= 0 else {
        let bindings = values.filter { extent.symbols.contains($0.key) }
        throw .outputExtent(output: port.name, axis: axis, expression: "\(extent)", value: length, bindings: bindings)
      }
      lengths.append(length)
    }
    return lengths
  }

  /// Such as ` for m = 4, n = 3`, the end of a message; nothing if there are no symbols.
  static func suffix(_ values: [String: Int]) -> String {
    values.isEmpty ? "" : " for " + values.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }.joined(separator: ", ")
  }

  /// Gives a symbol that the code computes its value.
  mutating func set(_ symbol: String, to value: Int) { values[symbol] = value }
}

extension Extent {
  /// The symbols inside one factor of a product.
  fileprivate static func symbols(in atom: Atom) -> [String] {
    switch atom {
    case .symbol(let name): [name]
    case .floorDiv(let a, let b), .modulo(let a, let b), .maximum(let a, let b), .minimum(let a, let b): a.symbols + b.symbols
    }
  }
}
