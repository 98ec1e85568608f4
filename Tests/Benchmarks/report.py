"""The results as Markdown."""
import comparison
from ingot_peer import PRECISIONS, TITLES
from peers import PEERS


def shown(seconds):
    """A time with four digits and its unit."""
    if seconds is None:
        return "-"
    for scale, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        if seconds * scale >= 1 or unit == "ns":
            digits = max(0, 3 - len(str(int(seconds * scale))))
            return "%.*f %s" % (digits, seconds * scale, unit)


def times(value):
    return "-" if value is None else "%.2f" % value


def percent(value):
    return "-" if value is None else "%.0f %%" % (100 * value)


def precision(key):
    return PRECISIONS.get(key) or PEERS[key].precision


def title(key):
    return TITLES.get(key) or PEERS[key].title


def table(heads, rows):
    if not rows:
        return []
    return ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)] + ["| " + " | ".join(row) + " |" for row in rows] + [""]


def columns(cases, keys):
    """Those keys that were measured at all."""
    return [key for key in keys if any(comparison.seconds(case, key) for case in cases)]


def mark(case, key):
    """A sign behind an fp32 time: results that differ a little, or altogether, or were not compared."""
    accuracy = (case["peers"].get(key) or {}).get("accuracy") or {}
    if not comparison.seconds(case, key):
        return ""
    if not accuracy.get("checked"):
        return " ?"
    return "" if accuracy["agrees"] else " ‡" if accuracy["relative_l2"] > comparison.OTHER_RESULTS else " †"


def plural(threads):
    return "%d thread%s" % (threads, "" if threads == 1 else "s")


def speed_table(results, cases):
    fp32 = columns(cases, [key for key, peer in PEERS.items() if peer.precision == "fp32"])
    heads = ["model", "Ingot"] + [title(key) for key in fp32] + ["over the best", "over ORT, OpenVINO", "of FMA peak", "of memory"]
    rows = []
    for case in cases:
        best = comparison.best_peer(case)
        over, both = comparison.ratio(case, best), comparison.ratio(case, comparison.best_peer(case, ["ort", "openvino"]))
        cells = [shown(comparison.seconds(case, key)) + mark(case, key) for key in ["ingot"] + fp32]
        cells = ["**%s**" % cell if key == best else cell for key, cell in zip(["ingot"] + fp32, cells)]
        rows.append([case["model"]] + cells + [("**%s**" if over and over >= 1 else "%s") % times(over), times(both),
                     percent(comparison.fraction_of_peak(results, case)), percent(comparison.fraction_of_bandwidth(results, case))])
    return table(heads, rows)


def means_lines(results, batch=1):
    lines = []
    for threads in comparison.thread_counts(results):
        found = comparison.means(comparison.select(results, batch, threads))
        for name, values in found.items():
            if values["models"]:
                lines.append("- %s, %s: %s over the best peer, %s over the better of ONNX Runtime and OpenVINO (geometric means, %d models)%s." % (
                    plural(threads), name, times(values["best_peer"]), times(values["better_of_ort_and_openvino"]), values["models"],
                    "; behind the best peer on " + ", ".join(values["behind"]) if values["behind"] and name == "all" else ""))
    return lines


def bf16_lines(results):
    rows = []
    for case in results.cases:
        mine, theirs = (comparison.seconds(case, key) for key in ("ingot-bf16", "openvino-bf16"))
        if not mine:
            continue
        plain = comparison.seconds(case, "ingot")
        errors = [((case["peers"].get(key) or {}).get("accuracy") or {}).get("relative_l2") for key in ("ingot-bf16", "openvino-bf16")]
        rows.append([case["model"], str(case["batch"]), str(case["threads"]), shown(mine), shown(theirs), times(theirs / mine if theirs else None),
                     times(plain / mine if plain else None), percent(comparison.fraction_of_peak(results, case, "ingot-bf16"))]
                    + ["-" if error is None else "%.1e" % error for error in errors])
    return table(["model", "batch", "threads", "Ingot bf16", "OpenVINO bf16", "ratio", "gain over Ingot fp32", "of bf16 peak", "error, Ingot", "error, OpenVINO"], rows)


