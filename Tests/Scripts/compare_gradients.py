#!/usr/bin/env python3
"""Compares gradients of small networks (ONNX's `ai.onnx.preview.training::Gradient`) with those of PyTorch.

Each network is written twice, as ONNX nodes and in PyTorch, over the same random weights.
"""
import argparse
import os
import sys
import tempfile

import child_process
from benchmark_graphs import default_ingot
from required_packages import require
from tensor_agreement import compare_all
from tensor_files import read_outputs, write_inputs

np = require("numpy")
onnx = require("onnx")
torch = require("torch")
functional = torch.nn.functional
helper = onnx.helper
node = helper.make_node
generator = np.random.default_rng(3)


def normal(*shape, scale=1.0):
    return (generator.standard_normal(shape) * scale).astype(np.float32)


class Network:
    """`trained` values get gradients of `loss`; `given` values do not."""

    def __init__(self, name, trained, given, nodes, forward, loss="loss"):
        self.name, self.trained, self.given, self.nodes, self.forward, self.loss = name, trained, given, nodes, forward, loss

    def model(self):
        names = list(self.trained) + list(self.given)
        gradient = node("Gradient", names, ["d_" + name for name in self.trained], domain="ai.onnx.preview.training",
                        xs=list(self.trained), y=self.loss, **({"zs": list(self.given)} if self.given else {}))
        values = {**self.trained, **self.given}
        inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(values[name].dtype), values[name].shape) for name in names]
        outputs = [helper.make_tensor_value_info(self.loss, 1, [])]
        outputs += [helper.make_tensor_value_info("d_" + name, 1, value.shape) for name, value in self.trained.items()]
        graph = helper.make_graph(self.nodes + [gradient], "net", inputs, outputs)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20), helper.make_opsetid("ai.onnx.preview.training", 1)], ir_version=9)

    def expected(self):
        leaves = {name: torch.tensor(value, requires_grad=True) for name, value in self.trained.items()}
        loss = self.forward(**leaves, **{name: torch.tensor(value) for name, value in self.given.items()})
        loss.backward()
        want = {"d_" + name: leaf.grad.numpy() for name, leaf in leaves.items()}
        want[self.loss] = loss.detach().numpy()
        return want


def convolutional(x, f1, b1, f2, w, target):
    h = functional.max_pool2d(torch.relu(functional.conv2d(x, f1, b1, padding=1)), 2)
    h = functional.avg_pool2d(functional.conv2d(h, f2, stride=2, groups=2), 2, stride=1)
    return functional.cross_entropy(h.flatten(1) @ w, target)


CONVOLUTIONAL = Network(
    "convolutional network", {"x": normal(2, 3, 12, 12), "f1": normal(8, 3, 3, 3, scale=0.3), "b1": normal(8), "f2": normal(6, 4, 2, 2, scale=0.3), "w": normal(24, 5, scale=0.3)},
    {"target": np.array([1, 4], np.int64)},
    [node("Conv", ["x", "f1", "b1"], ["c1"], pads=[1, 1, 1, 1]), node("Relu", ["c1"], ["r1"]), node("MaxPool", ["r1"], ["p1"], kernel_shape=[2, 2], strides=[2, 2]),
     node("Conv", ["p1", "f2"], ["c2"], strides=[2, 2], group=2), node("AveragePool", ["c2"], ["p2"], kernel_shape=[2, 2]), node("Flatten", ["p2"], ["flat"]),
     node("MatMul", ["flat", "w"], ["scores"]), node("SoftmaxCrossEntropyLoss", ["scores", "target"], ["loss"])], convolutional)


def transformer(table, wq, wk, wv, scale, shift, w1, ids):
    x = table[ids]
    heads = [(x @ weight).reshape(2, 4, 2, 4).transpose(1, 2) for weight in (wq, wk, wv)]
    h = (torch.softmax(heads[0] @ heads[1].transpose(2, 3) * 0.5, -1) @ heads[2]).transpose(1, 2).reshape(2, 4, 8) + x
    h = functional.gelu(functional.layer_norm(h, (8,), scale, shift) @ w1)
    return (h * h).mean()


