import Artifact
import Compiler
import GraphIR
import Passes
import Runtime
import TensorTypes
import TestSupport
import Testing

/// Weights of 8 and 4 bits, from the file to the artifact: those that other tools made, and our own.
@Suite("narrow weights, whole models") struct NarrowWeightsTests {
  /// MatMulNBits of [rows, 72] by 40 columns in blocks of 32, whose last is not full.
  private struct Packed {
    let rows = 3, columns = 40, block = 32
    var bits: Int
    var hasZero: Bool
    /// Which steps share a scale: as the number of the group of each step.
    var groups: [Int]?
    var accuracy: Int?
    var depth = 72
    /// In f32, and nothing that an integer could be.
    var hasFloatZero = false

    var blocks: Int { (depth + block - 1) / block }
    var zeroBytes: Int { (blocks * bits + 7) / 8 }
    func number(_ column: Int, _ k: Int) -> Int { (column * 7 + k * 5) % (1 << bits) }
    func zero(_ column: Int, _ block: Int) -> Double { hasFloatZero ? Double(column % 7) / 4 + 0.3125 : Double(wholeZero(column, block)) }
    private func wholeZero(_ column: Int, _ block: Int) -> Int { hasZero ? (column * 3 + block * 11) % (1 << bits) : 1 << (bits - 1) }
    func group(_ k: Int) -> Int { groups?[k] ?? k / block }
    func scale(_ column: Int, _ block: Int) -> Float { Float(column % 5 + block + 1) / 64 }

