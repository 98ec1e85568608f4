"""ncnn: a model converted by pnnx, fp32 throughout, with the allocators of its own benchmark."""
import os
import re
import shutil
import subprocess
import sys

from peers.peer import NotForThisPeer, Peer

FOREIGN = re.compile(r"(pnnx\.|aten::|onnx|Expression|prim::|torch\.|F\.|nn\.)")
ELEMENTS = {"float32": "f32", "int64": "i64", "int32": "i32"}


class NcnnPeer(Peer):
    key, title, module, package, install = "ncnn", "ncnn", "ncnn", "ncnn", "pip install ncnn pnnx torch"
    batches = False

    def environment(self, threads):
        return {"OMP_NUM_THREADS": str(threads)}

    def prepared_path(self, model, prefix):
        return os.path.join(prefix + ".ncnn", "model.ncnn.param")

    def prepare(self, model, prefix, inputs, tools):
        converter = os.path.join(os.path.dirname(sys.executable), "pnnx")
        converter = converter if os.path.exists(converter) else shutil.which("pnnx")
        if converter is None:
            raise NotForThisPeer("pnnx is not installed (pip install pnnx torch)")
        import onnx
        folder = prefix + ".ncnn"
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        # pnnx reads no weights from other folders.
        onnx.save(onnx.load(model), os.path.join(folder, "model.onnx"))
        shapes = ",".join("[%s]%s" % (",".join(map(str, array.shape)), ELEMENTS.get(str(array.dtype), "f32")) for array in inputs.values())
        run = subprocess.run([converter, "model.onnx", "inputshape=" + shapes, "fp16=0"], cwd=folder, capture_output=True, text=True, timeout=tools.seconds)
        made = self.prepared_path(model, prefix)
        for file in os.listdir(folder):
            if not file.startswith("model.ncnn."):
                os.remove(os.path.join(folder, file))
        if not os.path.exists(made):
            raise NotForThisPeer("pnnx: " + " ".join((run.stderr or run.stdout).split())[-200:])
        with open(made) as file:
            foreign = sorted({line.split()[0] for line in file.read().splitlines()[2:] if FOREIGN.match(line)})
        if foreign:
            os.remove(made)
            raise NotForThisPeer("pnnx leaves unconverted: " + ", ".join(foreign[:6]))

    def load(self, path, inputs, threads):
        import ncnn
        import numpy
        self.net = net = ncnn.Net()
        net.opt.num_threads = threads
        for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage", "use_bf16_packed", "use_vulkan_compute"):
            if hasattr(net.opt, option):
                setattr(net.opt, option, False)
        self.allocators = ncnn.UnlockedPoolAllocator(), ncnn.PoolAllocator()
        net.opt.blob_allocator, net.opt.workspace_allocator = self.allocators
        ncnn.set_omp_num_threads(threads)
        if net.load_param(path) or net.load_model(path[: -len("param")] + "bin"):
            raise RuntimeError("ncnn does not load what pnnx made")
        # Without the batch, which ncnn does not have.
        arrays = [numpy.ascontiguousarray(array[0].astype(numpy.int32) if array.dtype == numpy.int64 else array[0]) for array in inputs.values()]
        mats = [ncnn.Mat(array) for array in arrays]
        self.kept = arrays
        names, outputs = list(net.input_names()), list(net.output_names())

        def run():
            extractor = net.create_extractor()
            for name, mat in zip(names, mats):
                extractor.input(name, mat)
            return [extractor.extract(name)[1] for name in outputs]

        return {"extract": run}

    def outputs(self, results):
        import numpy
        return {str(position): numpy.array(mat) for position, mat in enumerate(results)}