TRANSFORMER = Network(
    "transformer block", {"table": normal(10, 8), "wq": normal(8, 8), "wk": normal(8, 8), "wv": normal(8, 8), "scale": normal(8), "shift": normal(8), "w1": normal(8, 6)},
    {"ids": np.array([[1, 3, 3, 0], [9, 2, 1, 1]], np.int64)},
    [node("Constant", [], ["split"], value_ints=[2, 4, 2, 4]), node("Constant", [], ["join"], value_ints=[2, 4, 8]), node("Constant", [], ["half"], value_float=0.5),
     node("Gather", ["table", "ids"], ["x"])]
    + [step for name in "qkv" for step in (
        node("MatMul", ["x", "w" + name], [name + "0"]), node("Reshape", [name + "0", "split"], [name + "1"]),
        node("Transpose", [name + "1"], [name], perm=[0, 2, 3, 1] if name == "k" else [0, 2, 1, 3]))]
    + [node("MatMul", ["q", "k"], ["s0"]), node("Mul", ["s0", "half"], ["s"]), node("Softmax", ["s"], ["p"], axis=-1), node("MatMul", ["p", "v"], ["h0"]),
       node("Transpose", ["h0"], ["h1"], perm=[0, 2, 1, 3]), node("Reshape", ["h1", "join"], ["h2"]), node("Add", ["h2", "x"], ["h3"]),
       node("LayerNormalization", ["h3", "scale", "shift"], ["n"]), node("MatMul", ["n", "w1"], ["m"]), node("Gelu", ["m"], ["g"]),
       node("Mul", ["g", "g"], ["square"]), node("ReduceMean", ["square"], ["loss"], keepdims=0)], transformer)


def recurrent(x, w, r, b, h0):
    cell = torch.nn.GRU(3, 4)
    # ONNX orders the gates z, r, h; PyTorch r, z, n.
    order = [4, 5, 6, 7, 0, 1, 2, 3, 8, 9, 10, 11]
    weights = {"weight_ih_l0": w[0][order], "weight_hh_l0": r[0][order], "bias_ih_l0": b[0][:12][order], "bias_hh_l0": b[0][12:][order]}
    out, last = torch.func.functional_call(cell, weights, (x, h0))
    return (out * out).sum() + last.sum()


RECURRENT = Network(
    "gated recurrent unit", {"x": normal(5, 2, 3), "w": normal(1, 12, 3), "r": normal(1, 12, 4), "b": normal(1, 24), "h0": normal(1, 2, 4)}, {},
    [node("GRU", ["x", "w", "r", "b", "", "h0"], ["out", "last"], hidden_size=4, linear_before_reset=1), node("Mul", ["out", "out"], ["square"]),
     node("ReduceSum", ["square"], ["first"], keepdims=0), node("ReduceSum", ["last"], ["second"], keepdims=0), node("Add", ["first", "second"], ["loss"])], recurrent)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--atol", type=float, default=1e-4)
    options = parser.parse_args()
    failures = 0
    for network in (CONVOLUTIONAL, TRANSFORMER, RECURRENT):
        with tempfile.TemporaryDirectory() as folder:
            path, results = os.path.join(folder, "model.onnx"), os.path.join(folder, "results")
            onnx.save(network.model(), path)
            want = network.expected()
            inputs = {**network.trained, **network.given}
            finished = child_process.run([options.ingot, "run", path] + write_inputs(inputs, os.path.join(folder, "inputs")) + ["--output", results], 120)
            agreement = compare_all(read_outputs(want, results), want, options.rtol, options.atol)
            if finished.status != 0:
                agreement.reason = finished.complaint
            failures += not agreement.passed
            print("%-24s %d gradients, %d elements, max abs %.2e  %s" % (
                network.name, len(want) - 1, agreement.elements, agreement.max_abs, "ok" if agreement.passed else "FAILED: " + agreement.reason))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
