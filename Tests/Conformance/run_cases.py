#!/usr/bin/env python3
"""Runs ONNX backend test cases through `ingot verify`, on compiled code, and counts.

    python3 run_cases.py CASES_DIR [--kind node] [--operators operators.md [--tier 1]] [--floor N] [--list] [NAME...]
    python3 run_cases.py CASES_DIR --artifacts --sample 0.1 --seed 7      # each case compiled to an artifact, which verifies itself

CASES_DIR has the layout that `prepare.sh` makes. A case passes if ingot ends with status 0; status 3 means that the model needs
something not supported yet. An end by a signal, one after more than 20 seconds and one that took more than 2 GB of memory are
faults of their own kinds. With --operators, which names tiers, the figures are given by tier too. The exit status is 0 if at
least `--floor` cases pass and none crashes, hangs or takes too much memory. Needs nothing but Python.
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import random
import re
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "Scripts"))
import child_process
from model_inputs import input_names

INGOT = os.environ.get("INGOT") or str(pathlib.Path(__file__).resolve().parents[2] / ".build/release/ingot")
OUTCOMES = ["passed", "unsupported", "failed", "crashed", "hung", "memory"]
FAULTS = ["crashed", "hung", "memory"]


def tiers(path):
    """The tier of each operator that `operators.md` lists under a heading `## Tier N`."""
    found, tier = {}, None
    for line in pathlib.Path(path).read_text().splitlines():
        if line.startswith("## "):
            heading = re.match(r"## Tier (\d)", line)
            tier = int(heading.group(1)) if heading else None
        match = re.match(r"\| ([A-Za-z0-9.:]+) \| ", line)
        if tier and match and match.group(1) != "operator":
            found.setdefault(match.group(1), tier)
    return found


class Outcome:
    """How one case ended, why, and what it took."""

    def __init__(self, kind, reason="", seconds=0.0, peak_bytes=0, fixed=()):
        self.kind, self.reason, self.seconds, self.peak_bytes, self.fixed = kind, reason, seconds, peak_bytes, list(fixed)
        self.options = []


class Runner:
    def __init__(self, cases, seconds, memory_bytes):
        self.cases, self.seconds, self.memory_bytes = cases, seconds, memory_bytes

    def step(self, arguments):
        """Runs one command; the outcome and what it printed."""
        done = child_process.run(arguments, seconds=self.seconds)
        words = (done.errors or done.output).strip().splitlines()
        reason = words[0] if words else ""
        if done.seconds >= self.seconds:
            outcome = Outcome("hung", "no answer after %g s" % self.seconds)
        elif done.status < 0:
            outcome = Outcome("crashed", "signal %d %s" % (-done.status, reason))
        elif done.peak_bytes > self.memory_bytes:
            outcome = Outcome("memory", "%.0f MB" % (done.peak_bytes / 1e6))
        elif done.status == 0:
            outcome = Outcome("passed")
        else:
            outcome = Outcome("unsupported" if done.status == 3 else "failed", reason)
        outcome.seconds, outcome.peak_bytes = done.seconds, done.peak_bytes
        return outcome, done.output

    def sets(self, name):
        return sorted(str(path) for path in (self.cases / name).glob("test_data_set_*"))

    def verify(self, name):
        outcome, output = self.step([INGOT, "verify", str(self.cases / name / "model.onnx"), *self.sets(name)])
        try:
            line = json.loads(output.strip().splitlines()[-1])
            outcome.fixed, outcome.options = line.get("fixed", []), line.get("options", [])
        except (IndexError, ValueError):
            pass
        return outcome

    def verify_artifact(self, name):
        """What has to be known of the data before is found out by the tool's own verify; the artifact then carries it."""
        first = self.verify(name)
        if first.kind != "passed":
            return first
        model, sets = str(self.cases / name / "model.onnx"), self.sets(name)
        inputs = input_names(model) if first.fixed else []
        with tempfile.TemporaryDirectory(prefix="ingot-case-") as folder:
            artifact = folder + "/artifact"
            for data in sets:
                fixes = [word for fixed in first.fixed for word in ("--fix", "%s=%s/input_%d.pb" % (fixed, data, inputs.index(fixed)))]
                compiled, _ = self.step([INGOT, "compile", model, "-o", artifact, *first.options, *fixes])
                if compiled.kind != "passed":
                    compiled.reason = "compile: " + compiled.reason
                    return compiled
                outcome, _ = self.step([artifact, "verify", *self.tolerances(name), *([data] if fixes else sets)])
                outcome.fixed = first.fixed
                outcome.peak_bytes = max(outcome.peak_bytes, compiled.peak_bytes)
                if outcome.kind != "passed" or not fixes:
                    return outcome
        return outcome

    def tolerances(self, name):
        """The tool reads data.json beside the model; an artifact has to be told."""
        try:
            facts = json.loads((self.cases / name / "data.json").read_text())
        except (OSError, ValueError):
            return []
        return [word for key in ("rtol", "atol") if key in facts for word in ("--" + key, str(facts[key]))]


