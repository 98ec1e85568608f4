import Artifact
import TensorTypes

/// The C text around an embedded model: what a program includes, and the layer between that and the code.
struct EmbeddingSource {
  private let manifest: Manifest
  /// What all names begin with: the model's name as a C identifier.
  let prefix: String

  init(_ manifest: Manifest) {
    self.manifest = manifest
    prefix = Self.identifier(manifest.modelName)
  }

  static func identifier(_ name: String) -> String {
    let plain = String(name.unicodeScalars.map { $0.isASCII && ($0.properties.isAlphabetic || ("0"..."9").contains($0)) ? Character($0) : "_" })
    guard let first = plain.unicodeScalars.first, !("0"..."9").contains(first) else { return "model_" + plain }
    return plain
  }

  /// Symbols whose values the code finds are written back, so the array cannot be constant then.
  private var symbolsType: String { manifest.computedSymbols.isEmpty ? "const int64_t *symbols" : "int64_t *symbols" }

  var header: String {
    let guardName = prefix.uppercased() + "_H"
    var text = """
      /* \(Self.comment(manifest.modelName)), version \(Self.comment(manifest.modelVersion)): compiled by ingot \(manifest.toolVersion) for \(manifest.target.name).
         Link the library; nothing else is needed. Calls from several threads are independent if their arenas and outputs are. */
      #ifndef \(guardName)
      #define \(guardName)
      #include <stdint.h>
      #ifdef __cplusplus
      extern "C" {
      #endif

      /* Symbolic lengths, in the order of `symbols`:\(manifest.symbols.isEmpty ? " none; pass NULL." : "") */

      """
    for (index, symbol) in manifest.symbols.enumerated() {
      let isComputed = manifest.computedSymbols.contains { $0.name == symbol }
      text += "/*   symbols[\(index)]  \(Self.comment(symbol))\(isComputed ? "  (set it to its upper bound; the run writes the true value)" : "") */\n"
    }
    text += "#define \(prefix)_SYMBOLS \(manifest.symbols.count)\n\n"
    for (what, ports) in [("inputs", manifest.inputs), ("outputs", manifest.outputs)] {
      for (index, port) in ports.enumerated() { text += "/*   \(what)[\(index)]  \(Self.comment(port.name))  \(Self.comment("\(port.type)")) */\n" }
      text += "#define \(prefix)_\(what.uppercased()) \(ports.count)\n\n"
    }
    text += """
      /* Runs the model. `inputs` and `outputs` point to dense row-major tensors in the machine's byte order, outputs with room for
         \(prefix)_output_bytes each. `arena` has \(prefix)_arena_bytes of scratch memory, aligned to 64 bytes.
         Returns 0; -1 on a machine without the instructions the code needs; otherwise an error of the model, see \(prefix)_error. */
      int32_t \(prefix)_run(const void *const *inputs, void *const *outputs, \(symbolsType), void *arena);

      /* Sizes under given symbols, in bytes. */
      int64_t \(prefix)_arena_bytes(const int64_t *symbols);
      int64_t \(prefix)_input_bytes(int32_t input, const int64_t *symbols);
      int64_t \(prefix)_output_bytes(int32_t output, const int64_t *symbols);
      /* The number of axes of an output, and the length of one axis. */
      int32_t \(prefix)_output_rank(int32_t output);
      int64_t \(prefix)_output_length(int32_t output, int32_t axis, const int64_t *symbols);

      /* What a result of \(prefix)_run other than 0 means. */
      const char *\(prefix)_error(int32_t result);
      /* Everything about the model, as JSON. */
      const char *\(prefix)_manifest(void);

      #ifdef __cplusplus
      }
      #endif
      #endif

      """
    return text
  }

