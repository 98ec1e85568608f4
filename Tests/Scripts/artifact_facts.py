#!/usr/bin/env python3
"""States what an artifact is: what it links, its size, how fast it is ready, whether compiling it again gives the same bytes.

Limits (exit status 1 beyond them): no library but glibc, libm, libstdc++ and libgcc_s; at most 20 MB over the weights; ready to
answer within 50 ms of exec (median of 20 starts); two compilations give the same bytes; under 15 s of compilation; peak memory
under three times the model's size.

  artifact_facts.py                      # the benchmark graph resnet50
  artifact_facts.py model.onnx --dim batch=1
"""
import argparse
import hashlib
import http.client
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import child_process
from benchmark_graphs import BenchmarkGraphs, default_folder, default_ingot

ALLOWED = re.compile(r"^(linux-vdso\.so\.1|lib(c|m|stdc\+\+|gcc_s|pthread|dl|rt)\.so\.\d+|.*/ld-linux-x86-64\.so\.2)$")


class Facts:
    """Lines of a table; remembers whether one missed its limit."""

    def __init__(self):
        self.missed = []

    def line(self, what, value, limit="", holds=True):
        if not holds:
            self.missed.append(what)
        print("%-34s %-44s %-26s %s" % (what, value, limit, "" if not limit else "ok" if holds else "MISSED"), flush=True)


def libraries(artifact):
    listing = child_process.run(["ldd", artifact])
    names = [line.split()[0] for line in listing.output.splitlines() if line.strip()]
    return [] if "statically linked" in listing.output or "not a dynamic" in listing.errors else names


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def example_request(artifact):
    """A request of zeros in the Open Inference Protocol's binary-free form, symbolic axes 1."""
    manifest = json.loads(child_process.run([artifact, "info", "--json"]).output)
    datatypes = {"f32": "FP32", "f64": "FP64", "f16": "FP16", "i64": "INT64", "i32": "INT32", "i16": "INT16", "i8": "INT8", "u8": "UINT8", "bool": "BOOL"}
    inputs = []
    for port in manifest["inputs"]:
        lengths = [extent if isinstance(extent, int) else 1 for extent in port["shape"]]
        count = 1
        for length in lengths:
            count *= length
        inputs.append({"name": port["name"], "datatype": datatypes[port["element"]], "shape": lengths, "data": [0] * count})
    return manifest, json.dumps({"inputs": inputs})


def start_times(artifact, name, body, count):
    """Seconds from exec to ready, and to the first answer, of `count` servers one after the other."""
    ready, answered = [], []
    for _ in range(count):
        port = free_port()
        start = time.perf_counter()
        server = subprocess.Popen([artifact, "serve", "--port", str(port), "--grace-seconds", "0"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        try:
            while True:
                link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                try:
                    link.connect()
                    break
                except OSError:
                    if server.poll() is not None or time.perf_counter() - start > 30:
                        raise RuntimeError("the server does not start")
                    time.sleep(0.0005)
            link.request("GET", "/v2/health/ready")
            reply = link.getresponse()
            reply.read()
            if reply.status != 200:
                raise RuntimeError("listening, but not ready: HTTP %d" % reply.status)
            ready.append(time.perf_counter() - start)
            link.request("POST", "/v2/models/%s/infer" % name, body, {"Content-Type": "application/json"})
            reply = link.getresponse()
            content = reply.read()
            if reply.status != 200:
                raise RuntimeError("HTTP %d: %s" % (reply.status, content[:300]))
            answered.append(time.perf_counter() - start)
            link.close()
        finally:
            server.terminate()
            server.wait(30)
    return ready, answered


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="resnet50", help="a model file, or the name of a benchmark graph (%(default)s)")
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--models", default=default_folder(), help="folder of materialize.py (%(default)s)")
    parser.add_argument("--dim", action="append", default=[], metavar="SYMBOL=N", help="passed on to `ingot compile`")
    parser.add_argument("--starts", type=int, default=20, help="servers started (%(default)s)")
    options = parser.parse_args()
    facts = Facts()
    with tempfile.TemporaryDirectory(prefix="ingot-facts-") as folder:
        model, model_bytes = options.model, None
        if not os.path.exists(model):
            model, model_bytes = BenchmarkGraphs(options.models).build(model, folder)
        model_bytes = model_bytes or os.path.getsize(model)
        artifact, report = os.path.join(folder, "artifact"), os.path.join(folder, "report.json")
        compilations = []
        for path in (artifact, artifact + ".again"):
            command = [options.ingot, "compile", model, "-o", path, "--report", report] + [word for dim in options.dim for word in ("--dim", dim)]
            compilations.append(child_process.run(command))
            if compilations[-1].status != 0:
                sys.exit("error: compile: " + compilations[-1].complaint)
        with open(report) as file:
            details = json.load(file)
        facts.line("model", "%s, %.1f MB" % (os.path.basename(model), model_bytes / 1e6))
        seconds = min(run.seconds for run in compilations)
        facts.line("compilation", "%s s" % " and ".join("%.2f" % run.seconds for run in compilations), "< 15 s", seconds < 15)
        facts.line("  stages", ", ".join("%s %.2f s" % (stage["name"], stage["seconds"]) for stage in details["stages"]))
        peak = max(run.peak_bytes for run in compilations)
        facts.line("  peak memory", "%.1f MB, %.2f times the model" % (peak / 1e6, peak / model_bytes), "< 3 times", peak < 3 * model_bytes)
        same = digest(artifact) == digest(artifact + ".again")
        os.remove(artifact + ".again")
        facts.line("  bytes", "sha256 " + digest(artifact)[:32], "the same twice", same)
        size, weights = os.path.getsize(artifact), details["weights_bytes"]
        facts.line("artifact", "%.1f MB: weights %.1f, code %.2f, rest %.1f" % (
            size / 1e6, weights / 1e6, details["code_bytes"] / 1e6, (size - weights - details["code_bytes"]) / 1e6))
        facts.line("  over the model's weights", "%.1f MB" % ((size - model_bytes) / 1e6), "<= 20 MB", size - model_bytes <= 20e6)
        facts.line("  over the packed weights", "%.1f MB" % ((size - weights) / 1e6), "<= 20 MB", size - weights <= 20e6)
        linked = libraries(artifact)
        strange = [name for name in linked if not ALLOWED.match(name)]
        facts.line("  libraries", ", ".join(os.path.basename(name) for name in linked) or "none", "glibc, libstdc++, libgcc_s", not strange)
        manifest, body = example_request(artifact)
        ready, answered = start_times(artifact, manifest["model"]["name"], body, options.starts)
        median = statistics.median(ready)
        facts.line("exec to ready", "%.1f ms (median of %d; %.1f to %.1f)" % (median * 1e3, len(ready), min(ready) * 1e3, max(ready) * 1e3), "<= 50 ms", median <= 0.05)
        facts.line("exec to first answer", "%.1f ms (%.1f to %.1f)" % (statistics.median(answered) * 1e3, min(answered) * 1e3, max(answered) * 1e3))
    if facts.missed:
        print("FAILED: " + ", ".join(what.strip() for what in facts.missed))
    sys.exit(1 if facts.missed else 0)


if __name__ == "__main__":
    main()
