"""A compiled artifact that serves HTTP on a free port of this machine, for the length of a `with` block."""
import http.client
import json
import os
import select
import signal
import subprocess
import time

# The names that the Open Inference Protocol has for NumPy's types.
PROTOCOL_TYPES = {
    "float32": "FP32", "float64": "FP64", "float16": "FP16", "int8": "INT8", "int16": "INT16", "int32": "INT32", "int64": "INT64", "uint8": "UINT8", "uint16": "UINT16",
    "uint32": "UINT32", "uint64": "UINT64", "bool": "BOOL"}


class ServedArtifact:
    """Starts `ARTIFACT serve --port 0`, waits until it prints its address, and stops it with SIGTERM at the end."""

    def __init__(self, artifact, options=()):
        self.artifact, self.options = artifact, list(options)

    def __enter__(self):
        self.started = time.monotonic()
        self.process = subprocess.Popen([self.artifact, "serve", "--port", "0"] + self.options, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        line = self._first_line(30)
        if " on http://" not in line:
            self.process.kill()
            raise RuntimeError("%s serve said: %s" % (self.artifact, line.strip() or "nothing"))
        self.listening_seconds = time.monotonic() - self.started
        self.name = line.split()[1]
        self.host, port = line.strip().rsplit("http://", 1)[1].split(":")
        self.port = int(port)
        return self

    def _first_line(self, seconds):
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return self.process.stdout.readline().decode(errors="replace") if ready else ""

    def connection(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=60)

    def request(self, method, path, body=None, connection=None):
        """One exchange: status and body, decoded if it is JSON."""
        link = connection or self.connection()
        link.request(method, path, body if body is None or isinstance(body, (bytes, str)) else json.dumps(body), {"Content-Type": "application/json"})
        reply = link.getresponse()
        content = reply.read()
        if connection is None:
            link.close()
        try:
            return reply.status, json.loads(content)
        except ValueError:
            return reply.status, content.decode(errors="replace")

    def infer(self, inputs, outputs, connection):
        """The named outputs as bytes, for arrays by name: tensors travel as they lie in memory (binary tensor data extension)."""
        header = {
            "inputs": [
                {"name": name, "datatype": PROTOCOL_TYPES[array.dtype.name], "shape": list(array.shape), "parameters": {"binary_data_size": array.nbytes}}
                for name, array in inputs.items()],
            "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in outputs]}
        text = json.dumps(header).encode()
        body = b"".join([text] + [array.tobytes() for array in inputs.values()])
        connection.request("POST", "/v2/models/%s/infer" % self.name, body, {"Inference-Header-Content-Length": str(len(text)), "Content-Type": "application/octet-stream"})
        reply = connection.getresponse()
        content = reply.read()
        if reply.status != 200:
            raise RuntimeError("HTTP %d: %s" % (reply.status, content[:400].decode(errors="replace")))
        length = int(reply.getheader("Inference-Header-Content-Length"))
        found, position = {}, length
        for output in json.loads(content[:length])["outputs"]:
            size = output["parameters"]["binary_data_size"]
            found[output["name"]] = (output["shape"], content[position:position + size])
            position += size
        return found

    def stop(self):
        """SIGTERM, and the exit status once it has drained."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
        return self.process.wait(60)

    def __exit__(self, *_):
        try:
            self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.process.stdout.close()
