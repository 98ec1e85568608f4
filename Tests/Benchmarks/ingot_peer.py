"""Ingot's side: compiles artifacts from a cold cache, and measures inside them (`bench --slices`)."""
import hashlib
import json
import os
import shutil
import subprocess
import tempfile

import child_process
from remote_peer import RemotePeer
from tensor_files import read_outputs

# What each variant adds to `ingot compile`; the first word decides whether this ingot can do it.
VARIANTS = {"ingot": [], "ingot-tuned": ["--tune"], "ingot-bf16": ["--precision", "bf16"]}
TITLES = {"ingot": "Ingot", "ingot-tuned": "Ingot tuned", "ingot-bf16": "Ingot bf16"}
PRECISIONS = {"ingot": "fp32", "ingot-tuned": "fp32", "ingot-bf16": "bf16"}


class CompileFailed(Exception):
    pass


class Ingot:
    """The tool, and where its artifacts go."""

    def __init__(self, tool, folder, seconds=900):
        self.tool, self.folder, self.seconds = tool, folder, seconds
        self.help = child_process.run([tool, "compile", "--help"], 60).output

    def can(self, variant):
        return not VARIANTS[variant] or VARIANTS[variant][0] in self.help

    def identity(self):
        """Changes when the tool does: results of another one are not resumed."""
        digest = hashlib.sha256()
        for name in (self.tool, self.tool + "-runtime"):
            if os.path.exists(name):
                with open(name, "rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:16]

    def version(self):
        words = child_process.run([self.tool, "--version"], 60).output.split()
        checkout = os.path.dirname(os.path.abspath(__file__))
        commit = subprocess.run(["git", "-C", checkout, "describe", "--always", "--dirty"], capture_output=True, text=True).stdout.strip()
        return " ".join(words[-1:] + ([commit] if commit else []))

    def compile(self, variant, model, path, threads, tune_seconds=None):
        """Compiles with nothing cached. Returns the artifact and what is known about it."""
        artifact = os.path.join(self.folder, "%s.%s.t%d" % (model.file_stem, variant, threads))
        report = artifact + ".json"
        # Of bf16 a report would also run the model to state its error: no part of compiling.
        extra = list(VARIANTS[variant]) + ([] if variant == "ingot-bf16" else ["--report", report])
        if variant == "ingot-tuned" and tune_seconds:
            extra[0] = "--tune=%g" % tune_seconds
        if "--tune-cache" in self.help:
            # Answers of an earlier tuning are neither used nor left anywhere.
            extra += ["--tune-cache", artifact + ".tuning.json" if variant == "ingot-tuned" else "none"]
        for symbol, length in model.symbols.items():
            extra += ["--dim", "%s=%d" % (symbol, length)]
        cache = tempfile.mkdtemp(prefix="cache-", dir=self.folder)
        try:
            command = ["env", "-u", "INGOT_CACHE", "XDG_CACHE_HOME=" + cache, "HOME=" + cache, self.tool, "compile", path, "-o", artifact, "--threads", str(threads)]
            finished = child_process.run(command + extra, self.seconds)
        finally:
            shutil.rmtree(cache, ignore_errors=True)
        if finished.status != 0:
            raise CompileFailed(finished.complaint[:300])
        facts = {"compile_seconds": finished.seconds, "compile_peak_bytes": finished.peak_bytes, "artifact_bytes": os.path.getsize(artifact)}
        try:
            with open(report) as file:
                details = json.load(file)
            facts.update({key: details[key] for key in ("code_bytes", "weights_bytes", "arena_bytes") if key in details})
        except (OSError, ValueError):
            pass
        return artifact, facts

    def start(self, variant, artifact, threads, arguments, log):
        return RemotePeer(variant, [artifact, "bench", "--slices", "--threads", str(threads)] + arguments, log)

    def outputs(self, artifact, threads, arguments, names):
        """(arrays by name, seconds from exec to exit, peak memory) of one run."""
        with tempfile.TemporaryDirectory(prefix="run-", dir=self.folder) as folder:
            finished = child_process.run([artifact, "run"] + arguments + ["--output", folder, "--threads", str(threads)], self.seconds)
            if finished.status != 0:
                raise CompileFailed("run: " + finished.complaint[:300])
            return read_outputs(names, folder), finished.seconds, finished.peak_bytes
