import GraphIR
import Interpreter
import TensorTypes
import Testing

@Suite("Contraction") struct ContractionTests {
  @Test(arguments: ["f32", "f64", "f16", "bf16", "i8", "i32", "i64", "u8", "u64"]) func dot(_ element: String) throws {
    let result = try numbers(
      """
      %a = constant dense [[1, 2, 3], [4, 5, 6]] : \(element)[2,3]
      %b = constant dense [[1, 2], [3, 4], [5, 6]] : \(element)[3,2]
      %r = dot %a, %b
      """)
    #expect(result == [22, 28, 49, 64])
  }

  @Test func dotWithBatchesAndOddSizes() throws {
    // Sizes around the tile of two rows and eight columns.
    for (rows, depth, columns) in [(1, 1, 1), (3, 5, 9), (2, 7, 8), (5, 2, 17)] {
      let a = Tensor(.f32, [2, rows, depth], (0..<2 * rows * depth).map { Double($0 % 7) - 3 })
      let b = Tensor(.f32, [2, depth, columns], (0..<2 * depth * columns).map { Double($0 % 5) - 2 })
      var wanted: [Double] = []
      for batch in 0..<2 {
        for i in 0..<rows {
          for j in 0..<columns {
            wanted.append((0..<depth).reduce(0) { $0 + a.doubles[(batch * rows + i) * depth + $1] * b.doubles[(batch * depth + $1) * columns + j] })
          }
        }
      }
      #expect(try Interpreter.evaluate(Dot(), [a, b])[0].doubles == wanted)
    }
  }

  @Test func dotWrapsAndHandlesNothing() throws {
    #expect(try numbers("%a = constant dense [[16, 16]] : i8[1,2]\n%b = constant dense [[16], [1]] : i8[2,1]\n%r = dot %a, %b") == [16])
    #expect(try numbers("%a = constant dense [] : f32[2,0]\n%b = constant dense [] : f32[0,1]\n%r = dot %a, %b") == [0, 0])
    #expect(try numbers("%a = constant dense [] : f32[0,2]\n%b = constant dense [1, 2] : f32[2,1]\n%r = dot %a, %b") == [])
  }

  /// Bytes of either sign, whose products and sums do not wrap.
  @Test func sumsOfBytesAreWide() throws {
    let a = "%a = constant dense [[255, 255], [1, 2]] : u8[2,2]\n", b = "%b = constant dense [[-128, 127], [-128, 3]] : i8[2,2]\n"
    #expect(try numbers(a + b + "%r = dot %a, %b {result = i32}") == [-65280, 33150, -384, 133])
    #expect(try numbers(a + b + "%r = dot %b, %a {result = i32}") == [-32513, -32386, -32637, -32634])
    let x = "%x = constant dense [[[255, 0, 255]]] : u8[1,1,3]\n", f = "%f = constant dense [[[-128, 5, -128]]] : i8[1,1,3]\n"
    #expect(try numbers(x + f + "%r = convolution %x, %f {strides = [1], pads = [1, 1], result = i32}") == [1275, -65280, 1275])
  }

  /// A convolution by its definition, element by element, channels first, any rank.
  private func reference(_ convolution: Convolution, _ x: Tensor, _ f: Tensor) throws -> [Double] {
    let types = try convolution.checkedResultTypes(for: [x.type, f.type])
    let out = try #require(types[0].shape.constants)
    let (input, filter) = (x.doubles, f.doubles)
    let rank = out.count - 2
    let (perGroup, outputsPerGroup) = (f.dimensions[1], f.dimensions[0] / convolution.groups)
    var result: [Double] = []
    let outSpatial = out[2...].reduce(1, *), window = f.dimensions[2...].reduce(1, *), inSpatial = x.dimensions[2...].reduce(1, *)
    for item in 0..<out[0] {
      for o in 0..<out[1] {
        for position in 0..<outSpatial {
          var total = 0.0
          for c in 0..<perGroup {
            nextWindow: for w in 0..<window {
              var (restOut, restWindow, offset, stride) = (position, w, 0, 1)
              for axis in (0..<rank).reversed() {
                let (oi, wi) = (restOut % out[axis + 2], restWindow % f.dimensions[axis + 2])
                restOut /= out[axis + 2]
                restWindow /= f.dimensions[axis + 2]
                let read = oi * convolution.window.strides[axis] - convolution.window.padsLow[axis] + wi * convolution.window.dilations[axis]
                let spread = convolution.inputDilations[axis]
                if read < 0 || read % spread != 0 || read / spread >= x.dimensions[axis + 2] { continue nextWindow }
                offset += read / spread * stride
                stride *= x.dimensions[axis + 2]
              }
              let channel = o / outputsPerGroup * perGroup + c
              total += input[(item * x.dimensions[1] + channel) * inSpatial + offset] * filter[(o * perGroup + c) * window + w]
            }
          }
          result.append(total)
        }
      }
    }
    return result
  }

