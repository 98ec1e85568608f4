#!/usr/bin/env python3
"""Measures Ingot and the installed peers (ONNX Runtime, OpenVINO, ncnn, LiteRT, llama.cpp) alternately, in slices of one run.

Each runs in a process of its own, which is stopped while others are measured; a slice in which a process had to wait for a
processor is repeated. Results are compared with ONNX Runtime's. What the machine reaches at most is measured in the same run.
After every case the results are written as JSON, Markdown and a picture (SVG); `--resume` continues there.

  run.py                                         # every benchmark graph, 1 and 2 threads, fp32 and bf16, batches, tuning: 30 minutes
  run.py resnet50 model.onnx --threads 1         # some, also models given by path
  run.py --plan                                  # what would be measured, and how long that takes
  run.py --report-only --update-readme           # write tables, picture and the README's block from the JSON again
"""
import argparse
import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(HERE, "..", "Scripts"))

from benchmark_graphs import default_folder, default_ingot
from required_packages import require

require("numpy", "onnx")

import comparison
import kernel_bandwidth
import profiles
import start_times
from ingot_peer import PRECISIONS, TITLES, VARIANTS, Ingot
from machine_limits import MachineLimits
from measurement import Case, Measurement
from models import ORDER, Catalogue, input_arguments
from peers import PEERS
from plot import svg
from readme_block import NoMarks, rewritten
from report import about_line, markdown, means_lines, percent, shown, title
from results import Results

ROOT = os.path.normpath(os.path.join(HERE, "..", ".."))


def say(text=""):
    print(text, flush=True)


def duration(seconds):
    return "%d:%02d" % (seconds // 60, seconds % 60)


def words(text):
    return [word for word in text.split(",") if word]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="MODEL", help="benchmark graphs by name, or .onnx files (all graphs)")
    what = parser.add_argument_group("what to measure")
    what.add_argument("--peers", help="of %s (all that are installed)" % ", ".join(PEERS))
    what.add_argument("--threads", default="1,2", help="(%(default)s)")
    what.add_argument("--precisions", default="fp32,bf16", help="(%(default)s)")
    what.add_argument("--batches", default="8,32", help="batches beside 1, for --batch-models (%(default)s)")
    what.add_argument("--batch-models", default="resnet50,minilm_l6_s128", help="models with a symbolic batch; or all (%(default)s)")
    what.add_argument("--tune-models", default="resnet50,mobilenet_v2", help="also measured after `--tune`; none for no model (%(default)s)")
    what.add_argument("--start-models", default="mobilenet_v2,resnet50,bert_base_s128", help="for start, memory and size (%(default)s)")
    what.add_argument("--parts", default="limits,cases,start,kernels,profiles", help="(%(default)s)")
    length = parser.add_argument_group("how long")
    length.add_argument("--rounds", type=int, default=8, help="slices of each (%(default)s)")
    length.add_argument("--slice-seconds", type=float, default=0.2, help="(%(default)s); at least one run")
    length.add_argument("--case-seconds", type=float, default=20, help="no new round after this long, but three in any case (%(default)s)")
    length.add_argument("--tune-seconds", type=float, default=60, help="for `--tune` (%(default)s)")
    length.add_argument("--minutes", type=float, default=60, help="begin no case after this long (%(default)s)")
    length.add_argument("--retries", type=int, default=4, help="of a disturbed slice (%(default)s)")
    length.add_argument("--slice-timeout", type=float, default=120, help="(%(default)s)")
    length.add_argument("--load-seconds", type=float, default=240, help="limit for loading a model (%(default)s)")
    length.add_argument("--prepare-seconds", type=float, default=600, help="limit for converting a model (%(default)s)")
    where = parser.add_argument_group("where")
    where.add_argument("--ingot", default=default_ingot(), help="the tool (%(default)s)")
    where.add_argument("--models", default=default_folder(), help="folder of materialize.py (%(default)s)")
    where.add_argument("--prepare", default=os.path.join(ROOT, ".build", "benchmarks"), help="keeps what is made for the peers, some GB (%(default)s)")
    where.add_argument("--out", default=os.path.join(ROOT, ".build", "benchmarks", "results"), help="gets results.json, results.md, ratio.svg (%(default)s)")
    where.add_argument("--tensorflow-python", default=os.environ.get("TENSORFLOW_PYTHON"), help="a Python with tensorflow and onnx, for LiteRT's files (/opt/tf, if there)")
    how = parser.add_argument_group("how")
    how.add_argument("--boost", choices=["nice", "fifo"], help="put what is measured before other work of the machine (root)")
    how.add_argument("--resume", action="store_true", help="keep what this very ingot has measured before")
    how.add_argument("--again", action="store_true", help="with --resume: measure what is asked for even if it was measured before")
    how.add_argument("--retry", action="store_true", help="prepare again what could not be prepared")
    how.add_argument("--plan", action="store_true", help="print the plan and end")
    how.add_argument("--prepare-only", action="store_true", help="make models and peers' files, and end")
    how.add_argument("--report-only", action="store_true", help="measure nothing")
    how.add_argument("--update-readme", action="store_true", help="rewrite the block of README.md")
    how.add_argument("--strict", action="store_true", help="exit with 1 if Ingot is behind the best peer anywhere")
    how.add_argument("--self-test", action="store_true", help="test this program's own parts")
    options = parser.parse_args()
    options.threads = [int(word) for word in words(options.threads)]
    if not options.tensorflow_python and os.path.exists("/opt/tf/bin/python"):
        options.tensorflow_python = "/opt/tf/bin/python"
    return options


