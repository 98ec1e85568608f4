import KernelIR
import TensorTypes

/// A kernel as closures: variables and locals have places, extents are numbered.
struct KernelCode {
  typealias StatementCode = (KernelFrame) throws(KernelError) -> Void

  let kernel: Kernel
  private(set) var extents: [Extent] = []
  private var slots: [Variable: Int] = [:]
  private var starts: [Local: Int] = [:]
  private var localCount = 0
  private var body: [StatementCode] = []

  init(_ kernel: Kernel) throws(KernelError) {
    try kernel.verify()
    self.kernel = kernel
    for statement in kernel.body { body.append(try compile(statement)) }
  }

  /// Runs the kernel once.
  func run(_ buffers: [KernelMemory], symbols: [String: Int]) throws(KernelError) {
    var values: [Int64] = []
    for extent in extents {
      guard let value = extent.evaluated(symbols) else { throw KernelError(kernel: kernel.name, message: "extent `\(extent)` has no value for \(symbols)") }
      values.append(Int64(value))
    }
    let frame = KernelFrame(kernel: kernel.name, buffers: buffers, extents: values, variables: slots.count, locals: localCount)
    for statement in body { try statement(frame) }
  }

  // MARK: Places

  mutating func slot(of variable: Variable) -> Int {
    if let slot = slots[variable] { return slot }
    slots[variable] = slots.count
    return slots.count - 1
  }

  mutating func start(of local: Local) -> Int {
    if let start = starts[local] { return start }
    starts[local] = localCount
    localCount += local.count
    return localCount - local.count
  }

  mutating func position(of extent: Extent) -> Int {
    if let position = extents.firstIndex(of: extent) { return position }
    extents.append(extent)
    return extents.count - 1
  }

  // MARK: Statements

  private mutating func compile(_ statements: [Statement]) throws(KernelError) -> StatementCode {
    var codes: [StatementCode] = []
    for statement in statements { codes.append(try compile(statement)) }
    return { frame throws(KernelError) in for code in codes { try code(frame) } }
  }

  private mutating func compile(_ statement: Statement) throws(KernelError) -> StatementCode {
    switch statement {
    case .loop(let loop):
      // Every kind of loop means the same numbers; only their order may differ.
      let (lower, upper) = (try indexCode(loop.lower), try indexCode(loop.upper))
      let (slot, step) = (slot(of: loop.variable), Int64(loop.step))
      let body = try compile(loop.body)
      return { frame throws(KernelError) in
        var index = try lower(frame)
        let end = try upper(frame)
        while index < end {
          frame[variable: slot] = UInt64(bitPattern: index)
          try body(frame)
          let (next, overflowed) = index.addingReportingOverflow(step)
          if overflowed { return }
          index = next
        }
      }
    case .bind(let variable, let value):
      let (code, slot) = (try compile(value).bits, slot(of: variable))
      return { frame throws(KernelError) in frame[variable: slot] = try code(frame) }
    case .allocate(let local):
      let start = start(of: local)
      return { frame throws(KernelError) in frame.forget(start, local.count) }
    case .store(let buffer, let index, let value):
      let (slot, index) = (buffer.slot, try indexCode(index))
      switch try compile(value) {
      case .real(let value): return { frame throws(KernelError) in try frame.store(slot, try index(frame), try value(frame)) }
      case .signed(let value): return { frame throws(KernelError) in try frame.store(slot, try index(frame), try value(frame)) }
      case .unsigned(let value): return { frame throws(KernelError) in try frame.store(slot, try index(frame), try value(frame)) }
      }
    case .assign(let local, let index, let value):
      let (start, index, code) = (start(of: local), try indexCode(index), try compile(value).bits)
      return { frame throws(KernelError) in try frame.write(local, at: start, try index(frame), try code(frame)) }
    case .accumulate(let local, let index, let reducer, let value):
      let sum = try combine(reducer.function, try compile(.local(local, index)), try compile(value), local.element).bits
      let (start, index) = (start(of: local), try indexCode(index))
      return { frame throws(KernelError) in try frame.write(local, at: start, try index(frame), try sum(frame)) }
    case .branch(let condition, let then, let otherwise):
      let (test, yes, no) = (try indexCode(condition), try compile(then), try compile(otherwise))
      return { frame throws(KernelError) in if try test(frame) != 0 { try yes(frame) } else { try no(frame) } }
    case .prefetch: return { _ in }
    case .repeatWhile(let condition, let body):
      let (test, code) = (try indexCode(condition), try compile(body))
      return { frame throws(KernelError) in
        while try test(frame) != 0 {
          try frame.countRound()
          try code(frame)
        }
      }
    }
  }
}
