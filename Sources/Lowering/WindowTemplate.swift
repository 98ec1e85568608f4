import GraphIR
struct WindowTemplate {
  let target: LoweringTarget
  func lower(_ fusion: inout FusionLowering) throws(CompileError) {}
}
