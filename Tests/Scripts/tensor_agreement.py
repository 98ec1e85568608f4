"""How far results are from expected ones: |got - want| <= atol + rtol * |want|, element by element."""
from required_packages import require

np = require("numpy")


class Agreement:
    """The outcome of one comparison. `reason` is None if everything matches."""

    def __init__(self, rtol, atol):
        self.rtol, self.atol = rtol, atol
        self.max_abs, self.max_rel, self.reason, self.elements = 0.0, 0.0, None, 0

    @property
    def passed(self):
        return self.reason is None

    def compare(self, name, got, want):
        """Takes one output into account. Integers must be equal; NaN matches NaN."""
        if got.dtype != want.dtype or got.shape != want.shape:
            self.fail("%s is %s%s, expected %s%s" % (name, got.dtype, list(got.shape), want.dtype, list(want.shape)))
            return
        self.elements += want.size
        if want.size == 0:
            return
        if not np.issubdtype(want.dtype, np.floating):
            different = np.flatnonzero(got.ravel() != want.ravel())
            if different.size:
                at = int(different[0])
                self.fail("%s[%d] is %s, expected %s (%d of %d differ)" % (name, at, got.flat[at], want.flat[at], different.size, want.size))
            return
        a, b = got.astype(np.float64), want.astype(np.float64)
        finite = np.isfinite(a) & np.isfinite(b)
        same = (a == b) | (np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore"):
            error = np.where(same, 0.0, np.where(finite, np.abs(a - b), np.inf))
            limit = self.atol + self.rtol * np.where(np.isfinite(b), np.abs(b), 0.0)
        # Relative error where the expected number is not lost in the absolute tolerance.
        floor = np.maximum(np.where(np.isfinite(b), np.abs(b), 1.0), max(self.atol, 1e-30))
        self.max_abs = max(self.max_abs, float(error.max()))
        self.max_rel = max(self.max_rel, float((error / floor).max()))
        bad = np.flatnonzero((error > limit).ravel())
        if bad.size:
            at = int(bad[0])
            place = ",".join(map(str, np.unravel_index(at, want.shape)))
            self.fail("%s[%s] is %.7g, expected %.7g (%d of %d differ)" % (name, place, a.flat[at], b.flat[at], bad.size, want.size))

    def fail(self, reason):
        self.reason = self.reason or reason


def compare_all(got, want, rtol, atol):
    """Compares outputs by name."""
    agreement = Agreement(rtol, atol)
    for name, expected in want.items():
        if name not in got:
            agreement.fail("output %s is missing" % name)
        else:
            agreement.compare(name, got[name], expected)
    return agreement
