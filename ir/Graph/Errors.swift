import TensorTypes

/// Operands that do not fit an operation, or attributes that it does not take.
public struct TypeError: Error, Sendable, CustomStringConvertible {
  public var message: String
  public var hint: String?
  public init(_ message: String, hint: String? = nil) {
    self.message = message
    self.hint = hint
  }
  public var description: String { message }
}

/// What stopped a compilation, where, and what the user can do about it.
public struct CompileError: Error, Sendable {
  /// What kind of failure it is; it decides the exit code.
  public enum Problem: Sendable, Hashable {
    /// The model, or a file it needs, is wrong. Exit code 1.
    case badInput
    /// The request is wrong. Exit code 2.
    case usage
    /// The model is right, but needs something that Ingot does not have yet. Exit code 3.
    case unsupported
  }
  public enum Stage: Sendable, Hashable {
    case load
    case pass(String)
    case lower
    case emit
    case write
    case run
  }

  public var problem: Problem
  public var message: String
  public var stage: Stage
  public var origin: NodeOrigin
  public var operands: [TensorType]
  public var hint: String?
  /// The model's inputs from which a value comes that has to be known before the model runs. With all of them fixed (`--fix`) it is.
  public var dependsOn: [String]

  public init(
    _ problem: Problem, _ message: String, stage: Stage, origin: NodeOrigin = NodeOrigin(), operands: [TensorType] = [], hint: String? = nil,
    dependsOn: [String] = []
  ) {
    self.problem = problem
    self.message = message
    self.stage = stage
    self.origin = origin
    self.operands = operands
    self.hint = hint
    self.dependsOn = dependsOn
  }

  public init(_ error: TypeError, stage: Stage, origin: NodeOrigin = NodeOrigin(), operands: [TensorType] = []) {
    self.init(.badInput, error.message, stage: stage, origin: origin, operands: operands, hint: error.hint)
  }

  public var exitCode: Int32 {
    switch problem {
    case .badInput: 1
    case .usage: 2
    case .unsupported: 3
    }
  }
}

extension CompileError: CustomStringConvertible {
  public var description: String {
    var text = "error: \(message)"
    let phase =
      switch stage {
      case .load: "load"
      case .pass(let name): "pass \(name)"
      case .lower: "lowering"
      case .emit: "code generation"
      case .write: "writing"
      case .run: "the run"
      }
    if origin.isKnown {
      text += "\n  node    \(origin), during \(phase)"
    } else {
      if !origin.file.isEmpty { text += "\n  file    \(origin.file)" }
      // A pass that broke the whole graph has no node, but its name.
      if case .pass = stage { text += "\n  during  \(phase)" }
    }
    if !operands.isEmpty { text += "\n  inputs  " + operands.map(\.description).joined(separator: ", ") }
    if let hint { text += "\n  hint    \(hint)" }
    return text
  }
}
