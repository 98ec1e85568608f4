import GraphIR
import TensorTypes

/// Loops that read an operand across its rows.
package enum LoopCases {
  package static func transposed() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for (shape, permutation) in [([3, 70, 9], [0, 2, 1]), ([130, 80], [1, 0]), ([1, 13, 11, 20], [0, 3, 1, 2]), ([2, 300, 150], [2, 0, 1]), ([70, 8, 65], [2, 1, 0])] {
      cases.append(
        try TemplateCase("transpose \(shape) by \(permutation)", .loop) { graph in
          let x = graph.addInput("x", TensorType(.f32, Shape(shape.map { Extent($0) })))
          return try graph.insert(Unary(.absolute), try graph.insert(Transpose(permutation), x))
        })
    }
    cases.append(
      try TemplateCase("concatenation and its own transposition", .loop) { graph in
        let x = graph.addInput("x", TensorType(.f32, [20, 8])), z = graph.addInput("z", TensorType(.f32, [20, 12]))
        let both = try graph.insert(Concatenate(axis: 1), x, z)
        return try graph.insert(Binary(.add), both, try graph.insert(Transpose([1, 0]), both))
      })
    cases.append(
      try TemplateCase("channels first, concatenated", .loop) { graph in
        let x = graph.addInput("x", TensorType(.f32, [1, 12, 12, 20])), z = graph.addInput("z", TensorType(.f32, [1, 5, 5, 20])), b = graph.addInput("b", TensorType(.f32, [1, 3, 169]))
        func turned(_ value: ValueID, _ count: Int) throws -> ValueID {
          try graph.insert(Reshape(to: [1, 20, Extent(count)]), try graph.insert(Transpose([0, 3, 1, 2]), value))
        }
        let both = try graph.insert(Concatenate(axis: 2), try turned(x, 144), try turned(z, 25))
        return try graph.insert(Concatenate(axis: 1), b, try graph.insert(Unary(.logistic), both))
      })
    return cases
  }
}
