import GraphIR
import TensorTypes

package enum WindowCases {
  static func pool(
    _ reducer: Reducer, _ shape: Shape, size: [Int], strides: [Int], pads: [Int], dilations: [Int]? = nil, element: ElementType = .f32, symbols: [String: Int] = [:]
  ) throws -> TemplateCase {
    try TemplateCase("\(reducer.rawValue) \(element.name)\(shape) size \(size) strides \(strides) pads \(pads) \(symbols)", .window, symbols: symbols) { graph in
      let x = graph.addInput("x", TensorType(element, shape))
      let window = Window(strides: strides, padsLow: pads, padsHigh: pads, dilations: dilations ?? strides.map { _ in 1 })
      return try graph.insert(ReduceWindow(reducer, size: size, window: window), x)
    }
  }

  package static func all() throws -> [TemplateCase] {
    let (h, w) = (Extent(symbol: "h"), Extent(symbol: "w"))
    return [
      try pool(.maximum, [1, 30, 30, 20], size: [1, 3, 3, 1], strides: [1, 2, 2, 1], pads: [0, 1, 1, 0]),
      try pool(.sum, [2, 9, 11, 5], size: [1, 2, 3, 1], strides: [1, 1, 1, 1], pads: [0, 1, 1, 0]),
      try pool(.minimum, [1, 9, 11, 33], size: [1, 3, 3, 1], strides: [1, 1, 3, 1], pads: [0, 0, 0, 0], dilations: [1, 2, 1, 1]),
      try pool(.sum, [1, 9, 40, 16], size: [1, 9, 40, 1], strides: [1, 1, 1, 1], pads: [0, 0, 0, 0]),
      try pool(.maximum, [1, 20, 9, 9], size: [1, 1, 3, 3], strides: [1, 1, 2, 2], pads: [0, 0, 1, 1]),
      try pool(.maximum, [1, 3, 40], size: [1, 1, 3], strides: [1, 1, 2], pads: [0, 0, 1]),
      try pool(.sum, [2, 3, 4, 5, 6], size: [1, 1, 2, 2, 2], strides: [1, 1, 1, 2, 2], pads: [0, 0, 1, 0, 1]),
      try pool(.sum, [2, 4, 5, 6, 3], size: [1, 2, 2, 2, 1], strides: [1, 1, 2, 2, 1], pads: [0, 1, 0, 1, 0]),
      try pool(.maximum, [1, h, w, 20], size: [1, 3, 3, 1], strides: [1, 2, 2, 1], pads: [0, 1, 1, 0], symbols: ["h": 12, "w": 17]),
      try pool(.maximum, [1, 20, h, w], size: [1, 1, 3, 3], strides: [1, 1, 1, 1], pads: [0, 0, 1, 1], symbols: ["h": 5, "w": 19]),
      try pool(.maximum, [1, 9, 9, 20], size: [1, 3, 3, 1], strides: [1, 1, 1, 1], pads: [0, 1, 1, 0], element: .i8),
      try pool(.minimum, [1, 9, 9, 20], size: [1, 3, 3, 1], strides: [1, 1, 1, 1], pads: [0, 1, 1, 0], element: .i64),
      try pool(.maximum, [1, 9, 9, 20], size: [1, 3, 3, 1], strides: [1, 1, 1, 1], pads: [0, 1, 1, 0], element: .f16),
      try pool(.product, [50], size: [5], strides: [2], pads: [2], element: .i32),
      try pool(.sum, [50], size: [5], strides: [1], pads: [0]),
    ]
  }
}
