"""Measures one case: a model at a batch and a thread count, by Ingot and by every peer that can run it."""
import json
import os
import shutil
import sys
import time

import accuracy
from alternation import Alternation
from ingot_peer import PRECISIONS, VARIANTS, CompileFailed
from peers import PEERS
from remote_peer import PeerFailed, RemotePeer

# Reads as many bytes as the model's weights: takes its turn where a model does little else.
MEMORY = "memory"
HERE = os.path.dirname(os.path.abspath(__file__))
WORKER = [sys.executable, os.path.join(HERE, "worker.py")]


class Case:
    """- keys: the variants of Ingot and the peers to measure."""

    def __init__(self, name, batch, threads, keys):
        self.name, self.batch, self.threads, self.keys = name, batch, threads, keys

    def estimated_seconds(self, model, options):
        """How long it takes, roughly: for the plan."""
        weights = (model.weight_bytes or 50e6) / 1e9
        run = max((model.gflop or 1) / (90.0 * self.threads), weights / 20 if model.streamed_bytes else 0)
        warm = 0 if run >= 0.25 else run if run >= 0.02 else 2 * run
        slices = options.rounds * len(self.keys) * (max(options.slice_seconds, run) + warm + 0.02)
        budget = max(options.case_seconds, 3 * len(self.keys) * (max(options.slice_seconds, run) + warm))
        compiles = sum(1.5 + 4 * weights + (options.tune_seconds if key == "ingot-tuned" else 0) for key in self.keys if key in VARIANTS)
        return min(slices, budget) + compiles + (1 + 4 * weights) * len(self.keys) / 2


