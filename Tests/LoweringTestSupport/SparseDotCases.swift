import GraphIR
import TensorTypes

/// Products with a constant right operand that is mostly zeros.
package enum SparseDotCases {
  package static func all() throws -> [TemplateCase] { try shapes() + patterns() + views() + brainFloats() + bytes() }

  /// Blocks of `height` steps and `width` columns, one in `inverse` of which is kept, without an order.
  package static func scattered(_ height: Int, _ width: Int, oneIn inverse: Int) -> @Sendable (Int, Int) -> Bool {
    { row, column in
      var hash = UInt64(row / height) &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(column / width) &* 0xc2b2_ae3d_27d4_eb4f
      hash = (hash ^ hash >> 29) &* 0xbf58_476d_1ce4_e5b9
      return (hash ^ hash >> 32) % UInt64(inverse) == 0
    }
  }

  private static func plain(_ rows: Int, _ steps: Int, _ columns: Int, _ name: String, _ isKept: @escaping @Sendable (Int, Int) -> Bool) throws -> TemplateCase {
    var test = try DotCases.plain(rows, steps, columns)
    test.name += ", " + name
    test.kept["w"] = isKept
    return test
  }

  package static func shapes() throws -> [TemplateCase] {
    try [(1, 300, 70), (2, 64, 33), (5, 40, 16), (13, 96, 100), (26, 768, 48), (49, 128, 64), (128, 96, 200), (0, 32, 32), (40, 1024, 33)].flatMap { rows, steps, columns in
      try [2, 5, 20].map { try plain(rows, steps, columns, "1 in \($0)", scattered(1, 16, oneIn: $0)) }
    }
  }

  package static func patterns() throws -> [TemplateCase] {
    [
      try plain(26, 64, 96, "blocks of 4x16", scattered(4, 16, oneIn: 4)),
      try plain(26, 64, 96, "blocks of 16x32", scattered(16, 32, oneIn: 3)),
      try plain(26, 64, 96, "2:4 along the sum", { row, _ in row % 4 == 1 || row % 4 == 2 }),
      try plain(26, 64, 96, "2:4 for each 16 columns", { row, column in (row + column / 16) % 4 < 2 }),
      try plain(26, 64, 96, "nothing", { _, _ in false }),
      try plain(26, 64, 96, "one element", { row, column in row == 63 && column == 95 }),
      try plain(26, 64, 96, "an empty panel in the middle", { row, column in column / 32 != 1 && row % 3 == 0 }),
      try plain(26, 64, 90, "an empty last panel", { row, column in column < 64 && row % 2 == 0 }),
      try plain(26, 64, 90, "only the last panel", { row, column in column >= 80 && row % 2 == 0 }),
    ]
  }

  /// Operands of which some neighbouring steps are multiplied together. The last steps of some are no whole group.
  private static func grouped(_ left: ElementType, _ right: ElementType, _ result: ElementType, group: Int) throws -> [TemplateCase] {
    func plain(_ rows: Int, _ steps: Int, _ columns: Int, _ name: String, _ isKept: @escaping @Sendable (Int, Int) -> Bool) throws -> TemplateCase {
      var test = try TemplateCase("\(left.name) x \(right.name) \(rows)x\(steps)x\(columns), \(name)", .dot) { graph in
        let x = graph.addInput("x", TensorType(left, [Extent(rows), Extent(steps)])), w = graph.addInput("w", TensorType(right, [Extent(steps), Extent(columns)]))
        return try graph.insert(Dot(result: result), x, w)
      }
      test.kept["w"] = isKept
      return test
    }
    var cases: [TemplateCase] = []
    for (rows, steps, columns) in [(1, 301, 70), (2, 66, 33), (13, 96, 100), (26, 770, 48), (49, 127, 64), (0, 32, 32), (40, 1024, 33)] {
      for inverse in [3, 12] { cases.append(try plain(rows, steps, columns, "1 in \(inverse)", scattered(group, 16, oneIn: inverse))) }
    }
    return cases + [
      try plain(26, 64, 96, "scattered steps", scattered(1, 16, oneIn: 20)),
      try plain(26, 65, 96, "nothing", { _, _ in false }),
      try plain(26, 67, 90, "only what is left over", { row, _ in row >= 66 }),
      try plain(26, 67, 90, "an empty last panel", { row, column in column < 64 && row / group % 2 == 0 }),
    ]
  }

  package static func brainFloats() throws -> [TemplateCase] {
    var cases = try grouped(.bf16, .bf16, .f32, group: 2)
    for var test in try BrainFloatCases.dots() where test.name.hasPrefix("weights f32") || test.name.hasPrefix("bias, residual") {
      // The rows of a matrix that is transposed are columns.
      let isTransposed = test.name.contains("transposed")
      test.name += ", sparse"
      test.kept["w"] = { row, column in (isTransposed ? column : row) / 2 % 3 == 0 }
      cases.append(test)
    }
    // Neighbouring steps are no neighbours in memory: they are multiplied one by one.
    for var test in try BrainFloatCases.dots() where test.name.hasPrefix("sums along the rows") {
      test.name += ", sparse"
      test.kept["w"] = scattered(1, 16, oneIn: 4)
      cases.append(test)
    }
    return cases
  }

  package static func bytes() throws -> [TemplateCase] {
    var cases = try grouped(.u8, .i8, .i32, group: 4) + grouped(.i8, .i8, .i32, group: 4)
    for var test in try ByteCases.dots() where test.name.hasPrefix("weights transposed") {
      test.name += ", sparse"
      // The rows of a matrix that is transposed are columns.
      test.kept["w"] = { _, step in step / 4 % 3 == 0 }
      cases.append(test)
    }
    return cases
  }

  package static func views() throws -> [TemplateCase] {
    var cases: [TemplateCase] = []
    for var test in try DotCases.views() where ["bias, residual, relu", "heads split behind the product", "result transposed", "result padded"].contains(test.name) {
      test.name += ", sparse"
      test.kept["w"] = scattered(1, 16, oneIn: 4)
      cases.append(test)
    }
    for var test in try DotCases.views() where test.name.hasPrefix("weights") || test.name.hasPrefix("a matrix of weights") {
      test.name += ", sparse"
      // The rows of a matrix that is transposed are columns.
      let isTransposed = test.name.contains("transposed")
      test.kept["w"] = { row, column in (isTransposed ? column : row) % 5 == 0 }
      cases.append(test)
    }
    for var test in try DotCases.symbolic() where test.name.hasPrefix("rows") {
      test.name += ", sparse"
      test.kept["w"] = scattered(1, 16, oneIn: 3)
      cases.append(test)
    }
    cases.append(
      try {
        var test = try TemplateCase("erf behind a sparse product", .dot) { graph in
          let x = graph.addInput("x", TensorType(.f32, [40, 64])), w = graph.addInput("w", TensorType(.f32, [64, 80]))
          return try graph.insert(Unary(.errorFunction), try graph.insert(Dot(), x, w))
        }
        test.kept["w"] = scattered(1, 16, oneIn: 5)
        return test
      }())
    return cases
  }
}
