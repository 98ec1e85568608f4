import COpenBLAS
import Runtime

/// OpenBLAS's matrix product on this machine: what a good library reaches.
enum Yardstick {
  private static let side = 1024

  /// Floating-point operations per second of a 1024 x 1024 x 1024 `sgemm`, the fastest of many.
  static func sgemm(threads: Int) -> Double {
    openblas_set_num_threads(Int32(clamping: threads))
    let a = [Float](repeating: 0.5, count: side * side)
    let b = [Float](repeating: 0.25, count: side * side)
    var c = [Float](repeating: 0, count: side * side)
    let n = Int32(side)
    let result = Benchmark(length: .seconds(0.5), warmUpSeconds: 0.1).run { () throws(Never) in
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1, a, n, b, n, 0, &c, n)
    }
    return 2 * Double(side) * Double(side) * Double(side) / result.minimum
  }
}
