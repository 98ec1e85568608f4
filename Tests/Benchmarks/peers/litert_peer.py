"""LiteRT with XNNPACK, on a .tflite made from the same ONNX graph and weights (make_tflite.py, channels last)."""
import os
import subprocess

from peers.peer import NotForThisPeer, Peer


class LiteRTPeer(Peer):
    key, title, module, package, install = "litert", "LiteRT", "ai_edge_litert.interpreter", "ai-edge-litert", "pip install ai-edge-litert"
    batches = False

    def prepared_path(self, model, prefix):
        return prefix + ".tflite"

    def prepare(self, model, prefix, inputs, tools):
        if not tools.tensorflow_python:
            raise NotForThisPeer("no Python with tensorflow to make the .tflite (--tensorflow-python)")
        command = [tools.tensorflow_python, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "make_tflite.py"), model, prefix + ".tflite"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=tools.seconds)
        if made.returncode:
            raise NotForThisPeer((made.stderr.strip().splitlines() or ["make_tflite.py failed"])[-1][:200])

    def load(self, path, inputs, threads):
        import numpy
        from ai_edge_litert.interpreter import Interpreter
        interpreter = Interpreter(model_path=path, num_threads=threads)
        interpreter.allocate_tensors()
        arrays = list(inputs.values())
        for detail in interpreter.get_input_details():
            shape = tuple(detail["shape"])
            array = next((array for array in arrays if sorted(array.shape) == sorted(shape)), None)
            if array is None:
                raise RuntimeError("no input of shape %s" % (shape,))
            if array.shape != shape:
                array = numpy.ascontiguousarray(array.transpose(0, 2, 3, 1))
            interpreter.set_tensor(detail["index"], array.astype(detail["dtype"]))
        outputs = [detail["index"] for detail in interpreter.get_output_details()]
        self.read = lambda: [interpreter.get_tensor(index) for index in outputs]
        return {"invoke": interpreter.invoke}

    def outputs(self, results):
        return {str(position): array for position, array in enumerate(self.read())}
