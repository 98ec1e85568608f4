import Artifact
import Runtime
import TensorTypes
import TestSupport
import Testing

@Suite("data sets") struct DataSetTests {
  private func field(_ number: Int, _ bytes: [UInt8]) -> [UInt8] { [UInt8(number << 3 | 2), UInt8(bytes.count)] + bytes }

  private let a = TensorProto(name: "a", tensor: Tensor([1, 2])).encoded
  private let b = TensorProto(name: "b", tensor: Tensor(.f32, [1], [0.5])).encoded

  @Test func sequencesAndOptionalsAreListsOfTensors() throws {
    let sequence = field(1, Array("xs".utf8)) + [2 << 3, 1] + field(3, a) + field(3, b)
    let read = try DataSetValue(decoding: sequence, as: .sequence)
    #expect(read.tensors.count == 2 && read.tensors[0].integers == [1, 2] && read.tensors[1].doubles == [0.5] && read.isSequence)
    #expect(try DataSetValue(decoding: field(3, a), as: .optional).tensors.count == 1)
    #expect(try DataSetValue(decoding: [2 << 3, 0], as: .optional).tensors.isEmpty)
    let inside = try DataSetValue(decoding: field(5, sequence), as: .optional)
    #expect(inside.tensors.count == 2 && inside.isSequence)
    #expect(throws: TensorFileError.self) { try DataSetValue(decoding: field(6, a), as: .optional) }
    #expect(throws: TensorFileError.self) { try DataSetValue(decoding: field(5, a), as: .sequence) }
    #expect(throws: TensorFileError.self) { try DataSetValue(decoding: [3 << 3 | 2, 200, 1], as: .sequence) }
  }

  @Test func filesAreReadAsTheModelSays() throws {
    let folder = TemporaryFolder()
    folder.write(field(3, a) + field(3, a), to: "input_0.pb")
    folder.write(b, to: "input_1.pb")
    let values = try DataSetLayout.values("input", [.sequence], in: folder.path)
    #expect(values.map(\.tensors.count) == [2, 1])
  }

  @Test func aManifestSaysWhatTheFilesHold() throws {
    func port(_ name: String) -> Manifest.Port { Manifest.Port(name: name, type: TensorType(.f32, [2])) }
    var manifest = Manifest(
      modelName: "m", inputs: [port("x"), port("s.0"), port("s.1"), port("y")], outputs: [port("z")], target: Manifest.Target(name: "x86-64", requiredFeatures: []))
    manifest.inputStructures = [
      Manifest.Structure(name: "o", kind: .optional, ports: 1..<1), Manifest.Structure(name: "s", kind: .sequence, ports: 1..<3), Manifest.Structure(name: "e", kind: .sequence, ports: 4..<4),
    ]
    #expect(manifest.contradiction == nil)
    #expect(DataSetLayout(manifest).inputs == [.tensor, .optional, .sequence, .tensor, .sequence])
    #expect(try Manifest(json: manifest.json) == manifest)
    manifest.outputStructures = [Manifest.Structure(name: "t", kind: .sequence, ports: 0..<2)]
    #expect(manifest.contradiction != nil)
  }
}
