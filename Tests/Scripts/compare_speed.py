#!/usr/bin/env python3
"""Times Ingot's artifacts and ONNX Runtime alternately, in short slices of one run, at batch 1.

Both work on the same inputs in the same minutes: slice by slice of 0.2 s, so that drift of the machine hits both alike. A slice
in which the measured process had to wait for a processor is thrown away and repeated. ONNX Runtime is timed through `run` and
through bound inputs and outputs (`run_with_iobinding`), and the quicker of the two counts. Ingot is timed inside the artifact
(`bench --slices`). What the machine reaches at most (fused multiply-adds, reading memory) is measured in the same run.

  compare_speed.py                                  # mlp_iris mobilenet_v2 resnet50 bert_base_s128, 1 and 2 threads
  compare_speed.py resnet50 --threads 1 --slices 20 --markdown speed.md --json speed.json
"""
import argparse
import json
import os
import select
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import child_process
from benchmark_graphs import BenchmarkGraphs, default_folder, default_ingot
from machine_limits import MachineLimits
from required_packages import require
from tensor_files import write_inputs

np, ort = require("numpy", "onnxruntime")
NAMES = ["mlp_iris", "mobilenet_v2", "resnet50", "bert_base_s128"]


def waiting_seconds(process):
    """How long the threads of a process were runnable without running."""
    total = 0
    for thread in os.listdir("/proc/%d/task" % process):
        try:
            with open("/proc/%d/task/%s/schedstat" % (process, thread)) as file:
                total += int(file.read().split()[1])
        except OSError:
            pass
    return total / 1e9


def start_again_with_priority():
    """Runs this script anew, before other work of the machine (needs root), and ends with its status."""
    if os.fork():
        sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
    # Sessions compete as groups: a session of our own, whose group and processes both come first.
    os.setsid()
    try:
        with open("/proc/self/autogroup", "w") as file:
            file.write("-20")
        os.nice(-20)
    except OSError as error:
        print("priority unchanged: %s" % error, flush=True)
    os.execv(sys.executable, [sys.executable] + [word for word in sys.argv if word != "--boost"])


class IngotPeer:
    """An artifact that measures on request."""
    title = "Ingot"

    def __init__(self, ingot, model, inputs, threads, folder):
        artifact = os.path.join(folder, "artifact_%d" % threads)
        compiled = child_process.run([ingot, "compile", model, "-o", artifact, "--threads", str(threads)])
        if compiled.status != 0:
            raise RuntimeError("compile: " + compiled.complaint)
        self.compile_seconds = compiled.seconds
        command = [artifact, "bench", "--slices", "--threads", str(threads)] + write_inputs(inputs, os.path.join(folder, "inputs"))
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def slice(self, seconds):
        """(median, runs) of one slice."""
        self.process.stdin.write("%g\n" % seconds)
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], 120)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError("the artifact's bench ended" if ready else "the artifact's bench does not answer")
        result = json.loads(line)
        return result["median_seconds"], result["runs"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)


class OnnxRuntimePeer:
    """ONNX Runtime in this process."""
    title = "ONNX Runtime"

    def __init__(self, model, inputs, threads):
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 3
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        binding = session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        for name in names:
            binding.bind_output(name, "cpu")
        ways = {"run": lambda: session.run(names, inputs), "bound": lambda: session.run_with_iobinding(binding)}
        medians = {}
        for way, call in ways.items():
            self.call = call
            self.slice(0.2)
            medians[way] = min(self.slice(0.2)[0] for _ in range(3))
        self.way = min(medians, key=medians.get)
        self.call = ways[self.way]
        self.pid = os.getpid()

    def slice(self, seconds):
        for _ in range(2):
            self.call()
        times = []
        clock, call = time.perf_counter, self.call
        end = clock() + seconds
        while not times or clock() < end:
            start = clock()
            call()
            times.append(clock() - start)
        return statistics.median(times), len(times)

    def close(self):
        self.call = None


def quiet_slice(peer, seconds, threads, retries=6):
    """A slice in which the process hardly waited for a processor; the quietest of several otherwise. Returns (median, was quiet)."""
    quietest = None
    for _ in range(retries):
        time.sleep(0.03)  # The other peer's threads stop spinning.
        before, start = waiting_seconds(peer.pid), time.monotonic()
        median, _ = peer.slice(seconds)
        waited = (waiting_seconds(peer.pid) - before) / (time.monotonic() - start)
        if quietest is None or waited < quietest[0]:
            quietest = (waited, median)
        if waited <= 0.03 * threads:
            return median, True
        time.sleep(0.1)
    return quietest[1], False


