internal import TensorTypes

extension Manifest {
  /// The text that artifacts store: one line, members in a fixed order, so that equal manifests give equal bytes.
  public var json: JSON {
    var members: [JSON.Member] = [
      .init("model", .object([.init("name", .string(modelName)), .init("version", .string(modelVersion))])),
      .init("inputs", .array(inputs.map(\.json))),
      .init("outputs", .array(outputs.map(\.json))),
      .init("symbols", .array(symbols.map { .string($0) })),
    ]
    if !inputStructures.isEmpty { members.append(.init("inputStructures", .array(inputStructures.map(\.json)))) }
    if !outputStructures.isEmpty { members.append(.init("outputStructures", .array(outputStructures.map(\.json)))) }
    if !fixedInputs.isEmpty { members.append(.init("fixedInputs", .array(fixedInputs.map(\.json)))) }
    if !computedSymbols.isEmpty { members.append(.init("computedSymbols", .array(computedSymbols.map { .string($0) }))) }
    if !conditions.isEmpty {
      members.append(
        .init(
          "conditions",
          .array(conditions.map { ["kind": .string($0.kind.rawValue), "extent": .string($0.extent.description), "violation": .string($0.violation)] })))
    }
    members += [
      .init("arenaBytes", .string(arenaBytes.description)),
      .init("entryOffset", .integer(entryOffset)),
      .init("target", ["name": .string(target.name), "requiredFeatures": .array(target.requiredFeatures.map { .string($0) })]),
      .init("pipeline", .string(pipeline)),
      .init("precision", .string(precision)),
      .init("sourceDigest", .string(sourceDigest)),
      .init("toolVersion", .string(toolVersion)),
      .init("steps", .array(steps.map(\.json))),
    ]
    if !variants.isEmpty { members.append(.init("variants", .array(variants.map(\.json)))) }
    if !failures.isEmpty { members.append(.init("failures", .array(failures.map { .string($0) }))) }
    if !strings.isEmpty { members.append(.init("strings", .array(strings.map { .string($0) }))) }
    if !textFunctions.isEmpty { members.append(.init("textFunctions", .array(textFunctions.map(\.json)))) }
    if !labels.isEmpty { members.append(.init("labels", .array(labels.map { .string($0) }))) }
    if let threads { members.append(.init("threads", .integer(threads))) }
    return .object(members)
  }

  /// Reads what `json` gives. Members it does not know are skipped.
  public init(json: JSON) throws(ManifestError) {
    let root = JSONObject(json, path: "manifest")
    let model = try root.object("model")
    let target = try root.object("target")
    self.init(
      modelName: try model.string("name"),
      inputs: try root.objects("inputs").map { port throws(ManifestError) in try Port(port) },
      outputs: try root.objects("outputs").map { port throws(ManifestError) in try Port(port) },
      target: Target(name: try target.string("name"), requiredFeatures: try target.strings("requiredFeatures")))
    modelVersion = try model.string("version")
    symbols = try root.strings("symbols")
    inputStructures = try root.objects("inputStructures", isOptional: true).map { structure throws(ManifestError) in try Structure(structure) }
    outputStructures = try root.objects("outputStructures", isOptional: true).map { structure throws(ManifestError) in try Structure(structure) }
    fixedInputs = try root.objects("fixedInputs", isOptional: true).map { input throws(ManifestError) in try FixedInput(input) }
    computedSymbols = try root.strings("computedSymbols", isOptional: true)
    conditions = try root.objects("conditions", isOptional: true).map { condition throws(ManifestError) in
      guard let kind = Condition.Kind(rawValue: try condition.string("kind")) else { throw condition.failure("unknown kind of condition") }
      return Condition(kind, try condition.extent("extent"), violation: try condition.string("violation"))
    }
    arenaBytes = try root.extent("arenaBytes")
    entryOffset = try root.integer("entryOffset")
    pipeline = try root.string("pipeline")
    precision = json["precision"] == nil ? "fp32" : try root.string("precision")
    sourceDigest = try root.string("sourceDigest")
    toolVersion = try root.string("toolVersion")
    steps = try root.objects("steps").map { step throws(ManifestError) in try Step(step) }
    variants = try root.objects("variants", isOptional: true).map { variant throws(ManifestError) in try Variant(variant) }
    failures = try root.strings("failures", isOptional: true)
    strings = try root.strings("strings", isOptional: true)
    textFunctions = try root.objects("textFunctions", isOptional: true).map { function throws(ManifestError) in
      guard let found = TextFunction(json: function.json) else { throw function.failure("unknown function of text") }
      return found
    }
    labels = try root.strings("labels", isOptional: true)
    threads = json["threads"] == nil ? nil : try root.integer("threads")
    if let contradiction { throw ManifestError(problem: contradiction) }
  }
}

/// What is wrong with the text of a manifest.
public struct ManifestError: Error, Sendable, Hashable, CustomStringConvertible {
  public var problem: String
  public init(problem: String) { self.problem = problem }
  public var description: String { problem }
}

extension Manifest.Port {
  fileprivate var json: JSON {
    var members: [JSON.Member] = [
      .init("name", .string(name)), .init("element", .string(type.element.name)),
      .init("shape", .array(type.shape.map { $0.constant.map { .integer($0) } ?? .string($0.description) })),
    ]
    if let keys { members.append(.init("keys", keys.json)) }
    return .object(members)
  }

