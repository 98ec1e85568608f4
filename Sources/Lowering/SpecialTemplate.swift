import GraphIR
struct SpecialTemplate {
  let target: LoweringTarget
  func lower(_ fusion: inout FusionLowering) throws(CompileError) {}
}
