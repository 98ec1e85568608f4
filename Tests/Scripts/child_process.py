"""Runs a program to its end and says what it cost: seconds, peak memory, exit status."""
import signal
import subprocess
import tempfile
import threading
import time


class Finished:
    """A child that has ended. `seconds` is wall-clock time, `peak_bytes` its largest resident set."""

    def __init__(self, status, output, errors, seconds, peak_bytes):
        self.status, self.output, self.errors, self.seconds, self.peak_bytes = status, output, errors, seconds, peak_bytes

    @property
    def crashed(self):
        """True if a signal ended it."""
        return self.status < 0

    @property
    def complaint(self):
        """The first lines of what it said went wrong, on one line."""
        text = (self.errors.strip() or self.output.strip() or "no message").splitlines()
        cause = "signal %d: " % -self.status if self.crashed else "exit %d: " % self.status
        return cause + " | ".join(line.strip() for line in text[:4])


class PeakMemory(threading.Thread):
    """Watches the largest resident set of a process (VmHWM). `ru_maxrss` would count this script too: a child begins as its copy."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.bytes, self.over = process, 0, threading.Event()

    def run(self):
        while not self.over.is_set():
            try:
                with open("/proc/%d/status" % self.process) as status:
                    for line in status:
                        if line.startswith("VmHWM:"):
                            self.bytes = max(self.bytes, int(line.split()[1]) * 1024)
            except OSError:
                return
            self.over.wait(0.004)


def run(arguments, seconds=600, directory=None):
    """Runs `arguments`; a child that takes longer than `seconds` is killed (status -9)."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.monotonic()
        child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, cwd=directory)
        watchdog = threading.Timer(seconds, child.send_signal, [signal.SIGKILL])
        watchdog.start()
        memory = PeakMemory(child.pid)
        memory.start()
        try:
            child.wait()
        finally:
            watchdog.cancel()
            memory.over.set()
        elapsed = time.monotonic() - start
        output.seek(0)
        errors.seek(0)
        return Finished(child.returncode, output.read().decode(errors="replace"), errors.read().decode(errors="replace"), elapsed, memory.bytes)
