import Foundation
import Testing

/// The rules of the house that a program can check.
@Suite("house rules") struct HouseRuleTests {
  @Test func noFileIsLongerThan500Lines() throws {
    for file in try SourceTree.files(below: ["ir", "passes", "Sources", "Tests"], endingIn: [".swift", ".c", ".h", ".py"]) {
      // Behind the last newline there is one empty piece, which is no line.
      #expect(file.lines.count - 1 <= 500, "\(file) has \(file.lines.count - 1) lines: name the second concept in it and give it a file")
    }
  }

  @Test func namesSayWhatIsInside() throws {
    let forbidden = ["Utils", "Util", "Utilities", "Helpers", "Helper", "Common", "Misc", "Manager"]
    for file in try SourceTree.files(below: ["ir", "passes", "Sources", "Tests"], endingIn: [".swift", ".c", ".h", ".py"]) {
      let stem = (file.name as NSString).deletingPathExtension
      for part in forbidden { #expect(!stem.hasSuffix(part) && stem != part, "\(file) is named after nothing in particular") }
    }
  }

  /// What would end the process where an error should be thrown, and what was put off.
  @Test func nothingThatTrapsOrWasPutOff() throws {
    let forbidden = ["try" + "!", "as" + "!", "fatal" + "Error(", "TO" + "DO", "FIX" + "ME"]
    for file in try SourceTree.productSources() {
      for (number, line) in file.lines.enumerated() {
        for word in forbidden { #expect(!line.contains(word), "\(file):\(number + 1) has `\(word)`") }
      }
    }
  }

  @Test func concurrencyIsChecked() throws {
    for file in try SourceTree.productSources() {
      for (number, line) in file.lines.enumerated() where line.contains("@unchecked Sendable") || line.contains("nonisolated(unsafe)") {
        // The invariant that makes it true stands above it, or on the line.
        let before = file.lines[max(0, number - 8)..<number].contains { $0.contains("//") }
        #expect(before || line.contains("//"), "\(file):\(number + 1) switches a check off and does not say why that is right")
      }
    }
  }

  @Test func theTopFolderHoldsOnlyWhatBelongsThere() throws {
    let expected: Set = ["Package.swift", "Package.resolved", "Sources", "Tests", "ir", "passes", "examples", "README.md", "LICENSE"]
    for name in try FileManager.default.contentsOfDirectory(atPath: SourceTree.root) where !name.hasPrefix(".") {
      #expect(expected.contains(name), "\(name) does not belong in the top folder")
    }
  }
}
