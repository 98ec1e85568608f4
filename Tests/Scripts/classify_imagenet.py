#!/usr/bin/env python3
"""Classifies labelled ImageNet photographs over HTTP with a served MobileNetV2 artifact.

Each JPEG is decoded here (RGB, middle 224x224, (x - 128) / 128) and sent to POST /v2/models/NAME/infer. Class 0 of the model is
"background", so ImageNet class k is output k + 1. The models' README states top-1 108 of 125; 107 to 109 pass.

  classify_imagenet.py                        # compiles the model first
  classify_imagenet.py --artifact ./mobilenet
  classify_imagenet.py --precision bf16
"""
import argparse
import csv
import json
import os
import sys
import tempfile
import time

import child_process
from benchmark_graphs import default_folder, default_ingot
from required_packages import require
from served_artifact import ServedArtifact

np, Image = require("numpy", "PIL.Image")


def prepare(path, side=224):
    """A photograph as float32 [1, 3, side, side]; its shorter side is 256 in this collection."""
    with Image.open(path) as picture:
        picture = picture.convert("RGB")
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        pixels = np.asarray(picture.crop((left, top, left + side, top + side)), np.float32)
    return np.ascontiguousarray(((pixels - 128) / 128).transpose(2, 0, 1))[None]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--model", default=os.path.join(default_folder(), "real", "mobilenet_v2_fp32", "model.onnx"))
    parser.add_argument("--artifact", help="an artifact of the model that is compiled already")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"), help="what to compile for (%(default)s)")
    parser.add_argument("--data", default=os.path.join(default_folder(), "..", "data", "imagenet_sample"), help="folder of labels.csv and images/")
    parser.add_argument("--expect", type=int, default=108, help="right answers that the README states (%(default)s)")
    options = parser.parse_args()
    with open(os.path.join(options.data, "labels.csv"), newline="") as file:
        rows = list(csv.DictReader(file))
    with tempfile.TemporaryDirectory(prefix="ingot-classify-") as folder:
        artifact = options.artifact
        if artifact is None:
            artifact = os.path.join(folder, "mobilenet_v2")
            compiled = child_process.run([options.ingot, "compile", options.model, "-o", artifact, "--precision", options.precision])
            if compiled.status != 0:
                sys.exit("error: compile: " + compiled.complaint)
            print(compiled.output.strip())
        with ServedArtifact(artifact) as server:
            print("serving %s on http://%s:%d" % (server.name, server.host, server.port))
            first = second = 0
            seconds = []
            link = server.connection()
            for row in rows:
                data = prepare(os.path.join(options.data, "images", row["file"]))
                body = json.dumps({"inputs": [{"name": "image", "datatype": "FP32", "shape": list(data.shape), "data": data.ravel().tolist()}]})
                start = time.monotonic()
                status, reply = server.request("POST", "/v2/models/%s/infer" % server.name, body, link)
                seconds.append(time.monotonic() - start)
                if status != 200:
                    sys.exit("error: %s: HTTP %d: %s" % (row["file"], status, reply))
                best = np.argsort(-np.asarray(reply["outputs"][0]["data"]))[:5] - 1
                first += int(best[0]) == int(row["class_index"])
                second += int(row["class_index"]) in best
            link.close()
        print("top-1 %d of %d, top-5 %d; request and reply took %.1f ms (median)" % (first, len(rows), second, sorted(seconds)[len(seconds) // 2] * 1e3))
    passed = abs(first - options.expect) <= 1
    print("passed" if passed else "FAILED: expected %d ± 1" % options.expect)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
