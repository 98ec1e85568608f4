internal import CLLVM

extension FunctionBuilder {
  /// erf x. f32: 6 ULP (5.61 over every 2039th input); f64: 2 ULP.
  func errorFunction(_ x: IRValue) -> IRValue { x.type.isDouble ? errorFunctionDouble(x) : errorFunctionSingle(x) }

  /// x p(x²) / q(x²) up to 3.83, where the result is 1 to within half an ULP (coefficients of XLA's `erf`).
  ///
  /// Two polynomials and an exponential are exact to 1 ULP, but take twice the instructions, and an epilogue with erf
  /// (GELU behind a short sum) is bound by them.
  private func errorFunctionSingle(_ x: IRValue) -> IRValue {
    let limit = 3.832506856900711
    // The order of operands lets a NaN pass.
    let t = minimumOrSecond(real(limit, x.type), maximumOrSecond(real(-limit, x.type), x))
    let s = fmul(t, t)
    let p = polynomial(s, [0.00022905065861350646, 0.0034082910107109506, 0.050955695062380861, 0.18520832239976145, 1.128379143519084])
    let q = polynomial(s, [-1.1791602954361697e-7, 0.000023547966471313185, 0.0010179625278914885, 0.014070470171167667, 0.11098505178285362, 0.49746925110067538, 1])
    // Exactly 1 beyond the limit, so that 1 + erf vanishes there.
    return select(compare(LLVMRealOGE, fabs(t), limit), copysign(real(1, x.type), x), fdiv(fmul(t, p), q))
  }

  /// A polynomial in x^2 up to 1; beyond it 1 - e^-x² p(1 / (|x| + 2)), fitted at Chebyshev points to 1e-17.
  private func errorFunctionDouble(_ x: IRValue) -> IRValue {
    let a = minimumOrSecond(real(6, x.type), fabs(x))
    let square = fmul(a, a)
    let near = fmul(
      x,
      polynomial(
        fmul(x, x), [
          -4.2309458242953378173e-12, 8.7090451290531066896e-11, -1.2164560057483450081e-9, 1.4792401209404813002e-8, -1.6364642158167615302e-7,
          1.6462045441468418937e-6, -0.000014925647567519332125, 0.0001205533290288873541, -0.00085483270219348295955, 0.0052239776254232983087,
          -0.026866170645129840806, 0.11283791670955120236, -0.37612638903183752379, 1.1283791670955125739,
        ]))
    let t = fdiv(1, fadd(a, 2))
    let scaled = polynomial(
      t, [
        -4305.5597319317912597, 16077.153458038582084, -26907.256739159691705, 26250.540651601685363, -16203.330783345651675, 6431.2821348409628223,
        -1644.3718903234877674, 306.75552594843587997, -46.945769387094534897, -7.0152079965881486122, 0.36453664035492188303, 2.546677968671843734,
        2.836372561638106175, 1.973499021068605046, 1.1284363253688614828, 0.5641879138356487558, 2.2149210173500182173e-8,
      ])
    let far = copysign(fsub(1, fmul(exponential(fneg(square)), scaled)), x)
    return select(compare(LLVMRealOGT, a, 1), far, near)
  }
}
