import TensorTypes

/// How `Resize` maps one axis: which input elements an output element is made of, and with what weights.
///
/// - Source: ONNX `Resize`; coordinates are computed in double precision, as the reference implementation does.
struct Resampling {
  enum Mode: String, CaseIterable { case nearest, linear, cubic }
  enum Coordinates: String, CaseIterable {
    case halfPixel = "half_pixel", symmetric = "half_pixel_symmetric", pytorch = "pytorch_half_pixel", alignCorners = "align_corners", asymmetric,
      halfPixelNearest = "tf_half_pixel_for_nn", crop = "tf_crop_and_resize"
  }
  enum Rounding: String, CaseIterable {
    case preferFloor = "round_prefer_floor", preferCeiling = "round_prefer_ceil", floor, ceiling = "ceil"
    /// What opset 10 and `Upsample` did: the floor when enlarging, the ceiling when shrinking.
    case simple
  }

  var mode = Mode.nearest
  var coordinates = Coordinates.halfPixel
  var rounding = Rounding.preferFloor
  var cubicCoefficient = -0.75
  var excludesOutside = false
  var isAntialiased = false

  /// One axis of known extents.
  struct Axis {
    var input: Int
    var output: Int
    var scale: Double
    /// The part of the input that `tf_crop_and_resize` looks at.
    var region = 0.0...1.0
    /// The output extent before rounding, when scales are given.
    var exactOutput: Double
  }

  /// Input elements and weights for every output element; the same number of taps for each.
  struct Taps {
    var count: Int
    /// Row-major [output, count].
    var indices: [Int]
    var weights: [Double]
    /// Output elements whose coordinate lies outside of the input.
    var outside: [Bool]
  }

  func coordinate(_ position: Int, _ axis: Axis) -> Double {
    let x = Double(position)
    let (input, output) = (Double(axis.input), Double(axis.output))
    switch coordinates {
    case .halfPixel: return (x + 0.5) / axis.scale - 0.5
    case .symmetric:
      let adjustment = output / axis.exactOutput
      return input / 2 * (1 - adjustment) + (x + 0.5) / axis.scale - 0.5
    case .pytorch: return axis.output == 1 ? -0.5 : (x + 0.5) / axis.scale - 0.5
    case .alignCorners: return axis.output == 1 ? 0 : x * (input - 1) / (axis.exactOutput - 1)
    case .asymmetric: return x / axis.scale
    case .halfPixelNearest: return (x + 0.5) / axis.scale
    case .crop:
      let (start, end) = (axis.region.lowerBound, axis.region.upperBound)
      if axis.output == 1 { return (start + end) * (input - 1) / 2 }
      return x * (end - start) * (input - 1) / (output - 1) + start * (input - 1)
    }
  }

  func nearest(_ coordinate: Double, _ scale: Double) -> Double {
    switch rounding {
    case .preferFloor: (coordinate - 0.5).rounded(.up)
    case .preferCeiling: (coordinate + 0.5).rounded(.down)
    case .floor: coordinate.rounded(.down)
    case .ceiling: coordinate.rounded(.up)
    case .simple: coordinate.rounded(scale < 1 ? .up : .down)
    }
  }

  func taps(_ axis: Axis) -> Taps {
    let shrink = isAntialiased ? min(axis.scale, 1) : 1
    let first: Int, count: Int
    switch mode {
    case .nearest: (first, count) = (0, 1)
    case .linear:
      first = Int(clamping: (-1 / shrink).rounded(.down)) + 1
      count = 2 - 2 * first
    case .cubic:
      first = Int(clamping: (-2 / shrink).rounded(.down)) + 1
      count = 2 - 2 * first
    }
    var taps = Taps(count: count, indices: [], weights: [], outside: [])
    for position in 0..<axis.output {
      let x = coordinate(position, axis)
      taps.outside.append(x < 0 || x > Double(axis.input - 1))
      if mode == .nearest {
        taps.indices.append(min(max(Int(clamping: nearest(x, axis.scale)), 0), axis.input - 1))
        taps.weights.append(1)
        continue
      }
      let whole = Int(clamping: x.rounded(.down))
      let ratio = x - x.rounded(.down)
      let indices = (first..<first + count).map { whole + $0 }
      var weights = (first..<first + count).map { weight(shrink * (Double($0) - ratio)) }
      if excludesOutside {
        for tap in indices.indices where indices[tap] < 0 || indices[tap] >= axis.input { weights[tap] = 0 }
      }
      if excludesOutside || isAntialiased {
        let sum = weights.reduce(0, +)
        if sum != 0 { weights = weights.map { $0 / sum } }
      }
      taps.indices += indices.map { min(max($0, 0), axis.input - 1) }
      taps.weights += weights
    }
    return taps
  }

  private func weight(_ distance: Double) -> Double {
    let x = distance.magnitude
    if mode == .linear { return max(0, 1 - x) }
    let a = cubicCoefficient
    if x <= 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0
  }
}
