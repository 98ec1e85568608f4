"""The benchmark graphs of shared/models: stored without weights, recreated one at a time."""
import importlib.util
import json
import os
import sys


class BenchmarkGraphs:
    """The folder that holds materialize.py and graphs/."""

    def __init__(self, folder):
        script = os.path.join(folder, "materialize.py")
        if not os.path.exists(script):
            sys.exit("error: %s holds no materialize.py\n  hint    --models names the folder of the benchmark graphs" % folder)
        specification = importlib.util.spec_from_file_location("materialize", script)
        self.materialize = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(self.materialize)

    @property
    def names(self):
        return self.materialize.names()

    def description(self, name):
        return self.materialize.load_spec(name)

    def is_symbolic(self, name):
        """True if its first axis is the symbol `batch`."""
        return any("batch" in port["shape"] for port in self.description(name)["inputs"])

    def build(self, name, folder):
        """Writes NAME.onnx with its weights beside it; returns the path and the bytes of both. Stops on a wrong digest."""
        digest = self.materialize.build(name, folder)
        wanted = self.description(name).get("sha256_weights")
        if wanted and digest != wanted:
            sys.exit("error: the weights of %s differ from the recorded digest" % name)
        path = os.path.join(folder, name + ".onnx")
        weights = os.path.join(folder, name + ".weights.bin")
        return path, os.path.getsize(path) + (os.path.getsize(weights) if os.path.exists(weights) else 0)

    def inputs(self, name, batch=1, seed=0):
        """Arrays by name, the same on every machine."""
        description = self.description(name)
        family = name[:-4] if name.endswith("_dyn") else name
        return {port["name"]: self.materialize.make_input(family, port, batch, seed) for port in description["inputs"]}


def default_folder():
    """shared/models beside the checkout, where it exists."""
    here = os.path.dirname(os.path.abspath(__file__))
    for candidate in ("/work/shared/models", os.path.join(here, "..", "..", "..", "shared", "models")):
        if os.path.isdir(candidate):
            return os.path.normpath(candidate)
    return os.path.join(here, "..", "..", "shared", "models")


def default_ingot():
    """The tool as `swift build -c release` leaves it."""
    return os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".build", "release", "ingot"))
