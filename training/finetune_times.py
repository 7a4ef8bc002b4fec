#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Wall clock of tuned models in the engine, at the points of the secondary endpoint.

    FATHOM=../build/release/fathom python finetune_times.py --runs runs/finetune

Of every task and seed that finetune_analysis.py has a secondary endpoint for: the exits at their
threshold, and the depth that was chosen among those tuned alone, each against all blocks, in calls of
1 and 32 examples (`fathom sweep`, which times them in turns). RUNS/times/TASK.KIND-SEED.json; what
is there stays. Take times on a machine at rest.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import corpus
import exits
import finetune
import tasks

BATCHES = (1, 32)
WHO = {"policy": "policy", "full": "full_depth"}


def collected(runs):
    """What is there: name to {"exits": ..., "depths": ...}."""
    return {path.stem: json.loads(path.read_text())
            for path in sorted((runs / "times").glob("*.json"))}


def sweep_command(a, model, task, policies, folder):
    data = [] if a.data is None else ["--data", str(a.data)]
    return [a.fathom, "sweep", str(model), "--tasks", task, "--policies", policies, "--norm",
            "ln_out", "--max-train", "400", "--seeds", "1", "--bootstrap", "100", "--time-points",
            "1", "--threads", str(a.threads), *data, "-o", str(folder)]


def timed(results, policy):
    """Of results.json of a sweep: the last timed point of a policy."""
    found = [p for task in results["tasks"] for p in task["policies"] if p["policy"] == policy]
    if not found or not found[0].get("times"):
        raise SystemExit(f"sweep: no times of {policy}; expected them in results.json")
    return found[0]["times"]


def shares(time):
    return {"flops_share": time["predicted_share"],
            "batches": [{"batch": b["batch"], **{f"{name}_{q}": b[who][f"{q}_seconds"]
                                                 for name, who in WHO.items()
                                                 for q in ("p50", "p99")}}
                        for b in time["batches"] if b["batch"] in BATCHES]}


def take(a, task, kind, seed, threshold, depth):
    run = a.runs / task.name / f"{kind}-{seed}"
    folder = a.runs / "times" / f"{task.name}.{kind}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    model = finetune.load_run(run, task)
    temperatures = json.loads((run / "result.json").read_text())["temperatures"]
    policy = folder / "exit.policy"
    exits.write_policy(policy, model, temperatures, [threshold] * len(model.layers), {})
    command = sweep_command(a, run / "model", task.name, f"fixed,exit:{policy}", folder)
    subprocess.run(command, check=True, stdout=sys.stderr)
    results = json.loads((folder / "results.json").read_text())
    of_exits = timed(results, f"exit:{policy}")[-1]
    fixed = [t for t in timed(results, "fixed") if layer_of(results, t) == depth]
    return {"exits": shares(of_exits), **({"depths": shares(fixed[0])} if fixed else {})}


def layer_of(results, time):
    """The layer of a timed point of fixed depth."""
    fixed = next(p for task in results["tasks"] for p in task["policies"] if p["policy"] == "fixed")
    setting = fixed["points"][time["point"]]["setting"]
    return int(setting.split()[-1])


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=corpus.TRAINING / "runs" / "finetune")
    parser.add_argument("--summary", type=Path, help="of finetune_analysis.py "
                        "[../docs/results/finetune/summary.json]",
                        default=corpus.TRAINING.parent / "docs/results/finetune/summary.json")
    parser.add_argument("--fathom", default=os.environ.get(
        "FATHOM", str(corpus.TRAINING.parent / "build" / "release" / "fathom")))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    a = parser.parse_args(argv)
    for name, told in json.loads(a.summary.read_text()).items():
        task = tasks.TASKS[name.split()[0]]
        for kind, second in told["secondary"].items():
            for i, seed in enumerate(second["seeds"]):
                path = a.runs / "times" / f"{task.name}.{kind}-{seed}.json"
                if not path.exists() and told["split"] == task.report:
                    got = take(a, task, kind, seed, second["exits"]["threshold"][i],
                               int(second["depths"]["depth"][i]))
                    exits.write(path, json.dumps(got, indent=1) + "\n")
                    print(path, flush=True)


if __name__ == "__main__":
    main()
