public import Artifact
public import TensorTypes

/// What one file of a data set holds: a tensor, or what a sequence or an optional is made of.
public struct DataSetValue: Sendable {
  public enum Kind: Sendable, Hashable {
    /// `TensorProto`.
    case tensor
    /// `SequenceProto`.
    case sequence
    /// `OptionalProto` around one of the others, or around nothing.
    case optional
  }
  public var kind: Kind
  /// One for each port: nothing for an empty sequence or optional.
  public var tensors: [Tensor]
  /// True for an optional around a sequence.
  public var isSequence: Bool

  /// - Throws: For files that hold something else, and for sequences of what is no tensor.
  public static func read(_ path: String, as kind: Kind) throws(TensorFileError) -> DataSetValue {
    if kind == .tensor { return DataSetValue(kind: .tensor, tensors: [try TensorProto.read(path).tensor], isSequence: false) }
    return try DataSetValue(decoding: FileSystem.read(path), as: kind, source: path)
  }

  public init(decoding bytes: [UInt8], as kind: Kind, source: String = "value") throws(TensorFileError) {
    self.init(kind: kind, tensors: [], isSequence: kind == .sequence)
    switch kind {
    case .tensor: tensors = [try TensorProto(decoding: bytes, source: source).tensor]
    case .sequence: tensors = try Self.elements(bytes, source)
    case .optional:
      for field in try Self.messages(bytes, source) {
        switch field.number {
        case 3: tensors = [try TensorProto(decoding: field.bytes, source: source).tensor]
        case 5: (tensors, isSequence) = (try Self.elements(field.bytes, source), true)
        default: throw TensorFileError(source, .unsupported("an optional of a sparse tensor, a map or an optional"))
        }
      }
    }
  }

  private init(kind: Kind, tensors: [Tensor], isSequence: Bool) { (self.kind, self.tensors, self.isSequence) = (kind, tensors, isSequence) }

  private static func elements(_ bytes: [UInt8], _ source: String) throws(TensorFileError) -> [Tensor] {
    var tensors: [Tensor] = []
    for field in try messages(bytes, source) {
      guard field.number == 3 else { throw TensorFileError(source, .unsupported("a sequence of sparse tensors, sequences, maps or optionals")) }
      tensors.append(try TensorProto(decoding: field.bytes, source: source).tensor)
    }
    return tensors
  }

  /// The values inside a `SequenceProto` or an `OptionalProto`: fields 3 and above.
  private static func messages(_ bytes: [UInt8], _ source: String) throws(TensorFileError) -> [(number: Int, bytes: [UInt8])] {
    var found: [(Int, [UInt8])] = []
    do {
      var reader = WireReader(bytes)
      while let (field, value) = try reader.next() { if field >= 3, case .bytes(let range) = value { found.append((field, Array(bytes[range]))) } }
    } catch { throw TensorFileError(source, .malformed("not a sequence or an optional: \(error.fact) at byte \(error.byteOffset)")) }
    return found
  }
}

/// What the files of a data set hold, in the order of their numbers.
public struct DataSetLayout: Sendable {
  public var inputs: [DataSetValue.Kind]
  public var outputs: [DataSetValue.Kind]

  public init(inputs: [DataSetValue.Kind] = [], outputs: [DataSetValue.Kind] = []) { (self.inputs, self.outputs) = (inputs, outputs) }

  /// That of a model's data sets.
  public init(_ manifest: Manifest) {
    inputs = Self.kinds(manifest.inputStructures, ports: manifest.inputs.count + manifest.fixedInputs.count)
    outputs = Self.kinds(manifest.outputStructures, ports: manifest.outputs.count)
  }

  private static func kinds(_ structures: [Manifest.Structure], ports: Int) -> [DataSetValue.Kind] {
    var kinds: [DataSetValue.Kind] = []
    var position = 0
    for structure in structures {
      while position < structure.ports.lowerBound {
        kinds.append(.tensor)
        position += 1
      }
      kinds.append(structure.kind == .sequence ? .sequence : .optional)
      position = structure.ports.upperBound
    }
    return kinds + [DataSetValue.Kind](repeating: .tensor, count: max(0, ports - position))
  }

  /// The values of `prefix_0.pb`, `prefix_1.pb`, … in numeric order; files beyond `kinds` are tensors.
  public static func values(_ prefix: String, _ kinds: [DataSetValue.Kind], in folder: String) throws(TensorFileError) -> [DataSetValue] {
    var numbered: [(number: Int, name: String)] = []
    for name in try FileSystem.names(in: folder) where name.hasPrefix(prefix + "_") && name.hasSuffix(".pb") {
      if let number = Int(name.dropFirst(prefix.count + 1).dropLast(3)) { numbered.append((number, name)) }
    }
    var values: [DataSetValue] = []
    for (number, name) in numbered.sorted(by: { $0.number < $1.number }) {
      values.append(try .read("\(folder)/\(name)", as: kinds.indices.contains(number) ? kinds[number] : .tensor))
    }
    return values
  }
}
