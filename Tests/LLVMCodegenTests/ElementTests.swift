import KernelIR
import LLVMCodegen
import Testing
import TensorTypes

@Suite("element types") struct ElementTests {
  static let targets = ["native", "x86-64-v2", "x86-64-v3"]

  @Test(arguments: targets) func halfFloatsRoundToNearestEven(_ target: String) throws {
    // Every f16 through f32 and back, times 1/3.
    let halves = (0...UInt16.max).map { $0 }
    let result = try run(map(.f16, .f16, count: halves.count) { .binary(.multiply, $0, .number(1 / 3, .f16)) }, [halves], as: UInt16.self, count: halves.count, target: Target(named: target))
    for (bits, product) in zip(halves, result) {
      let (x, y) = (Float16(bitPattern: bits), Float16(bitPattern: product))
      let exact = Float16(Float(x) * Float(Float16(1.0 / 3)))
      #expect(y == exact || (y.isNaN && exact.isNaN), "\(x): \(y), not \(exact)")
    }
    // f32 to f16, around every rounding boundary.
    var singles: [Float] = [.nan, .infinity, -.infinity, 65504, 65519.9, 65520, 1e-8, 2.98e-8, 2.981e-8, 5.96e-8, 0, -0.0, 1e30]
    for bits in stride(from: 0, to: UInt32.max - 65_537, by: 65_537) { singles.append(Float(bitPattern: bits)) }
    let narrowed = try run(map(.f32, .f16, count: singles.count) { .convert($0, .f16) }, [singles], as: UInt16.self, count: singles.count, target: Target(named: target))
    for (x, bits) in zip(singles, narrowed) {
      let (y, exact) = (Float16(bitPattern: bits), Float16(x))
      #expect(y == exact || (y.isNaN && exact.isNaN), "\(x): \(y), not \(exact)")
    }
  }

  @Test func bfloatRoundsToNearestEven() throws {
    var singles: [Float] = [.nan, .infinity, -.infinity, 1, 0, -0.0, .greatestFiniteMagnitude, .leastNonzeroMagnitude, Float(bitPattern: 0x3f80_8000), Float(bitPattern: 0x3f81_8000)]
    singles.append(Float(bitPattern: 0x7f80_0001))
    for bits in stride(from: 0, to: UInt32.max - 65_521, by: 65_521) { singles.append(Float(bitPattern: bits)) }
    let result = try run(map(.f32, .bf16, count: singles.count) { .convert($0, .bf16) }, [singles], as: UInt16.self, count: singles.count)
    for (x, bits) in zip(singles, result) {
      let word = x.bitPattern
      if x.isNaN {
        #expect(Float(bitPattern: UInt32(bits) << 16).isNaN)
      } else {
        #expect(bits == UInt16(truncatingIfNeeded: (UInt64(word) + 0x7fff + UInt64(word >> 16 & 1)) >> 16), "\(x)")
      }
    }
    let back = try run(map(.bf16, .f32, count: result.count) { .convert($0, .f32) }, [result], as: Float.self, count: result.count)
    #expect(zip(back, result).allSatisfy { $0.bitPattern == UInt32($1) << 16 })
  }

  @Test func doubleToHalfRoundsOnce() throws {
    // 1 + 2^-11 is halfway between two f16; a little more or less decides.
    let values: [Double] = [1 + 0x1p-11, 1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-11 - 0x1p-40, 1 + 3 * 0x1p-11, 1 + 3 * 0x1p-11 - 0x1p-45, -1 - 0x1p-11 - 0x1p-45, 65520, 65519.999999999, .nan]
    let result = try run(map(.f64, .f16, count: values.count) { .convert($0, .f16) }, [values], as: UInt16.self, count: values.count)
    for (x, bits) in zip(values, result) {
      let (y, exact) = (Float16(bitPattern: bits), Float16(x))
      #expect(y == exact || (y.isNaN && exact.isNaN), "\(x): \(y), not \(exact)")
    }
  }

  @Test(arguments: targets) func conversionsSaturate(_ name: String) throws {
    let target = try Target(named: name)
    let values: [Float] = [0, 1.9, -1.9, 127.5, 128, -128.9, -129, 255.5, 300, 70000, -70000, 3e9, -3e9, 1e19, -1e19, 2e19, .infinity, -.infinity, .nan]
    func clamp<T: FixedWidthInteger>(_ x: Float, _: T.Type) -> T {
      if x.isNaN { return 0 }
      return T(exactly: x.rounded(.towardZero)) ?? (x < 0 ? T.min : T.max)
    }
    func check<T: FixedWidthInteger>(_ element: ElementType, _: T.Type) throws {
      let result = try run(map(.f32, element, count: values.count) { .convert($0, element) }, [values], as: T.self, count: values.count, target: target)
      #expect(result == values.map { clamp($0, T.self) }, "\(element)")
    }
    try check(.i8, Int8.self)
    try check(.u8, UInt8.self)
    try check(.i16, Int16.self)
    try check(.u16, UInt16.self)
    try check(.i32, Int32.self)
    try check(.u32, UInt32.self)
    try check(.i64, Int64.self)
    try check(.u64, UInt64.self)
    let truth = try run(map(.f32, .bool, count: values.count) { .convert($0, .bool) }, [values], as: UInt8.self, count: values.count, target: target)
    #expect(truth == values.map { $0 == 0 ? 0 : 1 })
  }

