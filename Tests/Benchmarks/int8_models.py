#!/usr/bin/env python3
"""Models that another tool quantized to int8 (QDQ), the same file in Ingot, ONNX Runtime and OpenVINO, beside Ingot's fp32: alternately in one run.

  int8_models.py --prepare FOLDER resnet50=resnet50_qdq.onnx mobilenet_v2=mobilenet_v2_qdq.onnx

Each argument is a benchmark graph's name and a file with its quantized form, for example of onnxruntime.quantization. Without a file it is
made here: static, u8 activations, i8 weights for each channel, ranges from 4 random inputs.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "Scripts"))

from alternation import Alternation
from models import Catalogue, input_arguments
from remote_peer import PeerFailed, RemotePeer


def quantized(path, arguments, folder):
    """A QDQ form of a model, its ranges from the inputs that are measured and three scaled ones."""
    import numpy
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    target = os.path.join(folder, os.path.basename(path).replace(".onnx", ".qdq.onnx"))
    if os.path.exists(target):
        return target
    files = dict(word.split("=", 1) for word in arguments if "=" in word)
    inputs = {name: numpy.load(file) for name, file in files.items()}

    class Reader(CalibrationDataReader):
        def __init__(self):
            scaled = [{name: (x * factor).astype(x.dtype) if x.dtype.kind == "f" else x for name, x in inputs.items()} for factor in (1, 0.9, -1, -0.8)]
            self.rows = iter(scaled)

        def get_next(self):
            return next(self.rows, None)

    quantize_static(path, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
    return target


def measure(options, argument):
    name, _, file = argument.partition("=")
    model = Catalogue(options.models).model(name, 1)
    folder = os.path.join(options.prepare, "models")
    os.makedirs(folder, exist_ok=True)
    path = model.file(folder)
    arguments, _ = input_arguments(model, folder)
    file = file or quantized(path, arguments, folder)
    log, threads = os.path.join(options.prepare, "peers.log"), ["--threads", str(options.threads)]
    peers, rows = [], {}
    for title, source in (("Ingot fp32", path), ("Ingot int8", file)):
        artifact = os.path.join(options.prepare, "%s.%s.t%d" % (model.file_stem, title.split()[1], options.threads))
        command = [options.ingot, "compile", source, "-o", artifact, *threads]
        for symbol, length in model.symbols.items():
            command += ["--dim", "%s=%d" % (symbol, length)]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=900)
        if finished.returncode:
            sys.exit("error: %s: %s" % (title, finished.stderr.strip()[:400]))
        rows[title] = {"bytes": os.path.getsize(artifact)}
        peers.append(RemotePeer(title, [artifact, "bench", "--slices", *threads, *arguments], log))
    for title, key in (("ONNX Runtime int8", "ort"), ("OpenVINO int8", "openvino")):
        rows[title] = {"bytes": os.path.getsize(file)}
        peer = RemotePeer(title, [sys.executable, os.path.join(HERE, "worker.py"), "load", key, file, *threads, *arguments], log, {"OMP_NUM_THREADS": str(options.threads)})
        try:
            peer.answer(240)
            peers.append(peer)
        except PeerFailed as failure:
            rows[title]["error"] = str(failure)
    slices = Alternation(slice_seconds=options.slice, rounds=options.rounds, seconds=options.seconds, boost=options.boost).measure(peers, options.threads)
    for peer in peers:
        rows[peer.key].update(slices[peer.key].record())
        peer.kill()
    print("\n%s, %d thread%s" % (model.name, options.threads, "s" if options.threads > 1 else ""))
    for key, row in rows.items():
        if "seconds" not in row:
            print("  %-18s %s" % (key, row.get("error", "not measured")))
            continue
        medians = row["slice_medians"]
        print("  %-18s %8.3f ms  fastest %8.3f ms  +-%2.0f %%  %7.1f MB" % (
            key, row["seconds"] * 1e3, row["fastest_seconds"] * 1e3, 50 * (max(medians) - min(medians)) / statistics.median(medians), row["bytes"] / 1e6))
    return {"model": model.name, "threads": options.threads, "rows": rows}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="MODEL[=QDQ]")
    parser.add_argument("--ingot", default=os.path.join(HERE, "..", "..", ".build", "release", "ingot"))
    parser.add_argument("--models", default=os.path.join(HERE, "..", "..", "..", "shared", "models"))
    parser.add_argument("--prepare", required=True, help="artifacts, quantized models and inputs go here")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--slice", type=float, default=0.25)
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--boost", choices=["fifo", "nice"], default=None)
    parser.add_argument("--json")
    options = parser.parse_args()
    os.makedirs(options.prepare, exist_ok=True)
    found = [measure(options, name) for name in options.names]
    if options.json:
        with open(options.json, "w") as file:
            json.dump(found, file, indent=1)


if __name__ == "__main__":
    main()