  func implementation(header: String) -> String {
    let outputs = manifest.outputs
    var text = """
      #include "\(header)"
      #include <stddef.h>

      typedef void (*body)(const void *closure, int64_t begin, int64_t end);
      typedef struct context {
        void (*parallel)(const struct context *, body, const void *, int64_t);
        void *pool;
        int64_t threads;
        int64_t *profile;
      } context;

      extern int32_t \(prefix)_entry(const context *, const void *const *, void *const *, const void *, void *, int64_t *);
      extern const unsigned char \(prefix)_weights[];

      #define EXPORT __attribute__((visibility("default")))

      static inline int64_t floordiv(int64_t a, int64_t b) { return b ? a / b - (a % b != 0 && (a % b < 0) != (b < 0)) : 0; }
      static inline int64_t mod(int64_t a, int64_t b) { return b ? a - floordiv(a, b) * b : 0; }
      static inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
      static inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }

      static void serial(const context *c, body run, const void *closure, int64_t count) {
        (void)c;
        if (count > 0) run(closure, 0, count);
      }

      static int has_instructions(void) {
        return 1\(checkedFeatures.map { " && __builtin_cpu_supports(\"\($0)\")" }.joined());
      }

      EXPORT int32_t \(prefix)_run(const void *const *inputs, void *const *outputs, \(symbolsType), void *arena) {
        static const context c = {serial, NULL, 1, NULL};
        if (!has_instructions()) return -1;
        return \(prefix)_entry(&c, inputs, outputs, \(prefix)_weights, arena, (int64_t *)symbols);
      }


      """
    func sizes(_ name: String, _ index: String, _ values: [Extent]) {
      text += "EXPORT int64_t \(prefix)_\(name)(\(index.isEmpty ? "" : "int32_t \(index), ")const int64_t *symbols) {\n  (void)symbols;\n"
      if index.isEmpty {
        text += "  return \(cExpression(values[0]));\n}\n\n"
      } else {
        text += "  switch (\(index)) {\n"
        for (number, value) in values.enumerated() { text += "  case \(number): return \(cExpression(value));\n" }
        text += "  default: return 0;\n  }\n}\n\n"
      }
    }
    sizes("arena_bytes", "", [manifest.largestArenaBytes])
    sizes("input_bytes", "input", manifest.inputs.map(\.type.byteCount))
    sizes("output_bytes", "output", outputs.map(\.type.byteCount))
    text += "EXPORT int32_t \(prefix)_output_rank(int32_t output) {\n  static const int32_t ranks[] = {\((outputs.map { "\($0.type.rank)" } + ["0"]).joined(separator: ", "))};\n"
    text += "  return output >= 0 && output < \(outputs.count) ? ranks[output] : 0;\n}\n\n"
    text += "EXPORT int64_t \(prefix)_output_length(int32_t output, int32_t axis, const int64_t *symbols) {\n  (void)symbols;\n"
    for (number, port) in outputs.enumerated() {
      for (axis, extent) in port.type.shape.enumerated() { text += "  if (output == \(number) && axis == \(axis)) return \(cExpression(extent));\n" }
    }
    text += "  return 0;\n}\n\nEXPORT const char *\(prefix)_error(int32_t result) {\n  switch (result) {\n  case 0: return \"done\";\n"
    text += "  case -1: return \(Self.quoted("this machine lacks instructions that the code needs: " + manifest.target.requiredFeatures.joined(separator: " ")));\n"
    for (number, failure) in manifest.failures.enumerated() { text += "  case \(number + 1): return \(Self.quoted(failure));\n" }
    text += "  default: return \"unknown\";\n  }\n}\n\n"
    text += "EXPORT const char *\(prefix)_manifest(void) {\n  return \(Self.quoted(manifest.json.text()));\n}\n"
    return text
  }

  /// The needed instructions that C compilers know by name; they imply the rest of the levels.
  private var checkedFeatures: [String] {
    let known = ["sse4.2", "avx2", "fma", "bmi2", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512vnni", "avx512bf16", "avx512vbmi", "avx512vbmi2"]
    return known.filter { manifest.target.requiredFeatures.contains($0) }
  }

  private func cExpression(_ extent: Extent) -> String {
    let terms = extent.sumOfProducts.map { term -> String in
      let factors = term.factors.map { atom -> String in
        switch atom {
        case .symbol(let name): "symbols[\(manifest.symbols.firstIndex(of: name) ?? 0)]"
        case .floorDiv(let a, let b): "floordiv(\(cExpression(a)), \(cExpression(b)))"
        case .modulo(let a, let b): "mod(\(cExpression(a)), \(cExpression(b)))"
        case .maximum(let a, let b): "max(\(cExpression(a)), \(cExpression(b)))"
        case .minimum(let a, let b): "min(\(cExpression(a)), \(cExpression(b)))"
        }
      }
      return (["INT64_C(\(term.coefficient))"] + factors).joined(separator: " * ")
    }
    return terms.isEmpty ? "0" : terms.joined(separator: " + ")
  }

  /// Names come from the model; none of them may end the comment.
  private static func comment(_ text: String) -> String {
    String(text.unicodeScalars.map { $0.value < 32 || $0 == "\\" ? " " : Character($0) }).split(separator: "*/", omittingEmptySubsequences: false).joined(separator: "* /")
  }

  /// A C string literal. Long ones are broken into lines; octal escapes cannot swallow what follows them.
  private static func quoted(_ text: String) -> String {
    var literal = "\""
    for (position, byte) in text.utf8.enumerated() {
      if position > 0, position % 120 == 0 { literal += "\"\n    \"" }
      let isPlain = byte >= 32 && byte < 127 && byte != 34 && byte != 92 && byte != 63
      literal += isPlain ? String(UnicodeScalar(byte)) : "\\" + String(repeating: "0", count: 3 - String(byte, radix: 8).count) + String(byte, radix: 8)
    }
    return literal + "\""
  }
}
