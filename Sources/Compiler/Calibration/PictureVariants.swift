package import TensorTypes

/// More samples out of those there are: pictures also mirrored and moved a little.
///
/// A tensor of f32 with four axes is pictures with channels first; anything else has no variants. Which ones there are depends on nothing but their
/// number: every second one is mirrored, and all but the first two are moved, by up to a fourteenth of their size, where edges are mirrored, too.
package struct PictureVariants: Sendable {
  /// How many of each sample, itself included.
  let count: Int

  /// - Parameter count: 1 leaves samples as they are.
  package init(count: Int) { self.count = count }

  /// Parts of the size by which variants are moved: down and to the right.
  private static let moves: [(down: Double, right: Double)] = [
    (0, 0), (-0.071, 0.053), (0.0625, -0.071), (0.036, 0.036), (-0.036, -0.045), (0.05, 0.067), (-0.059, -0.033),
  ]

  /// Whether there is anything to vary in a model with these inputs.
  static func exist(for inputs: [TensorType]) -> Bool { inputs.contains { $0.element == .f32 && $0.rank == 4 } }

  /// - Parameter number: 0 is the sample itself.
  package func tensors(_ sample: [Tensor], _ number: Int) -> [Tensor] {
    if number == 0 { return sample }
    let (down, right) = Self.moves[number / 2 % Self.moves.count]
    return sample.map { tensor in
      guard tensor.element == .f32, tensor.dimensions.count == 4, tensor.count > 0 else { return tensor }
      let (height, width) = (tensor.dimensions[2], tensor.dimensions[3])
      func mirrored(_ place: Int, _ count: Int) -> Int { min(max(place < 0 ? -place : place >= count ? 2 * count - 2 - place : place, 0), count - 1) }
      let rows = (0..<height).map { mirrored($0 - Int((down * Double(height)).rounded()), height) }
      let columns = (0..<width).map { column in
        let own = mirrored(column - Int((right * Double(width)).rounded()), width)
        return number % 2 == 1 ? width - 1 - own : own
      }
      return Tensor(.f32, tensor.dimensions) { target in
        tensor.withBytes { source in
          var place = 0
          for plane in 0..<tensor.dimensions[0] * tensor.dimensions[1] {
            for row in rows {
              for column in columns {
                let number = source.loadUnaligned(fromByteOffset: ((plane * height + row) * width + column) * 4, as: Float.self)
                target.storeBytes(of: number, toByteOffset: place * 4, as: Float.self)
                place += 1
              }
            }
          }
        }
      }
    }
  }
}
