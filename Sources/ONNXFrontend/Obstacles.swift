import GraphIR
import TensorTypes

/// Everything in a model that cannot be imported.
public struct Obstacles: Sendable {
  /// One for each node, in the order of the import.
  public var refusals: [CompileError] = []
  /// Nodes behind a refused one whose results have no declared type: they could not be looked at.
  public var unexaminedNodes = 0
}

/// Reads a model as `loadONNX` does, but goes on behind what it refuses: the results of such a node are taken to be of the types
/// that the file declares (`value_info`, which shape inference writes).
///
/// - Throws: What makes any further reading senseless: a damaged file, a limit.
public func findObstacles(path: String, options: ImportOptions = ImportOptions()) throws(CompileError) -> Obstacles {
  // Some branches are found to be possible only by importing again: what can be imported has no obstacles, whatever was tried first.
  if (try? loadONNX(path: path, options: options)) != nil { return Obstacles() }
  let file = try ModelFile(path: path)
  let proto = try decodeModel(file, limits: options.limits)
  var importer = try ModelImporter(proto, file: file, options: options)
  importer.survey = ObstacleSurvey()
  do throws(CompileError) { _ = try importer.run() } catch {
    // A refusal that belongs to no node, such as that of an input.
    if importer.survey?.isBehindObstacle(error) == false { importer.survey?.add(error) }
  }
  guard let survey = importer.survey else { return Obstacles() }
  var obstacles = Obstacles(refusals: survey.found, unexaminedNodes: survey.unexaminedNodes)
  // Operators in parts that were not reached.
  let seen = Set(survey.found.map(\.origin.operatorName))
  for missing in try unsupportedOperators(path: path, limits: options.limits) where !seen.contains(missing.origin.operatorName) {
    obstacles.refusals.append(
      CompileError(.unsupported, missing.message, stage: .load, origin: missing.origin, hint: SupportAdvice(operator: missing.origin.operatorName).text))
  }
  return obstacles
}

/// What an importer that does not stop at refusals has met.
struct ObstacleSurvey {
  private(set) var found: [CompileError] = []
  private(set) var unexaminedNodes = 0
  /// Names of values that nothing is known of.
  private var lost: Set<String> = []
  private var declared: [String: TypeProto] = [:]
  private var seen: Set<String> = []

  private static let behindObstacle = "this is behind something that cannot be imported"

  /// Takes in what a graph says about the types of its values.
  mutating func declare(_ graph: GraphProto) {
    for info in graph.valueInfos + graph.outputs { declared[info.name] = info.type }
  }

  mutating func add(_ error: CompileError) {
    if isBehindObstacle(error) { return }
    // Some loops are imported in more than one way.
    if seen.insert("\(error.origin.node)\u{0}\(error.message)").inserted { found.append(error) }
  }

  func isBehindObstacle(_ error: CompileError) -> Bool { error.message == Self.behindObstacle }

  /// What a node or graph throws that needs the value.
  func failure(_ origin: NodeOrigin) -> CompileError { CompileError(.unsupported, Self.behindObstacle, stage: .load, origin: origin) }

  func isLost(_ name: String) -> Bool { lost.contains(name) }
  mutating func skip() { unexaminedNodes += 1 }
  mutating func lose(_ name: String) { lost.insert(name) }

  /// The declared type of a value, extents that the file leaves open as symbols of their own; nil if it declares none.
  func type(of name: String) -> TensorType? {
    guard case .tensor(let number, let shape?)? = declared[name], let element = TensorDecoder.element(number) else { return nil }
    let extents = shape.enumerated().map { axis, dimension in
      switch dimension {
      case .value(let length): Extent(max(length, 0))
      case .parameter(let symbol): Extent(symbol: String(symbol.unicodeScalars.prefix(64).filter { $0.properties.isAlphabetic || $0 == "_" }.map { Character($0) }) + "_")
      case .unknown: Extent(symbol: "unknown_\(axis)")
      }
    }
    return TensorType(element, Shape(extents))
  }
}

extension ModelImporter {
  /// Goes on behind a refused node, if that is what this importer is for: its results become placeholders of their declared types.
  ///
  /// - Returns: False if the error has to be thrown.
  mutating func survive(_ error: CompileError, _ node: NodeProto, scope: inout Scope, builder: inout GraphBuilder) -> Bool {
    guard survey != nil else { return false }
    survey?.add(error)
    for name in node.outputs where !name.isEmpty {
      guard let type = survey?.type(of: name), let value = try? builder.placeholder(type) else {
        survey?.lose(name)
        continue
      }
      if !scope.define(name, .value(value)) { survey?.lose(name) }
    }
    return true
  }

  /// True for a node that reads what was refused; nothing can be said about it.
  mutating func isLost(_ node: NodeProto, scope: Scope) -> Bool {
    guard let survey, node.inputs.contains(where: { scope[$0] == nil && survey.isLost($0) }) else { return false }
    self.survey?.skip()
    for name in node.outputs { self.survey?.lose(name) }
    return true
  }
}

extension GraphBuilder {
  /// A value of a type, of which nothing is known.
  fileprivate mutating func placeholder(_ type: TensorType) throws(CompileError) -> ValueID {
    try broadcast(constant(Tensor(zeros: type.element, [])), to: type.shape)
  }
}
