#!/usr/bin/env python3
"""Weight-only quantization against fp32, and against llama.cpp's Q8_0 and Q4_K_M on the same weights: time, size and error, alternately in one run.

  weight_only.py --ingot .build/release/ingot --models ../shared/models --prepare FOLDER [MODEL...]

MODEL is a benchmark graph's name or a path (llama_d768_decode). The error is the relative L2 distance of all outputs from those of
Ingot's fp32. llama.cpp takes part in Llama-like decoders, where llama_cpp is installed; its quantized files use a cache of f16.
"""
import os
import subprocess
import sys

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "Scripts"))

from alternation_options import AlternationOptions, half_spread
from models import Catalogue, input_arguments
from remote_peer import PeerFailed, RemotePeer

VARIANTS = {
    "fp32": [], "bf16": ["--precision", "bf16"], "weights-int8": ["--quantize", "weights-int8"],
    "weights-int8 g32 a8": ["--quantize", "weights-int8", "--group-size", "32", "--activations", "int8"],
    "weights-int4": ["--quantize", "weights-int4"], "weights-int4 float": ["--quantize", "weights-int4", "--activations", "float"],
    "weights-int4 g64": ["--quantize", "weights-int4", "--group-size", "64"], "weights-int4 g128": ["--quantize", "weights-int4", "--group-size", "128"]}
LLAMA = {"llama.cpp Q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0", "llama.cpp Q4_K_M": "LLAMA_FTYPE_MOSTLY_Q4_K_M"}


def compile_variant(options, path, name, model, threads):
    artifact = os.path.join(options.prepare, "%s.%s.t%d" % (model.file_stem, name.replace(" ", "-"), threads))
    command = [options.ingot, "compile", path, "-o", artifact, "--threads", str(threads), *VARIANTS[name]]
    for symbol, length in model.symbols.items():
        command += ["--dim", "%s=%d" % (symbol, length)]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if finished.returncode:
        sys.exit("error: %s: %s" % (name, finished.stderr.strip()[:400]))
    return artifact


def outputs(artifact, arguments, threads):
    folder = artifact + ".out"
    subprocess.run([artifact, "run", *arguments, "--output", folder, "--threads", str(threads)], check=True, capture_output=True, timeout=300)
    return [numpy.load(os.path.join(folder, name)).astype(numpy.float64) for name in sorted(os.listdir(folder)) if name.endswith(".npy")]


def error(found, wanted):
    """Of all outputs together: relative to each one's own size."""
    distances = [numpy.linalg.norm(a - b) / max(numpy.linalg.norm(b), 1e-30) for a, b in zip(found, wanted)]
    return max(distances)


def llama_file(options, path, model, kind):
    """A .gguf with the model's own weights, quantized by llama.cpp."""
    whole = os.path.join(options.prepare, model.file_stem + ".gguf")
    if not os.path.exists(whole):
        subprocess.run([sys.executable, os.path.join(HERE, "make_gguf.py"), path, whole], check=True, timeout=600)
    file = os.path.join(options.prepare, "%s.%s.quantized.gguf" % (model.file_stem, kind))
    if not os.path.exists(file):
        import llama_cpp
        silent = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(silent, None)
        parameters = llama_cpp.llama_model_quantize_default_params()
        parameters.ftype = getattr(llama_cpp, kind)
        if llama_cpp.llama_model_quantize(whole.encode(), file.encode(), parameters):
            raise RuntimeError("llama.cpp does not quantize the file")
    return file


def measure(options, name, threads):
    model = Catalogue(options.models).model(name, 1)
    folder = os.path.join(options.prepare, "models")
    os.makedirs(folder, exist_ok=True)
    path = model.file(folder)
    arguments, _ = input_arguments(model, folder)
    peers, rows, reference = [], {}, None
    log = os.path.join(options.prepare, "peers.log")
    for variant in options.variants.split(",") if options.variants else VARIANTS:
        artifact = compile_variant(options, path, variant, model, threads)
        results = outputs(artifact, arguments, threads)
        reference = reference or results
        rows[variant] = {"bytes": os.path.getsize(artifact), "error": error(results, reference)}
        peers.append(RemotePeer(variant, [artifact, "bench", "--slices", "--threads", str(threads), *arguments], log))
    if "llama" in model.name and not options.no_llama:
        for title, kind in LLAMA.items():
            file = llama_file(options, path, model, kind)
            rows[title] = {"bytes": os.path.getsize(file)}
            peer = RemotePeer(
                title, [sys.executable, os.path.join(HERE, "worker.py"), "load", "llamacpp", file, "--threads", str(threads), *arguments], log,
                {"OMP_NUM_THREADS": str(threads)})
            try:
                peer.answer(120)
                peers.append(peer)
            except PeerFailed as failure:
                print("%s: %s" % (title, failure))
    slices = AlternationOptions.slices(options, peers, threads)
    for peer in peers:
        rows[peer.key].update(slices[peer.key].record())
        peer.kill()
    print("\n%s, %d thread%s" % (model.name, threads, "s" if threads > 1 else ""))
    print("  %-22s %9s %9s %9s  %s" % ("", "median", "fastest", "MB", "error"))
    for key, row in rows.items():
        middle = "%7.3f ms" % (row["seconds"] * 1e3) if "seconds" in row else row.get("error", "")
        spread = "+-%2.0f %%" % (100 * half_spread(row)) if "seconds" in row else ""
        print("  %-22s %s %7.3f ms %9.1f  %-8s %s" % (
            key, middle, row.get("fastest_seconds", 0) * 1e3, row["bytes"] / 1e6, "%.1e" % row["error"] if isinstance(row.get("error"), float) else "", spread))
    return {"model": model.name, "threads": threads, "rows": rows}


def main():
    arguments = AlternationOptions(__doc__, "artifacts, .gguf files and inputs", rounds=12, slice_seconds=0.2, seconds=90)
    arguments.parser.add_argument("names", nargs="*", default=["llama_d768_decode"])
    arguments.parser.add_argument("--variants", default="", help="names separated by commas, fp32 first: " + ", ".join(VARIANTS))
    arguments.parser.add_argument("--no-llama", action="store_true")
    options = arguments.parse()
    AlternationOptions.save(options, [measure(options, name, threads) for name in options.names for threads in options.threads])


if __name__ == "__main__":
    main()
