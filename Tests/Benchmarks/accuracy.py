"""How far a peer's results are from the reference's, whatever names and layout it gives them."""
from required_packages import require
from tensor_agreement import Agreement

np = require("numpy")
RTOL, ATOL = 1e-3, 1e-4


def layouts(array, shape):
    """The array in every way in which a peer may mean `shape`: as it is, without a batch, channels last."""
    if array.shape == tuple(shape):
        return [array]
    found = []
    if array.size == int(np.prod(shape)):
        found.append(array.reshape(shape))
        if len(shape) == 4:
            n, c, h, w = shape
            found.append(array.reshape(n, h, w, c).transpose(0, 3, 1, 2))
        if len(shape) == 3:
            found.append(array.reshape(shape[0], shape[2], shape[1]).transpose(0, 2, 1))
    return found


def relative_l2(got, want):
    got, want = got.astype(np.float64).ravel(), want.astype(np.float64).ravel()
    return float(np.linalg.norm(got - want) / max(np.linalg.norm(want), 1e-30))


def accuracy(got, want, names_count=True):
    """Compares arrays by name. Where a peer has no names (`names_count` false) each expected array takes the nearest of the same size."""
    agreement, distances, compared = Agreement(RTOL, ATOL), [], 0
    for name, expected in want.items():
        if expected.size == 0:
            continue
        candidates = [got[name]] if name in got else [] if names_count else list(got.values())
        ways = [way for array in candidates for way in layouts(array, expected.shape)]
        if not ways:
            if names_count:
                agreement.fail("output %s is missing" % name)
            continue
        best = min(ways, key=lambda way: relative_l2(way, expected))
        agreement.compare(name, best.astype(expected.dtype), expected)
        distances.append(relative_l2(best, expected))
        compared += 1
    if not compared:
        return {"checked": False, "reason": agreement.reason or "no output of the same size"}
    return {
        "checked": True, "agrees": agreement.passed, "reason": agreement.reason, "max_abs": agreement.max_abs, "max_rel": agreement.max_rel,
        "relative_l2": max(distances), "outputs": compared}
