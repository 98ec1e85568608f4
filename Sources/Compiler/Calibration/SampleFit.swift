import Artifact
import GraphIR
import TensorTypes

/// Whether the tensors of one sample are what the inputs take, and what their writer can do if they are not.
struct SampleFit {
  /// Lengths of symbolic axes that the sample's tensors have so far.
  private var bound: [String: Int] = [:]

  /// Checks one tensor.
  ///
  /// - Parameter file: Where it comes from.
  /// - Throws: `CompileError`: `.badInput` that names the file, what it holds, what the input takes, and how to mend it.
  mutating func check(_ tensor: Tensor, _ port: Manifest.Port, file: String) throws(CompileError) {
    let fact = "\(file) holds \(tensor.type), but input `\(port.name)` takes \(port.type)"
    guard Self.hasShape(tensor.dimensions, port.type.shape) else { throw CompileError(.badInput, fact, stage: .run, hint: Self.hint(tensor.dimensions, port.type.shape)) }
    guard tensor.element == port.type.element else {
      let name = Self.numpyNames[port.type.element].map { ": array.astype(numpy.\($0))" } ?? ""
      throw CompileError(.badInput, fact, stage: .run, hint: "write it as \(port.type.element.name)\(name)")
    }
    for (extent, length) in zip(port.type.shape, tensor.dimensions) {
      guard let symbol = extent.symbol else { continue }
      if let known = bound[symbol], known != length {
        throw CompileError(.badInput, fact, stage: .run, hint: "another tensor of this sample has \(symbol) = \(known), this one \(length)")
      }
      bound[symbol] = length
    }
  }

  private static func hasShape(_ dimensions: [Int], _ shape: Shape) -> Bool {
    dimensions.count == shape.rank && zip(shape, dimensions).allSatisfy { extent, length in extent.constant.map { $0 == length } ?? true }
  }

  /// How an array of these dimensions can become what the input takes; nil if no simple step does it.
  private static func hint(_ dimensions: [Int], _ shape: Shape) -> String? {
    if hasShape([1] + dimensions, shape) { return "its first axis is missing: array[None]" }
    if dimensions.first == 1, hasShape(Array(dimensions.dropFirst()), shape) { return "its first axis is one too many: array[0]" }
    if dimensions.count == shape.rank + 1, hasShape(Array(dimensions.dropFirst()), shape) { return "a file holds one sample: write each array[i] by itself" }
    guard dimensions.count == shape.rank else { return nil }
    // One axis moved to another place, such as channels from last to second.
    for from in dimensions.indices.reversed() {
      for to in dimensions.indices where to != from {
        var order = Array(dimensions.indices)
        order.insert(order.remove(at: from), at: to)
        if hasShape(order.map { dimensions[$0] }, shape) { return "its axes are in another order: array.transpose(\(order.map(String.init).joined(separator: ", ")))" }
      }
    }
    return "every sample has to have the shape that the model takes; --dim and --shape choose lengths that it leaves open"
  }

  private static let numpyNames: [ElementType: String] = [
    .f32: "float32", .f64: "float64", .f16: "float16", .i8: "int8", .i16: "int16", .i32: "int32", .i64: "int64", .u8: "uint8", .u16: "uint16", .u32: "uint32",
    .u64: "uint64", .bool: "bool",
  ]
}
