#!/usr/bin/env python3
"""Compares text pipelines of scikit-learn, converted by skl2onnx, with ONNX Runtime: labels and probabilities.

Each pipeline is trained on a few hundred made-up sentences or table rows, checked with `ingot verify`, as a compiled artifact, and over
HTTP in the row form. ONNX Runtime wants a locale that few machines have; the models name "C" instead, which Ingot does not look at.

  compare_text_pipelines.py                   # all
  compare_text_pipelines.py tfidf one_hot     # some
"""
import argparse
import json
import os
import random
import sys
import tempfile

import child_process
from benchmark_graphs import default_ingot
from required_packages import require
from served_artifact import ServedArtifact

np = require("numpy")
onnx = require("onnx")
onnxruntime = require("onnxruntime")
require("sklearn")
skl2onnx = require("skl2onnx")

from skl2onnx.common.data_types import FloatTensorType, StringTensorType  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.ensemble import RandomForestClassifier  # noqa: E402
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler  # noqa: E402

WORDS = ("the a dog cat bird sat on mat high fly flies barked at and of in over blue sky storm rain sun shines down river banks rise quickly slowly "
         "market falls stocks bonds trade news today Über été naïve façade 123 42nd don't e-mail").split()


def sentences(count, generator):
    """Sentences whose class is told by which third of the words they prefer."""
    texts, labels = [], []
    for _ in range(count):
        group = generator.randrange(3)
        own = WORDS[group * 17:(group + 1) * 17]
        words = [generator.choice(own if generator.random() < 0.7 else WORDS) for _ in range(generator.randrange(1, 14))]
        text = " ".join(word.capitalize() if generator.random() < 0.2 else word for word in words)
        texts.append(text + generator.choice(["", ".", "!", "  ", ", ok?"]))
        labels.append(["animals", "weather", "money"][group])
    return np.array(texts, dtype=object), np.array(labels)


def text_model(vectorizer, integer_labels=False):
    def build(generator):
        texts, labels = sentences(300, generator)
        if integer_labels:
            labels = np.array([len(label) for label in labels])
        pipeline = make_pipeline(vectorizer, LogisticRegression(max_iter=300)).fit(texts, labels)
        test, _ = sentences(40, generator)
        test[0] = ""
        test[1] = "zzz qqq"
        return pipeline, [("text", StringTensorType([None, 1]))], {"text": test.reshape(-1, 1)}
    return build


def table_model(encoder, classifier):
    def build(generator):
        colors, towns = ["red", "green", "blue", "Grün"], ["Oslo", "Rome", "São Paulo", "x"]
        rows = [[generator.choice(colors), generator.choice(towns), generator.gauss(40, 10)] for _ in range(300)]
        labels = ["yes" if (row[0] in ("red", "blue")) == (row[2] > 38) else "no" for row in rows]
        columns = {"color": np.array([[row[0]] for row in rows], dtype=object), "town": np.array([[row[1]] for row in rows], dtype=object),
                   "age": np.array([[row[2]] for row in rows], dtype=np.float32)}
        transform = ColumnTransformer([("words", encoder, [0, 1]), ("numbers", StandardScaler(), [2])])
        pipeline = make_pipeline(transform, classifier).fit(np.array(rows, dtype=object), labels)
        types = [("color", StringTensorType([None, 1])), ("town", StringTensorType([None, 1])), ("age", FloatTensorType([None, 1]))]
        test = {name: column[:30].copy() for name, column in columns.items()}
        if getattr(encoder, "handle_unknown", "") == "ignore":
            test["color"][3] = "unknown"
        return pipeline, types, test
    return build


PIPELINES = {
    "tfidf": text_model(TfidfVectorizer()),
    "tfidf_bigrams": text_model(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=False)),
    "tfidf_pattern": text_model(TfidfVectorizer(token_pattern="[a-zA-Z]+", norm="l1", use_idf=False)),
    "tfidf_case": text_model(TfidfVectorizer(lowercase=False), integer_labels=True),
    "tfidf_chars": text_model(TfidfVectorizer(analyzer="char", ngram_range=(2, 3))),
    "count": text_model(CountVectorizer()),
    "count_trigrams": text_model(CountVectorizer(ngram_range=(1, 3), min_df=2)),
    "count_binary": text_model(CountVectorizer(binary=True)),
    "one_hot": table_model(OneHotEncoder(handle_unknown="ignore"), LogisticRegression(max_iter=300)),
    "one_hot_forest": table_model(OneHotEncoder(handle_unknown="ignore"), RandomForestClassifier(20, max_depth=5, random_state=1)),
    "ordinal": table_model(OrdinalEncoder(), LogisticRegression(max_iter=300)),
}


