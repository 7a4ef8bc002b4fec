#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The whole study of tuned models: every run of finetune.py, in order, several at a time.

    python finetune_study.py --runs runs/finetune             # goes on where it was
    python finetune_study.py --runs runs/finetune --list      # what is done, what it took
    python finetune_study.py --runs runs/finetune --figures ../docs/results/finetune

A part is a folder RUNS/TASK/KIND-SEED, its log RUNS/logs/TASK.KIND-SEED.log; it is done when its
result.json is there. Kinds:

    alternate, uniform, layerdrop    one model with seven exits; see finetune.py
    depthL          the decisive baseline: cut to L blocks, tuned alone, with equal steps
    fullL           the same on the calibration rows, too, which a fixed depth does not need
    distilledL      cut to L blocks, with depth12 of its seed as teacher
    bi50 ... greedy75   the first 12 blocks without what `fathom prune` ($FATHOM) takes out of the
                    untuned model, keeping that share of FLOPs; then tuned as depth12 is

SIGTERM or Ctrl-C stops all runs with a checkpoint.
"""

import argparse
import ctypes
import fcntl
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import corpus
import tasks

TRAINING = corpus.TRAINING
MODEL = TRAINING.parent / "models" / "finch-lm"
DEPTHS = (1, 2, 3, 4, 6, 9, 12)
MASKS = [(method, keep) for keep in (75, 50) for method in ("bi", "greedy")]


@dataclass
class Part:
    task: str
    kind: str
    seed: int
    options: tuple = ()
    needs: list = field(default_factory=list)  # files of other parts

    @property
    def name(self):
        return f"{self.task}/{self.kind}-{self.seed}"

    def command(self):
        options = ["--task", self.task, "--seed", str(self.seed), *self.options]
        return [str(TRAINING / "finetune.py"), *options, "--output", self.name]


def joint(task, kind, seed):
    return Part(task, kind, seed, ("--objective", kind))


def alone(depth):
    return "--objective", "last", "--depth", str(depth), "--exits", str(depth)


def cut(task, depth, seed):
    return Part(task, f"depth{depth}", seed, alone(depth))


def full(task, depth, seed):
    return Part(task, f"full{depth}", seed, (*alone(depth), "--all-rows"))


def distilled(task, depth, seed):
    teacher = f"{task}/depth12-{seed}"
    return Part(task, f"distilled{depth}", seed, (*alone(depth), "--teacher", teacher),
                [f"{teacher}/result.json"])


def masked(task, method, keep, seed):
    mask = f"{task}/masks/{method}{keep}.json"
    return Part(task, f"{method}{keep}", seed,
                ("--objective", "last", "--exits", "12", "--mask", mask), [mask])


def plan(seeds=None):
    """Parts in order. seeds: how many of every kind, instead of 3 of TREC and 2 of the others."""
    def of(n):
        return range(1, (seeds or n) + 1)

    parts = [joint("trec", "alternate", s) for s in of(3)]
    parts += [cut("trec", d, s) for s in of(3) for d in DEPTHS]
    parts += [joint("trec", "uniform", s) for s in of(3)]
    for task, depths in (("sicke", DEPTHS), ("mrpc", (3, 6, 12)), ("sst2", (12, 3, 1, 6))):
        parts += [joint(task, "alternate", s) for s in of(2)]
        parts += [cut(task, d, s) for s in of(2) for d in depths]
    parts += [distilled("trec", 3, s) for s in of(3)]
    parts += [masked("trec", *mask, s) for s in of(3) for mask in MASKS]
    parts += [joint("trec", "layerdrop", s) for s in of(3)]
    parts += [full("trec", d, s) for s in of(3) for d in DEPTHS]
    for task in ("stsb", "sickr"):
        parts += [joint(task, "alternate", s) for s in of(2)]
        parts += [cut(task, d, s) for s in of(2) for d in (3, 6, 12)]
    return parts


def mask_command(program, path):
    task, name = path.parent.parent.name, path.stem
    method, keep = re.fullmatch(r"([a-z]+)(\d+)", name).groups()
    return [program, "prune", str(MODEL), "--tasks", task, "--method", method, "--keep",
            str(int(keep) / 100), "--norm", "ln_out", "--seed", "1", "-o", str(path)]


def make_mask(runs, mask):
    """With $FATHOM, from the untuned model and training texts; whether it is there."""
    path = runs / mask
    program = os.environ.get("FATHOM")
    if path.exists() or not program:
        return path.exists()
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(runs / "logs" / f"mask.{path.stem}.log", "w") as log:
        return subprocess.run(mask_command(program, path), stdout=log, stderr=log).returncode == 0


def die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


class Driver:
    def __init__(self, runs, parts, jobs, threads):
        self.runs, self.parts, self.jobs, self.threads = runs, parts, jobs, threads
        self.running, self.failed, self.stopping = {}, set(), False

    def done(self, part):
        return (self.runs / part.name / "result.json").exists()

    def ready(self, part):
        for need in part.needs:
            if not (self.runs / need).exists() and not (
                    "/masks/" in need and make_mask(self.runs, need)):
                return False
        return True

    def start(self, part):
        command = [sys.executable, *part.command(), "--threads", str(self.threads)]
        environment = {**os.environ, "OMP_NUM_THREADS": str(self.threads)}
        (self.runs / part.name).mkdir(parents=True, exist_ok=True)
        with open(self.runs / "logs" / f"{part.name.replace('/', '.')}.log", "a") as log:
            process = subprocess.Popen(command, cwd=self.runs, stdout=log, stderr=log,
                                       env=environment, preexec_fn=die_with_parent)
        self.running[process] = part
        self.say(f"{part.name} began, process {process.pid}")

    def say(self, text):
        print(time.strftime("%m-%d %H:%M:%S"), text, flush=True)

    def reap(self, process, part):
        code = process.returncode
        if self.done(part):
            result = json.loads((self.runs / part.name / "result.json").read_text())
            report = tasks.TASKS[part.task]
            scores = result["splits"][report.report][report.metrics[0]]
            self.say(f"{part.name} done in {result['seconds']:.0f} s: "
                     + " ".join(f"{s:.3f}" for s in scores))
        elif not self.stopping:
            self.failed.add(part.name)
            self.say(f"{part.name} failed with {code}, see its log")

    def stop(self, *_):
        self.stopping = True
        for process in self.running:
            process.send_signal(signal.SIGTERM)

    def run(self):
        signal.signal(signal.SIGTERM, self.stop)
        signal.signal(signal.SIGINT, self.stop)
        while True:
            for process, part in list(self.running.items()):
                if process.poll() is not None:
                    del self.running[process]
                    self.reap(process, part)
            busy = {part.name for part in self.running.values()}
            left = [part for part in self.parts if not self.done(part)
                    and part.name not in self.failed and part.name not in busy]
            ready = []
            if not self.stopping:
                room = self.jobs - len(self.running)
                for part in left:
                    if len(ready) < room and self.ready(part):
                        ready.append(part)
            for part in ready:
                self.start(part)
            if not self.running:
                return not left and not self.failed
            time.sleep(1)


def show(runs, parts):
    for part in parts:
        path = runs / part.name / "result.json"
        if path.exists():
            result = json.loads(path.read_text())
            task = tasks.TASKS[part.task]
            scores = result["splits"][task.report][task.metrics[0]]
            print(f"{part.name:22} {result['seconds']:7.0f} s  "
                  + " ".join(f"{s:.3f}" for s in scores))
        else:
            begun = (runs / part.name / "checkpoint.pt").exists()
            print(f"{part.name:22} {'begun' if begun else ''}")


def figures(runs, parts, folder):
    """Writes TASK.json: of every run that is done its command and figures, without examples."""
    folder.mkdir(parents=True, exist_ok=True)
    for task in dict.fromkeys(part.task for part in parts):
        of_task = {}
        for part in parts:
            path = runs / part.name / "result.json"
            if part.task != task or not path.exists():
                continue
            result = json.loads(path.read_text())
            result["command"] = shlex.join(["training/finetune.py", *part.command()[1:]])
            names = ("command", "training_rows", "calibration_rows", "steps", "tokens", "seconds",
                     "layers", "temperatures", "threshold", "splits")
            of_task[f"{part.kind}-{part.seed}"] = {name: result[name] for name in names}
        if of_task:
            lines = ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in of_task.items())
            temporary = folder / f"{task}.tmp"
            temporary.write_text("{\n" + lines + "\n}\n")
            os.replace(temporary, folder / f"{task}.json")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=TRAINING / "runs" / "finetune")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time [2]")
    parser.add_argument("--threads", type=int, default=1, help="of a run [1]")
    parser.add_argument("--seeds", type=int, help="of every kind [3 of TREC, 2 of the others]")
    parser.add_argument("--only", default="", help="parts whose name has this regular expression")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--figures", type=Path, help="folder for TASK.json, of what is done")
    a = parser.parse_args(argv)
    parts = [part for part in plan(a.seeds) if re.search(a.only, part.name)]
    if a.list:
        return show(a.runs, parts)
    if a.figures:
        return figures(a.runs, parts, a.figures)
    a.runs = a.runs.resolve()
    (a.runs / "logs").mkdir(parents=True, exist_ok=True)
    with open(a.runs / "driver.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"{a.runs}: another driver runs here") from None
        return 0 if Driver(a.runs, parts, a.jobs, a.threads).run() else 1


if __name__ == "__main__":
    sys.exit(main())
