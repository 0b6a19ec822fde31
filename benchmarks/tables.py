"""Kiln's preset for tables beside other programs with their defaults, on the same rows and the same machine.

    cargo build --release
    python3 benchmarks/tables.py --tables DIR --peers peers.jsonl [--splits 0,1,2,3,4] [--only adult,titanic] [key=value ...]

DIR holds the tables and index.toml: for each its file, target, header (where the file has none), columns to drop, and
columns of codes that are names. Split s holds out the rows whose place in a shuffled, class-stratified order is s
modulo 5. --peers names a JSON line for each table, split and method, with accuracy, log_loss, auc and fit_seconds.
key=value changes the preset; --choose shuffles differently, so that settings are not chosen on the rows that they are measured
on. Prints a JSON line for each run on stderr, and Markdown on stdout: means over the splits, mean ranks over the
tables, and the critical difference of mean ranks (Nemenyi, 0.05).
"""

import argparse
import csv
import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

MISSING = {"", "?", "NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "#N/A", "-nan", "-NaN", "<NA>"}
HIGHER = {"accuracy": True, "auc": True, "log_loss": False}
# The other programs only fit and predict, so baselines and the like are off.
PREDICTIONS_ALONE = ["evaluation.baselines=false", "evaluation.importance=false"]
# Critical values of the two-tailed Nemenyi test at 0.05 for 2 to 10 methods (Demsar 2006, table 5).
Q05 = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}


def read(folder, entry):
    """Names and rows of a table, without the columns to drop and the rows without a class."""
    with open(folder / entry["file"], newline="") as file:
        rows = [row for row in csv.reader(file, skipinitialspace=True) if row]
    names = entry.get("header") or rows.pop(0)
    target = names.index(entry["target"])
    kept = [at for at, name in enumerate(names) if name not in entry.get("drop", [])]
    rows = [row for row in rows if row[target] not in MISSING]
    return [names[at] for at in kept], [[row[at] for at in kept] for row in rows]


def folds(seed, labels, count=5):
    """The fold of each row: rows are shuffled, then dealt out class by class."""
    order = list(range(len(labels)))
    random.Random(seed).shuffle(order)
    fold, dealt = [0] * len(labels), 0
    for label in sorted(set(labels)):
        for row in order:
            if labels[row] == label:
                fold[row] = dealt % count
                dealt += 1
    return fold


def auc(scores, positive):
    """The share of pairs, one of each class, that the scores order correctly; ties count half."""
    order = sorted(range(len(scores)), key=scores.__getitem__)
    ranks, at = [0.0] * len(scores), 0
    while at < len(order):
        end = at
        while end < len(order) and scores[order[end]] == scores[order[at]]:
            end += 1
        for place in range(at, end):
            ranks[order[place]] = (at + end + 1) / 2
        at = end
    ones = sum(positive)
    zeros = len(positive) - ones
    return (sum(rank for rank, is_one in zip(ranks, positive) if is_one) - ones * (ones + 1) / 2) / (ones * zeros)


def figures(predictions):
    """The figures that the peers have, from the run's own predictions."""
    with open(predictions, newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.startswith("p_")]
    truth = [row["true"] for row in rows]
    probabilities = [[float(row[name]) for name in names] for row in rows]
    classes = [name[2:] for name in names]
    loss = 0.0
    for label, row in zip(truth, probabilities):
        clipped = [max(value, 1e-15) for value in row]
        loss -= math.log(clipped[classes.index(label)] / sum(clipped))
    hits = sum(classes[row.index(max(row))] == label for label, row in zip(truth, probabilities))
    wanted = classes[1:] if len(classes) == 2 else classes
    areas = []
    for label in wanted:
        positive = [other == label for other in truth]
        if 0 < sum(positive) < len(positive):
            areas.append(auc([row[classes.index(label)] for row in probabilities], positive))
    return {"accuracy": hits / len(rows), "log_loss": loss / len(rows), "auc": statistics.mean(areas)}


