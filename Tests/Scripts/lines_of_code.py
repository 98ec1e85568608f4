#!/usr/bin/env python3
"""Counts the tree: files and lines of every target, the median and the longest files, and code that is there twice.

Code that is there twice: runs of at least `--repeat` lines that are equal but for blanks, after comments, imports and lines
of brackets alone are left out.
"""
import argparse
import os
import re
import statistics
import sys
from collections import defaultdict

ENDINGS = (".swift", ".c", ".h", ".py", ".sh", ".proto")


def target(path):
    """The target that a file belongs to: ir/Graph and Sources/Runtime are two, passes/Simplify one too."""
    parts = path.split(os.sep)
    return os.sep.join(parts[:2]) if len(parts) > 2 else parts[0] if len(parts) > 1 else "."


def files(root):
    for folder in ("ir", "passes", "Sources", "Tests", "examples", ".ci"):
        for place, _, names in os.walk(os.path.join(root, folder)):
            for name in names:
                path = os.path.join(place, name)
                if name.endswith(ENDINGS) or (folder == ".ci" and os.access(path, os.X_OK)):
                    yield os.path.relpath(path, root)


def significant(lines):
    """(number, text) of the lines that say something."""
    for number, line in enumerate(lines, 1):
        text = re.sub(r"\s+", " ", line.strip())
        if text and not text.startswith(("//", "///", "#", "*", "import ", "package import", "public import", "internal import")) and not re.fullmatch(r"[\W_]*", text):
            yield number, text


def repeats(contents, length):
    """Runs of equal lines, longest first: (lines, [(path, first line)])."""
    windows = defaultdict(list)
    kept = {path: list(significant(lines)) for path, lines in contents.items()}
    for path, lines in kept.items():
        for start in range(len(lines) - length + 1):
            windows["\n".join(text for _, text in lines[start:start + length])].append((path, start))
    found, covered = [], set()
    for places in windows.values():
        if len(places) < 2 or any(place in covered for place in places):
            continue
        size = length
        while True:
            following = {kept[path][start + size][1] if start + size < len(kept[path]) else None for path, start in places}
            if len(following) != 1 or None in following:
                break
            size += 1
        for path, start in places:
            covered.update((path, start + offset) for offset in range(size))
        found.append((size, [(path, kept[path][start][0]) for path, start in places]))
    return sorted(found, reverse=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")))
    parser.add_argument("--longest", type=int, default=12, help="how many of the longest files to name (%(default)s)")
    parser.add_argument("--repeat", type=int, default=8, help="shortest run that counts as repeated (%(default)s)")
    parser.add_argument("--limit", type=int, default=500, help="most lines that a Swift file may have; more is exit status 1 (%(default)s)")
    options = parser.parse_args()
    contents = {}
    for path in sorted(files(options.root)):
        with open(os.path.join(options.root, path), errors="replace") as file:
            contents[path] = file.read().splitlines()
    counts = {path: len(lines) for path, lines in contents.items()}
    groups = defaultdict(list)
    for path, count in counts.items():
        groups[target(path)].append(count)
    print("%-28s %6s %8s %8s %8s" % ("target", "files", "lines", "median", "longest"))
    for name, sizes in sorted(groups.items(), key=lambda group: (group[0].split(os.sep)[0], -sum(group[1]))):
        print("%-28s %6d %8d %8d %8d" % (name, len(sizes), sum(sizes), statistics.median(sizes), max(sizes)))
    swift = [count for path, count in counts.items() if path.endswith(".swift")]
    source = sum(count for path, count in counts.items() if not path.startswith("Tests"))
    print("%-28s %6d %8d %8d %8d   (Swift files: median %d)" % ("all", len(counts), sum(counts.values()), statistics.median(counts.values()), max(counts.values()), statistics.median(swift)))
    print("outside Tests: %d lines; Tests: %d lines" % (source, sum(counts.values()) - source))
    print("\nlongest files")
    for path, count in sorted(counts.items(), key=lambda item: -item[1])[:options.longest]:
        print("%6d  %s" % (count, path))
    print("\nrepeated code (%d lines or more, blanks aside)" % options.repeat)
    found = repeats({path: lines for path, lines in contents.items() if path.endswith((".swift", ".c", ".py"))}, options.repeat)
    for size, places in found[:30]:
        print("%6d  %s" % (size, ", ".join("%s:%d" % place for place in places)))
    if not found:
        print("        none")
    long = [path for path, count in counts.items() if path.endswith(".swift") and count > options.limit]
    if long:
        sys.exit("over %d lines: %s" % (options.limit, ", ".join(long)))


if __name__ == "__main__":
    main()
