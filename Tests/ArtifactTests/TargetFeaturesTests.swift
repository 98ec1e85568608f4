import Artifact
import Testing

@Suite("target features") struct TargetFeaturesTests {
  @Test func levelsNeedAllTheirFeatures() {
    var names = Set(TargetFeatures.levels.flatMap(\.adds))
    #expect(TargetFeatures(names: names).level == "x86-64-v4")
    names.remove("avx512vl")
    #expect(TargetFeatures(names: names).level == "x86-64-v3")
    names.remove("popcnt")
    #expect(TargetFeatures(names: names).level == "x86-64")
  }

  @Test func theHostHasTheBaseline() {
    #if arch(x86_64)
      #expect(TargetFeatures.host.missing(from: ["sse", "sse2"]).isEmpty)
    #endif
  }
}
