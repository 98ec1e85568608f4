internal import CRuntime
internal import TensorTypes

/// Computes text for compiled code, and knows the numbers of all strings of a run.
///
/// The model's own strings have fixed numbers. Those that inputs bring come behind them, then those that a run makes; both are
/// forgotten when the next ones come, so that a server that runs for long does not grow.
///
/// A class, because compiled code holds its address while it runs.
final class TextService {
  private let functions: [TextFunction]
  private var strings: StringNumbering
  private let modelCount: Int
  private var boundCount: Int
  /// Why the last call failed.
  private(set) var failure: TextError?

  init(functions: [TextFunction], strings: StringNumbering) {
    self.functions = functions
    self.strings = strings
    modelCount = strings.texts.count
    boundCount = modelCount
  }

  /// The tensors with strings under the numbers of this run.
  func bind(_ inputs: [Tensor]) throws(RunError) -> [Tensor] {
    strings.truncate(to: modelCount)
    do throws(TextError) {
      var bound: [Tensor] = []
      for tensor in inputs {
        if tensor.element != .string { bound.append(tensor) } else {
          let numbers = try tensor.renumbered(by: &strings)
          bound.append(Tensor(.string, tensor.dimensions) { bytes in numbers.withUnsafeBytes { bytes.copyMemory(from: $0) } })
        }
      }
      boundCount = strings.texts.count
      return bound
    } catch { throw .text(error) }
  }

  /// Forgets what the last run made.
  func beginRun() {
    strings.truncate(to: boundCount)
    failure = nil
  }

  /// The elements of a result, which hold numbers, as a tensor of its own.
  func tensor(_ numbers: UnsafeRawBufferPointer, _ dimensions: [Int]) -> Tensor {
    let texts = (0..<numbers.count / 8).map { strings.text(Int(numbers.loadUnaligned(fromByteOffset: $0 * 8, as: Int64.self))) }
    return Tensor(texts: texts, dimensions: dimensions)
  }

  /// What compiled code calls; false if it fails.
  private func compute(_ function: Int, _ arguments: UnsafePointer<UnsafeRawPointer?>, _ result: UnsafeMutableRawPointer, count: Int, width: Int) -> Bool {
    guard functions.indices.contains(function) else { return false }
    var addresses: [UnsafeRawPointer] = []
    for position in 0..<functions[function].argumentCount { if let address = arguments[position] { addresses.append(address) } }
    do throws(TextError) {
      try functions[function].apply(addresses, result, count: count, width: width, strings: &strings)
      return true
    } catch {
      failure = error
      return false
    }
  }

  /// The function that goes into a context, with this object's address as its state.
  static let entry: @convention(c) (UnsafeMutableRawPointer?, Int64, UnsafePointer<UnsafeRawPointer?>?, UnsafeMutableRawPointer?, Int64, Int64) -> Int32 = {
    state, function, arguments, result, count, width in
    guard let state, let arguments, let result else { return 1 }
    let service = Unmanaged<TextService>.fromOpaque(state).takeUnretainedValue()
    return service.compute(Int(function), arguments, result, count: Int(count), width: Int(width)) ? 0 : 1
  }
}
