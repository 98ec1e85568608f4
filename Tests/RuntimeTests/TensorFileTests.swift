import Artifact
import Runtime
import TensorTypes
import TestSupport
import Testing

@Suite("tensor files") struct TensorFileTests {
  static let shapes = [[], [1], [0], [3], [2, 0, 3], [2, 3, 4]]

  @Test(arguments: ElementType.allCases, shapes)
  func npyAndProtoRoundTrip(_ element: ElementType, _ dimensions: [Int]) throws {
    let tensor = RandomTensor.make(element, dimensions, seed: 3)
    let proto = try TensorProto(decoding: TensorProto(name: "x", tensor: tensor).encoded)
    #expect(proto.name == "x" && proto.tensor.isIdentical(to: tensor))
    let bytes = try NumPyFile.encode(tensor)
    let read = try NumPyFile.decode(bytes)
    if element == .string {
      #expect(read.isIdentical(to: tensor))
      return
    }
    #expect((bytes.count - read.byteCount) % 64 == 0 && read.doubles == tensor.doubles && read.dimensions == dimensions)
    let folder = TemporaryFolder()
    folder.write(bytes, to: "x.npy")
    #expect(try TensorSource.numpy(path: folder.file("x.npy")).load(for: Manifest.Port(name: "x", type: tensor.type)).isIdentical(to: tensor))
  }

  @Test func numbersOfFilesFitNarrowTypes() throws {
    let folder = TemporaryFolder()
    func load(_ tensor: Tensor, as element: ElementType) throws -> [Double] {
      folder.write(try NumPyFile.encode(tensor), to: "x.npy")
      return try TensorSource.numpy(path: folder.file("x.npy")).load(for: Manifest.Port(name: "x", type: TensorType(element, [Extent(tensor.count)]))).doubles
    }
    #expect(try load(Tensor(.i8, [3], [-8, 0, 7]), as: .i4) == [-8, 0, 7])
    #expect(try load(Tensor(.f32, [3], [-0.3, 448, .infinity]), as: .f8e5m2) == [-0.3125, 448, .infinity])
    #expect(throws: TensorFileError.self) { try load(Tensor(.i8, [1], [8]), as: .i4) }
    #expect(throws: TensorFileError.self) { try load(Tensor(.u8, [1], [4]), as: .u2) }
    #expect(throws: TensorFileError.self) { try load(Tensor(.f32, [1], [500]), as: .f8e4m3fn) }
  }

  static func npy(_ header: String, _ data: [UInt8], version: UInt8 = 1) -> [UInt8] {
    let text = Array((header + "\n").utf8)
    let length = [UInt8(text.count & 0xff), UInt8(text.count >> 8)] + (version == 1 ? [] : [0, 0])
    return [0x93] + Array("NUMPY".utf8) + [version, 0] + length + text + data
  }

  @Test func readsWhatOthersWrite() throws {
    let fortran = try NumPyFile.decode(Self.npy("{'shape': (2L, 3L), 'fortran_order': True, 'descr': '>i2'}", [0, 1, 0, 4, 0, 2, 0, 5, 0, 3, 0, 6], version: 2))
    #expect(fortran.dimensions == [2, 3] && fortran.integers == [1, 2, 3, 4, 5, 6])
    let empty = try NumPyFile.decode(Self.npy("{'descr': '<f4', 'fortran_order': True, 'shape': (3, 0, 5)}", []))
    #expect(empty.dimensions == [3, 0, 5] && empty.count == 0)
    #expect(try NumPyFile.decode(Self.npy("{\"descr\": \"|b1\", \"fortran_order\": False, \"shape\": ()}", [2], version: 3)).integers == [1])
  }

