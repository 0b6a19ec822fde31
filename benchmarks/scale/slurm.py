"""Studies on a real Slurm: a plain run, time limits, preemption, scancel, kill -9 of slurmd and of a worker.

    cargo build --release
    python3 benchmarks/scale/slurm.py [--only plain,time,preempt,cancel,kill] [--kiln target/release/kiln]

Starts munged, slurmctld and slurmd of its own (Debian: slurm-wlm and munge) in a temporary folder, as root, on the loopback,
and ends them. After each disturbance the leaderboard must equal, byte for byte, that of `kiln study` on one machine, and
every trial must have one run. Exits with 0 if so, with 1 if not, and with 77 if Slurm is not installed.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "squeue"]
BASE = """
[data]
source = "digits"
[model]
hidden = [{width}]
[training]
epochs = {epochs}
batch_size = 8
[checkpoint]
interval_steps = 500
"""
SEARCH = """
name = "{name}"
base = "base.toml"
lease = 5
[search]
trials = 12
wave = 4
[search.space]
optimizer.lr = {{ min = 1e-4, max = 0.03, log = true }}
model.dropout = {{ min = 0.0, max = 0.5, step = 0.1 }}
[search.halving]
min_epochs = {first}
[search.confirm]
best = 1
seeds = 2
repeats = 0
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Cluster:
    """A Slurm of one node and two partitions; `high` preempts `low`."""

    def __init__(self, folder):
        self.folder, self.children = folder, {}
        host = socket.gethostname()
        key = folder / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        for name in ["state", "spool", "munge"]:
            (folder / name).mkdir()
        (folder / "munge").chmod(0o711)
        self.socket = folder / "munge" / "socket"
        (folder / "slurm.conf").write_text(f"""
ClusterName=kiln
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
AuthType=auth/munge
AuthInfo=socket={self.socket},cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
KillWait=10
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 Boards=1 SocketsPerBoard=1 CoresPerSocket=4 ThreadsPerCore=1 State=UNKNOWN
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=high Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=10
""")
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "MUNGE_SOCKET": str(self.socket)}

    def start(self, name, *command):
        log = open(self.folder / f"{name}.out", "ab")
        self.children[name] = subprocess.Popen(
            command, stdout=log, stderr=log, env=self.environment, start_new_session=True)

    def start_all(self):
        self.start("munged", "munged", "--foreground", "--force", f"--socket={self.socket}",
                   f"--key-file={self.folder}/munge.key", f"--pid-file={self.folder}/munge/pid",
                   f"--log-file={self.folder}/munged.log", f"--seed-file={self.folder}/munge/seed")
        wait("the socket of munged", lambda: self.socket.exists(), 20)
        self.start("slurmctld", "slurmctld", "-D")
        self.start("slurmd", "slurmd", "-D")
        wait("the node", lambda: "idle" in self.run("sinfo", "-h", "-o", "%T", check=False), 60)

    def run(self, *command, check=True, cwd=None):
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment, cwd=cwd)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, command))}: {done.stderr}")
        return done.stdout

    def stop(self):
        subprocess.run(["scancel", "--user=root"], env=self.environment, capture_output=True)
        time.sleep(1)
        for name in ["slurmd", "slurmctld", "munged"]:
            child = self.children.get(name)
            if child and child.poll() is None:
                child.terminate()
                try:
                    child.wait(20)
                except subprocess.TimeoutExpired:
                    child.kill()


def wait(what, is_there, seconds=180):
    deadline = time.time() + seconds
    while time.time() < deadline:
        found = is_there()
        if found:
            return found
        time.sleep(0.2)
    raise RuntimeError(f"waited {seconds} s in vain for {what}")


class Trial:
    """A study in its own folder, and the same study done by a single machine."""

    def __init__(self, cluster, kiln, name, epochs, width=64, first=1):
        self.cluster, self.kiln, self.name = cluster, kiln, name
        self.place = cluster.folder / name
        self.place.mkdir()
        (self.place / "base.toml").write_text(BASE.format(epochs=epochs, width=width))
        (self.place / "study.toml").write_text(SEARCH.format(name=name, first=first))
        self.folder = self.place / "artifacts" / "studies" / name

    def submit(self, workers, *options):
        # Every host must run this program; KILN_ variables of the caller must not reach it.
        jobs = self.cluster.run(self.kiln, "study", "submit", "study.toml", "--engine", "slurm", f"--workers={workers}",
                                *options, cwd=self.place)
        return jobs.split()

    def results(self):
        return len(list(self.folder.glob("results/*.json")))

    def after(self, results):
        wait(f"{results} results of {self.name}", lambda: self.results() >= results)

    def finish(self, seconds=300):
        done = lambda: '"is_finished": true' in self.cluster.run(
            self.kiln, "study", "status", self.name, "--json", cwd=self.place)
        wait(f"the end of {self.name}", done, seconds)
        wait(f"the leaderboard of {self.name}", (self.folder / "leaderboard.csv").exists, 60)

    def check(self):
        alone = self.place / "alone"
        self.cluster.run(self.kiln, "study", "study.toml", "--ui", "none", "--artifacts", str(alone), cwd=self.place)
        mine = (self.folder / "leaderboard.csv").read_bytes()
        theirs = (alone / "studies" / self.name / "leaderboard.csv").read_bytes()
        runs = [len(list(trial.glob("*/*/config.toml"))) for trial in self.folder.glob("trials/*")]
        if mine != theirs:
            raise RuntimeError(f"{self.name}: another leaderboard than on one machine")
        if set(runs) != {1}:
            raise RuntimeError(f"{self.name}: trials with other than one run: {runs}")
        return len(runs)

    def log(self):
        return "".join(path.read_text(errors="replace") for path in self.folder.glob("slurm/*.log"))


