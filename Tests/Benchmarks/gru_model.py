"""A text classifier of two bidirectional GRU layers, the size of the benchmark graph lstm_text: embedding 10000 x 128, hidden 256, 64 tokens."""
import os

WORDS, WIDTH, HIDDEN, TOKENS, CLASSES = 10_000, 128, 256, 64, 5


def gflop():
    """Multiply-adds of both layers and the classifier, counting two each."""
    layers = sum(2 * 2 * TOKENS * 3 * HIDDEN * (inputs + HIDDEN) for inputs in (WIDTH, 2 * HIDDEN))
    return (layers + 2 * 2 * HIDDEN * CLASSES) / 1e9


def write(path):
    """Writes the model; the same numbers every time."""
    import numpy
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    random = numpy.random.default_rng(20261121)
    weights = []

    def weight(name, *shape, scale):
        weights.append(numpy_helper.from_array((random.standard_normal(shape) * scale).astype(numpy.float32), name))
        return name

    def constant(name, values):
        weights.append(numpy_helper.from_array(numpy.array(values, numpy.int64), name))
        return name

    nodes = [
        helper.make_node("Gather", [weight("embedding", WORDS, WIDTH, scale=1), "input_ids"], ["embedded"]),
        helper.make_node("Transpose", ["embedded"], ["layer0"], perm=[1, 0, 2]),
    ]
    constant("merged", [0, 0, 2 * HIDDEN])
    for layer, inputs in enumerate((WIDTH, 2 * HIDDEN)):
        names = ["layer%d" % layer, weight("W%d" % layer, 2, 3 * HIDDEN, inputs, scale=0.0625), weight("R%d" % layer, 2, 3 * HIDDEN, HIDDEN, scale=0.0625),
                 weight("B%d" % layer, 2, 6 * HIDDEN, scale=0.0625)]
        nodes += [
            helper.make_node("GRU", names, ["both%d" % layer], hidden_size=HIDDEN, direction="bidirectional", linear_before_reset=1),
            helper.make_node("Transpose", ["both%d" % layer], ["beside%d" % layer], perm=[0, 2, 1, 3]),
            helper.make_node("Reshape", ["beside%d" % layer, "merged"], ["layer%d" % (layer + 1)]),
        ]
    nodes += [
        helper.make_node("ReduceMean", ["layer2", constant("time", [0])], ["mean"], keepdims=0),
        helper.make_node("Gemm", ["mean", weight("classifier", CLASSES, 2 * HIDDEN, scale=0.04), weight("offset", CLASSES, scale=0.04)], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes, "gru_text", [helper.make_tensor_value_info("input_ids", TensorProto.INT64, [1, TOKENS])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    onnx.save(model, path + ".part")
    os.replace(path + ".part", path)
