import GraphIR
import TensorTypes

#if canImport(Glibc)
import Glibc
#endif

/// Windows of signal processing, Fourier transforms, mel filters.
enum SignalOperators {
  static let table: [String: OperatorImporter] = [
    "HannWindow": { call, b throws(CompileError) in [try window(call, [0.5, 0.5], &b)] },
    "HammingWindow": { call, b throws(CompileError) in [try window(call, [25.0 / 46, 21.0 / 46], &b)] },
    "BlackmanWindow": { call, b throws(CompileError) in [try window(call, [0.42, 0.5, 0.08], &b)] },
    "DFT": fourierTransform,
    "STFT": shortTimeTransform,
    "MelWeightMatrix": melWeights,
  ]

  /// A sum of cosines with alternating signs.
  private static func window(_ call: OperatorCall, _ coefficients: [Double], _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    let length = try b.length(call.input(0), "the size")
    guard let size = length.constant else {
      return try ComputedSignals.window(
        length, coefficients, isPeriodic: call.flag("periodic", default: true), call.element("output_datatype", default: .f32), &b)
    }
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
    guard rank >= 2, let count = b.shape(x)[rank - 1].constant, count == 1 || count == 2 else {
      throw b.refusal("DFT takes a last axis of 1 or 2", operands: [x])
    }
    let isInverse = try call.flag("inverse"), isOneSided = try call.flag("onesided")
    var given = -2
    if call.opset < 20 { given = try call.integer("axis", default: 1) } else if let value = call.optional(2) { given = try b.requireInteger(value, "the axis") }
    let axis = try call.axis(given, rank: rank)
    guard axis != rank - 1 else { throw b.refusal("DFT along the axis of real and imaginary parts", operands: [x]) }
    let asked = try call.optional(1).map { value throws(CompileError) in try b.length(value, "the length") } ?? .known(b.shape(x)[axis])
    guard var length = asked.constant, b.shape(x)[axis].isConstant else {
      let transform = try ComputedSignals.Transform(asked, isGiven: call.optional(1) != nil, isInverse: isInverse, isOneSided: isOneSided, &b)
      return [try ComputedSignals.fourierTransform(x, axis: axis, transform, &b)]
    }
    // A one-sided spectrum is turned back with its mirrored half.
    let mirrors = isInverse && isOneSided
    if mirrors && call.optional(1) == nil { length = 2 * (length - 1) }
    guard length >= 1, length <= FourierTransform.longest else {
      throw length < 1 ? b.refusal("DFT of \(length) elements", operands: [x]) : b.unsupported("DFT of \(length) elements", operands: [x], hint: "up to \(FourierTransform.longest) are supported")
    }
    let signal = try fitted(b.convert(x, to: .f64), axis: axis, length: mirrors ? length / 2 + 1 : length, &b)
    // The real and imaginary parts with the axis behind the others.
    let others = (0..<rank - 1).filter { $0 != axis }
    let moved = try b.transpose(signal, others + [axis, rank - 1])
    var parts: FourierTransform.Signal = (try b.select(moved, axis: rank - 1, at: 0), nil)
    if count == 2 { parts.imaginary = try b.select(moved, axis: rank - 1, at: 1) }
    if mirrors { parts = try mirrored(parts, length: length, &b) }
    let joined = try spectrum(parts, length: length, isInverse: isInverse, isOneSided: isOneSided, &b)
    let back = Array(0..<axis) + [rank - 2] + Array(axis..<rank - 2) + [rank - 1]
    return [try b.convert(b.transpose(joined, back), to: b.element(x))]
  }

  /// The transform of the last axis as [..., bins, 2]; of a one-sided spectrum the real signal, [..., length, 1].
  private static func spectrum(
    _ parts: FourierTransform.Signal, length: Int, isInverse: Bool, isOneSided: Bool, _ b: inout GraphBuilder
  ) throws(CompileError) -> ValueID {
    let result = try FourierTransform(isInverse: isInverse).apply(parts, length: length, &b)
    let axis = b.rank(result.real) - 1
    func finished(_ value: ValueID, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      var value = value
      if isInverse { value = try b.binary(.multiply, value, 1 / Double(length)) }
      if isOneSided && !isInverse { value = try b.slice(value, axis: axis, start: 0, size: Extent(length / 2 + 1)) }
      return try b.unsqueeze(value, axis: axis + 1)
    }
    let real = try finished(result.real, &b)
    if isInverse && isOneSided { return real }
    guard let imaginary = result.imaginary else { return try b.pad(real, low: b.shape(real).map { _ in 0 }, high: b.shape(real).dropLast().map { _ in 0 } + [1], value: 0) }
    return try b.concatenate([real, finished(imaginary, &b)], axis: axis + 1)
  }

