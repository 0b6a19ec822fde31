"""The cost of a trial besides its training, in a study of 1,000 tiny trials with one worker.

    cargo build --release
    python3 benchmarks/search/overhead.py [--trials 1000] [--method random|tpe] [--kiln target/release/kiln]

A trial trains one epoch on the digits. Its training time is in its run's status.json; the rest of the command's time is the cost:
proposing, claiming, run folder, data, checkpoint, logs, result, leaderboard and pictures.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--trials", type=int, default=1000)
parser.add_argument("--method", default="random")
parser.add_argument("--kiln", default="target/release/kiln")
arguments = parser.parse_args()
kiln = str(Path(arguments.kiln).resolve())
environment = {key: value for key, value in os.environ.items() if not key.startswith("KILN_")}
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    (folder / "study.toml").write_text(
        f'name = "tiny"\n[experiment]\ntraining.epochs = 1\nmodel.hidden = [8]\n[search]\nmethod = "{arguments.method}"\n'
        f"trials = {arguments.trials}\n[search.space]\noptimizer.lr = {{ min = 1e-4, max = 0.1, log = true }}\n"
        "model.dropout = { min = 0.0, max = 0.5 }\n[search.confirm]\nbest = 0\n")
    started = time.time()
    subprocess.run([kiln, "study", "study.toml", "--jobs", "1", "--ui", "none"], cwd=folder, env=environment, check=True,
                   capture_output=True)
    elapsed = time.time() - started
    results = [json.loads(path.read_text()) for path in folder.glob("artifacts/studies/tiny/results/*.json")]
    training = sum(result["seconds"] for result in results)
    beside = (elapsed - training) / len(results) * 1e3
    print(f"{len(results)} trials, {elapsed:.1f} s, {training:.1f} s of them training: {beside:.1f} ms beside it for each")
