import KernelIR
import LLVMCodegen
import Testing
import TensorTypes

/// Elements of 8 bits and fewer in compiled code, against what `Tensor` stores.
@Suite("narrow types") struct NarrowTypeTests {
  static let floats: [ElementType] = [.f8e4m3fn, .f8e4m3fnuz, .f8e5m2, .f8e5m2fnuz, .f8e8m0, .f4e2m1]
  static let integers: [ElementType] = [.i4, .u4, .i2, .u2]
  static let targets = ["native", "x86-64-v2", "x86-64-v3"]
  private let codes = (0...UInt8.max).map { $0 }

  private func reference(_ values: [Double], _ element: ElementType) -> [UInt8] { Tensor(element, [values.count], values).withBytes { Array($0) } }

  /// NaNs are equal whatever their bits are.
  private func expectSame(_ got: [UInt8], _ want: [UInt8], _ inputs: [Double], _ element: ElementType) {
    for position in got.indices where got[position] != want[position] {
      let isNaN = element.isFloatingPoint && element.decodedByte(got[position]).isNaN && element.decodedByte(want[position]).isNaN
      if !isNaN { Issue.record("\(inputs[position]) as \(element) is \(got[position]), expected \(want[position])") }
    }
  }

  @Test(arguments: floats, targets) func allCodesBecomeNumbers(_ element: ElementType, _ name: String) throws {
    let target = try Target(named: name)
    let singles = try run(map(element, .f32, count: 256) { .convert($0, .f32) }, [codes], as: Float.self, count: 256, target: target)
    let doubles = try run(map(element, .f64, count: 256) { .convert($0, .f64) }, [codes], as: Double.self, count: 256, target: target)
    for code in codes {
      let want = element.decodedByte(code)
      #expect(singles[Int(code)] == Float(want) || want.isNaN && singles[Int(code)].isNaN, "\(element) \(code)")
      #expect(doubles[Int(code)] == want || want.isNaN && doubles[Int(code)].isNaN, "\(element) \(code)")
      if want == 0 { #expect(singles[Int(code)].sign == want.sign) }
    }
    // Stored again they have the code they had, but for NaNs and bits that do not count.
    let again = try run(map(element, element, count: 256) { .convert(.convert($0, .f32), element) }, [codes], as: UInt8.self, count: 256, target: target)
    expectSame(again, reference(codes.map { element.decodedByte($0) }, element), codes.map { Double($0) }, element)
  }

  @Test(arguments: floats, targets) func allHalvesAreRounded(_ element: ElementType, _ name: String) throws {
    let halves = (0...UInt16.max).map { $0 }
    let result = try run(map(.f16, element, count: halves.count) { .convert($0, element) }, [halves], as: UInt8.self, count: halves.count, target: Target(named: name))
    let values = halves.map { Double(Float16(bitPattern: $0)) }
    expectSame(result, reference(values, element), values, element)
  }

  @Test(arguments: floats, targets) func boundariesOfSinglesAreRoundedToEven(_ element: ElementType, _ name: String) throws {
    var singles: [Float] = [.nan, -.nan, .infinity, -.infinity, 0, -0.0, .leastNonzeroMagnitude, .greatestFiniteMagnitude, 0x1p-127, 0x1p-126, 0x1.8p-127, 0x1.8p127]
    let values = codes.map { element.decodedByte($0) }.filter { !$0.isNaN && !$0.isInfinite }.sorted()
    for (low, high) in zip(values, values.dropFirst()) {
      let middle = Float((low + high) / 2)
      singles += [Float(low), middle, middle.nextUp, middle.nextDown]
    }
    if let largest = element.largestFinite { for factor in [1, 1.03, 1.0357, 1.036, 1.0714, 1.08, 1.4, 2] { singles += [Float(largest * factor), Float(-largest * factor)] } }
    for bits in stride(from: 0, to: UInt32.max - 65_537, by: 65_537) { singles.append(Float(bitPattern: bits)) }
    let result = try run(map(.f32, element, count: singles.count) { .convert($0, element) }, [singles], as: UInt8.self, count: singles.count, target: Target(named: name))
    let wanted = singles.map { Double($0) }
    expectSame(result, reference(wanted, element), wanted, element)
  }

  @Test(arguments: floats) func doublesAndIntegersAreRoundedOnce(_ element: ElementType) throws {
    var doubles: [Double] = [1e300, -1e300, 1e-300]
    let values = codes.map { element.decodedByte($0) }.filter { $0.isFinite && $0 > 0 }.sorted()
    for (low, high) in zip(values, values.dropFirst()) {
      let middle = low / 2 + high / 2
      doubles += [middle, middle.nextUp, middle.nextDown]
    }
    let result = try run(map(.f64, element, count: doubles.count) { .convert($0, element) }, [doubles], as: UInt8.self, count: doubles.count)
    expectSame(result, reference(doubles, element), doubles, element)
    let whole: [Int32] = Array(-600...600) + [57_344, 61_439, 61_440, .max, .min, 1 << 24 + 1]
    let stored = try run(map(.i32, element, count: whole.count) { .convert($0, element) }, [whole], as: UInt8.self, count: whole.count)
    expectSame(stored, reference(whole.map { Double($0) }, element), whole.map { Double($0) }, element)
  }

  @Test(arguments: floats) func arithmeticRoundsToTheType(_ element: ElementType) throws {
    let pairs = codes.flatMap { a in stride(from: 0, to: 256, by: 7).map { (a, UInt8($0)) } }
    for function in [BinaryFunction.add, .multiply, .maximum] {
      let result = try run(map2(element, element, count: pairs.count) { .binary(function, $0, $1) }, [pairs.map(\.0), pairs.map(\.1)], as: UInt8.self, count: pairs.count)
      let exact = pairs.map { pair -> Double in
        let (x, y) = (element.decodedByte(pair.0), element.decodedByte(pair.1))
        if function == .maximum { return x.isNaN || y.isNaN ? .nan : max(x, y) }
        return function == .add ? x + y : x * y
      }
      // Zeros of either sign are equal for `maximum`.
      for (position, value) in exact.enumerated() where !(value == 0 && element.decodedByte(result[position]) == 0) {
        expectSame([result[position]], reference([value], element), [value], element)
      }
    }
  }

  @Test(arguments: integers, targets) func conversionsKeepTheLowBits(_ element: ElementType, _ name: String) throws {
    let target = try Target(named: name)
    let singles: [Float] = [-300, -9, -8.9, -8, -3, -2.5, -1, -0.9, 0, 0.9, 1, 1.99, 2, 3.5, 7, 8, 9, 15, 16, 17, 3e9, -3e9, .nan, .infinity]
    let fromFloat = try run(map(.f32, element, count: singles.count) { .convert($0, element) }, [singles], as: UInt8.self, count: singles.count, target: target)
    let words = singles.map { $0.isNaN ? 0 : Int32(exactly: $0.rounded(.towardZero)) ?? ($0 < 0 ? .min : .max) }
    #expect(fromFloat == words.map { UInt8(truncatingIfNeeded: element.integer(ofByte: UInt8(truncatingIfNeeded: $0))) })
    let whole: [Int16] = Array(-300...300)
    let fromInteger = try run(map(.i16, element, count: whole.count) { .convert($0, element) }, [whole], as: UInt8.self, count: whole.count, target: target)
    #expect(fromInteger == whole.map { UInt8(truncatingIfNeeded: element.integer(ofByte: UInt8(truncatingIfNeeded: $0))) })
    // Bits of memory that do not count are not looked at.
    let read = try run(map(element, .i32, count: 256) { .convert($0, .i32) }, [codes], as: Int32.self, count: 256, target: target)
    #expect(read == codes.map { Int32(element.integer(ofByte: $0)) })
  }

  @Test(arguments: integers) func arithmeticWraps(_ element: ElementType) throws {
    let range = try #require(element.integerRange)
    let pairs = range.flatMap { a in range.map { (a, $0) } }
    func stored(_ value: Int) -> UInt8 { UInt8(truncatingIfNeeded: element.integer(ofByte: UInt8(truncatingIfNeeded: value))) }
    func result(_ function: BinaryFunction) throws -> [UInt8] {
      try run(map2(element, element, count: pairs.count) { .binary(function, $0, $1) }, [pairs.map { stored($0.0) }, pairs.map { stored($0.1) }], as: UInt8.self, count: pairs.count)
    }
    #expect(try result(.add) == pairs.map { stored($0.0 + $0.1) })
    #expect(try result(.subtract) == pairs.map { stored($0.0 - $0.1) })
    #expect(try result(.multiply) == pairs.map { stored($0.0 * $0.1) })
    #expect(try result(.divide) == pairs.map { $0.1 == 0 ? 0 : stored($0.0 / $0.1) })
    #expect(try result(.maximum) == pairs.map { stored(max($0.0, $0.1)) })
    let less = try run(map2(element, .bool, count: pairs.count) { .compare(.less, $0, $1) }, [pairs.map { stored($0.0) }, pairs.map { stored($0.1) }], as: UInt8.self, count: pairs.count)
    #expect(less == pairs.map { $0.0 < $0.1 ? 1 : 0 })
  }

  /// Bits go through as they are, those of signalling NaNs too.
  @Test(arguments: targets) func bitsAreKept(_ name: String) throws {
    let target = try Target(named: name)
    let halves = (0...UInt16.max).map { $0 }
    func kept(_ from: ElementType, _ to: ElementType) throws -> Bool {
      try run(map(from, to, count: halves.count) { .bits($0, to) }, [halves], as: UInt16.self, count: halves.count, target: target) == halves
    }
    #expect(try kept(.f16, .i16) && kept(.u16, .f16) && kept(.bf16, .f16) && kept(.f16, .bf16))
    for element in Self.floats where element.bitCount == 8 {
      #expect(try run(map(element, .u8, count: 256) { .bits($0, .u8) }, [codes], as: UInt8.self, count: 256, target: target) == codes)
      #expect(try run(map(.i8, element, count: 256) { .bits($0, element) }, [codes], as: UInt8.self, count: 256, target: target) == codes)
    }
    let words: [UInt32] = [0, 0x7f80_0001, 0xffc0_0000, 0x3f80_0000, 1]
    #expect(try run(map(.f32, .u32, count: 5) { .bits($0, .u32) }, [words], as: UInt32.self, count: 5, target: target) == words)
    let doubled = try run(map(.f32, .u32, count: 5) { .bits(.binary(.multiply, $0, .number(2, .f32)), .u32) }, [words], as: UInt32.self, count: 5, target: target)
    #expect(doubled[3] == 0x4000_0000 && doubled[4] == 2)
    #expect(try run(map(.bool, .u8, count: 3) { .bits($0, .u8) }, [[0, 1, 1] as [UInt8]], as: UInt8.self, count: 3, target: target) == [0, 1, 1])
    #expect(try run(map(.u8, .bool, count: 3) { .bits($0, .bool) }, [[0, 2, 1] as [UInt8]], as: UInt8.self, count: 3, target: target) == [0, 1, 1])
  }
}
