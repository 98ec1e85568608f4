#!/usr/bin/env python3
"""Compares RNN, GRU and LSTM with ONNX Runtime on random configurations: directions, clip, peepholes, initial states, lengths of
sequences known early or late, batch in front, every activation with its parameters, symbolic axes.

ONNX Runtime does not take `layout = 1`; its reference is the other layout with the axes turned.

  compare_recurrent.py                  # 200 configurations
  compare_recurrent.py --count 20 --seed 7 --cell LSTM
"""
import argparse
import os
import random
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

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
FUNCTIONS = {"RNN": 1, "GRU": 2, "LSTM": 3}
# How many parameters each activation has, and values that are safe for it.
PARAMETERS = {
    "Relu": (None, None), "Tanh": (None, None), "Sigmoid": (None, None), "Softsign": (None, None), "Softplus": (None, None), "Affine": (0.7, 0.1),
    "LeakyRelu": (0.2, None), "ThresholdedRelu": (0.3, None), "ScaledTanh": (0.8, 0.6), "HardSigmoid": (0.3, 0.4), "Elu": (0.9, None),
}


class Configuration:
    """One recurrent node, drawn at random."""

    def __init__(self, draw, cell):
        self.cell = cell
        self.direction = draw.choice(["forward", "reverse", "bidirectional"])
        self.directions = 2 if self.direction == "bidirectional" else 1
        self.steps, self.batch, self.features, self.hidden = draw.randint(1, 7), draw.randint(1, 4), draw.randint(1, 9), draw.choice([1, 3, 8, 17, 32])
        self.layout = draw.choice([0, 0, 1])
        self.clip = draw.choice([None, None, 0.5])
        self.bias, self.initial = draw.random() < 0.7, draw.random() < 0.5
        self.initial_cell = cell == "LSTM" and draw.random() < 0.5
        self.peepholes = cell == "LSTM" and draw.random() < 0.4
        self.lengths = draw.choice([None, None, "constant", "input"])
        self.weights = draw.choice(["constant", "constant", "input"])
        self.symbolic = draw.random() < 0.4
        self.reset_after = cell == "GRU" and draw.random() < 0.5
        self.couples = cell == "LSTM" and draw.random() < 0.2
        self.activations, self.alpha, self.beta = None, [], []
        if draw.random() < 0.5:
            self.activations = [draw.choice(sorted(PARAMETERS)) for _ in range(FUNCTIONS[cell] * self.directions)]
            # The standard has no defaults for the parameters of two of them, and the reference another one for the third.
            if draw.random() < 0.6 or {"Affine", "ScaledTanh", "ThresholdedRelu"} & set(self.activations):
                self.alpha = [PARAMETERS[name][0] for name in self.activations if PARAMETERS[name][0] is not None]
                self.beta = [PARAMETERS[name][1] for name in self.activations if PARAMETERS[name][1] is not None]
        count = 3 if cell == "LSTM" else 2
        self.outputs = draw.choice([[True] * count, [True] + [False] * (count - 1), [False] + [True] * (count - 1)])
        self.numbers = np.random.default_rng(draw.randint(0, 1 << 30))

    def __str__(self):
        facts = {key: value for key, value in vars(self).items() if key != "numbers"}
        return ", ".join("%s=%s" % (key, facts[key]) for key in facts)

    def tensors(self):
        """The operands by the name they have in the model, batch in the middle."""
        def normal(*shape):
            return (self.numbers.standard_normal(shape) * 0.4).astype(np.float32)
        gates, hidden, directions = GATES[self.cell], self.hidden, self.directions
        found = {"X": normal(self.steps, self.batch, self.features), "W": normal(directions, gates * hidden, self.features), "R": normal(directions, gates * hidden, hidden)}
        if self.bias:
            found["B"] = normal(directions, 2 * gates * hidden)
        if self.lengths:
            found["sequence_lens"] = self.numbers.integers(1, self.steps + 1, self.batch).astype(np.int32)
        if self.initial:
            found["initial_h"] = normal(directions, self.batch, hidden)
        if self.initial_cell:
            found["initial_c"] = normal(directions, self.batch, hidden)
        if self.peepholes:
            found["P"] = normal(directions, 3 * hidden)
        return found

    def model(self, tensors, layout):
        """A model of the one node; `tensors` have the axes that `layout` wants."""
        order = ["X", "W", "R", "B", "sequence_lens", "initial_h"] + (["initial_c", "P"] if self.cell == "LSTM" else [])
        attributes = {"hidden_size": self.hidden, "direction": self.direction}
        if layout:
            attributes["layout"] = 1
        for name, value in [("clip", self.clip), ("activations", self.activations), ("activation_alpha", self.alpha), ("activation_beta", self.beta)]:
            if value:
                attributes[name] = value
        if self.reset_after:
            attributes["linear_before_reset"] = 1
        if self.couples:
            attributes["input_forget"] = 1
        names = ["Y", "Y_h", "Y_c"]
        outputs = [name if wanted else "" for name, wanted in zip(names, self.outputs)]
        node = helper.make_node(self.cell, [name if name in tensors else "" for name in order], outputs, name="layer", **attributes)
        constants = {"W", "R", "B", "P"} if self.weights == "constant" else set()
        if self.lengths == "constant":
            constants.add("sequence_lens")
        inputs, initializers = [], []
        for name, array in tensors.items():
            if name in constants:
                initializers.append(numpy_helper.from_array(array, name))
                continue
            shape = list(array.shape)
            if self.symbolic and name == "X":
                shape[0 if not layout else 1], shape[1 if not layout else 0] = "steps", "batch"
            if self.symbolic and name == "sequence_lens":
                shape[0] = "batch"
            if self.symbolic and name.startswith("initial"):
                shape[0 if layout else 1] = "batch"
            inputs.append(helper.make_tensor_value_info(name, TensorProto.INT32 if array.dtype == np.int32 else TensorProto.FLOAT, shape))
        results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * (4 if name == "Y" else 3)) for name in outputs if name]
        graph = helper.make_graph([node], self.cell, inputs, results, initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), [entry.name for entry in inputs]


