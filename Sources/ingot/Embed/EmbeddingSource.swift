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

  /// True if the code finds lengths itself: it writes them into `symbols`, takes as much of the arena as they need, and says where outputs are.
  private var isOpen: Bool { !manifest.computedSymbols.isEmpty }

  private var runParameters: String {
    isOpen
      ? "const void *const *inputs, void **outputs, int64_t *symbols, void *arena, int64_t arena_bytes"
      : "const void *const *inputs, void *const *outputs, const int64_t *symbols, void *arena"
  }

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
      let isComputed = manifest.computedSymbols.contains(symbol)
      text += "/*   symbols[\(index)]  \(Self.comment(symbol))\(isComputed ? "  (written by the run)" : "") */\n"
    }
    text += "#define \(prefix)_SYMBOLS \(manifest.symbols.count)\n\n"
    for (what, ports) in [("inputs", manifest.inputs), ("outputs", manifest.outputs)] {
      for (index, port) in ports.enumerated() {
        let note = what == "outputs" && manifest.isPlacedByCode(port) ? "  (the run says where)" : ""
        text += "/*   \(what)[\(index)]  \(Self.comment(port.name))  \(Self.comment("\(port.type)"))\(note) */\n"
      }
      text += "#define \(prefix)_\(what.uppercased()) \(ports.count)\n\n"
    }
    let arena =
      isOpen
      ? """
      `arena` has `arena_bytes` of scratch memory, aligned to 64 bytes: at least \(prefix)_arena_bytes, and more for the lengths that
         the run computes; a run that needs more than there is returns an error. What the run computes stands in `symbols` afterwards. Outputs
         marked above need no room: the run stores their addresses, valid until the arena is used again.
      """ : "`arena` has \(prefix)_arena_bytes of scratch memory, aligned to 64 bytes."
    text += """
      /* Runs the model. `inputs` and `outputs` point to dense row-major tensors in the machine's byte order, outputs with room for
         \(prefix)_output_bytes each. \(arena)
         Returns 0; below 0 if the lengths do not fit the model, or -1 on a machine without the instructions the code needs; above 0 for an error
         of the run. See \(prefix)_error. */
      int32_t \(prefix)_run(\(runParameters));

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
        int64_t arena_bytes;
        int64_t *arena_used;
        const void *unused[2];
        const int64_t *stop;
      } context;

      extern int32_t \(prefix)_entry(const context *, const void *const *, \(isOpen ? "void **" : "void *const *"), const void *, void *, int64_t *);
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


      """
    text += conditionCheck
    text += "EXPORT int32_t \(prefix)_run(\(runParameters)) {\n"
    if isOpen {
      text += "  int64_t used = 0;\n  const context c = {serial, NULL, 1, NULL, arena_bytes, &used, {NULL, NULL}, NULL};\n"
    } else {
      text += "  static const context c = {serial, NULL, 1, NULL, 0, NULL, {NULL, NULL}, NULL};\n"
    }
    text += "  if (!has_instructions()) return -1;\n"
    if !manifest.conditions.isEmpty { text += "  int32_t broken = broken_condition(symbols);\n  if (broken != 0) return broken;\n" }
    if isOpen {
      text += "  if (arena_bytes < \(prefix)_arena_bytes(symbols)) return \(Self.arenaTooSmall);\n"
      for (index, port) in outputs.enumerated() where manifest.isPlacedByCode(port) { text += "  outputs[\(index)] = NULL;\n" }
    }
    text += "  return \(prefix)_entry(&c, inputs, outputs, \(prefix)_weights, arena, (int64_t *)symbols);\n}\n\n"
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
    if isOpen { text += "  case \(Self.arenaTooSmall): return \"the arena is smaller than what these lengths need at least\";\n" }
    for (number, condition) in manifest.conditions.enumerated() { text += "  case \(Self.firstCondition - number): return \(Self.quoted(condition.violation));\n" }
    for (number, failure) in manifest.failures.enumerated() { text += "  case \(number + 1): return \(Self.quoted(failure));\n" }
    text += "  default: return \"unknown\";\n  }\n}\n\n"
    text += "EXPORT const char *\(prefix)_manifest(void) {\n  return \(Self.quoted(manifest.json.text()));\n}\n"
    return text
  }

  /// Results of the layer: -1 is for missing instructions.
  private static let arenaTooSmall = -2, firstCondition = -3

  /// A function that says which condition on the lengths is broken. No part of a condition may leave 64 bits.
  private var conditionCheck: String {
    if manifest.conditions.isEmpty { return "" }
    var text = """
      static inline int64_t times(int64_t a, int64_t b, int *bad) { int64_t c; *bad |= __builtin_mul_overflow(a, b, &c); return c; }
      static inline int64_t plus(int64_t a, int64_t b, int *bad) { int64_t c; *bad |= __builtin_add_overflow(a, b, &c); return c; }
      static inline int64_t quotient(int64_t a, int64_t b, int *bad) {
        if (b == 0 || (a == INT64_MIN && b == -1)) { *bad = 1; return 0; }
        return floordiv(a, b);
      }

      static int32_t broken_condition(const int64_t *symbols) {
        int bad = 0;

      """
    for (number, condition) in manifest.conditions.enumerated() {
      let broken = condition.kind == .zero ? "!= 0" : "< 0"
      text += "  if (\(checkedExpression(condition.extent)) \(broken) || bad) return \(Self.firstCondition - number);\n"
    }
    return text + "  return 0;\n}\n\n"
  }

  /// Sets `bad` where `cExpression` would wrap.
  private func checkedExpression(_ extent: Extent) -> String {
    var sum = "INT64_C(0)"
    for term in extent.sumOfProducts {
      var product = "INT64_C(\(term.coefficient))"
      for atom in term.factors {
        let factor =
          switch atom {
          case .symbol(let name): "symbols[\(manifest.symbols.firstIndex(of: name) ?? 0)]"
          case .floorDiv(let a, let b): "quotient(\(checkedExpression(a)), \(checkedExpression(b)), &bad)"
          case .modulo(let a, let b): "mod(\(checkedExpression(a)), \(checkedExpression(b)))"
          case .maximum(let a, let b): "max(\(checkedExpression(a)), \(checkedExpression(b)))"
          case .minimum(let a, let b): "min(\(checkedExpression(a)), \(checkedExpression(b)))"
          }
        product = "times(\(product), \(factor), &bad)"
      }
      sum = "plus(\(sum), \(product), &bad)"
    }
    return sum
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
