"""`kiln serve` under load, beside onnxruntime behind FastAPI and behind MLServer: one MNIST picture per request.

    python load.py KILN RUN [--artifacts DIR] [--seconds 5] [--rounds 3] [--fastapi PYTHON] [--mlserver PYTHON]

RUN is of configs/mnist.toml (784-512-128-10); the peers run its `kiln export`. Needs wrk. `--fastapi` names
a Python with fastapi, uvicorn, httptools, uvloop and onnxruntime, `--mlserver` one with mlserver and onnxruntime; this Python
needs numpy. The servers take turns, each figure is the median of the rounds, and all compute on one thread per request.
"""

import argparse
import atexit
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def wrk(folder, url, body, headers, connections, seconds):
    """Requests per second, and the latencies p50 and p99 in microseconds; an error fails the benchmark."""
    (folder / "body").write_bytes(body)
    lines = [f'wrk.headers["{name}"] = "{value}"' for name, value in headers.items()]
    script = f"""
local file = io.open("{folder / 'body'}", "rb")
wrk.method, wrk.body = "POST", file:read("*a")
{chr(10).join(lines)}
done = function(summary, latency, requests)
  io.write(string.format("figures %f %d %d %d\\n", summary.requests / summary.duration * 1e6, latency:percentile(50),
    latency:percentile(99), summary.errors.status + summary.errors.read + summary.errors.connect + summary.errors.timeout))
end
"""
    (folder / "load.lua").write_text(script)
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(folder / "load.lua"), url]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    figures = [float(word) for word in re.search(r"figures (.*)", out)[1].split()]
    assert figures[3] == 0, out
    return figures[:3]


def start(command, port, folder, env=None):
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **(env or {})}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    atexit.register(process.kill)
    begun = time.perf_counter()
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return process, time.perf_counter() - begun
        except OSError:
            assert process.poll() is None and time.perf_counter() - begun < 120, command
            time.sleep(0.002)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kiln")
    parser.add_argument("run")
    parser.add_argument("--artifacts", default="artifacts")
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fastapi")
    parser.add_argument("--mlserver")
    given = parser.parse_args()
    for name in ("kiln", "fastapi", "mlserver"):
        if getattr(given, name):
            setattr(given, name, str(Path(getattr(given, name)).absolute()))
    folder = Path(tempfile.mkdtemp())
    pixels = (np.arange(784) * 7 % 256).astype(np.uint8)
    head = {"inputs": [{"name": "pixels", "shape": [1, 784], "datatype": "UINT8"}]}
    head["inputs"][0]["parameters"] = {"binary_data_size": 784}
    head["outputs"] = [{"name": "probabilities", "parameters": {"binary_data": True}}]
    head = json.dumps(head).encode()
    as_json = {"Content-Type": "application/json"}
    in_json = {"inputs": [{"name": "pixels", "shape": [1, 1, 28, 28], "datatype": "UINT8", "data": pixels.tolist()}]}
    in_json = json.dumps(in_json).encode()
    in_binary = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}

    port = free_port()
    kiln = [given.kiln, "serve", f"mnist={given.run}", "--artifacts", str(Path(given.artifacts).resolve()), "--port", str(port)]
    process, seconds = start(kiln, port, Path.cwd())
    servers, started = [process], {"kiln": seconds}
    url = f"http://127.0.0.1:{port}/v2/models/mnist/infer"
    asked = [("kiln, v2 binary", url, head + pixels.tobytes(), in_binary), ("kiln, v2 JSON", url, in_json, as_json)]
    model = folder / "model.onnx"
    if given.fastapi or given.mlserver:
        command = [given.kiln, "export", given.run, "--artifacts", given.artifacts, "--output", str(model)]
        subprocess.run(command, check=True, capture_output=True)
    if given.fastapi:
        port = free_port()
        command = [given.fastapi, "-m", "uvicorn", "--app-dir", str(HERE), "fastapi_peer:app", "--port", str(port), "--log-level", "error"]
        process, started["fastapi"] = start(command, port, folder, {"MODEL_ONNX": str(model)})
        servers.append(process)
        rows = json.dumps({"pixels": pixels.reshape(1, 1, 28, 28).tolist()}).encode()
        asked.append(("FastAPI, raw bytes", f"http://127.0.0.1:{port}/binary", pixels.tobytes(), {}))
        asked.append(("FastAPI, JSON", f"http://127.0.0.1:{port}/predict", rows, as_json))
    if given.mlserver:
        port = free_port()
        settings = {"http_port": port, "grpc_port": free_port(), "metrics_port": free_port(), "parallel_workers": 0, "host": "127.0.0.1"}
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps({"name": "mnist", "implementation": "mlserver_peer.Onnx"}))
        env = {"MODEL_ONNX": str(model), "PYTHONPATH": str(HERE)}
        process, started["mlserver"] = start([given.mlserver, "-m", "mlserver.cli.main", "start", "."], port, folder, env)
        time.sleep(5)
        servers.append(process)
        asked.append(("MLServer, v2 JSON", f"http://127.0.0.1:{port}/v2/models/mnist/infer", in_json, as_json))
    try:
        for name, seconds in started.items():
            print(f"{name}: {seconds * 1e3:.0f} ms until it listens")
        for connections in (1, 8):
            found = {name: [] for name, *_ in asked}
            for _ in range(given.rounds):
                for name, url, body, headers in asked:
                    found[name].append(wrk(folder, url, body, headers, connections, given.seconds))
            for name, rounds in found.items():
                rate, half, most = (statistics.median(column) for column in zip(*rounds))
                print(f"{connections} connections | {name:18} | {rate:8.0f}/s | p50 {half:7.0f} us | p99 {most:7.0f} us")
    finally:
        for process in servers:
            process.terminate()
        for process in servers:
            process.wait()


if __name__ == "__main__":
    sys.exit(main())
