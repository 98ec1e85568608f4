"""Inputs of the real models at sizes that their recorded data sets do not use."""
import os

from required_packages import require

np = require("numpy")
onnx = require("onnx")


def read_tensor(path):
    with open(path, "rb") as file:
        return onnx.numpy_helper.to_array(onnx.TensorProto.FromString(file.read()))


def write_tensors(inputs, folder):
    """Writes each array as .pb, which strings fit in too; returns the `--input NAME=FILE` arguments."""
    os.makedirs(folder, exist_ok=True)
    arguments = []
    for position, (name, array) in enumerate(inputs.items()):
        path = os.path.join(folder, "input_%d.pb" % position)
        with open(path, "wb") as file:
            file.write(onnx.numpy_helper.from_array(array, name).SerializeToString())
        arguments += ["--input", "%s=%s" % (name, path)]
    return arguments


def recorded_inputs(folder, names):
    """Of one data set, by name."""
    return {name: read_tensor(os.path.join(folder, "input_%d.pb" % position)) for position, name in enumerate(names)}


def minilm(batch, sequence):
    random = np.random.default_rng(batch * 1000 + sequence)
    mask = np.ones((batch, sequence), np.int64)
    for row in range(1, batch):
        mask[row, max(1, sequence - 3 * row):] = 0
    return {"input_ids": random.integers(1000, 30000, (batch, sequence)) * mask, "attention_mask": mask, "token_type_ids": np.zeros_like(mask)}


def stories(batch, sequence, past):
    random = np.random.default_rng(batch * 1000 + sequence * 10 + past)
    inputs = {"input_ids": random.integers(3, 512, (batch, sequence))}
    for layer in range(5):
        for part in ("key", "value"):
            inputs["past_%d_%s" % (layer, part)] = random.standard_normal((batch, 4, past, 8)).astype(np.float32)
    return inputs


def silero(batch, rate):
    random = np.random.default_rng(batch)
    samples = 576 if rate == 16000 else 288
    return {"input": (0.1 * random.standard_normal((batch, samples))).astype(np.float32), "state": random.standard_normal((2, batch, 128)).astype(np.float32) * np.float32(0.3),
            "sr": np.array(rate, np.int64)}


def picture(*shape):
    random = np.random.default_rng(sum(shape))
    coarse = random.standard_normal(shape[:-2] + (shape[-2] // 8 + 1, shape[-1] // 8 + 1)).astype(np.float32)
    return np.repeat(np.repeat(coarse, 8, -2), 8, -1)[..., :shape[-2], :shape[-1]].copy()


SPECIAL = {
    "minilm_l6_v2": [(minilm, size) for size in [(1, 1), (1, 16), (2, 7), (4, 33), (3, 128), (1, 256)]],
    "stories260k_decoder": [(stories, size) for size in [(1, 3, 7), (3, 1, 12), (2, 9, 1)]],
    "silero_vad_v5": [(silero, size) for size in [(2, 16000), (5, 16000), (4, 8000)]],
    "ppocr_v3_text_det": [(lambda *shape: {"x": picture(*shape)}, size) for size in [(1, 3, 64, 96), (2, 3, 128, 64), (1, 3, 192, 160)]],
    "speech_melspectrogram": [(lambda batch, samples: {"input": 1000 * picture(batch, 1, samples)[:, 0]}, size) for size in [(1, 2000), (1, 8640), (1, 12345)]],
    "byte_bilstm_tagger": [(lambda batch, length: {"input": np.random.default_rng(length).integers(32, 127, (batch, length)).astype(np.uint8)}, size)
                           for size in [(1, 1), (3, 20), (5, 47)]],
}


def other_sizes(name, model, sets):
    """(label, inputs) at three sizes or more; nothing for a model whose sizes are all fixed."""
    if name in SPECIAL:
        return [("x".join(map(str, size)), make(*size)) for make, size in SPECIAL[name]]
    graph = onnx.load(model, load_external_data=False).graph
    constants = {constant.name for constant in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in constants]
    batched = [entry.name for entry in inputs if entry.type.tensor_type.shape.dim and not entry.type.tensor_type.shape.dim[0].HasField("dim_value")]
    if not batched:
        return []
    recorded = [recorded_inputs(folder, [entry.name for entry in inputs]) for folder in sets]
    used = {len(entry[batched[0]]) for entry in recorded}
    found = []
    for batch in [size for size in (3, 5, 7, 4, 9) if size not in used][:3]:
        rows = {key: np.concatenate([entry[key] for entry in recorded]) for key in batched}
        chosen = {entry.name: rows[entry.name][np.arange(batch) % len(rows[entry.name])] if entry.name in batched else recorded[0][entry.name] for entry in inputs}
        found.append(("batch %d" % batch, chosen))
    return found
