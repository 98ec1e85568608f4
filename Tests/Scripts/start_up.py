#!/usr/bin/env python3
"""From exec to the first answer: time, memory and size on disk of Ingot's artifacts, ONNX Runtime (Python and C) and OpenVINO.

Every program is started anew, loads its model, answers one request on made-up inputs and waits. The files are in the page cache.
Memory is read when it has answered: what is resident, and how much of that is its own (not mapped from files that others may
share). Size on disk is the model with everything that has to be installed for it, without the Python interpreter and its packages
for pictures and arrays. The rounds go through all programs in turn.

  start_up.py                                   # mobilenet_v2 resnet50 bert_base_s128, as many threads as there are cores
  start_up.py mobilenet_v2 --threads 1 --rounds 10 --markdown start.md --json start.json
"""
import argparse
import glob
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from benchmark_graphs import BenchmarkGraphs, default_folder, default_ingot
from served_artifact import ServedArtifact

NAMES = ["mobilenet_v2", "resnet50", "bert_base_s128"]
HERE = os.path.dirname(os.path.abspath(__file__))

ORT_PYTHON = """
import sys, json
import numpy as np, onnxruntime as ort
path, threads, ports = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
options = ort.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
session.run(None, {p["name"]: np.ones(p["shape"], p["dtype"]) for p in ports})
print("answered", flush=True)
sys.stdin.read()
"""

OPENVINO_PYTHON = """
import sys, json
import numpy as np, openvino as ov
path, threads, ports = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
core = ov.Core()
model = core.compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
model({p["name"]: np.ones(p["shape"], p["dtype"]) for p in ports})
print("answered", flush=True)
sys.stdin.read()
"""


class Measured:
    """One start: seconds to the first answer, resident bytes and private bytes then."""

    def __init__(self, seconds, resident=None, private=None):
        self.seconds, self.resident, self.private = seconds, resident, private


def memory(process):
    """Resident bytes of a process, and how many of them are mapped from no file."""
    values = {}
    with open("/proc/%d/smaps_rollup" % process) as file:
        for line in file:
            word, *rest = line.split()
            if rest and rest[-1] == "kB":
                values[word] = int(rest[0]) * 1024
    return values["Rss:"], values["Anonymous:"]


def start(command, question=None):
    """Runs a program until its first line of output, which is its answer. `question` goes to its standard input."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        if question:
            process.stdin.write(question)
            process.stdin.flush()
        line = process.stdout.readline()
        seconds = time.monotonic() - begin
        if not line:
            sys.exit("error: %s ended without an answer: %s" % (command[0], process.stderr.read().decode(errors="replace").strip()[-400:]))
        resident, private = memory(process.pid)
        return Measured(seconds, resident, private)
    finally:
        process.stdin.close()
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def serve_once(artifact, threads, body, name):
    """From exec to the first reply over HTTP."""
    with ServedArtifact(artifact, ["--threads", str(threads), "--grace-seconds", "0"]) as server:
        status, reply = server.request("POST", "/v2/models/%s/infer" % server.name, body)
        seconds = time.monotonic() - server.started
        if status != 200:
            sys.exit("error: %s serve answered %d: %s" % (artifact, status, reply))
        resident, private = memory(server.process.pid)
        return Measured(seconds, resident, private)


def package_bytes(name, pattern="*"):
    """The size of an installed Python package's files."""
    try:
        module = __import__(name)
    except ImportError:
        return None
    folder = os.path.dirname(module.__file__)
    return sum(os.path.getsize(path) for path in glob.glob(os.path.join(folder, "**", pattern), recursive=True) if os.path.isfile(path) and not path.endswith(".pyc"))


def onnxruntime_library():
    try:
        import onnxruntime
    except ImportError:
        return None
    found = glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so*"))
    return found[0] if found else None


def median(values):
    return statistics.median(values) if values else None


class Table:
    """Rows of one model's figures, by program."""

    def __init__(self):
        self.rows = []

    def add(self, model, program, starts, disk):
        self.rows.append({
            "model": model, "program": program, "first_answer_seconds": median([s.seconds for s in starts]), "fastest_seconds": min(s.seconds for s in starts),
            "resident_bytes": median([s.resident for s in starts if s.resident]), "private_bytes": median([s.private for s in starts if s.private]),
            "disk_bytes": disk, "rounds": len(starts)})

    @property
    def markdown(self):
        def size(value):
            return "" if value is None else "%.1f" % (value / 1e6)
        lines = ["| model | program | exec to first answer, ms | fastest, ms | resident, MB | of it private, MB | on disk, MB |", "|---|---|---:|---:|---:|---:|---:|"]
        for row in self.rows:
            lines.append("| %s | %s | %.1f | %.1f | %s | %s | %s |" % (
                row["model"], row["program"], row["first_answer_seconds"] * 1e3, row["fastest_seconds"] * 1e3, size(row["resident_bytes"]), size(row["private_bytes"]),
                size(row["disk_bytes"])))
        return "\n".join(lines)


