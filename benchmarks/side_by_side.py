"""Kiln beside PyTorch and JAX on this machine: the programs in turn, ratios of medians.

    python3 -m venv venv && venv/bin/pip install torch numpy "jax[cpu]"
    cargo build --release
    KILN_DATA_DIR=DIR venv/bin/python benchmarks/side_by_side.py [--rounds 5] [--epochs 4] [--without jax]

DIR holds the folder mnist with the four files. Prints Markdown. The first epoch of each process is left out: it includes
warm-up, and JAX's compilation.
"""

import argparse
import json
import os
import platform
import pty
import re
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
OPTIMIZERS = ["sgd", "rmsprop", "adam"]
CONFIG = HERE.parent / "configs" / "mnist.toml"


def run(command, expected=(0,), **options):
    """Runs `command` until it exits with one of the `expected` codes. Returns its output and its peak resident memory in bytes."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    output, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in expected:
        sys.exit(f"{command} ended with {process.returncode}:\n{errors}")
    return output, usage.ru_maxrss * 1024


def train_command(arguments, root, overrides):
    words = [arguments.kiln, "train", CONFIG, "--artifacts", root, "--no-report", *overrides]
    return [str(word) for word in words]


def epoch_seconds(run_folder):
    """Seconds from the end of one epoch to the end of the next, with everything between them."""
    rows = [json.loads(line) for line in (Path(run_folder) / "timings.jsonl").read_text().splitlines()]
    ends = [row["wall_time"] for row in rows if row["scope"] == "epoch" and row["split"] == "train"]
    ends = [datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", end.replace("Z", "+00:00"))) for end in ends]
    return [(after - before).total_seconds() for before, after in zip(ends, ends[1:])]


def kiln(arguments, root, optimizer, view="plain", fused="true"):
    overrides = ["--ui", view, f"training.epochs={arguments.epochs}", f'optimizer.name="{optimizer}"', f"backend.fused={fused}"]
    output, memory = run(train_command(arguments, root, overrides))
    return {"epoch_seconds": epoch_seconds(output.split()[-1]), "memory": memory}


def peer(arguments, name, optimizer, activation="relu"):
    data = Path(os.environ["KILN_DATA_DIR"]) / "mnist"
    command = [sys.executable, HERE / f"{name}_peer.py", data, optimizer, arguments.epochs, activation]
    output, memory = run([str(word) for word in command])
    found = json.loads(output.splitlines()[-1])
    return {**found, "epoch_seconds": found["epoch_seconds"][1:], "memory": memory}


def in_a_terminal(arguments, root):
    """Epochs with Burn's dashboard, on a pseudo-terminal whose output is read."""
    overrides = ["--ui", "tui", f"training.epochs={arguments.epochs}"]
    before = set(Path(root).glob("mnist/*"))
    pid, terminal = pty.fork()
    if pid == 0:
        command = train_command(arguments, root, overrides)
        os.execvp(command[0], command)
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:
        pass  # A pseudo-terminal reports the program's exit like this.
    os.waitpid(pid, 0)
    (made,) = set(Path(root).glob("mnist/*")) - before
    return epoch_seconds(made)


def seconds_to_first_step(arguments, root):
    overrides = ["--ui", "json", "training.max_steps=1", "dashboard.log_interval=1"]
    start = time.perf_counter()
    process = subprocess.Popen(train_command(arguments, root, overrides), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line in process.stderr:
        if '"event":"interval"' in line:
            found = time.perf_counter() - start
    process.wait()
    return found


def test_seconds(arguments):
    command = [arguments.kiln, "bench", CONFIG, "--steps", "10", "--json", "evaluation.batch_size=64"]
    return json.loads(run([str(word) for word in command])[0])["test_pass_seconds"]


def median_row(name, ours, theirs, goal):
    ours, theirs = statistics.median(ours), statistics.median(theirs)
    return f"| {name} | {ours:.3f} | {theirs:.3f} | {ours / theirs:.2f} | {goal} |"


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{date.today()}, {cpu}, {os.cpu_count()} cores"


def argument_parser(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kiln", default=HERE.parent / "target" / "release" / "kiln")
    return parser


def parse(description, epochs):
    """Parses the arguments of a script that runs whole epochs; returns them and the peers."""
    parser = argument_parser(description)
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--without", action="append", default=[], choices=["jax"])
    arguments = parser.parse_args()
    if arguments.epochs < 2:
        parser.error("the first epoch of a peer is left out: --epochs is 2 or more")
    return arguments, [name for name in ["pytorch", "jax"] if name not in arguments.without]


def main():
    arguments, peers = parse(__doc__, epochs=4)
    times = {(who, optimizer): [] for who in ["kiln", *peers] for optimizer in OPTIMIZERS}
    memory, tests, versions = {who: [] for who in ["kiln", *peers]}, {"kiln": [], "pytorch": []}, {}
    views, first = {"none": [], "tui": []}, []
    unfused = {optimizer: [] for optimizer in OPTIMIZERS}
    with tempfile.TemporaryDirectory() as root:
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
            for optimizer in OPTIMIZERS:
                for who in ["kiln", *peers]:
                    found = kiln(arguments, root, optimizer) if who == "kiln" else peer(arguments, who, optimizer)
                    times[who, optimizer] += found["epoch_seconds"]
                    memory[who].append(found["memory"] / 1e6)
                    versions[who] = found.get("version")
                    if "test_seconds" in found:
                        tests[who].append(found["test_seconds"])
                unfused[optimizer] += kiln(arguments, root, optimizer, fused="false")["epoch_seconds"]
            tests["kiln"].append(test_seconds(arguments))
            views["none"] += kiln(arguments, root, "sgd", "none")["epoch_seconds"]
            views["tui"] += in_a_terminal(arguments, root)
            first.append(seconds_to_first_step(arguments, root))
    names = ", ".join(f"{who} {version}" for who, version in versions.items() if version)
    print(f"{machine()}; {names}; {arguments.rounds} rounds in turn, epochs 2 to {arguments.epochs} of each\n")
    print("| figure | Kiln | peer | ratio | goal |\n| --- | --- | --- | --- | --- |")
    for optimizer, goal in zip(OPTIMIZERS, ["0.33", "0.33", "0.33"]):
        print(median_row(f"seconds an epoch, {optimizer}, PyTorch", times["kiln", optimizer], times["pytorch", optimizer], goal))
    for optimizer in OPTIMIZERS if "jax" in peers else []:
        print(median_row(f"seconds an epoch, {optimizer}, JAX", times["kiln", optimizer], times["jax", optimizer], "0.85"))
    for optimizer in OPTIMIZERS:
        print(median_row(f"seconds an epoch, {optimizer}, Burn's own operations", times["kiln", optimizer], unfused[optimizer], ""))
    print(median_row("test pass, seconds, PyTorch", tests["kiln"], tests["pytorch"], "0.5"))
    print(median_row("peak memory, MB, PyTorch", memory["kiln"], memory["pytorch"], "0.25"))
    print(median_row("seconds an epoch, dashboard beside none", views["tui"], views["none"], "1.03"))
    print(median_row("seconds an epoch, plain beside none", times["kiln", "sgd"], views["none"], "1.03"))
    print(f"| seconds to the first step | {statistics.median(first):.3f} | | | 0.5 |")


if __name__ == "__main__":
    main()
