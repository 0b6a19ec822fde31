"""Are findings right, and do remedies help? Measured on runs of known state.

    cargo build --release
    KILN_DATA_DIR=DIR python3 benchmarks/diagnosis.py [--seeds 6] [--jobs 2] [--only dead,sound] [--runs FILE]

DIR holds the folder `mnist`, and `tables` with index.toml as for tables.py. Sound runs are Kiln's own recipes (configs/digits.toml,
the preset for tables) and one for some thousand images of MNIST, at several sizes. Every fault is one or two changes to such a
recipe. Each run is trained by the program and judged by the findings that it prints. Then the first remedy of the first finding is
applied as printed, and the network is trained again with the same seed.

Each fault lists its right findings (FAULTS). Thresholds were chosen on the seeds 0 and 1, four of them again on 10 to 25; the runs
here have the seeds from 30 on. The spread of a data set is the standard deviation, over its sound runs, of the change in validation
loss after a meaningless change: one more unit in the first layer. A remedy makes a run better if it lowers the validation loss of
the tested network by more than the spread, and worse if it raises it by more; a failed run has an infinite loss. Prints Markdown on
stdout, and writes a JSON line per run into FILE.
"""

import argparse
import csv
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLES = ["titanic", "phoneme", "churn", "credit-g", "heart-disease", "winequality-white"]

# Some thousand images, with an adaptive optimizer and a schedule.
MNIST = """
name = "mnist"
[data]
source = "mnist"
limit = 6000
test_limit = 2000
[model]
hidden = [256, 128]
dropout = 0.2
[optimizer]
name = "adamw"
[lr_scheduler]
name = "cosine"
[training]
epochs = 20
batch_size = 64
[dashboard]
log_interval = 40
"""

# The recipes without their regularization.
UNREGULARIZED = ["model.dropout=0.0", "loss.label_smoothing=0.0", "optimizer.weight_decay=0.0", "early_stopping.enabled=false"]
CONSTANT = "lr_scheduler.name=constant"
PLAIN = ["loss.label_smoothing=0.0", "model.dropout=0.0"]
DEEP = "model.hidden=[64,64,64,64,64,64]"
LOWER_RATE, HIGHER_RATE = "a lower optimizer.lr", "a higher optimizer.lr"

# Data that the program refuses to train on, and its message.
REFUSED = "refused before training"

