#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exits of one tuned model against separately tuned depths, from the logits of finetune_study.py.

    python finetune_analysis.py --runs runs/finetune --output ../docs/results/finetune/summary.json \\
        --page ../docs/results/finetune/README.md

Runs that are not finished are left out; the page names them.

Cost is FLOPs as the engine counts them (docs/methods.md, "Cost" and "Depth policies"), as a share
of all 12 blocks without heads. A curve is accuracy over cost, straight between its points (a mix of
two neighbours, assigned at random, has such a value):

    exits     margin of the calibrated probabilities against one threshold; thresholds are quantiles
              of the margins of calibration rows. Temperatures come from these rows, too
    depths    models of 1, 2, 3, ... blocks, each tuned alone with as many steps
    own       the exits of the one model, all texts leaving at the same one

The primary endpoint is the mean of exits - depths over costs from 10 % to 100 %. The secondary one:
the cheapest point that has on calibration rows 99 % of the accuracy of the 12 blocks tuned alone,
and its cost and accuracy on rows that nothing was chosen on. Intervals: 95 %, percentiles over
resamples of examples and of seeds; the secondary endpoint's also of calibration rows, from which
the point is chosen anew.
"""

import argparse
import json
import re
from pathlib import Path

import numpy as np
from safetensors import safe_open

import corpus
import exits
import finetune
import finetune_page
import finetune_times
import tasks

LOW, HIGH = 0.1, 1.0
GRID = np.linspace(LOW, HIGH, 181)
POINTS = 60
KEPT = 0.99
JOINT = ("alternate", "uniform", "layerdrop")


class Costs:
    """Multiply-adds a token of a block's sublayers, and what exits add."""

    def __init__(self, folder):
        c = json.loads((folder / "config.json").read_text())
        C, A, N = c["hidden_size"], c["attention_hidden_size"], c["head_size"]
        with safe_open(folder / "model.safetensors", "np") as file:
            attention = "rwkv.blocks.0.attention."
            mix = file.get_slice(attention + "time_maa_w2").get_shape()[1]
            decay = file.get_slice(attention + "time_decay_w2").get_shape()[0]
        self.width = C
        self.time_mix = 5 * C * A + 10 * C * mix + (C + A) * decay + 3 * A * N
        self.channel_mix = 2 * C * c["intermediate_size"] + C * C
        self.layers = c["num_hidden_layers"]

    @property
    def block(self):
        return 2 * (self.time_mix + self.channel_mix)

    def decision(self, task):
        """Of one exit, of an example: post-processing, and of a pair its features and cosine."""
        C = self.width
        rows = task.n_class if task.n_class > 2 else 1
        texts = 2 if task.is_pair else 1
        head = 2 * rows * exits.feature_dim(task.features, C)
        return texts * 2 * C + (15 * C if task.is_pair else 0) + head

    def leaving(self, task, layers, tokens):
        """(exits, examples) FLOPs of an example that leaves at each exit."""
        passed = np.arange(len(layers))[:, None]
        texts = 2 if task.is_pair else 1
        return (self.block * np.asarray(layers)[:, None] * tokens
                + (passed + 1) * self.decision(task) + passed * tokens * self.width
                + texts * 2 * self.width)

    def under(self, task, sublayers, tokens):
        """(examples) FLOPs under a mask with a head behind it."""
        per_token = 2 * sum(a * self.time_mix + b * self.channel_mix for a, b in sublayers)
        return per_token * tokens + self.leaving(task, [0], tokens)[0]


class Saved:
    """What a finished run left: logits and golds by split."""

    def __init__(self, folder):
        self.result = json.loads((folder / "result.json").read_text())
        arrays = np.load(folder / "logits.npz")
        self.layers = arrays["layers"].tolist()
        self.temperatures = arrays["temperatures"]
        self.of = {}
        for name in arrays.files:
            if "." in name:
                split, what = name.split(".")
                self.of.setdefault(split, {})[what] = arrays[name]

    def right(self, split):
        """(exits, examples)."""
        return (self.of[split]["logits"].argmax(axis=-1) == self.of[split]["gold"]).astype(float)

    def margins(self, split):
        return finetune.margins_of(self.of[split]["logits"], self.temperatures)


