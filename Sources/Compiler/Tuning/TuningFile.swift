import Artifact
import Foundation
public import GraphIR
import LLVMCodegen
import Lowering

/// Which candidate was measured to be the fastest for which kernel, on which kind of machine: a file to keep beside the model.
///
/// Text, sorted, a kernel a line, so that it merges and reads well under version control. Entries of other machines are kept.
public struct TuningFile: Sendable, Hashable {
  /// A target that code is generated for: the answers depend on it and on nothing else of the machine at hand, so that the same model, options and
  /// file give the same bytes everywhere.
  public struct Machine: Sendable, Hashable, Comparable {
    public var cpu: String
    public var features: [String]
    /// - Parameters:
    ///   - cpu: LLVM's name.
    ///   - features: Of `Target.features`, in the same order.
    public init(cpu: String, features: [String]) { (self.cpu, self.features) = (cpu, features) }
    /// The machines that code for the target runs on.
    public init(_ target: Target) { self.init(cpu: target.cpu, features: target.features) }
    /// The order in the file.
    public static func < (a: Machine, b: Machine) -> Bool { (a.cpu, a.features.joined(separator: " ")) < (b.cpu, b.features.joined(separator: " ")) }
  }
  /// How long a candidate took: the median, on the threads that the kernel was compiled for.
  public struct Measurement: Sendable, Hashable {
    public var candidate: String
    public var nanoseconds: Int
    /// - Parameter candidate: Its name among the candidates of the kernel.
    public init(candidate: String, nanoseconds: Int) { (self.candidate, self.nanoseconds) = (candidate, nanoseconds) }
  }
  /// The answer for one kernel.
  public struct Entry: Sendable, Hashable {
    /// The fastest, and then the others that were measured.
    public var best: Measurement
    public var others: [Measurement]
    /// - Parameter others: Fastest first.
    public init(best: Measurement, others: [Measurement]) { (self.best, self.others) = (best, others) }
  }

  public private(set) var entries: [Machine: [String: Entry]] = [:]

  /// A file without entries.
  public init() {}

  public subscript(machine: Machine, problem: String) -> Entry? {
    get { entries[machine]?[problem] }
    set { entries[machine, default: [:]][problem] = newValue }
  }

  /// The number of kernels, over all machines.
  public var count: Int { entries.values.reduce(0) { $0 + $1.count } }

  /// Takes over the entries of another file; where both have one, the other's.
  public mutating func merge(_ other: TuningFile) {
    for (machine, kernels) in other.entries { entries[machine, default: [:]].merge(kernels) { _, new in new } }
  }

  /// What lowering asks for one target.
  func answers(for target: Target) -> KernelAnswers {
    KernelAnswers((entries[Machine(target)] ?? [:]).mapValues { KernelAnswers.Answer(candidate: $0.best.candidate, nanoseconds: $0.best.nanoseconds) })
  }

  /// Where the file of a model is looked for: `model.tuning.json` beside `model.onnx`.
  public static func path(besideModel path: String) -> String {
    let source = ModelSource(path: path)
    let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    return folder + source.name + ".tuning.json"
  }
}

// MARK: Text

extension TuningFile {
  private static let formatName = "ingot-tuning"
  private static let formatVersion = 1

  public var text: String {
    var lines = ["{\"format\": \"\(Self.formatName)\", \"version\": \(Self.formatVersion), \"machines\": ["]
    let machines = entries.keys.sorted().filter { entries[$0]?.isEmpty == false }
    for machine in machines {
      lines.append("{\"cpu\": \(JSON.string(machine.cpu).text()), \"features\": \(JSON.array(machine.features.map { .string($0) }).text()), \"kernels\": [")
      let kernels = entries[machine] ?? [:]
      let problems = kernels.keys.sorted()
      for problem in problems {
        guard let entry = kernels[problem] else { continue }
        let value: JSON = .object([
          .init("kernel", .string(problem)), .init("candidate", .string(entry.best.candidate)), .init("nanoseconds", .integer(entry.best.nanoseconds)),
          .init("others", .array(entry.others.map { .object([.init("candidate", .string($0.candidate)), .init("nanoseconds", .integer($0.nanoseconds))]) })),
        ])
        lines.append(value.text() + (problem == problems.last ? "" : ","))
      }
      lines.append(machine == machines.last ? "]}" : "]},")
    }
    return (lines + ["]}"]).joined(separator: "\n") + "\n"
  }

  private static let mostBytes = 64 << 20

  /// - Throws: `.badInput`, naming the file and what is wrong with it.
  public init(reading path: String) throws(CompileError) {
    func damaged(_ what: String) -> CompileError {
      CompileError(.badInput, "the tuning file `\(path)` is damaged: \(what)", stage: .load, hint: "remove it, or name another with --tune-cache")
    }
    let storage = try ModelSource(path: path).map()
    guard storage.byteCount <= Self.mostBytes else { throw damaged("it has \(storage.byteCount) bytes, and may have \(Self.mostBytes)") }
    let bytes = storage.withBytes { Array($0) }
    let json: JSON
    do { json = try JSON(parsing: bytes) } catch { throw damaged("\(error)") }
    guard json["format"]?.string == Self.formatName else { throw damaged("it is no `\(Self.formatName)`") }
    guard let version = json["version"]?.integer, version == Self.formatVersion else {
      throw CompileError(.badInput, "the tuning file `\(path)` has a version that this ingot does not read", stage: .load, hint: "tune again with --tune")
    }
    func measurement(_ value: JSON) throws(CompileError) -> Measurement {
      guard let candidate = value["candidate"]?.string, let nanoseconds = value["nanoseconds"]?.integer, nanoseconds >= 0 else {
        throw damaged("a kernel without candidate and nanoseconds")
      }
      return Measurement(candidate: candidate, nanoseconds: nanoseconds)
    }
    guard let machines = json["machines"]?.array else { throw damaged("it names no machines") }
    for value in machines {
      guard let cpu = value["cpu"]?.string, let features = value["features"]?.array, let kernels = value["kernels"]?.array else { throw damaged("a machine without cpu, features and kernels") }
      let machine = Machine(cpu: cpu, features: features.compactMap(\.string))
      for kernel in kernels {
        guard let problem = kernel["kernel"]?.string else { throw damaged("an entry that names no kernel") }
        var others: [Measurement] = []
        for other in kernel["others"]?.array ?? [] { others.append(try measurement(other)) }
        self[machine, problem] = Entry(best: try measurement(kernel), others: others)
      }
    }
  }

  /// Writes the file, whole or not at all.
  public func write(to path: String) throws(CompileError) {
    let temporary = "\(path).\(getpid()).\(UInt32.random(in: 0 ... .max))"
    let isWritten = FileManager.default.createFile(atPath: temporary, contents: Data(text.utf8)) && rename(temporary, path) == 0
    guard isWritten else {
      let reason = String(cString: strerror(errno))
      unlink(temporary)
      throw CompileError(.badInput, "cannot write the tuning file `\(path)`: \(reason)", stage: .write, hint: "name another place with --tune-cache")
    }
  }
}