class Measurement:
    """What all cases share.

    - options: of the command line.
    - ingot: an `Ingot`.
    """

    def __init__(self, options, ingot, limits_program, say):
        self.options, self.ingot, self.limits_program, self.say = options, ingot, limits_program, say
        self.log = os.path.join(options.prepare, "peers.log")
        self.reasons_path = os.path.join(options.prepare, "reasons.json")
        try:
            with open(self.reasons_path) as file:
                self.reasons = json.load(file)
        except (OSError, ValueError):
            self.reasons = {}

    def prepared(self, key, model, path, arguments):
        """What the peer loads; made now if it is not there. Raises PeerFailed."""
        peer = PEERS[key]()
        if model.batch > 1 and not peer.batches:
            raise PeerFailed("takes no batch")
        if not path.endswith(".onnx"):
            raise PeerFailed("takes ONNX models")
        prefix = os.path.join(self.options.prepare, model.file_stem)
        file = peer.prepared_path(path, prefix)
        if os.path.exists(file):
            return file
        name = "%s %s" % (key, model.file_stem)
        if name in self.reasons and not self.options.retry:
            raise PeerFailed(self.reasons[name])
        self.say("  preparing %s for %s" % (model.name, peer.title))
        limit = self.options.prepare_seconds
        command = WORKER + ["prepare", key, path, prefix, "--seconds", str(limit), "--tensorflow-python", self.options.tensorflow_python or ""]
        worker = RemotePeer(key, command + arguments, self.log)
        try:
            answer = worker.answer(limit)
            reason = answer.get("not_for_this_peer")
        except PeerFailed as failure:
            reason = str(failure)
        finally:
            worker.kill()
        if reason is None and not os.path.exists(file):
            reason = "nothing was made"
        if reason is not None:
            self.reasons[name] = reason
            with open(self.reasons_path, "w") as stored:
                json.dump(self.reasons, stored, indent=1)
            raise PeerFailed(reason)
        return file

    def measure(self, case, model, path, arguments):
        """The record of one case. What fails in one peer is in its record, and stops nothing."""
        began = time.monotonic()
        records, running, artifacts = {}, [], {}
        try:
            for key in case.keys:
                try:
                    if key in VARIANTS:
                        artifacts[key], records[key] = self.ingot.compile(key, model, path, case.threads, self.options.tune_seconds)
                        running.append(self.ingot.start(key, artifacts[key], case.threads, arguments, self.log))
                    else:
                        file = self.prepared(key, model, path, arguments)
                        command = WORKER + ["load", key, file, "--threads", str(case.threads)] + arguments
                        running.append(RemotePeer(key, command, self.log, PEERS[key]().environment(case.threads)))
                        records[key] = {}
                except (CompileFailed, PeerFailed, OSError) as failure:
                    records[key] = {"error": str(failure)}
            if model.streamed_bytes and self.limits_program:
                records[MEMORY] = {}
                running.append(RemotePeer(MEMORY, [self.limits_program, "slices", str(case.threads), "%d" % model.streamed_bytes], self.log))
            ready = self.wait_until_ready(running, records)
            self.check(case, ready, records, artifacts, arguments)
            alternation = Alternation(
                self.options.slice_seconds, self.options.rounds, self.options.case_seconds, self.options.slice_timeout, self.options.boost, self.options.retries)
            for key, slices in alternation.measure([peer for peer in ready if "error" not in records[peer.key]], case.threads).items():
                records[key].update(slices.record())
            for peer in ready:
                if "error" not in records[peer.key]:
                    records[peer.key]["peak_bytes"] = peer.peak_bytes()
            memory = records.pop(MEMORY, {})
        finally:
            for peer in running:
                peer.kill()
            for artifact in artifacts.values():
                for file in (artifact, artifact + ".json", artifact + ".tuning.json"):
                    if os.path.exists(file):
                        os.remove(file)
        return {
            "model": case.name, "batch": case.batch, "threads": case.threads, "gflop": model.gflop, "weight_bytes": model.weight_bytes,
            "streamed_bytes": model.streamed_bytes, "streaming_seconds": memory.get("seconds"), "ingot": self.ingot.identity(), "peers": {key: records[key] for key in case.keys},
            "measured_at": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()), "seconds_spent": round(time.monotonic() - began, 1), "boost": self.options.boost,
            "load_average": os.getloadavg()[0]}

    def wait_until_ready(self, running, records):
        """Peers load side by side; those that fail are recorded."""
        ready = []
        for peer in running:
            try:
                if peer.key in PEERS:
                    answer = peer.answer(self.options.load_seconds)
                    if "not_for_this_peer" in answer:
                        raise PeerFailed(answer["not_for_this_peer"])
                    records[peer.key]["load_seconds"] = answer["load_seconds"] + answer["first_seconds"]
                else:
                    peer.ask("0.000001", self.options.load_seconds)
                ready.append(peer)
            except PeerFailed as failure:
                records[peer.key]["error"] = str(failure)
                peer.kill()
        return ready

    def check(self, case, ready, records, artifacts, arguments):
        """Compares everyone's results with ONNX Runtime's."""
        import numpy

        def results(peer):
            folder = os.path.join(self.ingot.folder, "results")
            shutil.rmtree(folder, ignore_errors=True)
            answer = peer.ask("outputs " + folder, self.options.load_seconds)
            arrays = {name: numpy.load(os.path.join(folder, "%d.npy" % position)) for position, name in enumerate(answer["names"])}
            shutil.rmtree(folder, ignore_errors=True)
            return answer, arrays

        reference = None
        for peer in sorted(ready, key=lambda peer: peer.key != "ort"):
            if peer.key == MEMORY:
                continue
            try:
                if peer.key in PEERS:
                    answer, arrays = results(peer)
                    records[peer.key]["way"] = answer["way"]
                    if peer.key == "ort":
                        reference = arrays
                    named = peer.key.startswith(("ort", "openvino"))
                else:
                    # Without a reference no output is asked for by name.
                    arrays, seconds, peak = self.ingot.outputs(artifacts[peer.key], case.threads, arguments, list(reference or {}))
                    records[peer.key].update(start_seconds=seconds, run_peak_bytes=peak)
                    answer, named = {"comparable": True}, True
                if reference is None or not answer["comparable"] or not arrays:
                    records[peer.key]["accuracy"] = {"checked": False, "reason": "no reference" if reference is None else "other state than the reference"}
                else:
                    records[peer.key]["accuracy"] = accuracy.accuracy(arrays, reference, named)
            except (PeerFailed, CompileFailed, OSError, ValueError) as failure:
                records[peer.key]["error"] = "results: %s" % failure
                peer.kill()

    def precision(self, key):
        return PRECISIONS[key] if key in PRECISIONS else PEERS[key].precision
