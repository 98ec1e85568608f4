import Artifact
import Compiler

extension [Deviation] {
  /// A line for each output, indented.
  var lines: [String] { map { "  " + $0.text } }

  var json: JSON {
    .array(
      map {
        .object([
          .init("output", .string($0.output)), .init("max_abs", .number($0.largest)), .init("scale", .number($0.scale)), .init("relative_l2", .number($0.relativeL2)),
        ])
      })
  }
}