  private static func window(_ strides: [Int], _ low: [Int], _ high: [Int], _ dilations: [Int]) -> Window {
    Window(strides: strides, padsLow: low, padsHigh: high, dilations: dilations)
  }

  static let cases: [(Convolution, [Int], [Int])] = [
    (Convolution(window: window([1], [0], [0], [1])), [1, 1, 5], [1, 1, 3]),
    (Convolution(window: window([2, 2], [1, 1], [1, 1], [1, 1])), [2, 3, 7, 6], [9, 3, 3, 3]),
    (Convolution(window: window([1, 2], [2, 0], [0, 3], [2, 1])), [1, 4, 6, 5], [17, 4, 2, 3]),
    (Convolution(window: window([1, 1], [1, 1], [1, 1], [1, 1]), groups: 6), [1, 6, 5, 5], [6, 1, 3, 3]),
    (Convolution(window: window([1, 1], [0, 0], [0, 0], [1, 1]), groups: 2), [1, 6, 3, 3], [8, 3, 1, 1]),
    (Convolution(window: window([1, 1], [2, 2], [2, 2], [1, 1]), inputDilations: [2, 3]), [1, 2, 4, 3], [3, 2, 3, 3]),
    (Convolution(window: window([1, 1, 2], [1, 0, 1], [0, 1, 1], [1, 2, 1])), [1, 2, 4, 5, 6], [5, 2, 2, 2, 3]),
  ]

  @Test(arguments: cases) func convolution(_ convolution: Convolution, _ inputSize: [Int], _ filterSize: [Int]) throws {
    let x = Tensor(.f32, inputSize, (0..<inputSize.reduce(1, *)).map { Double($0 * 7 % 11) - 5 })
    let f = Tensor(.f32, filterSize, (0..<filterSize.reduce(1, *)).map { Double($0 * 5 % 7) - 3 })
    let wanted = try reference(convolution, x, f)
    #expect(try Interpreter.evaluate(convolution, [x, f])[0].doubles == wanted)
    let integers = try [x, f].map { try Interpreter.evaluate(Convert(to: .i32), [$0])[0] }
    #expect(try Interpreter.evaluate(convolution, integers)[0].doubles == wanted)

    // The same through channels last.
    var last = convolution
    last.layout = .channelsLast
    let rank = inputSize.count
    let toLast = Transpose([0] + Array(2..<rank) + [1]), filterToLast = Transpose(Array(2..<rank) + [1, 0])
    let y = try Interpreter.evaluate(last, [Interpreter.evaluate(toLast, [x])[0], Interpreter.evaluate(filterToLast, [f])[0]])[0]
    #expect(try Interpreter.evaluate(toLast.inverse, [y])[0].doubles == wanted)
  }

  @Test func convolutionOverPaddingOnly() throws {
    #expect(try numbers("%x = constant dense [] : f32[1,1,0]\n%f = constant dense [1] : f32[1,1,1]\n%r = convolution %x, %f {strides = [1], pads = [1, 1]}") == [0, 0])
    #expect(try numbers("%x = constant dense [] : f32[1,0,2]\n%f = constant dense [] : f32[1,0,1]\n%r = convolution %x, %f {strides = [1]}") == [0, 0])
  }

  private static func pattern(_ dimensions: [Int], period: Int) -> Tensor {
    let count = dimensions.reduce(1, *)
    return Tensor(.f32, dimensions, (0..<count).map { Double($0 % period) / 16 })
  }

  /// The interpreter is the oracle for whole networks: a layer of ResNet-50 must take milliseconds.
  @Test func aLayerOfResNetIsQuick() throws {
    let x = Self.pattern([1, 256, 14, 14], period: 13)
    let f = Self.pattern([256, 256, 3, 3], period: 17)
    let convolution = Convolution(window: Self.window([1, 1], [1, 1], [1, 1], [1, 1]))
    let clock = ContinuousClock()
    let start = clock.now
    _ = try Interpreter.evaluate(convolution, [x, f])
    let seconds = (clock.now - start) / .seconds(1)
    print("interpreter: 115.6 M multiply-adds in \(seconds) s, \(0.1156 / seconds) G/s")
    #expect(seconds < 5)
  }

  @Test func wideningAHundredMegabytesIsQuick() throws {
    let half = Tensor(zeros: .f16, [22_000_000])
    let clock = ContinuousClock()
    let start = clock.now
    _ = try Interpreter.evaluate(Convert(to: .f32), [half])
    let seconds = (clock.now - start) / .seconds(1)
    print("interpreter: 22 M elements from f16 to f32 in \(seconds) s")
    #expect(seconds < 5)
  }
}
