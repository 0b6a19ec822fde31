"""A training step at batches of 1 to 4096 examples and two hidden layers of 1 to 4096 units, beside PyTorch.

    python3 -m venv venv && venv/bin/pip install torch numpy
    cargo build --release
    KILN_DATA_DIR=DIR venv/bin/python benchmarks/sweep.py [--threads 1] [--rounds 5] [--optimizer sgd]

DIR holds the folder mnist with the four files. A step is everything from gathering the batch to reading its loss, with
dropout 0.2 and ReLU. In every cell the two programs run in turn; the figures are Kiln's milliseconds and, in brackets, its
ratio to PyTorch's median. Prints Markdown.
"""

import json
import os
import statistics
import sys
import time

import torch
from pytorch_peer import split
from side_by_side import CONFIG, argument_parser, machine, run
from torch import nn

BATCHES = [1, 8, 64, 512, 4096]
WIDTHS = [1, 8, 64, 512, 4096]


def kiln_milliseconds(arguments, batch, width, steps):
    overrides = [f"training.batch_size={batch}", f"model.hidden=[{width},{width}]", f'optimizer.name="{arguments.optimizer}"']
    overrides += [f"backend.threads={arguments.threads}"] if arguments.threads else []
    command = [arguments.kiln, "bench", CONFIG, "--steps", steps, "--json", *overrides]
    return json.loads(run([str(word) for word in command])[0])["microseconds"]["step"] / 1e3


def pytorch_milliseconds(arguments, images, labels, batch, width, steps):
    hidden = [[nn.Linear(a, b), nn.ReLU(), nn.Dropout(0.2)] for a, b in [(784, width), (width, width)]]
    model = nn.Sequential(*sum(hidden, []), nn.Linear(width, 10))
    kinds = {"sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop, "adam": torch.optim.Adam}
    optimizer = kinds[arguments.optimizer](model.parameters(), lr=0.01)
    order = torch.randperm(len(images)).split(batch)
    seconds = []
    for step in range(steps):
        start = time.perf_counter()
        indices = order[step % (len(order) - 1)]
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images[indices]), labels[indices])
        loss.backward()
        optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[steps // 10 :]) * 1e3


def cell(arguments, images, labels, batch, width):
    parameters = 784 * width + width * width + 10 * width
    steps = min(500, max(10, int(2e10 / (parameters * batch + 1e5))))
    kiln, pytorch = [], []
    for _ in range(arguments.rounds):
        kiln.append(kiln_milliseconds(arguments, batch, width, steps))
        pytorch.append(pytorch_milliseconds(arguments, images, labels, batch, width, steps))
    kiln, pytorch = statistics.median(kiln), statistics.median(pytorch)
    print(f"batch {batch}, width {width}: {kiln:.3f} ms, PyTorch {pytorch:.3f} ms", file=sys.stderr)
    return f"{kiln:.3g} ({kiln / pytorch:.2f})"


def main():
    parser = argument_parser(__doc__)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--optimizer", default="sgd", choices=["sgd", "rmsprop", "adam"])
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    images, labels = split(os.path.join(os.environ["KILN_DATA_DIR"], "mnist"), "train")
    print(f"{machine()}; {arguments.optimizer}, {torch.get_num_threads()} threads; PyTorch {torch.__version__}\n")
    print("| batch | " + " | ".join(f"width {width}" for width in WIDTHS) + " |\n|" + " --- |" * (len(WIDTHS) + 1))
    for batch in BATCHES:
        cells = [cell(arguments, images, labels, batch, width) for width in WIDTHS]
        print(f"| {batch} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
