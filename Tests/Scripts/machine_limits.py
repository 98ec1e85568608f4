"""What this machine reaches at most: fused multiply-adds and reading memory, measured with shared/peers/limits.c."""
import os
import re
import shutil
import subprocess
import tempfile


class MachineLimits:
    """`values` maps a measurement and its threads to the best of 15 runs; empty where there is no C++ compiler or no source."""

    def __init__(self, values, reason=None):
        self.values = {"%s %d" % key: value for key, value in values.items()}
        self.reason = reason

    @classmethod
    def measure(cls, source, seconds=120):
        compiler = shutil.which("g++") or shutil.which("clang++")
        if compiler is None or not os.path.exists(source):
            return cls({}, "no C++ compiler" if compiler is None else source + " is not there")
        with tempfile.TemporaryDirectory(prefix="ingot-limits-") as folder:
            program = os.path.join(folder, "limits")
            made = subprocess.run([compiler, "-O3", "-march=native", "-pthread", "-x", "c++", source, "-o", program], capture_output=True, text=True)
            if made.returncode:
                return cls({}, "limits.c does not compile here (it needs AVX-512 with VNNI and BF16)")
            try:
                output = subprocess.run([program], capture_output=True, text=True, timeout=seconds).stdout
            except subprocess.TimeoutExpired:
                return cls({}, "limits.c did not end within %d s" % seconds)
        found = re.findall(r"^(\S+)\s+(\d)\s+min\s+\S+\s+median\s+\S+\s+max\s+(\S+)", output, re.MULTILINE)
        return cls({(name, int(threads)): float(best) for name, threads, best in found})

    def gflops(self, threads):
        """The machine's fp32 multiply-add peak on so many threads, or None."""
        found = [self.values.get("fma_fp32_%s %d" % (width, threads)) for width in ("avx512", "avx2")]
        return max((value for value in found if value), default=None)

    @property
    def lines(self):
        """Sentences for a report."""
        if self.reason:
            return ["Machine limits were not measured: %s." % self.reason]
        parts = []
        for threads in (1, 2):
            if self.gflops(threads):
                parts.append("%d thread%s: %.0f GFLOP/s fp32 FMA, %.1f GB/s from memory" % (
                    threads, "s" if threads > 1 else "", self.gflops(threads), self.values.get("read_DRAM_512M %d" % threads, float("nan"))))
        return ["This machine reaches, in the same run: " + "; ".join(parts) + "."]
