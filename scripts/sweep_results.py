#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keeps what `fathom sweep` found on models/finch-lm, and the passages that state it, together.

    scripts/sweep_results.py take FOLDER     a finished sweep into docs/results/sweep, task by task
    scripts/sweep_results.py write           the passages between the marks, from docs/results/sweep
    scripts/sweep_results.py check           fails if a passage is not what `write` writes

A passage stands between `<!-- sweep: NAME -->` and `<!-- end of sweep -->`: the caption in README.md,
the findings in docs/sweep.md, docs/explanation/study.md and models/finch-lm/README.md, the list in
docs/results/sweep/README.md. After `take` and `write`, scripts/depth_curve.py draws the picture.
"""
import csv
import json
import math
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs/results/sweep"
PLACES = {
    "README.md": "caption",
    "docs/sweep.md": "findings",
    "docs/explanation/study.md": "study",
    "models/finch-lm/README.md": "model",
    "docs/results/sweep/README.md": "list",
}
ORDER = ("trec", "sicke", "mrpc", "sst2")
PASSAGE = re.compile(r"(<!-- sweep: (\w+) -->\n)(.*?)(<!-- end of sweep -->)", re.DOTALL)


def signed(e, digits=3):
    text = f"{e['value']:.{digits}f} [{e['low']:.{digits}f}, {e['high']:.{digits}f}]"
    return text.replace("-", "−")


def percent(e):
    return signed({k: 100 * e[k] for k in ("value", "low", "high")}, 1)


def verdict(e):
    return "more" if e["low"] > 0 else "less" if e["high"] < 0 else "no difference"


class Task:
    """The figures of a task over its seeds."""

    def __init__(self, task):
        self.name, self.title, self.rows = task["task"], task["title"], task["n"]
        self.metric, self.split = task["metric"], task["split"]
        self.over = task["over_seeds"]
        self.seeds = len(self.over["seeds"])
        self.strongest = self.over["strongest"]
        best = next(f for f in self.over["fixed"] if f["heads"] == self.strongest)
        self.quality, self.alike = best["quality"], best["system"]  # exits with such heads

    def gain(self, exits, over):
        for g in self.over["gains"]:
            if g["exits"] == exits and g["over"] == over:
                return g["gain"]
        raise SystemExit(f"{self.name}: no gain of {exits} over {over} in its results")

    def kept(self, by):
        return next(q for q in self.over["quality_kept"] if q["by"] == by and q["kept"] == 0.99)


def tasks():
    found = [Task(json.loads(path.read_text())["tasks"][0])
             for path in RESULTS.glob("*.json")]
    return sorted(found, key=lambda t: ORDER.index(t.name) if t.name in ORDER else len(ORDER))


def pooled(gains):
    """The mean over tasks; tasks and their rows are independent, so half widths add in squares."""
    n = len(gains)
    value = sum(g["value"] for g in gains) / n
    below = math.sqrt(sum((g["value"] - g["low"]) ** 2 for g in gains)) / n
    above = math.sqrt(sum((g["high"] - g["value"]) ** 2 for g in gains)) / n
    return {"value": value, "low": value - below, "high": value + above}


def titles(all_tasks):
    names = [t.title for t in all_tasks]
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def strongest_gains(all_tasks):
    return [t.gain(t.alike, t.strongest) for t in all_tasks]


def seeds_of(all_tasks):
    counts = {t.seeds for t in all_tasks}
    words = {1: "one seed", 5: "five seeds"}
    return words.get(min(counts), f"{min(counts)} seeds") if len(counts) == 1 else \
        f"{min(counts)} to {max(counts)} seeds"


def answer(all_tasks):
    """The strongest baseline first."""
    against = pooled(strongest_gains(all_tasks))
    plain = pooled([t.gain("layer", "layer") for t in all_tasks])
    words = {"more": f"exits gain {signed(against)} of the leading metric over",
             "less": f"exits lose against, {signed(against)} of the leading metric,",
             "no difference": f"exits show no difference, {signed(against)} of the leading metric, "
                              "from"}[verdict(against)]
    what = "the strongest fixed depth" if len(all_tasks) == 1 else \
        "the strongest fixed depth of each task"
    begin = f"On {titles(all_tasks)}, {seeds_of(all_tasks)}"
    begin += "" if len(all_tasks) == 1 else " each, mean over tasks"
    return (f"{begin}: {words} {what}; with equal plain heads on equal rows the difference is "
            f"{signed(plain)}.")


def caption(all_tasks):
    return ("*Fixed depths and early exits of `models/finch-lm` on TREC. " + answer(all_tasks)
            + " [The study and its limits](docs/explanation/study.md). Drawn by "
            "`scripts/depth_curve.py`.*\n")


def rows_table(all_tasks):
    lines = ["| task (rows) | strongest fixed depth | its mean quality | exits with such heads less "
             "it | plain exits less it | plain exits less plain fixed depth |",
             "|---|---|---|---|---|---|"]
    for t in all_tasks:
        lines.append(f"| {t.title} ({t.metric}, {t.rows:,}) | {t.strongest} | {signed(t.quality)} | "
                     f"{signed(t.gain(t.alike, t.strongest))} | "
                     f"{signed(t.gain('layer', t.strongest))} | {signed(t.gain('layer', 'layer'))} |")
    if len(all_tasks) > 1:
        lines.append("| mean over tasks | | | " + signed(pooled(strongest_gains(all_tasks))) + " | "
                     + signed(pooled([t.gain("layer", t.strongest) for t in all_tasks])) + " | "
                     + signed(pooled([t.gain("layer", "layer") for t in all_tasks])) + " |")
    return "\n".join(lines) + "\n"


def kept_table(all_tasks):
    lines = ["| task, 99 % of full depth kept on calibration rows | times fewer FLOPs | by seed | "
             "loses % |", "|---|---|---|---|"]
    for t in all_tasks:
        for by in ("exits", "fixed, all rows"):
            q = t.kept(by)
            seeds = " ".join(f"{x:.1f}" for x in q["factor"]["by_seed"])
            lines.append(f"| {t.title}, {by} | {signed(q['factor'], 1)} | {seeds} | "
                         f"{percent(q['loss'])} |")
    return "\n".join(lines) + "\n"


NOTE = ("Mean quality is the leading metric at costs even from layer 1 to the last. first+layer: heads "
        "that read layer 0 beside their layer; mean: a learned mean of the layers up to theirs; all "
        "rows: fitted on the calibration rows, too, which a fixed depth does not need for thresholds. "
        "The strongest is chosen on the reported rows themselves.\n\n")


def findings(all_tasks):
    text = "**" + answer(all_tasks) + "**"
    if len(all_tasks) > 1:
        text += (" Means over tasks weigh tasks alike; their intervals add the tasks' half widths "
                 "in squares.")
    return text + "\n\n" + study(all_tasks)


def study(all_tasks):
    return rows_table(all_tasks) + "\n" + NOTE + kept_table(all_tasks)


def model(all_tasks):
    return ("Heads on frozen layers. " + answer(all_tasks) + " docs/sweep.md has the rest, "
            "docs/results/sweep the figures.\n")


def listing(all_tasks):
    lines = ["| files | task | seeds | rows reported on |", "|---|---|---:|---:|"]
    for t in all_tasks:
        lines.append(f"| `{t.name}.json`, `{t.name}_gains.csv`, `{t.name}_points.csv` | {t.title} | "
                     f"{t.seeds} | {t.rows:,} |")
    missing = [name for name in ORDER if name not in {t.name for t in all_tasks}]
    text = "\n".join(lines) + "\n"
    return text + (f"\nNot run to the end: {', '.join(missing)}.\n" if missing else "")


WRITERS = {"caption": caption, "findings": findings, "study": study, "model": model,
           "list": listing}


def renewed(text, all_tasks):
    return PASSAGE.sub(lambda m: m[1] + WRITERS[m[2]](all_tasks) + m[4], text)


def write(check):
    all_tasks, old = tasks(), []
    for place, name in PLACES.items():
        path = ROOT / place
        text = path.read_text(encoding="utf-8")
        if [m[2] for m in PASSAGE.finditer(text)] != [name]:
            raise SystemExit(f"{place}: expected one passage <!-- sweep: {name} -->")
        new = renewed(text, all_tasks)
        if new != text:
            old.append(place)
            if not check:
                path.write_text(new, encoding="utf-8")
    if check and old:
        raise SystemExit(f"not what {RESULTS.relative_to(ROOT)} says: {', '.join(old)}; run "
                         "scripts/sweep_results.py write")
    print("renewed:" if not check else "as it should be:", ", ".join(old or PLACES))


def shortened(command):
    """Without the places of this machine."""
    command = re.sub(r"--data \S+", "--data DATA", command)
    command = re.sub(r" --features \S+", "", command)
    command = re.sub(r"-o \S+", "-o sweep/", command)
    return re.sub(r"^\S*/fathom ", "fathom ", command)


def take(folder):
    whole = json.loads((folder / "results.json").read_text())
    whole["command"] = shortened(whole["command"])
    for task in whole["tasks"]:
        name = task["task"]
        if "over_seeds" not in task:
            raise SystemExit(f"{folder}: {name} has no figures over seeds; expected --seeds")
        one = {**whole, "tasks": [task], "moved_thresholds": [
            m for m in whole["moved_thresholds"] if name in (m["from"], m["to"])]}
        (RESULTS / f"{name}.json").write_text(json.dumps(one, indent=1) + "\n", encoding="utf-8")
        for file, kind in (("gains.csv", "gains"), ("results.csv", "points")):
            with open(folder / file, newline="", encoding="utf-8") as f:
                rows = list(csv.reader(f))
            with open(RESULTS / f"{name}_{kind}.csv", "w", newline="", encoding="utf-8") as f:
                out = csv.writer(f, lineterminator="\n")
                out.writerows([rows[0], *(r for r in rows[1:] if r[0] == name)])
        print(name)


def main(arguments):
    if arguments[:1] == ["take"] and len(arguments) == 2:
        take(pathlib.Path(arguments[1]))
    elif arguments in (["write"], ["check"]):
        write(arguments == ["check"])
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
