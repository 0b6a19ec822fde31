"""The assignment's training in PyTorch, timed: 784-512-128-10, dropout 0.2, batches of 64, learning rate 0.01.

    python pytorch_peer.py DATA_FOLDER OPTIMIZER EPOCHS [ACTIVATION]

The images are floats in memory, and each batch is gathered by its indices: this is faster than a DataLoader.
Prints one JSON line: seconds of each epoch, seconds of a test pass, figures.
"""

import gzip
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn


def split(folder, name):
    def values(kind, offset):
        path = Path(folder) / f"{name}-{kind}"
        raw = path.read_bytes() if path.exists() else gzip.open(f"{path}.gz").read()
        return np.frombuffer(raw, np.uint8, offset=offset)

    images = torch.tensor(values("images-idx3-ubyte", 16).reshape(-1, 784), dtype=torch.float32) / 255
    return images, torch.tensor(values("labels-idx1-ubyte", 8), dtype=torch.int64)


def network(activation):
    layer = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[activation]
    hidden = [[nn.Linear(a, b), layer(), nn.Dropout(0.2)] for a, b in [(784, 512), (512, 128)]]
    return nn.Sequential(*sum(hidden, []), nn.Linear(128, 10))


def train_epoch(model, optimizer, images, labels):
    model.train()
    loss_sum, hits = 0.0, 0
    for indices in torch.randperm(len(images)).split(64):
        batch, targets = images[indices], labels[indices]
        optimizer.zero_grad()
        output = model(batch)
        loss = nn.functional.cross_entropy(output, targets)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(batch)
        hits += (output.argmax(1) == targets).sum().item()
    return loss_sum / len(images), hits / len(images)


def test_pass(model, images, labels):
    model.eval()
    loss_sum, hits = 0.0, 0
    with torch.no_grad():
        for batch, targets in zip(images.split(64), labels.split(64)):
            output = model(batch)
            loss_sum += nn.functional.cross_entropy(output, targets, reduction="sum").item()
            hits += (output.argmax(1) == targets).sum().item()
    return hits / len(images)


def timed(work):
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main(folder, optimizer_name, epochs, activation="relu"):
    torch.manual_seed(0)
    images, labels = split(folder, "train")
    test_images, test_labels = split(folder, "t10k")
    model = network(activation)
    kinds = {"sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam}
    optimizer = kinds[optimizer_name](model.parameters(), lr=0.01)
    seconds = [timed(lambda: train_epoch(model, optimizer, images, labels))[0] for _ in range(int(epochs))]
    tests = [timed(lambda: test_pass(model, test_images, test_labels)) for _ in range(3)]
    figures = {"epoch_seconds": seconds, "test_seconds": min(t for t, _ in tests), "test_accuracy": tests[0][1]}
    print(json.dumps({"version": torch.__version__, "threads": torch.get_num_threads(), **figures}))


if __name__ == "__main__":
    main(*sys.argv[1:])
