internal import CRuntime

/// Owns the arrays that a call of compiled code takes, so that calling it again allocates nothing.
///
/// All pointers of the C boundary are here: `Session` decides what they point to.
struct CallFrame: ~Copyable {
  private let run: UnsafeMutablePointer<ingot_run>
  private let inputs: UnsafeMutablePointer<UnsafeRawPointer?>
  private let outputs: UnsafeMutablePointer<UnsafeMutableRawPointer?>
  private let symbols: UnsafeMutablePointer<Int64>
  private let profile: UnsafeMutablePointer<Int64>
  private let used: UnsafeMutablePointer<Int64>
  let stepCount: Int

  init(inputCount: Int, outputCount: Int, symbolCount: Int, stepCount: Int, pool: ThreadPool?, threads: Int) {
    run = .allocate(capacity: 1)
    used = .allocate(capacity: 1)
    used.initialize(to: 0)
    let context = ingot_context(
      parallel: ingot_run_parallel, pool: pool?.raw.map { UnsafeMutableRawPointer($0) }, threads: Int64(threads), profile: nil, arena_bytes: 0, arena_used: used, text: nil, text_state: nil, stop: nil)
    run.initialize(to: ingot_run(context: context, members: 0))
    inputs = .allocate(capacity: max(inputCount, 1))
    inputs.initialize(repeating: nil, count: max(inputCount, 1))
    outputs = .allocate(capacity: max(outputCount, 1))
    outputs.initialize(repeating: nil, count: max(outputCount, 1))
    symbols = .allocate(capacity: max(symbolCount, 1))
    symbols.initialize(repeating: 0, count: max(symbolCount, 1))
    profile = .allocate(capacity: max(stepCount, 1))
    profile.initialize(repeating: 0, count: max(stepCount, 1))
    self.stepCount = stepCount
  }

  deinit {
    run.deallocate()
    inputs.deallocate()
    outputs.deallocate()
    symbols.deallocate()
    profile.deallocate()
    used.deallocate()
  }

  func setInput(_ index: Int, _ address: UnsafeRawPointer) { inputs[index] = address }
  func setOutput(_ index: Int, _ address: UnsafeMutableRawPointer?) { outputs[index] = address }
  /// Where the code says that an output lies.
  func output(_ index: Int) -> UnsafeMutableRawPointer? { outputs[index] }
  func setSymbol(_ index: Int, _ value: Int) { symbols[index] = Int64(value) }
  func symbol(_ index: Int) -> Int { Int(symbols[index]) }

  /// Lets the code ask for text. The service outlives the frame.
  func setText(_ service: TextService) {
    run.pointee.context.text = TextService.entry
    run.pointee.context.text_state = Unmanaged.passUnretained(service).toOpaque()
  }
  /// Lets another thread end a run. The sign outlives the frame.
  func setStop(_ sign: StopSign) { run.pointee.context.stop = UnsafePointer(sign.word) }
  /// How many bytes the code may use of the arena, where it decides that itself.
  func setArenaBytes(_ count: Int) { run.pointee.context.arena_bytes = Int64(count) }
  /// The most bytes that such code has used since this was last set to 0.
  var usedArenaBytes: Int {
    get { Int(used.pointee) }
    nonmutating set { used.pointee = Int64(newValue) }
  }

  /// Starts or stops counting cycles per step.
  func setProfiling(_ isOn: Bool) { run.pointee.context.profile = isOn ? profile : nil }
  func cycles(ofStep step: Int) -> Int { Int(profile[step]) }
  func clearProfile() { profile.update(repeating: 0, count: max(stepCount, 1)) }

  /// Runs the code; 0 or 1 + the index of a failure.
  func call(_ entry: UnsafeRawPointer, constants: UnsafeRawPointer, arena: UnsafeMutableRawPointer) -> Int {
    Int(ingot_run_call(run, entry, inputs, outputs, constants, arena, symbols))
  }
}
