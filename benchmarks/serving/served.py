"""A `kiln serve` on a free port, for the scripts beside this one.

    python served.py KILN RUN [--artifacts DIR]     milliseconds from start to first answer, ten times
"""

import json
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path


class Served:
    """Starts the server and waits until it is ready; leaving a `with` kills it if it still runs."""

    def __init__(self, kiln, *arguments):
        self.stderr = tempfile.TemporaryFile("w+")
        command = [kiln, "serve", *arguments, "--port", "0", "--json"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.stderr, text=True)
        ready = ""
        while not ready.endswith("}\n") or ready.count("{") != ready.count("}"):
            line = self.process.stdout.readline()
            assert line, self.said()
            ready += line
        self.address = json.loads(ready)["address"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()

    @property
    def place(self):
        """Host and port, as sockets take them."""
        host, port = self.address.rsplit(":", 1)
        return host, int(port)

    def memory(self):
        """Its resident memory in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def said(self):
        self.stderr.seek(0)
        return self.stderr.read()

    def end(self):
        """Sends SIGTERM and returns the exit code."""
        self.process.terminate()
        return self.process.wait()


if __name__ == "__main__":
    for _ in range(10):
        begun = time.perf_counter()
        with Served(*sys.argv[1:]) as server:
            urllib.request.urlopen(f"http://{server.address}/v2/health/ready").read()
            print(f"{(time.perf_counter() - begun) * 1e3:.0f} ms")
