"""Real clients of `kiln serve`: tritonclient, curl, and those of kserve and MLServer if installed. Every answer is compared
with `kiln predict`.

    python clients.py KILN PICTURES TABLE --rows FILE [--artifacts DIR] [--mlserver PROGRAM]

PICTURES is a run on MNIST, TABLE a run on any table; KILN_DATA_DIR names the folder with mnist/, and --rows the table's CSV file.
Needs numpy, requests and tritonclient[http]; kserve is optional. `--mlserver` is the program of that name, for `mlserver infer`.
"""

import argparse
import asyncio
import csv
import gzip
import json
import os
import struct
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import requests
import tritonclient.http as triton

from served import Served


def images(path):
    content = gzip.open(path).read()
    count, height, width = struct.unpack(">III", content[4:16])
    return np.frombuffer(content[16:], np.uint8).reshape(count, 1, height, width)


def expected(kiln, run, artifacts, path):
    """Class and probabilities that `kiln predict` gives each row, as single precision, and its notes."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "out.csv"
        command = [kiln, "predict", run, path, "--artifacts", artifacts, "--output", output]
        subprocess.run(command, check=True, capture_output=True)
        rows = list(csv.DictReader(output.open()))
    names = [name for name in rows[0] if name.startswith("probability_")]
    found = np.array([[np.float32(row[name]) for name in names] for row in rows], np.float32)
    return [name.removeprefix("probability_") for name in names], found, [row.get("notes") for row in rows]


def same(found, wanted, what):
    equal = found.shape == wanted.shape and (found.view(np.uint32) == wanted.view(np.uint32)).all()
    assert equal, what
    print(f"{what}: {len(found)} rows, the bits of kiln predict")


def with_triton(base, x, wanted):
    client = triton.InferenceServerClient(base)
    assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("pictures")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    version = client.get_model_metadata("pictures")["versions"][-1]

    def ask(x, binary=True, kind="UINT8", **more):
        tensor = triton.InferInput("pixels", list(x.shape), kind)
        tensor.set_data_from_numpy(x, binary_data=binary)
        return client.infer("pictures", [tensor], **more)

    many = [ask(x[at : at + 1000]).as_numpy("probabilities") for at in range(0, len(x), 1000)]
    same(np.concatenate(many), wanted, "tritonclient, binary, 1000 rows a request")
    one = [ask(x[at : at + 1], binary=at % 2 == 0).as_numpy("probabilities") for at in range(500)]
    same(np.concatenate(one), wanted[:500], "tritonclient, binary and JSON, alone")
    floats = ask(x[:50].astype(np.float32), kind="FP32").as_numpy("probabilities")
    same(floats, wanted[:50], "tritonclient, FP32")
    for packing in ("gzip", "deflate"):
        packed = ask(x[:50], request_compression_algorithm=packing, model_version=version)
        same(packed.as_numpy("probabilities"), wanted[:50], f"tritonclient, {packing}, by version")
    outputs = [triton.InferRequestedOutput("probabilities", class_count=3)]
    best = ask(x[:5], outputs=outputs, request_id="5").as_numpy("probabilities")
    assert best.shape == (5, 3)
    for row, order in zip(best, np.argsort(-wanted[:5], axis=1, kind="stable")):
        assert [int(cell.split(b":")[1]) for cell in row] == order[:3].tolist()
    try:
        ask(np.zeros((1, 1, 5, 5), np.uint8))
        raise SystemExit("a wrong shape was taken")
    except triton.InferenceServerException as error:
        assert "expected shape [pictures, 1, 28, 28]" in error.message(), error


def table_with_triton(base, rows, names, wanted):
    client = triton.InferenceServerClient(base)
    inputs = []
    for column in client.get_model_metadata("table")["inputs"]:
        cells = [row[column["name"]] for row in rows]
        if column["datatype"] == "FP64":
            values = np.array([float(cell) if cell else np.nan for cell in cells])
        else:
            values = np.array(cells, dtype=object)
        tensor = triton.InferInput(column["name"], [len(rows), 1], column["datatype"])
        tensor.set_data_from_numpy(values.reshape(-1, 1))
        inputs.append(tensor)
    answer = client.infer("table", inputs)
    same(answer.as_numpy("probabilities"), wanted, "tritonclient, a table by its columns")
    labels, classes = answer.as_numpy("label"), answer.as_numpy("class")
    assert all(names[label] == name.decode() for label, name in zip(labels, classes))


def with_kserve(base, x, wanted):
    try:
        from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
    except ImportError:
        return print("kserve is not there")

    async def ask():
        client = InferenceRESTClient(config=RESTConfig(protocol="v2", retries=0))
        assert await client.is_server_ready(base) and await client.is_server_live(base)
        assert await client.is_model_ready(base, "pictures")
        tensor = InferInput("pixels", [20, 784], "UINT8", data=x[:20].reshape(20, 784).tolist())
        return await client.infer(base, InferRequest("pictures", [tensor]), model_name="pictures")

    answer = asyncio.run(ask())
    output = next(output for output in answer.outputs if output.name == "probabilities")
    same(output.as_numpy().astype(np.float32).reshape(20, 10), wanted[:20], "kserve")


def with_mlserver(program, address, x, wanted):
    inputs = [{"name": "pixels", "shape": [1, 1, 28, 28], "datatype": "UINT8", "data": row.ravel().tolist()} for row in x[:20]]
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder) / "asked.jsonl", Path(folder) / "answered.jsonl"
        lines = [json.dumps({"id": str(at), "inputs": [one]}) for at, one in enumerate(inputs)]
        asked.write_text("\n".join(lines) + "\n")
        command = [program, "infer", "-u", address, "-m", "pictures", "-i", asked, "-o", answered]
        subprocess.run(command, check=True, capture_output=True)
        answers = [json.loads(line) for line in answered.read_text().splitlines()]
    answers.sort(key=lambda answer: answer["parameters"]["batch_index"])
    found = [next(o for o in answer["outputs"] if o["name"] == "probabilities")["data"] for answer in answers]
    same(np.array(found, np.float32), wanted[:20], "mlserver infer")


def with_curl(base, x, names, wanted):
    """A picture as PBM's grey sibling, PGM, whose levels are the file's bytes."""
    found = []
    for row in x[:20]:
        command = ["curl", "-sS", "--fail-with-body", f"{base}/models/pictures/predict"]
        command += ["-H", "Content-Type: image/x-portable-graymap", "--data-binary", "@-"]
        picture = b"P5 28 28 255\n" + row.tobytes()
        answer = json.loads(subprocess.run(command, input=picture, check=True, capture_output=True).stdout)
        found.append([answer["predictions"][0]["probabilities"][name] for name in names])
    same(np.array(found, np.float32), wanted[:20], "curl, pictures as files")


def plain(base, rows, names, wanted, notes):
    answer = requests.post(f"{base}/models/table/predict", json={"rows": rows}).json()["predictions"]
    found = np.array([[one["probabilities"][name] for name in names] for one in answer], np.float32)
    same(found, wanted, "plain JSON, rows as the file has them")
    assert ["; ".join(one["warnings"]) for one in answer] == notes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("kiln")
    parser.add_argument("pictures")
    parser.add_argument("table")
    parser.add_argument("--rows", required=True)
    parser.add_argument("--artifacts", default="artifacts")
    parser.add_argument("--mlserver")
    given = parser.parse_args()
    path = f"{os.environ['KILN_DATA_DIR']}/mnist/t10k-images-idx3-ubyte.gz"
    x, (digits, pictures, _) = images(path), expected(given.kiln, given.pictures, given.artifacts, path)
    names, table, notes = expected(given.kiln, given.table, given.artifacts, given.rows)
    rows = list(csv.DictReader(open(given.rows)))
    models = [f"pictures={given.pictures}", f"table={given.table}"]
    with Served(given.kiln, *models, "--artifacts", given.artifacts) as server:
        base = f"http://{server.address}"
        with_triton(server.address, x, pictures)
        table_with_triton(server.address, rows, names, table)
        plain(base, rows, names, table, notes)
        with_curl(base, x, digits, pictures)
        with_kserve(base, x, pictures)
        if given.mlserver:
            with_mlserver(given.mlserver, server.address, x, pictures)
        assert server.end() == 0


if __name__ == "__main__":
    main()
