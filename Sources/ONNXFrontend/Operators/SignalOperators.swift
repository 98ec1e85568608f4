import GraphIR
import TensorTypes

#if canImport(Glibc)
import Glibc
#endif

/// Windows of signal processing, and Fourier transforms as products with constant matrices.
enum SignalOperators {
  static let table: [String: OperatorImporter] = [
    "HannWindow": { call, b throws(CompileError) in [try window(call, [0.5, 0.5], &b)] },
    "HammingWindow": { call, b throws(CompileError) in [try window(call, [25.0 / 46, 21.0 / 46], &b)] },
    "BlackmanWindow": { call, b throws(CompileError) in [try window(call, [0.42, 0.5, 0.08], &b)] },
    "DFT": fourierTransform,
    "MelWeightMatrix": melWeights,
  ]

  /// A sum of cosines with alternating signs.
  private static func window(_ call: OperatorCall, _ coefficients: [Double], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let size = try b.requireInteger(call.input(0), "the size")
    guard size >= 0, size <= 1 << 24 else { throw b.refusal("a window of \(size) elements") }
    let period = Double(try call.flag("periodic", default: true) ? size : size - 1)
    let element = try call.element("output_datatype", default: .f32)
    let values = (0..<size).map { position -> Double in
      var sum = 0.0
      for (order, coefficient) in coefficients.enumerated() {
        let angle = period == 0 ? 0 : 2 * Double.pi * Double(order * position) / period
        sum += (order % 2 == 0 ? coefficient : -coefficient) * cos(angle)
      }
      return sum
    }
    return try b.constant(Tensor(element, [size], values))
  }

  // MARK: Fourier transform

  /// One axis of a signal, whose last axis is 1 (real) or 2 (complex), in double precision: sums that cancel must
  /// come out as nearly zero.
  private static func fourierTransform(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let rank = b.rank(x)
    guard rank >= 2, let parts = b.shape(x)[rank - 1].constant, parts == 1 || parts == 2 else {
      throw b.refusal("DFT takes a last axis of 1 or 2", operands: [x])
    }
    let isInverse = try call.flag("inverse"), isOneSided = try call.flag("onesided")
    var given = -2
    if call.opset < 20 { given = try call.integer("axis", default: 1) } else if let value = call.optional(2) { given = try b.requireInteger(value, "the axis") }
    let axis = try call.axis(given, rank: rank)
    guard axis != rank - 1 else { throw b.refusal("DFT along the axis of real and imaginary parts", operands: [x]) }
    guard var length = b.shape(x)[axis].constant else { throw b.unsupported("DFT along a symbolic axis", operands: [x], hint: "bind the axis with --dim") }
    if let value = call.optional(1) { length = try b.requireInteger(value, "the length") }
    // A one-sided spectrum is turned back with its mirrored half.
    let mirrors = isInverse && isOneSided
    if mirrors && call.optional(1) == nil { length = 2 * (length - 1) }
    guard length >= 1, length <= 1 << 13 else {
      throw length < 1 ? b.refusal("DFT of \(length) elements", operands: [x]) : b.unsupported("DFT of \(length) elements", operands: [x], hint: "up to 8192 are supported")
    }
    let taken = mirrors ? length / 2 + 1 : length
    let element = b.element(x)
    var signal = try b.convert(x, to: .f64)
    signal = try fitted(signal, axis: axis, length: taken, &b)
    // [..., n, parts] with the axis moved behind the others.
    let others = (0..<rank - 1).filter { $0 != axis }
    let moved = try b.transpose(signal, others + [axis, rank - 1])
    let real = try b.select(moved, axis: rank - 1, at: 0)
    let imaginary = parts == 2 ? try b.select(moved, axis: rank - 1, at: 1) : nil
    let produced = isOneSided && !isInverse ? length / 2 + 1 : length
    let (cosines, sines) = matrices(taken: taken, produced: produced, length: length, isInverse: isInverse, mirrors: mirrors)
    let c = try b.constant(Tensor(.f64, [taken, produced], cosines)), s = try b.constant(Tensor(.f64, [taken, produced], sines))
    var outReal = try MatrixOperators.product(real, c, &b)
    var outImaginary = try MatrixOperators.product(real, s, &b)
    if let imaginary {
      outReal = try b.binary(.subtract, outReal, MatrixOperators.product(imaginary, s, &b))
      outImaginary = try b.binary(.add, outImaginary, MatrixOperators.product(imaginary, c, &b))
    }
    let last = rank - 1
    let joined = mirrors ? try b.unsqueeze(outReal, axis: last) : try b.concatenate([b.unsqueeze(outReal, axis: last), b.unsqueeze(outImaginary, axis: last)], axis: last)
    let back = Array(0..<axis) + [rank - 2] + Array(axis..<rank - 2) + [rank - 1]
    return [try b.convert(b.transpose(joined, back), to: element)]
  }

