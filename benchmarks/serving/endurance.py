"""`kiln serve` for a long time near its greatest load, with reloads, and a SIGTERM under load.

    python endurance.py KILN RUN [--artifacts DIR] [--seconds 600] [--share 0.8] [--clients 4]

RUN is a run on MNIST. Each client is a process with one connection. The clients first send as fast as they can, then at a share of
that rate. Every answer must have the id of its request and the bytes of the first answer. The runs are reloaded every five seconds.
At the end the server gets SIGTERM, and must answer every request sent by then.
"""

import argparse
import json
import multiprocessing
import re
import signal
import socket
import time
from dataclasses import dataclass, field

from served import Served

PIXELS = [at * 7 % 256 for at in range(784)]


@dataclass
class Found:
    answered: int = 0
    wrong: int = 0
    lost: int = 0
    micros: list = field(default_factory=list)


def request(number):
    inputs = [{"name": "pixels", "shape": [1, 784], "datatype": "UINT8", "data": PIXELS}]
    body = json.dumps({"id": f"{number:010}", "inputs": inputs, "outputs": [{"name": "probabilities"}]})
    head = "POST /v2/models/mnist/infer HTTP/1.1\r\nHost: kiln\r\nContent-Type: application/json"
    return f"{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


def answer(connection):
    """Head and body of an answer."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = connection.recv(1 << 16)
        if not more:
            raise ConnectionError("closed before it answered")
        got += more
    head, body = got.split(b"\r\n\r\n", 1)
    length = int(re.search(rb"content-length: (\d+)", head)[1])
    while len(body) < length:
        more = connection.recv(1 << 16)
        if not more:
            raise ConnectionError("closed within its answer")
        body += more
    return head, body


def client(address, seconds, rate, results):
    """Sends requests until the time is over or the server is gone; without a `rate`, as fast as it can."""
    found, expected, number, due = Found(), None, 0, time.monotonic()
    end = due + seconds
    text = request(0)
    place = text.index(b"0000000000")
    before, after = text[:place], text[place + 10 :]
    connection = None
    while time.monotonic() < end:
        if rate:
            due += 1 / rate
            time.sleep(max(0, due - time.monotonic()))
        if connection is None:
            try:
                connection = socket.create_connection(address)
            except OSError:
                # The server does not listen, or no longer.
                break
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number += 1
        begun = time.perf_counter()
        try:
            connection.sendall(b"%s%010d%s" % (before, number, after))
            head, body = answer(connection)
        except OSError:
            found.lost += 1
            connection = None
            continue
        found.micros.append((time.perf_counter() - begun) * 1e6)
        found.answered += 1
        expected = expected or body.replace(b"%010d" % number, b"%010d")
        found.wrong += head[9:12] != b"200" or body != expected % number
        if b"connection: close" in head:
            try:
                # The connection must end after the last answer.
                found.wrong += connection.recv(1) != b""
            except OSError:
                pass
            connection = None
    results.put(found)


def asking(address, clients, seconds, rate=None):
    results = multiprocessing.Queue()
    share = rate and rate / clients
    processes = [multiprocessing.Process(target=client, args=(address, seconds, share, results)) for _ in range(clients)]
    for process in processes:
        process.start()

    def finish():
        found = Found()
        for _ in processes:
            one = results.get(timeout=seconds + 120)
            found = Found(*(a + b for a, b in zip(vars(found).values(), vars(one).values())))
        for process in processes:
            process.join()
        return found

    return finish


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kiln")
    parser.add_argument("run")
    parser.add_argument("--artifacts", default="artifacts")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--share", type=float, default=0.8)
    parser.add_argument("--clients", type=int, default=4)
    given = parser.parse_args()
    with Served(given.kiln, f"mnist={given.run}", "--artifacts", given.artifacts) as server:
        most = asking(server.place, given.clients, 5)().answered / 5
        print(f"at most {most:.0f} requests a second", flush=True)
        finish = asking(server.place, given.clients, given.seconds + 60, given.share * most)
        begun, reloads, seen = time.monotonic(), 0, []
        while time.monotonic() - begun < given.seconds:
            time.sleep(5)
            server.process.send_signal(signal.SIGHUP)
            reloads += 1
            seen.append(server.memory())
            if reloads % 12 == 0:
                print(f"{time.monotonic() - begun:.0f} s: {seen[-1]:.1f} MB", flush=True)
        code, took = server.end(), time.monotonic() - begun
        found = finish()
    micros = sorted(found.micros)
    half, late = (micros[int(len(micros) * share)] for share in (0.5, 0.99))
    print(f"{found.answered} answers in {took:.0f} s, {found.answered / took / most:.0%} of the most; "
          f"p50 {half:.0f} us, p99 {late:.0f} us; {reloads} reloads; the server ended with {code}")
    print(f"not answered {found.lost}, wrong or answered twice {found.wrong}; memory {seen[0]:.1f} MB after the first "
          f"reload, {max(seen):.1f} MB at most, {seen[-1]:.1f} MB at the end")
    assert (found.lost, found.wrong, code) == (0, 0, 0)


if __name__ == "__main__":
    main()
