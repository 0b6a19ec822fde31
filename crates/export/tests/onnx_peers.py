"""Checks an ONNX file with ONNX's checker, and compares its answers in onnxruntime with Kiln's own.

    python3 onnx_peers.py MODEL.onnx INPUT ANSWERS.csv

INPUT is the table of the answers (`kiln predict RUN INPUT --output ANSWERS.csv`), or a file of images in IDX. Prints the
largest difference of a probability, and the number of predicted classes that differ without a tie.
"""

import csv
import datetime
import json
import struct
import sys

import numpy as np
import onnx
import onnxruntime

MISSING = ["", "?", "NA", "-999"]


def main(model_path, input_path, answers_path):
    model = onnx.load(model_path)
    onnx.checker.check_model(model, full_check=True)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
    answers = list(csv.DictReader(open(answers_path, newline="")))
    classes = json.loads(metadata["classes"])
    expected = np.array([[float(row[name_of(answers[0], name)]) for name in classes] for row in answers])
    if is_pictures(session):
        inputs = pictures(input_path, int(metadata["greatest_pixel"]))
    else:
        inputs = columns(session, metadata, input_path)
    for batch in (len(expected), 1):
        part = {name: values[:batch] for name, values in inputs.items()}
        probabilities, label = session.run(["probabilities", "label"], part)
        difference = np.abs(probabilities - expected[:batch]).max()
        named = [row["class"] for row in answers[:batch]]
        wrong = [
            at
            for at, (number, name) in enumerate(zip(label, named))
            if classes[number] != name and abs(expected[at][number] - expected[at][classes.index(name)]) > 2e-6
        ]
        print(f"{difference:.3e} {len(wrong)}")


def name_of(row, name):
    """The column with the probability of a class."""
    return next(column for column in (f"probability_{name}", f"p({name})", name) if column in row)


def is_pictures(session):
    return [entry.name for entry in session.get_inputs()] == ["pixels"]


def pictures(path, greatest):
    content = open(path, "rb").read()
    count, height, width = struct.unpack(">3I", content[4:16])
    pixels = np.frombuffer(content, np.uint8, offset=16).reshape(count, 1, height, width)
    # Scale grey levels to the range of the training images.
    pixels = ((pixels.astype(int) * greatest + 127) // 255).astype(np.uint8)
    return {"pixels": pixels}


def columns(session, metadata, path):
    rows = list(csv.DictReader(open(path, newline="")))
    treatments = {column["name"]: column.get("treatment") for column in json.loads(metadata["columns"])["columns"]}
    inputs = {}
    for entry in session.get_inputs():
        cells = [row[entry.name] for row in rows]
        treatment = treatments[entry.name]
        if entry.type == "tensor(string)":
            values = np.array(cells, dtype=object)
        elif treatment["as"] == "date":
            values = np.array([days(cell, treatment["format"]) for cell in cells])
        else:
            values = np.array([float("nan") if cell in MISSING else float(cell) for cell in cells])
        inputs[entry.name] = values.reshape(-1, 1)
    return inputs


def days(cell, format):
    if cell in MISSING:
        return float("nan")
    since = datetime.datetime.strptime(cell, format) - datetime.datetime(1970, 1, 1)
    return since.days + since.seconds / 86400


main(*sys.argv[1:])
