"""Two hosts that share nothing but a folder: one dies, and the other takes over its trials.

    cargo build --release
    python3 benchmarks/scale/hosts.py [--kiln target/release/kiln]

The hosts are namespaces of this machine, each with its own network, host name and processes. Both work on the same study; then every
process of the first is killed at once. The second must wait for the first one's leases and finish, with the leaderboard of a single
machine. Prints its observations. Exits with 77 if namespaces cannot be created.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LEASE = 3
BASE = '[data]\nsource = "digits"\n[model]\nhidden = [64]\n[training]\nepochs = 90\nbatch_size = 8\n'
STUDY = f"""
name = "shared"
base = "base.toml"
lease = {LEASE}
[search]
trials = 12
wave = 4
[search.space]
optimizer.lr = {{ min = 1e-4, max = 0.03, log = true }}
[search.halving]
min_epochs = 10
[search.confirm]
best = 1
seeds = 1
repeats = 0
"""


def on_host(name, command, place):
    """Starts a command on a host of this name: with its own network, host name and process ids."""
    shell = f'hostname {name} && exec "$@"'
    return subprocess.Popen(["unshare", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc",
                             "sh", "-c", shell, "sh", *command], cwd=place, start_new_session=True,
                            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def status(kiln, place):
    done = subprocess.run([kiln, "study", "status", "shared", "--json"], cwd=place, capture_output=True, text=True)
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kiln", default="target/release/kiln")
    kiln = str(Path(parser.parse_args().kiln).resolve())
    for name in [name for name in os.environ if name.startswith("KILN_")]:
        del os.environ[name]
    if on_host("probe", ["true"], "/").wait() != 0:
        print("skipped: no namespaces here")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "base.toml").write_text(BASE)
        (place / "study.toml").write_text(STUDY)
        alone = [kiln, "study", "study.toml", "--ui", "none", "--artifacts", "alone"]
        subprocess.run(alone, cwd=place, check=True, capture_output=True)
        # A submission creates the study without starting a worker.
        subprocess.run([kiln, "study", "submit", "study.toml", "--engine", "kubernetes"], cwd=place, check=True,
                       capture_output=True)
        work = [kiln, "study", "work", "shared", "--ui", "none", "--jobs", "1"]
        first, second = on_host("first", work, place), on_host("second", work, place)
        deadline = time.time() + 60
        while {task["host"] for task in status(kiln, place)["running"]} != {"first", "second"}:
            if time.time() > deadline:
                print("failed: the two hosts never worked at once")
                return 1
            time.sleep(0.02)
        held = [task["name"] for task in status(kiln, place)["running"] if task["host"] == "first"]
        os.killpg(first.pid, signal.SIGKILL)
        died = time.time()
        while any(task["host"] == "first" for task in status(kiln, place)["running"]):
            if time.time() > died + 20 * LEASE:
                print("failed: the first host's trials were never taken over")
                return 1
            time.sleep(0.05)
        waited = time.time() - died
        if second.wait(300) != 0:
            print(f"failed: {second.stderr.read()}")
            return 1
        boards = [root / "studies" / "shared" / "leaderboard.csv" for root in [place / "artifacts", place / "alone"]]
        runs = [len(list(trial.glob("*/*/config.toml"))) for trial in (place / "artifacts/studies/shared/trials").iterdir()]
        if boards[0].read_bytes() != boards[1].read_bytes() or set(runs) != {1}:
            print(f"failed: another leaderboard than on one machine, or trials with other than one run: {runs}")
            return 1
        print(f"{', '.join(held)} taken over {waited:.1f} s after its host died (leases of {LEASE} s); the leaderboard of one "
              f"machine, {len(runs)} runs, one for each")
    return 0


if __name__ == "__main__":
    sys.exit(main())
