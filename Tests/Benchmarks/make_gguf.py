#!/usr/bin/env python3
"""Makes a GGUF file (f32) with the weights of an ONNX decoder in Llama's manner, for llama.cpp.

  make_gguf.py MODEL.onnx OUT.gguf

The graph holds, in its order: an embedding, and for every layer two norms and seven products (query, key, value, output; gate,
up, down), a last norm and the head. What does not look like this ends with a sentence.
"""
import os
import struct
import sys

import numpy as np
import onnx
from onnx import numpy_helper

PARTS = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]


class Decoder:
    """The weights of one decoder, found by their place in the graph."""

    def __init__(self, path):
        graph = onnx.load(path).graph
        weights = {weight.name: weight for weight in graph.initializer}
        constants = {node.output[0]: node.attribute[0].t for node in graph.node if node.op_type == "Constant" and node.attribute[0].HasField("t")}
        floating = lambda name: name in weights and weights[name].data_type == 1
        embeddings, norms, products = [], [], []
        for node in graph.node:
            for name in node.input:
                if not floating(name):
                    continue
                shape = list(weights[name].dims)
                if node.op_type == "Gather" and len(shape) == 2:
                    embeddings.append(name)
                elif node.op_type in ("MatMul", "Gemm") and len(shape) == 2:
                    products.append((name, node))
                elif len(shape) == 1 and shape[0] > 1 and embeddings and shape[0] == weights[embeddings[0]].dims[1]:
                    norms.append(name)
        if not embeddings or (len(products) - 1) % 7 or len(norms) != 2 * (len(products) // 7) + 1:
            raise SystemExit("no .gguf: not a decoder in Llama's manner (%d products, %d norms)" % (len(products), len(norms)))
        self.array = lambda name: numpy_helper.to_array(weights[name])
        self.embedding, self.norms = embeddings[0], norms
        # As [outputs, inputs], which is how GGUF stores them.
        transposed = lambda node: any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
        self.product = lambda place: self.array(products[place][0]) if transposed(products[place][1]) else self.array(products[place][0]).T
        self.layers = len(products) // 7
        self.words, self.width = weights[self.embedding].dims
        past = next((port for port in [*graph.input, *graph.output] if port.name.startswith(("past_key_values.0.key", "present.0.key"))), None)
        if past is None:
            raise SystemExit("no .gguf: no output present.0.key that tells the heads")
        lengths = [dimension.dim_value for dimension in past.type.tensor_type.shape.dim]
        self.key_heads, self.head = lengths[1], lengths[3]
        self.heads = self.product(0).shape[0] // self.head
        self.hidden = self.product(4).shape[0]
        scalars = [float(numpy_helper.to_array(tensor)) for tensor in [*weights.values(), *constants.values()]
                   if tensor.data_type == 1 and int(np.prod(list(tensor.dims), dtype=np.int64)) == 1]
        self.epsilon = min((value for value in scalars if 0 < value < 1e-3), default=1e-5)

    def tensors(self):
        """(name, array) in the order of the file."""
        yield "token_embd.weight", self.array(self.embedding)
        for layer in range(self.layers):
            yield "blk.%d.attn_norm.weight" % layer, self.array(self.norms[2 * layer])
            yield "blk.%d.ffn_norm.weight" % layer, self.array(self.norms[2 * layer + 1])
            for place, part in enumerate(PARTS):
                matrix = self.product(7 * layer + place)
                if place < 2:  # llama.cpp turns neighbours, the ONNX graph halves of a head.
                    heads = matrix.shape[0] // self.head
                    matrix = matrix.reshape(heads, 2, self.head // 2, -1).transpose(0, 2, 1, 3).reshape(matrix.shape)
                yield "blk.%d.%s.weight" % (layer, part), matrix
        yield "output_norm.weight", self.array(self.norms[-1])
        yield "output.weight", self.product(7 * self.layers)


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def write(decoder, path):
    number = lambda value: struct.pack("<II", 4, value)
    real = lambda value: struct.pack("<If", 6, value)
    word = lambda value: struct.pack("<I", 8) + text(value)
    facts = {
        "general.architecture": word("llama"), "general.alignment": number(32), "general.file_type": number(0), "llama.context_length": number(4096),
        "llama.embedding_length": number(decoder.width), "llama.block_count": number(decoder.layers), "llama.feed_forward_length": number(decoder.hidden),
        "llama.attention.head_count": number(decoder.heads), "llama.attention.head_count_kv": number(decoder.key_heads),
        "llama.attention.layer_norm_rms_epsilon": real(decoder.epsilon), "llama.rope.dimension_count": number(decoder.head),
        "llama.vocab_size": number(decoder.words), "tokenizer.ggml.model": word("none")}
    tensors, offset, infos = list(decoder.tensors()), 0, b""
    for name, array in tensors:
        sizes = array.shape[::-1]
        infos += text(name) + struct.pack("<I", len(sizes)) + b"".join(struct.pack("<Q", size) for size in sizes) + struct.pack("<IQ", 0, offset)
        offset += (array.size * 4 + 31) // 32 * 32
    with open(path + ".part", "wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(facts)) + b"".join(text(key) + value for key, value in facts.items()) + infos)
        for _, array in tensors:
            file.write(b"\0" * (-file.tell() % 32))
            file.write(np.ascontiguousarray(array, np.float32).tobytes())
        file.write(b"\0" * (-file.tell() % 32))
    os.replace(path + ".part", path)


if __name__ == "__main__":
    write(Decoder(sys.argv[1]), sys.argv[2])
