#!/usr/bin/env python3
"""Accuracy, size and speed of real models in each precision, on data that the calibration has not seen.

  quantized_accuracy.py                                   # all models, all precisions
  quantized_accuracy.py --only mobilenet_v2 --precisions fp32,int8 -- --observer entropy --equalize

What stands behind `--` goes to every int8 compilation. Half of each data set (the even samples) is for calibration, the other half is measured:
  mobilenet_v2       top-1 on ImageNet photographs; the README states 108 of 125 for fp32
  mobilenet_v2_qat   the same of a QDQ model of another tool, all 125 photographs
  resnet8            top-1 on CIFAR-10
  minilm             cosine between the sentence embeddings of fp32 and of each precision, on sentences of SST-2
Exit status 1 if an int8 classifier has lost more than one sample in 125 against fp32, in proportion, or MiniLM's average cosine is below 0.95.
"""
import argparse
import csv
import json
import os
import sys
import tempfile
import unicodedata

import child_process
from benchmark_graphs import default_folder, default_ingot
from classify_imagenet import prepare
from required_packages import require

np = require("numpy")

PRECISIONS = {
    "fp32": [], "bf16": ["--precision", "bf16"], "int8": ["--quantize", "int8"], "dynamic-int8": ["--quantize", "dynamic-int8"],
    "weights-int8": ["--quantize", "weights-int8"], "weights-int4": ["--quantize", "weights-int4"],
}


class Photographs:
    """ImageNet samples for MobileNetV2; class 0 of the models is the background."""
    batch = "N"

    def __init__(self, data, limit, as_bytes=False):
        folder = os.path.join(data, "imagenet_sample")
        with open(os.path.join(folder, "labels.csv"), newline="") as file:
            rows = list(csv.DictReader(file))[:limit]
        self.samples = []
        for row in rows:
            image = prepare(os.path.join(folder, "images", row["file"]))
            if as_bytes:
                image = np.ascontiguousarray(np.rint(image * 128 + 128).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1))
            self.samples.append([image])
        self.labels = [int(row["class_index"]) + 1 for row in rows]


class Cifar:
    """Records of a label byte and three planes; the model takes 0..255, channels last."""
    batch = "unk__126"

    def __init__(self, data, limit):
        records = np.fromfile(os.path.join(data, "cifar10", "cifar10_test_500.bin"), np.uint8).reshape(-1, 3073)[:limit]
        self.samples = [[np.ascontiguousarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0)[None].astype(np.float32))] for record in records]
        self.labels = [int(record[0]) for record in records]


class Sentences:
    """Sentences as WordPiece tokens (lower-cased BERT)."""
    batch = "batch"
    labels = None

    def __init__(self, data, limit, vocabulary):
        with open(vocabulary, encoding="utf-8") as file:
            self.ids = {word.rstrip("\n"): number for number, word in enumerate(file)}
        with open(os.path.join(data, "text", "sst2_dev.tsv"), encoding="utf-8") as file:
            texts = [line.split("\t")[0] for line in file][:limit]
        self.samples = []
        for text in texts:
            tokens = np.array([[101] + self.tokens(text)[:126] + [102]], np.int64)
            self.samples.append([tokens, np.ones_like(tokens), np.zeros_like(tokens)])

    def tokens(self, text):
        found = []
        text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
        text = "".join(" %s " % c if unicodedata.category(c)[0] in "PS" else c for c in text)
        for word in text.split():
            start = 0
            while start < len(word):
                for end in range(len(word), start, -1):
                    piece = ("##" if start else "") + word[start:end]
                    if piece in self.ids:
                        found.append(self.ids[piece])
                        start = end
                        break
                else:
                    found.append(self.ids["[UNK]"])
                    break
        return found


class Case:
    def __init__(self, name, model, inputs, data, output, precisions, calibrates=True, options=()):
        self.name, self.model, self.inputs, self.data, self.output = name, model, inputs, data, output
        self.precisions, self.calibrates, self.options = precisions, calibrates, list(options)
        count = len(data.samples)
        self.learned = range(0, count, 2)
        self.measured = range(1, count, 2) if calibrates else range(count)

    def write(self, folder, positions):
        """A folder for each sample, with a file for each input."""
        for position in positions:
            place = os.path.join(folder, "%05d" % position)
            os.makedirs(place)
            for name, value in zip(self.inputs, self.data.samples[position]):
                np.save(os.path.join(place, name + ".npy"), value)
        return folder


def run_all(artifact, case, folder, scratch):
    """The watched output for every measured sample."""
    results = []
    for position in case.measured:
        place = os.path.join(folder, "%05d" % position)
        command = [artifact, "run", "--output", scratch]
        for name in case.inputs:
            command += ["--input", "%s=%s" % (name, os.path.join(place, name + ".npy"))]
        finished = child_process.run(command)
        if finished.status != 0:
            sys.exit("error: %s: %s" % (case.name, finished.complaint))
        results.append(np.load(os.path.join(scratch, case.output.replace("/", "_") + ".npy")))
    return results


