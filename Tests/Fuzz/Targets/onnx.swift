import GraphIR
import ONNXFrontend

/// ONNX files: decoding, import, passes, lowering.
@_cdecl("LLVMFuzzerTestOneInput") public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  let path = InputFile.path(UnsafeRawBufferPointer(start: start, count: count))
  do throws(CompileError) { CompilerPipeline.run(try loadONNX(path: path).graph) } catch { _ = error.description }
  _ = try? loadInputs(path: path)
  _ = try? unsupportedOperators(path: path)
  return 0
}
