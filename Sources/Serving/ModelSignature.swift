package import Artifact
import TensorTypes

/// What a served model is called, takes and gives.
package struct ModelSignature: Sendable {
  package typealias Port = Manifest.Port

  package var name: String
  package var version: String
  package var inputs: [Port]
  package var outputs: [Port]
  /// The version of the program that serves it.
  package var serverVersion = ""

  package init(name: String, version: String, inputs: [Port], outputs: [Port]) {
    self.name = name
    self.version = version
    self.inputs = inputs
    self.outputs = outputs
  }

  /// `<project>_<format>`, as the Open Inference Protocol wants it.
  package static let platform = "ingot_native"

  /// Names appear in URLs and metrics: letters, digits, `.`, `_`, `-`, at most 128, as model repositories require.
  package static func isServable(_ name: String) -> Bool {
    (1...128).contains(name.utf8.count)
      && name.utf8.allSatisfy { (48...57).contains($0) || (65...90).contains($0 & 0xdf) || $0 == 45 || $0 == 46 || $0 == 95 }
  }

  func inputIndex(named name: String) throws(RequestError) -> Int {
    guard let index = inputs.firstIndex(where: { $0.name == name }) else {
      throw .invalid("unknown input \(name.quoted); the model has \(Self.list(inputs))")
    }
    return index
  }

  func outputIndex(named name: String) throws(RequestError) -> Int {
    guard let index = outputs.firstIndex(where: { $0.name == name }) else {
      throw .invalid("unknown output \(name.quoted); the model has \(Self.list(outputs))")
    }
    return index
  }

  static func list(_ ports: [Port]) -> String { ports.map(\.name.quoted).joined(separator: ", ") }

  /// Puts tensors into the order of the inputs and checks that none is missing and every shape fits.
  func checked(_ tensors: [Tensor?]) throws(RequestError) -> [Tensor] {
    var inputs: [Tensor] = []
    var symbols: [String: Int] = [:]
    for (port, tensor) in zip(self.inputs, tensors) {
      guard let tensor else {
        throw RequestError(
          .badRequest, code: "missing_input", "missing input \(port.name.quoted) (\(port.type.element.protocolName) \(port.type.shape))")
      }
      try port.check(tensor.dimensions, binding: &symbols)
      inputs.append(tensor)
    }
    return inputs
  }
}

extension Manifest.Port {
  /// The most elements a request can bring here: the product of a static shape, or what a body of that size can hold.
  func maximumCount(bodyBytes: Int) -> Int {
    // One digit and one comma are the shortest element.
    let written = bodyBytes / 2 + 1
    guard let dimensions = type.shape.constants, let count = elementCount(of: dimensions) else { return written }
    return min(count, written)
  }

  /// Checks dimensions against extents; symbols get the value they meet first and must keep it, across all inputs.
  func check(_ dimensions: [Int], binding symbols: inout [String: Int]) throws(RequestError) {
    guard dimensions.count == type.rank else { throw mismatch(dimensions, "expected \(type.rank) axes, got \(dimensions.count)") }
    // Plain symbols first, so that an expression such as 2*n finds its n wherever that stands.
    for (extent, length) in zip(type.shape, dimensions) {
      guard let symbol = extent.symbol, symbols[symbol] == nil else { continue }
      symbols[symbol] = length
    }
    for (axis, (extent, length)) in zip(type.shape, dimensions).enumerated() {
      // A batch of nothing is a mistake; a cache may be empty.
      if extent.constant == nil, length < (axis == 0 ? 1 : 0) { throw mismatch(dimensions, "axis \(axis) must be at least 1") }
      guard extent.symbols.allSatisfy({ symbols[$0] != nil }) else { continue }
      let expected = extent.evaluated(symbols)
      guard expected == length else {
        let wanted = expected.map { "\($0)" } ?? "\(extent)"
        throw mismatch(dimensions, "axis \(axis) must be \(extent.isConstant ? wanted : "\(extent) = \(wanted)"), got \(length)")
      }
    }
  }

  private func mismatch(_ dimensions: [Int], _ reason: String) -> RequestError {
    .shape("input \(name.quoted): expected shape \(type.shape), got \(Shape(dimensions)): \(reason)")
  }
}