  @Test func readsStringsOfNumPy() throws {
    let wide: [UInt8] = [0x61, 0, 0, 0, 0, 0, 0, 0, 0xe9, 0, 0, 0, 0x00, 0xf6, 1, 0]
    #expect(try NumPyFile.decode(Self.npy("{'descr': '<U2', 'fortran_order': False, 'shape': (2,)}", wide)).texts == ["a", "é\u{1f600}"])
    #expect(try NumPyFile.decode(Self.npy("{'descr': '>U1', 'fortran_order': True, 'shape': (1, 1)}", [0, 0, 0, 0x62])).texts == ["b"])
    #expect(try NumPyFile.decode(Self.npy("{'descr': '|S3', 'fortran_order': False, 'shape': (2,)}", [0x61, 0, 0, 0xc3, 0xa9, 0x62])).texts == ["a", "éb"])
    for bytes: [UInt8] in [[0xff], [0xc3]] {
      #expect(throws: TensorFileError.self) { try NumPyFile.decode(Self.npy("{'descr': '|S1', 'fortran_order': False, 'shape': (1,)}", bytes)) }
    }
    #expect(throws: TensorFileError.self) { try NumPyFile.decode(Self.npy("{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}", [0, 0xd8, 0, 0])) }
  }

  @Test func stringsOfFilesAreUTF8() throws {
    let text = Tensor(texts: ["a", "", "é"], dimensions: [3, 1])
    let bytes = TensorProto(name: "x", tensor: text).encoded
    #expect(try TensorProto(decoding: bytes).tensor.texts == ["a", "", "é"])
    for damaged in [bytes.map { $0 == 0xc3 ? 0xff : $0 }, Array(bytes.dropLast(4)), [8, 2] + bytes] {
      #expect(throws: TensorFileError.self) { try TensorProto(decoding: damaged) }
    }
    let json: JSON = .array([.array([.string("a")]), .array([.string("é")])])
    #expect(try JSONTensor.decode(json, .string).texts == ["a", "é"])
    #expect(JSONTensor.encode(Tensor(texts: ["a", "é"], dimensions: [2, 1])).text() == #"[["a"],["é"]]"#)
    #expect(throws: TensorFileError.self) { try JSONTensor.decode(.array([.integer(1)]), .string) }
    #expect(TensorComparison(Tensor(texts: ["a", "b"]), against: Tensor(texts: ["a", "c"])).first?.wantText == "\"c\"")
  }

