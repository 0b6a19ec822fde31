"""10,000 mutated requests to `kiln serve`: a shape, a type, a value, a length or a byte is changed, or the end is cut off.

    python mutations.py KILN PICTURES TABLE [--artifacts DIR] [--requests 10000] [--seed 0]

Prints how often each status came, and the server's memory. Fails if the server panics, exits, answers 500 or 503, keeps a cut
request beyond its deadline, or afterwards answers a good request with other bytes than before.
"""

import argparse
import collections
import json
import random
import re
import socket
import struct
import time

from served import Served

ODD = [-1, 0, 1, 2, 63, 1 << 31, 1 << 40, (1 << 63) - 1, -(1 << 63), 1 << 64, 0.5, 1e308, None, True, "", "1", [], {}, [[]], "\ud800"]
RAW = [b"NaN", b"Infinity", b"-1e999", b"1e-999", b"null", b"[", b"}", b'"', b"\\", b"\x00", b"\xff\xfe", b"[" * 500]
TYPES = ["BOOL", "UINT8", "UINT64", "INT8", "INT64", "FP16", "FP32", "FP64", "BYTES", "BF16", "fp32", "", "FP8"]


def pictures(rng, binary):
    rows = rng.choice([1, 1, 2, 17])
    pixels = bytes(rng.randrange(256) for _ in range(784 * rows))
    tensor = {"name": "pixels", "shape": [rows, 1, 28, 28], "datatype": "UINT8"}
    if not binary:
        return {"inputs": [tensor | {"data": list(pixels)}]}, b""
    return {"inputs": [tensor | {"parameters": {"binary_data_size": len(pixels)}}]}, pixels


def table(rng, columns, binary):
    rows, inputs, raw = rng.choice([1, 2, 5]), [], b""
    for column in columns:
        number = column["datatype"] == "FP64"
        data = [rng.choice([0, 1.5, 1e9, None]) if number else rng.choice(["", "male", "S", "5"]) for _ in range(rows)]
        tensor = {"name": column["name"], "shape": [rows, 1], "datatype": column["datatype"]}
        if binary and number:
            data = struct.pack(f"<{rows}d", *(float("nan") if x is None else x for x in data))
        elif binary:
            data = b"".join(struct.pack("<I", len(x)) + x.encode() for x in data)
        if binary:
            raw += data
            inputs.append(tensor | {"parameters": {"binary_data_size": len(data)}})
        else:
            inputs.append(tensor | {"data": data})
    return {"inputs": inputs}, raw


def places(value, path=()):
    """The paths of everything in a JSON value; for long lists, of some items."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list):
        for at in range(min(len(value), 4)):
            yield from places(value[at], (*path, at))


def changed(rng, head):
    path = rng.choice(list(places(head))[1:] or [("inputs",)])
    parent = head
    for key in path[:-1]:
        parent = parent[key]
    kind, key = rng.randrange(4), path[-1]
    if kind == 0 and (isinstance(parent, list) or key in parent):
        del parent[key]
    elif kind == 1 and isinstance(parent, list):
        parent.insert(key, parent[key])
    elif key == "datatype":
        parent[key] = rng.choice(TYPES)
    else:
        parent[key] = rng.choice(ODD)


def request(rng, columns):
    """A mutated request, and whether its end is cut off."""
    binary, of_table = rng.random() < 0.5, rng.random() < 0.4
    head, raw = table(rng, columns, binary) if of_table else pictures(rng, binary)
    if rng.random() < 0.3:
        head["outputs"] = [{"name": "probabilities", "parameters": {rng.choice(["binary_data", "classification"]): rng.choice(ODD)}}]
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        changed(rng, head)
    text = json.dumps(head).encode()
    length = len(text)
    body = bytearray(text + raw)
    where = rng.random()
    if where < 0.15:
        at = rng.randrange(len(body) + 1)
        body[at : at + rng.choice([0, 1, 8])] = rng.choice(RAW)
    elif where < 0.25:
        del body[rng.randrange(len(body)) :]
    elif where < 0.3:
        for _ in range(5):
            body[rng.randrange(len(body))] = rng.randrange(256)
    headers = {"Content-Length": len(body)}
    if binary:
        headers["Inference-Header-Content-Length"] = length if rng.random() < 0.8 else rng.choice(ODD)
    elif rng.random() < 0.05:
        headers[rng.choice(["Content-Encoding", "Content-Type"])] = rng.choice(["gzip", "deflate", "br", "text/html", "", "\t"])
    is_cut = rng.random() < 0.02
    if is_cut:
        headers["Content-Length"] = len(body) + rng.choice([1, 1000, 1 << 20])
    elif rng.random() < 0.02:
        headers["Content-Length"] = rng.choice(["-1", 1 << 63, 1 << 40, "x", ""])
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if isinstance(value, (int, float, str)))
    model = "table" if of_table != (rng.random() < 0.02) else "pictures"
    return f"POST /v2/models/{model}/infer HTTP/1.1\r\nHost: k\r\n{lines}\r\n".encode("utf-8", "replace") + bytes(body), is_cut


def ask(address, text, is_cut):
    """The status; None if the connection was closed without one."""
    with socket.create_connection(address, 30) as connection:
        try:
            connection.sendall(text)
            # Half of the cut clients disconnect, half wait.
            if is_cut and len(text) % 2:
                return "gone away"
            got = connection.recv(1 << 16)
        except (ConnectionResetError, BrokenPipeError):
            return "closed"
    found = re.match(rb"HTTP/1.1 (\d+)", got)
    return int(found[1]) if found else "closed"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kiln")
    parser.add_argument("pictures")
    parser.add_argument("table")
    parser.add_argument("--artifacts", default="artifacts")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    models = [f"pictures={given.pictures}", f"table={given.table}"]
    with Served(given.kiln, *models, "--timeout", "1", "--artifacts", given.artifacts) as server:
        address, rng = server.place, random.Random(given.seed)

        def whole(text):
            with socket.create_connection(address, 30) as connection:
                connection.sendall(text.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n", 1))
                got = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            return got.split(b"\r\n\r\n", 1)[1]

        metadata = b"GET /v2/models/table HTTP/1.1\r\nHost: k\r\n\r\n"
        columns = json.loads(whole(metadata))["inputs"]
        body = json.dumps(pictures(random.Random(1), False)[0]).encode()
        good = b"POST /v2/models/pictures/infer HTTP/1.1\r\nHost: k\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        before, statuses, slowest = whole(good), collections.Counter(), 0.0
        first = None
        for number in range(given.requests):
            text, is_cut = request(rng, columns)
            begun = time.perf_counter()
            status = ask(address, text, is_cut)
            slowest = max(slowest, time.perf_counter() - begun)
            statuses[status] += 1
            assert status not in (500, 503) and server.process.poll() is None, (number, status, text[:2000])
            if number == given.requests // 10:
                first = server.memory()
        assert whole(good) == before, "a good request is answered otherwise than before"
        assert slowest < 5, slowest
        print(dict(sorted(statuses.items(), key=str)))
        print(f"slowest {slowest:.2f} s; memory {first:.1f} MB after a tenth, {server.memory():.1f} MB at the end")
        assert server.end() == 0 and "panicked" not in server.said(), server.said()


if __name__ == "__main__":
    main()
