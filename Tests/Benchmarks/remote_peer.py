"""A peer in a process of its own: asked in lines, answered in JSON lines, stopped while others run, never waited for without a limit."""
import ctypes
import json
import os
import select
import signal
import subprocess
import time


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def end_with_parent():
    """In a child, before it runs its program: a stopped process would outlive a benchmark that was killed."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class PeerFailed(Exception):
    """The process ended, answered an error, or did not answer in time."""


class RemotePeer:
    """One process. `key` names it in the results."""

    def __init__(self, key, command, log, environment=None):
        self.key, self.boosted, self.buffer = key, False, b""
        self.started = time.monotonic()
        with open(log, "ab") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env={**os.environ, **(environment or {})}, bufsize=0, start_new_session=True,
                preexec_fn=end_with_parent)
        self.pid = self.process.pid

    def answer(self, seconds):
        """The next line, as JSON."""
        end = time.monotonic() + seconds
        while b"\n" not in self.buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise PeerFailed("no answer within %d s" % seconds)
            piece = os.read(self.process.stdout.fileno(), 1 << 16)
            if not piece:
                raise PeerFailed("the process ended (status %s)" % self.process.wait())
            self.buffer += piece
        line, _, self.buffer = self.buffer.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            raise PeerFailed("answers %r" % line[:80])
        if "error" in message:
            raise PeerFailed(message["error"])
        return message

    def ask(self, text, seconds):
        try:
            self.process.stdin.write((text + "\n").encode())
        except OSError as error:
            raise PeerFailed("the process is gone: %s" % error)
        return self.answer(seconds)

    def pause(self):
        """Keeps its threads from spinning while another peer is measured."""
        self.send(signal.SIGSTOP)

    def resume(self):
        self.send(signal.SIGCONT)

    def send(self, number):
        try:
            os.killpg(self.pid, number)
        except OSError:
            pass

    def kill(self):
        self.send(signal.SIGKILL)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            pass
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()

    def threads(self):
        try:
            return [int(name) for name in os.listdir("/proc/%d/task" % self.pid)]
        except OSError:
            return []

    def boost(self, how):
        """Puts its threads before other work of the machine (needs root). Those that they start later inherit it."""
        if how == "nice" and not self.boosted:
            # Sessions compete as groups, and this process leads one.
            self.boosted = True
            try:
                with open("/proc/%d/autogroup" % self.pid, "w") as group:
                    group.write("-20")
            except OSError:
                pass
        for thread in self.threads():
            try:
                if how == "fifo":
                    os.sched_setscheduler(thread, os.SCHED_FIFO, os.sched_param(20))
                elif how == "nice":
                    os.setpriority(os.PRIO_PROCESS, thread, -20)
            except OSError:
                return

    def waited_seconds(self):
        """How long its threads were runnable without running, since it started."""
        total = 0
        for thread in self.threads():
            try:
                with open("/proc/%d/task/%d/schedstat" % (self.pid, thread)) as file:
                    total += int(file.read().split()[1])
            except (OSError, IndexError, ValueError):
                pass
        return total / 1e9

    def peak_bytes(self):
        """Its largest resident set."""
        try:
            with open("/proc/%d/status" % self.pid) as file:
                return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
        except (OSError, StopIteration):
            return None


def stolen_seconds():
    """Processor time that the hypervisor gave to others, of all processors."""
    try:
        with open("/proc/stat") as file:
            return int(file.readline().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0
