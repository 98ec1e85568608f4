internal import CLLVM

extension FunctionBuilder {
  /// erf x. f32: 1.03 ULP (all inputs); f64: 2 ULP.
  func errorFunction(_ x: IRValue) -> IRValue { x.type.isDouble ? errorFunctionDouble(x) : errorFunctionSingle(x) }

  /// A polynomial near 0, and 1 - e^p(|x|) beyond 0.93 (coefficients by N. Juffa, 0.996 ULP with a perfect exponential).
  private func errorFunctionSingle(_ x: IRValue) -> IRValue {
    // From 4 on the result is 1.
    let t = minimumOrSecond(real(4, x.type), fabs(x))
    let s = fmul(t, t)
    let r = fma(polynomial(t, [-1.72853470e-5, 3.83197126e-4]), s, polynomial(t, [-3.88396438e-3, 2.42546219e-2]))
    let p = fma(fma(fma(r, t, -1.06777877e-1), t, -6.34846687e-1), t, -1.28717512e-1)
    let far = copysign(fsub(1, exponential(fma(p, t, fneg(t)))), x)
    let near = fma(polynomial(s, [-5.96761703e-4, 4.99119423e-3, -2.67681349e-2, 1.12819925e-1, -3.76125336e-1, 1.28379166e-1]), x, x)
    return select(compare(LLVMRealOGT, t, 0.927734375), far, near)
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
