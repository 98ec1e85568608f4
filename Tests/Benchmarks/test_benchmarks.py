"""Tests of the parts that need no model, no peer and no compiler: `run.py --self-test`, or python3 -m unittest in this folder."""
import json
import os
import sys
import tempfile
import unittest
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "Scripts")]

import numpy

import accuracy
import comparison
import int8_table
import plot
import profiles
import readme_block
import report
from alternation import Alternation
from alternation_options import half_spread
from machine_limits import MachineLimits
from models import Model
from remote_peer import PeerFailed, RemotePeer
from results import Results


def case(model, threads=1, batch=1, gflop=1.0, **times):
    """A record: seconds by peer; (seconds, relative L2) where the results differ."""
    peers = {}
    for key, value in times.items():
        seconds, distance = value if isinstance(value, tuple) else (value, 1e-7)
        peers[key.replace("_", "-")] = {"seconds": seconds, "accuracy": {"checked": True, "agrees": distance < 1e-4, "reason": None, "max_abs": distance, "max_rel": distance, "relative_l2": distance}}
    return {"model": model, "batch": batch, "threads": threads, "gflop": gflop, "peers": peers, "ingot": "x", "seconds_spent": 1}


def some_results():
    results = Results()
    results.limits = {"fma_fp32_512 1": 100.0, "fma_fp32_512 2": 200.0, "dot_bf16_512 1": 200.0}
    results.about = {"date": "2026-01-02", "machine": "a <machine>", "processors": 2, "ingot": "1", "versions": {"ort": "9"}}
    results.cases = [
        case("one", ingot=0.01, ort=0.02, openvino=0.04, ncnn=(0.001, 0.5)), case("one", threads=2, ingot=0.02, ort=0.01), case("tiny", ingot=1e-7, ort=1e-5),
        case("one", batch=8, gflop=8.0, ingot=0.1, ort=0.2), case("narrow", ingot=0.04, ingot_bf16=(0.02, 1e-3), openvino_bf16=(0.03, 1e-3))]
    results.cases[0]["peers"]["litert"] = {"error": "no | file"}
    return results


class ComparisonTests(unittest.TestCase):
    def test_a_peer_with_other_results_is_no_yardstick(self):
        self.assertEqual(comparison.best_peer(some_results().cases[0]), "ort")

    def test_ratio_says_how_many_times_faster(self):
        first = some_results().cases[0]
        self.assertAlmostEqual(comparison.ratio(first, "ort"), 2)
        self.assertAlmostEqual(comparison.ratio(first, "openvino"), 4)
        self.assertIsNone(comparison.ratio(first, "litert"))
        self.assertIsNone(comparison.ratio(first, None))

    def test_means_with_and_without_tiny_models(self):
        found = comparison.means(comparison.select(some_results(), 1, 1))
        self.assertAlmostEqual(found["all"]["best_peer"], (2 * 100) ** 0.5)
        self.assertAlmostEqual(found["without tiny models"]["best_peer"], 2)
        self.assertEqual(comparison.means(comparison.select(some_results(), 1, 2))["all"]["behind"], ["one"])
        self.assertIsNone(comparison.geometric_mean([None]))

    def test_fractions_of_the_peak(self):
        results = some_results()
        self.assertAlmostEqual(comparison.fraction_of_peak(results, results.cases[0]), 1)
        self.assertAlmostEqual(comparison.fraction_of_peak(results, results.cases[4], "ingot-bf16"), 0.25)
        self.assertIsNone(comparison.fraction_of_bandwidth(results, results.cases[0]))
        self.assertAlmostEqual(comparison.fraction_of_bandwidth(results, {**results.cases[0], "streaming_seconds": 0.009}), 0.9)

    def test_only_models_that_stream_their_weights_are_held_to_the_bandwidth(self):
        self.assertEqual(Model("decode", gflop=0.2, weight_bytes=500_000_000).streamed_bytes, 4e8)
        self.assertIsNone(Model("vision", gflop=8, weight_bytes=100_000_000).streamed_bytes)
        self.assertIsNone(Model("unknown").streamed_bytes)


