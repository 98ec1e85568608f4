import GraphIR
import TensorTypes

/// Numbers that look random and are the same on every machine (SplitMix64).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  private var state: UInt64
  public init(seed: UInt64) { state = seed }
  public mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}

extension Graph {
  /// A small number for each symbol that `chosen` does not name: 2, 3, 4, 5, 2, ... or, from `least` 8 on, all the same.
  public func smallBinding(_ chosen: [String: Int] = [:], atLeast least: Int = 2) -> [String: Int] {
    var binding = chosen
    for (position, symbol) in symbols.enumerated() where binding[symbol] == nil { binding[symbol] = least < 8 ? least + position % 4 : least }
    return binding
  }

  /// What random strings are chosen from: texts that the graph names and some that it does not.
  private var words: [Text] {
    var found: [Text] = ["", "one", "Two words", "12", "a,b", "Grün"]
    for id in topologicalOrder() where found.count < 64 {
      if let tensor = (node(id).operation as? Constant)?.tensor, tensor.element == .string { found += tensor.texts.prefix(16) }
    }
    return found
  }

  /// Inputs for a comparison: floating point in -1..<1, integers in 0..<4, truth values, strings that the graph knows and others.
  ///
  /// - Throws: `CompileError` if a shape does not follow from the symbols.
  public func randomInputs(seed: UInt64, symbols: [String: Int]) throws(CompileError) -> [Tensor] {
    var generator = SeededGenerator(seed: seed)
    let words = self.words
    var tensors: [Tensor] = []
    for input in inputs {
      let type = type(of: input)
      guard let dimensions = type.shape.evaluated(symbols), let count = elementCount(of: dimensions), count < 1 << 30 else {
        throw CompileError(.badInput, "no random numbers for input `\(value(input).name)` of type \(type)", stage: .run)
      }
      if type.element == .string {
        tensors.append(Tensor(texts: (0..<count).map { _ in words[Int(generator.next() % UInt64(words.count))] }, dimensions: dimensions))
        continue
      }
      tensors.append(
        Tensor(type.element, dimensions) { bytes in
          for position in 0..<count {
            let bits = generator.next() >> 11
            if type.element.isFloatingPoint {
              Tensor.store(Double(bits) * 0x1p-52 - 1, type.element, bytes, position)
            } else {
              Tensor.store(Int(bits % (type.element == .bool ? 2 : 4)), type.element, bytes, position)
            }
          }
        })
    }
    return tensors
  }
}