# Fault: (data, changes, findings that are right, those that may come first).
UNSTABLE = {"diverging", "exploding", "non-finite", "loss-jumps", "dead-units", "saturated-units", "underfit"}
FAULTS = {
    "rate too high": [
        (["digits", "mnist"], ["optimizer.lr=0.3"], UNSTABLE, LOWER_RATE),
        (["digits", "mnist"], ["optimizer.name=sgd", "optimizer.momentum=0.9", "optimizer.lr=3"], UNSTABLE, LOWER_RATE),
        (["phoneme", "churn"], ["optimizer.lr=1"], UNSTABLE, LOWER_RATE),
    ],
    "rate too low": [
        (["digits", "mnist"], ["optimizer.lr=3e-6"], {"underfit"}, HIGHER_RATE),
        (["digits", "mnist"], ["optimizer.name=sgd", "optimizer.lr=1e-4"], {"underfit"}, HIGHER_RATE),
        (["phoneme", "winequality-white"], ["optimizer.lr=3e-6"], {"underfit"}, HIGHER_RATE),
    ],
    "too few epochs": [
        (["digits"], ["training.epochs=2"], {"underfit"}, "training.epochs"),
        (["digits", "mnist"], ["training.epochs=2", CONSTANT], {"underfit"}, "training.epochs"),
        (["mnist"], ["training.epochs=1"], {"underfit"}, "training.epochs"),
        (["winequality-white"], ["training.epochs=3"], {"underfit"}, "training.epochs"),
    ],
    "too small": [
        (["digits", "mnist"], ["model.hidden=[2]", *PLAIN], {"underfit", "dead-units"}, "model.hidden"),
        (["digits", "mnist"], ["model.hidden=[64,2]", *PLAIN], {"underfit", "dead-units"}, "model.hidden"),
    ],
    "too much regularization": [
        (["digits", "mnist"], ["model.dropout=0.95"], {"underfit"}, "model.dropout"),
        (["digits", "mnist"], ["loss.l2=0.3"], {"underfit"}, "loss.l2"),
    ],
    "few rows, no regularization": [
        (["heart-disease", "titanic", "credit-g", "winequality-white"], ["data.validation=0.3", "training.epochs=150", *UNREGULARIZED], {"overfit"}, None),
    ],
    "wrong labels, memorized": [
        (["digits"], ["data.label_noise=0.3", "training.epochs=150", *UNREGULARIZED], {"overfit"}, None),
        (["mnist"], ["data.label_noise=0.3", "training.epochs=60", *UNREGULARIZED], {"overfit"}, None),
    ],
    "bad initialization": [
        (["digits", "mnist"], ["model.initialization=constant", CONSTANT], {"vanishing", "underfit", "dead-units"}, "model.initialization"),
        (["digits", "mnist"], ["model.activation=sigmoid", DEEP, *PLAIN], {"vanishing"}, "model.activation"),
        (["digits", "mnist"], ["model.initialization=he-uniform", "model.initialization_gain=0.01", DEEP, "optimizer.name=sgd", *PLAIN], {"vanishing", "underfit", "dead-units"}, "model.initialization_gain"),
    ],
    "dead": [
        (["digits", "mnist"], ["model.initialization=constant", "model.initialization_constant=-0.05", *PLAIN], {"dead-units"}, "model.initialization"),
    ],
    "saturated": [
        (["digits", "mnist"], ["model.activation=tanh", "model.initialization=xavier-uniform", "model.initialization_gain=50", *PLAIN], {"saturated-units", "exploding"}, "model.initialization_gain"),
    ],
    "exploding": [
        (["digits", "mnist"], ["model.initialization=he-normal", "model.initialization_gain=4", DEEP, "optimizer.name=sgd", "optimizer.lr=0.1", *PLAIN], {"exploding", "non-finite"}, "model.initialization_gain"),
    ],
    "constant features": [(["constant"], [], {REFUSED}, None)],
    "shuffled labels": [
        (["digits"], ["data.label_noise=0.9"], {"no-skill"}, None),
        (["shuffled titanic", "shuffled churn"], [], {"no-skill"}, None),
    ],
}
SIZES = {
    "digits": ["[256,128]", "[64]", "[512,256]", "[128,128,128]"],
    "mnist": ["[256,128]", "[128]", "[512,128]"],
    "table": ["[128,128]", "[64]", "[256,256]"],
}
# Findings that contradict each other.
CONTRADICTIONS = [("underfit", "overfit"), ("no-skill", "no-better-than-linear")]


def prepare(folder, tables):
    """Writes the tables as plain files with the class in `label`, and two without anything to learn."""
    index = tomllib.loads((tables / "index.toml").read_text())
    entries = index.get("table", index)
    entries = {entry.get("name", Path(entry["file"]).stem): entry for entry in entries} if isinstance(entries, list) else entries
    for name in TABLES:
        entry = entries[name]
        with open(tables / entry["file"], newline="") as file:
            rows = [row for row in csv.reader(file, skipinitialspace=True) if row]
        names = entry.get("header") or rows.pop(0)
        target = names.index(entry["target"])
        kept = [at for at, column in enumerate(names) if column not in entry.get("drop", []) and at != target]
        head = [names[at] for at in kept] + ["label"]
        body = [[row[at] for at in kept] + [row[target]] for row in rows]
        write(folder / f"{name}.csv", head, body)
        labels = [row[-1] for row in body]
        random.Random(0).shuffle(labels)
        write(folder / f"shuffled {name}.csv", head, [[*row[:-1], label] for row, label in zip(body, labels)])
    rows = [["1.5", "0", "7", random.Random(row).choice("ab")] for row in range(600)]
    write(folder / "constant.csv", ["x", "y", "z", "label"], rows)