class ReportTests(unittest.TestCase):
    def test_times_have_four_digits_and_a_unit(self):
        self.assertEqual([report.shown(value) for value in (2.5, 0.0123456, 4.5e-6, 7.89e-8, None)], ["2.50 s", "12.3 ms", "4.50 µs", "78.9 ns", "-"])

    def test_every_part_is_there(self):
        text = report.markdown(some_results())
        for part in ("fp32, batch 1, 1 thread\n", "fp32, batch 1, 2 threads\n", "## bf16", "## Batches", "## What did not run", "no / file", "1.00 ms ‡"):
            self.assertIn(part, text)
        columns = 0
        for line in text.splitlines():
            if line.startswith("| ") and not columns:
                columns = line.count("|")
            elif line.startswith("|"):
                self.assertEqual(line.count("|"), columns, line)
            else:
                columns = 0

    def test_nothing_measured_is_a_report_too(self):
        self.assertIn("Ingot", report.markdown(Results()))

    def test_the_picture_is_well_formed_and_cuts_long_bars(self):
        picture = plot.svg(some_results())
        root = xml.etree.ElementTree.fromstring(picture)
        words = "".join(root.itertext())
        for part in ("one", "tiny", "100.00", "2.00", "0.50", "a <machine>"):
            self.assertIn(part, words)
        for bar in root.iter("{http://www.w3.org/2000/svg}rect"):
            self.assertLessEqual(float(bar.get("x", 0)) + float(bar.get("width")), plot.WIDTH)

    def test_the_block_replaces_what_is_between_the_marks_only(self):
        text = "before\n%s\nold\n%s\nafter\n" % (readme_block.BEGIN, readme_block.END)
        new = readme_block.rewritten(text, some_results(), "Tests/ratio.svg")
        self.assertTrue(new.startswith("before\n" + readme_block.BEGIN) and new.endswith(readme_block.END + "\nafter\n"))
        self.assertNotIn("old", new)
        self.assertIn("| one | ", new)
        self.assertEqual(readme_block.rewritten(new, some_results(), "Tests/ratio.svg"), new)
        with self.assertRaises(readme_block.NoMarks):
            readme_block.rewritten("no marks", some_results(), "")


class ProfileTests(unittest.TestCase):
    report = {"steps": [
        {"name": "dot_a", "origin": "a", "seconds": 0.02, "flops": 10**9, "bytes": 10**6, "note": "dot, tile 14x32"},
        {"name": "dot_b", "origin": "b", "seconds": 0.04, "flops": 10**9, "bytes": 10**6, "note": "dot, tile 1x64"},
        {"name": "loop_c", "origin": "c", "seconds": 0.04, "flops": None, "bytes": 10**9, "note": ""}]}

    def test_kinds_and_losses(self):
        rows, losses = profiles.summary(self.report, 100.0)
        self.assertEqual([(row["kind"], row["steps"]) for row in rows], [("dot", 2), ("loop", 1)])
        self.assertAlmostEqual(rows[0]["share"], 0.6)
        self.assertEqual([loss["origin"] for loss in losses], ["c", "b", "a"])

    def test_they_are_in_the_report(self):
        results = some_results()
        kinds, losses = profiles.summary(self.report, 100.0)
        results.profiles = [{"model": "one", "batch": 1, "threads": 1, "best_peer": "ort", "ratio": 0.5, "kinds": kinds, "losses": losses}]
        self.assertIn("Behind the best peer", report.markdown(results))


class ResultsTests(unittest.TestCase):
    def test_a_case_is_resumed_only_for_the_same_ingot_and_peers(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "results.json")
            results = Results(path)
            results.put(case("one", ingot=1, ort=2))
            results.put(case("one", ingot=3, ort=4))
            results.save()
            again = Results.load(path)
        self.assertEqual(len(again.cases), 1)
        self.assertTrue(again.is_done("one", 1, 1, "x", ["ingot", "ort"]))
        self.assertFalse(again.is_done("one", 1, 1, "another", ["ingot", "ort"]))
        self.assertFalse(again.is_done("one", 1, 1, "x", ["ingot", "ncnn"]))
        self.assertFalse(again.is_done("two", 1, 1, "x", []))


class AccuracyTests(unittest.TestCase):
    want = {"a": numpy.arange(24, dtype=numpy.float32).reshape(1, 2, 3, 4)}

    def test_layouts_and_lost_names_and_batches(self):
        for got in (self.want["a"], self.want["a"][0], self.want["a"].transpose(0, 2, 3, 1)):
            self.assertTrue(accuracy.accuracy({"0": got}, self.want, names_count=False)["agrees"])
        self.assertFalse(accuracy.accuracy({"0": self.want["a"]}, self.want)["checked"])

    def test_differences_are_measured(self):
        found = accuracy.accuracy({"a": self.want["a"] * numpy.float32(1.01)}, self.want)
        self.assertFalse(found["agrees"])
        self.assertAlmostEqual(found["relative_l2"], 0.01, places=5)

    def test_other_sizes_are_not_compared(self):
        self.assertFalse(accuracy.accuracy({"0": numpy.zeros(5)}, self.want, names_count=False)["checked"])


