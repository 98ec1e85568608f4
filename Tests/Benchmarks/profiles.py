"""Where the time goes in models that are behind their best peer: kernels by kind, and those that lose most against the machine's peak."""
import json
import os

import child_process
import comparison


def kind(step):
    """What sort of kernel a step is, in the words of the compiler's own note."""
    return step.get("note", "").split(",")[0].strip() or step["name"].split("_")[0]


def summary(report, peak_gflops):
    """Rows by kind, most time first; and the three steps whose time is longest beyond what their multiply-adds need."""
    total = sum(step["seconds"] for step in report["steps"]) or 1
    kinds = {}
    for step in report["steps"]:
        row = kinds.setdefault(kind(step), {"kind": kind(step), "steps": 0, "seconds": 0.0, "flops": 0, "bytes": 0})
        row["steps"] += 1
        for part in ("seconds", "flops", "bytes"):
            row[part] += step.get(part) or 0
    needed = lambda step: (step.get("flops") or 0) / (peak_gflops * 1e9) if peak_gflops else 0
    rows = sorted(kinds.values(), key=lambda row: -row["seconds"])
    for row in rows:
        row["share"] = row["seconds"] / total
    losses = sorted(report["steps"], key=lambda step: needed(step) - step["seconds"])[:3]
    return rows, [{"name": step["name"], "origin": step["origin"], "seconds": step["seconds"], "needed_seconds": needed(step), "note": step.get("note", "")} for step in losses]


def measure(options, results, catalogue, planned, say):
    """One profile for each model that is behind, at the fewest threads where it is.

    - planned: models by name and batch; others are looked up in the catalogue.
    """
    results.profiles = []
    priority = {"fifo": ["chrt", "-f", "20"], "nice": ["nice", "-n", "-20"], None: []}[options.boost]
    done = set()
    for case in sorted(results.cases, key=lambda case: (case["batch"], case["threads"])):
        best = comparison.best_peer(case)
        if (comparison.ratio(case, best) or 1) >= 1 or (case["model"], case["batch"]) in done:
            continue
        try:
            model = planned.get((case["model"], case["batch"])) or catalogue.model(case["model"], case["batch"])
        except KeyError:
            continue
        done.add((case["model"], case["batch"]))
        path = model.file(os.path.join(options.prepare, "models"))
        dims = [word for symbol, length in model.symbols.items() for word in ("--dim", "%s=%d" % (symbol, length))]
        command = [options.ingot, "bench", path, "--threads", str(case["threads"]), "--seconds", "0.5", "--profile", "--json", "-"]
        finished = child_process.run(priority + command + dims, 300)
        entry = {"model": case["model"], "batch": case["batch"], "threads": case["threads"], "best_peer": best, "ratio": comparison.ratio(case, best)}
        try:
            if finished.status != 0:
                raise ValueError(finished.complaint[:160])
            entry["kinds"], entry["losses"] = summary(json.loads(finished.output), comparison.peak(results, case["threads"]))
        except (ValueError, KeyError) as error:
            entry["error"] = str(error)
        results.profiles.append(entry)
        say("profile of %s, batch %d, %d threads: %s" % (entry["model"], entry["batch"], entry["threads"], entry.get("error") or ", ".join(
            "%s %.0f %%" % (row["kind"], 100 * row["share"]) for row in entry["kinds"][:4])))
    results.save()
