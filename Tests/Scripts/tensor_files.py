"""Inputs and outputs of `ingot run` and of an artifact's `run`, as .npy files."""
import os

from required_packages import require

np = require("numpy")


def write_inputs(inputs, folder):
    """Writes each array; returns the `--input NAME=FILE` arguments."""
    os.makedirs(folder, exist_ok=True)
    arguments = []
    for position, (name, array) in enumerate(inputs.items()):
        path = os.path.join(folder, "input_%d.npy" % position)
        np.save(path, np.asarray(array, order="C"))
        arguments += ["--input", "%s=%s" % (name, path)]
    return arguments


def file_name(output):
    """How Ingot names the file of an output: names come from the model and must not leave the folder."""
    plain = output.replace("/", "_").replace("\0", "_")
    return ("_" + plain if not plain or plain.startswith(".") else plain) + ".npy"


def read_outputs(names, folder):
    """The arrays of those outputs that were written."""
    found = {}
    for name in names:
        path = os.path.join(folder, file_name(name))
        if os.path.exists(path):
            found[name] = np.load(path, allow_pickle=False)
    return found