def measure(arguments, name, entry, split):
    names, rows = read(arguments.tables, entry)
    target = names.index(entry["target"])
    labels = [row[target] for row in rows]
    fold = folds(f"{name}, to choose" if arguments.choose else name, labels)
    codes = entry.get("categorical", [])
    codes = [other for other in names if other != entry["target"]] if codes == "all" else codes
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        for part, wanted in [("train", False), ("test", True)]:
            with open(folder / f"{part}.csv", "w", newline="") as file:
                csv.writer(file).writerows([names, *(row for row, of in zip(rows, fold) if (of == split) == wanted)])
        experiment = folder / "table.toml"
        experiment.write_text(
            f'{arguments.base}\nname = "table"\n[data]\nsource = "csv"\npath = {json.dumps(str(folder / "train.csv"))}\n'
            f'test_path = {json.dumps(str(folder / "test.csv"))}\nlabel_column = {json.dumps(entry["target"])}\n'
            f"[data.columns]\ncategory = {json.dumps(codes)}\n")
        command = [arguments.kiln, "train", experiment, "--artifacts", folder / "runs", "--ui", "none", "--no-report", *PREDICTIONS_ALONE]
        threads = [f"backend.threads={2 // arguments.jobs}"]
        started = time.perf_counter()
        done = subprocess.run([*command, *threads, *arguments.overrides], capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if done.returncode != 0:
            sys.exit(f"{name}, split {split}: {done.stderr}")
        run = Path(done.stdout.split()[-1])
        status = json.loads((run / "status.json").read_text())
        found = figures(run / "evaluation" / "test" / "predictions.csv")
    found = {key: round(value, 5) for key, value in found.items()}
    best = status.get("best") or {}
    row = {"table": name, "split": split, "method": arguments.name, **found, "fit_seconds": round(seconds, 3)}
    print(json.dumps({**row, "best": best}), file=sys.stderr, flush=True)
    return row


def table(rows, methods, tables, figure):
    """Means over the splits, and mean ranks over the tables that every method could read."""
    mean = {}
    for method in methods:
        for name in tables:
            values = [row[figure] for row in rows if row["method"] == method and row["table"] == name]
            mean[method, name] = statistics.mean(values) if values else None
    shared = [name for name in tables if all(mean[method, name] is not None for method in methods)]
    ranks = defaultdict(list)
    sign = -1 if HIGHER.get(figure) else 1
    for name in shared:
        for method in methods:
            better = sum(sign * mean[other, name] < sign * mean[method, name] for other in methods)
            equal = sum(mean[other, name] == mean[method, name] for other in methods)
            ranks[method].append(better + (equal + 1) / 2)
    digits = 2 if figure == "fit_seconds" else 4
    cell = lambda value: "" if value is None else f"{value:.{digits}f}"
    print(f"\n| {figure} | " + " | ".join(methods) + " |\n|---" * 1 + "|---" * len(methods) + "|")
    for name in tables:
        print(f"| {name} | " + " | ".join(cell(mean[method, name]) for method in methods) + " |")
    if figure == "fit_seconds":
        means = [math.exp(statistics.mean(math.log(max(mean[method, name], 0.01)) for name in shared)) for method in methods]
        print(f"| geometric mean of {len(shared)} | " + " | ".join(cell(value) for value in means) + " |")
        return
    count = len(methods)
    difference = Q05[count] * math.sqrt(count * (count + 1) / (6 * len(shared))) if count in Q05 and shared else math.nan
    print(f"| mean rank of {len(shared)} (critical difference {difference:.2f}) | "
          + " | ".join(f"{statistics.mean(ranks[method]):.2f}" for method in methods) + " |")


def main():
    words = argparse.ArgumentParser()
    words.add_argument("--tables", type=Path, required=True)
    words.add_argument("--peers", type=Path)
    words.add_argument("--methods", default="")
    words.add_argument("--splits", default="0,1,2,3,4")
    words.add_argument("--only", default="")
    words.add_argument("--base", default='extends = "tabular"')
    words.add_argument("--name", default="kiln")
    words.add_argument("--jobs", type=int, default=1)
    words.add_argument("--choose", action="store_true")
    words.add_argument("--kiln", type=Path, default=Path(__file__).resolve().parent.parent / "target/release/kiln")
    words.add_argument("overrides", nargs="*")
    arguments = words.parse_args()
    index = tomllib.loads((arguments.tables / "index.toml").read_text())
    tables = [name for name in arguments.only.split(",") if name] or list(index)
    splits = [int(split) for split in arguments.splits.split(",")]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [pool.submit(measure, arguments, name, index[name], split) for name in tables for split in splits]
        rows = [run.result() for run in runs]
    if arguments.peers:
        rows += [row for row in map(json.loads, arguments.peers.read_text().splitlines())
                 if "error" not in row and row["table"] in tables and row["split"] in splits]
    methods = arguments.methods.split(",") if arguments.methods else sorted({row["method"] for row in rows})
    for figure in ["log_loss", "accuracy", "auc", "fit_seconds"]:
        table(rows, methods, tables, figure)


if __name__ == "__main__":
    main()
