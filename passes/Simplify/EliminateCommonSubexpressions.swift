import GraphIR
import TensorTypes
#if canImport(Glibc)
import Glibc
#endif

/// Computes equal expressions once, and keeps one copy of equal constants.
///
///     %a = exp %x
///     %b = exp %x
///     %y = add %a, %b
/// ->
///     %a = exp %x
///     %y = add %a, %a
///
/// Equal are nodes with equal operations and the same operands, in either order for a commutative function. Constants of any size are
/// compared by their bytes, but read only if another constant has the same type. Numerics: exact.
public let eliminateCommonSubexpressions = Pass<Graph>(
  "eliminate-common-subexpressions", "Computes equal expressions once and keeps one copy of equal constants."
) { graph, _ throws(CompileError) in
  var table = ExpressionTable(graph)
  var merged = 0
  let result = try graph.rebuilt { new, node, operands throws(CompileError) in
    if let known = table.results(of: node.operation, operands) {
      merged += 1
      return known
    }
    do throws(TypeError) {
      let results = try new.add(node.operation, operands, origin: node.origin)
      table.record(node.operation, operands, results)
      return results
    } catch {
      throw CompileError(error, stage: .pass("eliminate-common-subexpressions"), origin: node.origin, operands: new.types(of: operands))
    }
  }
  guard merged > 0 else { return false }
  graph = result
  return true
}.insideRegions()

/// Expressions seen so far, by operation and operands.
private struct ExpressionTable {
  private struct Key: Hashable {
    let operation: any Operation
    let operands: [ValueID]

    static func == (a: Key, b: Key) -> Bool { a.operands == b.operands && a.operation.isEqual(to: b.operation) }
    func hash(into hasher: inout Hasher) {
      hasher.combine(operands)
      operation.hash(into: &hasher)
    }
  }
  private struct ConstantKey: Hashable {
    let type: TensorType
    let digest: UInt64
  }

  private var known: [Key: [ValueID]] = [:]
  private var constants: [ConstantKey: [(tensor: Tensor, results: [ValueID])]] = [:]
  /// How many constants have a type: a lone one need not be read.
  private var population: [TensorType: Int] = [:]

  init(_ graph: Graph) {
    for id in graph.topologicalOrder() {
      if let constant = graph.node(id).operation as? Constant { population[constant.tensor.type, default: 0] += 1 }
    }
  }

  private static func ordered(_ operation: any Operation, _ operands: [ValueID]) -> [ValueID] {
    if let binary = operation as? Binary, binary.function.isCommutative { return operands.sorted() }
    return operands
  }

  private func key(of tensor: Tensor) -> ConstantKey {
    ConstantKey(type: tensor.type, digest: (population[tensor.type] ?? 0) > 1 ? tensor.digest : 0)
  }

  func results(of operation: any Operation, _ operands: [ValueID]) -> [ValueID]? {
    guard let constant = operation as? Constant else { return known[Key(operation: operation, operands: Self.ordered(operation, operands))] }
    if population[constant.tensor.type] == 1 { return nil }
    return constants[key(of: constant.tensor)]?.first { $0.tensor.hasSameBytes(as: constant.tensor) }?.results
  }

  mutating func record(_ operation: any Operation, _ operands: [ValueID], _ results: [ValueID]) {
    if let constant = operation as? Constant {
      if population[constant.tensor.type] != 1 { constants[key(of: constant.tensor), default: []].append((constant.tensor, results)) }
    } else {
      known[Key(operation: operation, operands: Self.ordered(operation, operands))] = results
    }
  }
}

extension Tensor {
  /// A 64-bit digest (FNV-1a over words) of the bytes, of a sample of them for large tensors; equal tensors have equal ones.
  ///
  /// Tensors whose digests agree are compared byte by byte, so a sample only has to tell most of them apart, and touch few pages of a mapped file.
  fileprivate var digest: UInt64 {
    withBytes { bytes in
      var digest: UInt64 = 0xcbf2_9ce4_8422_2325
      let words = bytes.count / 8
      for position in stride(from: 0, to: words, by: max(1, words / 256)) {
        digest = (digest ^ bytes.loadUnaligned(fromByteOffset: position * 8, as: UInt64.self)) &* 0x0000_0100_0000_01b3
        digest ^= digest >> 29
      }
      for position in words * 8..<bytes.count { digest = (digest ^ UInt64(bytes[position])) &* 0x0000_0100_0000_01b3 }
      return digest
    }
  }

  fileprivate func hasSameBytes(as other: Tensor) -> Bool {
    guard element == other.element, dimensions == other.dimensions else { return false }
    // The same numbers of different tables are different texts.
    if element == .string, strings !== other.strings { return texts == other.texts }
    return withBytes { a in
      other.withBytes { b in
        guard let x = a.baseAddress, let y = b.baseAddress else { return a.count == b.count }
        return x == y || memcmp(x, y, a.count) == 0
      }
    }
  }
}
