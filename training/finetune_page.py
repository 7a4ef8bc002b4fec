# SPDX-License-Identifier: Apache-2.0
"""The page of finetune_analysis.py: an answer for each task in a sentence, then tables."""

import finetune_study as study

KEPT = "accuracy / that of all blocks"
HEAD = """# Exits of tuned models against separately tuned depths

`models/finch-lm` tuned for a task (`training/finetune.py`): one model with seven exits, against models cut to 1, 2, 3, ... blocks and tuned alone with as many steps. The primary endpoint was fixed before the runs: the mean of accuracy over 10 to 100 % of the FLOPs, margin exits less separately tuned depths, resampled over examples and seeds. The secondary one: the cheapest point that keeps on calibration rows 99 % of the accuracy of 12 blocks tuned alone. Intervals: 95 %. What the rows of the tables are is in `training/finetune_study.py` and `training/finetune_analysis.py`.

"""
COMMANDS = """## Commands

    cd training
    python finetune_study.py --runs runs/finetune
    python finetune_study.py --runs runs/finetune --figures ../docs/results/finetune
    python finetune_times.py --runs runs/finetune            # needs $FATHOM, and a machine at rest
    python finetune_analysis.py --runs runs/finetune --output ../docs/results/finetune/summary.json --page ../docs/results/finetune/README.md

`TASK.json` has the command and the figures of every run, `summary.json` what is on this page. Weights of tasks are not shipped: the commands make them.

"""


def cell(values):
    value, low, high = values
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"


def signed(values):
    value, low, high = values
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]".replace("-", "−")


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n\n"


def verdict(values):
    """What an interval of a difference says."""
    _, low, high = values
    return "better" if low > 0 else "worse" if high < 0 else "no difference that these runs show"


def plural(n, what):
    return f"{n} {what}" + ("" if n == 1 else "s")


def answers(out):
    """A sentence for each task: the primary endpoint first, then the secondary."""
    text = ""
    for name, of in out.items():
        for kind, primary in of["primary"].items():
            gain = primary["exits - depths"]["mean"]
            text += (f"- **{name}, {kind}, {plural(len(primary['seeds']), 'seed')}**: exits less "
                     f"separately tuned depths {', '.join(map(str, primary['depths']))}: "
                     f"{signed(gain)}, {verdict(gain)}.")
            second = of["secondary"][kind]
            text += (f" 99 % of the tuned 12 blocks: exits with {cell(second['exits']['cost'])} of "
                     f"the FLOPs (keeping {cell(second['exits'][KEPT])}), depths with "
                     f"{cell(second['depths']['cost'])} (keeping {cell(second['depths'][KEPT])}).\n")
    return text + "\n" if text else "No task has both exits and separately tuned depths yet.\n\n"


def state(runs):
    """Which runs of the plan are done."""
    parts = study.plan()
    missing = [part.name for part in parts if not (runs / part.name / "result.json").exists()]
    text = f"{len(parts) - len(missing)} of {len(parts)} runs of the plan are done."
    if missing:
        text += " Missing: " + ", ".join(missing) + "."
    return text + "\n\n"


def time_table(times):
    """Wall clock at the secondary endpoint's points (finetune_times.py)."""
    if not times:
        return "Times were not taken: `training/finetune_times.py`.\n\n"
    rows = [[name, what, f"{of['flops_share']:.3f}",
             *(f"{b['policy_p50'] / b['full_p50']:.3f}" for b in of["batches"]),
             *(f"{b['policy_p99'] / b['full_p99']:.3f}" for b in of["batches"])]
            for name, both in times.items() for what, of in both.items()]
    sizes = [b["batch"] for both in times.values() for of in both.values() for b in of["batches"]]
    sizes = sorted(set(sizes))
    head = ["time, share of all 12 blocks'", "", "FLOPs", *(f"p50, batch {n}" for n in sizes),
            *(f"p99, batch {n}" for n in sizes)]
    return table(head, rows)


def page(out, runs, times):
    return (HEAD + answers(out) + state(runs) + COMMANDS + "## Time\n\n" + time_table(times)
            + markdown(out))


def markdown(out):
    """The tables of a report."""
    text = ""
    for name, told_ in out.items():
        text += f"## {name}, {told_['examples']} rows\n\n"
        layers = sorted({int(k) for of in told_["accuracy"].values() for k in of if k != "seeds"})
        rows = [[kind, str(len(of["seeds"])),
                 *(cell(of[str(layer)]) if str(layer) in of else "" for layer in layers)]
                for kind, of in told_["accuracy"].items()]
        text += table(["accuracy", "seeds", *map(str, layers)], rows)
        if "f1" in told_:
            text += table(["F1, mean over seeds", *map(str, layers)], [
                [kind, *(f"{of[str(k)]:.3f}" if str(k) in of else "" for k in layers)]
                for kind, of in told_["f1"].items()])
        rows = [[kind, what, signed(of[what]["mean"]),
                 ", ".join(f"{x:+.3f}" for x in of[what]["of seeds"]).replace("-", "−")]
                for kind, of in told_["primary"].items() for what in of
                if isinstance(of[what], dict)]
        if rows:
            text += table(["mean over 10 to 100 % of FLOPs", "", "", "seeds"], rows)
        rows = [[kind, what, cell(of[what]["cost"]),
                 cell(of[what][KEPT])]
                for kind, of in told_["secondary"].items() for what in ("exits", "depths")]
        if rows:
            text += table(["99 % of the tuned 12 blocks", "", "share of FLOPs", "accuracy kept"],
                          rows)
        rows = [[kind, f"{of['cost']:.3f}", signed(of["accuracy - that of depths"])]
                for kind, of in told_["one model at its own cost"].items()]
        if rows:
            text += table(["one model", "share of FLOPs", "over depths tuned alone"], rows)
    return text
