import TensorTypes

extension KernelProgram {
  /// What a program does in one step. Most are calls; the others decide what is called, and find the sizes that only a run knows.
  ///
  /// A computed symbol is bound by `define`, `set`, `advance` or as the counter of a `repeatWhile`, and may be bound again, in loops or in
  /// both arms of a branch. No buffer is touched before the symbols of its size are bound. When a symbol is bound again, the contents of
  /// the buffers whose size names it are void, but for those that `advance` moves.
  public indirect enum Step: Sendable {
    case call(Call)
    /// Runs the steps `count` times; `symbol` counts from 0 in the extents of the body.
    case loop(symbol: String, count: Extent, body: [Step])
    /// Binds computed symbols to the i64 elements at the view. A value below 0 or above `largestComputedValue` fails the run.
    case define(symbols: [String], from: View, failure: Int)
    /// Binds a computed symbol to the value of an extent. A value below 0 or above `largestComputedValue`, or one that leaves 64 bits, fails the run.
    case set(symbol: String, to: Extent, failure: Int)
    /// Fails the run unless the condition holds. An extent that leaves 64 bits breaks every condition.
    case require(Requirement, Extent, failure: Int)
    /// Runs one of two lists of steps. The view is one bool.
    case branch(if: View, then: [Step], else: [Step])
    /// Runs the steps as long as the bool at the view is true, which is read before each round. `symbol` is a computed symbol: it counts from
    /// 0 in the extents of the body, and is the number of rounds afterwards.
    case repeatWhile(View, symbol: String, body: [Step])
    /// The last step of a loop's body, where values whose sizes change from round to round are carried. Binds all symbols at once to extents
    /// over the old values, then moves bytes to buffers whose sizes name the new ones.
    ///
    /// The symbols are bound first by `set` steps right before the loop: nothing else is bound between those and the loop.
    /// Sizes that are out of range fail the run as with `set`.
    case advance(Advance)
    /// Says where in memory an output lies whose size names a computed symbol. The view keeps its contents to the end of the run.
    case export(View, output: Int)
    /// Binds the symbol of a region of the arena to its first byte, behind all that is reserved at this moment. Each round of a loop begins with what
    /// was reserved before the loop. Memory planning adds these steps.
    case reserve(Region, failure: Int)
    /// Asks whoever runs the program to make or read text.
    case text(TextCall)
  }

  /// See `Step.text`.
  public struct TextCall: Sendable {
    public var function: TextFunction
    /// As many as the function reads; the table of a pattern comes second. Strings are their numbers.
    public var arguments: [View]
    public var result: View
    /// The number of elements of the first argument, and how many of the result belong to each.
    public var count: Extent
    public var width: Extent
    public var failure: Int
    public init(_ function: TextFunction, _ arguments: [View], result: View, count: Extent, width: Extent, failure: Int) {
      (self.function, self.arguments, self.result, self.count, self.width, self.failure) = (function, arguments, result, count, width, failure)
    }
  }

  /// What `Step.require` demands of an extent.
  public enum Requirement: String, Sendable, Hashable { case zero, nonNegative }

  /// See `Step.advance`.
  public struct Advance: Sendable {
    public struct Binding: Sendable {
      public var symbol: String
      public var value: Extent
      public init(_ symbol: String, to value: Extent) { (self.symbol, self.value) = (symbol, value) }
    }
    public struct Move: Sendable {
      public var from: View
      public var to: View
      /// Over the values before the step.
      public var elementCount: Extent
      public init(from: View, to: View, elementCount: Extent) { (self.from, self.to, self.elementCount) = (from, to, elementCount) }
    }
    public var bindings: [Binding]
    public var moves: [Move]
    /// Where the moved values lie afterwards; memory planning says it.
    public var region: Region?
    public var failure: Int
    public init(_ bindings: [Binding], moves: [Move], failure: Int) { (self.bindings, self.moves, self.failure) = (bindings, moves, failure) }
  }

  /// A part of the arena whose size is known when a computed symbol is.
  public struct Region: Sendable {
    /// Names the region's first byte in the places of buffers; no other extent mentions it.
    public var symbol: String
    public var byteCount: Extent
    public init(symbol: String, byteCount: Extent) { (self.symbol, self.byteCount) = (symbol, byteCount) }
  }

