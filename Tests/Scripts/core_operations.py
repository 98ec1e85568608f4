#!/usr/bin/env python3
"""Counts from how many ONNX operators each core operation is reached.

Every case of ONNX's own suite that tests one operator, and every case of `operator_cases.py`, is imported and simplified
(`ingot compile --emit graph`); the operations in the result are what the operator is decomposed into. An operation whose
operands are constants is computed while compiling and not counted. Prints a Markdown table.

  core_operations.py /work/onnx-cases
"""
import argparse
import collections
import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from benchmark_graphs import default_ingot

SOURCES = pathlib.Path(__file__).resolve().parents[2]
# Wrappers of other operations, not operations of their own.
STRUCTURE = {"composite", "fusion", "constant"}


def families():
    """The mnemonics of elementwise functions, which are one operation each for one and for two operands."""
    text = (SOURCES / "ir/Tensor/ScalarFunctions.swift").read_text()
    table = {}
    for name, kind in re.findall(r"public enum (Unary|Binary)Function.*?public var mnemonic: String \{(.*?)\n  \}", text, re.S):
        for mnemonic in re.findall(r'case \.\w+: "(\w+)"', kind):
            table[mnemonic] = "function of one operand" if name == "Unary" else "function of two operands"
    return table


def registered():
    """Mnemonics of all core operations, those of elementwise functions as their families, in the registry's order."""
    registry = (SOURCES / "ir/Graph/OperationRegistry.swift").read_text()
    types = re.findall(r"(\w+)\.self", registry)
    found, declared = [], {}
    for path in (SOURCES / "ir/Graph/Ops").rglob("*.swift"):
        for name, mnemonic in re.findall(r"public struct (\w+): [^{]*Operation\b.*?static let mnemonics = (.*?)\n", path.read_text(), re.S):
            match = re.match(r'\["(\w+)"\]', mnemonic)
            declared[name] = match.group(1) if match else "function of one operand" if "Unary" in mnemonic else "function of two operands"
    for name in types:
        if name in declared and declared[name] not in found:
            found.append(declared[name])
    return found


def operations(ingot, model):
    """The operations of a model's graph; None if it is refused.

    Inputs that decide axes and sizes are fixed to what the case's data set holds, where the refusal asks for it.
    """
    command = [ingot, "compile", model, "--emit", "graph"]
    for _ in range(4):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            return None
        if done.returncode == 0:
            return set(re.findall(r"^\s*%[^=]* = ([a-z_0-9]+)\b", done.stdout, re.M))
        added = [argument for name in re.findall(r"--fix (\S+)=FILE", done.stderr) for argument in fixed(model, name)]
        if not added:
            return None
        command += added
    return None


def fixed(model, name):
    """The option that gives an input the contents of the case's first data set."""
    try:
        import onnx
    except ImportError:
        return []
    graph = onnx.load(model).graph
    constants = {tensor.name for tensor in graph.initializer}
    names = [value.name for value in graph.input if value.name not in constants]
    if name not in names:
        return []
    file = pathlib.Path(model).parent / "test_data_set_0" / ("input_%d.pb" % names.index(name))
    return ["--fix", "%s=%s" % (name, file)] if file.exists() else []


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", help="folder of ONNX's cases, as prepare.sh makes it")
    parser.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--json", help="also write what each operator is made of")
    options = parser.parse_args()
    index = json.loads((pathlib.Path(options.cases) / "index.json").read_text())["cases"]
    with tempfile.TemporaryDirectory() as folder:
        jobs = []
        for name, case in index.items():
            if case["kind"] == "node" and not case["expanded"] or name.startswith("simple/test_gradient"):
                operator = "ai.onnx.preview.training::Gradient" if "gradient" in name else case["op"]
                jobs.append((operator, str(pathlib.Path(options.cases) / name / "model.onnx")))
        try:
            import onnx
            from operator_cases import CASES, WITHOUT_ORACLE
            for number, case in enumerate(CASES + WITHOUT_ORACLE):
                path = os.path.join(folder, "%d.onnx" % number)
                onnx.save(case.model(), path)
                jobs.append((case.operator, path))
        except ImportError:
            print("onnx is not there: operators without cases in the suite are left out", file=sys.stderr)
        made, refused = collections.defaultdict(set), collections.Counter()
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for (operator, path), found in zip(jobs, pool.map(lambda job: operations(options.ingot, job[1]), jobs)):
                if found is None:
                    refused[operator] += 1
                else:
                    made[operator] |= found
    family = families()
    reached = collections.defaultdict(set)
    for operator, found in made.items():
        for mnemonic in found:
            reached[family.get(mnemonic, mnemonic)].add(operator)
    rows = [name for name in registered() if name not in STRUCTURE]
    print("%d core operations; %d operators imported, %d of them in no case.\n" % (len(rows), len(made), sum(operator not in made for operator in refused)))
    print("| core operation | ONNX operators | among them |\n| --- | ---: | --- |")
    for name in sorted(rows, key=lambda name: -len(reached[name])):
        shown = sorted(reached[name], key=lambda operator: (len(made[operator]), operator))[:6]
        print("| %s | %d | %s |" % (name, len(reached[name]), ", ".join(operator.split("::")[-1] for operator in shown)))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({operator: sorted(found) for operator, found in sorted(made.items())}, indent=1))
    for operator in sorted(set(refused) - set(made)):
        print("refused: %s" % operator, file=sys.stderr)


if __name__ == "__main__":
    main()
