"""Writes the result table between two marks of the README."""
import textwrap

import comparison
from report import about_line, means_lines, percent, plural, shown, times, title

BEGIN, END = "<!-- benchmark:begin, written by Tests/Benchmarks/run.py --update-readme -->", "<!-- benchmark:end -->"


class NoMarks(Exception):
    pass


def block(results, picture):
    """A short table: a line for each model, both thread counts beside each other."""
    counts = comparison.thread_counts(results)[:2]
    heads = ["model"] + [head for count in counts for head in ("Ingot, " + plural(count), "best peer", "ratio", "of peak")]
    rows = []
    for name in dict.fromkeys(case["model"] for case in comparison.select(results, 1)):
        row, any_time = [name], False
        for count in counts:
            case = results.find(name, 1, count)
            best = comparison.best_peer(case) if case else None
            value = comparison.ratio(case, best) if case else None
            any_time = any_time or value is not None
            streamed = comparison.fraction_of_bandwidth(results, case) if case else None
            row += [shown(comparison.seconds(case, "ingot")) if case else "-", "%s, %s" % (shown(comparison.seconds(case, best)), title(best)) if best else "-",
                    "**%s**" % times(value) if value and value >= 1 else times(value),
                    percent(streamed) + " mem." if streamed else percent(comparison.fraction_of_peak(results, case) if case else None)]
        if any_time:
            rows.append("| " + " | ".join(row) + " |")
    words = (about_line(results) + " fp32, batch 1; all alternate in slices of one run. Ratio: how many times faster Ingot is than the best peer of that "
             "model. Peak: fused multiply-adds of the direct method (\"mem.\": of the memory's bandwidth).")
    lines = textwrap.wrap(words, 140) + [""]
    lines += ["| " + " | ".join(heads) + " |", "|---|" + "---:|" * (len(heads) - 1)] + rows + [""]
    lines += means_lines(results) + ["", "![Ingot beside the best other runtime of each model](%s)" % picture]
    return "\n".join(lines)


def rewritten(readme, results, picture):
    """The README's text with a new block."""
    begin, end = readme.find(BEGIN), readme.find(END)
    if begin < 0 or end < begin:
        raise NoMarks("the README has no line %r followed by %r" % (BEGIN, END))
    return readme[:begin + len(BEGIN)] + "\n" + block(results, picture) + "\n" + readme[end:]