class Curve:
    """Points of one system and one seed: right and cost, (points, examples), of two splits.

    chosen: where operating points are chosen (calibration rows); shown: what is reported.
    """

    def __init__(self, chosen, shown, full, names=None):
        self.chosen, self.shown, self.full = chosen, shown, full  # (right, cost), full cost
        self.names = names  # of points: thresholds or depths

    def at(self, weights):
        """weights (resamples, examples): (accuracy, cost share), each (resamples, points)."""
        return self._of(self.shown, self.full["shown"], weights)

    def at_chosen(self, weights):
        return self._of(self.chosen, self.full["chosen"], weights)

    @staticmethod
    def _of(points, full, weights):
        right, cost = points
        return ((weights @ right.T) / weights.sum(axis=1, keepdims=True),
                (weights @ cost.T) / (weights @ full)[:, None])


def exit_curve(run, task, costs, split):
    margins = {s: run.margins(s) for s in ("calibration", split)}
    grid = np.unique(np.quantile(margins["calibration"][:-1], np.linspace(0, 1, POINTS)))
    points, thresholds = {}, [-1.0, *grid, exits.NEVER]
    for s in ("calibration", split):
        right = run.right(s)
        leaving = costs.leaving(task, run.layers, run.of[s]["tokens"])
        row = np.arange(right.shape[1])
        leaves = [finetune.leaves_at(margins[s], t) for t in thresholds]
        points[s] = (np.array([right[e, row] for e in leaves]),
                     np.array([leaving[e, row] for e in leaves]))
    return curve_of(run, costs, points, split, thresholds)


def own_curve(run, task, costs, split):
    points = {s: (run.right(s), np.array([
        costs.leaving(task, [layer], run.of[s]["tokens"])[0] for layer in run.layers]))
        for s in ("calibration", split)}
    return curve_of(run, costs, points, split)


def depth_curve(runs, task, costs, split):
    """runs: of rising depth."""
    points = {}
    for s in ("calibration", split):
        points[s] = (np.concatenate([run.right(s)[-1:] for run in runs]),
                     np.concatenate([costs.leaving(task, run.layers[-1:], run.of[s]["tokens"])
                                     for run in runs]))
    return curve_of(runs[0], costs, points, split, [run.layers[-1] for run in runs])


def curve_of(run, costs, points, split, names=None):
    full = {name: costs.block * costs.layers * run.of[s]["tokens"]
            for name, s in (("chosen", "calibration"), ("shown", split))}
    return Curve(points["calibration"], points[split], full, names)


def mean_height(accuracy, cost):
    """Mean over the costs of GRID, of every resample: (resamples)."""
    out = np.empty(len(accuracy))
    for i, (a, c) in enumerate(zip(accuracy, cost)):
        order = np.argsort(c, kind="stable")
        out[i] = np.interp(GRID, c[order], a[order]).mean()
    return out


def envelope(curve, weights, weights_chosen):
    """The same with every point replaced by the one, not dearer, that calibration rows like best."""
    accuracy, cost = curve.at(weights)
    liked, of_chosen = curve.at_chosen(weights_chosen)
    for i in range(len(accuracy)):
        order = np.argsort(of_chosen[i], kind="stable")
        best = order[0]
        for j in order:
            best = j if liked[i, j] >= liked[i, best] else best
            accuracy[i, j] = accuracy[i, j] if j == best else curve_at(curve, weights[i], best)
    return accuracy, cost


def curve_at(curve, weights, point):
    return (weights @ curve.shown[0][point]) / weights.sum()


def resamples(n, count, random):
    """The first is the data themselves."""
    weights = random.multinomial(n, np.full(n, 1 / n), size=count).astype(float)
    return np.concatenate([np.ones((1, n)), weights])


def over_seeds(values, random):
    """values (seeds, 1 + resamples): means over all seeds first, then over resampled ones."""
    seeds, count = values.shape
    picked = random.integers(seeds, size=(seeds, count))
    picked[:, 0] = np.arange(seeds)
    return np.take_along_axis(values, picked, axis=0).mean(axis=0)


