import Glibc
import KernelIR
import LLVMCodegen
import Testing
import TensorTypes

@Suite("math functions") struct MathAccuracyTests {
  struct Function: Sendable, CustomTestStringConvertible {
    let function: UnaryFunction
    let reference: @Sendable (Double) -> Double
    let limit: Double
    let doubleLimit: Double
    /// Inputs with a magnitude beyond this are not held to the limit.
    var magnitude = Double.infinity
    var doubleMagnitude = Double.infinity
    var testDescription: String { function.mnemonic }
  }

  static let functions: [Function] = [
    Function(function: .exponential, reference: { exp($0) }, limit: 1.1, doubleLimit: 2),
    Function(function: .logarithm, reference: { log($0) }, limit: 1.1, doubleLimit: 2),
    Function(function: .hyperbolicTangent, reference: { tanh($0) }, limit: 3, doubleLimit: 4),
    Function(function: .logistic, reference: { $0 >= 0 ? 1 / (1 + exp(-$0)) : exp($0) / (1 + exp($0)) }, limit: 3, doubleLimit: 5),
    Function(function: .errorFunction, reference: { erf($0) }, limit: 7, doubleLimit: 5),
    Function(function: .sine, reference: { sin($0) }, limit: 1.6, doubleLimit: 3, magnitude: 0x1p40, doubleMagnitude: 0x1p20),
    Function(function: .cosine, reference: { cos($0) }, limit: 1.6, doubleLimit: 3, magnitude: 0x1p40, doubleMagnitude: 0x1p20),
    Function(function: .tangent, reference: { tan($0) }, limit: 0.6, doubleLimit: 5, magnitude: 0x1p40, doubleMagnitude: 0x1p20),
    Function(function: .arcsine, reference: { asin($0) }, limit: 0.6, doubleLimit: 5),
    Function(function: .arccosine, reference: { acos($0) }, limit: 0.6, doubleLimit: 5),
    Function(function: .arctangent, reference: { atan($0) }, limit: 0.6, doubleLimit: 3),
    Function(function: .hyperbolicSine, reference: { sinh($0) }, limit: 0.6, doubleLimit: 6),
    Function(function: .hyperbolicCosine, reference: { cosh($0) }, limit: 0.6, doubleLimit: 4),
    Function(function: .inverseHyperbolicSine, reference: { asinh($0) }, limit: 0.6, doubleLimit: 6),
    Function(function: .inverseHyperbolicCosine, reference: { acosh($0) }, limit: 0.6, doubleLimit: 6),
    Function(function: .inverseHyperbolicTangent, reference: { atanh($0) }, limit: 0.6, doubleLimit: 6),
    Function(function: .squareRoot, reference: { $0.squareRoot() }, limit: 0.5, doubleLimit: 0.5),
    Function(function: .reciprocal, reference: { 1 / $0 }, limit: 0.5, doubleLimit: 0.5),
    Function(function: .ceiling, reference: { $0.rounded(.up) }, limit: 0, doubleLimit: 0),
    Function(function: .floor, reference: { $0.rounded(.down) }, limit: 0, doubleLimit: 0),
    Function(function: .round, reference: { $0.rounded(.toNearestOrEven) }, limit: 0, doubleLimit: 0),
  ]

  /// Every 2039th float32, both signs, subnormals, infinities and NaNs; all of them for the functions that
  /// INGOT_EXHAUSTIVE names, such as `exp,log,tanh,erf,logistic` (a minute or two each).
  @Test(arguments: functions) func single(_ function: Function) throws {
    let exhaustive = getenv("INGOT_EXHAUSTIVE").map { String(cString: $0).split(separator: ",").map(String.init) } ?? []
    let step = exhaustive.contains(function.function.mnemonic) ? 1 : 2039
    let block = 1 << 16
    let executor = try Executor(program(of: map(.f32, .f32, count: nil) { .unary(function.function, $0) }))
    var worst = (error: 0.0, input: Float(0), result: Float(0))
    var pattern = 0
    while pattern <= Int(UInt32.max) {
      var inputs: [Float] = []
      while inputs.count < block, pattern <= Int(UInt32.max) {
        inputs.append(Float(bitPattern: UInt32(pattern)))
        pattern += step
      }
      if pattern > Int(UInt32.max) { inputs += Self.corners.map { Float($0) } }
      let results = values(executor.run([bytes(inputs)], outputs: [inputs.count * 4], symbols: [inputs.count])[0], as: Float.self)
      for (x, y) in zip(inputs, results) where abs(Double(x)) <= function.magnitude || !x.isFinite {
        let exact = function.reference(Double(x))
        let error = Self.ulps(Double(y), exact, unit: Double(Float(exact).ulp), largest: Double(Float.greatestFiniteMagnitude), overflow: Float(exact).isInfinite)
        if error > worst.error { worst = (error, x, y) }
      }
    }
    print("\(function.function.mnemonic) f32: \(worst.error) ULP at \(worst.input)")
    #expect(worst.error <= function.limit, "\(function.function.mnemonic)(\(worst.input)) = \(worst.result), exact \(function.reference(Double(worst.input)))")
  }