def installed_peers(options):
    """Versions by key; says which peers are missing and how to get them."""
    wanted, found = words(options.peers) if options.peers else list(PEERS), {}
    for key in wanted:
        if key not in PEERS:
            sys.exit("error: there is no peer %s; there are %s" % (key, ", ".join(PEERS)))
        version = PEERS[key].version()
        if version:
            found[key] = version
        else:
            say("%s is not installed here:  %s -m %s" % (PEERS[key].title, sys.executable, PEERS[key].install))
    return found


def plan(options, catalogue, ingot, peers):
    """All cases, small models first: (case, model)."""
    precisions, cases = words(options.precisions), []
    names = options.names or catalogue.names()
    keys = [key for key in VARIANTS if PRECISIONS[key] in precisions and ingot.can(key)] + [key for key in peers if PEERS[key].precision in precisions]
    for key in VARIANTS:
        if PRECISIONS[key] in precisions and not ingot.can(key):
            say("this ingot has no %s: %s is left out" % (VARIANTS[key][0], TITLES[key]))
    for batch in [1] + [int(word) for word in words(options.batches)]:
        for name in names:
            short = os.path.splitext(os.path.basename(name))[0]
            if batch > 1 and options.batch_models != "all" and short not in words(options.batch_models):
                continue
            try:
                model = catalogue.model(name, batch)
            except (KeyError, ValueError, OSError) as error:
                sys.exit("error: %s" % (error if isinstance(error, OSError) else error.args[0]))
            if model is None:
                continue
            for threads in options.threads:
                mine = [key for key in keys if key != "ingot-tuned" or batch == 1 and short in words(options.tune_models)]
                if batch > 1:
                    mine = [key for key in mine if key in VARIANTS or PEERS[key].batches]
                if "llamacpp" in mine and "llama" not in short:
                    mine.remove("llamacpp")
                cases.append((Case(model.name, batch, threads, mine), model))
    return cases


def measure_limits(options, results, program, reason):
    say("measuring the machine's limits")
    priority = {"fifo": ("chrt", "-f", "20"), "nice": ("nice", "-n", "-20"), None: ()}[options.boost]
    limits = MachineLimits.measure(program, options.threads, priority) if program else MachineLimits({}, reason)
    results.limits, results.about["limits_sentence"] = limits.values, limits.sentence(options.threads)
    say(limits.sentence(options.threads))


def write(results, options):
    place = lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)
    results.cases.sort(key=lambda case: (case["batch"], place(case["model"]), case["threads"]))
    results.save()
    with open(os.path.join(options.out, "results.md"), "w") as file:
        file.write(markdown(results))
    with open(os.path.join(options.out, "ratio.svg"), "w") as file:
        file.write(svg(results))


def line(results, case):
    """One measured case on one line."""
    best = comparison.best_peer(case)
    value = comparison.ratio(case, best)
    parts = ["%s %s" % (title(key), shown(record["seconds"]) if "seconds" in record else "FAILED (%s)" % record.get("error", "?")[:60])
             + ("*%d" % record["disturbed"] if record.get("disturbed") else "") for key, record in case["peers"].items()]
    return "  %s%s  (%.0f s)" % ("%.2f  " % value if value else "", "; ".join(parts), case["seconds_spent"])


def run_cases(options, results, cases, ingot, limits_program):
    measurement = Measurement(options, ingot, limits_program, say)
    identity, began = ingot.identity(), time.monotonic()
    estimates = [case.estimated_seconds(model, options) for case, model in cases]
    for number, (case, model) in enumerate(cases):
        left = sum(estimates[number:])
        if options.resume and not options.again and results.is_done(case.name, case.batch, case.threads, identity, case.keys):
            continue
        if time.monotonic() - began > options.minutes * 60:
            say("time is up after %d of %d cases; --resume continues" % (number, len(cases)))
            break
        say("[%d/%d, %s gone, about %s to go] %s, batch %d, %d threads" % (
            number + 1, len(cases), duration(time.monotonic() - began), duration(left), case.name, case.batch, case.threads))
        try:
            path = model.file(os.path.join(options.prepare, "models"))
            inputs, _ = input_arguments(model, os.path.join(options.prepare, "models"))
            if options.prepare_only:
                for key in case.keys:
                    if key in PEERS:
                        try:
                            measurement.prepared(key, model, path, inputs)
                        except Exception as error:
                            say("  %s: %s" % (title(key), error))
                continue
            results.put(measurement.measure(case, model, path, inputs))
        except (OSError, ValueError, MemoryError, subprocess.SubprocessError) as error:
            say("  FAILED: %s: %s" % (type(error).__name__, error))
            continue
        say(line(results, results.find(case.name, case.batch, case.threads)))
        write(results, options)