  @Test(arguments: [
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 4), ("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}", 4),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 9223372036854775807)}", 4),
    ("{'descr': '<f4', 'fortran_order': True, 'shape': (0, 9223372036854775807, 9223372036854775807)}", 0),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904,)}", 0), ("{'descr': '<U4', 'fortran_order': False, 'shape': ()}", 12),
    ("{'descr': '<U0', 'fortran_order': False, 'shape': (4611686018427387904,)}", 0), ("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}", 8),
    ("{'descr': '<U99999999999999', 'fortran_order': False, 'shape': (0,)}", 0), ("{'descr': '<Ux', 'fortran_order': False, 'shape': ()}", 4),
    ("{'descr': '', 'fortran_order': False, 'shape': ()}", 4), ("{'fortran_order': False, 'shape': ()}", 4), ("", 4),
    ("{'descr': '<f4', 'fortran_order': False, 'shape': (2", 8), ("{'descr': '<f4', 'fortran_order': maybe, 'shape': (2)}", 8),
  ])
  func refusesBadNpy(_ header: String, _ dataBytes: Int) {
    #expect(throws: TensorFileError.self) { try NumPyFile.decode(Self.npy(header, [UInt8](repeating: 0, count: dataBytes))) }
  }

  @Test func survivesEveryTruncatedOrAlteredFile() throws {
    let tensor = RandomTensor.make(.f32, [2, 3], seed: 1)
    let npy = try NumPyFile.encode(tensor), proto = TensorProto(name: "x", tensor: tensor).encoded
    for length in npy.indices { #expect(throws: TensorFileError.self) { try NumPyFile.decode(Array(npy.prefix(length))) } }
    for bytes in [npy, proto] {
      for position in bytes.indices {
        for value: UInt8 in [0, 1, 0x7f, 0x80, 0xff, bytes[position] &+ 1] {
          var altered = bytes
          altered[position] = value
          _ = try? NumPyFile.decode(altered)
          _ = try? TensorProto(decoding: altered)
        }
      }
    }
    // A cut message may be a shorter valid one only where the data is complete, which is at its end.
    for length in proto.indices { #expect(throws: TensorFileError.self) { try TensorProto(decoding: Array(proto.prefix(length))) } }
  }

  @Test func readsTypedFields() throws {
    // dims 2, data_type, then the values in their own field.
    #expect(try TensorProto(decoding: [8, 2, 16, 1, 34, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]).tensor.doubles == [1, 2])
    #expect(try TensorProto(decoding: [8, 2, 16, 7, 56, 5, 56, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).tensor.integers == [5, -1])
    #expect(try TensorProto(decoding: [10, 1, 2, 16, 3, 42, 11, 5, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).tensor.integers == [5, -2])
    #expect(try TensorProto(decoding: [8, 1, 16, 10, 42, 2, 0x80, 0x78]).tensor.doubles == [1])
    // Packed 4-bit integers, low half first; the last half byte is padding.
    let nibbles = try TensorProto(decoding: [8, 3, 16, 22, 74, 2, 0x8f, 0x07])
    #expect(nibbles.tensor.element == .i4 && nibbles.tensor.integers == [-1, -8, 7])
    #expect(try TensorProto(decoding: [8, 3, 16, 21, 42, 3, 0xff, 0x01, 0x07]).tensor.integers == [15, 15, 7])
    #expect(try TensorProto(decoding: [8, 4, 16, 26, 74, 1, 0b11_10_01_00]).tensor.integers == [0, 1, -2, -1])
    #expect(try TensorProto(decoding: [8, 4, 16, 17, 74, 4, 0x38, 0xb8, 0x01, 0x7e]).tensor.doubles == [1, -1, 0x1p-9, 448])
    #expect(try TensorProto(decoding: [8, 3, 16, 19, 74, 3, 0x3c, 0x7c, 0x01]).tensor.doubles == [1, .infinity, 0x1p-16])
  }

  @Test func refusesWhatIsNoTensorHere() {
    let cases: [([UInt8], String)] = [
      ([16, 1, 112, 1], "data lies in another file"), ([16, 99], "ONNX data type 99"),
      ([8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 8, 8, 16, 1], "impossible dimensions"),
      ([8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 16, 1], "impossible dimensions"),
      // Nothing in it, but 0 x 2^42 x 2^42.
      ([8, 0] + [[UInt8]](repeating: [8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1], count: 2).flatMap { $0 } + [16, 22, 74, 0], "impossible dimensions"),
      ([8, 0x80, 0x80, 0x80, 0x80, 0x80, 0x20, 16, 1], "0 values"), ([11], "wire type 3"), ([74, 0xff, 0xff, 0xff, 0xff, 0xf], "are left"),
    ]
    for (bytes, fact) in cases {
      let error = #expect(throws: TensorFileError.self) { try TensorProto(decoding: bytes, source: "t") }
      #expect(error?.description.contains(fact) == true, "\(error?.description ?? "") should say \(fact)")
    }
  }

  @Test func readsJSONArrays() throws {
    #expect(try JSONTensor.decode(JSON(parsing: "[[1,2.5],[3,4]]"), .f32).doubles == [1, 2.5, 3, 4])
    #expect(try JSONTensor.decode(JSON(parsing: "[1,2,3,4]"), .i64, dimensions: [2, 2]).dimensions == [2, 2])
    #expect(try JSONTensor.decode(JSON(parsing: "9223372036854775807"), .i64).integers == [.max])
    for text in ["[[1],[2,3]]", "[1,[2]]", "[[1],2]", "[\"a\"]", "[null]", "{}"] {
      #expect(throws: TensorFileError.self) { try JSONTensor.decode(JSON(parsing: text), .f32) }
    }
    for text in ["[300]", "[-1]", "[1.5]", "[1e30]"] { #expect(throws: TensorFileError.self) { try JSONTensor.decode(JSON(parsing: text), .u8) } }
    let tensor = Tensor(.f32, [2, 2], [0.1, 2, 3, 4])
    #expect(JSONTensor.encode(tensor).text() == "[[0.1,2.0],[3.0,4.0]]")
    #expect(JSONTensor.encode(Tensor(zeros: .i32, [0])).text() == "[]")
  }

  @Test func namesSources() throws {
    #expect(TensorSource("random") == .random(seed: 0) && TensorSource("random:9") == .random(seed: 9))
    #expect(TensorSource("a.npy") == .numpy(path: "a.npy") && TensorSource("random:x") == nil && TensorSource("a.txt") == nil)
    let port = Manifest.Port(name: "x", type: TensorType(.f16, [Extent(symbol: "n"), 3]))
    #expect(try TensorSource.random(seed: 1).load(for: port).dimensions == [1, 3])
    let tensor = try TensorSource.random(seed: 1).load(for: port, symbols: ["n": 500])
    #expect(tensor.dimensions == [500, 3] && tensor.doubles.allSatisfy { $0 >= 0 && $0 < 1 })
    #expect(throws: TensorFileError.self) { try TensorSource.random(seed: 1).load(for: port, symbols: ["n": .max]) }
  }

  @Test func countsBytesBeforeLoading() throws {
    let port = Manifest.Port(name: "x", type: TensorType(.f16, [Extent(symbol: "n"), 3]))
    let random = TensorSource.random(seed: 1)
    #expect(try random.byteCount(for: port) == 6 && random.byteCount(for: port, symbols: ["n": 3_000_000_000]) == 18_000_000_000)
    #expect(throws: TensorFileError.self) { try random.byteCount(for: port, symbols: ["n": .max]) }
    let folder = TemporaryFolder()
    folder.write([1, 2, 3], to: "x.npy")
    #expect(try TensorSource.numpy(path: folder.file("x.npy")).byteCount(for: port) == 3)
    #expect(throws: TensorFileError.self) { try TensorSource.numpy(path: folder.file("y.npy")).byteCount(for: port) }

    var room = InputRoom(limit: 100)
    try room.take(60, for: "a")
    #expect(throws: RunError.tooLarge(what: "input `b` together with those before it", bytes: 101, limit: 100)) { try room.take(41, for: "b") }
    #expect(throws: RunError.tooLarge(what: "input `b`", bytes: 101, limit: 100)) { try room.take(101, for: "b") }
    try room.take(40, for: "b")
    #expect(throws: RunError.self) { try room.take(.max, for: "c") }
  }

  @Test func randomNumbersStayTheSame() {
    // Every type takes the leading digits of the same numbers.
    for element in ElementType.allCases where element.byteCount > 1 && element != .string || element == .u8 || element == .i8 || element == .bool {
      let numbers: [Double] = RandomTensor.make(element, [1000], seed: 7).doubles
      let end: Double = element.isFloatingPoint ? 1 : element == .u8 ? 256 : 2
      let hasManyValues = element.isFloatingPoint || element == .u8
      let distinct: Int = Set(numbers).count
      #expect(numbers.allSatisfy { (number: Double) -> Bool in number >= 0 && number < end }, "\(element)")
      #expect(distinct > (hasManyValues ? 200 : 1), "\(element)")
    }
    for element in ElementType.allCases where element.smallFloat != nil || element == .f8e8m0 || element.bitCount < 8 {
      let numbers = RandomTensor.make(element, [1000], seed: 7).doubles
      #expect(numbers.allSatisfy { element.isInteger ? element.integerRange?.contains(Int($0)) == true : $0 >= 0 && $0 < 1 }, "\(element)")
      #expect(Set(numbers).count > 1, "\(element)")
    }
    let wide = RandomTensor.make(.f64, [100], seed: 7).doubles
    func made(_ element: ElementType) -> [Double] { RandomTensor.make(element, [100], seed: 7).doubles }
    func floored(_ unit: Double) -> [Double] { wide.map { (number: Double) -> Double in (number * unit).rounded(.down) } }
    #expect(made(.f16) == floored(2048).map { (number: Double) -> Double in number / 2048 })
    #expect(made(.bf16) == floored(256).map { (number: Double) -> Double in number / 256 })
    #expect(made(.f32) == wide)
    #expect(made(.u8) == floored(256))
    #expect(made(.i64) == floored(2))
  }
}
