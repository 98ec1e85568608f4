#!/usr/bin/env python3
"""Loads a served artifact on this machine for a bounded time and counts what became of the requests.

Each client keeps one connection and sends the next request when the last is answered. A connection that the server closed
between two requests is opened again (as HTTP clients do); a server that no longer listens ends its client. A request that was
sent and not answered with 200 has failed.

  http_load.py http://127.0.0.1:8080/v1/models/iris:predict '{"instances": [[5.1, 3.5, 1.4, 0.2]]}' --seconds 3
"""
import argparse
import http.client
import json
import sys
import threading
import time
import urllib.parse


class Client(threading.Thread):
    """One connection that is always busy."""

    def __init__(self, address, path, body, deadline):
        super().__init__(daemon=True)
        self.address, self.path, self.body, self.deadline = address, path, body, deadline
        self.answered, self.failures, self.milliseconds = 0, [], []

    def run(self):
        link = None
        while time.monotonic() < self.deadline:
            if link is None:
                link = http.client.HTTPConnection(self.address, timeout=30)
                try:
                    link.connect()
                except ConnectionRefusedError:
                    return
                except OSError as error:
                    # Taken into the listener's backlog and dropped when it closed: nothing was sent.
                    if isinstance(error, ConnectionResetError):
                        return
                    self.failures.append(str(error))
                    return
                fresh = True
            start = time.monotonic()
            try:
                link.request("POST", self.path, self.body, {"Content-Type": "application/json"})
                reply = link.getresponse()
                content = reply.read()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
                link.close()
                link = None
                if fresh:
                    self.failures.append("on a new connection: %r" % error)
                continue
            except OSError as error:
                self.failures.append(repr(error))
                return
            fresh = False
            self.milliseconds.append((time.monotonic() - start) * 1e3)
            if reply.status == 200:
                self.answered += 1
            else:
                self.failures.append("HTTP %d: %s" % (reply.status, content[:200].decode(errors="replace")))
            if reply.will_close:
                link.close()
                link = None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("body", help="the JSON to post, or @FILE")
    parser.add_argument("--seconds", type=float, default=3, help="at most 60 (%(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="at most 64 (%(default)s)")
    options = parser.parse_args()
    url = urllib.parse.urlsplit(options.url)
    if url.hostname not in ("127.0.0.1", "localhost", "::1"):
        parser.error("the load is for servers on this machine")
    body = open(options.body[1:]).read() if options.body.startswith("@") else options.body
    deadline = time.monotonic() + min(options.seconds, 60)
    clients = [Client(url.netloc, url.path, body, deadline) for _ in range(max(1, min(options.clients, 64)))]
    start = time.monotonic()
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    elapsed = time.monotonic() - start
    times = sorted(value for client in clients for value in client.milliseconds)
    failures = [failure for client in clients for failure in client.failures]
    answered = sum(client.answered for client in clients)
    print(json.dumps({
        "answered": answered, "failed": len(failures), "seconds": round(elapsed, 3), "requests_per_second": round(answered / max(elapsed, 1e-9)),
        "median_ms": round(times[len(times) // 2], 3) if times else None, "p99_ms": round(times[int(len(times) * 0.99)], 3) if times else None,
        "failures": failures[:5]}))
    sys.exit(1 if failures or not answered else 0)


if __name__ == "__main__":
    main()
