#!/usr/bin/env python3
"""What pruning gains and costs: speed, size on disk and accuracy of pruned models beside the dense ones.

- BERT-base (no trained weights needed: speed and size do not depend on them): linear layers 80 % block-sparse.
- MobileNetV2 on labelled ImageNet photographs: a part of the channels removed, as they are and with the remaining weights fitted to half of the
  photographs (every second one) in some forms of each; accuracy is counted on the other half, and on all.
- MiniLM on sentences of SST-2: attention heads and inner channels removed, and weights pruned in several patterns, with and without
  reconstruction on every second sentence; the cosine of the other sentences' embeddings with the dense model's is stated.

Compiled models take turns in being measured; medians of the slices are printed with their quartiles.

  pruned_models.py                       # all tables
  pruned_models.py --only mobilenet --sparsity 0.1,0.2,0.3,0.4
  pruned_models.py --only bert --threads 2
"""
import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile

import child_process
from benchmark_graphs import default_folder, default_ingot
from classify_imagenet import prepare
from labelled_data import Sentences
from required_packages import require
from served_artifact import ServedArtifact

np = require("numpy")


def compile_model(ingot, model, artifact, options, threads):
    done = child_process.run([ingot, "compile", model, "-o", artifact, "--threads", str(threads), "--report", artifact + ".json"] + options)
    if done.status != 0:
        sys.exit("error: compile %s: %s" % (" ".join(options), done.complaint))
    return done


