import TensorTypes

/// 64 random bits for each element, from a generator that counts (Philox 4x32-10).
///
///     %r = random {shape = [2, sequence], seed = 7, stream = 0} : u64[2,sequence]
///     %r = random %step {shape = [16], seed = 7, stream = 0} : u64[16]
///
/// Element i holds the first two words of the block whose counter is (i, `stream`, `step`) under the key `seed`, the first one low.
/// So the operation has no state: it gives the same bits each time it runs, in any order and for any number of threads.
/// - Operands: optionally `step`, an i64 scalar, of which the low 32 bits count: a loop that draws in each round gives its number.
/// - Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
public struct RandomBits: Operation {
  public var shape: Shape
  /// The key; 64 bits, of any sign.
  public var seed: Int
  /// Tells draws of one model apart; from 0 to 2^32 - 1.
  public var stream: Int
  public init(_ shape: Shape, seed: Int, stream: Int) { (self.shape, self.seed, self.stream) = (shape, seed, stream) }

  /// The generator's constants: what the counter is multiplied by, and what each round adds to the key.
  public static let multipliers: (UInt32, UInt32) = (0xD251_1F53, 0xCD9E_8D57)
  public static let keyIncrements: (UInt32, UInt32) = (0x9E37_79B9, 0xBB67_AE85)
  public static let rounds = 10

  public static let mnemonics = ["random"]
  public var arity: ClosedRange<Int> { 0...1 }
  public var attributes: Attributes {
    var list = Attributes()
    list.set("shape", .extents(shape.extents))
    list.set("seed", .integer(seed))
    list.set("stream", .integer(stream))
    return list
  }
  public init(mnemonic: String, attributes: Attributes, regions: [Graph]) throws(TypeError) {
    self.init(Shape(try attributes.extents("shape")), seed: try attributes.integer("seed"), stream: try attributes.integer("stream"))
  }
  public func resultTypes(for operands: [TensorType]) throws(TypeError) -> [TensorType] {
    guard (0...Int(UInt32.max)).contains(stream) else { throw TypeError("the stream of `random` is \(stream), not a number of 32 bits") }
    if let step = operands.first, step != TensorType(.i64, []) { throw TypeError("the step of `random` is \(step), not i64[]") }
    return [TensorType(.u64, shape)]
  }
  public func substituting(_ bindings: [String: Extent]) -> RandomBits { RandomBits(shape.substituting(bindings), seed: seed, stream: stream) }
}
