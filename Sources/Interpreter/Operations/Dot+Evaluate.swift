import GraphIR
import TensorTypes

extension Dot: Evaluable {
  public func evaluate(_ operands: [Tensor], as results: [ConcreteType], limits: EvaluationLimits) throws(EvaluationError) -> [Tensor] {
    let (a, b, result) = (operands[0], operands[1], results[0])
    if a.element.isFloatingPoint { return [try multiply(Double.self, a, b, result, limits)] }
    return [try multiply(Int64.self, a, b, result, limits)]
  }

  private func multiply<Scalar: ContractionScalar>(
    _ scalar: Scalar.Type, _ a: Tensor, _ b: Tensor, _ result: ConcreteType, _ limits: EvaluationLimits
  ) throws(EvaluationError) -> Tensor {
    let rank = result.dimensions.count
    let (rows, columns, depth) = (result.dimensions[rank - 2], result.dimensions[rank - 1], a.dimensions[rank - 1])
    if result.count == 0 || depth == 0 { return result.zeros() }
    let batches = result.count / (rows * columns)
    let blocks = columnBlocks(columns)
    try limits.checkScratch(depth * 8, of: blocks * 8)
    try limits.checkScratch(rows, of: max(depth, columns) * 8)
    let left = Scratch<Scalar>(rows * depth), line = Scratch<Scalar>(columns), products = Scratch<Scalar>(rows * columns)
    let packed = Scratch<SIMD8<Scalar>>(blocks * depth, repeating: SIMD8(repeating: .zero))
    return Tensor(result.element, result.dimensions) { target in
      a.withBytes { aBytes in
        b.withBytes { bBytes in
          guard let x = aBytes.baseAddress, let y = bBytes.baseAddress, let to = target.baseAddress else { return }
          for batch in 0..<batches {
            Scalar.load(a.element, x, at: batch * rows * depth, count: rows * depth, into: left.base)
            // [K, N] becomes [N / 8][K] vectors of eight columns.
            for k in 0..<depth {
              Scalar.load(b.element, y, at: (batch * depth + k) * columns, count: columns, into: line.base)
              for column in 0..<columns { packed.base[column / 8 * depth + k][column % 8] = line[column] }
            }
            for block in 0..<blocks {
              for row in stride(from: 0, to: rows, by: 2) {
                let hasSecond = row + 1 < rows
                var tile = ContractionTile<Scalar>()
                let p = left.base + row * depth
                tile.add(p, hasSecond ? p + depth : p, packed.base + block * depth, count: depth)
                let q = products.base + row * columns + block * 8
                tile.store(q, hasSecond ? q + columns : nil, columns: min(8, columns - block * 8))
              }
            }
            Scalar.store(products.base, result.element, to, at: batch * rows * columns, count: rows * columns)
          }
        }
      }
    }
  }
}
