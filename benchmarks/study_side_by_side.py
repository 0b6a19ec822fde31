"""The ten experiments of the assignment: Kiln's study beside the same ten in PyTorch and in JAX, one after the other.

    python3 -m venv venv && venv/bin/pip install torch numpy "jax[cpu]"
    cargo build --release
    KILN_DATA_DIR=DIR venv/bin/python benchmarks/study_side_by_side.py [--rounds 5] [--epochs 3] [--without jax]

Kiln's time is the whole command, `kiln study`, with loading, logs, checkpoints, evaluations and the report. A peer's time is its
epochs, and a test pass for PyTorch: without start, loading and JAX's compilation (its first epoch counts as a later one). Prints
Markdown.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import HERE, machine, parse, peer, run

STUDY = HERE.parent / "configs" / "studies" / "ten-experiments.toml"
EXPERIMENTS = [
    ("relu", "sgd"), ("relu", "rmsprop"), ("relu", "adam"), ("relu", "sgd"), ("tanh", "sgd"),
    ("tanh", "sgd"), ("tanh", "rmsprop"), ("sigmoid", "adam"), ("sigmoid", "rmsprop"), ("sigmoid", "sgd"),
]


def study_seconds(arguments):
    with tempfile.TemporaryDirectory() as root:
        words = [arguments.kiln, "study", STUDY, "--ui", "none", "--artifacts", root, f"training.epochs={arguments.epochs}"]
        start = time.perf_counter()
        run([str(word) for word in words], expected=(0, 3))  # 3: so few epochs do not reproduce the figures
        return time.perf_counter() - start


def peer_seconds(arguments, name):
    total = 0.0
    for activation, optimizer in EXPERIMENTS:
        found = peer(arguments, name, optimizer, activation)
        epochs = found["epoch_seconds"]
        total += statistics.median(epochs) * arguments.epochs + found.get("test_seconds", 0.0)
    return total


def main():
    arguments, peers = parse(__doc__, epochs=3)
    seconds = {who: [] for who in ["kiln", *peers]}
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        seconds["kiln"].append(study_seconds(arguments))
        for name in peers:
            seconds[name].append(peer_seconds(arguments, name))
    medians = {who: statistics.median(found) for who, found in seconds.items()}
    print(f"{machine()}; {arguments.rounds} rounds in turn, {arguments.epochs} epochs of each experiment\n")
    print("| ten experiments | seconds | Kiln's over it |\n| --- | --- | --- |")
    for who, median in medians.items():
        print(f"| {who} | {median:.1f} | {medians['kiln'] / median:.2f} |")


if __name__ == "__main__":
    main()