def write(path, head, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([head, *rows])


def recipe(data, folder):
    if data == "digits":
        return [str(ROOT / "configs/digits.toml")]
    if data == "mnist":
        return [str(folder / "mnist.toml")]
    return [str(folder / "table.toml"), f"data.path={folder / data}.csv", "model.members=1", "data.folds=0", "data.validation=0.2"]


def overridden(settings):
    """Keeps the last setting of each key: the program refuses a key that is given twice."""
    last = {setting.split("=", 1)[0]: setting for setting in settings}
    return list(last.values())


def applied(changes, settings):
    """The changes with a remedy applied; the constant of an initialization goes with that initialization."""
    keeps = not any(setting.startswith("model.initialization=") for setting in settings)
    return [change for change in changes if keeps or not change.startswith("model.initialization_constant")] + settings


def train(arguments, folder, data, seed, changes):
    file, *settings = recipe(data, folder)
    settings = overridden([*settings, *changes, f"seed={seed}", "evaluation.importance=false", "checkpoint.keep_latest_k=1"])
    place = tempfile.mkdtemp(dir=folder)
    command = [str(arguments.kiln), "train", file, "--json", "--artifacts", place, *settings]
    environment = os.environ | {"KILN_BACKEND__THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    found = {"data": data, "seed": seed, "changes": changes, "findings": []}
    runs = list(Path(place).glob("*/*/status.json"))
    if not runs and done.returncode == 1 and "constant" in done.stderr:
        return found | {"findings": [{"kind": REFUSED, "severity": "failure"}], "validation_loss": math.inf}
    if not runs:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    status = json.loads(runs[0].read_text())
    shown = subprocess.run([str(arguments.kiln), "runs", "show", "--json", "--artifacts", place], capture_output=True, text=True)
    found["findings"] = json.loads(shown.stdout)["findings"]
    found["state"] = status["state"]
    best = status.get("best")
    found["validation_loss"] = best["value"] if status["state"] == "finished" and best else math.inf
    found["test"] = status.get("test")
    shutil.rmtree(place)
    return found


def first_remedy(run):
    """The settings to try first, and their finding."""
    for finding in run["findings"]:
        for remedy in finding.get("remedies", []):
            return finding["kind"], remedy["settings"]
        return finding["kind"], []
    return None, []


def names(run):
    return [finding["kind"] for finding in run["findings"]]


def is_named_first(run, right, lever, changes):
    kind, settings = first_remedy(run)
    if kind not in right:
        return False
    if lever is None or not settings:
        return lever is None
    if lever in (LOWER_RATE, HIGHER_RATE):
        if lever == HIGHER_RATE and settings[0].startswith("optimizer.momentum"):
            return True
        now = next(float(change.split("=")[1]) for change in changes if change.startswith("optimizer.lr"))
        rates = [float(setting.split("=")[1]) for setting in settings if setting.startswith("optimizer.lr")]
        return bool(rates) and (rates[0] < now) == (lever == LOWER_RATE)
    return any(setting.startswith(lever) for setting in settings)


def work(arguments, folder):
    """All runs: (fault or "sound", data, changes, right findings, lever, seed)."""
    plan, seeds = [], range(arguments.first_seed, arguments.first_seed + arguments.seeds)
    for data in ["digits", "mnist", *TABLES]:
        for size in SIZES.get(data, SIZES["table"]):
            plan += [("sound", data, [f"model.hidden={size}"], set(), None, seed) for seed in seeds]
    for fault, cases in FAULTS.items():
        for datas, changes, right, lever in cases:
            plan += [(fault, data, changes, right, lever, seed) for data in datas for seed in seeds]
    if arguments.only:
        plan = [entry for entry in plan if entry[0] in arguments.only.split(",")]

    def one(entry):
        fault, data, changes, right, lever, seed = entry
        run = train(arguments, folder, data, seed, changes)
        run |= {"fault": fault, "right": sorted(right), "lever": lever}
        if fault == "sound":
            units = json.loads(changes[0].split("=")[1])
            other = f"model.hidden={[units[0] + 1, *units[1:]]}".replace(" ", "")
            run["nudged"] = train(arguments, folder, data, seed, [other])["validation_loss"]
        run["first"], settings = first_remedy(run)
        run["tried"] = settings
        if settings:
            after = train(arguments, folder, data, seed, applied(changes, settings))
            run["after"] = {key: after[key] for key in ["state", "validation_loss", "test"]}
        print(f"{fault} · {data} · {' '.join(changes)} · seed {seed}: {', '.join(names(run)) or 'nothing'}", file=sys.stderr)
        return run

    with ThreadPoolExecutor(arguments.jobs) as pool:
        return list(pool.map(one, plan))


def spreads(runs):
    changes = defaultdict(list)
    for run in runs:
        if run["fault"] == "sound":
            changes[run["data"]].append(run["nudged"] - run["validation_loss"])
    return {data: math.sqrt(statistics.fmean(change * change for change in list_)) for data, list_ in changes.items()}


def percent(part, whole):
    if not whole:
        return "–"
    value = 100 * part / whole
    # All and none are claims of their own.
    digits = 1 if (part < whole and value > 99.5) or 0 < value < 0.5 else 0
    return f"{value:.{digits}f} % ({part}/{whole})"


def tables(runs):
    spread = spreads(runs)
    sound = [run for run in runs if run["fault"] == "sound"]
    faulty = [run for run in runs if run["fault"] != "sound"]
    print(f"{len(runs)} runs, {len(sound)} of them sound.\n")
    if sound:
        by_data = defaultdict(list)
        for run in sound:
            by_data[run["data"]].append(run)
        print("| sound runs | runs | with any finding | which |\n| --- | --- | --- | --- |")
        for data, group_ in [*by_data.items(), ("all", sound)]:
            counts = defaultdict(int)
            for run in group_:
                for finding in run["findings"]:
                    counts[f"{finding['kind']} ({finding['severity']})"] += 1
            which = ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))
            print(f"| {data} | {len(group_)} | {percent(sum(bool(run['findings']) for run in group_), len(group_))} | {which} |")
    print("\n| fault | runs | found | named first, with the remedy that cures it | first remedies tried | better | worse |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    rows = [*((fault, [run for run in faulty if run["fault"] == fault]) for fault in FAULTS), ("all", faulty)]
    for fault, group_ in rows:
        if not group_:
            continue
        found = sum(bool(set(names(run)) & set(run["right"])) for run in group_)
        first = sum(is_named_first(run, run["right"], run["lever"], run["changes"]) for run in group_)
        print(f"| {fault} | {len(group_)} | {percent(found, len(group_))} | {percent(first, len(group_))} | {outcome(group_, spread)} |")
    print(f"| sound runs with a remedy | {len(sound)} | | | {outcome(sound, spread)} |\n")
    kinds = sorted({kind for run in runs for kind in names(run)})
    print("| finding | raised | correctly | wrongly | first remedies tried | better | worse |\n| --- | --- | --- | --- | --- | --- | --- |")
    for kind in kinds:
        raised = [run for run in runs if kind in names(run)]
        rightly = sum(kind in run["right"] for run in raised)
        first = [run for run in raised if run["first"] == kind]
        print(f"| {kind} | {len(raised)} | {rightly} | {len(raised) - rightly} | {outcome(first, spread)} |")
    pairs = [run for run in runs for one, other in CONTRADICTIONS if {one, other} <= set(names(run))]
    print(f"\nRuns with findings that contradict each other: {len(pairs)}.")


def outcome(group_, spread):
    tried = [run for run in group_ if run.get("after")]
    better = worse = 0
    for run in tried:
        before, after = run["validation_loss"], run["after"]["validation_loss"]
        noise = spread.get(run["data"].removeprefix("shuffled "), 0.0)
        better += after < before - noise
        worse += after > before + noise
    return f"{len(tried)} | {percent(better, len(tried))} | {percent(worse, len(tried))}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kiln", type=Path, default=ROOT / "target/release/kiln")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first-seed", type=int, default=30)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", help="faults, with commas between, or sound")
    parser.add_argument("--runs", type=Path, help="where to put a JSON line for each run")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        prepare(folder, Path(os.environ["KILN_DATA_DIR"]) / "tables")
        (folder / "mnist.toml").write_text(MNIST)
        (folder / "table.toml").write_text('extends = "tabular"\nname = "table"\n')
        runs = work(arguments, folder)
    if arguments.runs:
        arguments.runs.write_text("".join(json.dumps(run) + "\n" for run in runs))
    tables(runs)


if __name__ == "__main__":
    main()