def told(values, digits=4):
    """Value and 95 % interval of (1 + resamples)."""
    rest = values[1:][np.isfinite(values[1:])]
    low, high = np.quantile(rest, [0.025, 0.975]) if len(rest) else (np.nan, np.nan)
    return [round(float(x), digits) for x in (values[0], low, high)]


def cheapest(curve, weights, weights_chosen, wanted):
    """Of the points with at least the wanted accuracy (resamples) on calibration rows the cheapest
    there; its (accuracy, cost) on the others, and its number; else those of the dearest point."""
    liked, of_chosen = curve.at_chosen(weights_chosen)
    accuracy, cost = curve.at(weights)
    fits = np.where(liked >= wanted[:, None] - 1e-9, of_chosen, np.inf)
    point = np.where(np.isfinite(fits.min(axis=1)), fits.argmin(axis=1), of_chosen.argmax(axis=1))
    rows = np.arange(len(point))
    return accuracy[rows, point], cost[rows, point], point


class Study:
    def __init__(self, runs, task, split, count, seed):
        self.task, self.split, self.count = task, split, count
        self.runs = {}
        for path in sorted((runs / task.name).glob("*/result.json")):
            kind, of_seed = path.parent.name.rsplit("-", 1)
            self.runs[kind, int(of_seed)] = Saved(path.parent)
        self.masks = {path.stem: exits.read_mask(path)
                      for path in (runs / task.name / "masks").glob("*.json")}
        self.costs = Costs(corpus.TRAINING.parent / "models" / "finch-lm")
        self.random_seed = seed
        self.weights = None

    def draw(self, run):
        random = np.random.default_rng(self.random_seed)
        self.weights = resamples(len(run.of[self.split]["gold"]), self.count, random)

    def chosen_weights(self, run, seed):
        random = np.random.default_rng([self.random_seed, seed])
        return resamples(len(run.of["calibration"]["gold"]), self.count, random)

    def depths(self, seed, kind="depth"):
        found = (re.fullmatch(kind + r"(\d+)", k) for k, s in self.runs if s == seed)
        return sorted(int(match[1]) for match in found if match)

    def seeds_with(self, kind):
        """Seeds of a kind that have depths to be held against: two or more, with the deepest, and
        as many as any of these seeds has, so that all seeds have the same curve."""
        seeds = [s for k, s in sorted(self.runs) if k == kind and len(self.depths(s)) > 1
                 and self.depths(s)[-1] == self.costs.layers]
        most = max((self.depths(s) for s in seeds), key=len, default=[])
        return [s for s in seeds if self.depths(s) == most]

    def left_out(self, kind):
        """Seeds of a kind that no curve of depths is complete for yet."""
        return [s for k, s in sorted(self.runs) if k == kind and s not in self.seeds_with(kind)]

    def curve(self, kind, seed):
        if kind in ("depth", "full"):
            runs = [self.runs[f"{kind}{d}", seed] for d in self.depths(seed, kind)]
            return depth_curve(runs, self.task, self.costs, self.split)
        if kind.startswith("own "):
            return own_curve(self.runs[kind[4:], seed], self.task, self.costs, self.split)
        return exit_curve(self.runs[kind, seed], self.task, self.costs, self.split)

    def random(self):
        return np.random.default_rng([self.random_seed, 99])

    def over_full(self, kind):
        """Exits less depths that were tuned on the calibration rows, too."""
        seeds = [s for s in self.seeds_with(kind)
                 if self.depths(s, "full") == self.depths(s) != []]
        if not seeds:
            return None
        heights = [[mean_height(*self.curve(which, s).at(self.weights)) for s in seeds]
                   for which in (kind, "full")]
        values = np.array(heights[0]) - np.array(heights[1])
        return {"mean": told(over_seeds(values, self.random())), "seeds": seeds,
                "of seeds": [round(float(x), 4) for x in values[:, 0]]}

    def areas(self, kind, seeds):
        """Mean heights of exits, depths and own curve, and of exits and depths with points that
        calibration rows chose: each (seeds, 1 + resamples)."""
        out = {name: [] for name in ("exits", "depths", "own", "exits chosen", "depths chosen")}
        for seed in seeds:
            weights_chosen = self.chosen_weights(self.runs[kind, seed], seed)
            for name, which in (("exits", kind), ("depths", "depth"), ("own", f"own {kind}")):
                curve = self.curve(which, seed)
                out[name].append(mean_height(*curve.at(self.weights)))
                if name != "own":
                    out[f"{name} chosen"].append(
                        mean_height(*envelope(curve, self.weights, weights_chosen)))
        return {name: np.array(values) for name, values in out.items()}

    def primary(self, kind):
        seeds = self.seeds_with(kind)
        if not seeds:
            return None
        self.draw(self.runs[kind, seeds[0]])
        areas = self.areas(kind, seeds)

        def difference(a, b):
            values = areas[a] - areas[b]
            return {"mean": told(over_seeds(values, self.random())),
                    "of seeds": [round(float(x), 4) for x in values[:, 0]]}

        return {"seeds": seeds, "incomplete seeds": self.left_out(kind),
                "depths": self.depths(seeds[0]),
                "exits - depths": difference("exits", "depths"),
                "exits - depths, both chosen on calibration rows":
                    difference("exits chosen", "depths chosen"),
                "exits - depths tuned on the calibration rows, too": self.over_full(kind),
                "exits - own curve": difference("exits", "own"),
                "own curve - depths": difference("own", "depths"),
                "height of exits": told(over_seeds(areas["exits"], self.random())),
                "height of depths": told(over_seeds(areas["depths"], self.random()))}

    def secondary(self, kind):
        seeds = self.seeds_with(kind)
        if not seeds:
            return None
        self.draw(self.runs[kind, seeds[0]])
        out = {"seeds": seeds}
        for name in ("exits", "depths"):
            costs, kept, points = [], [], []
            for seed in seeds:
                full = self.runs[f"depth{self.costs.layers}", seed]
                chosen = self.chosen_weights(full, seed)
                wanted = KEPT * (chosen @ full.right("calibration")[-1]) / chosen.sum(axis=1)
                curve = self.curve(kind if name == "exits" else "depth", seed)
                accuracy, cost, point = cheapest(curve, self.weights, chosen, wanted)
                points.append(float(curve.names[point[0]]))
                best = (self.weights @ full.right(self.split)[-1]) / self.weights.sum(axis=1)
                costs.append(cost)
                kept.append(accuracy / best)
            costs, kept = np.array(costs), np.array(kept)
            out[name] = {"cost": told(over_seeds(costs, self.random())),
                         "of seeds": [round(float(x), 4) for x in costs[:, 0]],
                         "threshold" if name == "exits" else "depth": points,
                         "accuracy / that of all blocks": told(over_seeds(kept, self.random()))}
        return out

    def by_layer(self):
        """Accuracy of every kind and layer, mean over its seeds, with an interval."""
        groups = {}
        for (kind, seed), run in sorted(self.runs.items()):
            groups.setdefault(kind, {})[seed] = run
        out = {}
        for kind, runs in groups.items():
            self.draw(next(iter(runs.values())))
            layers = next(iter(runs.values())).layers
            values = [[(self.weights @ run.right(self.split)[i]) / self.weights.sum(axis=1)
                       for run in runs.values()] for i in range(len(layers))]
            out[kind] = {"seeds": list(runs), **{
                str(layer): told(over_seeds(np.array(v), self.random()))
                for layer, v in zip(layers, values)}}
        return out

    def other_metrics(self):
        """What result.json has beside accuracy (F1), of every kind and layer, mean over its seeds."""
        out = {}
        for (kind, _), run in sorted(self.runs.items()):
            told = run.result.get("splits", {}).get(self.split, {})
            for metric in set(told) & set(self.task.metrics) - {"accuracy"}:
                for layer, value in zip(run.layers, told[metric]):
                    out.setdefault(metric, {}).setdefault(kind, {}).setdefault(
                        str(layer), []).append(value)
        return {metric: {kind: {layer: round(float(np.mean(v)), 4) for layer, v in of.items()}
                         for kind, of in kinds.items()} for metric, kinds in out.items()}

    def against_depths(self, kind):
        """A single model (a mask, a distilled depth) against the depths' curve at its own cost."""
        seeds = self.seeds_with(kind)
        if not seeds:
            return None
        self.draw(self.runs[kind, seeds[0]])
        gains, shares = [], []
        for seed in seeds:
            run = self.runs[kind, seed]
            tokens = run.of[self.split]["tokens"]
            if kind in self.masks:
                cost = self.costs.under(self.task, self.masks[kind], tokens)
            else:
                cost = self.costs.leaving(self.task, run.layers[-1:], tokens)[0]
            curve = self.curve("depth", seed)
            accuracy, costs = curve.at(self.weights)
            share = (self.weights @ cost) / (self.weights @ curve.full["shown"])
            mine = (self.weights @ run.right(self.split)[-1]) / self.weights.sum(axis=1)
            there = [np.interp(x, c, a) for x, c, a in zip(share, costs, accuracy)]
            gains.append(mine - there)
            shares.append(share)
        return {"seeds": seeds, "cost": round(float(np.array(shares)[:, 0].mean()), 4),
                "accuracy - that of depths": told(over_seeds(np.array(gains), self.random()))}

    def points(self, kind):
        """The curve of exits in a few points, mean over seeds: accuracy at costs."""
        seeds = self.seeds_with(kind)
        if not seeds:
            return None
        grid = [0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.75, 0.9, 1.0]
        out = {"cost": grid}
        for name, which in (("exits", kind), ("depths", "depth")):
            heights = []
            for seed in seeds:
                curve = self.curve(which, seed)
                accuracy, cost = curve.at(np.ones((1, len(curve.full["shown"]))))
                order = np.argsort(cost[0], kind="stable")
                heights.append(np.interp(grid, cost[0][order], accuracy[0][order]))
            out[name] = np.mean(heights, axis=0).round(4).tolist()
        return out