def turned(name, array):
    """From batch in the middle to batch in front."""
    axes = {"X": [1, 0, 2], "initial_h": [1, 0, 2], "initial_c": [1, 0, 2], "Y": [2, 0, 1, 3], "Y_h": [1, 0, 2], "Y_c": [1, 0, 2]}
    return np.ascontiguousarray(array.transpose(axes[name])) if name in axes else array


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cell", choices=sorted(GATES))
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--atol", type=float, default=1e-5)
    options = parser.parse_args()
    failures = skipped = 0
    for number in range(options.count):
        draw = random.Random(options.seed * 1_000_003 + number)
        configuration = Configuration(draw, options.cell or draw.choice(sorted(GATES)))
        with tempfile.TemporaryDirectory(prefix="ingot-recurrent-") as folder:
            tensors = configuration.tensors()
            plain, names = configuration.model(tensors, 0)
            path = os.path.join(folder, "reference.onnx")
            onnx.save(plain, path)
            try:
                want = Reference(path).run({name: tensors[name] for name in names})
            except Exception as problem:  # What the reference refuses cannot be compared.
                skipped += 1
                print("%d skipped: %s\n  %s" % (number, str(problem).splitlines()[0][:160], configuration))
                continue
            if not all(np.isfinite(array).all() for array in want.values()):
                skipped += 1
                continue
            if configuration.layout:
                tensors = {name: turned(name, array) for name, array in tensors.items()}
                want = {name: turned(name, array) for name, array in want.items()}
            model, names = configuration.model(tensors, configuration.layout)
            path = os.path.join(folder, "model.onnx")
            onnx.save(model, path)
            results = os.path.join(folder, "results")
            arguments = write_inputs({name: tensors[name] for name in names}, os.path.join(folder, "inputs"))
            finished = child_process.run([options.ingot, "run", path, "--output", results, "--no-cache"] + arguments, 60)
            agreement = compare_all(read_outputs(want, results), want, options.rtol, options.atol)
            if finished.status != 0:
                agreement.fail(finished.complaint)
                agreement.reason = finished.complaint
            if not agreement.passed:
                failures += 1
                print("%d FAILED: %s\n  %s" % (number, agreement.reason, configuration), flush=True)
    print("%d of %d configurations agree, %d that the reference refuses or lets overflow" % (options.count - failures - skipped, options.count, skipped))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
