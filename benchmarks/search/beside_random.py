"""Searches by tree-structured Parzen estimators with halving beside random search, with equal epochs.

    cargo build --release
    python3 benchmarks/search/beside_random.py --tables DIR [--repeats 10] [--only digits,churn] [--budget 20] [key=value ...]

DIR holds the tables and index.toml, as for benchmarks/tables.py. Each method may train `--budget` times 27 epochs. Repeat
r uses seed r for the choice of trials, the split and the networks. Prints a JSON line per repeat on stderr, and Markdown on stdout:
the best validation loss as a mean over the repeats, how often each method is ahead, and the epochs that the second needs to be as
good as random search at its end.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tables import read

TABLES = ["churn", "phoneme", "students", "titanic", "winequality-white"]
EPOCHS = 27
SPACE = """
[search.space]
optimizer.lr = { min = 1e-4, max = 0.1, log = true }
model.hidden = { length = [1, 3], min = 8, max = 128, log = true }
model.dropout = { min = 0.0, max = 0.5 }
optimizer.weight_decay = { min = 1e-6, max = 0.1, log = true }
[search.confirm]
best = 0
"""
METHODS = {
    "random": 'method = "random"',
    "tpe + halving": 'method = "tpe"\nhalving = { min_epochs = 3 }',
}


def base(arguments, name, folder):
    """The experiment that a search starts from, with its rows in `folder`."""
    data = 'source = "digits"'
    if name != "digits":
        entry = tomllib.loads((arguments.tables / "index.toml").read_text())[name]
        names, rows = read(arguments.tables, entry)
        with open(folder / "rows.csv", "w", newline="") as file:
            csv.writer(file).writerows([names, *rows])
        codes = json.dumps(entry.get("categorical", []))
        data = (f'source = "csv"\npath = "rows.csv"\nlabel_column = "{entry["target"]}"\n'
                f'normalization = "standard"\ncolumns.category = {codes}')
    return (f'[data]\n{data}\nvalidation = 0.25\n[optimizer]\nname = "adamw"\n'
            f"[training]\nepochs = {EPOCHS}\nbatch_size = 64\n[dashboard]\nlog_interval = 1000\n")


def losses(folder):
    """Epochs spent and the best validation loss by then, after each training of the search, in its order."""
    found, spent, best, before = [], 0, float("inf"), {}
    report = json.loads((folder / "study.json").read_text())
    runs = {trial["name"]: Path(trial["runs"][0]) for trial in report["trials"] if trial["runs"]}
    for wave in sorted(folder.glob("searches/*/wave-*.json")):
        for task in json.loads(wave.read_text())["tasks"]:
            trial, until = task["trial"], task["until"]
            if trial == 0:
                continue
            address = runs[f"trial-{trial:04}"].parent.parent.name
            result = json.loads((folder / "results" / f"{address}-e{until}.json").read_text())
            spent += until - before.get(trial, 0)
            before[trial] = until
            loss = result["best"].get("validation_loss")
            if loss is not None and result["error"] is None:
                best = min(best, loss)
            found.append((spent, best))
    return found


def search(arguments, name, method, repeat):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "base.toml").write_text(base(arguments, name, folder))
        settings = f"seed = {repeat}\nepochs = {arguments.budget * EPOCHS}\n{METHODS[method]}"
        text = f'name = "s"\nbase = "base.toml"\nseeds = [{repeat}]\n[search]\n{settings}\n{SPACE}'
        (folder / "s.toml").write_text(text)
        command = [arguments.kiln, "study", "s.toml", "--ui", "none", *arguments.overrides]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=arguments.environment)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return losses(folder / "artifacts" / "studies" / "s")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tables", type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument("--kiln", default=str(Path("target/release/kiln").resolve()))
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--budget", type=int, default=20)
    parser.add_argument("--only", default=",".join([*TABLES, "digits"]))
    parser.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    arguments.environment = {key: value for key, value in os.environ.items() if not key.startswith("KILN_")}
    rows = []
    for name in arguments.only.split(","):
        finals, ratios = {method: [] for method in METHODS}, []
        for repeat in range(arguments.repeats):
            curves = {method: search(arguments, name, method, repeat) for method in METHODS}
            for method, curve in curves.items():
                finals[method].append(curve[-1][1])
            random_spent, random_best = curves["random"][-1]
            reached = next((spent for spent, best in curves["tpe + halving"] if best <= random_best), None)
            ratios.append(reached / random_spent if reached else float("inf"))
            line = {"data": name, "repeat": repeat, "ratio": ratios[-1]}
            line |= {method: curve[-1][1] for method, curve in curves.items()}
            line["trials"] = {method: len(curve) for method, curve in curves.items()}
            print(json.dumps(line), file=sys.stderr, flush=True)
        rows.append((name, finals, ratios))
    print("| data | random | tpe + halving | ahead | epochs to random's best (median) |\n|---|---|---|---|---|")
    for name, finals, ratios in rows:
        ahead = sum(new < old for old, new in zip(finals["random"], finals["tpe + halving"]))
        shown = [f"{statistics.mean(values):.4f} ± {statistics.stdev(values):.4f}" if len(values) > 1 else f"{values[0]:.4f}"
                 for values in finals.values()]
        print(f"| {name} | {shown[0]} | {shown[1]} | {ahead} of {len(ratios)} | {statistics.median(ratios):.2f} |")


if __name__ == "__main__":
    main()
