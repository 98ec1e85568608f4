#!/usr/bin/env python3
"""Accuracy, size and speed of real models in each precision, on data that the calibration has not seen.

  quantized_accuracy.py                                    # all models, all precisions
  quantized_accuracy.py --markdown results/quantization.md # and the table
  quantized_accuracy.py --only mobilenet_v2 --precisions fp32,int8 --variant "entropy=--quantize int8 --observer entropy"

What needs samples is compiled twice: from the even samples, judged on the odd ones, and the other way round. So every sample is
judged, and none by a model that learned from it. The rest is compiled once and judged on all.
  mobilenet_v2       top-1 on 125 ImageNet photographs; the README of the models states 108 for fp32
  mobilenet_v2_qat   the same of a QDQ model of another tool
  resnet8            top-1 on 500 pictures of CIFAR-10
  minilm             cosine between the sentence embeddings of fp32 and of each precision, and the sentiment of SST-2's sentences by
                     the nearer of two averages: those of fp32's embeddings of the other half's sentences
Artifacts are served while they are judged. Times are medians of short measurements in turns, one thread; +- is half of their spread.
Exit status 1 if an int8 classifier has lost more than one sample in 125 against fp32, in proportion, or MiniLM's average cosine is below 0.98.
"""
import argparse
import csv
import json
import os
import shlex
import statistics
import sys
import tempfile
import time

import child_process
from benchmark_graphs import default_folder, default_ingot
from labelled_data import Cifar, Photographs, Sentences
from required_packages import require
from served_artifact import ServedArtifact

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "Benchmarks"))

from alternation import Alternation
from remote_peer import RemotePeer

np = require("numpy")

PRECISIONS = {
    "fp32": [], "bf16": ["--precision", "bf16"], "int8": ["--quantize", "int8"], "dynamic-int8": ["--quantize", "dynamic-int8"],
    "weights-int8": ["--quantize", "weights-int8"], "weights-int4": ["--quantize", "weights-int4"],
}


def learns(words):
    """True if a compilation needs samples."""
    return "int8" in words or "--reconstruct" in words


