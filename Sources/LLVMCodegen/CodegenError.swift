/// What stopped code generation, and in which kernel.
public struct CodegenError: Error, Sendable, CustomStringConvertible {
  public enum Problem: Sendable, Hashable {
    /// A target name that names no x86-64 machine we know.
    case unknownTarget(name: String, known: [String])
    /// This process runs on a machine that code cannot be generated for.
    case unsupportedHost(String)
    /// A branch or loop whose condition differs between the lanes of a vectorized loop.
    case divergentControl(String)
    /// An extent left 64 bits, or names a symbol that nobody binds.
    case extent(String)
    /// The locals of a kernel need more stack than a thread may use.
    case stack(bytes: Int, limit: Int)
    /// A kernel unrolls into more code than can be compiled in reasonable time.
    case size(nodes: Int, limit: Int)
    /// The kernel breaks a rule of its IR.
    case malformed(String)
    /// LLVM refused a module that we made: a fault of ours.
    case invalidModule(String)
    /// LLVM could not produce an object.
    case emission(String)
    /// An object that the image linker cannot place.
    case link(String)
  }

  public var problem: Problem
  /// The kernel's name, if one is to blame.
  public var kernel: String?

  public init(_ problem: Problem, kernel: String? = nil) { (self.problem, self.kernel) = (problem, kernel) }

  public var description: String {
    let text =
      switch problem {
      case .unknownTarget(let name, let known): "unknown target `\(name)`; known are \(known.joined(separator: ", "))"
      case .unsupportedHost(let reason): "code cannot be generated for this machine: \(reason)"
      case .divergentControl(let what): "\(what) differs between the lanes of a vectorized loop"
      case .extent(let text): "extent `\(text)` cannot be computed"
      case .stack(let bytes, let limit): "locals need \(bytes) bytes of stack, the limit is \(limit)"
      case .size(let nodes, let limit): "it unrolls into \(nodes) expressions, the limit is \(limit)"
      case .malformed(let message): message
      case .invalidModule(let message): "LLVM refuses the module: \(message)"
      case .emission(let message): "LLVM could not emit code: \(message)"
      case .link(let message): "cannot link the image: \(message)"
      }
    return kernel.map { "kernel `\($0)`: \(text)" } ?? text
  }
}
