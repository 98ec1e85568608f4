import Compiler
import Foundation
import GraphIR
import Runtime
import TensorTypes
import TestSupport
import Testing

@Suite("labels of samples") struct SampleLabelsTests {
  private static let classifier = """
    graph @main(%x: f32[1,3]) {
      %y = tanh %x : f32[1,3]
      return %y as "y"
    }
    """

  /// Labels for four samples of a model with three classes.
  private func labels(_ text: String, offset: Int = 0, in folder: TemporaryFolder) throws -> (labels: SampleLabels, samples: CalibrationSamples) {
    for position in 0..<4 { try NumPyFile.write(Tensor(.f32, [1, 3], [Double(position), 0, 0]), to: folder.file("samples\(position).npy")) }
    folder.write(Array(text.utf8), to: "labels.csv")
    let samples = try CalibrationSamples(CalibrationOptions(path: folder.path), for: Graph(text: Self.classifier, file: "m.ingot"))
    let labels = try SampleLabels(reading: folder.file("labels.csv"), offset: offset)
    try labels.check(samples)
    return (labels, samples)
  }

  private func classes(_ text: String, offset: Int = 0) throws -> [Int] {
    let folder = TemporaryFolder()
    defer { withExtendedLifetime(folder) {} }
    let (labels, samples) = try labels(text, offset: offset, in: folder)
    return try (0..<samples.count).flatMap { try labels.classes(of: $0, in: samples, rows: 1, width: 3) }
  }

  @Test func areNumbersInOrderOrATable() throws {
    #expect(try classes("2\n1\n0\n2\n") == [2, 1, 0, 2])
    #expect(try classes("1\n0\n-1\n1\n", offset: 1) == [2, 1, 0, 2])
    #expect(try classes("title,file,class_index\na,samples3.npy,1\nb,samples2.npy,0\nc,samples1.npy,2\nd,samples0.npy,0\n") == [0, 2, 0, 1])
    #expect(try classes("file\tlabel\nsamples0.npy\t1\nsamples1.npy\t1\nsamples2.npy\t1\nsamples3.npy\t1\n") == [1, 1, 1, 1])
  }

  @Test(arguments: [
    ("", "has no labels"), ("cat\ndog\n", "line 1 of"), ("0\n1\n", "has 2 labels, but there are 4 samples"), ("0\n1\n2\n0\n1\n", "has 5 labels, but there are 4 samples"),
    ("0\n1\n2\n3\n", "the class 3, but the model's classes are 0 to 2"), ("0\n1\n2\n-1\n", "the class -1, but"),
    ("file,class_index\nother.npy,1\n", "has no class for"), ("file,class_index\nsamples0.npy,cat\n", "line 2 of"), ("file,class_index\n", "has no labels"),
  ]) func complaintsNameWhatIsWrong(_ text: String, _ complaint: String) {
    let error = #expect(throws: CompileError.self) { try classes(text) }
    #expect(error?.message.contains(complaint) == true, "\(error?.message ?? "")")
    #expect(error?.hint != nil && error?.exitCode == 1)
  }
}
