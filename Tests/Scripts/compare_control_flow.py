#!/usr/bin/env python3
"""Compares branches and loops with ONNX Runtime: conditions, trip counts and lengths that only the run knows.

Each model runs compiled, and with --artifact from an artifact as well, on several inputs.

  compare_control_flow.py
  compare_control_flow.py --artifact growing nested
"""
import argparse
import os
import sys
import tempfile

import child_process
from benchmark_graphs import default_ingot
from onnxruntime_reference import Reference
from required_packages import require
from tensor_agreement import compare_all
from tensor_files import read_outputs, write_inputs

np, onnx = require("numpy"), require("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

F, I, B = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL
rng = np.random.default_rng(7)


def value(name, kind=F, shape=None):
    return helper.make_tensor_value_info(name, kind, shape)


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def node(kind, inputs, outputs, **attributes):
    return helper.make_node(kind, inputs.split(), outputs.split(), **attributes)


def loop_body(nodes, carried, outputs, constants=()):
    return helper.make_graph(
        list(nodes), "body", [value("i", I, []), value("go", B, [])] + [value(name, kind, shape) for name, kind, shape in carried],
        [value(name, kind, shape) for name, kind, shape in outputs], list(constants))


def model(nodes, inputs, outputs, constants=(), opset=17):
    graph = helper.make_graph(list(nodes), "main", inputs, [value(name, kind, shape) for name, kind, shape in outputs], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def floats(*shape):
    return rng.standard_normal(shape).astype(np.float32)


def branch():
    """Branches whose results differ in length, with work that is worth a branch."""
    then = helper.make_graph([node("MatMul", "x w", "a"), node("Concat", "a a", "r", axis=0)], "then", [], [value("r", F, [None, 8])])
    other = helper.make_graph([node("MatMul", "x w", "b"), node("Tanh", "b", "s")], "else", [], [value("s", F, [None, 8])])
    made = model(
        [node("If", "c", "y", then_branch=then, else_branch=other), node("ReduceSum", "y axes", "z", keepdims=0)], [value("c", B, []), value("x", F, ["n", 6])],
        [("y", F, [None, 8]), ("z", F, [8])], [constant("w", floats(6, 8)), constant("axes", np.array([0]))])
    return made, [{"c": np.array(c), "x": floats(n, 6)} for c in (True, False) for n in (1, 5, 40)]


def until():
    """Ends when its data says so; stacks what it had."""
    body = loop_body(
        [node("MatMul", "v w", "p"), node("Tanh", "p", "h"), node("Abs", "h", "t"), node("Add", "t v", "next"), node("ReduceSum", "next", "s", keepdims=0), node("Less", "s bound", "again")],
        [("v", F, ["n", 4])], [("again", B, []), ("next", F, [None, 4]), ("s", F, [])])
    made = model(
        [node("Loop", "trips c x", "last all", body=body)], [value("trips", I, []), value("c", B, []), value("x", F, ["n", 4]), value("bound", F, [])],
        [("last", F, [None, 4]), ("all", F, [None])], [constant("w", floats(4, 4) * 0.3)])
    cases = []
    for trips, c, n, bound in [(np.iinfo(np.int64).max, True, 3, 20.0), (4, True, 3, 1e9), (0, True, 2, 5.0), (7, False, 2, 5.0), (30, True, 1, 9.0)]:
        cases.append({"trips": np.array(trips), "c": np.array(c), "x": np.abs(floats(n, 4)), "bound": np.array(bound, np.float32)})
    return made, cases


def growing():
    """Carried values that are longer after every round, as an autoregressive decoder's cache."""
    body = loop_body(
        [
            node("ReduceMean", "cache", "mean", axes=[0], keepdims=1), node("MatMul", "mean w", "row"), node("Tanh", "row", "fresh"), node("Concat", "cache fresh", "longer", axis=0),
            node("Identity", "go", "again"), node("ReduceSum", "longer", "s", keepdims=0),
        ], [("cache", F, [None, 5])], [("again", B, []), ("longer", F, [None, 5]), ("s", F, [])])
    made = model(
        [node("Loop", "trips c x", "last sums", body=body)],
        [value("trips", I, []), value("c", B, []), value("x", F, ["n", 5])], [("last", F, [None, 5]), ("sums", F, [None])], [constant("w", floats(5, 5))])
    return made, [{"trips": np.array(t), "c": np.array(True), "x": floats(n, 5)} for t, n in [(0, 2), (1, 2), (9, 3), (50, 1)]]


def nested():
    """A loop in a branch in a loop, with values from all around."""
    inner = loop_body(
        [node("Mul", "u x", "m"), node("Add", "m v", "k"), node("Tanh", "k", "unext"), node("Identity", "go", "again2")], [("u", F, [None])],
        [("again2", B, []), ("unext", F, [None])])
    then = helper.make_graph([node("Loop", "i go v", "r", body=inner)], "then", [], [value("r", F, [None])])
    other = helper.make_graph([node("Sin", "v", "q"), node("MatMul", "q w", "s")], "else", [], [value("s", F, [None])])
    body = loop_body(
        [node("Mod", "i two", "even"), node("Equal", "even zero", "c"), node("If", "c", "next", then_branch=then, else_branch=other), node("Identity", "go", "again"), node("ReduceMax", "next", "top", keepdims=0)],
        [("v", F, [6])], [("again", B, []), ("next", F, [6]), ("top", F, [])])
    made = model(
        [node("Loop", "trips c0 x", "last tops", body=body)], [value("trips", I, []), value("c0", B, []), value("x", F, [6])], [("last", F, [6]), ("tops", F, [None])],
        [constant("two", np.array(2)), constant("zero", np.array(0)), constant("w", floats(6, 6))])
    return made, [{"trips": np.array(t), "c0": np.array(True), "x": floats(6)} for t in (0, 1, 2, 9)]


def rows():
    """Reads a row of its own in each round."""
    body = loop_body(
        [node("Gather", "x i", "row", axis=0), node("MatMul", "row w", "p"), node("Add", "p s", "q"), node("Tanh", "q", "next"), node("Identity", "go", "again"), node("Identity", "next", "slice")],
        [("s", F, [4])], [("again", B, []), ("next", F, [4]), ("slice", F, [4])])
    made = model(
        [node("Shape", "x", "shape"), node("Gather", "shape zero", "trips"), node("Loop", "trips c s0", "last all", body=body)], [value("x", F, ["n", 3]), value("c", B, [])],
        [("last", F, [4]), ("all", F, [None, 4])], [constant("zero", np.array(0)), constant("w", floats(3, 4)), constant("s0", floats(4))])
    return made, [{"x": floats(n, 3), "c": np.array(True)} for n in (1, 4, 33)]


def data_lengths():
    """A trip count from data, and a slice that is as long as the round's number."""
    body = loop_body(
        [
            node("Add", "i one", "end"), node("Unsqueeze", "end axis", "ends"), node("Slice", "x starts ends", "part"), node("ReduceSum", "part", "sum", keepdims=0), node("Add", "total sum", "next"),
            node("Identity", "go", "again"),
        ], [("total", F, [])], [("again", B, []), ("next", F, [])])
    made = model(
        [node("ReduceSum", "mask", "trips", keepdims=0), node("Loop", "trips c t0", "last", body=body)], [value("mask", I, ["m"]), value("x", F, ["n"]), value("c", B, [])], [("last", F, [])],
        [constant("one", np.array(1)), constant("axis", np.array([0])), constant("starts", np.array([0])), constant("t0", np.array(0, np.float32))])
    return made, [{"mask": np.array(m), "x": floats(n), "c": np.array(True)} for m, n in [([0, 0], 3), ([1, 0, 1], 5), ([1] * 9, 20)]]


def scans():
    """Backwards, along the last axis."""
    body = helper.make_graph(
        [node("MatMul", "a w", "p"), node("Add", "p b", "q"), node("Tanh", "q", "c"), node("Identity", "c", "d")], "body", [value("a", F, [3]), value("b", F, [3])], [value("c", F, [3]), value("d", F, [3])])
    made = model(
        [node("Scan", "s x", "last all", body=body, num_scan_inputs=1, scan_input_axes=[-1], scan_input_directions=[1], scan_output_axes=[1], scan_output_directions=[1])],
        [value("s", F, [3]), value("x", F, [3, "n"])], [("last", F, [3]), ("all", F, [3, None])], [constant("w", floats(3, 3))])
    return made, [{"s": floats(3), "x": floats(3, n)} for n in (1, 6)]


MODELS = {made.__name__: made for made in [branch, until, growing, nested, rows, data_lengths, scans]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MODELS))
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--artifact", action="store_true")
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--atol", type=float, default=1e-5)
    options = parser.parse_args()
    failures = runs = 0
    for name in options.names or MODELS:
        made, cases = MODELS[name]()
        with tempfile.TemporaryDirectory(prefix="ingot-control-") as folder:
            path = os.path.join(folder, "model.onnx")
            onnx.save(made, path)
            reference = Reference(path)
            artifact = os.path.join(folder, "artifact")
            commands = [[options.ingot, "run", path]]
            if options.artifact:
                compiled = child_process.run([options.ingot, "compile", path, "-o", artifact], 120)
                if compiled.status == 0:
                    commands.append([artifact, "run"])
                else:
                    failures += 1
                    print("%s FAILED to compile: %s" % (name, compiled.complaint))
            for number, inputs in enumerate(cases):
                want = reference.run(inputs)
                arguments = write_inputs(inputs, os.path.join(folder, "inputs"))
                for command in commands:
                    runs += 1
                    results = os.path.join(folder, "results%d" % runs)
                    finished = child_process.run(command + arguments + ["--output", results], 60)
                    agreement = compare_all(read_outputs(want, results), want, options.rtol, options.atol)
                    if finished.status != 0:
                        agreement.reason = finished.complaint
                    if not agreement.passed:
                        failures += 1
                        print("%s, inputs %d FAILED: %s" % (name, number, agreement.reason), flush=True)
    print("%d of %d runs agree" % (runs - failures, runs))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
