import GraphIR
import Interpreter
import ONNXFrontend
import TensorTypes
import TestSupport
import Testing

/// Operators whose lengths are computed: every operand here is an input of the model.
@Suite("shapes known only while the model runs") struct ComputedShapeTests {
  private func ramp(_ dimensions: [Int]) -> Tensor { Tensor(.f32, dimensions, (0..<dimensions.reduce(1, *)).map(Double.init)) }
  private func truth(_ values: [Int]) -> Tensor { Tensor(.bool, [values.count], values.map(Double.init)) }
  private func scalar(_ value: Int) -> Tensor { Tensor([value], dimensions: []) }

  @Test(arguments: [([3, 2], [3, 2]), ([-1, 2], [3, 2]), ([0, -1], [2, 3]), ([6, 1], [6, 1]), ([-1, 0], [2, 3])])
  func reshapes(_ asked: [Int], _ wanted: [Int]) throws {
    let result = try evaluate("Reshape", [ramp([2, 3]), Tensor(asked)])[0]
    #expect(result.dimensions == wanted)
    #expect(result.doubles == [0, 1, 2, 3, 4, 5])
  }

  @Test func aSingleUnknownLengthIsCheckedAgainstTheOthers() throws {
    let x = ramp([2, 3])
    for length in [6, -1] { #expect(try evaluate("Reshape", [x, Tensor([length])])[0].doubles == [0, 1, 2, 3, 4, 5]) }
    #expect(try evaluate("Reshape", [ramp([6]), Tensor([0])])[0].dimensions == [6])
    #expect(try evaluate("Reshape", [Tensor(.f32, [0], []), Tensor([0])], attributes: [("allowzero", .integer(1))], opset: 14)[0].dimensions == [0])
    for length in [7, 5, -5, 0] { #expect(throws: CompileError.self) { try evaluate("Reshape", [x, Tensor([length])]) } }
  }

  @Test func expands() throws {
    let x = ramp([2, 1])
    let result = try evaluate("Expand", [x, Tensor([3, 1, 2])])[0]
    #expect(result.dimensions == [3, 2, 2])
    #expect(result.doubles == [0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1])
    #expect(try evaluate("Expand", [x, Tensor([0])])[0].dimensions == [2, 0])
    #expect(throws: CompileError.self) { try evaluate("Expand", [x, Tensor([-3])]) }
  }

  @Test(arguments: [(0, 5, 2, [0.0, 2, 4]), (5, 0, -2, [5, 3, 1]), (5, 0, 1, []), (0, 6, 3, [0, 3])])
  func counts(_ start: Int, _ limit: Int, _ delta: Int, _ wanted: [Double]) throws {
    #expect(try evaluate("Range", [scalar(start), scalar(limit), scalar(delta)])[0].doubles == wanted)
    let numbers = [start, limit, delta].map { Tensor(scalar: Double($0), .f32) }
    #expect(try evaluate("Range", numbers)[0].doubles == wanted)
  }

  @Test func aRangeThatHasNoLengthFails() throws {
    for (start, limit, delta) in [(0, 5, 0), (5, 0, 0), (Int.min, Int.max, 1), (Int.max, Int.min, -1), (0, Int.max, 1)] {
      #expect(throws: CompileError.self) { try evaluate("Range", [scalar(start), scalar(limit), scalar(delta)]) }
    }
    for (start, limit, delta) in [(0, Double.nan, 1), (Double.nan, 5, 1), (0, 5, Double.nan), (0, 5, 0), (0, 0, 0), (0, 1e30, 1)] {
      #expect(throws: CompileError.self) { try evaluate("Range", [start, limit, delta].map { Tensor(scalar: $0, .f32) }) }
    }
    #expect(try evaluate("Range", [scalar(3), scalar(0), scalar(.min)])[0].integers == [3])
    #expect(try evaluate("Range", [scalar(0), scalar(.max), scalar(.max)])[0].integers == [0])
  }

  @Test func stepsMayBeLongerThanTheAxisButNotZero() throws {
    func slice(_ start: Int, _ end: Int, _ step: Int) throws -> [Double] {
      try evaluate("Slice", [ramp([4]), Tensor([start]), Tensor([end]), Tensor([step])], constants: [3: Tensor([0])])[0].doubles
    }
    for step in [4, 100, 1 << 62, .max] { #expect(try slice(0, 4, step) == [0]) }
    for step in [-4, -100, -.max, .min] { #expect(try slice(3, -100, step) == [3]) }
    #expect(throws: CompileError.self) { try slice(0, 4, 0) }
  }

  @Test(arguments: [
    ([1], [3], [1], [1.0, 2]), ([-3], [100], [1], [3, 4, 5]), ([4], [2], [1], []), ([-100], [-1], [2], [0, 2, 4]), ([-1], [-100], [-2], [5, 3, 1]),
    ([100], [0], [-1], [5, 4, 3, 2, 1]), ([0], [5], [-1], []),
  ])
  func slices(_ start: [Int], _ end: [Int], _ step: [Int], _ wanted: [Double]) throws {
    let axes = Tensor([0])
    #expect(try evaluate("Slice", [ramp([6]), Tensor(start), Tensor(end), Tensor(step)], constants: [3: axes])[0].doubles == wanted)
    #expect(try evaluate("Slice", [ramp([6]), Tensor(start), Tensor(end)], constants: [3: axes, 4: Tensor(step)])[0].doubles == wanted)
  }

  @Test func padsAndCuts() throws {
    #expect(try evaluate("Pad", [ramp([3]), Tensor([1, -1])])[0].doubles == [0, 0, 1])
    #expect(try evaluate("Pad", [ramp([3]), Tensor([2, 1])], attributes: [("mode", .string("reflect"))])[0].doubles == [2, 1, 0, 1, 2, 1])
    #expect(throws: CompileError.self) { try evaluate("Pad", [ramp([3]), Tensor([-2, -2])]) }
  }

  @Test func repeatsSplitsAndChooses() throws {
    #expect(try evaluate("Tile", [ramp([2]), Tensor([2])])[0].doubles == [0, 1, 0, 1])
    #expect(try evaluate("Split", [ramp([5]), Tensor([2, 3])], outputs: 2).map(\.doubles) == [[0, 1], [2, 3, 4]])
    #expect(try evaluate("TopK", [ramp([5]), Tensor([2])], outputs: 2)[0].doubles == [4, 3])
    #expect(try evaluate("ConstantOfShape", [Tensor([2, 2])])[0].doubles == [0, 0, 0, 0])
    let hot = try evaluate("OneHot", [Tensor([1, 0]), scalar(3), Tensor(.f32, [2], [0, 1])])[0]
    #expect(hot.doubles == [0, 1, 0, 1, 0, 0])
  }

  @Test(arguments: ["nearest", "linear", "cubic"], [false, true]) func resizesAsIfEverythingWereKnown(_ mode: String, _ isSmoothed: Bool) throws {
    if mode == "nearest" && isSmoothed { return }
    let x = Tensor(.f32, [1, 2, 5], [0, 4, 1, 7, 2, 3, 3, 9, 1, 0])
    let attributes: [(String, ONNXFile.Attribute)] = [("mode", .string(mode)), ("antialias", .integer(isSmoothed ? 1 : 0))]
    let empty = Tensor(.f32, [0], [])
    for length in [2, 3, 5, 8] {
      let sizes = Tensor([1, 2, length])
      let known = try evaluate("Resize", [x], attributes: attributes, constants: [1: empty, 2: empty, 3: sizes], opset: 19)[0]
      let computed = try evaluate("Resize", [x, sizes], attributes: attributes, constants: [1: empty, 2: empty], opset: 19)[0]
      #expect(known.dimensions == computed.dimensions)
      #expect(zip(known.doubles, computed.doubles).allSatisfy { abs($0 - $1) < 1e-4 }, "\(length): \(known.doubles) and \(computed.doubles)")
    }
    for scale in [0.5, 1.6] {
      let scales = Tensor(.f32, [3], [1, 1, scale])
      let known = try evaluate("Resize", [x], attributes: attributes, constants: [1: empty, 2: scales], opset: 19)[0]
      let computed = try evaluate("Resize", [x, scales], attributes: attributes, constants: [1: empty], opset: 19)[0]
      #expect(known.dimensions == computed.dimensions)
      #expect(zip(known.doubles, computed.doubles).allSatisfy { abs($0 - $1) < 1e-4 }, "\(scale): \(known.doubles) and \(computed.doubles)")
    }
  }

  @Test func transformsOfComputedLengths() throws {
    let x = Tensor(.f32, [1, 5, 1], [1, 4, 2, 0, 3])
    let axis = scalar(1)
    for length in [4, 5, 7] {
      for isOneSided in [0, 1] {
        let attributes: [(String, ONNXFile.Attribute)] = [("onesided", .integer(isOneSided))]
        let known = try evaluate("DFT", [x], attributes: attributes, constants: [1: scalar(length), 2: axis], opset: 20)[0]
        let computed = try evaluate("DFT", [x, scalar(length)], attributes: attributes, constants: [2: axis], opset: 20)[0]
        #expect(known.dimensions == computed.dimensions)
        #expect(zip(known.doubles, computed.doubles).allSatisfy { abs($0 - $1) < 1e-5 })
      }
    }
    for name in ["HannWindow", "HammingWindow", "BlackmanWindow"] {
      let known = try evaluate(name, [], constants: [0: scalar(7)])[0], computed = try evaluate(name, [scalar(7)])[0]
      #expect(zip(known.doubles, computed.doubles).allSatisfy { abs($0 - $1) < 1e-6 })
    }
  }

  @Test func findsWhatIsNotZero() throws {
    let result = try evaluate("NonZero", [Tensor(.f32, [2, 3], [0, 1, 2, 0, 0, 3])])[0]
    #expect(result.dimensions == [2, 3])
    #expect(result.doubles == [0, 0, 1, 1, 2, 2])
    #expect(try evaluate("NonZero", [Tensor(.f32, [2], [0, 0])])[0].dimensions == [1, 0])
  }

  @Test func compresses() throws {
    #expect(try evaluate("Compress", [ramp([3, 2]), truth([0, 1, 1])], attributes: [("axis", .integer(0))])[0].doubles == [2, 3, 4, 5])
    #expect(try evaluate("Compress", [ramp([3, 2]), truth([0, 1])], attributes: [("axis", .integer(-1))])[0].doubles == [1, 3, 5])
    #expect(try evaluate("Compress", [ramp([3, 2]), truth([0, 1, 0, 0, 1])])[0].doubles == [1, 4])
    // A condition that is too long.
    #expect(try evaluate("Compress", [ramp([3, 2]), truth([1, 0, 1, 1])], attributes: [("axis", .integer(1))])[0].doubles == [0, 2, 4])
    #expect(try evaluate("Compress", [ramp([3, 2]), truth([0, 0, 0, 0, 1, 1, 1, 1])])[0].doubles == [4, 5])
  }

  @Test(arguments: [
    (1, [1.0, 2, 3, 4], [1, 0, 2, 4], [1, 0, 2, 0, 3], [2, 1, 1, 1]), (0, [2, 1, 3, 4], [0, 1, 2, 4], [0, 1, 2, 1, 3], [1, 2, 1, 1]),
  ])
  func listsDifferentElements(_ sorted: Int, _ values: [Double], _ first: [Int], _ inverse: [Int], _ counts: [Int]) throws {
    let x = Tensor(.f32, [5], [2, 1, 3, 1, 4])
    let results = try evaluate("Unique", [x], attributes: [("sorted", .integer(sorted))], outputs: 4)
    #expect(results[0].doubles == values)
    let wantedInverse = sorted == 1 ? [1, 0, 2, 0, 3] : inverse
    #expect(results[1].integers == first)
    #expect(results[2].integers == wantedInverse)
    #expect(results[3].integers == counts)
  }

  @Test func listsDifferentSlices() throws {
    let x = Tensor(.f32, [4, 3], [1, 0, 0, 1, 0, 0, 2, 3, 4, 1, 0, 1])
    let rows = try evaluate("Unique", [x], attributes: [("axis", .integer(0))], outputs: 4)
    #expect(rows[0].dimensions == [3, 3])
    #expect(rows[0].doubles == [1, 0, 0, 1, 0, 1, 2, 3, 4])
    #expect(rows.dropFirst().map(\.integers) == [[0, 3, 2], [0, 0, 2, 1], [2, 1, 1]])
  }

  @Test func suppressesBoxes() throws {
    let boxes = Tensor(.f32, [1, 6, 4], [0, 0, 1, 1, 0, 0.1, 1, 1.1, 0, -0.1, 1, 0.9, 0, 10, 1, 11, 0, 10.1, 1, 11.1, 0, 100, 1, 101])
    let scores = Tensor(.f32, [1, 1, 6], [0.9, 0.75, 0.6, 0.95, 0.5, 0.3])
    func chosen(_ most: Int, _ overlap: Double, _ least: Double) throws -> [Int] {
      try evaluate("NonMaxSuppression", [boxes, scores, Tensor([most]), Tensor(.f32, [1], [overlap]), Tensor(.f32, [1], [least])])[0].integers
    }
    #expect(try chosen(3, 0.5, 0) == [0, 0, 3, 0, 0, 0, 0, 0, 5])
    #expect(try chosen(30, 0.5, 0.4) == [0, 0, 3, 0, 0, 0])
    #expect(try chosen(0, 0.5, 0).isEmpty)
  }

  // MARK: Nothing found

  /// The boxes whose score is high enough, and of those what does not overlap: the end of a detector.
  @Test(arguments: [(6, 0.1), (6, 0.9), (0, 0.1), (1, 0.5)]) func aDetectorMayFindNothing(_ count: Int, _ least: Double) throws {
    var file = ONNXFile()
    file.input("boxes", ["n", "4"])
    file.input("scores", ["n"])
    file.initializer("least", Tensor(scalar: least, .f32))
    file.initializer("zero", Tensor([0]))
    file.initializer("both", Tensor([0, 1]))
    file.initializer("most", Tensor([10]))
    file.initializer("overlap", Tensor(.f32, [1], [0.5]))
    file.node("Greater", ["scores", "least"], ["mask"])
    file.node("NonZero", ["mask"], ["hits"])
    file.node("Squeeze", ["hits", "zero"], ["places"])
    file.node("Gather", ["boxes", "places"], ["kept"])
    file.node("Gather", ["scores", "places"], ["best"])
    file.node("Unsqueeze", ["kept", "zero"], ["allBoxes"])
    file.node("Unsqueeze", ["best", "both"], ["allScores"])
    file.node("NonMaxSuppression", ["allBoxes", "allScores", "most", "overlap"], ["chosen"])
    for name in ["chosen", "kept"] { file.output(name, element: 0) }
    let folder = TemporaryFolder()
    let graph = try loadONNX(path: file.write(to: folder)).graph
    // Far from each other, so that every box is kept.
    let boxes = (0..<count).flatMap { place -> [Double] in
      let corner = Double(10 * place)
      return [corner, corner, corner + 1, corner + 1]
    }
    let scores = (0..<count).map { 0.8 - 0.1 * Double($0) }
    let found = scores.filter { Float($0) > Float(least) }.count
    let results = try Interpreter.evaluate(graph, inputs: [Tensor(.f32, [count, 4], boxes), Tensor(.f32, [count], scores)])
    #expect(results[0].dimensions == [found, 3])
    #expect(results[1].dimensions == [found, 4])
    #expect(results[0].integers == (0..<found).flatMap { [0, 0, $0] })
  }

  @Test(arguments: [0, -1, -100]) func noBoxesAreAskedFor(_ most: Int) throws {
    let boxes = Tensor(.f32, [1, 2, 4], [0, 0, 1, 1, 5, 5, 6, 6]), scores = Tensor(.f32, [1, 1, 2], [0.5, 0.6])
    #expect(try evaluate("NonMaxSuppression", [boxes, scores, Tensor([most])])[0].dimensions == [0, 3])
    #expect(try evaluate("NonMaxSuppression", [boxes, scores], constants: [2: Tensor([most])])[0].dimensions == [0, 3])
    #expect(try evaluate("NonMaxSuppression", [boxes, scores])[0].dimensions == [0, 3])
  }

  @Test func thereAreNoBoxes() throws {
    let boxes = Tensor(.f32, [1, 0, 4], []), scores = Tensor(.f32, [1, 1, 0], [])
    #expect(try evaluate("NonMaxSuppression", [boxes, scores, Tensor([3])])[0].dimensions == [0, 3])
  }

  @Test func nothingIsSelectedFromNothing() throws {
    let x = Tensor(.f32, [0, 4], [])
    #expect(try evaluate("NonZero", [x])[0].dimensions == [2, 0])
    #expect(try evaluate("Compress", [x, truth([])], attributes: [("axis", .integer(0))])[0].dimensions == [0, 4])
    #expect(try evaluate("Compress", [x, truth([])])[0].dimensions == [0])
    #expect(try evaluate("Compress", [ramp([2, 2]), truth([0, 0])], attributes: [("axis", .integer(0))])[0].dimensions == [0, 2])
    let flat = try evaluate("Unique", [x], outputs: 4)
    #expect(flat.map(\.dimensions) == [[0], [0], [0], [0]])
    let byAppearance = try evaluate("Unique", [x], attributes: [("sorted", .integer(0))], outputs: 4)
    #expect(byAppearance.map(\.dimensions) == [[0], [0], [0], [0]])
    let rows = try evaluate("Unique", [x], attributes: [("axis", .integer(0))], outputs: 4)
    #expect(rows.map(\.dimensions) == [[0, 4], [0], [0], [0]])
  }

  @Test func nothingIsLookedUpInNothing() throws {
    let x = Tensor(.f32, [0, 4], [])
    func indices(_ dimensions: [Int]) -> Tensor { Tensor([Int](), dimensions: dimensions) }
    #expect(try evaluate("Gather", [x, indices([0])])[0].dimensions == [0, 4])
    #expect(try evaluate("Gather", [x], constants: [1: indices([0])])[0].dimensions == [0, 4])
    #expect(try evaluate("GatherElements", [x, indices([0, 4])])[0].dimensions == [0, 4])
    #expect(try evaluate("GatherND", [x, indices([0, 1])])[0].dimensions == [0, 4])
    #expect(try evaluate("ScatterElements", [x, indices([0, 4]), x])[0].dimensions == [0, 4])
    #expect(try evaluate("ScatterND", [x, indices([0, 1]), x])[0].dimensions == [0, 4])
    #expect(try evaluate("ArgMax", [x], attributes: [("axis", .integer(1)), ("keepdims", .integer(0))])[0].dimensions == [0])
    // What is asked for has to be there.
    #expect(throws: CompileError.self) { try evaluate("Gather", [x, Tensor([0])]) }
    #expect(throws: CompileError.self) { try evaluate("GatherND", [x, Tensor([0], dimensions: [1, 1])]) }
    #expect(throws: CompileError.self) { try evaluate("ArgMax", [x], attributes: [("axis", .integer(0))]) }
  }

  @Test func aRankThatTheModelDecidesIsRefusedWithItsInputs() throws {
    let error = #expect(throws: CompileError.self) { try evaluate("Unsqueeze", [ramp([3]), Tensor([0])]) }
    #expect(error?.exitCode == 3)
    #expect(error?.dependsOn == ["x1"])
  }
}
