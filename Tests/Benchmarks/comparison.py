"""What follows from the measurements: ratios, geometric means, fractions of the machine's limits. Pure functions of the results."""
import math

from ingot_peer import PRECISIONS
from peers import PEERS

# A peer whose fp32 results differ by more than this computes something else, and is no yardstick.
OTHER_RESULTS = 1e-2


def seconds(case, key):
    """A peer's time in a case, or None."""
    return (case["peers"].get(key) or {}).get("seconds")


def is_yardstick(case, key):
    """True if the peer was measured at fp32 and did not compute something else."""
    if key not in PEERS or PEERS[key].precision != "fp32" or not seconds(case, key):
        return False
    accuracy = case["peers"][key].get("accuracy") or {}
    return not accuracy.get("checked") or accuracy["relative_l2"] <= OTHER_RESULTS


def best_peer(case, keys=None):
    """The key of the quickest fp32 peer (of `keys`, if given), or None."""
    candidates = [key for key in (keys or PEERS) if is_yardstick(case, key)]
    return min(candidates, key=lambda key: seconds(case, key), default=None)


def ratio(case, against, mine="ingot"):
    """How many times faster Ingot is than `against`, or None."""
    if against is None or not seconds(case, mine) or not seconds(case, against):
        return None
    return seconds(case, against) / seconds(case, mine)


def geometric_mean(values):
    values = [value for value in values if value]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def is_tiny(case):
    """True where calling a peer takes longer than its arithmetic: under 0.1 ms in the best peer."""
    best = best_peer(case)
    return best is not None and seconds(case, best) < 1e-4


def select(results, batch=1, threads=None):
    return [case for case in results.cases if case["batch"] == batch and threads in (None, case["threads"])]


def thread_counts(results):
    return sorted({case["threads"] for case in results.cases})


def means(cases):
    """Geometric means of Ingot's ratios: over the best peer, and over the better of ONNX Runtime and OpenVINO; with and without tiny models."""
    found = {}
    for name, chosen in (("all", cases), ("without tiny models", [case for case in cases if not is_tiny(case)])):
        best = [ratio(case, best_peer(case)) for case in chosen]
        two = [ratio(case, best_peer(case, ["ort", "openvino"])) for case in chosen]
        found[name] = {
            "models": sum(value is not None for value in best), "best_peer": geometric_mean(best), "better_of_ort_and_openvino": geometric_mean(two),
            "behind": [case["model"] for case, value in zip(chosen, best) if value is not None and value < 1]}
    return found


def limit(results, name, threads):
    return results.limits.get("%s %d" % (name, threads))


def peak(results, threads, precision="fp32"):
    names = ["dot_bf16_512"] if precision == "bf16" else ["fma_fp32_512", "fma_fp32_256"]
    return max((value for value in (limit(results, name, threads) for name in names) if value), default=None)


def fraction_of_peak(results, case, key="ingot"):
    """Direct-method multiply-adds per second as a part of the machine's peak in that precision, or None."""
    precision = PRECISIONS.get(key) or PEERS[key].precision
    top, time = peak(results, case["threads"], precision), seconds(case, key)
    return case["gflop"] / time / top if top and time and case.get("gflop") else None


def fraction_of_bandwidth(results, case, key="ingot"):
    """Reading the weights, measured in turn with the peers, as a part of the time; None for models that do more than that."""
    time, streaming = seconds(case, key), case.get("streaming_seconds")
    return streaming / time if time and streaming else None
