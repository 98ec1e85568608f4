"""Kernels that move data more than they compute: what they reach of the bandwidth of the cache or memory that their data is in.

Small models with one such operation each are made, compiled and profiled by `ingot bench --profile`; the kernel's traffic is what
it reads and writes, each byte once. Its limit is what limits.c reaches when it copies as much in the same place, or the peak of multiply-adds where those take longer (a depthwise
convolution does 18 operations for the 8 bytes of a number). GELU and softmax also compute what is not counted: erf and exp.
"""
import json
import os

import child_process
import comparison

# (name, operation, shapes that stay in the second cache, and that come from memory)
CASES = [
    ("add and relu", "elementwise", (128, 512), (8192, 2048)),
    ("gelu", "gelu", (128, 512), (8192, 2048)),
    ("max pool 3x3/2", "max_pool", (1, 64, 32, 32), (1, 256, 224, 224)),
    ("average pool 2x2/2", "average_pool", (1, 64, 32, 32), (1, 256, 224, 224)),
    ("global average", "global_average", (1, 64, 32, 32), (1, 256, 224, 224)),
    ("softmax", "softmax", (128, 512), (8192, 2048)),
    ("layer norm", "layer_norm", (128, 512), (8192, 2048)),
    ("depthwise 3x3", "depthwise", (1, 64, 32, 32), (1, 256, 224, 224)),
    ("depthwise 3x3/2", "depthwise_strided", (1, 64, 32, 32), (1, 256, 224, 224)),
]
# Where a kernel's traffic is the reading of its input almost alone.
READERS = {"global_average"}


def write(operation, shape, path):
    """A model with this operation. Pictures are made channels last by a convolution before and after, as inside a network."""
    import numpy
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    random = numpy.random.default_rng(1)
    weights, nodes = [], []

    def weight(name, *sizes):
        weights.append(numpy_helper.from_array(random.standard_normal(sizes).astype(numpy.float32) * numpy.float32(0.1), name))
        return name

    def add(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], name="measured" if output == "y" else output, **attributes))

    picture, channels = len(shape) == 4, shape[1]
    x = "input"
    if picture:
        add("Conv", ["input", weight("before", channels, 4, 1, 1)], "x")
        x = "x"
    if operation == "elementwise":
        add("Add", ["input", "other"], "sum")
        add("Relu", ["sum"], "y")
    elif operation == "gelu":
        add("Gelu", [x], "y")
    elif operation == "softmax":
        add("Softmax", [x], "y", axis=-1)
    elif operation == "layer_norm":
        add("LayerNormalization", [x, weight("scale", channels), weight("shift", channels)], "y", axis=-1)
    elif operation == "max_pool":
        add("MaxPool", [x], "y", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    elif operation == "average_pool":
        add("AveragePool", [x], "y", kernel_shape=[2, 2], strides=[2, 2])
    elif operation == "global_average":
        add("GlobalAveragePool", [x], "y")
    else:
        add("Conv", [x, weight("filter", channels, 1, 3, 3)], "y", group=channels, pads=[1, 1, 1, 1], strides=[2, 2] if operation == "depthwise_strided" else [1, 1])
    last = "y"
    if picture:
        add("Conv", ["y", weight("after", 4, channels, 1, 1)], "output")
        last = "output"
    inputs = [1, 4, *shape[2:]] if picture else list(shape)
    ports = ["input", "other"] if operation == "elementwise" else ["input"]
    graph = helper.make_graph(nodes, operation, [helper.make_tensor_value_info(port, TensorProto.FLOAT, inputs) for port in ports],
                              [helper.make_tensor_value_info(last, TensorProto.FLOAT, None)], weights)
    model = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    onnx.save(model, path)


def measured_step(report):
    """The step that the operation became: by its node's name. Several steps (a split kernel) count together."""
    steps = [step for step in report["steps"] if "measured" in step["origin"].split(" ")[0]] or [step for step in report["steps"] if "measured" in step["origin"]]
    if not steps:
        return None
    return {"seconds": sum(step["seconds"] for step in steps), "bytes": sum(step["bytes"] or 0 for step in steps), "flops": sum(step["flops"] or 0 for step in steps),
            "code": "+".join(sorted({step["name"] for step in steps}))}


def bound(results, operation, where, step, threads=1):
    """(the least seconds that this takes on this machine, what takes them), or None where the limits are not known."""
    kind = "read" if operation in READERS else "copy"
    moving, computing = results.limits.get("%s_%s %d" % (kind, where, threads)), comparison.peak(results, threads)
    if not moving or not computing:
        return None
    return max((step["bytes"] / moving / 1e9, "bandwidth of " + where), (step["flops"] / computing / 1e9, "multiply-adds"))


def measure(options, results, say):
    results.kernels = []
    priority = {"fifo": ["chrt", "-f", "20"], "nice": ["nice", "-n", "-20"], None: []}[options.boost]
    for name, operation, small, large in CASES:
        for where, shape in (("L2", small), ("memory", large)):
            path = os.path.join(options.prepare, "models", "kernel_%s_%s.onnx" % (operation, where))
            write(operation, shape, path)
            finished = child_process.run(priority + [options.ingot, "bench", path, "--threads", "1", "--seconds", "0.3", "--profile", "--json", "-"], 120)
            entry = {"kernel": "%s %s" % (name, "x".join(map(str, shape))), "where": where}
            try:
                step = measured_step(json.loads(finished.output)) if finished.status == 0 else None
            except (ValueError, KeyError):
                step = None
            if step is None or not step["seconds"]:
                entry["error"] = finished.complaint[:100] if finished.status else "became part of another kernel"
            else:
                least = bound(results, operation, where, step)
                entry.update(step, rate=step["bytes"] / step["seconds"] / 1e9, bound=least[1] if least else None, fraction=least[0] / step["seconds"] if least else None)
            results.kernels.append(entry)
            say("%s, data in %s: %s" % (entry["kernel"], where, entry.get("error") or "%.1f GB/s, %s" % (
                entry["rate"], "%.0f %% of the %s" % (100 * entry["fraction"], entry["bound"]) if entry["bound"] else "limit unknown")))
        results.save()
