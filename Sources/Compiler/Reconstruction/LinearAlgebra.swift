internal import COpenBLAS

/// A symmetric matrix of f64, all elements stored.
///
/// The only file that calls OpenBLAS and LAPACK while compiling; artifacts hold nothing of it.
struct SymmetricMatrix: Sendable {
  let order: Int
  var elements: [Double]

  init(order: Int, elements: [Double]) { (self.order, self.elements) = (order, elements) }

  subscript(_ row: Int, _ column: Int) -> Double {
    get { elements[row * order + column] }
    set { elements[row * order + column] = newValue }
  }

  var meanOfDiagonal: Double { order == 0 ? 0 : (0..<order).reduce(0) { $0 + elements[$1 * order + $1] } / Double(order) }

  /// Rows and columns of some positions.
  func selecting(_ positions: [Int]) -> SymmetricMatrix {
    let count = positions.count
    let selected = [Double](unsafeUninitializedCapacity: count * count) { target, initialized in
      for (row, from) in positions.enumerated() { for (column, other) in positions.enumerated() { target[row * count + column] = elements[from * order + other] } }
      initialized = count * count
    }
    return SymmetricMatrix(order: count, elements: selected)
  }

  /// The Cholesky factor, adding to the diagonal what it takes: `dampening` times its mean, and ten times as much until it succeeds.
  ///
  /// - Returns: nil for a matrix with infinite or undefined elements.
  func factored(dampening: Double) -> CholeskyFactor? {
    let mean = meanOfDiagonal
    guard mean.isFinite, let size = Int32(exactly: order) else { return nil }
    var extra = dampening * (mean > 0 ? mean : 1)
    for _ in 0..<8 {
      var copy = elements
      for position in 0..<order { copy[position * order + position] += extra }
      var (count, status) = (size, Int32(0))
      if order > 0 { dpotrf_("L", &count, &copy, &count, &status) }
      if status == 0 { return CholeskyFactor(order: order, elements: copy, added: extra) }
      extra *= 10
    }
    return nil
  }

  /// += rows^T rows, of f32 rows of `order` elements.
  mutating func accumulate(rows: [Float], count: Int) {
    guard count > 0, order > 0, rows.count >= count * order, let width = Int32(exactly: order), let height = Int32(exactly: count) else { return }
    // The products of one sample are summed up in f32, those of all samples in f64.
    var product = [Float](repeating: 0, count: order * order)
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, width, height, 1, rows, width, 0, &product, width)
    for row in 0..<order {
      for column in row..<order {
        let value = Double(product[row * order + column])
        elements[row * order + column] += value
        if column != row { elements[column * order + row] += value }
      }
    }
  }

  /// This matrix times one of `order` rows and `columns` columns.
  func multiplied(by other: [Double], columns: Int) -> [Double] { Self.product(elements, other, rows: order, steps: order, columns: columns) }

  static func product(_ a: [Double], _ b: [Double], rows: Int, steps: Int, columns: Int) -> [Double] {
    var result = [Double](repeating: 0, count: rows * columns)
    guard rows > 0, steps > 0, columns > 0, a.count >= rows * steps, b.count >= steps * columns, let m = Int32(exactly: rows), let k = Int32(exactly: steps),
      let n = Int32(exactly: columns)
    else { return result }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, a, k, b, n, 0, &result, n)
    return result
  }
}

/// L with L L^T = the matrix, as LAPACK leaves it.
struct CholeskyFactor: Sendable {
  let order: Int
  /// By columns, the lower triangle.
  private(set) var elements: [Double]
  /// What was added to the diagonal.
  let added: Double

  /// The solution of the matrix times it = `right`, which has `columns` columns.
  func solved(_ right: [Double], columns: Int) -> [Double] {
    guard order > 0, columns > 0, right.count == order * columns, let n = Int32(exactly: order), let m = Int32(exactly: columns) else { return right }
    // LAPACK takes columns one behind the other.
    var sides = [Double](repeating: 0, count: right.count)
    for row in 0..<order { for column in 0..<columns { sides[column * order + row] = right[row * columns + column] } }
    var (size, count, status) = (n, m, Int32(0))
    dpotrs_("L", &size, &count, elements, &size, &sides, &size, &status)
    var result = right
    if status == 0 { for row in 0..<order { for column in 0..<columns { result[row * columns + column] = sides[column * order + row] } } }
    return result
  }

  /// The inverse of the matrix.
  var inverse: SymmetricMatrix {
    var copy = elements
    guard order > 0, var size = Int32(exactly: order) else { return SymmetricMatrix(order: order, elements: copy) }
    var status = Int32(0)
    dpotri_("L", &size, &copy, &size, &status)
    for row in 0..<order { for column in 0..<row { copy[row * order + column] = copy[column * order + row] } }
    return SymmetricMatrix(order: order, elements: copy)
  }

  /// U with U^T U = the matrix, by rows.
  var upper: [Double] {
    // L by columns is L^T by rows.
    var rows = elements
    for row in 0..<order { for column in 0..<row { rows[row * order + column] = 0 } }
    return rows
  }
}