def analyse(runs, task, split, count=2000, seed=1):
    study = Study(runs, task, split, count, seed)
    if not study.runs:
        return None
    kinds = sorted({kind for kind, _ in study.runs})
    single = [k for k in kinds if k not in JOINT and not re.fullmatch(r"(depth|full)\d+", k)]
    out = {"split": split, "examples": len(next(iter(study.runs.values())).of[split]["gold"]),
           "primary": {k: study.primary(k) for k in JOINT if study.seeds_with(k)},
           "secondary": {k: study.secondary(k) for k in JOINT if study.seeds_with(k)},
           "curve": {k: study.points(k) for k in JOINT if study.seeds_with(k)},
           "one model at its own cost": {k: study.against_depths(k) for k in single
                                         if study.seeds_with(k)},
           "accuracy": study.by_layer(), **study.other_metrics()}
    return out


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=corpus.TRAINING / "runs" / "finetune")
    parser.add_argument("--tasks", default="trec,sicke,mrpc,sst2")
    parser.add_argument("--bootstrap", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1, help="of the resamples")
    parser.add_argument("--output", type=Path, help="JSON [standard output]")
    parser.add_argument("--page", type=Path, help="the same as a page of tables")
    a = parser.parse_args(argv)
    out = {}
    for name in a.tasks.split(","):
        task = tasks.TASKS[name]
        for split in task.splits:
            if split != "train" and task.n_class > 1:
                result = analyse(a.runs, task, split, a.bootstrap, a.seed)
                if result:
                    out[f"{name} {split}"] = result
    text = json.dumps(out, indent=1)
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]",  # short lists on one line
                  lambda m: "[" + re.sub(r",\s+", ", ", m[1]) + "]", text) + "\n"
    if a.output:
        a.output.parent.mkdir(parents=True, exist_ok=True)
        exits.write(a.output, text)
    if a.page:
        times = finetune_times.collected(a.runs)
        exits.write(a.page, finetune_page.page(out, a.runs, times))
    if not a.output:
        print(text, end="")
    return out


if __name__ == "__main__":
    main()
