#!/usr/bin/env python3
"""Compares what Ingot computes on the benchmark graphs with ONNX Runtime, output by output.

Each graph is materialized into a temporary folder (3.3 GB for all; one at a time), run by both, and deleted. A graph with a
symbolic batch runs four times: bound with `--dim batch=N`, and unbound from one artifact, at two batch sizes each. A number
matches if |got - want| <= atol + rtol * |want|.

  compare_onnxruntime.py                          # all graphs
  compare_onnxruntime.py resnet50 bert_base_s128  # some
"""
import argparse
import os
import sys
import tempfile

import child_process
from benchmark_graphs import BenchmarkGraphs, default_folder, default_ingot
from onnxruntime_reference import Reference
from tensor_agreement import compare_all
from tensor_files import read_outputs, write_inputs


class Comparison:
    """All comparisons of one run, printed as they come."""

    def __init__(self, options):
        self.options, self.failures, self.rows = options, 0, 0
        print("%-24s %-10s %5s %10s %10s %8s %9s  %s" % ("model", "batch is", "batch", "max abs", "max rel", "run s", "peak MB", "result"))

    def report(self, name, how, batch, agreement, finished):
        self.rows += 1
        self.failures += not agreement.passed
        print("%-24s %-10s %5d %10.2e %10.2e %8.1f %9.0f  %s" % (
            name, how, batch, agreement.max_abs, agreement.max_rel, finished.seconds, finished.peak_bytes / 1e6,
            "ok" if agreement.passed else "FAILED: " + agreement.reason), flush=True)

    def run(self, name, how, batch, command, inputs, want, folder):
        """Runs `command` on the inputs and compares its outputs."""
        results = os.path.join(folder, "results")
        finished = child_process.run(command + write_inputs(inputs, os.path.join(folder, "inputs")) + ["--output", results], self.options.seconds)
        agreement = compare_all(read_outputs(want, results), want, self.options.rtol, self.options.atol)
        if finished.status != 0:
            agreement.reason = finished.complaint
        self.report(name, how, batch, agreement, finished)
        for file in os.listdir(results) if os.path.isdir(results) else []:
            os.remove(os.path.join(results, file))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="graphs to compare (all)")
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--models", default=default_folder(), help="folder of materialize.py (%(default)s)")
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--atol", type=float, default=1e-4)
    parser.add_argument("--batches", default="1,3", help="batch sizes of symbolic graphs (%(default)s)")
    parser.add_argument("--seconds", type=float, default=900, help="limit for one run of Ingot (%(default)s)")
    options = parser.parse_args()
    graphs = BenchmarkGraphs(options.models)
    for name in options.names:
        if name not in graphs.names:
            parser.error("there is no graph %s; there are %s" % (name, ", ".join(graphs.names)))
    comparison = Comparison(options)
    for name in options.names or graphs.names:
        with tempfile.TemporaryDirectory(prefix="ingot-compare-") as folder:
            model, _ = graphs.build(name, folder)
            reference = Reference(model, threads=os.cpu_count())
            if not graphs.is_symbolic(name):
                inputs = graphs.inputs(name)
                want = reference.run(inputs)
                del reference
                comparison.run(name, "static", 1, [options.ingot, "run", model], inputs, want, folder)
                continue
            batches = [int(batch) for batch in options.batches.split(",")]
            cases = [(batch, graphs.inputs(name, batch)) for batch in batches]
            wanted = [reference.run(inputs) for _, inputs in cases]
            del reference
            for (batch, inputs), want in zip(cases, wanted):
                comparison.run(name, "bound", batch, [options.ingot, "run", model, "--dim", "batch=%d" % batch], inputs, want, folder)
            artifact = os.path.join(folder, "artifact")
            compiled = child_process.run([options.ingot, "compile", model, "-o", artifact], options.seconds)
            for (batch, inputs), want in zip(cases, wanted):
                if compiled.status != 0:
                    agreement = compare_all({}, want, options.rtol, options.atol)
                    agreement.reason = "compile: " + compiled.complaint
                    comparison.report(name, "unbound", batch, agreement, compiled)
                else:
                    comparison.run(name, "unbound", batch, [artifact, "run"], inputs, want, folder)
    print("%d of %d comparisons agree (rtol %g, atol %g)" % (comparison.rows - comparison.failures, comparison.rows, options.rtol, options.atol))
    sys.exit(1 if comparison.failures else 0)


if __name__ == "__main__":
    main()
