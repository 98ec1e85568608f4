"""ONNX Runtime: the CPU provider with all its graph optimizations."""
from peers.peer import Peer


class OnnxRuntimePeer(Peer):
    key, title, module, package, install = "ort", "ONNX Runtime", "onnxruntime", "onnxruntime", "pip install onnxruntime"

    def load(self, path, inputs, threads):
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in session.get_outputs()]
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        for name in self.names:
            binding.bind_output(name, "cpu")

        def bound():
            session.run_with_iobinding(binding)
            return binding

        return {"run": lambda: session.run(self.names, inputs), "bound": bound}

    def outputs(self, results):
        return dict(zip(self.names, results if isinstance(results, list) else results.copy_outputs_to_cpu()))
