import Glibc
import NIOHTTP1
import Serving
import Testing
import TensorTypes

/// Random damage to valid requests. A trap would end the test process, so reaching the end is the test; besides,
/// every reply must be 200 or a client error with a message.
///
/// `INGOT_FUZZ_SECONDS` makes it longer than the second that every run affords.
@Suite("fuzz") struct FuzzTests {
  static let seeds: [(path: String, body: String, header: String?)] = [
    ("/v2/models/echo/infer", #"{"id":"a","parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[2,4],"datatype":"FP32","data":[[1,2.5,-3e2,4],[0.1,NaN,-Infinity,8]]}],"outputs":[{"name":"y","parameters":{"binary_data":false}}]}"#, nil),
    ("/v2/models/echo/infer", #"{"inputs":[{"data":[1,2,3,4],"datatype":"FP32","shape":[1,4],"name":"x"}]}"#, nil),
    ("/v2/models/echo/infer", #"{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}]}0123456789abcdef"#, "93"),
    ("/v2/models/echo/infer", "0123456789abcdef", "0"),
    ("/v1/models/echo:predict", #"{"signature_name":"serving_default","instances":[[1,2,3,4],[5,6,7,8.25]]}"#, nil),
    ("/v1/models/echo:predict", #"{"instances":[{"x":[1,2,3,4]},{"x":[5,6,7,8]}]}"#, nil),
    ("/v1/models/echo:predict", #"{"inputs":{"x":[[1,2,3,4]]},"extra":{"a":[1,{"b":null},"\u00e9\ud83d\ude00",true]}}"#, nil),
    ("/predict", #"{"input_data":[1,2,3,4]}"#, nil),
    ("/v1/models/echo:predict", #"{"instances":[{"ids":[1,-2],"mask":true},{"mask":false,"ids":[9223372036854775807,4]}]}"#, nil),
  ]
  static let words = [
    "[", "]", "{", "}", ",", ":", "\"", "\\", "\\u", "\\ud800", "-", "+", ".", "e", "E", "0", "1e999", "-1e-999", "NaN", "Infinity", "-Infinity",
    "null", "true", "false", "9223372036854775807", "9223372036854775808", "18446744073709551616", "-9223372036854775808", "4611686018427387904",
    "\"x\"", "\"ids\"", "\"shape\"", "\"data\"", "\"inputs\"", "\"instances\"", "[[", "]]", "[]", "{}", "\0", "\u{ff}", " ", "0.00000000000000000000001",
    "123456789012345678901234567890", "binary_data_size", "1", "99999999999",
  ]

  private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var value = state
      value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
      value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
      return value ^ value >> 31
    }
  }

  private func damage(_ bytes: [UInt8], _ generator: inout Generator) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &generator) {
      let position = Int.random(in: 0...bytes.count, using: &generator)
      switch Int.random(in: 0..<7, using: &generator) {
      case 0 where position < bytes.count: bytes[position] = UInt8.random(in: 0...255, using: &generator)
      case 1 where position < bytes.count: bytes.remove(at: position)
      case 2: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: position)
      case 3: bytes.insert(contentsOf: Array((Self.words.randomElement(using: &generator) ?? "").utf8), at: position)
      case 4: bytes.removeSubrange(position...)
      case 5:
        let end = Int.random(in: position...bytes.count, using: &generator)
        bytes.insert(contentsOf: Array(bytes[position..<end]), at: position)
      default:
        let end = min(bytes.count, position + Int.random(in: 0..<12, using: &generator))
        bytes.replaceSubrange(position..<end, with: Array((Self.words.randomElement(using: &generator) ?? "").utf8))
      }
    }
    return bytes
  }

  @Test func damagedRequestsGetAnAnswer() {
    let seconds = getenv("INGOT_FUZZ_SECONDS").flatMap { Double(String(cString: $0)) } ?? 1
    var generator = Generator(state: 20_240_229)
    let elements = ElementType.allCases.map { Bench(EchoEngine([("x", "y", TensorType($0, [Extent(symbol: "n"), 4]))])) }
    let benches = [Bench(.one), Bench(.two), Bench(EchoEngine([("x", "y", TensorType(.f32, []))]))] + elements
    let clock = ContinuousClock()
    let end = clock.now + .seconds(seconds)
    var counts: [UInt: Int] = [:]
    while clock.now < end {
      for _ in 0..<200 {
        let seed = Self.seeds[Int.random(in: 0..<Self.seeds.count, using: &generator)]
        let body = damage(Array(seed.body.utf8), &generator)
        var headers: [(String, String)] = []
        if let header = seed.header { headers.append(("Inference-Header-Content-Length", Bool.random(using: &generator) ? header : "\(Int.random(in: 0...120, using: &generator))")) }
        let reply = benches[Int.random(in: 0..<benches.count, using: &generator)].send(.POST, seed.path, body, headers: headers)
        counts[reply.status, default: 0] += 1
        if reply.status != 200 { #expect((reply.status == 400 || reply.status == 501) && reply.text.hasPrefix("{\"error\":")) }
      }
    }
    print("fuzz: \(counts.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", "))")
  }

  @Test func damagedTargetsGetAnAnswer() {
    var generator = Generator(state: 7)
    let bench = Bench(.one)
    let targets = ["/v2/models/echo/versions/1/infer", "/v1/models/echo:predict", "http://a/v2?x=1#y", "/%65%63%68%6f/%"]
    for _ in 0..<20_000 {
      let target = String(decoding: damage(Array((targets.randomElement(using: &generator) ?? "").utf8), &generator), as: UTF8.self)
      #expect(bench.get(target).status < 500)
    }
  }
}