class Int8TableTests(unittest.TestCase):
    row = lambda seconds, size=1_000_000: {"seconds": seconds, "fastest_seconds": seconds, "half_spread": 0.02, "bytes": size}
    case = {"model": "net", "batch": 1, "threads": 2, "rows": {
        "Ingot fp32": row(0.04), "Ingot, QDQ file": row(0.01), "ONNX Runtime, QDQ file": row(0.03), "OpenVINO, NNCF": row(0.02), "OpenVINO, QDQ file": {"error": "no"},
        "VNNI peak": row(0.008, 0)}}

    def test_ratios_are_to_float_to_the_best_peer_and_to_the_peak(self):
        self.assertEqual(int8_table.best_peer(self.case), "OpenVINO, NNCF")
        for found, wanted in zip(int8_table.facts(self.case, "Ingot, QDQ file"), (4, 2, 0.8)):
            self.assertAlmostEqual(found, wanted)
        self.assertIsNone(int8_table.facts(self.case, "Ingot fp32")[2])

    def test_rows_that_were_not_measured_are_said_to_be(self):
        self.assertTrue(any(line.split() == ["OpenVINO,", "QDQ", "file", "no"] for line in int8_table.row_lines(self.case)))
        table = int8_table.markdown([self.case]).splitlines()
        self.assertEqual({line.count("|") for line in table}, {11})
        self.assertIn("| net | 1 | 2 | OpenVINO, NNCF (best peer) | 20.000 ±2% | 20.000 | 1.0 | 2.00x | 1.00x | 40 % |", table)

    def test_half_of_the_distance_of_the_slices(self):
        self.assertAlmostEqual(half_spread({"seconds": 0.1, "slice_medians": [0.1, 0.12, 0.09]}), 0.15)
        self.assertIsNone(half_spread({"error": "no"}))


class ProcessTests(unittest.TestCase):
    """With a shell as the peer."""

    def peer(self, script, key="shell"):
        return RemotePeer(key, ["sh", "-c", script], os.devnull)

    def test_slices_alternate_and_a_failing_peer_stops_nobody(self):
        good = self.peer('while read seconds; do echo \'{"median_seconds": 0.5, "minimum_seconds": 0.25, "runs": 2}\'; done', "good")
        bad = self.peer('read seconds; echo \'{"error": "broken"}\'', "bad")
        gone = self.peer("exit 3", "gone")
        try:
            results = Alternation(slice_seconds=0.01, rounds=5, seconds=30, timeout=10, retries=0).measure([bad, good, gone], 1)
        finally:
            for peer in (good, bad, gone):
                peer.kill()
        record = results["good"].record()
        self.assertEqual((record["seconds"], record["fastest_seconds"], record["runs"]), (0.5, 0.25, 10))
        self.assertEqual(results["bad"].record(), {"error": "broken"})
        self.assertIn("error", results["gone"].record())

    def test_a_peer_that_hangs_is_given_up(self):
        peer = self.peer("sleep 60")
        try:
            with self.assertRaises(PeerFailed):
                peer.ask("0.1", 0.2)
        finally:
            peer.kill()
        self.assertIsNotNone(peer.process.poll())

    def test_an_answer_that_is_no_json_is_a_failure(self):
        peer = self.peer("echo hello; sleep 60")
        try:
            with self.assertRaises(PeerFailed):
                peer.answer(10)
        finally:
            peer.kill()


class LimitsTests(unittest.TestCase):
    def test_lines_of_the_program(self):
        limits = MachineLimits(MachineLimits.parse("fma_fp32_512 1 117.59 117.20\nread_memory 1 20.48 20.31\nnoise\n"))
        self.assertEqual(limits.gflops(1), 117.59)
        self.assertEqual(limits.bandwidth("memory", 1), 20.48)
        self.assertIsNone(limits.gflops(2))
        self.assertIn("118 GFLOP/s", limits.sentence([1, 2]))
        self.assertIn("no C compiler", MachineLimits({}, "there is no C compiler").sentence([1]))
        json.dumps(limits.values)


if __name__ == "__main__":
    unittest.main()
