#!/usr/bin/env python3
"""The process of one peer: loads a model, then measures on request. Started by remote_peer.py; reads lines, answers in JSON lines.

  worker.py load PEER FILE --threads N --input NAME=FILE...
      first answers {"ready": true, ...}; then to `0.2` (seconds of a slice) as an artifact's `bench --slices` does, and to
      `outputs FOLDER` after writing the results there.
  worker.py prepare PEER MODEL PREFIX --input NAME=FILE...
      makes what `load` needs, and answers once.
"""
import argparse
import json
import os
import statistics
import sys
import time

from peers import PEERS
from peers.peer import NotForThisPeer


class Slices:
    """Runs `call` for a time; the median counts."""

    def __init__(self, call, last=0.0):
        self.call, self.last = call, last

    def warm_ups(self):
        """Runs that bring the caches back which others took; a long run does that itself."""
        return 0 if self.last >= 0.25 else 1 if self.last >= 0.02 else 2

    def measure(self, seconds):
        call, clock, times = self.call, time.perf_counter, []
        for _ in range(self.warm_ups()):
            call()
        end = clock() + seconds
        while True:
            start = clock()
            call()
            now = clock()
            times.append(now - start)
            if now >= end:
                break
        self.last = statistics.median(times)
        return {"median_seconds": self.last, "minimum_seconds": min(times), "runs": len(times)}


def quickest(ways, first_seconds):
    """The quickest way of running, by name: a peer is measured at its best. In a slow model the ways do not differ."""
    if len(ways) == 1 or first_seconds > 0.05:
        return next(iter(ways))
    medians = {}
    for name, call in ways.items():
        slices = Slices(call)
        slices.measure(0.02)
        medians[name] = min(slices.measure(0.05)["median_seconds"] for _ in range(3))
    return min(medians, key=medians.get)


def serve(peer, options, inputs, answer):
    import numpy
    began = time.monotonic()
    ways = peer.load(options.file, inputs, options.threads)
    loaded = time.monotonic()
    next(iter(ways.values()))()
    first = time.monotonic()
    answer({"ready": True, "load_seconds": loaded - began, "first_seconds": first - loaded, "answered": first})
    way = None
    for line in sys.stdin:
        words = line.split(None, 1)
        if not words:
            continue
        if way is None:
            way = quickest(ways, first - loaded)
            slices = Slices(ways[way], first - loaded)
        if words[0] == "outputs":
            folder = words[1].strip()
            os.makedirs(folder, exist_ok=True)
            names = []
            for position, (name, array) in enumerate(peer.outputs(ways[way]()).items()):
                numpy.save(os.path.join(folder, "%d.npy" % position), numpy.asarray(array))
                names.append(name)
            answer({"names": names, "comparable": peer.comparable, "way": way})
        else:
            answer(slices.measure(float(words[0])))


def main():
    # What libraries print must not get between the answers.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(message):
        out.write(json.dumps(message) + "\n")
        out.flush()

    try:
        import numpy
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("verb", choices=["load", "prepare"])
        parser.add_argument("peer", choices=list(PEERS))
        parser.add_argument("file")
        parser.add_argument("prefix", nargs="?")
        parser.add_argument("--threads", type=int, default=1)
        parser.add_argument("--input", action="append", default=[])
        parser.add_argument("--seconds", type=float, default=600)
        parser.add_argument("--tensorflow-python", default="")
        options = parser.parse_args()
        inputs = {name: numpy.load(path) for name, _, path in (word.rpartition("=") for word in options.input)}
        peer = PEERS[options.peer]()
        if options.verb == "prepare":
            peer.prepare(options.file, options.prefix, inputs, options)
            answer({"ready": True})
        else:
            serve(peer, options, inputs, answer)
    except NotForThisPeer as reason:
        answer({"not_for_this_peer": str(reason)})
    except BaseException as error:  # Whatever a peer throws is reported, and ends only its process.
        answer({"error": "%s: %s" % (type(error).__name__, " ".join(str(error).split())[:300])})
    finally:
        out.flush()
        os._exit(0)  # Some peers hang or crash in their destructors.


if __name__ == "__main__":
    main()
