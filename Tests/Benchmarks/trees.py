#!/usr/bin/env python3
"""Measures decision trees: Ingot, ONNX Runtime, treelite (tl2cgen's C code compiled with gcc -O3, and GTIL), at batch 1 and 1000.

All are timed in slices that take turns, all but GTIL in one process that calls their C libraries (tree_speed.c); GTIL is a Python package.
A batch of 1 takes another row for each call. Models: the tree models of ../shared/models/real, and larger ones trained here on random data.

  trees.py                                # everything; the first run trains and compiles for minutes
  trees.py wine_xgboost --threads 1       # some
  chrt -f 20 trees.py --rounds 5          # before other work of the machine (root)
"""
import argparse
import ctypes
import glob
import json
import os
import re
import statistics
import subprocess
import sys
import time
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "Scripts"))

from benchmark_graphs import default_ingot
from onnxruntime_reference import Reference, ort
from required_packages import require
from treelite_models import build, compile_with_gcc, feature_count, without_maps

np = require("numpy")
onnx = require("onnx")
ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))
REAL = ["digits_random_forest", "wine_xgboost", "iris_random_forest_zipmap", "diabetes_xgboost"]
TITLES = {"ingot": "Ingot", "onnxruntime": "ONNX Runtime", "treelite": "treelite (C, gcc -O3)", "gtil": "treelite GTIL"}
ROWS = 1000


def training_data(rows, columns, seed):
    random = np.random.default_rng(seed)
    x = random.standard_normal((rows, columns)).astype(np.float32)
    return x, (x[:, :8] ** 2).sum(1) + x[:, 8] * x[:, 9] - 2 * np.abs(x[:, 10]) + random.standard_normal(rows)


def train(name):
    """One of the larger models: the ONNX model and its training rows."""
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    from skl2onnx import to_onnx
    if name == "xgboost_500x8":
        import xgboost
        x, y = training_data(10000, 50, 1)
        return convert_xgboost(xgboost.XGBRegressor(n_estimators=500, max_depth=8, learning_rate=0.05, n_jobs=2).fit(x, y), initial_types=[("x", FloatTensorType([None, 50]))], target_opset=15), x
    if name == "lightgbm_300x63":
        import lightgbm
        x, y = training_data(20000, 50, 2)
        return convert_lightgbm(lightgbm.LGBMRegressor(n_estimators=300, num_leaves=63, n_jobs=2, verbose=-1).fit(x, y), initial_types=[("x", FloatTensorType([None, 50]))], target_opset=15), x
    if name == "xgboost_classes_100x4":
        import xgboost
        x, y = training_data(8000, 30, 3)
        return convert_xgboost(xgboost.XGBClassifier(n_estimators=100, max_depth=4, n_jobs=2).fit(x, np.digitize(y, [4, 6, 8, 10])), initial_types=[("x", FloatTensorType([None, 30]))], target_opset=15), x
    from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
    if name == "gradient_boosting_200x3":
        x, y = training_data(5000, 20, 4)
        return to_onnx(GradientBoostingRegressor(n_estimators=200, max_depth=3).fit(x, y), x[:1], target_opset={"": 15, "ai.onnx.ml": 3}), x
    if name == "random_forest_200_deep":
        x, y = training_data(3000, 40, 5)
        model = RandomForestClassifier(200, n_jobs=2, random_state=1).fit(x, np.digitize(y, [5, 7, 9]))
        return to_onnx(model, x[:1], options={"zipmap": False}, target_opset={"": 15, "ai.onnx.ml": 3}), x
    raise KeyError(name)


LARGER = ["gradient_boosting_200x3", "xgboost_classes_100x4", "lightgbm_300x63", "xgboost_500x8", "random_forest_200_deep"]


