"""Labelled samples of /work/shared/data, as the real models of /work/shared/models take them."""
import csv
import os
import unicodedata

from classify_imagenet import prepare
from required_packages import require

np = require("numpy")


class Photographs:
    """ImageNet samples for MobileNetV2; class 0 of the models is the background."""

    def __init__(self, data, limit=None, as_bytes=False):
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

    def __init__(self, data, limit=None):
        records = np.fromfile(os.path.join(data, "cifar10", "cifar10_test_500.bin"), np.uint8).reshape(-1, 3073)[:limit]
        self.samples = [[np.ascontiguousarray(record[1:].reshape(3, 32, 32).transpose(1, 2, 0)[None].astype(np.float32))] for record in records]
        self.labels = [int(record[0]) for record in records]


class Sentences:
    """Sentences of SST-2 with their sentiment, as WordPiece tokens (lower-cased BERT)."""

    def __init__(self, data, vocabulary, limit=None):
        with open(vocabulary, encoding="utf-8") as file:
            self.ids = {word.rstrip("\n"): number for number, word in enumerate(file)}
        with open(os.path.join(data, "text", "sst2_dev.tsv"), encoding="utf-8") as file:
            rows = [line.rstrip("\n").rsplit("\t", 1) for line in file][:limit]
        self.labels = [int(label) for _, label in rows]
        self.samples = []
        for text, _ in rows:
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
