#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pruning with healing from end to end: `fathom prune --objective task --heal` on a task, at several
shares of FLOPs; a table of the whole model, the mask, and the model that was tuned under it.

    python heal_study.py --runs runs/heal                  # finch-lm, TREC, 75 and 50 %
    python heal_study.py --runs runs/heal --epochs 1 --rows 600 --sample 256     # a look in minutes

For each share RUNS/TASK-KEEP/ holds mask.policy (what leaves the untuned model), tuned/ (of
finetune.py) and healed.json (the figures). What is done stays and tuning goes on from its
checkpoint, so the same command goes on where it was stopped (SIGTERM or Ctrl-C). RUNS/heal.json and RUNS/heal.md have all figures.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import corpus
import exits
import tasks

TRAINING = corpus.TRAINING
NORM = "ln_out"  # what the exits of finetune.py read


def settings_of(a, keep):
    """What the files of a share depend on."""
    return {"model": str(a.model), "task": a.task, "keep": keep, "method": a.method,
            "seed": a.seed, "sample": a.sample, "epochs": a.epochs, "rows": a.rows}


def tuning_command(a, mask, folder):
    """finetune.py under the mask."""
    depth = json.loads((a.model / "config.json").read_text())["num_hidden_layers"]
    command = [sys.executable, str(TRAINING / "finetune.py"), "--task", a.task, "--seed",
               str(a.seed), "--objective", "last", "--exits", str(depth), "--start", str(a.model),
               "--mask", mask, "--output", folder, "--threads", str(a.threads)]
    for name in ("data", "epochs", "rows"):
        if getattr(a, name) is not None:
            command += [f"--{name}", str(getattr(a, name))]
    return command


def prune_command(a, keep, folder):
    """All of it: a mask, tuning under it, the tuned model judged."""
    tune = shlex.join(tuning_command(a, "@mask@", "@folder@"))
    tune = tune.replace("@mask@", "{mask}").replace("@folder@", "{folder}")
    return [a.fathom, "prune", str(a.model), "--tasks", a.task, "--objective", "task", "--method",
            a.method, "--keep", str(keep / 100), "--norm", NORM, "--seed", str(a.seed), "--sample",
            str(a.sample), "--threads", str(a.threads), *data_of(a), "-o",
            str(folder / "mask.policy"), "--healed", str(folder / "tuned"), "--json", "--heal", tune]


def judge_command(a, folder):
    """The last step of that, for a mask and a model that are there."""
    return [a.fathom, "prune", str(a.model), "--tasks", a.task, "--norm", NORM, "--threads",
            str(a.threads), *data_of(a), "--mask", str(folder / "mask.policy"), "--healed",
            str(folder / "tuned"), "-o", str(folder / "healed.policy"), "--json"]


def data_of(a):
    return [] if a.data is None else ["--data", str(a.data)]


class Steps:
    """Runs commands; SIGTERM goes on to the one that runs."""

    def __init__(self):
        self.process = None
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)

    def stop(self, *_):
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)  # the tuning below `fathom prune`, too
            self.process.wait()
        raise SystemExit("stopped; the same command goes on")

    def run(self, command):
        print("+", shlex.join(command), file=sys.stderr, flush=True)
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                        start_new_session=True)
        out, _ = self.process.communicate()
        code, self.process = self.process.returncode, None
        if code:
            raise SystemExit(f"{command[0]} {command[1]}: ended with {code}, expected 0")
        return out


def one(a, keep, steps):
    """The figures of a share."""
    folder = a.runs / f"{a.task}-{keep}"
    folder.mkdir(parents=True, exist_ok=True)
    settings, path = settings_of(a, keep), folder / "settings.json"
    if path.exists() and json.loads(path.read_text()) != settings:
        raise SystemExit(f"{path}: made with other settings, {path.read_text().strip()}; expected "
                         f"{json.dumps(settings)}, or another folder for --runs")
    exits.write(path, json.dumps(settings) + "\n")
    if not (folder / "healed.json").exists():
        if not (folder / "mask.policy").exists():
            healed = json.loads(steps.run(prune_command(a, keep, folder)))["healed"]
        else:  # it was stopped behind the search
            if not (folder / "tuned" / "result.json").exists():
                steps.run(tuning_command(a, str(folder / "mask.policy"), str(folder / "tuned")))
            healed = json.loads(steps.run(judge_command(a, folder)))
        exits.write(folder / "healed.json", json.dumps(healed) + "\n")
    healed = json.loads((folder / "healed.json").read_text())
    mask = exits.read_mask(folder / "mask.policy")
    tuned = json.loads((folder / "tuned" / "result.json").read_text())
    report = tasks.TASKS[a.task]
    return {"keep": keep, "settings": settings, "healed": healed,
            "time_mix": sum(t for t, _ in mask), "channel_mix": sum(c for _, c in mask),
            "blocks": len(mask), "head of its own": tuned["splits"][report.report],
            "seconds of tuning": tuned["seconds"],
            "one command": shlex.join(prune_command(a, keep, folder))}


def markdown(figures):
    first = figures[0]["healed"]
    lines = [f"| share of FLOPs | sublayers of {2 * figures[0]['blocks']} | whole model | under the "
             f"mask | tuned under it | the tuned model's own head |", "|---:|---:|---:|---:|---:|---:|"]
    for f in figures:
        h, own = f["healed"], f["head of its own"]
        lines.append(f"| {f['keep']} % | {f['time_mix'] + f['channel_mix']} | {h['whole']:.3f} | "
                     f"{h['masked']:.3f} | {h['healed']:.3f} | {own[first['metric']][-1]:.3f} |")
    return (f"{first['metric']} on {first['split']}; the first three by heads that are fitted anew "
            f"on {first['n_train']} training rows\n\n" + "\n".join(lines) + "\n")


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=TRAINING / "runs" / "heal")
    parser.add_argument("--model", type=Path, default=TRAINING.parent / "models" / "finch-lm")
    parser.add_argument("--fathom", default=os.environ.get(
        "FATHOM", str(TRAINING.parent / "build" / "release" / "fathom")), help="the program")
    parser.add_argument("--task", choices=tasks.TASKS, default="trec")
    parser.add_argument("--keep", type=lambda s: [int(x) for x in s.split(",")], default=[75, 50],
                        help="percents of FLOPs [75,50]")
    parser.add_argument("--method", default="greedy")
    parser.add_argument("--sample", type=int, default=512, help="texts that a mask is judged on")
    parser.add_argument("--epochs", type=int, help="of tuning [finetune.py's]")
    parser.add_argument("--rows", type=int, help="training rows at most [finetune.py's]")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args(argv)
    a.runs, a.model = a.runs.resolve(), a.model.resolve()
    steps, figures = Steps(), []
    for keep in a.keep:
        figures.append(one(a, keep, steps))
        exits.write(a.runs / "heal.json", json.dumps(figures, indent=1) + "\n")
        exits.write(a.runs / "heal.md", markdown(figures))
    print(markdown(figures), end="")


if __name__ == "__main__":
    main()
