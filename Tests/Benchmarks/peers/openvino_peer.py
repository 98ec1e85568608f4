"""OpenVINO: the latency hint, one stream, and the precision stated (it would choose bf16 by itself)."""
from peers.peer import Peer


class OpenVINOPeer(Peer):
    key, title, module, package, install = "openvino", "OpenVINO", "openvino", "openvino", "pip install openvino"
    hint = "f32"

    def load(self, path, inputs, threads):
        import openvino
        model = openvino.Core().read_model(path)
        if model.is_dynamic():
            model.reshape({port.get_any_name(): list(inputs[port.get_any_name()].shape) for port in model.inputs})
        settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": self.hint}
        compiled = openvino.Core().compile_model(model, "CPU", settings)
        self.names = [port.get_any_name() for port in compiled.outputs]
        feeds = {port.get_any_name(): inputs[port.get_any_name()] for port in compiled.inputs}
        given, preset = compiled.create_infer_request(), compiled.create_infer_request()
        self.tensors = [openvino.Tensor(array, shared_memory=True) for array in feeds.values()]
        for name, tensor in zip(feeds, self.tensors):
            preset.set_tensor(name, tensor)

        return {
            "infer": lambda: given.infer(feeds, share_inputs=True, share_outputs=True),
            "preset": lambda: preset.infer(share_outputs=True),
        }

    def outputs(self, results):
        return {name: results[position] for position, name in enumerate(self.names)}


class OpenVINOBf16Peer(OpenVINOPeer):
    key, title, precision, hint = "openvino-bf16", "OpenVINO bf16", "bf16", "bf16"
