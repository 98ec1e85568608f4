import GraphIR
import TensorTypes

/// Products with weights of 8 and 4 bits, as `keep-narrow-weights` leaves them.
package enum NarrowDotCases {
  package struct Weights: Sendable {
    package var element: ElementType
    /// Steps that share a scale; nil for a scale for each column.
    package var block: Int?
    package var scale: ElementType = .f32
    package var hasZero = false
    package var isRounded = false
  }

  /// The body of a product: (q - zero) * scale, and a dot.
  package static func product(_ graph: inout Graph, _ x: ValueID, steps: Int, columns: Int, _ weights: Weights) throws -> ValueID {
    let block = min(weights.block ?? steps, steps), groups = (steps + block - 1) / block
    let q = graph.addInput("w_q", TensorType(weights.element, [Extent(steps), Extent(columns)]))
    let scale = graph.addInput("w_scale", TensorType(weights.scale, [Extent(groups), Extent(columns)]))
    let operands = [x, q, scale] + (weights.hasZero ? [graph.addInput("w_zero", TensorType(weights.element, [Extent(groups), Extent(columns)]))] : [])
    var inner = Graph(name: "narrow_dot")
    let inputs = operands.enumerated().map { inner.addInput("x\($0)", graph.type(of: $1)) }
    func repeated(_ value: ValueID) throws -> ValueID {
      let single = try inner.insert(Reshape(to: [Extent(groups), 1, Extent(columns)]), value)
      let full = try inner.insert(Reshape(to: [Extent(groups * block), Extent(columns)]), try inner.insert(Broadcast(to: [Extent(groups), Extent(block), Extent(columns)]), single))
      return try inner.insert(Slice(starts: [0, 0], sizes: [Extent(steps), Extent(columns)], steps: [1, 1]), full)
    }
    var numbers = try inner.insert(Convert(to: .f32), inputs[1])
    if weights.hasZero { numbers = try inner.insert(Binary(.subtract), numbers, try repeated(try inner.insert(Convert(to: .f32), inputs[3]))) }
    let factors = weights.scale == .f32 ? inputs[2] : try inner.insert(Convert(to: .f32), inputs[2])
    let wide = try inner.insert(Binary(.multiply), numbers, try repeated(factors))
    inner.setOutputs([("y", try inner.insert(Dot(), inputs[0], wide))])
    var details = Attributes()
    details.set("block", .integer(block))
    if weights.isRounded { details.set("activations", .word("int8")) }
    return try graph.add(Composite("narrow_dot", details: details, body: inner), operands)[0]
  }

  private static func dot(_ rows: Extent, _ steps: Int, _ columns: Int, _ weights: Weights, symbols: [String: Int] = [:]) throws -> TemplateCase {
    let form = "\(weights.element.name), groups of \(weights.block ?? steps), scales \(weights.scale.name)\(weights.hasZero ? ", zeros" : "")\(weights.isRounded ? ", rounded" : "")"
    var test = try TemplateCase("\(rows) x \(steps) x \(columns), \(form) \(symbols.values.map { $0 })", .dot, symbols: symbols) { graph in
      try product(&graph, graph.addInput("x", TensorType(.f32, [rows, Extent(steps)])), steps: steps, columns: columns, weights)
    }
    // The ends of the range.
    if let range = weights.element.integerRange { test.replaced["w_q"] = [0: Double(range.lowerBound), 3: Double(range.upperBound), 5 * columns + 1: Double(range.lowerBound)] }
    if weights.isRounded { test.replaced["x"] = exact(rows.constant ?? symbols.values.first ?? 0, steps, chunk: weights.block ?? 32) }
    return test
  }

  /// A largest number for each part of a row that is rounded together, of which the others are whole 127ths: rounding changes none of them.
  private static func exact(_ rows: Int, _ steps: Int, chunk: Int) -> [Int: Double] {
    var numbers: [Int: Double] = [:]
    for row in 0..<rows {
      for step in stride(from: 0, to: steps, by: chunk) { numbers[row * steps + step] = step % 3 == 0 ? -15.875 : 15.875 }
    }
    return numbers
  }

  /// All widths, groups and tails.
  package static func dots(isRounded: Bool) throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    let elements: [ElementType] = [.i8, .u8, .i4, .u4]
    for (number, (rows, steps, columns)) in [(1, 64, 128), (1, 100, 70), (2, 33, 300), (3, 8, 9), (5, 96, 17), (16, 40, 33), (17, 128, 64), (40, 61, 130)].enumerated() {
      for element in elements {
        let blocks: [Int?] = [nil, 32, 20]
        for (place, block) in blocks.enumerated() {
          let weights = Weights(
            element: element, block: block, scale: [.f32, .bf16, .f16][(number + place) % 3], hasZero: (number + place) % 2 == 0, isRounded: isRounded)
          cases.append(try dot(Extent(rows), steps, columns, weights))
        }
      }
    }
    for rows in 1...17 { cases.append(try dot(Extent(rows), 72, 48, Weights(element: rows % 2 == 0 ? .i4 : .i8, block: 32, hasZero: rows % 3 == 0, isRounded: isRounded))) }
    for size in [0, 1, 7, 11, 12, 30] {
      cases.append(try dot(Extent(symbol: "m"), 64, 50, Weights(element: .i4, block: 16, isRounded: isRounded), symbols: ["m": size]))
    }
    // Few panels and many rows, and a sum whose panels are narrow for the sake of the caches.
    cases.append(try dot(200, 64, 40, Weights(element: .i8, block: nil, isRounded: isRounded)))
    cases.append(try dot(12, 4100, 33, Weights(element: .u4, block: 64, hasZero: true, isRounded: isRounded)))
    cases.append(try dot(Extent(symbol: "m"), 256, 400, Weights(element: .i8, block: 32, isRounded: isRounded), symbols: ["m": 13]))
    return cases
  }

  /// Long groups of large numbers, whose products have no sum in 32 bits.
  package static func long() throws -> TemplateCase {
    var long = try dot(1, 134_000, 2, Weights(element: .u8, block: 67_000, isRounded: true))
    long.replaced = ["x": Dictionary(uniqueKeysWithValues: (0..<134_000).map { ($0, 1.0) }), "w_q": Dictionary(uniqueKeysWithValues: (0..<268_000).map { ($0, 255.0) })]
    return long
  }

  /// What follows and precedes a product, and one that several threads share.
  package static func surrounded(isRounded: Bool) throws -> [TemplateCase] {
    let weights = Weights(element: .i4, block: 32, isRounded: isRounded)
    return try [
      TemplateCase("bias, residual, silu", .dot) { graph in
        let x = graph.addInput("x", TensorType(.f32, [9, 64])), r = graph.addInput("r", TensorType(.f32, [9, 72])), b = graph.addInput("bias", TensorType(.f32, [72]))
        let sum = try graph.insert(Binary(.add), try product(&graph, x, steps: 64, columns: 72, weights), try graph.insert(Broadcast(to: [9, 72]), b))
        let gate = try graph.insert(Binary(.multiply), sum, try graph.insert(Unary(.logistic), sum))
        return try graph.insert(Binary(.add), gate, r)
      },
      TemplateCase("its own left operand added", .dot) { graph in
        let x = graph.addInput("x", TensorType(.f32, [3, 64]))
        return try graph.insert(Binary(.add), try product(&graph, x, steps: 64, columns: 64, weights), x)
      },
      TemplateCase("a transposed left operand, result as heads", .dot) { graph in
        let x = graph.addInput("x", TensorType(.f32, [64, 12]))
        let y = try product(&graph, try graph.insert(Transpose([1, 0]), x), steps: 64, columns: 96, weights)
        return try graph.insert(Transpose([1, 0, 2]), try graph.insert(Reshape(to: [12, 3, 32]), y))
      },
      dot(1, 768, 1024, weights), dot(1, 512, 1000, Weights(element: .i8, block: nil, isRounded: isRounded)), dot(50, 256, 384, weights),
    ]
  }
}
