"""The network of examples/cnn in PyTorch, timed beside it: batches of 64, Adam, the programs in turn.

    cargo build --release
    KILN_DATA_DIR=DIR venv/bin/python benchmarks/cnn_peer.py [ROUNDS]

DIR holds the folder mnist with the four files. Prints each program's median seconds an epoch, the first of each
process left out, and their ratio.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import nn

from pytorch_peer import split, timed, train_epoch

HERE = Path(__file__).resolve().parent
EPOCHS = 3


def network():
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        *[nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
        *[nn.Flatten(), nn.Linear(16 * 7 * 7, 64), nn.ReLU(), nn.Dropout(0.25), nn.Linear(64, 10)],
    )


def peer():
    torch.manual_seed(0)
    images, labels = split(Path(os.environ["KILN_DATA_DIR"]) / "mnist", "train")
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    return [timed(lambda: train_epoch(model, optimizer, images, labels))[0] for _ in range(EPOCHS)][1:]


def example():
    with tempfile.TemporaryDirectory() as folder:
        words = [HERE.parent / "target/release/cnn", f"training.epochs={EPOCHS}", "data.validation=0"]
        subprocess.run(words, cwd=folder, check=True, capture_output=True)
        (timings,) = Path(folder).glob("artifacts/*/*/timings.jsonl")
        lines = [json.loads(line) for line in timings.read_text().splitlines()]
    return [line["epoch_seconds"] for line in lines if line["scope"] == "epoch" and line["split"] == "train"][1:]


def main(rounds=3):
    seconds = {example: [], peer: []}
    for _ in range(int(rounds)):
        for program in seconds:
            seconds[program] += program()
    ours, theirs = (statistics.median(values) for values in seconds.values())
    print(f"an epoch: Kiln {ours:.2f} s, PyTorch {torch.__version__} {theirs:.2f} s, ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
