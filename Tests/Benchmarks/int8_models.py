#!/usr/bin/env python3
"""int8 in Ingot, ONNX Runtime and OpenVINO, beside Ingot's fp32: alternately in one run.

  int8_models.py --prepare FOLDER [MODEL[=QDQ]...]
  int8_models.py --prepare FOLDER resnet50=resnet50_qdq.onnx --threads 1,2

Each argument is a benchmark graph's name and, if there is one, a file with its quantized form (QDQ), which all three run. Without a
file it is made here, by onnxruntime.quantization. Beside that file each tool also runs what its own quantizer makes of the same four
random samples: NNCF for OpenVINO, `--quantize int8` for Ingot. Figures of the last run of each row are kept in --out: int8.json and
int8.md. The VNNI peak is measured in turn with the models.
"""
import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "Scripts"))

from alternation_options import AlternationOptions, half_spread
from int8_forms import nncf_form, onnxruntime_form, sample_folder
from int8_table import markdown, row_lines
from machine_limits import MachineLimits
from models import Catalogue, input_arguments
from remote_peer import PeerFailed, RemotePeer

SAMPLES = 4
DEFAULT_MODELS = ["mobilenet_v2", "resnet50", "minilm_l6_s128", "bert_base_s128"]


class Contest:
    """One model at one number of threads: its rows and the processes that are measured."""

    def __init__(self, options, model, threads):
        self.options, self.model, self.threads = options, model, threads
        self.log = os.path.join(options.prepare, "peers.log")
        self.rows, self.peers = {}, []

    def compiled(self, title, source, words):
        """The artifact of a file in Ingot."""
        artifact = os.path.join(self.options.prepare, "%s.%s.t%d" % (self.model.file_stem, title.replace(" ", "-").replace(",", ""), self.threads))
        command = [self.options.ingot, "compile", source, "-o", artifact, "--threads", str(self.threads), *words]
        for symbol, length in self.model.symbols.items():
            command += ["--dim", "%s=%d" % (symbol, length)]
        finished = subprocess.run(command, capture_output=True, text=True, timeout=900)
        if finished.returncode:
            raise PeerFailed(finished.stderr.strip()[:200])
        return artifact

    def add(self, title, command, files, seconds=240):
        """A row, measured by a process; it answers when it is ready, or at once if `seconds` is 0."""
        self.rows[title] = {"bytes": sum(os.path.getsize(file) for file in files)}
        peer = RemotePeer(title, command, self.log, {"OMP_NUM_THREADS": str(self.threads)})
        self.peers.append(peer)
        if seconds:
            peer.answer(seconds)

    def attempt(self, title, action):
        try:
            action()
        except (PeerFailed, OSError, ImportError, RuntimeError, subprocess.TimeoutExpired) as failure:
            self.rows.setdefault(title, {})["error"] = str(failure)
            for peer in [peer for peer in self.peers if peer.key == title]:
                peer.kill()
                self.peers.remove(peer)

    def enter(self, path, quantized, samples, arguments, limits_program):
        """Starts everything that takes part."""
        folder, stem, threads = os.path.join(self.options.prepare, "models"), self.model.file_stem, ["--threads", str(self.threads)]

        def ingot(title, source, words=()):
            artifact = self.compiled(title, source, words)
            self.add(title, [artifact, "bench", "--slices", *threads, *arguments], [artifact], 0)

        def worker(title, key, file, files):
            self.add(title, [sys.executable, os.path.join(HERE, "worker.py"), "load", key, file, *threads, *arguments], files)

        def nncf():
            file = nncf_form(path, samples, os.path.join(folder, stem + ".nncf.xml"))
            worker("OpenVINO, NNCF", "openvino", file, [file, file[:-4] + ".bin"])

        self.attempt("Ingot fp32", lambda: ingot("Ingot fp32", path))
        self.attempt("Ingot, QDQ file", lambda: ingot("Ingot, QDQ file", quantized))
        self.attempt("Ingot, own", lambda: ingot(
            "Ingot, own", path, ["--quantize", "int8", "--calibrate", sample_folder(samples, os.path.join(folder, "samples", stem))]))
        self.attempt("ONNX Runtime, QDQ file", lambda: worker("ONNX Runtime, QDQ file", "ort", quantized, [quantized]))
        self.attempt("OpenVINO, QDQ file", lambda: worker("OpenVINO, QDQ file", "openvino", quantized, [quantized]))
        self.attempt("OpenVINO, NNCF", nncf)
        if limits_program and self.model.gflop:
            self.attempt("VNNI peak", lambda: self.add("VNNI peak", [limits_program, "products", str(self.threads), "%d" % (self.model.gflop * 1e9)], [], 0))

    def measure(self):
        slices = AlternationOptions.slices(self.options, self.peers, self.threads)
        for peer in self.peers:
            self.rows[peer.key].update(slices[peer.key].record())
            peer.kill()
        for row in self.rows.values():
            row["half_spread"] = half_spread(row)
        return {"model": self.model.name, "batch": self.model.batch, "threads": self.threads, "gflop": self.model.gflop, "date": time.strftime("%Y-%m-%d", time.gmtime()),
                "rows": self.rows}


def measure(options, argument, limits_program):
    """A record for each number of threads."""
    name, _, quantized = argument.partition("=")
    model = Catalogue(options.models).model(name, options.batch)
    folder = os.path.join(options.prepare, "models")
    os.makedirs(folder, exist_ok=True)
    path, samples = model.file(folder), model.samples(SAMPLES)
    arguments, _ = input_arguments(model, folder)
    quantized = quantized or onnxruntime_form(path, samples, os.path.join(folder, model.file_stem + ".qdq.onnx"))
    for threads in options.threads:
        contest = Contest(options, model, threads)
        contest.enter(path, quantized, samples, arguments, limits_program)
        yield contest.measure()


def main():
    arguments = AlternationOptions(__doc__, "artifacts, quantized models and inputs", rounds=8, slice_seconds=0.25, seconds=40)
    arguments.parser.add_argument("names", nargs="*", default=DEFAULT_MODELS, metavar="MODEL[=QDQ]")
    arguments.parser.add_argument("--batch", type=int, default=1)
    arguments.parser.add_argument("--out", help="folder of int8.json and int8.md (Tests/Benchmarks/results holds those of the repository)")
    options = arguments.parse()
    limits_program, reason = MachineLimits.build(options.prepare)
    if reason:
        print("the VNNI peak is not measured: " + reason)
    record, cases = os.path.join(options.out or options.prepare, "int8.json"), []
    os.makedirs(os.path.dirname(os.path.abspath(record)), exist_ok=True)
    if os.path.exists(record):
        with open(record) as file:
            cases = json.load(file)
    identity, found = lambda case: (case["model"], case["batch"], case["threads"]), []
    for name in options.names:
        for case in measure(options, name, limits_program):
            print("\n" + "\n".join(row_lines(case)), flush=True)
            found.append(case)
            cases = [other for other in cases if identity(other) != identity(case)] + [case]
            with open(record, "w") as file:
                json.dump(cases, file, indent=1)
            with open(record[:-len("json")] + "md", "w") as file:
                file.write(markdown(sorted(cases, key=lambda case: (case["batch"], case["model"], case["threads"]))))
    AlternationOptions.save(options, found)


if __name__ == "__main__":
    main()