def about(options, ingot, peers):
    with open("/proc/cpuinfo") as file:
        machine = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), "unknown processor")
    return {"date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine, "processors": len(os.sched_getaffinity(0)), "ingot": ingot.version(),
            "versions": {key: version for key, version in peers.items() if PEERS[key].precision == "fp32"}, "python": sys.version.split()[0],
            "kernel": os.uname().release, "command": " ".join(sys.argv[1:])}


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # Peers and files are tidied away.
    if options.self_test:
        suite = unittest.defaultTestLoader.discover(HERE, "test_*.py")
        sys.exit(not unittest.TextTestRunner(verbosity=1).run(suite).wasSuccessful())
    for folder in (options.out, os.path.join(options.prepare, "models")):
        os.makedirs(folder, exist_ok=True)
    file = os.path.join(options.out, "results.json")
    results = Results.load(file) if options.resume or options.report_only else Results(file)
    if not options.report_only:
        if not os.path.exists(options.ingot):
            sys.exit("error: %s is not there\n  hint    swift build -c release, or --ingot PATH" % options.ingot)
        artifacts = tempfile.mkdtemp(prefix="artifacts-", dir=options.prepare)
        atexit.register(shutil.rmtree, artifacts, ignore_errors=True)
        ingot, peers = Ingot(options.ingot, artifacts), installed_peers(options)
        if options.boost == "fifo":
            # Above what is measured, so that a peer that hangs can be ended; children begin at normal priority.
            try:
                os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(30))
            except OSError as error:
                say("priority unchanged: %s" % error)
                options.boost = None
        parts = words(options.parts)
        cases = plan(options, Catalogue(options.models), ingot, peers) if "cases" in parts else []
        for case, model in cases if options.plan else []:
            say("%-24s batch %2d  %d threads  about %3.0f s  %s" % (case.name, case.batch, case.threads, case.estimated_seconds(model, options), " ".join(case.keys)))
        say("%d cases, about %s" % (len(cases), duration(sum(case.estimated_seconds(model, options) for case, model in cases))))
        if options.plan:
            return
        results.about.update(about(options, ingot, {**results.about.get("versions", {}), **peers}))
        others = [case for case in results.cases if case.get("ingot") != ingot.identity()]
        if others:
            say("%d cases were measured with another ingot: dropped" % len(others))
            results.cases = [case for case in results.cases if case not in others]
        limits_program, reason = MachineLimits.build(options.prepare)
        if "limits" in parts and not options.prepare_only:
            measure_limits(options, results, limits_program, reason)
        run_cases(options, results, cases, ingot, limits_program)
        if options.prepare_only:
            return
        if "start" in parts:
            start_times.measure(options, results, Catalogue(options.models), ingot, peers, say)
        if "kernels" in parts:
            kernel_bandwidth.measure(options, results, say)
        if "profiles" in parts:
            profiles.measure(options, results, Catalogue(options.models), {(case.name, case.batch): model for case, model in cases}, say)
    write(results, options)
    say()
    say(about_line(results))
    for text in means_lines(results):
        say(text)
    for case in results.cases:
        streamed = comparison.fraction_of_bandwidth(results, case)
        if streamed:
            say("- %s, %d threads: %s of the memory's bandwidth" % (case["model"], case["threads"], percent(streamed)))
    say("written: %s" % ", ".join(os.path.join(options.out, name) for name in ("results.json", "results.md", "ratio.svg")))
    if options.update_readme:
        readme = os.path.join(ROOT, "README.md")
        with open(readme) as source:
            text = source.read()
        try:
            text = rewritten(text, results, os.path.relpath(os.path.join(options.out, "ratio.svg"), ROOT))
        except NoMarks as problem:
            sys.exit("error: %s" % problem)
        with open(readme, "w") as source:
            source.write(text)
    behind = sorted({case["model"] for case in results.cases if (comparison.ratio(case, comparison.best_peer(case)) or 1) < 1})
    if options.strict and behind:
        sys.exit("behind the best peer: " + ", ".join(behind))


if __name__ == "__main__":
    main()