  fileprivate init(_ object: JSONObject) throws(ManifestError) {
    let elementName = try object.string("element")
    guard let element = ElementType(name: elementName) else { throw object.failure("unknown element type `\(elementName)`") }
    let extents = try object.array("shape").map { value throws(ManifestError) in try object.extent(value, "shape") }
    self.init(name: try object.string("name"), type: TensorType(element, Shape(extents)))
    if let json = object.json["keys"] {
      guard let keys = MapKeys(json: json) else { throw object.failure("`keys` are neither integers nor strings") }
      self.keys = keys
    }
  }
}

extension Manifest.FixedInput {
  fileprivate var json: JSON {
    [
      "position": .integer(position), "name": .string(name), "element": .string(type.element.name),
      "shape": .array(type.shape.map { $0.constant.map { .integer($0) } ?? .string($0.description) }), "digest": .string(digest), "text": .string(text),
    ]
  }

  fileprivate init(_ object: JSONObject) throws(ManifestError) {
    let port = try Manifest.Port(object)
    self.init(
      position: try object.integer("position"), name: port.name, type: port.type, digest: try object.string("digest"), text: try object.string("text"))
  }
}

extension Manifest.Step {
  fileprivate var json: JSON {
    ["name": .string(name), "origin": .string(origin), "flops": .string(flops.description), "bytes": .string(bytes.description)]
  }

  fileprivate init(_ object: JSONObject) throws(ManifestError) {
    self.init(
      name: try object.string("name"), origin: try object.string("origin"), flops: try object.extent("flops"),
      bytes: try object.extent("bytes"))
  }
}

extension Manifest.Structure {
  fileprivate var json: JSON {
    ["name": .string(name), "kind": .string(kind.rawValue), "firstPort": .integer(ports.lowerBound), "ports": .integer(ports.count)]
  }

  fileprivate init(_ object: JSONObject) throws(ManifestError) {
    guard let kind = Kind(rawValue: try object.string("kind")) else { throw object.failure("unknown kind of structure") }
    let first = try object.integer("firstPort")
    let (end, overflowed) = first.addingReportingOverflow(try object.integer("ports"))
    guard first >= 0, end >= first, !overflowed else { throw object.failure("a range of ports that does not exist") }
    self.init(name: try object.string("name"), kind: kind, ports: first..<end)
  }
}

extension Manifest.Variant {
  fileprivate var json: JSON {
    [
      "lengths": .object(lengths.sorted { $0.key < $1.key }.map { .init($0.key, .integer($0.value)) }), "arenaBytes": .string(arenaBytes.description),
      "firstStep": .integer(steps.lowerBound), "steps": .integer(steps.count),
    ]
  }

  fileprivate init(_ object: JSONObject) throws(ManifestError) {
    let first = try object.integer("firstStep"), count = try object.integer("steps")
    let (end, overflowed) = first.addingReportingOverflow(count)
    guard first >= 0, count >= 0, !overflowed else { throw object.failure("a range of steps that does not exist") }
    let names = try object.object("lengths")
    var lengths: [String: Int] = [:]
    for member in names.json.object ?? [] {
      guard let length = member.value.integer else { throw names.failure("`\(member.name)` is \(member.value.kind), not an integer") }
      lengths[member.name] = length
    }
    self.init(lengths: lengths, arenaBytes: try object.extent("arenaBytes"), steps: first..<end)
  }
}

/// Typed access to the members of one object, with messages that say where the text is wrong.
private struct JSONObject {
  let json: JSON
  let path: String

  init(_ json: JSON, path: String) {
    self.json = json
    self.path = path
  }

  func failure(_ problem: String) -> ManifestError { ManifestError(problem: "\(path): \(problem)") }

  private func member<Value>(_ name: String, _ expected: String, _ convert: (JSON) -> Value?) throws(ManifestError) -> Value {
    guard let value = json[name] else { throw failure("member `\(name)` is missing") }
    guard let converted = convert(value) else { throw failure("`\(name)` is \(value.kind), not \(expected)") }
    return converted
  }

  func string(_ name: String) throws(ManifestError) -> String { try member(name, "a string", \.string) }
  func integer(_ name: String) throws(ManifestError) -> Int { try member(name, "an integer", \.integer) }
  func array(_ name: String) throws(ManifestError) -> [JSON] { try member(name, "an array", \.array) }

  func object(_ name: String) throws(ManifestError) -> JSONObject {
    JSONObject(try member(name, "an object") { $0.object == nil ? nil : $0 }, path: "\(path).\(name)")
  }

  func objects(_ name: String, isOptional: Bool = false) throws(ManifestError) -> [JSONObject] {
    if isOptional, json[name] == nil { return [] }
    var objects: [JSONObject] = []
    for (position, value) in try array(name).enumerated() { objects.append(JSONObject(value, path: "\(path).\(name)[\(position)]")) }
    return objects
  }

  func strings(_ name: String, isOptional: Bool = false) throws(ManifestError) -> [String] {
    if isOptional, json[name] == nil { return [] }
    return try array(name).map { value throws(ManifestError) in
      guard let string = value.string else { throw failure("`\(name)` holds \(value.kind), not only strings") }
      return string
    }
  }

  func extent(_ name: String) throws(ManifestError) -> Extent { try extent(try member(name, "an extent") { $0 }, name) }

  func extent(_ value: JSON, _ name: String) throws(ManifestError) -> Extent {
    if let integer = value.integer { return Extent(integer) }
    guard let text = value.string else { throw failure("`\(name)` holds \(value.kind), not an extent") }
    guard let extent = Extent(text: text) else { throw failure("`\(text)` is not an extent") }
    return extent
  }
}
