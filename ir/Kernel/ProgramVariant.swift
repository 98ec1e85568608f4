import TensorTypes

extension KernelProgram {
  /// Steps of their own for certain lengths of symbolic axes. The program's `steps` serve all other lengths.
  public struct Variant: Sendable {
    /// The values of symbols for which it runs, at least one.
    public var lengths: SymbolLengths
    /// What takes the place of the program's `steps`.
    public var steps: [Step]
    /// The size of the arena when it runs.
    public var arenaBytes: Extent

    public init(lengths: SymbolLengths, steps: [Step], arenaBytes: Extent) {
      (self.lengths, self.steps, self.arenaBytes) = (lengths, steps, arenaBytes)
    }
  }

  /// The variant for a run under these values of symbols; nil if the program's own steps serve it.
  public func variant(for symbols: [String: Int]) -> Variant? {
    variants.first { variant in variant.lengths.items.allSatisfy { symbols[$0.symbol] == $0.length } }
  }

  /// Takes a program in that computes the same for certain lengths. Kernels with the same code are kept once, and so
  /// are constants with the same bytes.
  ///
  /// - Parameter program: Its memory is planned. Inputs and outputs are those of this program in number and order.
  public mutating func add(variant program: KernelProgram, for lengths: SymbolLengths) {
    precondition(program.variants.isEmpty && program.inputs.count == inputs.count && program.outputs.count == outputs.count, "not a form of this program")
    let firstConstant = constants.count
    let kernelNumbers = program.kernels.map { add($0) }
    constants += program.constants
    var bufferNumbers: [Int] = []
    for buffer in program.buffers {
      var moved = buffer
      switch buffer.placement {
      case .constant(let number): moved.placement = .constant(firstConstant + number)
      case .arena: break
      case .input, .output:
        if let known = buffers.firstIndex(where: { $0.placement == buffer.placement && $0.element == buffer.element }) {
          bufferNumbers.append(known)
          continue
        }
      }
      bufferNumbers.append(buffers.count)
      buffers.append(moved)
    }
    let failureNumbers = program.failures.map { addFailure($0) }
    for symbol in program.computedSymbols where !computedSymbols.contains(symbol) { computedSymbols.append(symbol) }
    let moved = program.steps.map { $0.renumbered(kernels: kernelNumbers, buffers: bufferNumbers, failures: failureNumbers) }
    variants.append(Variant(lengths: lengths, steps: moved, arenaBytes: program.arenaBytes))
    shareConstants()
  }

  /// Stores constants with the same bytes once. True if there were any.
  @discardableResult public mutating func shareConstants() -> Bool {
    var groups: [ConstantFingerprint: [Int]] = [:]
    var kept: [ProgramConstant] = []
    var numbers: [Int] = []
    for constant in constants {
      let fingerprint = ConstantFingerprint(constant.tensor)
      if let known = groups[fingerprint]?.first(where: { kept[$0].tensor.hasSameBytes(as: constant.tensor) }) {
        numbers.append(known)
      } else {
        groups[fingerprint, default: []].append(kept.count)
        numbers.append(kept.count)
        kept.append(constant)
      }
    }
    guard kept.count < constants.count else { return false }
    constants = kept
    for index in buffers.indices {
      if case .constant(let number) = buffers[index].placement { buffers[index].placement = .constant(numbers[number]) }
    }
    return true
  }
}

/// Values of symbols, in the order of their names.
public struct SymbolLengths: Sendable, Hashable, CustomStringConvertible {
  public struct Item: Sendable, Hashable {
    public var symbol: String
    public var length: Int
  }
  public let items: [Item]

  public init(_ values: [String: Int]) { items = values.sorted { $0.key < $1.key }.map { Item(symbol: $0.key, length: $0.value) } }

  public var values: [String: Int] { Dictionary(items.map { ($0.symbol, $0.length) }) { first, _ in first } }

  /// `batch=8, sequence=128`.
  public var description: String { items.map { "\($0.symbol)=\($0.length)" }.joined(separator: ", ") }
}

/// Tells most tensors with different bytes apart without reading them whole: their size and 64 words of them.
private struct ConstantFingerprint: Hashable {
  let byteCount: Int
  let sample: UInt64

  init(_ tensor: Tensor) {
    byteCount = tensor.byteCount
    sample = tensor.withBytes { bytes in
      var sum: UInt64 = 0
      let words = bytes.count / 8
      for place in stride(from: 0, to: words, by: max(1, words / 64)) {
        sum = (sum ^ bytes.loadUnaligned(fromByteOffset: place * 8, as: UInt64.self)) &* 0x9e37_79b9_7f4a_7c15
        sum ^= sum >> 29
      }
      for place in words * 8..<bytes.count { sum = sum &* 31 &+ UInt64(bytes[place]) }
      return sum
    }
  }
}

extension Tensor {
  fileprivate func hasSameBytes(as other: Tensor) -> Bool {
    guard byteCount == other.byteCount else { return false }
    return withBytes { a in
      other.withBytes { b in
        if a.baseAddress == b.baseAddress { return true }
        // Eight words at a time: tables of hundreds of megabytes are compared.
        let words = a.count / 64 * 8
        for place in stride(from: 0, to: words, by: 8) {
          var difference: UInt64 = 0
          for lane in place..<place + 8 {
            difference |= a.loadUnaligned(fromByteOffset: lane * 8, as: UInt64.self) ^ b.loadUnaligned(fromByteOffset: lane * 8, as: UInt64.self)
          }
          if difference != 0 { return false }
        }
        return a[(words * 8)...].elementsEqual(b[(words * 8)...])
      }
    }
  }
}
