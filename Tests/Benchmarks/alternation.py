"""Measures peers in turn, in short slices of the same minutes: drift of the machine hits all alike."""
import statistics
import time

from remote_peer import PeerFailed, stolen_seconds


class Slices:
    """What one peer's slices gave."""

    def __init__(self):
        self.medians, self.minimum, self.runs, self.disturbed, self.error = [], None, 0, 0, None

    def add(self, answer, quiet):
        self.medians.append(answer["median_seconds"])
        self.minimum = min(self.minimum or answer["minimum_seconds"], answer["minimum_seconds"])
        self.runs += answer["runs"]
        self.disturbed += not quiet

    def record(self):
        """For the results: the median of the slices' medians is what counts."""
        if not self.medians or self.error:
            return {"error": self.error or "not measured"}
        return {
            "seconds": statistics.median(self.medians), "fastest_seconds": self.minimum, "slice_medians": [float("%.5g" % value) for value in self.medians],
            "runs": self.runs, "disturbed": self.disturbed}


class Alternation:
    """How to alternate.

    - slice_seconds: of one slice; a slice holds at least one run.
    - rounds: slices of each peer; `seconds` may end them sooner, after three.
    - boost: "fifo", "nice" or None.
    """

    def __init__(self, slice_seconds=0.2, rounds=8, seconds=60, timeout=120, boost=None, retries=4):
        self.slice_seconds, self.rounds, self.seconds, self.timeout, self.boost, self.retries = slice_seconds, rounds, seconds, timeout, boost, retries

    def measure(self, peers, threads):
        """Slices by key. A peer that fails is left out from there on."""
        results = {peer.key: Slices() for peer in peers}
        live = list(peers)
        for peer in peers:
            peer.pause()

        def attempt(peer, action):
            try:
                peer.resume()
                if self.boost:
                    peer.boost(self.boost)
                action(peer, results[peer.key])
            except PeerFailed as failure:
                results[peer.key].error = str(failure)
                live.remove(peer)
                peer.kill()
                return
            peer.pause()

        for peer in list(live):
            # Caches fill, a way of running is chosen, and a slow peer learns that it needs no warming up.
            attempt(peer, lambda peer, _: peer.ask("%g" % min(0.3, 2 * self.slice_seconds), self.timeout))
        end = time.monotonic() + self.seconds
        for number in range(self.rounds):
            if number >= 3 and time.monotonic() > end:
                break
            # Another peer begins every round.
            turn = live[number % len(live):] + live[:number % len(live)] if live else []
            for peer in turn:
                attempt(peer, lambda peer, slices: slices.add(*self.quiet_slice(peer, threads, end)))
        return results

    def quiet_slice(self, peer, threads, end):
        """(answer, was quiet): a slice in which the process hardly waited for a processor; the quietest of several otherwise."""
        quietest = None
        for number in range(self.retries + 1):
            time.sleep(0.01)
            waited, stolen, start = peer.waited_seconds(), stolen_seconds(), time.monotonic()
            answer = peer.ask("%g" % self.slice_seconds, self.timeout)
            share = (peer.waited_seconds() - waited + stolen_seconds() - stolen) / (time.monotonic() - start)
            if quietest is None or share < quietest[0]:
                quietest = (share, answer)
            if share <= 0.03 * threads:
                return answer, True
            if time.monotonic() > end:
                break
            time.sleep(0.1)
        return quietest[1], False