def plain(cluster, kiln):
    trial = Trial(cluster, kiln, "plain", epochs=9)
    trial.submit(3)
    trial.finish()
    return trial, "three workers"


def time_out(cluster, kiln):
    trial = Trial(cluster, kiln, "time", epochs=900, first=300)
    jobs = trial.submit(2, "--time=1")
    restarted = lambda: cluster.run("scontrol", "show", "job", jobs[0], check=False).count("Restarts=1") == 2
    wait("a requeue of both before the time limit", restarted, 120)
    trial.finish(500)
    return trial, "two workers, --time=1: told before the limit, saved, requeued by their scripts"


def preempt(cluster, kiln):
    trial = Trial(cluster, kiln, "preempt", epochs=90, first=10)
    jobs = trial.submit(4, "--partition=low")
    trial.after(3)
    cluster.run("sbatch", "--partition=high", "--ntasks=4", "--output=/dev/null", "--wrap=sleep 3")
    wait("preemption", lambda: "Restarts=1" in cluster.run("scontrol", "show", "job", jobs[0], check=False), 120)
    trial.finish()
    return trial, "four workers, all preempted by a partition of higher priority"


def cancel(cluster, kiln):
    trial = Trial(cluster, kiln, "cancel", epochs=90, first=10)
    jobs = trial.submit(3)
    trial.after(2)
    cluster.run("scancel", f"{jobs[0]}_1")
    wait("the end of the element", lambda: f"{jobs[0]}_1" not in cluster.run("squeue", "-h", "-r", "-o", "%i"), 60)
    trial.after(5)
    cluster.run(kiln, "study", "cancel", "cancel", cwd=trial.place)
    wait("an empty queue", lambda: not cluster.run("squeue", "-h").strip(), 60)
    stood = trial.results()
    time.sleep(2)
    if trial.results() != stood:
        raise RuntimeError("a cancelled study continued")
    trial.submit(2)
    trial.finish()
    return trial, "scancel of one of three workers, then of the study, then submitted again"


def kill(cluster, kiln):
    trial = Trial(cluster, kiln, "kill", epochs=90, first=10)
    trial.submit(2)
    trial.after(2)
    cluster.children["slurmd"].send_signal(signal.SIGKILL)
    cluster.children["slurmd"].wait()
    time.sleep(2)
    cluster.start("slurmd", "slurmd", "-D")
    pattern = f"study work {trial.folder}"
    found = subprocess.run(["pgrep", "-f", "--", pattern], capture_output=True, text=True).stdout.split()
    workers = [pid for pid in found if b"bash" not in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]]
    os.kill(int(workers[0]), signal.SIGKILL)
    trial.finish()
    if "was killed" not in trial.log():
        raise RuntimeError("the killed worker was not started again")
    return trial, "kill -9 of slurmd and of a worker"


SCENES = {"plain": plain, "time": time_out, "preempt": preempt, "cancel": cancel, "kill": kill}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kiln", default="target/release/kiln")
    parser.add_argument("--only", default=",".join(SCENES))
    arguments = parser.parse_args()
    kiln = str(Path(arguments.kiln).resolve())
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing or os.geteuid() != 0:
        print(f"skipped: {'not root' if not missing else 'without ' + ', '.join(missing)}")
        return 77
    for name in [name for name in os.environ if name.startswith("KILN_")]:
        del os.environ[name]
    with tempfile.TemporaryDirectory(prefix="kiln-slurm-") as folder:
        os.chmod(folder, 0o755)
        cluster = Cluster(Path(folder))
        try:
            cluster.start_all()
            for name in arguments.only.split(","):
                started = time.time()
                trial, words = SCENES[name](cluster, kiln)
                seconds = time.time() - started
                runs = trial.check()
                print(f"{name}: {words}; {runs} runs, the leaderboard of one machine ({seconds:.0f} s)", flush=True)
        except RuntimeError as error:
            print(f"failed: {error}")
            for log in ["slurmctld.log", "slurmd.log"]:
                path = Path(folder) / log
                if path.exists():
                    print(f"--- {log}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-30:]))
            for path in Path(folder).glob("*/artifacts/studies/*/slurm/*.log"):
                print(f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:]))
            return 1
        finally:
            cluster.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
