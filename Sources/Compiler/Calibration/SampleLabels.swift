import Foundation
public import GraphIR
public import TensorTypes

/// The right classes of labelled samples.
///
/// A table with a header (comma or tab between columns) that names a column `file` and one of `class_index`, `class`, `label` or `target`
/// gives classes by file name. Anything else is one number a line, for the samples in their order.
public struct SampleLabels: Sendable {
  private var byName: [String: Int] = [:]
  private var inOrder: [Int] = []
  /// Added to every class: models with a background class count from 1.
  private let offset: Int
  private let path: String

  /// - Throws: `CompileError`: `.badInput` for a file that cannot be read, or is neither of these.
  public init(reading path: String, offset: Int = 0) throws(CompileError) {
    (self.path, self.offset) = (path, offset)
    guard let data = FileManager.default.contents(atPath: path) else { throw CompileError(.badInput, "cannot read the labels in `\(path)`", stage: .run) }
    let lines = String(decoding: data, as: UTF8.self).split(whereSeparator: \.isNewline).map { $0.split(omittingEmptySubsequences: false) { $0 == "," || $0 == "\t" } }
    let header = (lines.first ?? []).map { $0.trimmingCharacters(in: .whitespaces).lowercased() }
    if let file = header.firstIndex(of: "file"), let column = header.firstIndex(where: { ["class_index", "class", "label", "target"].contains($0) }) {
      for (number, fields) in lines.enumerated().dropFirst() {
        guard fields.indices.contains(file), fields.indices.contains(column), let label = Int(fields[column].trimmingCharacters(in: .whitespaces)) else {
          throw CompileError(.badInput, "line \(number + 1) of `\(path)` has no class", stage: .run)
        }
        byName[String(fields[file])] = label
      }
      return
    }
    for (number, fields) in lines.enumerated() {
      guard fields.count == 1, let label = Int(fields[0].trimmingCharacters(in: .whitespaces)) else {
        throw CompileError(
          .badInput, "line \(number + 1) of `\(path)` is no class", stage: .run,
          hint: "labels are a number a line, or a table whose header names `file` and `class_index`")
      }
      inOrder.append(label)
    }
  }

  /// The classes of a sample's rows.
  ///
  /// - Throws: `CompileError`: `.badInput` if there is none.
  public func classes(of sample: Int, in samples: CalibrationSamples, rows: Int) throws(CompileError) -> [Int] {
    if inOrder.isEmpty {
      guard let name = samples.fileName(sample), let label = byName[name] else { throw missing(samples.name(sample)) }
      return [Int](repeating: label &+ offset, count: rows)
    }
    let (first, overflowed) = samples.place(sample).multipliedReportingOverflow(by: rows)
    guard !overflowed, rows <= inOrder.count, first <= inOrder.count - rows else { throw missing(samples.name(sample)) }
    return inOrder[first..<first + rows].map { $0 &+ offset }
  }

  /// How many rows of a classifier's output have their largest number where the label says.
  ///
  /// - Returns: nil if the output has no axis of classes.
  public func correct(_ output: Tensor, of sample: Int, in samples: CalibrationSamples) throws(CompileError) -> (correct: Int, rows: Int)? {
    let dimensions = output.dimensions.filter { $0 != 1 }
    guard let width = dimensions.last ?? output.dimensions.last, width > 1, output.count % width == 0, output.element.isNumber else { return nil }
    let rows = output.count / width
    let labels = try classes(of: sample, in: samples, rows: rows)
    let values = output.doubles
    var correct = 0
    for (row, label) in labels.enumerated() {
      var best = 0
      for column in 1..<width where values[row * width + column] > values[row * width + best] { best = column }
      if best == label { correct += 1 }
    }
    return (correct, rows)
  }

  private func missing(_ sample: String) -> CompileError { CompileError(.badInput, "`\(path)` has no class for \(sample)", stage: .run) }
}
