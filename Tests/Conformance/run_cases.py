"""Runs ONNX backend test cases through `ingot verify` and counts.

    python3 run_cases.py CASES_DIR [--tier 1 --operators operators.md] [--floor N] [--jobs N] [--list] [NAME...]

CASES_DIR has the layout that `prepare.sh` makes. A case passes if ingot ends with status 0; status 3 means that the model needs
something not supported yet; an end by a signal or after 20 seconds is a fault of its own kind. The exit status is 0 if at least
`--floor` cases pass and none crashes or hangs. Needs nothing but Python.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys

INGOT = os.environ.get("INGOT") or str(pathlib.Path(__file__).resolve().parents[2] / ".build/release/ingot")


def operators_of_tier(path, tier):
    """The operators that `operators.md` lists under a heading `## Tier N`."""
    names, inside = set(), False
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith("## "):
            inside = line.startswith(f"## Tier {tier}")
        match = re.match(r"\| ([A-Za-z0-9.:]+) \| ", line)
        if inside and match and match.group(1) != "operator":
            names.add(match.group(1))
    return names


def run(folder):
    """How one case ends: passed, unsupported, failed, crashed or hung; and why."""
    sets = sorted(str(path) for path in folder.glob("test_data_set_*"))
    try:
        done = subprocess.run([INGOT, "verify", str(folder / "model.onnx"), *sets], capture_output=True, timeout=20)
    except subprocess.TimeoutExpired:
        return "hung", "no answer after 20 s"
    words = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    reason = words[0] if words else ""
    if done.returncode == 0:
        return "passed", ""
    if done.returncode < 0:
        return "crashed", f"signal {-done.returncode} {reason}"
    return ("unsupported" if done.returncode == 3 else "failed"), reason


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--tier", type=int)
    parser.add_argument("--operators")
    parser.add_argument("--kind", default="node")
    parser.add_argument("--floor", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="print every case that does not pass, with the reason")
    options = parser.parse_args()

    index = json.loads((options.cases / "index.json").read_text())["cases"]
    wanted = operators_of_tier(options.operators, options.tier) if options.tier else None
    chosen = []
    for name, facts in sorted(index.items()):
        if options.names and not any(part in name for part in options.names):
            continue
        if not name.startswith(options.kind + "/") and options.kind != "all":
            continue
        if wanted is None or facts.get("op") in wanted:
            chosen.append(name)

    outcomes = collections.defaultdict(list)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, (outcome, reason) in zip(chosen, pool.map(lambda name: run(options.cases / name), chosen)):
            outcomes[outcome].append((name, reason))
    for outcome in ["crashed", "hung", "failed", "unsupported"]:
        for name, reason in outcomes[outcome]:
            if options.list or outcome in ("crashed", "hung"):
                print(f"{outcome:12}{name}  {reason[:160]}")
    what = f"tier {options.tier}, " if options.tier else ""
    counts = ", ".join(f"{len(outcomes[o])} {o}" for o in ["passed", "unsupported", "failed", "crashed", "hung"])
    print(f"conformance, {what}{options.kind} cases: {counts} of {len(chosen)}")
    if len(outcomes["passed"]) < options.floor:
        print(f"fewer than the {options.floor} that passed before")
    sys.exit(0 if len(outcomes["passed"]) >= options.floor and not outcomes["crashed"] and not outcomes["hung"] else 1)


if __name__ == "__main__":
    main()