  /// No length is larger: a product of it with the size of an element stays far from 64 bits.
  public static let largestComputedValue = 1 << 40

  /// Every call of some steps, in order, those inside loops once.
  public static func calls(of steps: [Step]) -> [Call] {
    steps.flatMap { step -> [Call] in
      if case .call(let call) = step { return [call] }
      return step.bodies.flatMap { calls(of: $0) }
    }
  }
}

extension KernelProgram.Step {
  /// The lists of steps inside it, in the order of the text form.
  public var bodies: [[Self]] {
    switch self {
    case .loop(_, _, let body), .repeatWhile(_, _, let body): [body]
    case .branch(_, let then, let otherwise): [then, otherwise]
    case .call, .define, .set, .require, .advance, .export, .reserve, .text: []
    }
  }

  /// The parts of buffers that it touches itself, not in its bodies: those it reads, and those it writes.
  ///
  /// - Parameter kernels: The program's.
  public func views(_ kernels: [Kernel]) -> (read: [KernelProgram.View], written: [KernelProgram.View]) {
    switch self {
    case .call(let call):
      guard kernels.indices.contains(call.kernel) else { return (call.arguments, call.arguments) }
      let accesses = kernels[call.kernel].accesses
      return (zip(call.arguments, accesses).filter { $1 != .write }.map(\.0), zip(call.arguments, accesses).filter { $1 != .read }.map(\.0))
    case .define(_, let view, _), .branch(let view, _, _), .repeatWhile(let view, _, _), .export(let view, _): return ([view], [])
    case .advance(let advance): return (advance.moves.map(\.from), advance.moves.map(\.to))
    case .text(let text): return (text.arguments, [text.result])
    case .loop, .set, .require, .reserve: return ([], [])
    }
  }

  /// The computed symbols that it binds itself.
  public var boundSymbols: [String] {
    switch self {
    case .define(let symbols, _, _): symbols
    case .set(let symbol, _, _), .repeatWhile(_, let symbol, _): [symbol]
    case .advance(let advance): advance.bindings.map(\.symbol)
    case .call, .loop, .require, .branch, .export, .reserve, .text: []
    }
  }

  /// The same step, and those inside it, of a program that counts its kernels, buffers and failures otherwise.
  func renumbered(kernels: [Int], buffers: [Int], failures: [Int]) -> Self {
    func moved(_ view: KernelProgram.View) -> KernelProgram.View { .init(buffers[view.buffer], offset: view.elementOffset) }
    func moved(_ steps: [Self]) -> [Self] { steps.map { $0.renumbered(kernels: kernels, buffers: buffers, failures: failures) } }
    switch self {
    case .call(var call):
      call.kernel = kernels[call.kernel]
      call.arguments = call.arguments.map(moved)
      return .call(call)
    case .loop(let symbol, let count, let body): return .loop(symbol: symbol, count: count, body: moved(body))
    case .define(let symbols, let view, let failure): return .define(symbols: symbols, from: moved(view), failure: failures[failure])
    case .set(let symbol, let extent, let failure): return .set(symbol: symbol, to: extent, failure: failures[failure])
    case .require(let kind, let extent, let failure): return .require(kind, extent, failure: failures[failure])
    case .branch(let view, let then, let otherwise): return .branch(if: moved(view), then: moved(then), else: moved(otherwise))
    case .repeatWhile(let view, let symbol, let body): return .repeatWhile(moved(view), symbol: symbol, body: moved(body))
    case .advance(var advance):
      advance.moves = advance.moves.map { .init(from: moved($0.from), to: moved($0.to), elementCount: $0.elementCount) }
      advance.failure = failures[advance.failure]
      return .advance(advance)
    case .export(let view, let output): return .export(moved(view), output: output)
    case .reserve(let region, let failure): return .reserve(region, failure: failures[failure])
    case .text(var text):
      text.arguments = text.arguments.map(moved)
      text.result = moved(text.result)
      text.failure = failures[text.failure]
      return .text(text)
    }
  }
}

extension [KernelProgram.Step] {
  /// The symbols that the steps bind without regard to what they were before: not those that only an `advance` carries on.
  public var symbolsBoundAnew: Set<String> {
    reduce(into: []) { found, step in
      if case .advance = step { return }
      found.formUnion(step.boundSymbols)
      for body in step.bodies { found.formUnion(body.symbolsBoundAnew) }
    }
  }
}
