"""Arguments that the benchmarks of few models share: which tool, how long, and how to put what is measured before other work."""
import argparse
import json
import os

from alternation import Alternation
from benchmark_graphs import default_folder, default_ingot


class AlternationOptions:
    """Parses them beside a benchmark's own; `values` holds all."""

    def __init__(self, description, keeps, rounds, slice_seconds, seconds):
        """- keeps: what `--prepare` keeps, for its help."""
        self.parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        add = self.parser.add_argument
        add("--ingot", default=default_ingot(), help="the tool (%(default)s)")
        add("--models", default=default_folder(), help="folder of materialize.py (%(default)s)")
        add("--prepare", required=True, help="%s go here" % keeps)
        add("--threads", default="1", help="such as 1,2 (%(default)s)")
        add("--rounds", type=int, default=rounds, help="slices of each (%(default)s)")
        add("--slice", type=float, default=slice_seconds, help="seconds of a slice (%(default)s); at least one run")
        add("--seconds", type=float, default=seconds, help="no new round after this long, but three in any case (%(default)s)")
        add("--boost", choices=["fifo", "nice"], default=None, help="put what is measured before other work of the machine (root)")
        add("--json", help="write what was measured to this file")

    def parse(self):
        options = self.parser.parse_args()
        options.threads = [int(word) for word in options.threads.split(",")]
        os.makedirs(options.prepare, exist_ok=True)
        return options

    @staticmethod
    def slices(options, peers, threads):
        """Slices by the peers' keys."""
        return Alternation(slice_seconds=options.slice, rounds=options.rounds, seconds=options.seconds, boost=options.boost).measure(peers, threads)

    @staticmethod
    def save(options, found):
        if options.json:
            with open(options.json, "w") as file:
                json.dump(found, file, indent=1)


def half_spread(record):
    """Half of the distance between the quickest and the slowest slice, as a part of their median; None where nothing was measured."""
    medians = sorted(record.get("slice_medians", []))
    return (medians[-1] - medians[0]) / 2 / record["seconds"] if medians else None
