"""What follows from measurements of int8 models, as lines for a terminal and as a Markdown table. Pure functions of the records."""
MINE, PEAK = ("Ingot, QDQ file", "Ingot, own"), "VNNI peak"


def seconds(case, title):
    return (case["rows"].get(title) or {}).get("seconds")


def best_peer(case):
    """The title of the quickest int8 row of another tool, or None."""
    others = [title for title in case["rows"] if not title.startswith("Ingot") and title != PEAK and seconds(case, title)]
    return min(others, key=lambda title: seconds(case, title), default=None)


def over(numerator, denominator):
    return numerator / denominator if numerator and denominator else None


def facts(case, title):
    """(how many times Ingot's fp32, how many times the best peer, part of the VNNI peak), each None where it was not measured."""
    time, best = seconds(case, title), best_peer(case)
    float_row = title == "Ingot fp32"
    return (over(seconds(case, "Ingot fp32"), time), over(seconds(case, best), time) if best else None, None if float_row else over(seconds(case, PEAK), time))


def times(value):
    return "%.2fx" % value if value else "-"


def percent(value):
    return "%.0f %%" % (100 * value) if value else "-"


def row_lines(case):
    """For a terminal."""
    lines = ["%s, batch %d, %d thread%s" % (case["model"], case["batch"], case["threads"], "s" if case["threads"] > 1 else ""),
             "  %-24s %11s %11s %6s %9s  %8s %10s %5s" % ("", "median", "fastest", "", "size", "to fp32", "to a peer", "peak")]
    for title, row in case["rows"].items():
        if "seconds" not in row:
            lines.append("  %-24s %s" % (title, row.get("error", "not measured")))
            continue
        to_float, to_peer, peak = facts(case, title)
        lines.append("  %-24s %8.3f ms %8.3f ms +-%2.0f %% %6.1f MB  %8s %10s %5s" % (
            title, row["seconds"] * 1e3, row["fastest_seconds"] * 1e3, 100 * row["half_spread"], row["bytes"] / 1e6, times(to_float), times(to_peer), percent(peak)))
    return lines


def markdown(cases):
    """One line for each row of each case."""
    lines = ["| model | batch | threads | row | median ms | fastest ms | MB | to our fp32 | to the best peer | of the VNNI peak |", "|" + "---|" * 10]
    for case in cases:
        best = best_peer(case)
        for title, row in case["rows"].items():
            start = "| %s | %d | %d | %s |" % (case["model"], case["batch"], case["threads"], title + (" (best peer)" if title == best else ""))
            if "seconds" not in row:
                lines.append(start + " - | - | - | - | - | - |")
                continue
            to_float, to_peer, peak = facts(case, title)
            if title == PEAK:
                to_float, to_peer = None, None
            lines.append(start + " %.3f ±%.0f%% | %.3f | %s | %s | %s | %s |" % (
                row["seconds"] * 1e3, 100 * row["half_spread"], row["fastest_seconds"] * 1e3, "%.1f" % (row["bytes"] / 1e6) if row["bytes"] else "-",
                times(to_float), times(to_peer), percent(peak)))
    return "\n".join(lines) + "\n"
