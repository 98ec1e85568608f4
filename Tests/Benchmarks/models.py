"""What is measured: the benchmark graphs of shared/models, a GRU made by script, and models given by path."""
import hashlib
import os

import gru_model
from benchmark_graphs import BenchmarkGraphs
from tensor_files import write_inputs

# From small to large; others follow in the order of their names.
ORDER = ["mlp_iris", "lenet_digits", "squeezenet1_1", "mobilenet_v2", "resnet50", "vgg16", "yolo_nano_416", "vit_b_16", "minilm_l6_s128", "bert_base_s128",
         "gpt2_s128", "llama_d768_prefill128", "llama_d768_decode", "lstm_text", "gru_text", "dlrm"]


class Model:
    """One model at one batch.

    - symbols: lengths for the model's symbolic axes, such as {"batch": 8}.
    - gflop: multiply-adds of the direct method, counting two each, for one inference of the whole batch; None where unknown.
    - weight_bytes: of all its weights.
    """

    def __init__(self, name, batch=1, gflop=None, weight_bytes=None, symbols=None):
        self.name, self.batch, self.gflop, self.weight_bytes, self.symbols = name, batch, gflop, weight_bytes, symbols or {}

    @property
    def file_stem(self):
        """For files that are made of it: other models have others."""
        return "%s_%d" % (self.name, self.batch)

    def samples(self, count):
        """Other inputs than those that are measured, to calibrate with."""
        return [self.inputs(None, seed) for seed in range(1, count + 1)]

    @property
    def is_static(self):
        return not self.symbols

    @property
    def streamed_bytes(self):
        """Bytes of weights that one inference has to read from memory, where nothing else takes its time; None for other models.

        A weight that is read is used in at least one multiply-add, so `2 * gflop` bounds what is read of embeddings.
        """
        if not self.gflop or not self.weight_bytes:
            return None
        read = min(self.weight_bytes, 2e9 * self.gflop)
        return read if read > 64e6 and self.gflop * 1e9 / read < 4 else None


class GraphModel(Model):
    """A benchmark graph, stored without weights."""

    def __init__(self, graphs, name, batch):
        self.graphs, self.graph = graphs, name
        description = graphs.description(name)
        gflop = description.get("gflop")
        super().__init__(name[:-4] if name.endswith("_dyn") else name, batch, gflop * batch if gflop else None, description.get("weight_bytes"),
                         {"batch": batch} if graphs.is_symbolic(name) else {})

    def file(self, folder):
        path = os.path.join(folder, self.graph + ".onnx")
        if not os.path.exists(path):
            self.graphs.build(self.graph, folder)
        return path

    def inputs(self, folder, seed=0):
        return self.graphs.inputs(self.graph, self.batch, seed)


class GRUModel(Model):
    def __init__(self):
        weights = 4 * gru_model.WORDS * gru_model.WIDTH + 2 * 4 * 3 * gru_model.HIDDEN * (3 * gru_model.WIDTH + 3 * gru_model.HIDDEN)
        super().__init__("gru_text", 1, gru_model.gflop(), weights)

    def file(self, folder):
        path = os.path.join(folder, "gru_text.onnx")
        if not os.path.exists(path):
            gru_model.write(path)
        return path

    def inputs(self, folder, seed=0):
        import numpy
        return {"input_ids": numpy.random.default_rng(seed + 1).integers(0, gru_model.WORDS, (1, gru_model.TOKENS))}


class FileModel(Model):
    """A model given by path: normal numbers for its inputs, zeros and ones where they are integers."""

    def __init__(self, path, batch):
        import onnx
        from google.protobuf.message import DecodeError
        self.path = os.path.abspath(path)
        self.ports = []
        try:
            graph = onnx.load(path, load_external_data=False).graph
        except DecodeError:
            raise ValueError("%s is not an ONNX model" % path)
        weights = {initializer.name for initializer in graph.initializer}
        symbols, elements = {}, {1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}
        for port in graph.input:
            if port.name in weights:
                continue
            kind = port.type.tensor_type
            shape = []
            for dimension in kind.shape.dim:
                if not dimension.HasField("dim_value"):
                    symbols[dimension.dim_param] = batch
                shape.append(dimension.dim_value if dimension.HasField("dim_value") else batch)
            if kind.elem_type not in elements:
                raise ValueError("%s: input %s has an element type that this benchmark has no numbers for" % (path, port.name))
            self.ports.append((port.name, shape, elements[kind.elem_type]))
        stem = os.path.splitext(os.path.basename(path))[0]
        # Many are called model.onnx in a folder that says which.
        super().__init__(os.path.basename(os.path.dirname(self.path)) if stem == "model" else stem, batch, symbols=symbols)

    @property
    def file_stem(self):
        status = os.stat(self.path)
        digest = hashlib.sha256(("%s %d %d" % (self.path, status.st_size, status.st_mtime_ns)).encode()).hexdigest()
        return "%s_%d_%s" % (self.name, self.batch, digest[:8])

    def file(self, folder):
        return self.path

    def inputs(self, folder, seed=0):
        import numpy
        random = numpy.random.default_rng(seed + 1)
        return {
            name: (random.standard_normal(shape) if element.startswith("float") else random.integers(0, 2, shape)).astype(element)
            for name, shape, element in self.ports}


class Catalogue:
    """All models that can be asked for by name, and what they become at a batch."""

    def __init__(self, folder):
        self.graphs = BenchmarkGraphs(folder) if os.path.exists(os.path.join(folder, "materialize.py")) else None

    def names(self):
        """Those measured at batch 1 if no names are given."""
        graphs = [name for name in self.graphs.names if not name.endswith("_dyn")] if self.graphs else []
        found = graphs + ["gru_text"]
        return sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))

    def model(self, name, batch):
        if name.endswith(".onnx"):
            model = FileModel(name, batch)
            return None if batch > 1 and model.is_static else model
        if name == "gru_text":
            return GRUModel() if batch == 1 else None
        if self.graphs is None:
            raise KeyError("%s: the benchmark graphs are not here (--models FOLDER with materialize.py); models can be given by path" % name)
        if batch == 1 and name in self.graphs.names:
            return GraphModel(self.graphs, name, 1)
        dynamic = name + "_dyn"
        if dynamic in self.graphs.names:
            return GraphModel(self.graphs, dynamic, batch)
        if name not in self.graphs.names:
            raise KeyError("%s: no such graph; there are %s" % (name, ", ".join(self.names())))
        return None


def input_arguments(model, folder):
    """Writes the inputs once; returns `--input NAME=FILE ...`, and the arrays."""
    arrays = model.inputs(folder)
    return write_inputs(arrays, os.path.join(folder, "inputs", model.file_stem)), arrays