class Model:
    """One model in every peer's form, made once and kept."""

    def __init__(self, name, options):
        self.name, folder = name, os.path.join(options.prepare, name)
        os.makedirs(folder, exist_ok=True)
        self.path, rows = os.path.join(folder, "model.onnx"), os.path.join(folder, "rows.npy")
        if not os.path.exists(self.path) or not os.path.exists(rows):
            if name in LARGER:
                model, x = train(name)
            else:
                source = glob.glob(os.path.join(options.real, name, "*.onnx"))[0]
                model = without_maps(onnx.load(source))
                first = model.graph.input[0].type.tensor_type.shape.dim[0]
                first.ClearField("dim_value")
                first.dim_param = "N"
                for output in model.graph.output:
                    if output.type.tensor_type.shape.dim:
                        output.type.tensor_type.shape.dim[0].ClearField("dim_value")
                        output.type.tensor_type.shape.dim[0].dim_param = "N"
                x = real_rows(name, model)
            np.save(rows, np.ascontiguousarray(np.resize(x, (ROWS, x.shape[1])), np.float32))
            onnx.save(model, self.path)
        self.rows, self.raw = np.load(rows), os.path.join(folder, "rows.f32")
        self.rows.tofile(self.raw)
        self.onnx = onnx.load(self.path)
        self.input = self.onnx.graph.input[0].name
        self.ingot = os.path.join(folder, "ingot.so")
        subprocess.run([options.ingot, "compile", self.path, "-o", self.ingot, "--emit", "so"], check=True, stdout=subprocess.DEVNULL)
        with open(os.path.join(folder, "ingot.h")) as header:
            self.prefix = re.search(r"int32_t (\w+)_run\(", header.read()).group(1)
        self.treelite = build(self.onnx)
        self.library = compile_with_gcc(self.treelite, os.path.join(folder, "treelite.so"), 8 if name in LARGER else 0) if "treelite" in options.peers else "-"
        self.nodes = next(len(a.ints) for node in self.onnx.graph.node for a in node.attribute if a.name == "nodes_treeids")
        self.trees = next(len(set(a.ints)) for node in self.onnx.graph.node for a in node.attribute if a.name == "nodes_treeids")

    def largest_difference(self):
        """How far Ingot is from ONNX Runtime on all rows, and how many labels differ."""
        want = Reference(self.path).run({self.input: self.rows})
        library = ctypes.CDLL(self.ingot)
        count = (ctypes.c_int64 * 1)(ROWS)
        size = getattr(library, self.prefix + "_arena_bytes")
        size.restype = ctypes.c_int64
        arena = ctypes.create_string_buffer(size(count) + 128)
        got = [np.zeros_like(value) for value in want.values()]
        pointers = lambda arrays: (ctypes.c_void_p * len(arrays))(*[array.ctypes.data for array in arrays])
        aligned = (ctypes.addressof(arena) + 63) // 64 * 64
        status = getattr(library, self.prefix + "_run")(pointers([self.rows]), pointers(got), count, ctypes.c_void_p(aligned))
        if status:
            raise RuntimeError("Ingot's library returned %d" % status)
        worst, labels = 0.0, 0
        for a, b in zip(got, want.values()):
            if b.dtype == np.int64:
                labels += int((a != b).sum())
            else:
                worst = max(worst, float(np.max(np.abs(a - b))))
        return worst, labels


def real_rows(name, model):
    """Rows for a real model: those of the data set it was trained on where scikit-learn has it."""
    from sklearn import datasets
    loaders = {"digits": datasets.load_digits, "wine": datasets.load_wine, "iris": datasets.load_iris, "diabetes": datasets.load_diabetes}
    x = loaders[name.split("_")[0]]().data.astype(np.float32)
    assert x.shape[1] == feature_count(model)
    return x[np.random.default_rng(0).permutation(len(x))]


