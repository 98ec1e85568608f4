#!/usr/bin/env python3
"""Checks the real models against their recorded data sets: with `ingot verify` (JIT) and with the artifact's own `verify`.

Models with symbolic axes keep them: one artifact answers every data set, whatever its sizes, and is asked at three sizes or more
that no data set uses, with ONNX Runtime as the reference. The tolerance is rtol 1e-3 and atol 1e-4; where the reference itself
moves further than that without its optimisations (`unoptimised_max_abs_diff` in manifest.json), atol is four times that. Of
integer results of quantised models as many may be one step off as there are of the reference itself (`unoptimised_int_mismatches`).

  verify_real_models.py                       # every model that has data sets
  verify_real_models.py mobilenet_v2_fp32 minilm_l6_v2
"""
import argparse
import json
import os
import re
import sys
import tempfile

import child_process
from benchmark_graphs import default_folder, default_ingot
from real_model_sizes import other_sizes, write_tensors
from tensor_agreement import compare_all
from tensor_files import read_outputs


class Report:
    """One line per check, and how many failed."""

    def __init__(self):
        self.checks, self.failures = 0, 0
        print("%-26s %-9s %8s %9s %10s %10s  %s" % ("model", "by", "seconds", "peak MB", "max abs", "max rel", "result"))

    def line(self, model, how, finished, max_abs, max_rel, reason, note=""):
        self.checks += 1
        self.failures += reason is not None
        shown = ["%10.2e" % value if value is not None else "%10s" % "-" for value in (max_abs, max_rel)]
        print("%-26s %-9s %8.1f %9.0f %s %s  %s" % (
            model, how, finished.seconds, finished.peak_bytes / 1e6, *shown, "ok" + note if reason is None else "FAILED: " + reason), flush=True)

    def verification(self, model, how, finished, steps_allowed=0):
        """Reads the JSON line that ends `verify`.

        - steps_allowed: so many integers may be one off.
        """
        lines = finished.output.strip().splitlines()
        try:
            result = json.loads(lines[-1])
        except (IndexError, ValueError):
            return self.line(model, how, finished, None, None, finished.complaint)
        reason, note = None, ""
        if finished.status != 0 or not result["passed"]:
            reason = " | ".join(line[-300:] for line in lines[:-1] if "matches" not in line) or finished.complaint
            steps = sum(int(count) for count in re.findall(r"\((\d+) of \d+ elements differ\)", reason))
            if 0 < steps <= steps_allowed and result["max_abs_err"] == 1:
                reason, note = None, "; %d integers are one step off, %d of the reference itself" % (steps, steps_allowed)
        if result.get("fixed"):
            note += "; compiled for " + ", ".join(result["fixed"])
        self.line(model, how, finished, result["max_abs_err"], result["max_rel_err"], reason, note)


def check_sizes(name, model, artifact, report, folder, atol, sets):
    """One artifact at sizes that it was not compiled for, against ONNX Runtime."""
    from onnxruntime_reference import Reference
    reference = None
    for position, (label, inputs) in enumerate(other_sizes(name, model, sets)):
        reference = reference or Reference(model)
        want = reference.run(inputs)
        results = os.path.join(folder, "results_%d" % position)
        finished = child_process.run([artifact, "run", "--output", results] + write_tensors(inputs, os.path.join(folder, "inputs")))
        agreement = compare_all(read_outputs(want, results), want, 1e-3, atol)
        if finished.status != 0:
            agreement.reason = finished.complaint
        report.line(name, label, finished, agreement.max_abs, agreement.max_rel, agreement.reason)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models to verify (all that have data sets)")
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--models", default=os.path.join(default_folder(), "real"), help="folder of manifest.json (%(default)s)")
    parser.add_argument("--seconds", type=float, default=600, help="limit for one run (%(default)s)")
    parser.add_argument("--jit-only", action="store_true", help="leave out artifacts")
    options = parser.parse_args()
    with open(os.path.join(options.models, "manifest.json")) as file:
        manifest = {entry["name"]: entry for entry in json.load(file)}
    names = options.names or [name for name, entry in manifest.items() if entry["test_data_sets"]]
    report = Report()
    for name in names:
        if name not in manifest:
            parser.error("there is no model %s; there are %s" % (name, ", ".join(manifest)))
        model = os.path.join(options.models, manifest[name]["file"])
        parent = os.path.dirname(model)
        sets = sorted(os.path.join(parent, entry) for entry in os.listdir(parent) if entry.startswith("test_data_set_"))
        spread = manifest[name].get("unoptimised_max_abs_diff") or 0
        atol = 4 * spread if spread > 1e-4 else 1e-4
        tolerance = ["--rtol", "1e-3", "--atol", repr(atol)]
        steps = (manifest[name].get("unoptimised_int_mismatches") or [0])[0]
        report.verification(name, "jit", child_process.run([options.ingot, "verify", model] + sets + tolerance, options.seconds), steps)
        if options.jit_only:
            continue
        with tempfile.TemporaryDirectory(prefix="ingot-verify-") as folder:
            artifact = os.path.join(folder, "artifact")
            compiled = child_process.run([options.ingot, "compile", model, "-o", artifact], options.seconds)
            if compiled.status != 0:
                report.line(name, "artifact", compiled, None, None, "compile: " + compiled.complaint)
                continue
            report.verification(name, "artifact", child_process.run([artifact, "verify"] + sets + tolerance, options.seconds), steps)
            check_sizes(name, model, artifact, report, folder, atol, sets)
    print("%d of %d checks passed" % (report.checks - report.failures, report.checks))
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
