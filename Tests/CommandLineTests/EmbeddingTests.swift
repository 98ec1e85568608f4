import Foundation
import TestSupport
import Testing

/// `--emit so` and `--emit object`: models inside C programs.
@Suite("command line: embedding") struct EmbeddingTests {
  private static let compiler = ["/usr/bin/cc", "/usr/bin/gcc", "/usr/bin/clang"].first { FileManager.default.isExecutableFile(atPath: $0) }

  private static let program = """
    #include "libiris.h"
    #include <stdio.h>
    #include <stdlib.h>
    int main(void) {
      float in[3][4] = {{5.1f, 3.5f, 1.4f, 0.2f}, {7.0f, 3.2f, 4.7f, 1.4f}, {6.3f, 3.3f, 6.0f, 2.5f}};
      int64_t symbols[] = {3};
      if (iris_INPUTS != 1 || iris_OUTPUTS != 1 || iris_SYMBOLS != 1 || iris_output_rank(0) != 2) return 10;
      if (iris_output_length(0, 0, symbols) != 3 || iris_output_length(0, 1, symbols) != 3 || iris_input_bytes(0, symbols) != 48) return 11;
      float *out = malloc((size_t)iris_output_bytes(0, symbols));
      void *arena = aligned_alloc(64, ((size_t)iris_arena_bytes(symbols) + 127) / 64 * 64);
      const void *inputs[] = {in};
      void *outputs[] = {out};
      int32_t result = iris_run(inputs, outputs, symbols, arena);
      if (result) { puts(iris_error(result)); return 12; }
      for (int i = 0; i < 9; i++) printf("%d", out[i] > 0.5f);
      printf(" %.10s\\n", iris_manifest());
      return 0;
    }
    """

  @Test(.enabled(if: compiler != nil)) func aCProgramCallsTheModel() throws {
    let folder = TemporaryFolder()
    let made = try Tool.ingot("compile", Tool.examples + "/iris/iris.onnx", "-o", folder.file("libiris.so"), "--emit", "so")
    #expect(made.status == 0, "\(made.errors)")
    #expect(folder.names == ["libiris.h", "libiris.so"])
    folder.write(Array(Self.program.utf8), to: "main.c")
    let cc = Self.compiler ?? ""
    let built = try Tool.run(
      cc, ["-Wall", "-Werror", "-o", "main", "main.c", "./libiris.so"], in: folder.path)
    #expect(built.status == 0, "\(built.errors)")
    let run = try Tool.run(folder.file("main"), [], in: folder.path)
    #expect(run.status == 0, "\(run.output)")
    // One flower of each species, each named.
    #expect(run.output.hasPrefix("100010001 {"), "\(run.output)")
  }

  @Test(.enabled(if: compiler != nil)) func anObjectLinks() throws {
    let folder = TemporaryFolder()
    #expect(try Tool.ingot("compile", Tool.examples + "/iris/iris.onnx", "-o", folder.file("iris.o"), "--emit", "object").status == 0)
    folder.write(Array("extern char iris_entry[], iris_weights[]; int main(void) { return iris_entry == iris_weights || (unsigned long)iris_weights % 64; }".utf8), to: "main.c")
    let built = try Tool.run(Self.compiler ?? "", ["-o", "main", "main.c", "iris.o"], in: folder.path)
    #expect(built.status == 0, "\(built.errors)")
    #expect(try Tool.run(folder.file("main"), []).status == 0)
  }

  @Test func saysSoWithoutACompiler() throws {
    let folder = TemporaryFolder()
    let result = try Tool.run("/usr/bin/env", ["PATH=/nowhere", "CC=", Tool.folder + "/ingot", "compile", Tool.examples + "/iris/iris.onnx", "-o", folder.file("x.so"), "--emit", "so"])
    #expect(result.status == 1)
    #expect(result.errors.contains("no C compiler"))
    #expect(folder.names.isEmpty)
  }
}
