"""Says plainly what to install when a Python package is missing."""
import importlib
import sys

INSTALL = {"numpy": "numpy", "sklearn": "scikit-learn", "onnx": "onnx", "onnxruntime": "onnxruntime", "PIL": "pillow"}


def require(*modules):
    """Imports modules by name and returns them; ends the script with one sentence if any is missing."""
    found, missing = [], []
    for module in modules:
        try:
            found.append(importlib.import_module(module))
        except ImportError:
            missing.append(INSTALL.get(module, module))
    if missing:
        sys.exit("error: %s: this script needs what is not installed here\n  hint    python3 -m pip install %s (or run it with /opt/peers/bin/python)"
                 % (", ".join(missing), " ".join(missing)))
    return found[0] if len(found) == 1 else found
