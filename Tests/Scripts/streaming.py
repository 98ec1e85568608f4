#!/usr/bin/env python3
"""Models with state, used as they are meant to be: one step after the other against the served artifact, the state carried by the
client; every step is compared with ONNX Runtime run the same way on its own state.

  streaming.py                                  # silero_vad_v5, stories260k_decoder, dtln_1, gtcrn_stream_simple
  streaming.py stories260k_decoder --prompt "The cat"
"""
import argparse
import os
import struct
import sys
import tempfile
import time
import wave

import child_process
from benchmark_graphs import default_folder, default_ingot
from onnxruntime_reference import Reference
from required_packages import require
from served_artifact import ServedArtifact
from tensor_agreement import Agreement

np = require("numpy")
NAMES = {np.dtype(np.float32): "FP32", np.dtype(np.int64): "INT64"}


class Client:
    """One connection to a served model, in the Open Inference Protocol."""

    def __init__(self, server):
        self.server, self.connection, self.path = server, server.connection(), "/v2/models/%s/infer" % server.name

    def run(self, inputs):
        request = {"inputs": [{"name": name, "datatype": NAMES[array.dtype], "shape": list(array.shape), "data": array.ravel().tolist()}
                              for name, array in inputs.items()]}
        status, reply = self.server.request("POST", self.path, request, self.connection)
        if status != 200:
            raise RuntimeError("status %d: %s" % (status, reply))
        types = {name: element for element, name in NAMES.items()}
        return {output["name"]: np.array(output["data"], types[output["datatype"]]).reshape(output["shape"]) for output in reply["outputs"]}


class Stream:
    """The same steps through the server and through ONNX Runtime, each with a state of its own."""

    def __init__(self, model, client, states, rtol=1e-3, atol=1e-4):
        self.client, self.reference, self.states = client, Reference(model), states
        self.own, self.their = None, None
        self.agreement, self.steps, self.seconds = Agreement(rtol, atol), 0, 0.0

    def begin(self, **state):
        self.own, self.their = dict(state), dict(state)

    def step(self, **inputs):
        """One step of both; the server's outputs."""
        start = time.monotonic()
        got = self.client.run({**inputs, **self.own})
        self.seconds += time.monotonic() - start
        want = self.reference.run({**inputs, **self.their})
        for name, array in want.items():
            self.agreement.compare("step %d: %s" % (self.steps, name), got[name], array)
        self.own = {into: got[name] for into, name in self.states.items()}
        self.their = {into: want[name] for into, name in self.states.items()}
        self.steps += 1
        return got, want


