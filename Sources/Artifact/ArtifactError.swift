#if canImport(Glibc)
import Glibc
#endif

/// Why an artifact cannot be written, read or used.
public struct ArtifactError: Error, Sendable, Hashable, CustomStringConvertible {
  public enum Section: String, Sendable, Hashable, CaseIterable { case runtime, code, constants, manifest, footer }

  public enum Problem: Sendable, Hashable {
    /// The file ends early; `expected` is what its first part announces.
    case truncated(byteCount: Int, expected: Int)
    /// No footer and no trace of a model.
    case holdsNoModel
    case altered(Section)
    /// The section table contradicts itself or the file.
    case inconsistent(String)
    case unsupportedFormat(version: Int, supported: Int)
    case malformedManifest(String)
    case missingFeatures([String], target: String)
    case invalidContents(String)
    /// A system call failed.
    case system(action: String, errno: Int32)
  }

  public var path: String
  public var problem: Problem

  public init(_ path: String, _ problem: Problem) {
    self.path = path
    self.problem = problem
  }

  public var description: String {
    switch problem {
    case .truncated(let byteCount, let expected): "\(path) is truncated (\(byteCount) of \(expected) bytes)"
    case .holdsNoModel: "\(path) holds no compiled model"
    case .altered(let section): "\(path) was altered: \(section.rawValue) digest differs"
    case .inconsistent(let fact): "\(path) was altered: \(fact)"
    case .unsupportedFormat(let version, let supported):
      "\(path) has artifact format \(version), this runtime reads format \(supported); compile the model again with this version of ingot"
    case .malformedManifest(let fact): "\(path) has an unreadable manifest: \(fact)"
    case .missingFeatures(let names, let target):
      "\(path) was compiled for \(target) and needs CPU feature\(names.count == 1 ? "" : "s") \(names.joined(separator: ", ")), which this machine lacks; "
        + "compile with --target \(TargetFeatures.host.level)"
    case .invalidContents(let fact): "\(path) cannot be written: \(fact)"
    case .system(let action, let number): "\(path): cannot \(action): \(String(cString: strerror(number)))"
    }
  }
}
