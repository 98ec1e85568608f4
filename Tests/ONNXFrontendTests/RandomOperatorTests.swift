import GraphIR
import Interpreter
import ONNXFrontend
import TensorTypes
import Testing

@Suite("random operators") struct RandomOperatorTests {
  private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(values.count) }
  private func variance(_ values: [Double]) -> Double {
    let center = mean(values)
    return mean(values.map { ($0 - center) * ($0 - center) })
  }

  /// The generator's published answer: counter and key zero.
  @Test func bitsAreThoseOfPhilox() throws {
    let result = try Interpreter.evaluate(RandomBits([1], seed: 0, stream: 0), [])
    #expect(UInt64(bitPattern: Int64(result[0].integers[0])) == 0xe169_c58d_6627_e8d5)
  }

  @Test func stepsAndStreamsGiveOtherBits() throws {
    let first = try Interpreter.evaluate(RandomBits([64], seed: 1, stream: 0), [])[0].integers
    let stream = try Interpreter.evaluate(RandomBits([64], seed: 1, stream: 1), [])[0].integers
    let step = try Interpreter.evaluate(RandomBits([64], seed: 1, stream: 0), [Tensor([1], dimensions: [])])[0].integers
    #expect(Set(first + stream + step).count == 192)
  }

  @Test(arguments: [1, 10, 11, 16]) func uniformNumbersFillTheirRange(_ type: Int) throws {
    let values = try evaluate(
      "RandomUniform", [], attributes: [("shape", .integers([40, 500])), ("low", .float(-2)), ("high", .float(6)), ("dtype", .integer(type))])[0].doubles
    #expect(values.allSatisfy { $0 >= -2 && $0 <= 6 })
    // Five standard deviations of the mean and of the variance of as many numbers.
    #expect(abs(mean(values) - 2) < 0.09)
    #expect(abs(variance(values) - 64.0 / 12) < 0.2)
    // Each of 16 parts holds its share, within five standard deviations.
    var counts = [Int](repeating: 0, count: 16)
    for value in values { counts[min(Int((value + 2) * 2), 15)] += 1 }
    #expect(counts.allSatisfy { abs($0 - 1250) < 175 })
  }

  @Test(arguments: [1, 11]) func normalNumbersHaveTheirMoments(_ type: Int) throws {
    let values = try evaluate(
      "RandomNormal", [], attributes: [("shape", .integers([20000])), ("mean", .float(1)), ("scale", .float(3)), ("dtype", .integer(type))])[0].doubles
    #expect(abs(mean(values) - 1) < 0.11)
    #expect(abs(variance(values) - 9) < 0.45)
    let standard = values.map { ($0 - 1) / 3 }
    #expect(abs(mean(standard.map { $0 * $0 * $0 })) < 0.14)
    #expect(abs(mean(standard.map { $0 * $0 * $0 * $0 }) - 3) < 0.4)
    // Neighbours know nothing of each other.
    #expect(abs(mean(zip(standard, standard.dropFirst()).map(*))) < 0.036)
    #expect(standard.count { abs($0) > 3 } > 20)
  }

  @Test func oneSeedGivesOneSequence() throws {
    func draw(_ seed: Float?) throws -> [Double] {
      let attributes: [(String, ONNXFile.Attribute)] = [("shape", .integers([8]))] + (seed.map { [("seed", .float($0))] } ?? [])
      return try evaluate("RandomNormal", [], attributes: attributes)[0].doubles
    }
    #expect(try draw(1) == draw(1))
    #expect(try draw(nil) == draw(nil))
    #expect(try draw(1) != draw(2))
    #expect(try draw(1) != draw(nil))
  }

  @Test func bernoulliFollowsItsProbabilities() throws {
    let x = Tensor(.f32, [3, 4000], [Double](repeating: 0, count: 4000) + [Double](repeating: 0.25, count: 4000) + [Double](repeating: 1, count: 4000))
    let drawn = try evaluate("Bernoulli", [x], attributes: [("dtype", .integer(7))])[0].integers
    #expect(drawn[..<4000].allSatisfy { $0 == 0 })
    #expect(drawn[8000...].allSatisfy { $0 == 1 })
    #expect(abs(drawn[4000..<8000].reduce(0, +) - 1000) < 137)
  }

  @Test func multinomialFollowsItsWeights() throws {
    let x = Tensor(.f32, [2, 3], [0, -.infinity, 1.0986123, 5, 5, -.infinity])
    let result = try evaluate("Multinomial", [x], attributes: [("sample_size", .integer(4000)), ("dtype", .integer(7))])[0]
    #expect(result.dimensions == [2, 4000])
    let (first, second) = (result.integers[..<4000], result.integers[4000...])
    #expect(first.allSatisfy { $0 == 0 || $0 == 2 })
    #expect(abs(first.count { $0 == 2 } - 3000) < 137)
    #expect(abs(second.count { $0 == 1 } - 2000) < 158)
    #expect(!second.contains(2))
  }

  @Test func dropoutKeepsTheMeanInTraining() throws {
    let x = Tensor(.f32, [20000], [Double](repeating: 1, count: 20000))
    let constants = [1: Tensor(scalar: 0.25, .f32), 2: Tensor(scalar: 1, .bool)]
    let results = try evaluate("Dropout", [x], constants: constants, outputs: 2)
    #expect(zip(results[0].doubles, results[1].integers).allSatisfy { abs($0 - ($1 == 1 ? 4.0 / 3 : 0)) < 1e-6 })
    #expect(abs(mean(results[0].doubles) - 1) < 0.021)
    let idle = try evaluate("Dropout", [x], constants: [1: Tensor(scalar: 0.25, .f32), 2: Tensor(scalar: 0, .bool)], outputs: 2)
    #expect(idle[0].doubles.allSatisfy { $0 == 1 } && idle[1].integers.allSatisfy { $0 == 1 })
  }
}