    private func bytes(_ count: Int, _ number: (Int) -> Int) -> [UInt8] {
      if bits == 8 { return (0..<count).map { UInt8(number($0)) } }
      return stride(from: 0, to: count, by: 8 / bits).map { start in
        UInt8((0..<8 / bits).reduce(0) { byte, place in byte | (start + place < count ? number(start + place) : 0) << (place * bits) })
      }
    }
    private func bytes(_ number: Float) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: number.bitPattern >> (8 * UInt32($0))) } }

    var model: ONNXBytes {
      let weights = (0..<columns).flatMap { column in bytes(blocks * block) { number(column, $0) } }
      let scales = (0..<columns).flatMap { column in (0..<blocks).flatMap { bytes(scale(column, $0)) } }
      var constants = [
        ONNXBytes.tensor("w", [columns, blocks, block * bits / 8], element: 2, bytes: weights), ONNXBytes.tensor("s", [columns * blocks], bytes: scales),
      ]
      if hasFloatZero {
        constants.append(.tensor("z", [columns, blocks], bytes: (0..<columns).flatMap { column in (0..<blocks).flatMap { bytes(Float(zero(column, $0))) } }))
      } else if hasZero { constants.append(.tensor("z", [columns * zeroBytes], element: 2, bytes: (0..<columns).flatMap { column in bytes(blocks) { wholeZero(column, $0) } })) }
      if let groups { constants.append(.tensor("g", [depth], element: 6, bytes: groups.flatMap { [UInt8($0), 0, 0, 0] })) }
      let operands = ["x", "w", "s"] + (hasZero || hasFloatZero ? ["z"] : groups == nil ? [] : [""]) + (groups == nil ? [] : ["g"])
      let node = ONNXBytes.node(
        "MatMulNBits", operands, ["y"],
        [.integer("K", depth), .integer("N", columns), .integer("bits", bits), .integer("block_size", block)] + (accuracy.map { [ONNXBytes.integer("accuracy_level", $0)] } ?? []),
        domain: "com.microsoft")
      return ONNXBytes.model(.graph([node], weights: constants, inputs: [.value("x", rows, depth)])).message(8, ONNXBytes().text(1, "com.microsoft").integer(2, 1))
    }

    func expected(_ x: [Double]) -> [Double] {
      (0..<rows * columns).map { place in
        (0..<depth).reduce(0) { sum, k in
          let (row, column) = (place / columns, place % columns)
          return sum + x[row * depth + k] * (Double(number(column, k)) - zero(column, group(k))) * Double(scale(column, group(k)))
        }
      }
    }
  }

  /// Zero points that are no whole numbers are taken off by sums of each group.
  @Test(arguments: [2, 4, 8]) func zeroPointsMayBeFractions(_ bits: Int) throws {
    let packed = Packed(bits: bits, hasZero: false, depth: 96, hasFloatZero: true)
    let model = try compiled(packed)
    #expect(model.constantsByteCount < packed.depth * packed.columns * (bits == 8 ? 2 : 1))
    let x = (0..<packed.rows * packed.depth).map { Double($0 % 13 - 6) / 4 }
    let result = try model.makeModel().makeSession(threads: 1).run([Tensor(.f32, [packed.rows, packed.depth], x)])[0].doubles
    for (found, wanted) in zip(result, packed.expected(x)) { #expect(abs(found - wanted) < 1e-3) }
  }

  @Test(arguments: [2, 4, 8], [false, true]) func packedProductsStayNarrow(_ bits: Int, _ hasZero: Bool) throws {
    let (folder, packed) = (TemporaryFolder(), Packed(bits: bits, hasZero: hasZero))
    folder.write(packed.model.bytes, to: "packed.onnx")
    var options = CompileOptions()
    options.threads = 2
    let compiled = try Compiler(options: options).compile(folder.file("packed.onnx"))
    #expect(compiled.constantsByteCount < packed.depth * packed.columns * 4 / 2)
    let x = (0..<packed.rows * packed.depth).map { Double($0 % 13 - 6) / 4 }
    let result = try compiled.makeModel().makeSession(threads: 2).run([Tensor(.f32, [packed.rows, packed.depth], x)])[0].doubles
    for (found, wanted) in zip(result, packed.expected(x)) { #expect(abs(found - wanted) < 1e-3) }
  }

  private func compiled(_ packed: Packed) throws -> CompiledModel {
    let folder = TemporaryFolder()
    folder.write(packed.model.bytes, to: "packed.onnx")
    return try Compiler(options: CompileOptions()).compile(folder.file("packed.onnx"))
  }

  /// Steps that share a scale may lie anywhere: they are brought together, and the weights stay narrow.
  @Test(arguments: [4, 8], [false, true]) func groupsMayBeAnywhere(_ bits: Int, _ hasZero: Bool) throws {
    let packed = Packed(bits: bits, hasZero: hasZero, groups: (0..<72).map { $0 % 9 == 0 ? 2 : $0 % 2 })
    // 8 steps of the last group; 32 of each other.
    #expect([0, 1, 2].map { group in packed.groups?.filter { $0 == group }.count } == [32, 32, 8])
    let model = try compiled(packed)
    #expect(model.constantsByteCount < packed.depth * packed.columns * 4 / 2)
    let x = (0..<packed.rows * packed.depth).map { Double($0 % 13 - 6) / 4 }
    let result = try model.makeModel().makeSession(threads: 1).run([Tensor(.f32, [packed.rows, packed.depth], x)])[0].doubles
    for (found, wanted) in zip(result, packed.expected(x)) { #expect(abs(found - wanted) < 1e-3) }
  }

  @Test func unevenGroupsAreRefused() throws {
    let error = #expect(throws: CompileError.self) { _ = try compiled(Packed(bits: 4, hasZero: false, groups: (0..<72).map { $0 % 3 })) }
    #expect(error?.problem == .unsupported && error?.description.contains("group index") == true)
  }

  /// Level 4 lets kernels round the input to 8 bits; other levels do not.
  @Test(arguments: [0, 1, 3, 4]) func accuracyLevels(_ level: Int) throws {
    let packed = Packed(bits: 4, hasZero: false, accuracy: level)
    let x = (0..<packed.rows * packed.depth).map { Double($0 * 37 % 101 - 50) / 51 }
    let model = try compiled(packed)
    let isRounded = model.program.calls.contains { $0.note.contains("activations of 8 bits") }
    #expect(isRounded == (level == 4))
    let result = try model.makeModel().makeSession(threads: 1).run([Tensor(.f32, [packed.rows, packed.depth], x)])[0].doubles
    let wanted = packed.expected(x), largest = wanted.reduce(0) { max($0, abs($1)) }
    for (found, wanted) in zip(result, wanted) { #expect(abs(found - wanted) < (level == 4 ? 2e-2 * largest : 1e-3)) }
  }

  @Test func unknownAccuracyLevelsAreRefused() throws {
    let error = #expect(throws: CompileError.self) { _ = try compiled(Packed(bits: 4, hasZero: false, accuracy: 9)) }
    #expect(error?.description.contains("accuracy_level") == true)
  }

  /// Filters have 8 bits, whatever products have, and their results are near those of the wide ones.
  @Test(arguments: [QuantizationOptions.Scheme.weightsInt8, .weightsInt4]) func filtersBecomeNarrow(_ scheme: QuantizationOptions.Scheme) throws {
    let folder = TemporaryFolder()
    let weights = (0..<160 * 128).map { "\(Double($0 * 7919 % 2003 - 1001) / 1024)" }.joined(separator: ", ")
    let text = """
      graph @pointwise(%x: f32[1,128,9,9]) {
        %w = constant dense [\(weights)] : f32[160,128,1,1]
        %y = convolution %x, %w {strides = [1, 1]}
        return %y
      }
      """
    folder.write(Array(text.utf8), to: "pointwise.ingot")
    let wide = try Compiler(options: CompileOptions()).compile(folder.file("pointwise.ingot"))
    var options = CompileOptions()
    options.quantization = QuantizationOptions(scheme)
    let narrow = try Compiler(options: options).compile(folder.file("pointwise.ingot"))
    #expect(narrow.constantsByteCount < wide.constantsByteCount / 3)
    let inputs = try wide.source.randomInputs(seed: 3, symbols: [:])
    let reference = try wide.makeModel().makeSession(threads: 1).run(inputs)[0].doubles
    let found = try narrow.makeModel().makeSession(threads: 1).run(inputs)[0].doubles
    let distance = zip(found, reference).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
    #expect(distance < 0.01 * reference.reduce(0) { $0 + $1 * $1 }.squareRoot())
  }

  private func product(_ folder: TemporaryFolder) -> String {
    let weights = (0..<128 * 160).map { "\(Double($0 * 7919 % 2003 - 1001) / 1024)" }.joined(separator: ", ")
    let text = """
      graph @product(%x: f32[2,128]) {
        %w = constant dense [\(weights)] : f32[128,160]
        %y = dot %x, %w
        return %y
      }
      """
    folder.write(Array(text.utf8), to: "product.ingot")
    return folder.file("product.ingot")
  }

  @Test(arguments: [QuantizationOptions.Scheme.weightsInt8, .weightsInt4]) func ownWeightsBecomeNarrow(_ scheme: QuantizationOptions.Scheme) throws {
    let folder = TemporaryFolder()
    let path = product(folder)
    let wide = try Compiler(options: CompileOptions()).compile(path)
    let inputs = try wide.source.randomInputs(seed: 3, symbols: [:])
    let reference = try wide.makeModel().makeSession(threads: 1).run(inputs)[0].doubles
    let size = reference.reduce(0) { $0 + $1 * $1 }.squareRoot()
    for activations in WeightActivations.allCases {
      for group in [nil, 16, 64] as [Int?] {
        var options = CompileOptions()
        var quantization = QuantizationOptions(scheme)
        (quantization.groupSize, quantization.activations) = (group, activations)
        options.quantization = quantization
        let compiled = try Compiler(options: options).compile(path)
        #expect(compiled.constantsByteCount < wide.constantsByteCount * 2 / 5)
        let model = try compiled.makeModel()
        let results = try model.makeSession(threads: 1).run(inputs)
        #expect(results[0].isIdentical(to: try model.makeSession(threads: 2).run(inputs)[0]))
        let distance = zip(results[0].doubles, reference).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
        #expect(distance / size < (scheme == .weightsInt8 ? 0.02 : 0.15), "\(scheme.rawValue), groups \(String(describing: group)), \(activations.rawValue)")
      }
    }
  }

  @Test func namesThatAreNoProductAreRefused() throws {
    let folder = TemporaryFolder()
    var options = CompileOptions()
    options.quantization = QuantizationOptions(.weightsInt4)
    options.quantization?.floatNodes = ["nothing"]
    let path = product(folder)
    let error = #expect(throws: CompileError.self) { _ = try Compiler(options: options).compile(path) }
    #expect(error?.problem == .usage && error?.description.contains("`nothing`") == true)
  }
}