  @Test(arguments: targets + ["znver4"], [0.0, 1, 113, 255]) func roundedBytesSaturate(_ name: String, _ zero: Double) throws {
    var values: [Float] = [.infinity, -.infinity, .nan, 3e38, -3e38, 2_147_483_648, -2_147_483_648, 1e9, -1e9, 1e-45, -0.0]
    for step in -600..<600 {
      let x = Float(step) / 2
      values += [x.nextDown, x, x.nextUp]
    }
    let kernel = map(.f32, .u8, count: values.count) { x in
      let whole = Expression.unary(.round, x)
      return .convert(zero == 0 ? whole : .binary(.add, whole, .number(zero, .f32)), .u8)
    }
    let result = try run(kernel, [values], as: UInt8.self, count: values.count, target: Target(named: name))
    let expected = values.map { x in x.isNaN ? 0 : UInt8(max(0, min(255, x.rounded(.toNearestOrEven) + Float(zero)))) }
    #expect(result == expected)
  }

  @Test(arguments: targets) func integerDivisionNeverTraps(_ name: String) throws {
    let target = try Target(named: name)
    func check<T: FixedWidthInteger>(_ element: ElementType, _: T.Type) throws {
      let corners: [T] = [0, 1, 2, 3, 7, T.max, T.max - 1, T.min, T.min &+ 1, 0 &- 1, 0 &- 3, 100, T.max / 2]
      var (x, y): ([T], [T]) = ([], [])
      for a in corners { for b in corners { (x, y) = (x + [a], y + [b]) } }
      func expected(_ f: (T, T) -> T) -> [T] { zip(x, y).map { $1 == 0 ? 0 : f($0, $1) } }
      for scalar in [false, true] {
        func result(_ function: BinaryFunction) throws -> [T] {
          var kernel = map2(element, element, count: x.count) { .binary(function, $0, $1) }
          if scalar, case .loop(var loop) = kernel.body[0] {
            loop.kind = .serial
            kernel.body[0] = .loop(loop)
          }
          return try run(kernel, [x, y], as: T.self, count: x.count, target: target)
        }
        #expect(try result(.divide) == expected { $0.dividedReportingOverflow(by: $1).partialValue }, "\(element)")
        #expect(try result(.remainder) == expected { $0.remainderReportingOverflow(dividingBy: $1).partialValue }, "\(element)")
        #expect(
          try result(.modulo)
            == expected { a, b in
              let rest = a.remainderReportingOverflow(dividingBy: b).partialValue
              return rest != 0 && (rest < 0) != (b < 0) ? rest &+ b : rest
            }, "\(element)")
      }
    }
    try check(.i8, Int8.self)
    try check(.u8, UInt8.self)
    try check(.i16, Int16.self)
    try check(.u16, UInt16.self)
    try check(.i32, Int32.self)
    try check(.u32, UInt32.self)
    try check(.i64, Int64.self)
    try check(.u64, UInt64.self)
  }

  @Test func integerPowersAndShifts() throws {
    let x: [Int32] = [2, -2, 3, 0, 1, -1, -1, 10, 2, 7]
    let y: [Int32] = [10, 3, 0, 5, -7, -7, -8, 11, -1, 40]
    let power = try run(map2(.i32, .i32, count: x.count) { .binary(.power, $0, $1) }, [x, y], as: Int32.self, count: x.count)
    #expect(power == [1024, -8, 1, 0, 1, -1, 1, 1_215_752_192, 0, (0..<40).reduce(Int32(1)) { r, _ in r &* 7 }])
    let a: [UInt8] = [1, 255, 128, 3]
    let b: [UInt8] = [3, 4, 7, 8]
    #expect(try run(map2(.u8, .u8, count: 4) { .binary(.shiftLeft, $0, $1) }, [a, b], as: UInt8.self, count: 4) == [8, 240, 0, 0])
    #expect(try run(map2(.u8, .u8, count: 4) { .binary(.shiftRight, $0, $1) }, [a, b], as: UInt8.self, count: 4) == [0, 15, 1, 0])
  }

  @Test func maximumKeepsNaN() throws {
    let x: [Float] = [1, .nan, 2, .nan, -.infinity, 0]
    let y: [Float] = [2, 1, .nan, .nan, .nan, 5]
    let largest = try run(map2(.f32, .f32, count: 6) { .binary(.maximum, $0, $1) }, [x, y], as: Float.self, count: 6)
    #expect(largest[0] == 2 && largest[5] == 5 && largest[1...4].allSatisfy(\.isNaN))
    let relu = try run(map(.f32, .f32, count: 6) { .binary(.minimum, .binary(.maximum, .number(0, .f32), $0), .number(6, .f32)) }, [x], as: Float.self, count: 6)
    #expect(relu[0] == 1 && relu[1].isNaN && relu[4] == 0)
  }

  @Test func booleansAreBytes() throws {
    let x: [UInt8] = [0, 1, 1, 0, 1]
    let y: [UInt8] = [0, 0, 1, 1, 1]
    #expect(try run(map2(.bool, .bool, count: 5) { .binary(.xor, $0, $1) }, [x, y], as: UInt8.self, count: 5) == [0, 1, 0, 1, 0])
    #expect(try run(map2(.bool, .bool, count: 5) { .unary(.not, .binary(.and, $0, $1)) }, [x, y], as: UInt8.self, count: 5) == [1, 1, 0, 1, 0])
    #expect(try run(map2(.bool, .f32, count: 5) { .select($0, .number(2, .f32), .convert($1, .f32)) }, [x, y], as: Float.self, count: 5) == [0, 2, 2, 1, 2])
  }
}