def measure(peers, slices, seconds, threads):
    """Alternating slices; returns the slice medians and the number of disturbed slices of each peer."""
    medians, disturbed = [[] for _ in peers], [0] * len(peers)
    for peer in peers:
        peer.slice(0.5)
    for number in range(slices):
        # Each is first in every other round.
        order = range(len(peers)) if number % 2 == 0 else reversed(range(len(peers)))
        for position in order:
            median, quiet = quiet_slice(peers[position], seconds, threads)
            medians[position].append(median)
            disturbed[position] += not quiet
    return medians, disturbed


def shown(seconds):
    for scale, unit in ((1e3, "ms"), (1e6, "µs"), (1e9, "ns")):
        if seconds * scale >= 1 or unit == "ns":
            return "%.4g %s" % (seconds * scale, unit)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmark graphs (%s)" % " ".join(NAMES))
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--models", default=default_folder(), help="folder of materialize.py (%(default)s)")
    parser.add_argument("--threads", default="1,2", help="thread counts (%(default)s)")
    parser.add_argument("--slices", type=int, default=15, help="slices of each (%(default)s)")
    parser.add_argument("--slice-seconds", type=float, default=0.2, help="(%(default)s)")
    parser.add_argument("--limits", default=os.path.join(default_folder(), "..", "peers", "limits.c"), help="source that measures the machine (%(default)s)")
    parser.add_argument("--markdown", help="also write the table here")
    parser.add_argument("--json", help="also write everything here")
    parser.add_argument("--boost", action="store_true", help="raise the priority of what is timed (root), on a machine that does other work too")
    options = parser.parse_args()
    if options.boost:
        start_again_with_priority()
    graphs = BenchmarkGraphs(options.models)
    limits = MachineLimits.measure(options.limits)
    lines = limits.lines + ["", "| model | threads | Ingot | ONNX Runtime | ratio | Ingot's slices | ONNX Runtime's slices | GFLOP/s | of peak | disturbed |",
                            "|---|---:|---:|---:|---:|---|---|---:|---:|---:|"]
    print("\n".join(lines), flush=True)
    records, slower = [], []
    for name in options.names or NAMES:
        description, folder = graphs.description(name), tempfile.mkdtemp(prefix="ingot-speed-")
        try:
            model, _ = graphs.build(name, folder)
            inputs = graphs.inputs(name)
            for threads in map(int, options.threads.split(",")):
                try:
                    peers = [IngotPeer(options.ingot, model, inputs, threads, folder), OnnxRuntimePeer(model, inputs, threads)]
                    medians, disturbed = measure(peers, options.slices, options.slice_seconds, threads)
                    for peer in peers:
                        peer.close()
                except RuntimeError as error:
                    lines.append("| %s | %d | FAILED: %s |" % (name, threads, error))
                    print(lines[-1], flush=True)
                    slower.append("%s (%d)" % (name, threads))
                    continue
                mine, theirs = (statistics.median(values) for values in medians)
                speed = (description.get("gflop") or 0) / mine
                peak = limits.gflops(threads)
                if mine > theirs:
                    slower.append("%s (%d)" % (name, threads))
                records.append({
                    "model": name, "threads": threads, "ingot_seconds": mine, "onnxruntime_seconds": theirs, "ratio": theirs / mine, "ingot_slices": medians[0],
                    "onnxruntime_slices": medians[1], "onnxruntime_call": peers[1].way, "disturbed": disturbed, "gflops": speed, "compile_seconds": peers[0].compile_seconds})
                lines.append("| %s | %d | %s | %s | **%.2f** | %s .. %s | %s .. %s | %s | %s | %d, %d |" % (
                    name, threads, shown(mine), shown(theirs), theirs / mine, shown(min(medians[0])), shown(max(medians[0])), shown(min(medians[1])), shown(max(medians[1])),
                    "%.1f" % speed, "%.0f %%" % (100 * speed / peak) if peak else "-", *disturbed))
                print(lines[-1], flush=True)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    footer = ["", "Ratio: how many times faster Ingot is. ONNX Runtime %s; %d slices of %g s each, alternating; medians of slice medians." % (
        ort.__version__, options.slices, options.slice_seconds)]
    print("\n".join(footer))
    if options.markdown:
        with open(options.markdown, "w") as file:
            file.write("\n".join(lines + footer) + "\n")
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"limits": limits.values, "onnxruntime": ort.__version__, "records": records}, file, indent=1)
    if slower:
        sys.exit("slower than ONNX Runtime: " + ", ".join(slower))


if __name__ == "__main__":
    main()