class Speeds:
    """Peers of one model in one process, slice by slice."""

    def __init__(self, model, threads, program, runtime):
        self.model, self.threads = model, threads
        self.process = subprocess.Popen(
            [program, model.raw, str(ROWS), str(model.rows.shape[1]), str(threads), runtime, model.path, model.input, model.library, model.ingot, model.prefix],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def slice(self, peer, batch, seconds):
        """Seconds of one call."""
        if peer == "gtil":
            return self.gtil(batch, seconds)
        self.process.stdin.write("%s %d %g\n" % (peer, batch, seconds))
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError("the measuring program ended")
        return float(answer)

    def gtil(self, batch, seconds):
        import treelite
        rows, calls = self.model.rows[:batch], 0
        treelite.gtil.predict(self.model.treelite, rows, nthread=self.threads)
        start = time.perf_counter()
        while time.perf_counter() - start < seconds:
            first = calls % ROWS if batch == 1 else 0
            treelite.gtil.predict(self.model.treelite, self.model.rows[first:first + batch], nthread=self.threads)
            calls += 1
        return (time.perf_counter() - start) / calls

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def shown(seconds):
    for unit, scale in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if seconds * scale >= 1:
            return "%.3g %s" % (seconds * scale, unit)
    return "%.3g ns" % (seconds * 1e9)


def table(cases, peers):
    lines = ["| model | trees | nodes | batch | threads | " + " | ".join(TITLES[peer] for peer in peers) + " | ahead of ONNX Runtime | ahead of treelite |", "|" + "---|" * (7 + len(peers))]
    for case in cases:
        times = case["peers"]
        cells = ["%s ±%.0f%%" % (shown(times[peer]["seconds"]), 100 * times[peer]["spread"]) if peer in times else "-" for peer in peers]
        best = min((times[peer]["seconds"] for peer in ("treelite", "gtil") if peer in times), default=None)
        ratio = lambda seconds: "%.1fx" % (seconds / times["ingot"]["seconds"]) if seconds else "-"
        lines.append("| %s | %d | %d | %d | %d | %s | %s | %s |" % (
            case["model"], case["trees"], case["nodes"], case["batch"], case["threads"], " | ".join(cells), ratio(times.get("onnxruntime", {}).get("seconds")), ratio(best)))
    return "\n".join(lines) + "\n"


def spread(values):
    if len(values) < 4:
        return (max(values) - min(values)) / statistics.median(values)
    quarters = statistics.quantiles(values, n=4)
    return (quarters[2] - quarters[0]) / statistics.median(values)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="MODEL", help="of %s (all)" % ", ".join(REAL + LARGER))
    parser.add_argument("--peers", default="ingot,onnxruntime,treelite,gtil")
    parser.add_argument("--batches", default="1,1000")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=7, help="slices of each (%(default)s)")
    parser.add_argument("--slice-seconds", type=float, default=0.04, help="(%(default)s)")
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--real", default="/work/shared/models/real", help="folder of the real models (%(default)s)")
    parser.add_argument("--prepare", default=os.path.join(ROOT, ".build", "benchmarks", "trees"), help="keeps what is made for the peers (%(default)s)")
    parser.add_argument("--out", default=os.path.join(ROOT, ".build", "benchmarks", "results"), help="gets trees.json and trees.md (%(default)s)")
    parser.add_argument("--prepare-only", action="store_true", help="make models and peers' files, and end")
    options = parser.parse_args()
    options.peers = options.peers.split(",")
    warnings.simplefilter("ignore")
    for folder in (options.prepare, options.out):
        os.makedirs(folder, exist_ok=True)
    program = os.path.join(options.prepare, "tree_speed")
    subprocess.run(["cc", "-O2", "-pthread", os.path.join(HERE, "tree_speed.c"), "-o", program, "-ldl"], check=True)
    runtime = glob.glob(os.path.join(os.path.dirname(ort.__file__), "capi", "libonnxruntime.so.*"))[0]
    cases = []
    for name in options.names or REAL + LARGER:
        model = Model(name, options)
        worst, labels = model.largest_difference()
        print("%s: %d trees, %d nodes; differs from ONNX Runtime by %.2g, %d labels" % (name, model.trees, model.nodes, worst, labels), flush=True)
        for threads in [] if options.prepare_only else [int(word) for word in options.threads.split(",")]:
            speeds = Speeds(model, threads, program, runtime)
            for batch in [int(word) for word in options.batches.split(",")]:
                if batch == 1 and threads > 1:
                    continue  # One row is one thread's work for all but ONNX Runtime, which it makes slower.
                slices = {peer: [] for peer in options.peers}
                for _ in range(options.rounds):
                    for peer in options.peers:
                        slices[peer].append(speeds.slice(peer, batch, options.slice_seconds))
                record = {peer: {"seconds": statistics.median(values), "spread": spread(values), "slices": values} for peer, values in slices.items()}
                cases.append({"model": name, "trees": model.trees, "nodes": model.nodes, "batch": batch, "threads": threads, "difference": worst, "labels": labels, "peers": record})
                print("  batch %4d, %d threads: %s" % (batch, threads, ", ".join("%s %s" % (TITLES[peer], shown(record[peer]["seconds"])) for peer in options.peers)), flush=True)
            speeds.close()
        with open(os.path.join(options.out, "trees.json"), "w") as file:
            json.dump({"date": time.strftime("%Y-%m-%d", time.gmtime()), "command": " ".join(sys.argv[1:]), "cases": cases}, file, indent=1)
        with open(os.path.join(options.out, "trees.md"), "w") as file:
            file.write(table(cases, options.peers))
    print(table(cases, options.peers))


if __name__ == "__main__":
    main()