def request_body(ports):
    """The Open Inference Protocol's request for inputs of ones."""
    def count(shape):
        total = 1
        for length in shape:
            total *= length
        return total
    kinds = {"float32": "FP32", "int64": "INT64", "int32": "INT32"}
    return json.dumps({"inputs": [
        {"name": p["name"], "shape": p["shape"], "datatype": kinds[p["dtype"]], "data": [1] * count(p["shape"])} for p in ports]})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=NAMES, help="benchmark graphs (%s)" % " ".join(NAMES))
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ingot", default=default_ingot(), help="the compiler")
    parser.add_argument("--graphs", default=default_folder(), help="the folder of the benchmark graphs")
    parser.add_argument("--files", help="a folder that holds the graphs with their weights already")
    parser.add_argument("--markdown", help="write the table there too")
    parser.add_argument("--json", help="write the figures there")
    options = parser.parse_args()

    graphs = BenchmarkGraphs(options.graphs)
    table = Table()
    library = onnxruntime_library()
    ort_bytes, openvino_bytes = package_bytes("onnxruntime"), package_bytes("openvino")
    with tempfile.TemporaryDirectory(prefix="ingot-start-") as folder:
        caller = os.path.join(folder, "onnxruntime_start")
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler or subprocess.run([compiler, "-O2", os.path.join(HERE, "onnxruntime_start.c"), "-o", caller, "-ldl"]).returncode:
            library = None
        for name in options.models:
            if options.files:
                path = os.path.join(options.files, name + ".onnx")
                weights = os.path.join(options.files, name + ".weights.bin")
                model_bytes = os.path.getsize(path) + (os.path.getsize(weights) if os.path.exists(weights) else 0)
            else:
                path, model_bytes = graphs.build(name, folder)
            ports = [{"name": key, "shape": list(value.shape), "dtype": str(value.dtype)} for key, value in graphs.inputs(name).items()]
            outputs = graphs.description(name)["outputs"]
            artifact = os.path.join(folder, name)
            made = subprocess.run([options.ingot, "compile", path, "-o", artifact, "--threads", str(options.threads)], capture_output=True, text=True)
            if made.returncode:
                sys.exit("error: %s" % made.stderr.strip())
            artifact_bytes = os.path.getsize(artifact)
            threads, described = str(options.threads), json.dumps(ports)
            words = []
            for port in ports:
                words += [port["name"], "i64" if port["dtype"] == "int64" else "f32", str(len(port["shape"]))] + [str(length) for length in port["shape"]]
            body = request_body(ports)
            programs = [
                # One run after loading, then its time as a line.
                ("Ingot, artifact", artifact_bytes, lambda: start([artifact, "bench", "--threads", threads, "--slices"], b"0\n")),
                ("Ingot, artifact over HTTP", artifact_bytes, lambda: serve_once(artifact, options.threads, body, name)),
            ]
            if library:
                programs.append(("ONNX Runtime, C", model_bytes + os.path.getsize(library), lambda: start([caller, library, path, threads] + words + ["--"] + outputs)))
            if ort_bytes:
                programs.append(("ONNX Runtime, Python", model_bytes + ort_bytes, lambda: start([sys.executable, "-c", ORT_PYTHON, path, threads, described])))
            if openvino_bytes:
                programs.append(("OpenVINO, Python", model_bytes + openvino_bytes, lambda: start([sys.executable, "-c", OPENVINO_PYTHON, path, threads, described])))
            starts = {program: [] for program, _, _ in programs}
            for number in range(options.rounds + 1):
                for program, _, once in programs:
                    measured = once()
                    # The first round fills the page cache.
                    if number:
                        starts[program].append(measured)
            for program, disk, _ in programs:
                table.add(name, program, starts[program], disk)
    text = "%d thread%s, median of %d starts\n\n%s\n" % (options.threads, "" if options.threads == 1 else "s", options.rounds, table.markdown)
    print(text)
    if options.markdown:
        with open(options.markdown, "w") as file:
            file.write(text)
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"threads": options.threads, "rounds": options.rounds, "starts": table.rows}, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
