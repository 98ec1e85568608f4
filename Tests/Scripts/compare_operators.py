#!/usr/bin/env python3
"""Compares single operators that ONNX's own suite has no cases for, and forms of others that it leaves out, with the standard's
Python evaluator, ONNX Runtime or PyTorch.

  compare_operators.py                 # all cases
  compare_operators.py RoiAlign STFT   # those of some operators
"""
import argparse
import os
import sys
import tempfile

import child_process
from benchmark_graphs import default_ingot
from operator_cases import CASES
from required_packages import require
from tensor_agreement import compare_all
from tensor_files import read_outputs, write_inputs

np = require("numpy")
onnx = require("onnx")


def expected(case, model):
    """What another implementation computes, by output name."""
    names = [output.name for output in model.graph.output]
    if case.oracle == "onnxruntime":
        session = require("onnxruntime").InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        return dict(zip(names, session.run(names, case.inputs)))
    if case.oracle == "reference":
        from onnx.reference import ReferenceEvaluator
        return dict(zip(names, ReferenceEvaluator(model).run(names, case.inputs)))
    return dict(zip(names, case.oracle(case.inputs)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operators", nargs="*", metavar="OPERATOR", help="operators to compare (all)")
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--atol", type=float, default=1e-4)
    options = parser.parse_args()
    failures = 0
    for case in CASES:
        if options.operators and case.operator not in options.operators:
            continue
        with tempfile.TemporaryDirectory() as folder:
            model = case.model()
            path, results = os.path.join(folder, "model.onnx"), os.path.join(folder, "results")
            onnx.save(model, path)
            try:
                want = {name: np.asarray(value) for name, value in expected(case, model).items()}
            except Exception as error:  # The oracle's own limits are reported, not hidden.
                print("%-60s oracle failed: %s" % (case.name, str(error).splitlines()[0][:120]))
                failures += 1
                continue
            finished = child_process.run(
                [options.ingot, "run", path] + write_inputs(case.inputs, os.path.join(folder, "inputs")) + ["--output", results], 60)
            agreement = compare_all(read_outputs(want, results), want, options.rtol, options.atol)
            if finished.status != 0:
                agreement.reason = finished.complaint
            failures += not agreement.passed
            print("%-60s %10.2e %s" % (case.name, agreement.max_abs, "ok" if agreement.passed else "FAILED: " + agreement.reason), flush=True)
    print("%d failures" % failures)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
