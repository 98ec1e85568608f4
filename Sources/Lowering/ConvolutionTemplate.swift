import GraphIR
struct ConvolutionTemplate {
  let target: LoweringTarget
  func lower(_ fusion: inout FusionLowering) throws(CompileError) {}
}
