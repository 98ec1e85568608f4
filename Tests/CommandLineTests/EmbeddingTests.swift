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

  /// The length of the result is an input: the run finds it, says where the result lies, and refuses what does not fit.
  @Test(.enabled(if: compiler != nil)) func aLibraryFindsLengthsAndChecksThem() throws {
    let folder = TemporaryFolder()
    let graph = """
      graph @take(%x: f32[n], %k: i64[1]) {
        %m = measure %k {symbols = ['%take']}
        %h = slice %x {starts = [0], sizes = ['%take'], steps = [1]}
        %y = mul %h, %h
        %z = slice %x {starts = [2], sizes = [1], steps = [1]}
        return %y, %z
      }

      """
    let program = """
      #include "libtake.h"
      #include <stdio.h>
      int main(void) {
        float x[] = {1, 2, 3, 4, 5}, z = 0;
        static _Alignas(64) char arena[4096];
        const int64_t lengths[] = {3, 6, -1, 0};
        for (int i = 0; i < 4; i++) {
          int64_t symbols[take_SYMBOLS] = {5};
          const void *inputs[] = {x, &lengths[i]};
          void *outputs[] = {NULL, &z};
          int32_t result = take_run(inputs, outputs, symbols, arena, sizeof arena);
          if (result) { printf("error %d: %s\\n", result, take_error(result)); continue; }
          int64_t count = take_output_length(0, 0, symbols);
          printf("%d of %d:", (int)count, (int)take_output_bytes(0, symbols));
          for (int64_t k = 0; k < count; k++) printf(" %g", ((float *)outputs[0])[k]);
          printf(" and %g\\n", z);
        }
        int64_t symbols[take_SYMBOLS] = {2}, three = 1;
        const void *inputs[] = {x, &three};
        void *outputs[] = {NULL, &z};
        puts(take_error(take_run(inputs, outputs, symbols, arena, sizeof arena)));
        return 0;
      }
      """
    folder.write(Array(graph.utf8), to: "take.ingot")
    let made = try Tool.ingot("compile", folder.file("take.ingot"), "-o", folder.file("libtake.so"), "--emit", "so")
    #expect(made.status == 0, "\(made.errors)")
    folder.write(Array(program.utf8), to: "main.c")
    let built = try Tool.run(Self.compiler ?? "", ["-Wall", "-Werror", "-o", "main", "main.c", "./libtake.so"], in: folder.path)
    #expect(built.status == 0, "\(built.errors)")
    let run = try Tool.run(folder.file("main"), [], in: folder.path)
    let lines = run.output.split(separator: "\n")
    #expect(run.status == 0 && lines.count == 5, "\(run.output)")
    guard lines.count == 5 else { return }
    #expect(lines[0] == "3 of 12: 1 4 9 and 3" && lines[3] == "0 of 0: and 3")
    #expect(lines[1].contains("reaches up to element") && lines[2].contains("negative"))
    // A condition on the lengths of the inputs alone.
    #expect(lines[4].contains("reaches up to element"))
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
