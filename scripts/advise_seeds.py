#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fathom advise over seeds: how often the loss on the reported split exceeds what was promised.

    python3 scripts/advise_seeds.py build/release/fathom models/finch-lm --tasks trec,mrpc \
        --seeds 10 --work /tmp/advise -o docs/results/advise/advise.json -- --max-loss 1%

What stands behind -- goes to every run. Runs that are done (their policy file is there) are not
repeated; vectors are cached in WORK/features, so that all seeds of a task cost one pass.
"""

import argparse
import json
import math
import subprocess
import sys
from pathlib import Path


def binomial_cdf(k, n, p):
    return sum(math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k + 1))


def clopper_pearson(k, n, level=0.95):
    """The exact interval of a share, k of n."""
    def bisect(is_high):
        low, high = 0.0, 1.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if is_high(middle) else (middle, high)
        return (low + high) / 2

    half = (1 - level) / 2
    low = 0.0 if k == 0 else bisect(lambda p: 1 - binomial_cdf(k - 1, n, p) >= half)
    high = 1.0 if k == n else bisect(lambda p: binomial_cdf(k, n, p) <= half)
    return [round(low, 4), round(high, 4)]


def run(a, task, seed):
    path = a.work / f"{a.name}-{task}-{seed}.policy"
    if not path.exists():
        subprocess.run([a.program, "advise", a.model, "--task", task, "--seed", str(seed),
                        "--features", str(a.work / "features"), "-o", str(path), *a.flags],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    shown = subprocess.run([a.program, "policy", "show", str(path), "--json"], check=True,
                           capture_output=True, text=True).stdout
    return json.loads(shown)["fitted"]


def figures(fitted, seed):
    split = next(name for name in ("validation", "test") if name in fitted)
    # What choice did not see: of an optimistic one the other half, too.
    row = {"seed": seed, "method": fitted["method"], "setting": fitted["setting"]}
    for name in ("certified", "loss_at_most", "rows_that_count", "rows_needed", "smallest_loss"):
        if name in fitted:
            row[name] = fitted[name]
    for name in ("chosen_on", "held_out", split):
        if name in fitted:
            f = fitted[name]
            row[name] = {"n": f["n"], "saving": f["saving"]["value"],
                         "loss": f["relative_loss"]["value"], "low": f["relative_loss"]["low"],
                         "high": f["relative_loss"]["high"],
                         "differs": f["differs_from_full_depth"]["value"]}
    row["shift_warns"] = fitted["shift"]["warns"]
    return split, row


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("--tasks", default="trec,mrpc")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--name", default="advise", help="of the runs in WORK")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    told = sys.argv[1:]
    at = told.index("--") if "--" in told else len(told)
    a = parser.parse_args(told[:at])
    a.flags = told[at + 1:]
    a.work.mkdir(parents=True, exist_ok=True)
    out = {"command": ["advise", *a.flags], "tasks": {}}
    for task in a.tasks.split(","):
        rows, limit, promise, split = [], None, None, None
        for seed in range(1, a.seeds + 1):
            fitted = run(a, task, seed)
            limit, promise = fitted["max_loss"], fitted["promise"]
            split, row = figures(fitted, seed)
            rows.append(row)
        key = "differs" if promise == "answers" else "loss"
        exceeded = sum(row[split][key] > limit for row in rows)
        out["tasks"][task] = {
            "promise": promise, "max_loss": limit, "epsilon": fitted.get("epsilon"),
            "split": split, "seeds": len(rows), "exceeded": exceeded,
            "exceeded_interval": clopper_pearson(exceeded, len(rows)),
            "full_depth": sum(row["method"] == "full depth" for row in rows),
            "mean_loss": sum(row[split]["loss"] for row in rows) / len(rows),
            "mean_saving": sum(row[split]["saving"] for row in rows) / len(rows), "runs": rows}
        told = out["tasks"][task]
        print(f"{task}: {exceeded} of {len(rows)} above {limit}, mean loss "
              f"{told['mean_loss']:.4f}, mean saving {told['mean_saving']:.3f}", flush=True)
    a.output.write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
