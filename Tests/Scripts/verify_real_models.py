#!/usr/bin/env python3
"""Checks real models against their recorded data sets: with `ingot verify` (JIT) and with the artifact's own `verify`.

Models with symbolic axes keep them: one artifact answers every data set, whatever its sizes. MiniLM is also asked at further
batch and sequence lengths, with ONNX Runtime as the reference. The tolerance is rtol 1e-3 and atol 1e-4; where the reference
itself moves further than that without its optimisations (`unoptimised_max_abs_diff` in manifest.json), atol is four times that.

  verify_real_models.py                       # the models of issue 2
  verify_real_models.py --all                 # every model that has data sets
  verify_real_models.py mobilenet_v2_fp32 minilm_l6_v2
"""
import argparse
import json
import os
import sys
import tempfile

import child_process
from benchmark_graphs import default_folder, default_ingot
from tensor_agreement import compare_all
from tensor_files import read_outputs, write_inputs

NAMED = ["mobilenet_v2_fp32", "resnet8_cifar10", "mnist_cntk", "ultraface_rfb_320", "fastestdet_coco", "super_resolution_x3", "sinet_portrait_seg",
         "ppocr_v3_text_det", "minilm_l6_v2", "hand_keypoint_mlp", "magika_v3_3", "speech_embedding"]
MINILM_SIZES = [(1, 1), (1, 16), (2, 7), (4, 33), (3, 128), (1, 256)]


class Report:
    """One line per check, and how many failed."""

    def __init__(self):
        self.checks, self.failures = 0, 0
        print("%-26s %-9s %8s %9s %10s %10s  %s" % ("model", "by", "seconds", "peak MB", "max abs", "max rel", "result"))

    def line(self, model, how, finished, max_abs, max_rel, reason):
        self.checks += 1
        self.failures += reason is not None
        shown = ["%10.2e" % value if value is not None else "%10s" % "-" for value in (max_abs, max_rel)]
        print("%-26s %-9s %8.1f %9.0f %s %s  %s" % (
            model, how, finished.seconds, finished.peak_bytes / 1e6, *shown, "ok" if reason is None else "FAILED: " + reason), flush=True)

    def verification(self, model, how, finished):
        """Reads the JSON line that ends `verify`."""
        lines = finished.output.strip().splitlines()
        try:
            result = json.loads(lines[-1])
        except (IndexError, ValueError):
            return self.line(model, how, finished, None, None, finished.complaint)
        reason = None
        if finished.status != 0 or not result["passed"]:
            reason = " | ".join(line[-300:] for line in lines[:-1] if "matches" not in line) or finished.complaint
        self.line(model, how, finished, result["max_abs_err"], result["max_rel_err"], reason)


def minilm_inputs(batch, sequence, seed):
    import numpy as np
    random = np.random.default_rng(seed)
    mask = np.ones((batch, sequence), np.int64)
    for row in range(1, batch):
        mask[row, max(1, sequence - 3 * row):] = 0
    ids = random.integers(1000, 30000, (batch, sequence)) * mask
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(mask)}


def check_sizes(model, artifact, report, folder, atol):
    """MiniLM from one artifact at many sizes, against ONNX Runtime."""
    from onnxruntime_reference import Reference
    reference = Reference(model)
    for batch, sequence in MINILM_SIZES:
        inputs = minilm_inputs(batch, sequence, seed=batch * 1000 + sequence)
        want = reference.run(inputs)
        results = os.path.join(folder, "results_%d_%d" % (batch, sequence))
        finished = child_process.run([artifact, "run", "--output", results] + write_inputs(inputs, os.path.join(folder, "inputs")))
        agreement = compare_all(read_outputs(want, results), want, 1e-3, atol)
        if finished.status != 0:
            agreement.reason = finished.complaint
        report.line("minilm_l6_v2", "%dx%d" % (batch, sequence), finished, agreement.max_abs, agreement.max_rel, agreement.reason)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models to verify (the twelve of issue 2)")
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--models", default=os.path.join(default_folder(), "real"), help="folder of manifest.json (%(default)s)")
    parser.add_argument("--all", action="store_true", help="every model of the folder that has data sets")
    parser.add_argument("--seconds", type=float, default=600, help="limit for one run (%(default)s)")
    parser.add_argument("--jit-only", action="store_true", help="leave out artifacts")
    options = parser.parse_args()
    with open(os.path.join(options.models, "manifest.json")) as file:
        manifest = {entry["name"]: entry for entry in json.load(file)}
    names = options.names or ([name for name, entry in manifest.items() if entry["test_data_sets"]] if options.all else NAMED)
    report = Report()
    for name in names:
        if name not in manifest:
            parser.error("there is no model %s; there are %s" % (name, ", ".join(manifest)))
        model = os.path.join(options.models, manifest[name]["file"])
        parent = os.path.dirname(model)
        sets = sorted(os.path.join(parent, entry) for entry in os.listdir(parent) if entry.startswith("test_data_set_"))
        spread = manifest[name].get("unoptimised_max_abs_diff") or 0
        tolerance = ["--rtol", "1e-3", "--atol", repr(4 * spread if spread > 1e-4 else 1e-4)]
        report.verification(name, "jit", child_process.run([options.ingot, "verify", model] + sets + tolerance, options.seconds))
        if options.jit_only:
            continue
        with tempfile.TemporaryDirectory(prefix="ingot-verify-") as folder:
            artifact = os.path.join(folder, "artifact")
            compiled = child_process.run([options.ingot, "compile", model, "-o", artifact], options.seconds)
            if compiled.status != 0:
                report.line(name, "artifact", compiled, None, None, "compile: " + compiled.complaint)
                continue
            report.verification(name, "artifact", child_process.run([artifact, "verify"] + sets + tolerance, options.seconds))
            if name == "minilm_l6_v2":
                check_sizes(model, artifact, report, folder, 4 * spread if spread > 1e-4 else 1e-4)
    print("%d of %d checks passed" % (report.checks - report.failures, report.checks))
    sys.exit(1 if report.failures else 0)


if __name__ == "__main__":
    main()