def convert(name, build, folder, zipmap):
    pipeline, types, test = build(random.Random(name))
    model = skl2onnx.convert_sklearn(pipeline, name, types, options={id(pipeline): {"zipmap": zipmap}}, target_opset=17)
    for node in model.graph.node:
        if node.op_type == "StringNormalizer":
            node.attribute.append(onnx.helper.make_attribute("locale", "C"))
    path = os.path.join(folder, name + ".onnx")
    onnx.save(model, path)
    return path, test


def as_tensor(array):
    """Strings as NumPy's objects; a list of maps as a matrix with the keys ascending."""
    if isinstance(array, list) and array and isinstance(array[0], dict):
        return np.array([[row[key] for key in sorted(row)] for row in array], dtype=np.float32)
    array = np.asarray(array)
    return array.astype(object) if array.dtype.kind == "U" else array


def write_set(folder, inputs, outputs):
    os.makedirs(folder, exist_ok=True)
    for kind, arrays in (("input", inputs), ("output", outputs)):
        for position, array in enumerate(arrays):
            tensor = onnx.numpy_helper.from_array(as_tensor(array), "")
            with open(os.path.join(folder, "%s_%d.pb" % (kind, position)), "wb") as file:
                file.write(tensor.SerializeToString())


def served(artifact, inputs, names, outputs):
    """What is wrong with the answers over HTTP; None if nothing is."""
    rows = len(next(iter(inputs.values())))
    examples = [{name: column[row].tolist() for name, column in inputs.items()} for row in range(rows)]
    if len(inputs) == 1:
        examples = [next(iter(example.values())) for example in examples]
    with ServedArtifact(artifact) as server:
        status, reply = server.request("POST", "/v1/models/%s:predict" % server.name, {"instances": examples})
    if status != 200:
        return "HTTP %d: %s" % (status, reply)
    for row, prediction in enumerate(reply["predictions"]):
        for name, output in zip(names, outputs):
            got, want = prediction[name], output[row]
            if isinstance(want, dict):
                want = {str(key): value for key, value in want.items()}
                if sorted(got) != sorted(want) or any(abs(got[key] - want[key]) > 1e-4 for key in want):
                    return "row %d: %s is %s, expected %s" % (row, name, got, want)
            elif isinstance(got, (str, int)) and got != want:
                return "row %d: %s is %r, expected %r" % (row, name, got, want)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="pipeline", help=", ".join(PIPELINES))
    parser.add_argument("--ingot", default=default_ingot())
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(PIPELINES)
    if unknown:
        parser.error("no such pipeline: " + ", ".join(sorted(unknown)))
    failures = 0
    for name in arguments.names or PIPELINES:
        with tempfile.TemporaryDirectory() as folder:
            reasons = []
            for zipmap in (False, True):
                path, inputs = convert(name, PIPELINES[name], folder, zipmap)
                session = onnxruntime.InferenceSession(path)
                names = [output.name for output in session.get_outputs()]
                outputs = session.run(None, inputs)
                write_set(os.path.join(folder, "all"), inputs.values(), outputs)
                first = {key: value[:1] for key, value in inputs.items()}
                write_set(os.path.join(folder, "one"), first.values(), session.run(None, first))
                sets = [os.path.join(folder, "all"), os.path.join(folder, "one")]
                artifact = os.path.join(folder, name)
                for how, command in [("verify", [arguments.ingot, "verify", path] + sets + ["--atol", "1e-4"]),
                                     ("compile", [arguments.ingot, "compile", path, "-o", artifact]),
                                     ("artifact", [artifact, "verify"] + sets + ["--atol", "1e-4"])]:
                    finished = child_process.run(command, seconds=120)
                    if finished.status != 0:
                        reasons.append("%s: %s" % (how, finished.complaint))
                        break
                else:
                    wrong = served(artifact, inputs, names, outputs)
                    if wrong:
                        reasons.append("HTTP: " + wrong)
            print("%-16s %s" % (name, "ok" if not reasons else "FAILED: " + "; ".join(reasons)), flush=True)
            failures += bool(reasons)
    print(json.dumps({"passed": failures == 0, "failures": failures}))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