def count(outcomes):
    kinds = collections.Counter(outcome.kind for outcome in outcomes)
    share = " (%.1f %%)" % (100 * kinds["passed"] / len(outcomes)) if outcomes else ""
    return "%d of %d passed%s" % (kinds["passed"], len(outcomes), share) + "".join(
        ", %d %s" % (kinds[kind], kind) for kind in OUTCOMES[1:] if kinds[kind])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="parts of the names of the cases to run")
    parser.add_argument("--operators", help="operators.md, which says what tier an operator is of")
    parser.add_argument("--tier", type=int, help="only cases of this tier's operators")
    parser.add_argument("--kind", default="node", help="node, simple, pytorch-converted, pytorch-operator, light or all (%(default)s)")
    parser.add_argument("--floor", type=int, default=0, help="cases that have to pass")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--list", action="store_true", help="print every case that does not pass, with the reason")
    parser.add_argument("--artifacts", action="store_true", help="compile each case to an artifact and run the artifact's own verify")
    parser.add_argument("--sample", type=float, default=1.0, metavar="SHARE", help="a random share of the cases")
    parser.add_argument("--seed", type=int, default=1, help="of the random choice (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="limit of one run (%(default)g)")
    parser.add_argument("--memory", type=float, default=2e9, metavar="BYTES", help="limit of one run (%(default)g)")
    parser.add_argument("--report", type=pathlib.Path, help="write everything as JSON")
    options = parser.parse_intermixed_args()
    if options.tier and not options.operators:
        parser.error("--tier needs --operators")

    index = json.loads((options.cases / "index.json").read_text())["cases"]
    tier_of = tiers(options.operators) if options.operators else {}
    chosen = []
    for name, facts in sorted(index.items()):
        if options.names and not any(part in name for part in options.names):
            continue
        if options.kind != "all" and not name.startswith(options.kind + "/"):
            continue
        if options.tier and tier_of.get(facts.get("op")) != options.tier:
            continue
        chosen.append(name)
    if options.sample < 1:
        chosen = sorted(random.Random(options.seed).sample(chosen, round(len(chosen) * options.sample)))

    runner = Runner(options.cases, options.seconds, options.memory)
    one = runner.verify_artifact if options.artifacts else runner.verify
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        outcomes = dict(zip(chosen, pool.map(one, chosen)))

    for kind in reversed(OUTCOMES[1:]):
        for name, outcome in outcomes.items():
            if outcome.kind == kind and (options.list or kind in FAULTS):
                print("%-12s%s  %s" % (kind, name, outcome.reason[:200]))
    groups = [("%s cases" % kind, [name for name in chosen if name.startswith(kind + "/")]) for kind in sorted({name.split("/")[0] for name in chosen})]
    if tier_of:
        # Whole networks have no operator of their own.
        nodes = [name for name in chosen if name.startswith("node/")]
        groups += [("tier %d" % tier, [name for name in nodes if tier_of.get(index[name].get("op")) == tier]) for tier in (1, 2, 3)]
        groups += [("in no tier", [name for name in nodes if index[name].get("op") not in tier_of])]
    for title, names in groups:
        if names:
            print("conformance, %s: %s" % (title, count([outcomes[name] for name in names])))
    fixed = sum(1 for outcome in outcomes.values() if outcome.fixed)
    largest = max(outcomes, key=lambda name: outcomes[name].peak_bytes, default=None)
    if largest:
        print("conformance: largest memory %.0f MB (%s), longest run %.1f s; %d compiled for values of inputs" % (
            outcomes[largest].peak_bytes / 1e6, largest, max(outcome.seconds for outcome in outcomes.values()), fixed))
    what = "%s cases%s%s" % (options.kind, ", tier %d" % options.tier if options.tier else "", ", through artifacts" if options.artifacts else "")
    print("conformance, %s: %s" % (what, count(list(outcomes.values()))))
    if options.report:
        options.report.write_text(json.dumps({
            "cases": {name: {"outcome": o.kind, "reason": o.reason, "seconds": round(o.seconds, 3), "peak_bytes": o.peak_bytes, "fixed": o.fixed,
                             "tier": tier_of.get(index[name].get("op"))} for name, o in outcomes.items()},
            "passed": sum(o.kind == "passed" for o in outcomes.values()), "artifacts": options.artifacts}, indent=1) + "\n")
    passed = sum(outcome.kind == "passed" for outcome in outcomes.values())
    if passed < options.floor:
        print("fewer than the %d that passed before" % options.floor)
    faults = sum(outcome.kind in FAULTS for outcome in outcomes.values())
    sys.exit(0 if passed >= options.floor and not faults else 1)


if __name__ == "__main__":
    main()