  /// The whole spectrum of a real signal from its first half: each other element is the conjugate of its mirror image.
  private static func mirrored(_ half: FourierTransform.Signal, length: Int, _ b: inout GraphBuilder) throws(CompileError) -> FourierTransform.Signal {
    let missing = length - length / 2 - 1
    guard missing > 0 else { return half }
    func whole(_ value: ValueID, isConjugate: Bool, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      let axis = b.rank(value) - 1
      let rest = try b.add(Reverse(axes: [axis]), b.slice(value, axis: axis, start: 1, size: Extent(missing)))
      return try b.concatenate([value, isConjugate ? b.unary(.negate, rest) : rest], axis: axis)
    }
    return (try whole(half.real, isConjugate: false, &b), try half.imaginary.map { value throws(CompileError) in try whole(value, isConjugate: true, &b) })
  }

  // MARK: Short-time Fourier transform

  /// Spectra of overlapping parts of a signal [batch, length, 1 or 2], each weighted by a window.
  private static func shortTimeTransform(_ call: OperatorCall, _ b: inout GraphBuilder) throws(CompileError) -> [ValueID] {
    let x = try call.input(0)
    let rank = b.rank(x)
    let count = rank == 3 ? b.shape(x)[2].constant ?? 0 : 1
    guard rank == 2 || rank == 3, count == 1 || count == 2 else { throw b.refusal("STFT takes a signal [batch, length, 1 or 2]", operands: [x]) }
    let step = try b.requireInteger(call.input(1), "the frame step")
    let window = call.optional(2)
    var length: Int?
    if let value = call.optional(3) { length = try b.requireInteger(value, "the frame length") }
    guard let size = length ?? window.flatMap({ b.shape($0).first?.constant }) ?? b.shape(x)[1].constant, step >= 1, size >= 1,
      size <= FourierTransform.longest
    else { throw b.refusal("STFT of frames without a known length, or by steps of \(step)", operands: [x]) }
    let isOneSided = try call.flag("onesided", default: count == 1)
    guard !isOneSided || count == 1 else { throw b.refusal("STFT of a complex signal cannot be one-sided", operands: [x]) }
    if let window, b.rank(window) != 1 || b.shape(window)[0] != Extent(size) { throw b.refusal("a window for frames of \(size) elements", operands: [x, window]) }
    let frames = (b.shape(x)[1] - Extent(size)).floorDivided(by: Extent(step)) + 1
    if let number = frames.constant, number < 1 { throw b.refusal("STFT of frames of \(size) elements", operands: [x]) }
    let index = try b.binary(
      .add, b.binary(.multiply, b.add(Iota(.i64, [frames, Extent(size)], axis: 0)), Double(step)), b.add(Iota(.i64, [frames, Extent(size)], axis: 1)))
    let weights = try window.map { value throws(CompileError) in try b.convert(value, to: .f64) }
    func part(_ position: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
      let samples = try b.convert(rank == 2 ? x : b.select(x, axis: 2, at: Extent(position)), to: .f64)
      let spread = try b.add(Gather(axis: 1), samples, index)
      return try weights.map { weights throws(CompileError) in try b.binary(.multiply, spread, weights) } ?? spread
    }
    let parts: FourierTransform.Signal = (try part(0, &b), count == 2 ? try part(1, &b) : nil)
    return [try b.convert(spectrum(parts, length: size, isInverse: false, isOneSided: isOneSided, &b), to: b.element(x))]
  }

  /// The axis cut or padded with zeros to a length.
  private static func fitted(_ x: ValueID, axis: Int, length: Int, _ b: inout GraphBuilder) throws(CompileError) -> ValueID {
    guard let extent = b.shape(x)[axis].constant, extent != length else { return x }
    if extent > length { return try b.slice(x, axis: axis, start: 0, size: Extent(length)) }
    var high = [Extent](repeating: 0, count: b.rank(x))
    high[axis] = Extent(length - extent)
    return try b.pad(x, low: high.map { _ in 0 }, high: high, value: 0)
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