def batch_lines(results):
    rows = []
    for case in results.cases:
        if case["batch"] == 1 or not comparison.seconds(case, "ingot"):
            continue
        rates = [case["batch"] / comparison.seconds(case, key) if comparison.seconds(case, key) else None for key in ("ingot", "ort", "openvino")]
        rows.append([case["model"], str(case["batch"]), str(case["threads"])] + ["-" if rate is None else "%.1f /s" % rate for rate in rates]
                    + [times(comparison.ratio(case, key)) for key in ("ort", "openvino")] + [percent(comparison.fraction_of_peak(results, case))])
    return table(["model", "batch", "threads", "Ingot", "ONNX Runtime", "OpenVINO", "over ORT", "over OpenVINO", "of FMA peak"], rows)


def tuned_lines(results):
    rows = []
    for case in results.cases:
        tuned, plain = comparison.seconds(case, "ingot-tuned"), comparison.seconds(case, "ingot")
        if tuned and plain:
            record, untuned = case["peers"]["ingot-tuned"], case["peers"]["ingot"]
            rows.append([case["model"], str(case["threads"]), shown(plain), shown(tuned), times(plain / tuned), times(comparison.ratio(case, comparison.best_peer(case), "ingot-tuned")),
                         shown(record.get("compile_seconds")), shown(untuned.get("compile_seconds"))])
    return table(["model", "threads", "untuned", "tuned", "gain", "tuned over the best", "compile with tuning", "without"], rows)


def compile_lines(results):
    rows, first = [], min(comparison.thread_counts(results), default=1)
    for case in results.cases:
        for key in PRECISIONS:
            record = case["peers"].get(key) or {}
            if "compile_seconds" in record and key != "ingot-tuned" and case["threads"] == first:
                rows.append([case["model"], str(case["batch"]), str(case["threads"]), PRECISIONS[key], shown(record["compile_seconds"]), "%.0f MB" % (record["compile_peak_bytes"] / 1e6),
                             "%.1f MB" % (record["artifact_bytes"] / 1e6), "%.2f MB" % (record["code_bytes"] / 1e6) if isinstance(record.get("code_bytes"), int) else "-"])
    return table(["model", "batch", "threads", "precision", "compile", "peak memory", "artifact", "code"], rows)


def accuracy_lines(results):
    rows, first = [], min(comparison.thread_counts(results), default=1)
    for case in results.cases:
        for key, record in case["peers"].items():
            accuracy = record.get("accuracy")
            if key == "ort" or not accuracy or "error" in record:
                continue
            cells = ["%.1e" % accuracy[name] if accuracy["checked"] else "-" for name in ("max_abs", "max_rel", "relative_l2")]
            verdict = "not compared" if not accuracy["checked"] else "yes" if accuracy["agrees"] else "no"
            # Narrower arithmetic is not held to the limits of fp32, and threads change a row only if they change results.
            if precision(key) != "fp32":
                verdict = "-"
            elif accuracy.get("reason"):
                verdict += ": " + accuracy["reason"].replace("|", "/")
            row = [case["model"], str(case["batch"]), title(key)] + cells + [verdict]
            if case["threads"] == first or row not in rows:
                rows.append(row)
    return table(["model", "batch", "who", "max abs", "max rel", "relative L2", "within 1e-3, 1e-4"], rows)


def start_lines(results):
    rows = [[entry["model"], entry["who"], shown(entry.get("seconds")), "%.0f MB" % (entry["peak_bytes"] / 1e6) if entry.get("peak_bytes") else "-",
             "%.0f MB" % (entry["disk_bytes"] / 1e6) if entry.get("disk_bytes") else "-", entry.get("error") or entry.get("note") or ""] for entry in results.start]
    return table(["model", "who", "exec to first answer", "peak memory", "on disk, model included", ""], rows)


