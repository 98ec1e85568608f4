/// What lowering needs to know of the machine.
public struct LoweringTarget: Sendable, Hashable {
  /// Lanes of an f32 vector: 16 with AVX-512, 8 with AVX, 4 otherwise.
  public var lanes: Int
  /// Vector registers: 32 with AVX-512, else 16.
  public var registers: Int
  /// Threads the program should be able to use; 1 means no parallel loops at all.
  public var threads: Int
  /// Whether convolutions may be done by Winograd's method.
  public var winograd: WinogradUse
  /// Whether products may leave out the zeros of a constant operand.
  public var usesSparseProducts = true
  /// Whether filters that were quantized are stored in 8 bits, and unpacked in front of their tiles.
  public var narrowsFilters = true
  /// Rounds of a loop whose number is not known before, and whose results are stacked: room is kept for so many. Nil: for
  /// `usualMaximumRounds`, unless they are very large.
  public var maximumRounds: Int?
  public init(lanes: Int, registers: Int, threads: Int, winograd: WinogradUse = .automatic, maximumRounds: Int? = nil) {
    (self.lanes, self.registers, self.threads, self.winograd, self.maximumRounds) = (lanes, registers, threads, winograd, maximumRounds)
  }

  public static let usualMaximumRounds = 65_536

  /// Fewer element operations than this are not worth a hand-off to other threads (about 2 µs).
  var parallelThreshold: Int { 16_384 }
}

/// Whether 3x3 convolutions may be done by Winograd's method, which multiplies less and rounds differently.
public enum WinogradUse: String, Sendable, Hashable, CaseIterable {
  /// Where it is estimated to be faster.
  case automatic = "auto"
  case off
  /// F(2x2, 3x3) or F(4x4, 3x3) for every convolution that it applies to.
  case two = "2"
  case four = "4"

  /// The sizes of tiles to consider.
  var sizes: [Int] {
    switch self {
    case .automatic: [4, 2]
    case .off: []
    case .two: [2]
    case .four: [4]
    }
  }
  /// True if the direct method is no candidate where another one applies.
  var isForced: Bool { self == .two || self == .four }
}