def measure(artifacts, threads, rounds=8, seconds=0.4):
    """Milliseconds of every artifact, in slices that alternate."""
    workers = [
        subprocess.Popen([path, "bench", "--slices", "--threads", str(threads)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for path in artifacts
    ]
    times = [[] for _ in workers]
    for number in range(rounds + 1):
        for worker, found in zip(workers, times):
            worker.stdin.write("%g\n" % seconds)
            worker.stdin.flush()
            answer = json.loads(worker.stdout.readline())
            if number > 0:
                found.append(answer["median_seconds"] * 1e3)
    for worker in workers:
        worker.stdin.close()
        worker.wait()
    return times


def right_answers(artifact, data, rows):
    """For each photograph whether the best class is the right one."""
    found = []
    with ServedArtifact(artifact) as server:
        link = server.connection()
        for row in rows:
            picture = prepare(os.path.join(data, "images", row["file"]))
            body = json.dumps({"inputs": [{"name": "image", "datatype": "FP32", "shape": list(picture.shape), "data": picture.ravel().tolist()}]})
            status, reply = server.request("POST", "/v2/models/%s/infer" % server.name, body, link)
            if status != 200:
                sys.exit("error: %s: HTTP %d: %s" % (row["file"], status, reply))
            # Class 0 is "background".
            found.append(int(np.argmax(np.asarray(reply["outputs"][0]["data"]))) - 1 == int(row["class_index"]))
        link.close()
    return found


def table(title, names, artifacts, threads, accuracy=None):
    times = measure(artifacts, threads)
    base = statistics.median(times[0])
    print("\n%s, %d thread%s" % (title, threads, "" if threads == 1 else "s"))
    print("%-44s %10s %17s %8s %10s%s" % ("", "ms", "quartiles", "speed", "MB", "   top-1 held out, all" if accuracy else ""))
    for number, (name, artifact, found) in enumerate(zip(names, artifacts, times)):
        low, middle, high = statistics.quantiles(found, n=4)
        line = "%-44s %10.2f %8.2f-%-8.2f %7.2fx %10.1f" % (name, middle, low, high, base / middle, os.path.getsize(artifact) / 1e6)
        print(line + ("   " + accuracy[number] if accuracy else ""))


def bert(options, folder):
    variants = [
        ("dense fp32", []),
        ("80 % in blocks of 1x16", ["--prune", "blocks", "--sparsity", "0.8"]),
        ("80 % in blocks of 4x16", ["--prune", "blocks", "--sparsity", "0.8", "--pattern", "4x16"]),
        ("80 % in blocks of 1x16, dense kernels", ["--prune", "blocks", "--sparsity", "0.8", "--disable", "sparse-products"]),
        ("2:4 for each 16 columns", ["--prune", "n:m", "--pattern", "2:4x16"]),
    ]
    artifacts = []
    for number, (_, extra) in enumerate(variants):
        artifacts.append(os.path.join(folder, "bert%d" % number))
        compile_model(options.ingot, options.bert, artifacts[-1], extra, options.threads)
        report = json.load(open(artifacts[-1] + ".json"))
        if report.get("pruning"):
            layers = report["pruning"]["layers"]
            sparse = sum((layer["kernel"] or "").startswith("sparse") for layer in layers)
            print("%s: %d layers pruned, %d with a sparse kernel; the first: %s" % (variants[number][0], len(layers), sparse, layers[0]["kernel"]))
    table("BERT-base, sequence 128", [name for name, _ in variants], artifacts, options.threads)


def mobilenet(options, folder):
    with open(os.path.join(options.data, "labels.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    samples = os.path.join(folder, "samples")
    os.mkdir(samples)
    for row in rows[::2]:
        np.save(os.path.join(samples, os.path.splitext(row["file"])[0] + ".npy"), prepare(os.path.join(options.data, "images", row["file"])))
    fit = ["--reconstruct", "--calibrate", samples]
    variants = [("dense fp32", [])]
    for part in options.sparsity.split(","):
        prune = ["--prune", "channels", "--sparsity", part]
        name = "%g %% of channels" % (float(part) * 100)
        variants.append((name, prune))
        if not options.brief:
            variants.append((name + ", the same of each layer, fitted", prune + ["--prune-budget", "layer"] + fit))
            variants.append((name + ", by measured error, fitted", prune + fit))
        variants.append((name + ", fitted, %d forms of each picture" % options.augment, prune + fit + ["--augment", str(options.augment)]))
    artifacts, accuracy = [], []
    for number, (name, extra) in enumerate(variants):
        artifacts.append(os.path.join(folder, "mobilenet%d" % number))
        done = compile_model(options.ingot, options.mobilenet, artifacts[-1], extra, options.threads)
        print("%s: compiled in %.1f s" % (name, done.seconds))
        right = right_answers(artifacts[-1], options.data, rows)
        accuracy.append("%d of %d, %d of %d" % (sum(right[1::2]), len(right[1::2]), sum(right), len(right)))
    table("MobileNetV2 224x224", [name for name, _ in variants], artifacts, options.threads, accuracy)


def embeddings(artifact, inputs, data, positions):
    """Of each sentence."""
    found = []
    with ServedArtifact(artifact, ["--threads", "1"]) as server:
        link = server.connection()
        for position in positions:
            shape, content = server.infer(dict(zip(inputs, data.samples[position])), ["sentence_embedding"], link)["sentence_embedding"]
            found.append(np.frombuffer(content, np.float32).reshape(shape).astype(np.float64))
        link.close()
    return found


def minilm(options, folder):
    model = os.path.join(default_folder(), "real", "minilm_l6_v2")
    data = Sentences(os.path.join(default_folder(), "..", "data"), os.path.join(model, "vocab.txt"), options.sentences)
    inputs, learned = ["input_ids", "attention_mask", "token_type_ids"], os.path.join(folder, "learned")
    for position in range(0, len(data.samples), 2):
        place = os.path.join(learned, "%05d" % position)
        os.makedirs(place)
        for name, value in zip(inputs, data.samples[position]):
            np.save(os.path.join(place, name + ".npy"), value)
    measured = range(1, len(data.samples), 2)
    variants = [
        ("25 % of heads and channels", ["--prune", "channels", "--sparsity", "0.25"]),
        ("magnitude, 50 %", ["--prune", "magnitude", "--sparsity", "0.5"]),
        ("2:4", ["--prune", "n:m", "--pattern", "2:4"]),
        ("2:4 for each 16 columns", ["--prune", "n:m", "--pattern", "2:4x16"]),
        ("50 % in blocks of 1x16", ["--prune", "blocks", "--sparsity", "0.5"]),
        ("80 % in blocks of 1x16", ["--prune", "blocks", "--sparsity", "0.8"]),
    ]
    print("\nMiniLM, cosine with the dense model's embeddings of %d sentences" % len(measured))
    print("%-34s %18s %18s %8s" % ("", "as left: mean, min", "fitted: mean, min", "MB"))
    artifact = os.path.join(folder, "minilm")
    compile_model(options.ingot, os.path.join(model, "model.onnx"), artifact, ["--dim", "batch=1"], options.threads)
    dense = embeddings(artifact, inputs, data, measured)
    for name, prune in variants:
        cells = []
        for fit in ([], ["--reconstruct", "--calibrate", learned]):
            compile_model(options.ingot, os.path.join(model, "model.onnx"), artifact, ["--dim", "batch=1"] + prune + fit, options.threads)
            found = embeddings(artifact, inputs, data, measured)
            cosines = [float(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b))) for a, b in zip(found, dense)]
            cells.append("%.4f, %.4f" % (np.mean(cosines), min(cosines)))
        print("%-34s %18s %18s %8.1f" % (name, cells[0], cells[1], os.path.getsize(artifact) / 1e6), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--bert", default="/tmp/models/bert_base_s128.onnx", help="BERT-base with a sequence of 128 (%(default)s)")
    parser.add_argument("--mobilenet", default=os.path.join(default_folder(), "real", "mobilenet_v2_fp32", "model.onnx"))
    parser.add_argument("--data", default=os.path.join(default_folder(), "..", "data", "imagenet_sample"), help="folder of labels.csv and images/")
    parser.add_argument("--sparsity", default="0.3", help="of MobileNetV2's channels, with commas (%(default)s)")
    parser.add_argument("--augment", type=int, default=4, help="forms of each photograph (%(default)s)")
    parser.add_argument("--brief", action="store_true", help="only the plain and the best way of removing channels")
    parser.add_argument("--sentences", type=int, default=128, help="of SST-2, half of them to learn from (%(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=("bert", "mobilenet", "minilm"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ingot-pruned-") as folder:
        for table in (bert, mobilenet, minilm):
            if options.only in (None, table.__name__):
                table(options, folder)


if __name__ == "__main__":
    main()