def kernel_lines(results):
    rows = [[entry["kernel"], entry["where"], shown(entry.get("seconds")), "%.1f GB/s" % entry["rate"] if entry.get("rate") else "-", percent(entry.get("fraction")),
             entry.get("error") or entry.get("bound") or "-"] for entry in results.kernels]
    return table(["kernel, one thread", "data in", "time", "moves", "of the limit", "which is"], rows)


def profile_lines(results):
    """Models that are behind: what kinds of kernels take the time, and what each kind reaches."""
    rows, losses = [], []
    for entry in results.profiles:
        top, name = comparison.peak(results, entry["threads"]), "%s, batch %d, %s (%s)" % (entry["model"], entry["batch"], plural(entry["threads"]), times(entry["ratio"]))
        for row in entry.get("kinds", [])[:5]:
            rate = row["flops"] / row["seconds"] / 1e9 if row["seconds"] else 0
            rows.append([name, row["kind"], str(row["steps"]), percent(row["share"]), shown(row["seconds"]), percent(rate / top if top else None),
                         "%.1f GB/s" % (row["bytes"] / row["seconds"] / 1e9) if row["seconds"] else "-"])
        for step in entry.get("losses", []):
            losses.append([name, step["origin"].replace("|", "/")[:60], shown(step["seconds"]), shown(step["needed_seconds"]), step["note"].replace("|", "/")[:70]])
    found = table(["model (ratio)", "kind of kernel", "kernels", "share", "time", "of FMA peak", "moves"], rows)
    return found + (["The kernels that lose most against the peak:", ""] + table(["model", "from", "takes", "its multiply-adds need", "how"], losses) if losses else [])


def failure_lines(results):
    reasons = {}
    for case in results.cases:
        for key, record in case["peers"].items():
            if "error" in record:
                reasons.setdefault((title(key), record["error"].replace("|", "/")[:160]), []).append("%s%s" % (case["model"], " x%d" % case["batch"] if case["batch"] > 1 else ""))
    return table(["who", "models", "reason"], [[who, ", ".join(dict.fromkeys(models)), reason] for (who, reason), models in sorted(reasons.items())])


def about_line(results):
    about = results.about
    versions = ", ".join("%s %s" % (title(key), version) for key, version in about.get("versions", {}).items())
    return "%s, %s, %s processors. Ingot %s; %s." % (about.get("date", ""), about.get("machine", ""), about.get("processors", "?"), about.get("ingot", ""), versions)


def markdown(results, limits_sentence=None):
    """The whole report."""
    lines = ["# Ingot beside other runtimes", "", about_line(results), ""]
    if limits_sentence or results.about.get("limits_sentence"):
        lines += [limits_sentence or results.about["limits_sentence"], ""]
    lines += means_lines(results) + [""]
    lines += ["Every time is the median of slice medians; slices of all peers alternate in one run. Bold: the best peer. † results outside 1e-3 relative and 1e-4 "
              "absolute; ‡ results that are something else (not counted as a peer); ? results that could not be compared. The fraction of the peak counts the "
              "direct method's multiply-adds, so that Winograd may exceed it.", ""]
    for threads in comparison.thread_counts(results):
        lines += ["## fp32, batch 1, " + plural(threads), ""] + speed_table(results, comparison.select(results, 1, threads))
    for heading, part in (
            ("bf16", bf16_lines(results)), ("Batches", batch_lines(results)), ("Tuning", tuned_lines(results)), ("Compilation, nothing cached", compile_lines(results)),
            ("Behind the best peer: where the time goes", profile_lines(results)), ("Start, memory, size", start_lines(results)), ("Kernels that move data", kernel_lines(results)), ("Accuracy against ONNX Runtime fp32", accuracy_lines(results)),
            ("What did not run", failure_lines(results))):
        if part:
            lines += ["## " + heading, ""] + part
    return "\n".join(lines).rstrip() + "\n"