def measure(case, precision, options, extra, folder):
    """One row: what was compiled, how good, how large, how fast."""
    artifact = os.path.join(folder, "artifact")
    report = os.path.join(folder, "report.json")
    command = [options.ingot, "compile", case.model, "-o", artifact, "--threads", "1"] + PRECISIONS[precision] + case.options
    if precision == "int8":
        command += ["--calibrate", os.path.join(folder, "learned")] + extra
    compiled = child_process.run(command)
    if compiled.status != 0:
        return None, compiled.complaint
    for line in compiled.output.strip().splitlines()[1:]:
        print("    " + line)
    results = run_all(artifact, case, os.path.join(folder, "measured"), os.path.join(folder, "results"))
    place = os.path.join(folder, "measured", "%05d" % case.measured[0])
    command = [artifact, "bench", "--seconds", str(options.seconds), "--json", report]
    for name in case.inputs:
        command += ["--input", "%s=%s" % (name, os.path.join(place, name + ".npy"))]
    bench = child_process.run(command)
    median = None
    if bench.status == 0 and os.path.exists(report):
        with open(report) as file:
            facts = json.load(file)
        median = facts.get("median_seconds") or facts.get("median")
    return (results, os.path.getsize(artifact), median), None


def main():
    arguments = sys.argv[1:]
    extra = arguments[arguments.index("--") + 1:] if "--" in arguments else []
    arguments = arguments[:arguments.index("--")] if "--" in arguments else arguments
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--models", default=os.path.join(default_folder(), "real"), help="folder of the real models")
    parser.add_argument("--data", default=os.path.join(default_folder(), "..", "data"))
    parser.add_argument("--only", help="names of models, with commas")
    parser.add_argument("--precisions", default=",".join(PRECISIONS), help="with commas (%(default)s)")
    parser.add_argument("--limit", type=int, default=200, help="samples of each data set (%(default)s)")
    parser.add_argument("--seconds", type=float, default=1, help="of each measurement (%(default)s)")
    parser.add_argument("--json", help="write all rows here")
    options = parser.parse_args(arguments)

    def model(name):
        return os.path.join(options.models, name, "model.onnx")

    everything = list(PRECISIONS)
    makers = {
        "mobilenet_v2": lambda: Case("mobilenet_v2", model("mobilenet_v2_fp32"), ["image"], Photographs(options.data, options.limit), "probabilities", everything,
                                     options=["--dim", "N=1"]),
        "mobilenet_v2_qat": lambda: Case("mobilenet_v2_qat", model("mobilenet_v2_qat_qdq"), ["input"], Photographs(options.data, options.limit, True),
                                         "MobilenetV2/Predictions/Softmax", ["fp32"], calibrates=False),
        "resnet8": lambda: Case("resnet8", model("resnet8_cifar10"), ["input_1"], Cifar(options.data, options.limit), "Identity", everything,
                                options=["--dim", "unk__126=1"]),
        "minilm": lambda: Case("minilm", model("minilm_l6_v2"), ["input_ids", "attention_mask", "token_type_ids"],
                               Sentences(options.data, min(options.limit, 128), os.path.join(options.models, "minilm_l6_v2", "vocab.txt")), "sentence_embedding",
                               everything, options=["--dim", "batch=1"]),
    }
    chosen = options.only.split(",") if options.only else list(makers)
    rows, failed = [], []
    for name in chosen:
        case = makers[name]()
        with tempfile.TemporaryDirectory(prefix="ingot-quantized-") as folder:
            case.write(os.path.join(folder, "measured"), case.measured)
            if case.calibrates:
                case.write(os.path.join(folder, "learned"), case.learned)
            exact = None
            print(name)
            for precision in [p for p in options.precisions.split(",") if p in case.precisions]:
                outcome, complaint = measure(case, precision, options, extra, folder)
                if outcome is None:
                    print("  %-13s %s" % (precision, complaint))
                    failed.append("%s %s: %s" % (name, precision, complaint))
                    continue
                results, size, median = outcome
                if precision == "fp32":
                    exact = results
                row = {"model": name, "precision": precision, "bytes": size, "median_seconds": median, "samples": len(results)}
                if case.data.labels:
                    row["correct"] = sum(int(np.argmax(result)) == case.data.labels[position] for result, position in zip(results, case.measured))
                    quality = "%d of %d right" % (row["correct"], len(results))
                elif exact is not None:
                    cosines = [float(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))) for a, b in zip(results, exact)]
                    row["cosine"], row["least_cosine"] = float(np.mean(cosines)), min(cosines)
                    quality = "cosine %.4f on average, %.4f at least" % (row["cosine"], row["least_cosine"])
                else:
                    quality = "not compared: fp32 was left out"
                rows.append(row)
                print("  %-13s %-44s %6.2f MB  %s" % (precision, quality, size / 1e6, "%.2f ms" % (median * 1e3) if median else "?"))
                if precision == "int8":
                    base = next((r for r in rows if r["model"] == name and r["precision"] == "fp32"), None)
                    if base and "correct" in row and base["correct"] - row["correct"] > max(1, len(results) / 125):
                        failed.append("%s int8: %d right, fp32 has %d" % (name, row["correct"], base["correct"]))
                    if row.get("cosine", 1) < 0.95:
                        failed.append("%s int8: cosine %.4f" % (name, row["cosine"]))
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)
    for line in failed:
        print("FAILED: " + line)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
