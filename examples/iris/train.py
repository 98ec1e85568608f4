"""Trains the iris classifier of this folder with nothing but numpy, and writes it as iris.onnx.

    python3 train.py          (needs the packages numpy and onnx; takes two seconds)

The network: the four measurements, standardised; 16 units with ReLU; softmax over three species. Every third flower is held
out; the last line says how many of those it names. The result is committed, so nobody needs to run this to use the example.
"""
import csv, json, pathlib
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

here = pathlib.Path(__file__).parent
rows = list(csv.reader((here / "iris.csv").open()))[1:]
data = np.array([[float(value) for value in row] for row in rows])
features, species = data[:, :4], data[:, 4].astype(int)
held_out = np.arange(len(data)) % 3 == 2
mean, deviation = features[~held_out].mean(axis=0), features[~held_out].std(axis=0)
x, y = ((features - mean) / deviation)[~held_out], np.eye(3)[species[~held_out]]

# Full-batch gradient descent with momentum on the cross entropy, with a little weight decay.
random = np.random.default_rng(1936)  # Fisher's paper
weights = [random.normal(0, 0.5, (4, 16)), np.zeros(16), random.normal(0, 0.3, (16, 3)), np.zeros(3)]
momentum = [np.zeros_like(w) for w in weights]
for step in range(2000):
    w1, b1, w2, b2 = weights
    hidden = np.maximum(x @ w1 + b1, 0)
    logits = hidden @ w2 + b2
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    error = (p - y) / len(x)
    back = (error @ w2.T) * (hidden > 0)
    gradients = [x.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)]
    for i, gradient in enumerate(gradients):
        momentum[i] = 0.9 * momentum[i] - 0.1 * (gradient + 1e-3 * weights[i])
        weights[i] = weights[i] + momentum[i]


def constant(name, value):
    return numpy_helper.from_array(np.asarray(value, np.float32), name)


nodes = [
    helper.make_node("Sub", ["measurements", "mean"], ["centred"], "centre"),
    helper.make_node("Div", ["centred", "deviation"], ["standard"], "standardise"),
    helper.make_node("Gemm", ["standard", "w1", "b1"], ["hidden"], "layer1"),
    helper.make_node("Relu", ["hidden"], ["active"], "relu"),
    helper.make_node("Gemm", ["active", "w2", "b2"], ["logits"], "layer2"),
    helper.make_node("Softmax", ["logits"], ["probabilities"], "softmax", axis=1),
]
constants = [constant("mean", mean), constant("deviation", deviation)]
constants += [constant(name, value) for name, value in zip(["w1", "b1", "w2", "b2"], weights)]
graph = helper.make_graph(
    nodes, "iris",
    [helper.make_tensor_value_info("measurements", TensorProto.FLOAT, ["batch", 4])],
    [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])], constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="ingot example")
onnx.checker.check_model(model)
onnx.save(model, here / "iris.onnx")


def predict(flowers):
    w1, b1, w2, b2 = [w.astype(np.float32) for w in weights]
    standard = (flowers.astype(np.float32) - mean.astype(np.float32)) / deviation.astype(np.float32)
    logits = np.maximum(standard @ w1 + b1, 0) @ w2 + b2
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


# One flower of each species, and what the network says of them in float32: for `ingot verify`.
sample = features[[0, 50, 100]]
(here / "sample.json").write_text(json.dumps(sample.tolist()) + "\n")
dataset = here / "test_data_set_0"
dataset.mkdir(exist_ok=True)
for name, value in [("input_0", sample), ("output_0", predict(sample))]:
    (dataset / f"{name}.pb").write_bytes(numpy_helper.from_array(np.asarray(value, np.float32), name).SerializeToString())
correct = (predict(features[held_out]).argmax(axis=1) == species[held_out]).sum()
print(f"{correct} of {held_out.sum()} held-out flowers are named right")