class Case:
    """A model with labelled samples. `output` is what is judged; `timed` is the sample that times are taken with."""

    def __init__(self, name, title, model, inputs, data, output, options=(), is_quantized=False, is_embedding=False):
        self.name, self.title, self.model, self.inputs, self.data, self.output = name, title, model, inputs, data, output
        self.options, self.is_quantized, self.is_embedding = list(options), is_quantized, is_embedding
        sizes = sorted((sample[0].size, position) for position, sample in enumerate(data.samples))
        self.timed = sizes[len(sizes) // 2][1]
        self.halves = [range(0, len(data.samples), 2), range(1, len(data.samples), 2)]

    def write(self, folder):
        """A folder for each sample with a file for each input, by halves, and the classes of the samples."""
        for half, positions in enumerate(self.halves):
            for position in positions:
                place = os.path.join(folder, "half%d" % half, "%05d" % position)
                os.makedirs(place)
                for name, value in zip(self.inputs, self.data.samples[position]):
                    np.save(os.path.join(place, name + ".npy"), value)
        with open(os.path.join(folder, "labels.csv"), "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["file", "class_index"])
            table.writerows(("%05d" % position, label) for position, label in enumerate(self.data.labels))

    def sentiment(self, results, exact):
        """Sentences whose embedding is nearer to the right average; both averages are of the other half, in fp32."""
        right = 0
        for half, positions in enumerate(self.halves):
            other = self.halves[1 - half]
            averages = [np.mean([exact[p] for p in other if self.data.labels[p] == label], axis=0).ravel() for label in (0, 1)]
            averages = [average / np.linalg.norm(average) for average in averages]
            right += sum(int(np.argmax([average @ results[p].ravel() for average in averages])) == self.data.labels[p] for p in positions)
        return right


class Judge:
    """Compiles a case in each precision and judges it."""

    def __init__(self, case, options, extra, folder):
        self.case, self.options, self.extra, self.folder = case, options, extra, folder
        self.rows, self.artifacts, self.failures, self.exact = {}, {}, [], None
        case.write(folder)

    def compile(self, words, half, artifact):
        case = self.case
        command = [self.options.ingot, "compile", case.model, "-o", artifact, "--threads", "1", *case.options, *words]
        if learns(words):
            command += ["--calibrate", os.path.join(self.folder, "half%d" % half)] + (self.extra if "int8" in words else [])
            if "--max-accuracy-drop" in words + self.extra:
                command += ["--calibration-labels", os.path.join(self.folder, "labels.csv")]
        return child_process.run(command)

    def results(self, artifact, positions):
        found = {}
        with ServedArtifact(artifact, ["--threads", "1"]) as server:
            link = server.connection()
            for position in positions:
                shape, content = server.infer(dict(zip(self.case.inputs, self.case.data.samples[position])), [self.case.output], link)[self.case.output]
                found[position] = np.frombuffer(content, np.uint8 if len(content) == np.prod(shape) else np.float32).reshape(shape).astype(np.float32)
            link.close()
        return found

    def judge(self, name, words):
        """One row: how good, how large."""
        case, results, seconds, self.artifacts[name] = self.case, {}, [], os.path.join(self.folder, name + ".0")
        for half, positions in enumerate(case.halves if learns(words) else [range(len(case.data.samples))]):
            artifact = os.path.join(self.folder, "%s.%d" % (name, half))
            compiled = self.compile(words, half, artifact)
            if compiled.status != 0:
                print("  %-13s %s" % (name, compiled.complaint), flush=True)
                self.failures.append("%s %s: %s" % (case.name, name, compiled.complaint))
                del self.artifacts[name]
                return
            seconds.append(compiled.seconds)
            for line in compiled.output.strip().splitlines()[1:]:
                print("      " + line)
            results.update(self.results(artifact, case.halves[1 - half] if learns(words) else positions))
        if name == "fp32" or self.exact is None and case.is_quantized:
            self.exact = results
        row = {"model": case.name, "precision": name, "options": " ".join(words), "bytes": os.path.getsize(self.artifacts[name]), "samples": len(results), "compile_seconds": max(seconds)}
        if case.is_embedding:
            if self.exact:
                row["correct"] = case.sentiment(results, self.exact)
        else:
            row["correct"] = sum(int(np.argmax(results[p])) == case.data.labels[p] for p in results)
        if self.exact:
            self.compare(row, results)
        self.rows[name] = row
        print("  %-13s %-58s %6.2f MB  compiled in %.1f s" % (name, self.quality(row), row["bytes"] / 1e6, row["compile_seconds"]), flush=True)

    def compare(self, row, results):
        """How near results are to fp32's."""
        pairs = [(results[p].ravel().astype(np.float64), self.exact[p].ravel().astype(np.float64)) for p in results]
        cosines = [float(a @ b / np.sqrt((a @ a) * (b @ b))) for a, b in pairs]
        row["cosine"], row["least_cosine"] = float(np.mean(cosines)), min(cosines)
        noise = sum(float((a - b) @ (a - b)) for a, b in pairs)
        row["decibels"] = 10 * float(np.log10(sum(float(b @ b) for _, b in pairs) / noise)) if noise > 0 else None
        row["agreeing"] = sum(int(np.argmax(a)) == int(np.argmax(b)) for a, b in pairs)

    def quality(self, row):
        text = "%d of %d right" % (row["correct"], row["samples"]) if "correct" in row else "not compared: fp32 was left out"
        if row.get("decibels") is None:
            return text
        nearness = "cosine %.4f (least %.4f)" % (row["cosine"], row["least_cosine"]) if self.case.is_embedding else "%d as fp32" % row["agreeing"]
        return "%s, %s, %.1f dB" % (text, nearness, row["decibels"])

    def time(self):
        """Puts times into the rows, measured in turns."""
        arguments = []
        for name, value in zip(self.case.inputs, self.case.data.samples[self.case.timed]):
            path = os.path.join(self.folder, name + ".npy")
            np.save(path, value)
            arguments += ["--input", "%s=%s" % (name, path)]
        log = os.path.join(self.folder, "log")
        peers = [RemotePeer(name, [artifact, "bench", "--slices", "--threads", "1", *arguments], log) for name, artifact in self.artifacts.items()]
        measured = Alternation(slice_seconds=self.options.slice, rounds=self.options.rounds, seconds=60, boost=self.options.boost).measure(peers, 1)
        for peer in peers:
            record = measured[peer.key].record()
            if "seconds" in record:
                medians = record["slice_medians"]
                self.rows[peer.key].update(
                    seconds=record["seconds"], fastest_seconds=record["fastest_seconds"], spread=(max(medians) - min(medians)) / 2 / statistics.median(medians), slices=medians)
                print("  %-13s %8.3f ms +- %2.0f %%" % (peer.key, record["seconds"] * 1e3, 100 * self.rows[peer.key]["spread"]), flush=True)
            else:
                self.failures.append("%s %s: %s" % (self.case.name, peer.key, record["error"]))
            peer.kill()

    def check(self):
        """Complaints about int8 that is too far from fp32."""
        base, row = self.rows.get("fp32"), self.rows.get("int8")
        if base and row and not self.case.is_embedding and base["correct"] - row["correct"] > max(1, row["samples"] / 125):
            self.failures.append("%s int8: %d right, fp32 has %d" % (self.case.name, row["correct"], base["correct"]))
        if self.case.is_embedding and row and row.get("cosine", 1) < 0.98:
            self.failures.append("%s int8: cosine %.4f" % (self.case.name, row["cosine"]))
        return self.failures


def markdown(judges, command):
    """The table of all models."""
    lines = ["# Accuracy, size and speed of each precision", "", "`%s`, %s; one thread." % (command, time.strftime("%Y-%m-%d", time.gmtime())),
             "What learns from samples is compiled from one half of them and judged on the other, both ways round; the time is the median of short measurements in turns.", ""]
    lines += ["| model | precision | right | same class as fp32 | cosine with fp32 (least) | size | time | against fp32 |", "|---|---|---:|---:|---:|---:|---:|---:|"]
    for judge in judges:
        base = judge.rows.get("fp32", {}).get("seconds")
        for name, row in judge.rows.items():
            is_base = name == "fp32" or judge.case.is_quantized
            same = "" if is_base or judge.case.is_embedding else str(row.get("agreeing", ""))
            cosine = "" if is_base or "cosine" not in row else "%.4f (%.4f)" % (row["cosine"], row["least_cosine"])
            taken = "%.3f ms ± %.0f %%" % (row["seconds"] * 1e3, row["spread"] * 100) if "seconds" in row else ""
            factor = "%.2fx" % (base / row["seconds"]) if base and "seconds" in row else ""
            right = "%d of %d" % (row["correct"], row["samples"]) if "correct" in row else ""
            lines.append("| %s | %s | %s | %s | %s | %.2f MB | %s | %s |" % (judge.case.title, name, right, same, cosine, row["bytes"] / 1e6, taken, factor))
    return "\n".join(lines) + "\n"


def cases(options):
    def model(name):
        return os.path.join(options.models, name, "model.onnx")

    return {
        "mobilenet_v2": lambda: Case(
            "mobilenet_v2", "MobileNetV2", model("mobilenet_v2_fp32"), ["image"], Photographs(options.data, options.limit), "probabilities", ["--dim", "N=1"]),
        "mobilenet_v2_qat": lambda: Case(
            "mobilenet_v2_qat", "MobileNetV2 QAT", model("mobilenet_v2_qat_qdq"), ["input"], Photographs(options.data, options.limit, True), "MobilenetV2/Predictions/Softmax",
            is_quantized=True),
        "resnet8": lambda: Case(
            "resnet8", "ResNet-8", model("resnet8_cifar10"), ["input_1"], Cifar(options.data, options.limit), "Identity", ["--dim", "unk__126=1"]),
        "minilm": lambda: Case(
            "minilm", "MiniLM", model("minilm_l6_v2"), ["input_ids", "attention_mask", "token_type_ids"],
            Sentences(options.data, os.path.join(options.models, "minilm_l6_v2", "vocab.txt"), options.limit or 400), "sentence_embedding", ["--dim", "batch=1"], is_embedding=True),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments = sys.argv[1:]
    split = arguments.index("--") if "--" in arguments else len(arguments)
    arguments, extra = arguments[:split], arguments[split + 1:]
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--models", default=os.path.join(default_folder(), "real"), help="folder of the real models")
    parser.add_argument("--data", default=os.path.join(default_folder(), "..", "data"), help="folder of photographs and texts")
    parser.add_argument("--only", help="models, by comma: mobilenet_v2, mobilenet_v2_qat, resnet8, minilm")
    parser.add_argument("--precisions", default=",".join(PRECISIONS), help="by comma (%(default)s)")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=OPTIONS", help="a precision of your own; may be repeated")
    parser.add_argument("--limit", type=int, help="samples of each data set (all; 400 sentences)")
    parser.add_argument("--rounds", type=int, default=7, help="of the measurement of time; 0 leaves it out (%(default)s)")
    parser.add_argument("--slice", type=float, default=0.2, help="seconds of each (%(default)s)")
    parser.add_argument("--boost", choices=["fifo", "nice"], help="measure before other work of the machine (needs root)")
    parser.add_argument("--json", help="write all rows here")
    parser.add_argument("--markdown", help="write the table here")
    options = parser.parse_args(arguments)
    wanted = {name: PRECISIONS[name] for name in options.precisions.split(",") if name}
    for variant in options.variant:
        name, _, words = variant.partition("=")
        wanted[name] = shlex.split(words)
    makers = cases(options)
    judges, failed = [], []
    for name in options.only.split(",") if options.only else makers:
        case = makers[name]()
        print("%s, %d samples" % (case.title, len(case.data.samples)), flush=True)
        with tempfile.TemporaryDirectory(prefix="ingot-quantized-") as folder:
            judge = Judge(case, options, extra, folder)
            for precision, words in {"int8": []}.items() if case.is_quantized else wanted.items():
                judge.judge(precision, words)
            if options.rounds > 0:
                judge.time()
            failed += judge.check()
            judges.append(judge)
    if options.json:
        with open(options.json, "w") as file:
            json.dump([row for judge in judges for row in judge.rows.values()], file, indent=1)
    if options.markdown:
        with open(options.markdown, "w") as file:
            places = ("--ingot", "--models", "--data", "--json", "--markdown")
            words = [word for number, word in enumerate(sys.argv) if number > 0 and word not in places and sys.argv[number - 1] not in places]
            file.write(markdown(judges, shlex.join(["Tests/Scripts/quantized_accuracy.py"] + words)))
    for line in failed:
        print("FAILED: " + line)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
