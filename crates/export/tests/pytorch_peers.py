"""Compares the answers of a safetensors file with its page of code, in PyTorch, with Kiln's own.

    python3 pytorch_peers.py MODEL INPUT ANSWERS.csv

MODEL.safetensors and MODEL.py are the files of one export; INPUT and ANSWERS.csv as in onnx_peers.py. Prints the largest
difference of a probability, and the number of predicted classes that differ without a tie.
"""

import csv
import importlib.util
import struct
import sys

import torch


def main(model, input_path, answers_path):
    spec = importlib.util.spec_from_file_location("network", f"{model}.py")
    network = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(network)
    classes, given = network.SETTINGS["classes"], network.SETTINGS["input"]
    rows = pictures(input_path, given["greatest"]) if "shape" in given else list(csv.DictReader(open(input_path)))
    probabilities, named = network.predict(network.load(f"{model}.safetensors"), rows)
    answers = list(csv.DictReader(open(answers_path, newline="")))
    expected = torch.tensor([[float(row[f"probability_{name}"]) for name in classes] for row in answers])
    difference = (probabilities - expected).abs().max().item()
    wrong = [
        at
        for at, (name, row) in enumerate(zip(named, answers))
        if name != row["class"] and abs(expected[at][classes.index(name)] - expected[at][classes.index(row["class"])]) > 2e-6
    ]
    print(f"{difference:.3e} {len(wrong)}")


def pictures(path, greatest):
    content = open(path, "rb").read()
    count, height, width = struct.unpack(">3I", content[4:16])
    pixels = torch.frombuffer(bytearray(content[16:]), dtype=torch.uint8).reshape(count, 1, height, width)
    return (pixels.int() * greatest + 127) // 255


main(*sys.argv[1:])
