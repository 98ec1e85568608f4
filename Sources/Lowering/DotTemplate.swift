import GraphIR
struct DotTemplate {
  let target: LoweringTarget
  func lower(_ fusion: inout FusionLowering) throws(CompileError) {}
}
