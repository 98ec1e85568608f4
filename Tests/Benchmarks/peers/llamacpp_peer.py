"""llama.cpp on a GGUF file with the weights of the ONNX decoder (make_gguf.py)."""
import os
import subprocess
import sys

from peers.peer import NotForThisPeer, Peer


class LlamaCppPeer(Peer):
    """One token after the past ones where the model takes a cache, else all tokens at once with all logits.

    llama.cpp keeps its cache in place, where the ONNX decoder takes and returns one; a decode step therefore starts from
    other numbers in the cache, and only the prompt's results can be compared.
    """
    key, title, module, package, install = "llamacpp", "llama.cpp", "llama_cpp", "llama-cpp-python", "pip install llama-cpp-python (builds it: cmake, g++)"
    batches = False

    def environment(self, threads):
        return {"OMP_NUM_THREADS": str(threads)}

    def prepared_path(self, model, prefix):
        return prefix + ".gguf"

    def prepare(self, model, prefix, inputs, tools):
        command = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "make_gguf.py"), model, prefix + ".gguf"]
        made = subprocess.run(command, capture_output=True, text=True, timeout=tools.seconds)
        if made.returncode:
            raise NotForThisPeer((made.stderr.strip().splitlines() or ["make_gguf.py failed"])[-1][:200])

    def load(self, path, inputs, threads):
        import llama_cpp
        import numpy
        self.silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.silent, None)
        llama_cpp.llama_backend_init()
        model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
        if not model:
            raise RuntimeError("llama.cpp does not load the file")
        tokens = inputs["input_ids"].ravel()
        past = inputs["attention_mask"].size - tokens.size
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = max(256, past + tokens.size)
        settings.n_threads = settings.n_threads_batch = threads
        # f32, as in the ONNX model; what a quantized file is used with is f16.
        settings.type_k = settings.type_v = 1 if path.endswith(".quantized.gguf") else 0
        context = llama_cpp.llama_init_from_model(model, settings)
        memory = llama_cpp.llama_get_memory(context)
        words = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))

        def batch_of(tokens, start, wanted):
            batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
            batch.n_tokens = len(tokens)
            for position, token in enumerate(tokens):
                batch.token[position], batch.pos[position], batch.n_seq_id[position] = int(token), start + position, 1
                batch.seq_id[position][0], batch.logits[position] = 0, wanted
            return batch

        if past and llama_cpp.llama_decode(context, batch_of(numpy.arange(past) * 7 % words, 0, 0)):
            raise RuntimeError("llama.cpp cannot fill its cache")
        batch = batch_of(tokens, past, 1)
        self.comparable = past == 0

        def run():
            llama_cpp.llama_memory_seq_rm(memory, 0, past, -1)
            if llama_cpp.llama_decode(context, batch):
                raise RuntimeError("llama_decode failed")
            return context

        self.read = lambda: numpy.ctypeslib.as_array(llama_cpp.llama_get_logits(context), shape=(1, len(tokens), words)).copy()
        return {"decode": run}

    def outputs(self, results):
        return {"logits": self.read()} if self.comparable else {}
