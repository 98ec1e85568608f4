import Artifact
import TensorTypes
import Testing

extension Manifest {
  /// Uses every member.
  static var sample: Manifest {
    let batch = Extent(symbol: "batch")
    var manifest = Manifest(
      modelName: "detector \"1\"",
      inputs: [.init(name: "image", type: TensorType(.f32, [batch, 3, 224, 224]))],
      outputs: [
        .init(name: "boxes", type: TensorType(.f32, [Extent(symbol: "found"), 4])),
        .init(name: "classes", type: TensorType(.f32, [Extent(symbol: "found"), 2]), keys: .strings(["cat", "dog"])),
      ],
      target: .init(name: "x86-64", requiredFeatures: ["sse2"]))
    manifest.modelVersion = "7"
    manifest.symbols = ["batch", "found"]
    manifest.computedSymbols = ["found"]
    manifest.arenaBytes = batch * 4096 + 64
    manifest.entryOffset = 16
    manifest.steps = [.init(name: "conv_0", origin: "Conv /layer1/conv", flops: batch * 2_000_000, bytes: 4096)]
    manifest.failures = ["index out of range in Gather /g"]
    manifest.pipeline = "portable, tuned"
    manifest.sourceDigest = "00ff"
    manifest.toolVersion = "0.1.0"
    manifest.labels = ["cat", "dog"]
    manifest.strings = ["", "cat"]
    let tokens = TokenRule(matchesSeparators: true, fewestCharacters: 2, isMarked: true, padding: "#")
    manifest.textFunctions = [
      .concatenate, .lowercase, .uppercase, .matches, .rank, .parse(.f32), .format(.i64), .countPieces(.init(delimiter: ",", limit: 3)),
      .pieces(.init(delimiter: "", limit: nil)), .countTokens(tokens), .tokens(tokens),
    ]
    manifest.threads = 2
    return manifest
  }
}

@Suite("Manifest") struct ManifestTests {
  @Test func readsWhatItPrints() throws {
    let manifest = Manifest.sample
    let text = manifest.json.text()
    #expect(try Manifest(json: JSON(parsing: text)) == manifest)
    #expect(try Manifest(json: JSON(parsing: text)).json.text() == text)
  }

  @Test func namesWhatIsMissing() {
    #expect(throws: ManifestError(problem: "manifest: member `model` is missing")) { try Manifest(json: [:]) }
    #expect(throws: ManifestError(problem: "manifest: `model` is a number, not an object")) { try Manifest(json: ["model": 1]) }
  }

  @Test func computedSymbolsDecideWhoPlacesAnOutput() {
    var manifest = Manifest.sample
    manifest.outputs.append(.init(name: "scores", type: TensorType(.f32, [Extent(symbol: "batch"), 10])))
    #expect(manifest.outputs.map { manifest.isPlacedByCode($0) } == [true, true, false])
    manifest.conditions = [.init(.nonNegative, Extent(symbol: "found") - 1, violation: "nothing was found")]
    #expect(manifest.contradiction == "a condition has an extent with the unknown symbol `found`")
  }

  @Test func refusesContradictions() {
    var manifest = Manifest.sample
    manifest.symbols = ["batch"]
    #expect(manifest.contradiction == "computed symbol `found` is not among the symbols")
    manifest = .sample
    manifest.arenaBytes = Extent(symbol: "found")
    #expect(manifest.contradiction == "the arena has an extent with the unknown symbol `found`")
    manifest = .sample
    manifest.inputs[0].type.shape[0] = .overflow
    #expect(manifest.contradiction != nil)
    manifest = .sample
    manifest.strings = ["cat"]
    #expect(manifest.contradiction == "the first of its strings is not empty")
    manifest = .sample
    manifest.outputs[0].keys = .integers([1, 2, 3])
    #expect(manifest.contradiction == "output `boxes` has 3 keys")
    manifest = .sample
    manifest.entryOffset = -1
    #expect(throws: ManifestError.self) { try Manifest(json: manifest.json) }
  }

  @Test func survivesEveryTruncatedOrAlteredText() {
    let text = Array(Manifest.sample.json.text().utf8)
    for length in text.indices { #expect(throws: (any Error).self) { try Manifest(json: JSON(parsing: Array(text.prefix(length)))) } }
    for position in text.indices {
      var altered = text
      altered[position] = altered[position] ^ 0x11
      // Most are refused, some spell another manifest; none may trap.
      _ = try? Manifest(json: JSON(parsing: altered))
    }
  }
}
