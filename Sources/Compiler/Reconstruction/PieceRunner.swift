import GraphIR
import Runtime
import TensorTypes

/// A piece of a graph, compiled for running it on samples.
struct PieceRunner {
  private var piece: GraphPiece?
  private var session: Session?
  /// By output of the piece.
  private let computed: [ValueID]
  /// Values that are given and asked for.
  private let given: [ValueID]

  /// - Parameters:
  ///   - graph: The whole graph.
  ///   - cut: Values that will be given; the graph's inputs are given anyway.
  ///   - wanted: What is to be computed. Some of it may be given.
  init(_ graph: Graph, from cut: Set<ValueID>, to wanted: [ValueID], options: CompileOptions) throws(CompileError) {
    let known = cut.union(graph.inputs)
    given = wanted.filter(known.contains)
    computed = Set(wanted).subtracting(known).sorted { $0.index < $1.index }
    if computed.isEmpty { return }
    let piece: GraphPiece
    do throws(TypeError) { piece = try GraphPiece(of: graph, from: cut, to: computed) } catch { throw CompileError(error, stage: .pass("reconstruct")) }
    self.piece = piece
    let model = try Compiler(options: options.forCalibration).executable(piece.graph)
    do throws(RunError) { session = try model.makeSession(threads: options.threads) } catch { throw CompileError(.badInput, "\(error)", stage: .run) }
  }

  /// - Parameter known: The values of the cut.
  /// - Returns: What was wanted.
  ///
  /// Not inlined, for the reason that `Calibration.run` gives.
  @inline(never)
  func run(_ known: [ValueID: Tensor]) throws(CompileError) -> [ValueID: Tensor] {
    var results: [ValueID: Tensor] = [:]
    for value in given { results[value] = known[value] }
    guard let piece, let session else { return results }
    let inputs = piece.inputs.compactMap { known[$0] }
    guard inputs.count == piece.inputs.count else { throw CompileError(.badInput, "a value is missing in front of a piece of the model", stage: .pass("reconstruct")) }
    let outputs: [Tensor]
    do throws(RunError) { outputs = try session.run(inputs) } catch { throw CompileError(.badInput, "\(error)", stage: .run) }
    for (value, tensor) in zip(computed, outputs) { results[value] = tensor }
    return results
  }
}
