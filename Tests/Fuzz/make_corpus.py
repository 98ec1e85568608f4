#!/usr/bin/env python3
"""Makes the seed corpora of the fuzz targets: small files of every form that they read. Needs numpy and onnx.

    Tests/Fuzz/make_corpus.py            # writes Tests/Fuzz/Corpus/*

The files are committed; this makes them anew after the list below has grown. Seeds of the text form are the cases of the
compiler's tests, which `run.sh` adds.
"""
import io
import json
import os
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy as np
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
F, I, B, S, U = TensorProto.FLOAT, TensorProto.INT64, TensorProto.BOOL, TensorProto.STRING, TensorProto.UINT8


def info(name, element=F, shape=(2, 3)):
    return helper.make_tensor_value_info(name, element, shape)


def constant(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def model(nodes, inputs, outputs, initializers=(), opset=21, functions=(), domains=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    sets = [helper.make_opsetid("", opset)] + [helper.make_opsetid(domain, version) for domain, version in domains]
    made = helper.make_model(graph, opset_imports=sets, functions=list(functions), ir_version=10)
    made.producer_name = ""
    return made.SerializeToString()


def one(operator, inputs, outputs=1, initializers=(), opset=21, domain="", elements=(), **attributes):
    """A model of one node; inputs are (name, element, shape), initializers (name, array), elements those of the outputs that are not floats."""
    names = [entry[0] if entry else "" for entry in inputs] + [name for name, _ in initializers]
    results = ["y%d" % index for index in range(outputs)]
    node = helper.make_node(operator, names, results, domain=domain, **attributes)
    elements = list(elements) + [F] * (outputs - len(elements))
    return model([node], [info(*entry) for entry in inputs if entry], [helper.make_tensor_value_info(*entry, None) for entry in zip(results, elements)],
                 [constant(*entry) for entry in initializers], opset, domains=[(domain, 3)] if domain else [])


def qdq(body, shape, weights, axis):
    """A quantised `x`, `d` when dequantised, and weights `w` with a scale along an axis; each step of the body gives `c0`, `c1`..."""
    nodes = [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
             helper.make_node("DequantizeLinear", ["wq", "ws"], ["w"], axis=axis)]
    nodes += [helper.make_node(operator, names, ["c%d" % place], **attributes) for place, (operator, names, attributes) in enumerate(body)]
    nodes += [helper.make_node("QuantizeLinear", [nodes[-1].output[0], "s", "z"], ["r"]), helper.make_node("DequantizeLinear", ["r", "s", "z"], ["y"])]
    scales = np.full(weights.shape[axis], 0.02, np.float32)
    return model(nodes, [info("x", F, shape)], [info("y", F, None)], [constant("s", np.float32(0.05)), constant("z", np.uint8(7)), constant("wq", weights), constant("ws", scales)])


def models():
    x, n = ("x", F, (2, 3)), ("x", F, ("n", 3))
    image = ("x", F, (1, 2, 6, 6))
    ints = lambda values: np.array(values, np.int64)
    floats = lambda *shape: np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape) / 7
    yield "relu", one("Relu", [n])
    yield "add", one("Add", [n, ("b", F, (3,))])
    yield "matmul", one("MatMul", [n], initializers=[("w", floats(3, 4))])
    yield "gemm", one("Gemm", [x], initializers=[("w", floats(4, 3)), ("b", floats(4))], transB=1, alpha=0.5)
    yield "conv", one("Conv", [image], initializers=[("w", floats(4, 2, 3, 3))], pads=[1, 1, 1, 1], strides=[2, 2])
    yield "convtranspose", one("ConvTranspose", [image], initializers=[("w", floats(2, 3, 3, 3))], strides=[2, 2], output_padding=[1, 1])
    yield "maxpool", one("MaxPool", [image], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    yield "averagepool", one("AveragePool", [image], kernel_shape=[3, 3], auto_pad="SAME_UPPER", count_include_pad=1)
    yield "batchnorm", one("BatchNormalization", [image], initializers=[(name, floats(2) + 1) for name in ("s", "b", "m", "v")])
    yield "layernorm", one("LayerNormalization", [x], initializers=[("s", floats(3)), ("b", floats(3))], axis=-1)
    yield "softmax", one("Softmax", [n], axis=-1)
    yield "reducesum", one("ReduceSum", [x], initializers=[("a", ints([1]))], keepdims=0)
    yield "reducesum_input", one("ReduceSum", [x, ("a", I, (1,))], keepdims=0)
    yield "argmax", one("ArgMax", [x], elements=[I], axis=1)
    yield "topk", one("TopK", [x], 2, elements=[F, I], initializers=[("k", ints([2]))])
    yield "reshape", one("Reshape", [n], initializers=[("s", ints([0, -1, 1]))])
    yield "slice", one("Slice", [x], initializers=[("s", ints([-1])), ("e", ints([-9])), ("a", ints([1])), ("t", ints([-1]))])
    yield "pad", one("Pad", [x], initializers=[("p", ints([0, 1, 1, 0]))], mode="reflect")
    yield "gather", one("Gather", [x], initializers=[("i", ints([[1, -1]]))], axis=1)
    yield "scatternd", one("ScatterND", [x], initializers=[("i", ints([[1], [0]])), ("u", floats(2, 3))], reduction="add")
    yield "scatterelements", one("ScatterElements", [x], initializers=[("i", ints([[1, 0, 1]])), ("u", floats(1, 3))], axis=0)
    yield "concat_split", model(
        [helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2), helper.make_node("Concat", ["b", "a"], ["y"], axis=1)], [info(*x)], [info("y")])
    yield "transpose", one("Transpose", [image], perm=[0, 2, 3, 1])
    yield "expand", one("Expand", [x], initializers=[("s", ints([4, 1, 3]))])
    yield "tile", one("Tile", [x], initializers=[("r", ints([2, 3]))])
    yield "range", model([helper.make_node("Range", ["a", "b", "c"], ["y"])], [], [info("y", I, (None,))],
                         [constant("a", np.int64(9)), constant("b", np.int64(0)), constant("c", np.int64(-2))])
    yield "constantofshape", one("ConstantOfShape", [], initializers=[("s", ints([3, 100000]))], value=constant("v", np.float32([2])))
    yield "cumsum", one("CumSum", [x], initializers=[("a", np.int64(1))], reverse=1, exclusive=1)
    yield "resize", model([helper.make_node("Resize", ["x", "", "s"], ["y"], mode="cubic", coordinate_transformation_mode="half_pixel")], [info(*image)],
                          [info("y", F, None)], [constant("s", np.float32([1, 1, 2, 1.5]))])
    yield "gridsample", one("GridSample", [image, ("g", F, (1, 3, 3, 2))], padding_mode="reflection")
    yield "einsum", one("Einsum", [x, ("z", F, (3, 4))], equation="ij,jk->ki")
    yield "lstm", one("LSTM", [("x", F, (3, 1, 2))], 3, initializers=[("w", floats(2, 8, 2)), ("r", floats(2, 8, 2))], hidden_size=2, direction="bidirectional")
    yield "gru", one("GRU", [("x", F, ("t", 1, 2))], 2, initializers=[("w", floats(1, 6, 2)), ("r", floats(1, 6, 2))], hidden_size=2, linear_before_reset=1)
    yield "nonzero", one("NonZero", [x], elements=[I])
    yield "unique", one("Unique", [("x", F, (6,))], 4, elements=[F, I, I, I])
    yield "nms", one("NonMaxSuppression", [("b", F, (1, 6, 4)), ("s", F, (1, 1, 6))],
                     initializers=[("m", ints([3])), ("i", np.float32([0.5])), ("t", np.float32([0]))], elements=[I])
    yield "compress", one("Compress", [x, ("c", B, (2,))], axis=0)
    yield "quantize", one("QuantizeLinear", [x], initializers=[("s", np.float32(0.1)), ("z", np.uint8(3))], elements=[U])
    yield "qlinearmatmul", one("QLinearMatMul", [], initializers=[
        ("a", np.ones((2, 3), np.uint8)), ("as", np.float32(0.1)), ("az", np.uint8(1)), ("b", np.ones((3, 2), np.int8)), ("bs", np.float32(0.1)), ("bz", np.int8(0)),
        ("ys", np.float32(0.2)), ("yz", np.uint8(2))], elements=[U])
    u8, i8 = lambda *shape: np.arange(int(np.prod(shape)), dtype=np.uint8).reshape(shape), lambda *shape: (np.arange(int(np.prod(shape))) % 9 - 4).astype(np.int8).reshape(shape)
    yield "qlinearconv", one("QLinearConv", [], initializers=[
        ("a", u8(1, 4, 5, 5)), ("as", np.float32(0.1)), ("az", np.uint8(1)), ("w", i8(4, 4, 3, 3)), ("ws", floats(4)), ("wz", np.zeros(4, np.int8)),
        ("ys", np.float32(0.2)), ("yz", np.uint8(2)), ("b", np.ones(4, np.int32))], elements=[U], pads=[1, 0, 1, 1])
    yield "matmulinteger", one("MatMulInteger", [("a", U, (3, 4))], initializers=[("b", i8(4, 2)), ("az", np.uint8(1)), ("bz", np.int8(1))], elements=[TensorProto.INT32])
    yield "dynamicquantize", one("DynamicQuantizeLinear", [x], 3, elements=[U, F, U])
    yield "qdq_conv", qdq([("Conv", ["d", "w"], {"pads": [1, 1, 1, 1]}), ("Relu", ["c0"], {})], (1, 4, 6, 6), i8(8, 4, 3, 3), 0)
    yield "qdq_residual", qdq([("Conv", ["d", "w"], {}), ("Add", ["c0", "d"], {})], (1, 4, 6, 6), i8(4, 4, 1, 1), 0)
    yield "qdq_matmul", qdq([("MatMul", ["d", "w"], {}), ("Gelu", ["c0"], {})], (3, 16), i8(16, 32), 1)
    yield "qdq_dynamic", qdq([("MatMul", ["d", "w"], {})], ("n", 8), i8(8, 16), 1)
    yield "blocked", model([helper.make_node("DequantizeLinear", ["q", "s"], ["w"], axis=0, block_size=4), helper.make_node("MatMul", ["x", "w"], ["y"])],
                           [info("x", F, ("n", 8))], [info("y", F, None)], [constant("q", i8(8, 16)), constant("s", floats(2, 16))])
    yield "nbits", one("MatMulNBits", [("x", F, (2, 32))], initializers=[("b", u8(16, 1, 16)), ("s", floats(16))], domain="com.microsoft", K=32, N=16, bits=4, block_size=32)
    yield "dft", one("DFT", [("x", F, (1, 8, 1))], opset=17, axis=1)
    yield "cast_f8", one("Cast", [x], elements=[TensorProto.FLOAT8E4M3FN], to=TensorProto.FLOAT8E4M3FN)
    yield "cast_string", one("Cast", [x], elements=[S], to=S)
    yield "strings", one("StringConcat", [("a", S, (2,)), ("b", S, (2,))], elements=[S])
    yield "regex", one("RegexFullMatch", [("a", S, (2,))], elements=[B], pattern="(a|b)*[^c]{2,3}")
    yield "tfidf", one("TfIdfVectorizer", [("x", I, (2, 5))], max_gram_length=2, max_skip_count=2, min_gram_length=1, mode="TF", ngram_counts=[0, 3],
                       ngram_indexes=[0, 1, 2, 3], pool_int64s=[1, 2, 3, 1, 2])
    yield "attention", one("Attention", [("q", F, (1, 2, 4, 8)), ("k", F, (1, 2, 4, 8)), ("v", F, (1, 2, 4, 8))], opset=23, is_causal=1)
    yield "random", one("RandomNormal", [], shape=[2, 3], seed=1.0)
    yield "optional", model([helper.make_node("Optional", ["x"], ["o"]), helper.make_node("OptionalGetElement", ["o"], ["y"])], [info(*x)], [info("y")])
    yield "sequence", model(
        [helper.make_node("SequenceConstruct", ["x", "z"], ["s"]), helper.make_node("ConcatFromSequence", ["s"], ["y"], axis=0)], [info(*x), info("z")], [info("y", F, None)])
    trees = dict(
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[1, 0, 0], nodes_values=[0.5, 0.0, 0.0], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0])
    yield "trees", one("TreeEnsembleRegressor", [n], domain="ai.onnx.ml", n_targets=1, target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0],
                       target_weights=[1.0, -1.0], **trees)
    yield "classifier", one("TreeEnsembleClassifier", [n], 2, elements=[I, F], domain="ai.onnx.ml", class_treeids=[0, 0], class_nodeids=[1, 2], class_ids=[0, 1],
                            class_weights=[1.0, 1.0], classlabels_int64s=[0, 1], **trees)
    yield "linear", one("LinearClassifier", [n], 2, elements=[S, F], domain="ai.onnx.ml", coefficients=[1.0] * 6, intercepts=[0.0, 1.0], classlabels_strings=["a", "b"], post_transform="SOFTMAX")
    yield "labels", one("LabelEncoder", [("x", I, (3,))], elements=[S], domain="ai.onnx.ml", keys_int64s=[1, 2], values_strings=["one", "two"], default_string="?")
    yield "svm", one("SVMRegressor", [n], domain="ai.onnx.ml", coefficients=[1.0, -1.0], kernel_params=[0.5, 0.0, 3.0], kernel_type="RBF", n_supports=2, rho=[0.1],
                     support_vectors=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    branch = lambda operator: helper.make_graph([helper.make_node(operator, ["x"], ["r"])], operator, [], [info("r")])
    yield "if", model([helper.make_node("If", ["c"], ["y"], then_branch=branch("Neg"), else_branch=branch("Abs"))], [info("c", B, ()), info(*x)], [info("y")])
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "s"], ["t"]), helper.make_node("Identity", ["c"], ["d"])], "body",
        [info("i", I, ()), info("c", B, ()), info("s")], [info("d", B, ()), info("t"), info("t")])
    body.output[2].name = "t2"
    body.node.append(helper.make_node("Identity", ["t"], ["t2"]))
    yield "loop", model([helper.make_node("Loop", ["m", "", "x"], ["y", "z"], body=body)], [info("m", I, ()), info(*x)], [info("y"), info("z", F, None)])
    yield "loop_known", model([helper.make_node("Loop", ["m", "", "x"], ["y", "z"], body=body)], [info(*x)], [info("y"), info("z", F, None)], [constant("m", np.int64(3))])
    step = helper.make_graph([helper.make_node("Add", ["s", "v"], ["t"]), helper.make_node("Identity", ["t"], ["o"])], "step",
                             [info("s", F, (3,)), info("v", F, (3,))], [info("t", F, (3,)), info("o", F, (3,))])
    yield "scan", model([helper.make_node("Scan", ["a", "x"], ["y", "z"], body=step, num_scan_inputs=1)], [info("a", F, (3,)), info(*x)], [info("y", F, (3,)), info("z")])
    function = helper.make_function("local", "twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 21)])
    yield "function", model([helper.make_node("twice", ["x"], ["y"], domain="local")], [info(*x)], [info("y")], functions=[function], domains=[("local", 1)])
    yield "shape_arithmetic", model(
        [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Gather", ["s", "zero"], ["b"]), helper.make_node("Unsqueeze", ["b", "axis"], ["u"]),
         helper.make_node("Concat", ["u", "minus"], ["t"], axis=0), helper.make_node("Reshape", ["x", "t"], ["y"])],
        [info("x", F, ("n", 2, 3))], [info("y", F, None)], [constant("zero", np.int64(0)), constant("axis", ints([0])), constant("minus", ints([-1]))])


def tensors():
    for name, array in [("f4", np.ones((2, 3), "<f4")), ("i8", np.arange(4, dtype=">i8")), ("b1", np.array([True, False])), ("fortran", np.asfortranarray(np.ones((2, 3), "f2"))),
                        ("scalar", np.array(3, "u1")), ("empty", np.zeros((0, 4), "f8"))]:
        file = io.BytesIO()
        np.save(file, array)
        yield "npy_" + name, b"n" + file.getvalue()
    for element in (TensorProto.FLOAT, TensorProto.INT4, TensorProto.UINT2, TensorProto.FLOAT8E4M3FN, TensorProto.BFLOAT16, TensorProto.BOOL, TensorProto.STRING, TensorProto.FLOAT16):
        values = [b"a", b"bc", b""] if element == TensorProto.STRING else [1, 0, 1]
        yield "pb_%d" % element, b"p" + helper.make_tensor("x", element, [3], values).SerializeToString()
    yield "pb_raw", b"p" + numpy_helper.from_array(np.ones((2, 2), np.float32), "x").SerializeToString()
    for kind, text in enumerate(["[[1, 2.5], [-3e2, NaN]]", "[true, false]", "7", "[[], []]", '["a", "b"]', "[18446744073709551615, -9223372036854775808]", "[1e400, -Infinity]"]):
        yield "json_%d" % kind, bytes([kind]) + text.encode()


def requests():
    texts = [
        (4, 0, 0xFF, '{"id":"a","parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[2,4],"datatype":"FP32","data":[[1,2.5,-3e2,4],[0.1,NaN,-Infinity,8]]}]}'),
        (4, 0, 0xFF, '{"inputs":[{"data":[1,2,3,4],"datatype":"FP32","shape":[1,4],"name":"x"}],"outputs":[{"name":"out_x","parameters":{"binary_data":false}}]}'),
        (4, 0, 93, '{"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","parameters":{"binary_data_size":16}}]}0123456789abcdef'),
        (4, 0, 0, "0123456789abcdef"), (4, 1, 0xFF, '{"signature_name":"serving_default","instances":[[1,2,3,4],[5,6,7,8.25]]}'),
        (4, 1, 0xFF, '{"instances":[{"x":[1,2,3,4]},{"x":[5,6,7,8]}]}'), (0, 1, 0xFF, '{"instances":[{"ids":[1,-2],"mask":true},{"mask":false,"ids":[9223372036854775807,4]}]}'),
        (4, 1, 0xFF, '{"inputs":{"x":[[1,2,3,4]]},"extra":{"a":[1,{"b":null},"\\u00e9\\ud83d\\ude00",true]}}'), (4, 2, 0xFF, '{"input_data":[1,2,3,4]}'),
    ]
    for index, (service, path, header, text) in enumerate(texts):
        yield "request_%d" % index, bytes([service, path, header]) + text.encode()


def artifacts():
    ingot = os.environ.get("INGOT") or str(HERE.parents[1] / ".build/release/ingot")
    cases = HERE.parents[0] / "CompilerTests/Cases"
    for name in ("symbolic-extents", "perceptron"):
        with tempfile.TemporaryDirectory() as folder:
            runtime = folder + "/runtime"
            pathlib.Path(runtime).write_bytes(b"\x7fELF")
            subprocess.run([ingot, "compile", str(cases / (name + ".ingot")), "-o", folder + "/a", "--target", "x86-64-v3", "--threads", "1"],
                           env=dict(os.environ, INGOT_RUNTIME=runtime), check=True, stdout=subprocess.DEVNULL)
            data = pathlib.Path(folder + "/a").read_bytes()
        offset, size = struct.unpack_from("<QQ", data, len(data) - 256 + 24 + 96)
        yield "file_" + name, b"f" + data
        yield "manifest_" + name, b"m" + data[offset:offset + size]
    yield "not_an_artifact", b"a" + b"\x7fELF" + bytes(300)
    yield "manifest_text", b"m" + json.dumps({"model": {"name": "m", "version": "1"}, "inputs": [{"name": "x", "element": "f32", "shape": ["n", 4]}]}).encode()


def main():
    for target, seeds in [("onnx", models()), ("tensors", tensors()), ("http", requests()), ("artifact", artifacts())]:
        folder = HERE / "Corpus" / target
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, data in seeds:
            (folder / name).write_bytes(data)
        print("%s: %d files, %d bytes" % (target, len(list(folder.iterdir())), sum(path.stat().st_size for path in folder.iterdir())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
