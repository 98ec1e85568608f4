import Foundation
public import GraphIR
import TensorTypes

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
    guard let data = FileManager.default.contents(atPath: path) else { throw CompileError(.badInput, "cannot read the labels in `\(path)`", stage: .run, hint: Self.form) }
    // Spreadsheets put a byte order mark in front.
    let mark: [UInt8] = [0xef, 0xbb, 0xbf]
    let lines = String(decoding: data.dropFirst(data.starts(with: mark) ? mark.count : 0), as: UTF8.self).split(whereSeparator: \.isNewline).map { $0.split(omittingEmptySubsequences: false) { $0 == "," || $0 == "\t" } }
    let header = (lines.first ?? []).map { $0.trimmingCharacters(in: .whitespaces).lowercased() }
    if let file = header.firstIndex(of: "file"), let column = header.firstIndex(where: { ["class_index", "class", "label", "target"].contains($0) }) {
      for (number, fields) in lines.enumerated().dropFirst() {
        guard fields.indices.contains(file), fields.indices.contains(column), let label = Int(fields[column].trimmingCharacters(in: .whitespaces)) else {
          throw CompileError(.badInput, "line \(number + 1) of `\(path)` has no class in column `\(header[column])`", stage: .run, hint: "a class is a number, as the model counts its classes")
        }
        byName[String(fields[file].trimmingCharacters(in: .whitespaces))] = label
      }
      if byName.isEmpty { throw empty }
      return
    }
    for (number, fields) in lines.enumerated() {
      guard fields.count == 1, let label = Int(fields[0].trimmingCharacters(in: .whitespaces)) else {
        throw CompileError(.badInput, "line \(number + 1) of `\(path)` is no class", stage: .run, hint: Self.form)
      }
      inOrder.append(label)
    }
    if inOrder.isEmpty { throw empty }
  }

  private static let form = "labels are a number a line in the order of the samples, or a table whose header names `file` and `class_index`"
  private var empty: CompileError { CompileError(.badInput, "`\(path)` has no labels", stage: .run, hint: Self.form) }

  /// - Throws: `CompileError`: `.badInput` if there cannot be as many rows in each sample as there are labels for all of them.
  public func check(_ samples: CalibrationSamples) throws(CompileError) {
    if inOrder.isEmpty || (inOrder.count >= samples.found && inOrder.count % samples.found == 0) { return }
    throw CompileError(
      .badInput, "`\(path)` has \(inOrder.count) labels, but there are \(samples.found) samples in `\(samples.path)`", stage: .run,
      hint: "labels without names are for all samples in the order of their files' names")
  }

  /// The classes of a sample's rows.
  ///
  /// - Parameter width: How many classes the model tells apart.
  /// - Throws: `CompileError`: `.badInput` if there is none, or one that the model does not have.
  public func classes(of sample: Int, in samples: CalibrationSamples, rows: Int, width: Int) throws(CompileError) -> [Int] {
    let found = try classes(of: sample, in: samples, rows: rows)
    if let wrong = found.first(where: { !(0..<width).contains($0) }) {
      throw CompileError(
        .badInput, "`\(path)` gives \(samples.name(sample)) the class \(wrong &- offset)\(offset == 0 ? "" : " + \(offset)"), but the model's classes are 0 to \(width - 1)", stage: .run,
        hint: "--label-offset is added to every class, such as 1 for models whose class 0 is the background")
    }
    return found
  }

  private func classes(of sample: Int, in samples: CalibrationSamples, rows: Int) throws(CompileError) -> [Int] {
    if inOrder.isEmpty {
      guard let name = samples.fileName(sample), let label = byName[name] else { throw missing(samples.name(sample)) }
      return [Int](repeating: label &+ offset, count: rows)
    }
    let (first, overflowed) = samples.place(sample).multipliedReportingOverflow(by: rows)
    guard !overflowed, rows <= inOrder.count, first <= inOrder.count - rows else { throw missing(samples.name(sample)) }
    return inOrder[first..<first + rows].map { $0 &+ offset }
  }

  /// For each row of a classifier's output whether its largest number is where the label says.
  ///
  /// - Returns: nil if the output has no axis of classes.
  func rightRows(_ output: Tensor, of sample: Int, in samples: CalibrationSamples) throws(CompileError) -> [Bool]? {
    let dimensions = output.dimensions.filter { $0 != 1 }
    guard let width = dimensions.last ?? output.dimensions.last, width > 1, output.count % width == 0, output.element.isNumber else { return nil }
    let labels = try classes(of: sample, in: samples, rows: output.count / width, width: width)
    let values = output.doubles
    return labels.enumerated().map { row, label in
      var best = 0
      for column in 1..<width where values[row * width + column] > values[row * width + best] { best = column }
      return best == label
    }
  }

  private func missing(_ sample: String) -> CompileError { CompileError(.badInput, "`\(path)` has no class for \(sample)", stage: .run, hint: Self.form) }
}