  @Test(arguments: functions) func double(_ function: Function) throws {
    var inputs = Self.corners
    var state: UInt64 = 7
    for _ in 0..<20_000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let unit = Double(state >> 11) * 0x1p-53
      inputs.append(unit * 2 - 1)
      inputs.append((unit * 2 - 1) * 20)
      inputs.append((unit * 2 - 1) * 700)
      inputs.append(Double(bitPattern: state))
    }
    let results = try run(map(.f64, .f64, count: nil) { .unary(function.function, $0) }, [inputs], as: Double.self, count: inputs.count, symbols: [inputs.count])
    var worst = (error: 0.0, input: 0.0, result: 0.0)
    for (x, y) in zip(inputs, results) where abs(x) <= function.doubleMagnitude || !x.isFinite {
      let exact = function.reference(x)
      let error = Self.ulps(y, exact, unit: exact.ulp, largest: Double.greatestFiniteMagnitude, overflow: exact.isInfinite)
      if error > worst.error { worst = (error, x, y) }
    }
    print("\(function.function.mnemonic) f64: \(worst.error) ULP at \(worst.input)")
    #expect(worst.error <= function.doubleLimit, "\(function.function.mnemonic)(\(worst.input)) = \(worst.result), exact \(function.reference(worst.input))")
  }

  static let corners: [Double] = [
    0, -0.0, 1, -1, 0.5, -0.5, 2, -2, .infinity, -.infinity, .nan, 1e-40, -1e-40, 1e-45, 88.72283, 88.8, -87.3, -87.4, -103.9, -104, 127.5, -127.5, 0.9999999, -0.9999999, 1e30, -1e30,
  ]

  /// Both NaN counts as equal; infinities must agree in sign.
  static func ulps(_ result: Double, _ exact: Double, unit: Double, largest: Double, overflow: Bool) -> Double {
    if exact.isNaN || result.isNaN { return exact.isNaN && result.isNaN ? 0 : .infinity }
    if overflow || exact.isInfinite { return result == (exact < 0 ? -.infinity : .infinity) || (exact.isFinite && abs(result) == largest) ? 0 : .infinity }
    if result.isInfinite { return .infinity }
    return abs(result - exact) / unit
  }

  @Test func powerFollowsIEEE() throws {
    let corners: [Double] = [0, -0.0, 1, -1, 0.5, 2, -2, 3, -3, 4.5, -4.5, 0.1, 1e10, -1e10, 1e-10, .infinity, -.infinity, .nan, 7, -7, 127, 100.25]
    var (x, y): ([Double], [Double]) = ([], [])
    for a in corners { for b in corners { (x, y) = (x + [a], y + [b]) } }
    var state: UInt64 = 3
    for _ in 0..<5000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      x.append(Double(state >> 40) / 100_000)
      y.append(Double(Int64(bitPattern: state) >> 44) / 20_000)
    }
    let single = try run(map2(.f32, .f32, count: nil) { .binary(.power, $0, $1) }, [x.map { Float($0) }, y.map { Float($0) }], as: Float.self, count: x.count, symbols: [x.count])
    let double = try run(map2(.f64, .f64, count: nil) { .binary(.power, $0, $1) }, [x, y], as: Double.self, count: x.count, symbols: [x.count])
    for index in x.indices {
      let exact = pow(Double(Float(x[index])), Double(Float(y[index])))
      let error = Self.ulps(Double(single[index]), exact, unit: Double(Float(exact).ulp), largest: Double(Float.greatestFiniteMagnitude), overflow: Float(exact).isInfinite)
      #expect(error <= 0.6, "pow(\(x[index]), \(y[index])) = \(single[index]), exact \(exact)")
      let wide = pow(x[index], y[index])
      let relative = wide.isFinite && wide != 0 ? abs(double[index] - wide) / abs(wide) : double[index] == wide || (double[index].isNaN && wide.isNaN) ? 0 : 1
      #expect(relative <= 1e-12, "pow(\(x[index]), \(y[index])) = \(double[index]), exact \(wide)")
      if wide == 0 { #expect(double[index].sign == wide.sign, "pow(\(x[index]), \(y[index]))") }
    }
  }

  @Test func remainderIsExact() throws {
    let corners: [Double] = [0, -0.0, 1, -1, 0.3, -0.3, 2.5, -2.5, 7, -7, 1e30, 1e-30, 123456.789, .infinity, -.infinity, .nan, 3e38, 1e-44]
    var (x, y): ([Double], [Double]) = ([], [])
    for a in corners { for b in corners { (x, y) = (x + [a], y + [b]) } }
    let single = try run(map2(.f32, .f32, count: nil) { .binary(.remainder, $0, $1) }, [x.map { Float($0) }, y.map { Float($0) }], as: Float.self, count: x.count, symbols: [x.count])
    let double = try run(map2(.f64, .f64, count: nil) { .binary(.remainder, $0, $1) }, [x, y], as: Double.self, count: x.count, symbols: [x.count])
    let modulo = try run(map2(.f64, .f64, count: nil) { .binary(.modulo, $0, $1) }, [x, y], as: Double.self, count: x.count, symbols: [x.count])
    for index in x.indices {
      let exact = fmodf(Float(x[index]), Float(y[index]))
      #expect(single[index] == exact || (single[index].isNaN && exact.isNaN), "fmodf(\(x[index]), \(y[index])) = \(single[index]), exact \(exact)")
      let wide = fmod(x[index], y[index])
      #expect(double[index] == wide || (double[index].isNaN && wide.isNaN), "fmod(\(x[index]), \(y[index])) = \(double[index]), exact \(wide)")
      let python = wide == 0 || (wide < 0) == (y[index] < 0) ? wide : wide + y[index]
      #expect(modulo[index] == python || (modulo[index].isNaN && python.isNaN), "\(x[index]) % \(y[index]) = \(modulo[index]), exact \(python)")
    }
  }
}
