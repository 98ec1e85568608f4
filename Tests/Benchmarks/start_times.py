"""From exec to the first answer, peak memory and size on disk: Ingot's artifact beside ONNX Runtime (Python, C) and OpenVINO."""
import importlib.metadata
import importlib.util
import os
import shutil
import statistics
import subprocess

import child_process
from ingot_peer import CompileFailed
from measurement import WORKER
from models import input_arguments
from peers import PEERS
from remote_peer import PeerFailed, RemotePeer

HERE = os.path.dirname(os.path.abspath(__file__))
STARTS = 5


def installed_bytes(*packages):
    """Of the files that these Python packages put on the disk."""
    total = 0
    for package in packages:
        for file in importlib.metadata.distribution(package).files or []:
            path = file.locate()
            if os.path.isfile(path) and "__pycache__" not in str(path):
                total += os.path.getsize(path)
    return total


def model_bytes(path):
    stem = os.path.splitext(path)[0]
    return sum(os.path.getsize(file) for file in (path, stem + ".weights.bin") if os.path.exists(file))


def of_ingot(ingot, model, path, arguments):
    """The artifact's `run`: reads the inputs, answers, writes the outputs and ends."""
    artifact, _ = ingot.compile("ingot", model, path, 1)
    try:
        runs = []
        for _ in range(STARTS + 1):
            _, seconds, peak = ingot.outputs(artifact, 1, arguments, [])
            runs.append((seconds, peak))
        runs = runs[1:]
        return {"seconds": statistics.median(run[0] for run in runs), "peak_bytes": max(run[1] for run in runs), "disk_bytes": os.path.getsize(artifact),
                "note": "to the end of the process, inputs and outputs as files"}
    finally:
        os.remove(artifact)


def of_peer(key, path, arguments, log):
    """A Python process that imports the peer, loads the model and runs it once."""
    seconds, peak = [], 0
    for _ in range(STARTS):
        worker = RemotePeer(key, WORKER + ["load", key, path, "--threads", "1"] + arguments, log, PEERS[key]().environment(1))
        try:
            seconds.append(worker.answer(240)["answered"] - worker.started)
            peak = max(peak, worker.peak_bytes() or 0)
        finally:
            worker.kill()
        if sum(seconds) > 15:
            break
    return {"seconds": statistics.median(seconds), "peak_bytes": peak, "disk_bytes": installed_bytes(PEERS[key].package, "numpy") + model_bytes(path),
            "note": "in Python, without the interpreter's size"}


def c_library():
    """ONNX Runtime's C library, which its Python package brings along, or None."""
    package = importlib.util.find_spec("onnxruntime")
    folder = os.path.join(os.path.dirname(package.origin), "capi") if package and package.origin else ""
    names = sorted(name for name in os.listdir(folder) if name.startswith("libonnxruntime.so")) if os.path.isdir(folder) else []
    return os.path.join(folder, names[0]) if names else None


def of_onnxruntime_in_c(library, path, arguments, folder):
    """A C program that does the same."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise OSError("there is no C compiler")
    program = os.path.join(folder, "start_onnxruntime")
    made = subprocess.run([compiler, "-O2", os.path.join(HERE, "start_onnxruntime.c"), "-o", program, "-ldl"], capture_output=True, text=True)
    if made.returncode:
        raise OSError(made.stderr.strip()[:200])
    files = [word.rpartition("=") for word in arguments if word != "--input"]
    runs = []
    for _ in range(STARTS + 1):
        finished = child_process.run([program, library, path] + [word for name, _, file in files for word in (name, file)], 240)
        if finished.status != 0:
            raise OSError(finished.complaint[:200])
        runs.append(finished)
    return {"seconds": statistics.median(run.seconds for run in runs[1:]), "peak_bytes": max(run.peak_bytes for run in runs[1:]),
            "disk_bytes": os.path.getsize(library) + model_bytes(path), "note": "to the end of the process, inputs as files"}


def measure(options, results, catalogue, ingot, peers, say):
    results.start = []
    log = os.path.join(options.prepare, "peers.log")
    for name in [word for word in options.start_models.split(",") if word]:
        if options.names and name not in options.names:
            continue
        try:
            model = catalogue.model(name, 1)
        except KeyError:
            continue
        path = model.file(os.path.join(options.prepare, "models"))
        arguments, _ = input_arguments(model, os.path.join(options.prepare, "models"))
        ways = [("Ingot", lambda: of_ingot(ingot, model, path, arguments))]
        ways += [(PEERS[key].title, lambda key=key: of_peer(key, path, arguments, log)) for key in ("ort", "openvino") if key in peers]
        if c_library() and "ort" in peers:
            ways.append(("ONNX Runtime, C", lambda: of_onnxruntime_in_c(c_library(), path, arguments, options.prepare)))
        for who, way in ways:
            try:
                entry = way()
            except (OSError, PeerFailed, CompileFailed, subprocess.SubprocessError) as error:
                entry = {"error": str(error)[:200]}
            results.start.append({"model": name, "who": who, **entry})
            say("start of %s, %s: %s" % (name, who, entry.get("error") or "%.3f s, %.0f MB" % (entry["seconds"], entry["peak_bytes"] / 1e6)))
        results.save()