def speech(samples, rate, folder):
    """A recording, as often as it takes; without one something like speech: voiced syllables with pauses, and noise."""
    recording = os.path.join(folder, "speech_%dk_a.wav" % (rate // 1000))
    if os.path.exists(recording):
        with wave.open(recording) as file:
            if (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (rate, 2, 1):
                return np.resize(np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768, samples)
    t = np.arange(samples) / rate
    random = np.random.default_rng(5)
    pitch = 120 + 20 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    voiced = sum(np.sin(k * phase) / k * np.exp(-((k * 120 - 700) / 900.0) ** 2) for k in range(1, 25))
    syllables = np.clip(np.sin(2 * np.pi * 3.0 * t), 0, 1) * (np.sin(2 * np.pi * 0.5 * t) > -0.3)
    return (0.3 * voiced * syllables + 0.01 * random.standard_normal(samples)).astype(np.float32)


def silero(model, client, options):
    """Windows of 32 ms, each preceded by the end of the one before."""
    said = []
    for rate, window, context in [(16000, 512, 64), (8000, 256, 32)]:
        stream = Stream(model, client, {"state": "stateN"})
        stream.begin(state=np.zeros((2, 1, 128), np.float32))
        audio = np.concatenate([np.zeros(context, np.float32), speech(options.steps * window, rate, options.audio)])
        found = []
        for step in range(options.steps):
            piece = audio[step * window:step * window + context + window][None]
            got, _ = stream.step(input=piece, sr=np.array(rate, np.int64))
            found.append(float(got["output"][0, 0]))
        said.append("%d Hz: speech in %d of %d windows" % (rate, sum(value > 0.5 for value in found), len(found)))
        yield stream, said[-1]


class Tokens:
    """The vocabulary of tok512.bin; pieces are merged by score, as the model's authors do it."""

    def __init__(self, path):
        with open(path, "rb") as file:
            data = file.read()
        position, self.pieces, self.scores = 4, [], []
        while position < len(data):
            score, length = struct.unpack_from("<fi", data, position)
            self.pieces.append(data[position + 8:position + 8 + length])
            self.scores.append(score)
            position += 8 + length
        self.ids = {piece: number for number, piece in reversed(list(enumerate(self.pieces)))}

    def encode(self, text):
        ids = [1, self.ids[b" "]]
        for letter in text:
            piece = letter.encode()
            ids += [self.ids[piece]] if piece in self.ids else [byte + 3 for byte in piece]
        while True:
            pairs = [(self.scores[self.ids[a + b]], -at) for at, (a, b) in enumerate(zip([self.pieces[i] for i in ids], [self.pieces[i] for i in ids[1:]]))
                     if at > 0 and a + b in self.ids]
            if not pairs:
                return ids
            at = -max(pairs)[1]
            ids[at:at + 2] = [self.ids[self.pieces[ids[at]] + self.pieces[ids[at + 1]]]]

    def decode(self, ids):
        text = b""
        for before, number in zip([1] + ids, ids):
            piece = self.pieces[number]
            if piece.startswith(b"<0x") and piece.endswith(b">"):
                piece = bytes([int(piece[3:5], 16)])
            text += piece[1:] if before == 1 and piece.startswith(b" ") else piece
        return text.decode(errors="replace")


def stories(model, client, options):
    """A sentence by greedy decoding: the prompt at once, then token by token with the cache that came back."""
    tokens = Tokens(os.path.join(os.path.dirname(model), "tok512.bin"))
    layers = ["%d_%s" % (layer, part) for layer in range(5) for part in ("key", "value")]
    stream = Stream(model, client, {"past_" + layer: "present_" + layer for layer in layers})
    stream.begin(**{"past_" + layer: np.zeros((1, 4, 0, 8), np.float32) for layer in layers})
    prompt = tokens.encode(options.prompt)
    ids, theirs, pending = list(prompt), list(prompt), prompt
    for _ in range(options.tokens):
        got, want = stream.step(input_ids=np.array([pending], np.int64))
        ids.append(int(got["logits"][0, -1].argmax()))
        theirs.append(int(want["logits"][0, -1].argmax()))
        if ids != theirs:
            stream.agreement.fail("token %d is %r, ONNX Runtime's is %r" % (len(ids), tokens.decode(ids[-1:]), tokens.decode(theirs[-1:])))
            break
        if ids[-1] in (1, 2):
            break
        pending = ids[-1:]
    yield stream, repr(tokens.decode(ids[1:]))


def dtln(model, client, options):
    """Magnitudes of windows of 512 samples, 128 apart, at 16 kHz; the LSTMs' state goes around."""
    stream = Stream(model, client, {"input_3": "tf_op_layer_stack_2"})
    stream.begin(input_3=np.zeros((1, 2, 128, 2), np.float32))
    audio = speech(options.steps * 128 + 512, 16000, options.audio)
    kept = []
    for step in range(options.steps):
        magnitude = np.abs(np.fft.rfft(audio[step * 128:step * 128 + 512])).astype(np.float32)
        got, _ = stream.step(input_2=magnitude.reshape(1, 1, 257))
        kept.append(float(got["activation_2"].mean()))
    yield stream, "mask keeps %.2f on average" % np.mean(kept)


def gtcrn(model, client, options):
    """Spectra of windows of 512 samples, 256 apart, at 16 kHz; three caches go around."""
    caches = {"conv_cache": (2, 1, 16, 16, 33), "tra_cache": (2, 3, 1, 1, 16), "inter_cache": (2, 1, 33, 16)}
    stream = Stream(model, client, {name: name + "_out" for name in caches})
    stream.begin(**{name: np.zeros(shape, np.float32) for name, shape in caches.items()})
    audio, window = speech(options.steps * 256 + 512, 16000, options.audio), np.sqrt(np.hanning(513)[:512])
    before = after = 0.0
    for step in range(options.steps):
        spectrum = np.fft.rfft(audio[step * 256:step * 256 + 512] * window)
        mix = np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32).reshape(1, 257, 1, 2)
        got, _ = stream.step(mix=mix)
        before += float((mix ** 2).sum())
        after += float((got["enh"] ** 2).sum())
    yield stream, "%.0f %% of the energy is left" % (100 * after / before)


STREAMS = {"silero_vad_v5": silero, "stories260k_decoder": stories, "dtln_1": dtln, "gtcrn_stream_simple": gtcrn}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="models to run (all four)")
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--models", default=os.path.join(default_folder(), "real"), help="folder of the models (%(default)s)")
    parser.add_argument("--audio", default=os.path.join(default_folder(), "..", "data", "audio"), help="folder of recordings (%(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="steps of the audio models (%(default)s)")
    parser.add_argument("--prompt", default="Once upon a time", help="what the story begins with (%(default)s)")
    parser.add_argument("--tokens", type=int, default=60, help="tokens to generate at most (%(default)s)")
    options = parser.parse_args()
    failures = checks = 0
    for name in options.names or STREAMS:
        model = os.path.join(options.models, name, "model.onnx")
        with tempfile.TemporaryDirectory(prefix="ingot-stream-") as folder:
            artifact = os.path.join(folder, "artifact")
            compiled = child_process.run([options.ingot, "compile", model, "-o", artifact, "--name", name, "--threads", "1"])
            if compiled.status != 0:
                checks, failures = checks + 1, failures + 1
                print("%-22s FAILED: compile: %s" % (name, compiled.complaint), flush=True)
                continue
            try:
                with ServedArtifact(artifact) as server:
                    for stream, said in STREAMS[name](model, Client(server), options):
                        checks += 1
                        failures += not stream.agreement.passed
                        print("%-22s %4d steps, %6.2f ms each, max abs %.1e: %s; %s" % (
                            name, stream.steps, 1e3 * stream.seconds / max(1, stream.steps), stream.agreement.max_abs,
                            "ok" if stream.agreement.passed else "FAILED: " + stream.agreement.reason, said), flush=True)
            except (RuntimeError, OSError) as error:
                checks, failures = checks + 1, failures + 1
                print("%-22s FAILED: %s" % (name, error), flush=True)
    print("%d of %d checks passed" % (checks - failures, checks))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
