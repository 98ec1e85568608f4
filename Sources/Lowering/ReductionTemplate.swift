import GraphIR
struct ReductionTemplate {
  let target: LoweringTarget
  func lower(_ fusion: inout FusionLowering) throws(CompileError) {}
}
