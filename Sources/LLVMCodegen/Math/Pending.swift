extension FunctionBuilder {
  func sign(_ x: IRValue) -> IRValue { x }
  func exponential(_ x: IRValue) -> IRValue { x }
  func logarithm(_ x: IRValue) -> IRValue { x }
  func sine(_ x: IRValue) -> IRValue { x }
  func cosine(_ x: IRValue) -> IRValue { x }
  func tangent(_ x: IRValue) -> IRValue { x }
  func arcsine(_ x: IRValue) -> IRValue { x }
  func arccosine(_ x: IRValue) -> IRValue { x }
  func arctangent(_ x: IRValue) -> IRValue { x }
  func hyperbolicSine(_ x: IRValue) -> IRValue { x }
  func hyperbolicCosine(_ x: IRValue) -> IRValue { x }
  func hyperbolicTangent(_ x: IRValue) -> IRValue { x }
  func inverseHyperbolicSine(_ x: IRValue) -> IRValue { x }
  func inverseHyperbolicCosine(_ x: IRValue) -> IRValue { x }
  func inverseHyperbolicTangent(_ x: IRValue) -> IRValue { x }
  func logistic(_ x: IRValue) -> IRValue { x }
  func errorFunction(_ x: IRValue) -> IRValue { x }
  func power(_ x: IRValue, _ y: IRValue) -> IRValue { x }
  func floatRemainder(_ x: IRValue, _ y: IRValue) -> IRValue { x }
  func floatModulo(_ x: IRValue, _ y: IRValue) -> IRValue { x }
}
