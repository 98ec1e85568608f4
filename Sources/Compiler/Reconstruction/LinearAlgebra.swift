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

  /// For a matrix of products of rows that end in a one: the products of the rows less their mean, without that column.
  var centred: SymmetricMatrix {
    let steps = max(0, order - 1), rows = steps < order ? max(self[steps, steps], 1) : 1
    var result = selecting(Array(0..<steps))
    for row in 0..<steps {
      let mean = self[row, steps] / rows
      for column in 0..<steps { result[row, column] -= mean * self[column, steps] }
    }
    return result
  }

  /// += another matrix of the same order.
  mutating func add(_ other: SymmetricMatrix) { for place in 0..<min(elements.count, other.elements.count) { elements[place] += other.elements[place] } }

  /// This matrix times one of `order` rows and `columns` columns.
  func multiplied(by other: [Double], columns: Int) -> [Double] { Self.product(elements, other, rows: order, steps: order, columns: columns) }

  /// target += rows^T others, summed up in f32 first: `count` rows of `width` and of `columns` elements.
  static func accumulate(_ rows: [Float], width: Int, _ others: [Float], columns: Int, count: Int, into target: inout [Double]) {
    guard count > 0, width > 0, columns > 0, rows.count >= count * width, others.count >= count * columns, target.count == width * columns, let m = Int32(exactly: width),
      let n = Int32(exactly: columns), let k = Int32(exactly: count)
    else { return }
    var product = [Float](repeating: 0, count: width * columns)
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1, rows, m, others, n, 0, &product, n)
    for place in product.indices { target[place] += Double(product[place]) }
  }

  /// `count` rows of `width` numbers, of which the last is left out, times a matrix of `columns` columns, in f32.
  static func product(_ rows: [Float], width: Int, _ matrix: [Double], columns: Int, count: Int) -> [Float] {
    var result = [Float](repeating: 0, count: count * columns)
    guard count > 0, width > 1, columns > 0, rows.count >= count * width, matrix.count == (width - 1) * columns, let m = Int32(exactly: count), let n = Int32(exactly: columns),
      let k = Int32(exactly: width - 1)
    else { return result }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1, rows, k + 1, matrix.map { Float($0) }, n, 0, &result, n)
    return result
  }

  /// target -= a b, of `rows` x `inner` and `inner` x `columns` elements.
  static func subtract(_ a: [Double], _ b: [Double], rows: Int, inner: Int, columns: Int, from target: inout [Double]) {
    guard rows > 0, inner > 0, columns > 0, a.count == rows * inner, b.count == inner * columns, target.count == rows * columns, let m = Int32(exactly: rows),
      let k = Int32(exactly: inner), let n = Int32(exactly: columns)
    else { return }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, -1, a, k, b, n, 1, &target, n)
  }

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
