import Artifact
import GraphIR
import Passes
import TensorTypes

/// Whether ranges can be learned from the numbers of samples: none is NaN, and they are not all the same.
struct SampleNumbers {
  private let ports: [Manifest.Port]
  /// Of the inputs in floating point that have more than one element, by position.
  private var extremes: [Int: Extremes] = [:]

  /// - Parameter ports: The inputs that the samples are for.
  init(_ ports: [Manifest.Port]) { self.ports = ports }

  /// Takes in one sample.
  ///
  /// - Throws: `CompileError`: `.badInput` if a number is NaN. Infinities are not refused: masks are made of them.
  mutating func add(_ tensors: [Tensor], sample: String) throws(CompileError) {
    for (position, tensor) in tensors.enumerated() where tensor.element.isFloatingPoint && tensor.count > 1 {
      if let place = Self.firstNaN(tensor) {
        let input = ports.indices.contains(position) ? " of input `\(ports[position].name)`" : ""
        throw CompileError(
          .badInput, "element \(Self.index(place, tensor.dimensions))\(input) is NaN in sample \(sample)", stage: .run,
          hint: "leave the sample out, or mend what wrote it: nothing can be learned from it")
      }
      extremes[position] = extremes[position]?.union(Extremes(tensor)) ?? Extremes(tensor)
    }
  }

  /// To be called behind the last sample.
  ///
  /// - Throws: `CompileError`: `.badInput` if no input in floating point ever changes.
  func check(_ count: Int, path: String) throws(CompileError) {
    guard !extremes.isEmpty, extremes.values.allSatisfy({ $0.isEmpty || $0.lower == $0.upper }), let (position, seen) = extremes.min(by: { $0.key < $1.key }) else { return }
    let name = ports.indices.contains(position) ? ports[position].name : "input \(position)"
    let what = seen.isEmpty ? "no number of `\(name)` is finite" : "every number of `\(name)` is \(Self.text(seen.lower))"
    throw CompileError(
      .badInput, "\(what) in \(count == 1 ? "the one sample" : "all \(count) samples") of `\(path)`: no range can be learned from that", stage: .run,
      hint: "calibrate with data like that which the model is for")
  }

  private static func text(_ number: Double) -> String { number == number.rounded() && abs(number) < 1e15 ? "\(Int(number))" : "\(Float(number))" }

  private static func firstNaN(_ tensor: Tensor) -> Int? {
    tensor.withBytes { bytes in
      var position = 0
      if tensor.element == .f32 {
        while position + 8 <= tensor.count {
          let part = bytes.loadUnaligned(fromByteOffset: position * 4, as: SIMD8<Float>.self)
          if any(part .!= part) { break }
          position += 8
        }
      }
      return (position..<tensor.count).first { Tensor.double(bytes, tensor.element, $0).isNaN }
    }
  }

  private static func index(_ place: Int, _ dimensions: [Int]) -> String {
    var (rest, index) = (place, [Int]())
    for length in dimensions.reversed() {
      index.insert(rest % max(length, 1), at: 0)
      rest /= max(length, 1)
    }
    return "[\(index.map(String.init).joined(separator: ", "))]"
  }
}
