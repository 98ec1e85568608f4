import Serving
import Testing
import TensorTypes

/// Numbers through the whole decoder and encoder: text in, the same element out.
@Suite("numbers in JSON") struct NumberTests {
  private func echo(_ element: ElementType, _ data: String) -> (status: UInt, text: String) {
    let reply = Bench(.vector(element)).post("/v1/models/echo:predict", #"{"inputs":[\#(data)]}"#)
    return (reply.status, reply.text)
  }

  private func first(_ text: String) -> Substring {
    text.dropFirst(#"{"outputs":["#.count).prefix { $0 != "]" }
  }

  /// Random bit patterns as Swift prints them, and longer decimal forms, must come back bit for bit.
  @Test func floatsReadBackExactly() {
    var generator = SystemRandomNumberGenerator()
    var texts: [String] = []
    var expected: [Float] = []
    while texts.count < 200_000 {
      let value = Float(bitPattern: UInt32.random(in: 0 ... .max, using: &generator))
      guard value.isFinite else { continue }
      // A double near the middle of two floats is where rounding twice goes wrong.
      let middle = (Double(value) + Double(value.nextUp)) / 2
      for text in ["\(value)", "\(Double(value))", "\(middle)", "\(middle.nextUp)", "\(middle.nextDown)"] {
        guard let nearest = Float(text), nearest.isFinite else { continue }
        texts.append(text)
        expected.append(nearest)
      }
    }
    let reply = echo(.f32, texts.joined(separator: ","))
    #expect(reply.status == 200)
    let got = first(reply.text).split(separator: ",").compactMap { Float($0) }
    #expect(got.count == expected.count)
    #expect(zip(got, expected).allSatisfy { $0 == $1 && $0.sign == $1.sign })
  }

  @Test func doublesReadBackExactly() {
    let values = (0..<100_000).map { _ in Double(bitPattern: UInt64.random(in: 0 ... .max)) }.filter(\.isFinite)
    let reply = echo(.f64, values.map { "\($0)" }.joined(separator: ","))
    let got = first(reply.text).split(separator: ",").compactMap { Double($0) }
    #expect(got.count == values.count && zip(got, values).allSatisfy { $0 == $1 })
  }

  @Test(arguments: [
    (ElementType.i8, "-128,127,1e2,-1.0,50.0e-1", "-128,127,100,-1,5"), (.u8, "0,255,-0", "0,255,0"), (.i16, "-32768,32767", "-32768,32767"),
    (.u16, "65535", "65535"), (.i32, "-2147483648,2147483647", "-2147483648,2147483647"), (.u32, "4294967295", "4294967295"),
    (.i64, "-9223372036854775808,9223372036854775807,1e18", "-9223372036854775808,9223372036854775807,1000000000000000000"),
    (.u64, "18446744073709551615,18446744073709551614.000", "18446744073709551615,18446744073709551614"),
    (.f16, "65504,0.1,-1e-7", "65504.0,0.1,-1e-07"), (.bf16, "1.0,256,3.140625", "1.0,256.0,3.140625"), (.bool, "true,false", "true,false"),
    (.f32, "16777217,0.1,1e-45,3.4028235e38,-0", "16777216.0,0.1,1e-45,3.4028235e+38,-0.0"), (.f64, "NaN,-Infinity", "NaN,-Infinity"),
  ])
  func extremesFit(_ element: ElementType, _ sent: String, _ expected: String) {
    let reply = echo(element, sent)
    #expect(reply.status == 200, "\(reply.text)")
    #expect(first(reply.text) == expected[...])
  }

  @Test(arguments: [
    (ElementType.i8, "128"), (.i8, "-129"), (.u8, "256"), (.u8, "-1"), (.i16, "32768"), (.i32, "2147483648"), (.u32, "4294967296"),
    (.i64, "9223372036854775808"), (.i64, "-9223372036854775809"), (.u64, "18446744073709551616"), (.u64, "-1"), (.i32, "1.5"), (.i32, "1e-1"),
    (.i32, "NaN"), (.i64, "Infinity"), (.i64, "1e400"), (.i64, "1e999999999999999999999"), (.f32, "1e39"), (.f32, "-3.5e38"), (.f64, "1e309"),
    (.f16, "65520"), (.bf16, "3.4e38"), (.bool, "1"), (.bool, "\"true\""), (.f32, "true"), (.f32, "null"), (.f32, "\"1\""), (.f32, "{}"),
    (.f32, "01"), (.f32, "+1"), (.f32, ".5"), (.f32, "1."), (.f32, "1e"), (.f32, "0x10"), (.f32, "--1"), (.f32, "-NaN"), (.f32, "nan"),
    (.f32, "1,"), (.f32, ",1"), (.f32, "1 2"), (.f32, String(repeating: "9", count: 2000)), (.f32, "1e5e5"), (.u8, "1e2e"),
  ])
  func whatDoesNotFitIsRefused(_ element: ElementType, _ sent: String) {
    let reply = echo(element, sent)
    #expect(reply.status == 400, "\(element) \(sent): \(reply.text)")
  }
}
