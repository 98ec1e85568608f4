import GraphIR

/// The text form: parsing, passes, lowering; what is printed reads back.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let text = String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
  do throws(CompileError) {
    let graph = try Graph(text: text, file: "fuzz.ingot")
    try graph.verify(stage: .load)
    let printed = graph.text()
    do throws(CompileError) { _ = try Graph(text: printed, file: "again.ingot") } catch { fatalError("does not read back: \(error)\n\(printed)") }
    CompilerPipeline.run(graph)
  } catch { _ = error.description }
  return 0
}