  /// The axis cut or padded with zeros to a length.
  private static func fitted(_ x: ValueID, axis: Int, length: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard let extent = b.shape(x)[axis].constant, extent != length else { return x }
    if extent > length { return try b.slice(x, axis: axis, start: 0, size: Extent(length)) }
    var high = [Extent](repeating: 0, count: b.rank(x))
    high[axis] = Extent(length - extent)
    return try b.pad(x, low: high.map { _ in 0 }, high: high, value: 0)
  }

  /// e^(-2 pi i n k / length), row n, column k; conjugate and divided by the length for the inverse.
  private static func matrices(taken: Int, produced: Int, length: Int, isInverse: Bool, mirrors: Bool) -> (cosines: [Double], sines: [Double]) {
    var (cosines, sines): ([Double], [Double]) = ([], [])
    for n in 0..<taken {
      // A mirrored element counts twice: once as itself and once as its conjugate, whose imaginary parts cancel.
      let weight = mirrors && n != 0 && 2 * n != length ? 2.0 : 1.0
      for k in 0..<produced {
        let angle = 2 * Double.pi * Double((n * k) % length) / Double(length)
        let scale = isInverse ? weight / Double(length) : 1
        cosines.append(cos(angle) * scale)
        sines.append((isInverse ? sin(angle) : -sin(angle)) * scale)
      }
    }
    return (cosines, sines)
  }

  // MARK: Mel filters

  private static func melWeights(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    var numbers: [Double] = []
    for position in 0..<5 { numbers.append(try b.requireNumbers(call.input(position), "its parameters").first ?? 0) }
    let bins = Int(clamping: numbers[0]), length = Int(clamping: numbers[1])
    let (rate, lower, upper) = (numbers[2], numbers[3], numbers[4])
    guard bins >= 1, bins <= 1 << 14, length >= 2, length <= 1 << 20, rate > 0, lower >= 0, upper > lower else {
      throw b.refusal("MelWeightMatrix of \(numbers)")
    }
    func mel(_ frequency: Double) -> Double { 2595 * log10(1 + frequency / 700) }
    let (low, high) = (mel(lower), mel(upper))
    let edges = (0..<bins + 2).map { position -> Int in
      let value = low + Double(position) * ((high - low) / Double(bins + 2))
      let frequency = 700 * (pow(10, value / 2595) - 1)
      return Int(clamping: (Double(length + 1) * frequency / rate).rounded(.down))
    }
    let rows = length / 2 + 1
    var values = [Double](repeating: 0, count: rows * bins)
    func set(_ row: Int, _ bin: Int, _ value: Double) { if row >= 0 && row < rows { values[row * bins + bin] = value } }
    for bin in 0..<bins {
      let (first, center, last) = (edges[bin], edges[bin + 1], edges[bin + 2])
      if center == first { set(center, bin, 1) } else {
        for row in first..<center + 1 { set(row, bin, Double(row - first) / Double(center - first)) }
      }
      if last > center { for row in center..<last { set(row, bin, Double(last - row) / Double(last - center)) } }
    }
    let element = try call.element("output_datatype", default: .f32)
    return [try b.constant(Tensor(element, [rows, bins], values))]
  }
}
