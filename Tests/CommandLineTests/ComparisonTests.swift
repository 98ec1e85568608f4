import Artifact
import Foundation
import TestSupport
import Testing

/// `bench --compare` and `bench --ablate`.
@Suite("command line: comparisons") struct ComparisonTests {
  private let model = Tool.examples + "/iris/iris.onnx"

  private func measured(_ arguments: String...) throws -> JSON {
    let folder = TemporaryFolder()
    let result = try Tool.run(
      Tool.folder + "/ingot", ["bench", model, "--dim", "batch=1", "--threads", "1", "--seconds", "0.3", "--json", folder.file("result.json")] + arguments)
    #expect(result.status == 0, "\(result.output)\(result.errors)")
    return try JSON(parsing: folder.read("result.json"))
  }

  private func variant(_ name: String, in json: JSON) throws -> JSON {
    try #require(json["variants"]?.array?.first { $0["name"]?.string == name }, "no variant \(name)")
  }

  @Test func measuresVariantsByTurns() throws {
    let json = try measured("--compare", "small code: --disable fuse-attention", "--compare", "baseline", "--compare", "--disable sink-broadcasts,fold-scale-and-shift")
    #expect(json["variants"]?.array?.count == 4)
    let base = try variant("baseline", in: json)
    for name in ["median_seconds", "runs_per_second", "compile_seconds"] { #expect((base[name]?.double ?? 0) > 0, "\(name)") }
    for name in ["artifact_bytes", "resident_bytes", "weights_bytes", "compile_peak_bytes"] { #expect((base[name]?.integer ?? 0) > 0, "\(name)") }
    #expect(base["gain"]?.double == 1)
    // The same options give the same bytes, and those are measured once.
    let again = try variant("baseline (2)", in: json)
    #expect(again["same_as"]?.string == "baseline")
    let third = try variant("--disable sink-broadcasts,fold-scale-and-shift", in: json)
    #expect((third["deviation_from_fp32"]?.array?.first?["relative_l2"]?.double ?? 1) < 1e-5)
    #expect(json["command"]?.string?.contains("--compare 'small code: --disable fuse-attention'") == true)
  }

  /// What cannot be compiled, or takes other inputs, is a row of its own.
  @Test func failuresAreRows() throws {
    let json = try measured("--compare", "broken: --disable form-fusion-groups", "--compare", "crowd: --dim batch=2", "--compare", "fine: --winograd off")
    #expect(try variant("broken", in: json)["error"]?.string?.contains("fusion") == true)
    #expect(try variant("crowd", in: json)["error"]?.string?.contains("other inputs") == true)
    #expect(try variant("fine", in: json)["median_seconds"]?.double ?? 0 > 0)
  }

  @Test(arguments: [
    ("fast: --precison bf16", "variant 'fast': Unknown option '--precison'"), ("form-fusion-groups", "`--disable form-fusion-groups` leaves that pass out"),
    ("precision", "did you mean `--precision`?"), ("x: --threads many", "variant 'x'"), ("--disable 'a", "a quote is not closed"), ("", "--compare takes compile options"), (" : ", "--compare takes compile options"), ("x: nowhere.yaml", "cannot read the recipe"),
  ]) func wrongVariantsAreNamed(_ line: String, _ message: String) throws {
    let result = try Tool.ingot("bench", model, "--compare", line)
    #expect(result.status == 2 && result.errors.contains(message), "\(result.status) \(result.errors)")
  }

  /// Interrupted in its middle it ends as by that signal, and leaves neither files nor programs behind.
  @Test(arguments: [SIGINT, SIGTERM]) func leavesNothingBehindWhenInterrupted(_ number: Int32) throws {
    let folder = TemporaryFolder()
    let script = """
      export TMPDIR="$1"
      # In the background a shell starts programs with SIGINT ignored.
      env --default-signal=INT "$2" bench "$3" --dim batch=1 --threads 1 --seconds 60 --ablate > /dev/null 2>&1 &
      tool=$!
      for try in $(seq 200); do sleep 0.05; ls "$1" | grep -q ingot- && break; done
      sleep 0.3
      kill -\(number) $tool
      wait $tool
      echo "$? $(ls "$1" | wc -l)"
      """
    let result = try Tool.run("/bin/bash", ["-c", script, "bash", folder.path, Tool.folder + "/ingot", model])
    #expect(result.lastLine == "\(128 + number) 0", "\(result.output)\(result.errors)")
  }

  @Test func statesRoundsAndMemory() throws {
    let json = try measured("--compare", "other: --disable simplify-algebra")
    for name in ["baseline", "other"] {
      let row = try variant(name, in: json)
      #expect(row["rounds"]?.integer ?? 0 >= 3)
      // All of an executable that serves is mapped; a process that was seen while it started would have less.
      #expect(row["resident_bytes"]?.integer ?? 0 > 1_000_000)
    }
  }

  @Test func unknownPassesAreRows() throws {
    let json = try measured("--compare", "none: --disable no-such-pass")
    #expect(try variant("none", in: json)["error"]?.string?.contains("no pass is named `no-such-pass`") == true)
  }

  @Test func refusesWhatDoesNotGoTogether() throws {
    #expect(try Tool.ingot("bench", model, "--html", "x.html").errors.contains("it needs --compare or --ablate"))
    #expect(try Tool.ingot("bench", model, "--ablate", "--profile").status == 2)
    let folder = TemporaryFolder()
    #expect(try Tool.ingot("compile", model, "-o", folder.file("iris")).status == 0)
    #expect(try Tool.ingot("bench", folder.file("iris"), "--ablate").errors.contains("not an artifact"))
  }

  @Test func leavesEveryPassOutAndAddsItInTurn() throws {
    let json = try measured("--ablate")
    let passes = try #require(json["passes"]?.array)
    func kind(_ pass: String) -> String? { passes.first { $0["name"]?.string == pass }?["kind"]?.string }
    // Nothing without kernels; and no precision but its own.
    #expect(kind("form-fusion-groups") == "required")
    #expect(kind("narrow-to-bf16") == "absent")
    #expect(passes.first { $0["kind"]?.string == "required" }?["reason"]?.string?.isEmpty == false)
    let variants = try #require(json["variants"]?.array)
    let optional = passes.filter { $0["kind"]?.string == "optional" }.compactMap { $0["name"]?.string }
    #expect(!optional.isEmpty && optional.allSatisfy { pass in variants.contains { $0["role"]?.string == "without" && $0["subject"]?.string == pass } })
    #expect(variants.contains { $0["role"]?.string == "least" })
    // With the last pass the model is what it was.
    let added = variants.filter { $0["role"]?.string == "added" }
    #expect(added.last?["same_as"]?.string == "baseline" || added.isEmpty)
    for variant in variants where variant["error"] == nil { #expect((variant["deviation_from_fp32"]?.array?.first?["relative_l2"]?.double ?? 1) < 1e-1) }
  }

  @Test func statesAccuracyOverLabelledSamples() throws {
    let samples = TemporaryFolder(), answers = TemporaryFolder()
    for (name, flower) in [("a", "[[5.1, 3.5, 1.4, 0.2]]"), ("b", "[[6.4, 3.2, 4.5, 1.5]]"), ("c", "[[6.3, 3.3, 6.0, 2.5]]")] { samples.write(Array(flower.utf8), to: name + ".json") }
    // The last one is wrong.
    answers.write(Array("file,class_index\na.json,0\nb.json,1\nc.json,1\n".utf8), to: "labels.csv")
    let json = try measured("--compare", "other: --disable simplify-algebra", "--samples", samples.path, "--labels", answers.file("labels.csv"))
    for name in ["baseline", "other"] {
      let accuracy = try variant(name, in: json)["accuracy"]
      #expect(accuracy?["samples"]?.integer == 3 && accuracy?["top1"]?.integer == 2, "\(name)")
    }
    #expect(try Tool.ingot("bench", model, "--samples", samples.path).errors.contains("--samples are for --compare and --ablate"))
  }
}
