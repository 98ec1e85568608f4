"""The results as one picture: how many times faster Ingot is than the best peer, model by model."""
from xml.sax.saxutils import escape

import comparison
from report import shown, title

AHEAD, BEHIND = ["#2f6f9f", "#8fbcdb"], ["#b5482a", "#e3a58f"]
TOP = 3.0  # Bars above are cut, and say their value.
WIDTH, LEFT, RIGHT, ROW, BAR, HEAD = 1010, 196, 280, 44, 15, 104


def text(x, y, words, size=13, anchor="start", weight="normal", fill="#222"):
    # A white rim keeps words readable where they cross a line.
    return '<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s" font-weight="%s" fill="%s" stroke="#fff" stroke-width="3" paint-order="stroke">%s</text>' % (
        x, y, size, anchor, weight, fill, escape(words))


def svg(results, batch=1):
    """Bars by model, one for each thread count; a line where Ingot and the best peer are equal."""
    threads = comparison.thread_counts(results)[:2]
    names = list(dict.fromkeys(case["model"] for case in comparison.select(results, batch)))
    rows = [(name, [next((case for case in comparison.select(results, batch, count) if case["model"] == name), None) for count in threads]) for name in names]
    rows = [(name, cases) for name, cases in rows if any(case and comparison.ratio(case, comparison.best_peer(case)) for case in cases)]
    plot = WIDTH - LEFT - RIGHT
    height = HEAD + ROW * len(rows) + 92
    place = lambda value: LEFT + plot * min(value, TOP) / TOP
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="DejaVu Sans, Verdana, sans-serif">' % (WIDTH, height, WIDTH, height),
           '<rect width="%d" height="%d" fill="#ffffff"/>' % (WIDTH, height),
           text(20, 32, "Ingot beside the best other runtime of each model", 19, weight="bold"),
           text(20, 54, "time of the best peer / time of Ingot; right of the line Ingot is faster. fp32, batch %d." % batch, 13, fill="#555")]
    x = 20
    for count, ahead, behind in zip(threads, AHEAD, BEHIND):
        out += ['<rect x="%d" y="66" width="14" height="14" fill="%s"/><rect x="%d" y="66" width="14" height="14" fill="%s"/>' % (x, ahead, x + 15, behind),
                text(x + 36, 78, "%d thread%s" % (count, "" if count == 1 else "s"), 12)]
        x += 130
    bottom = HEAD + ROW * len(rows)
    for step in range(int(TOP * 2) + 1):
        value = step / 2
        out.append('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s" stroke-width="%s"/>' % (
            place(value), HEAD - 6, place(value), bottom, "#222" if value == 1 else "#ddd", "1.5" if value == 1 else "1"))
        out.append(text(place(value), bottom + 18, "%g" % value, 12, "middle", fill="#555"))
    for position, (name, cases) in enumerate(rows):
        top = HEAD + ROW * position
        out.append(text(LEFT - 10, top + 21, name, 13, "end"))
        for number, (count, case) in enumerate(zip(threads, cases)):
            best = comparison.best_peer(case) if case else None
            value = comparison.ratio(case, best) if case else None
            if not value:
                continue
            y = top + 2 + number * (BAR + 2)
            colour = (AHEAD if value >= 1 else BEHIND)[number]
            out.append('<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>' % (LEFT, y, place(value) - LEFT, BAR, colour))
            if value > TOP:  # A white stroke through the end: this bar goes on.
                end = place(TOP) - 14
                out.append('<path d="M%.1f %d l8 %d" stroke="#fff" stroke-width="4"/>' % (end, y, BAR))
            out.append(text(place(value) + 5, y + 12, "%.2f" % value, 11, weight="bold" if value >= 1 else "normal"))
            out.append(text(WIDTH - RIGHT + 62, y + 12, "%s  (%s %s)" % (shown(comparison.seconds(case, "ingot")), title(best), shown(comparison.seconds(case, best))), 11, fill="#555"))
    found = [comparison.means(comparison.select(results, batch, count)) for count in threads]
    lines = ["Geometric means: " + "; ".join(
        "%d thread%s %.2f%s" % (count, "" if count == 1 else "s", mean["all"]["best_peer"],
                                ", %.2f without models under 0.1 ms" % mean["without tiny models"]["best_peer"] if mean["without tiny models"]["best_peer"] else "")
        for count, mean in zip(threads, found) if mean["all"]["best_peer"])]
    about = results.about
    lines.append("%s, %s, %s processors, Ingot %s" % (about.get("date", ""), about.get("machine", ""), about.get("processors", "?"), about.get("ingot", "")))
    lines.append(", ".join("%s %s" % (title(key), version) for key, version in about.get("versions", {}).items()))
    for number, line in enumerate(lines):
        out.append(text(20, bottom + 42 + 17 * number, line, 12 if number else 13, weight="normal" if number else "bold", fill="#555" if number else "#222"))
    return "\n".join(out + ["</svg>"]) + "\n"
