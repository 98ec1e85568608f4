"""What this machine reaches at most, measured with limits.c: fused multiply-adds, reading and copying."""
import os
import shutil
import subprocess


class MachineLimits:
    """`values` maps "NAME THREADS" to the best of eleven runs; empty, with a reason, where they cannot be measured."""

    def __init__(self, values, reason=None):
        self.values, self.reason = values, reason

    @staticmethod
    def build(folder):
        """(the program, None), or (None, why it is not there)."""
        compiler = next((path for path in map(shutil.which, ("cc", "gcc", "clang")) if path), None)
        if compiler is None:
            return None, "there is no C compiler"
        program = os.path.join(folder, "limits")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "limits.c")
        made = subprocess.run([compiler, "-O2", "-pthread", source, "-o", program], capture_output=True, text=True)
        return (None, "limits.c does not compile here (it is for x86-64)") if made.returncode else (program, None)

    @classmethod
    def measure(cls, program, threads, priority=(), seconds=180):
        """- priority: a command such as `chrt -f 20` to start it with."""
        try:
            run = subprocess.run([*priority, program] + [str(count) for count in threads], capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return cls({}, "limits.c did not end within %d s" % seconds)
        return cls(cls.parse(run.stdout)) if run.returncode == 0 else cls({}, "limits.c failed: " + run.stderr.strip()[:100])

    @staticmethod
    def parse(text):
        values = {}
        for line in text.splitlines():
            words = line.split()
            if len(words) == 4:
                values["%s %s" % (words[0], words[1])] = float(words[2])
        return values

    def best(self, names, threads):
        return max((self.values["%s %d" % (name, threads)] for name in names if "%s %d" % (name, threads) in self.values), default=None)

    def gflops(self, threads, precision="fp32"):
        """The peak of multiply-adds, or None. Above 16 bits less there may be an instruction of its own."""
        return self.best(["dot_bf16_512"] if precision == "bf16" else ["fma_fp32_512", "fma_fp32_256"], threads)

    def bandwidth(self, level, threads, copying=False):
        """GB/s from "L1", "L2", "L3" or "memory"."""
        return self.best(["%s_%s" % ("copy" if copying else "read", level)], threads)

    def sentence(self, threads):
        if self.reason:
            return "The machine's limits were not measured: %s." % self.reason
        parts = []
        for count in threads:
            if self.gflops(count):
                parts.append("%d thread%s: %.0f GFLOP/s fp32%s, reading %.0f GB/s from the second cache and %.1f GB/s from memory" % (
                    count, "s" if count > 1 else "", self.gflops(count), ", %.0f bf16" % self.gflops(count, "bf16") if self.gflops(count, "bf16") else "",
                    self.bandwidth("L2", count) or float("nan"), self.bandwidth("memory", count) or float("nan")))
        return "This machine reaches, in the same run, with " + "; ".join(parts) + "."
