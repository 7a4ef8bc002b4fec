# SPDX-License-Identifier: Apache-2.0
"""What studies find, as dataclasses. ``json`` of each has everything that the program writes."""

from __future__ import annotations

import html
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ._errors import Error

if TYPE_CHECKING:
    import pandas


def _frame(rows: list[dict[str, Any]]) -> pandas.DataFrame:
    try:
        import pandas
    except ImportError as error:
        raise Error("to_pandas: expected pandas to be installed (pip install pandas)") from error
    return pandas.DataFrame(rows)


class _Report:
    """A result with a page: a notebook shows its figures."""

    html: str

    def _repr_html_(self) -> str:
        page = html.escape(self.html, quote=True)
        return (
            f'<iframe srcdoc="{page}" style="width:100%;height:44em;border:0" '
            'sandbox="allow-scripts allow-downloads"></iframe>'
        )


def _layer(value: Any) -> int | str | None:
    """A number, "final", "policy"; None of a baseline."""
    return int(value) if isinstance(value, str) and value.isdigit() else value


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, json: dict[str, Any]) -> Estimate:
        return cls(_number(json["value"]), _number(json["low"]), _number(json["high"]))

    def __str__(self) -> str:
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]"


# --- evaluate


@dataclass(frozen=True)
class Metric:
    """One figure of one layer, or of a baseline."""

    system: str
    """"rwkv", or a baseline: "glove", "bag"."""
    layer: int | str | None
    """A number, "final", "policy" (wherever it let texts stop); None of a baseline."""
    metric: str
    """"spearman", "pearson", "auc", …; "spearman_minus_glove" is paired."""
    value: float
    low: float
    high: float
    p: float | None
    """Of a difference, two-sided."""


@dataclass(frozen=True)
class Cost:
    """What one layer costs."""

    system: str
    layer: int | str | None
    flops_per_pair: float
    weight_bytes: int
    seconds_per_pair_batch1: float | None
    seconds_per_pair_packed: float | None
    peak_rss_bytes: int | None


@dataclass(frozen=True)
class EvalResult(_Report):
    """Quality and cost at every depth on one task: what ``fathom eval`` reports."""

    task: str
    split: str
    n: int
    """Pairs."""
    metrics: list[Metric]
    costs: list[Cost]
    notes: list[str]
    settings: dict[str, Any] = field(repr=False)
    json: dict[str, Any] = field(repr=False)
    html: str = field(repr=False)

    @classmethod
    def of(cls, json: dict[str, Any], page: str, notes: list[str]) -> EvalResult:
        rows: list[dict[str, Any]] = json["rows"]
        keys = Cost.__dataclass_fields__
        return cls(
            task=rows[0]["task"] if rows else "",
            split=rows[0]["split"] if rows else "",
            n=rows[0]["n"] if rows else 0,
            metrics=[
                Metric(r["system"], _layer(r["layer"]), r["metric"], _number(r["value"]),
                       _number(r["low"]), _number(r["high"]), r.get("p"))
                for r in rows
            ],
            costs=[
                Cost(**{**{k: c[k] for k in keys}, "layer": _layer(c["layer"])})
                for c in json["cost"]
            ],
            notes=[*json["notes"], *(n for n in notes if n not in json["notes"])],
            settings=json["settings"],
            json=json,
            html=page,
        )

    def score(self, layer: int | str | None, metric: str = "spearman", system: str = "rwkv") -> float:
        """One figure, such as ``result.score(3)``. Raises KeyError if there is none."""
        for m in self.metrics:
            if (m.system, m.layer, m.metric) == (system, layer, metric):
                return m.value
        raise KeyError((system, layer, metric))

    def best(self, metric: str = "spearman") -> Metric:
        """The layer with the largest value of a metric, chosen on this split."""
        found = [m for m in self.metrics
                 if m.metric == metric and m.system == "rwkv" and m.value == m.value]
        if not found:
            raise KeyError(metric)
        return max(found, key=lambda m: m.value)

    def to_pandas(self) -> pandas.DataFrame:
        """One row a system, layer and metric, with the costs of that layer beside it."""
        costs = {(c.system, c.layer): asdict(c) for c in self.costs}
        return _frame([
            {"task": self.task, "split": self.split, **asdict(m),
             **{k: v for k, v in costs.get((m.system, m.layer), {}).items()
                if k not in ("system", "layer")}}
            for m in self.metrics
        ])


# --- fit


@dataclass(frozen=True)
class LayerFigures:
    """A head: of a layer, or by the same protocol on a baseline's vectors."""

    layer: int | str
    """A number, "final", or the name of a baseline."""
    scores: dict[str, float]
    """Every metric of the task on the evaluated split; NaN without one."""
    spread: Estimate | None
    """Of the leading metric."""
    minus_layer_0: Estimate | None
    """Paired."""
    c: float
    """Regularisation, chosen on a cut of the training rows."""
    temperature: float


@dataclass(frozen=True)
class FitResult(_Report):
    """Heads of a task at every layer, and the early-exit policy: what ``fathom fit`` finds."""

    task: str
    split: str | None
    metric: str | None
    """The leading one; None of texts without labels."""
    layers: list[LayerFigures]
    baselines: list[LayerFigures]
    best_layer: int | str | None
    policy: dict[str, Any] | None
    """What the policy file says of its making: "calibration", and figures of the split by name."""
    output: str | None
    """The policy file, for ``encode(depth=f"exit:{output}")``."""
    heads: str | None
    notes: list[str]
    json: dict[str, Any] = field(repr=False)
    html: str = field(repr=False)

    @classmethod
    def of(cls, json: dict[str, Any], page: str, notes: list[str], output: str | None,
           heads: str | None) -> FitResult:
        return cls(
            task=json["task"],
            split=json["split"],
            metric=json["metric"],
            layers=[_figures(r, _layer(r["layer"]), json["metric"]) for r in json["layers"]],
            baselines=[_figures(r, r["system"], json["metric"]) for r in json["baselines"]],
            best_layer=_layer(json["best_layer"]),
            policy=json["policy"],
            output=output,
            heads=heads,
            notes=[*json["notes"], *(n for n in notes if n not in json["notes"])],
            json=json,
            html=page,
        )

    def to_pandas(self) -> pandas.DataFrame:
        """One row a layer, then the baselines."""
        rows = []
        for f in [*self.layers, *self.baselines]:
            row: dict[str, Any] = {"layer": f.layer, **f.scores}
            if f.spread:
                row |= {f"{self.metric}_low": f.spread.low, f"{self.metric}_high": f.spread.high}
            rows.append(row | {"c": f.c, "temperature": f.temperature})
        return _frame(rows)


def _figures(row: dict[str, Any], name: Any, metric: str) -> LayerFigures:
    other = {"layer", "system", "c", "temperature", "cut_loss", "minus_layer_0", "words", "known",
             f"{metric}_low", f"{metric}_high"}
    scores = {k: _number(v) for k, v in row.items()
              if k not in other and (v is None or isinstance(v, (int, float)))}
    over = row.get("minus_layer_0")
    spread = None
    if f"{metric}_low" in row:
        spread = Estimate(scores[metric], _number(row[f"{metric}_low"]),
                          _number(row[f"{metric}_high"]))
    return LayerFigures(name, scores, spread, Estimate.of(over) if over else None, row["c"],
                        row["temperature"])


# --- sweep


@dataclass(frozen=True)
class SweepPoint:
    """One operating point of one policy on one task, on the evaluated split."""

    task: str
    policy: str
    setting: str
    """"layer 3", "threshold 0.87"."""
    metric: str
    score: float
    low: float
    high: float
    flops: float
    """Mean of an example."""
    flops_share: float
    """Of fixed depth at the last layer."""
    mean_layer: float
    above_curve: float
    """Quality minus that of fixed depth at the same FLOPs."""


@dataclass(frozen=True)
class SweepResult(_Report):
    """Depth policies against fixed depth: what ``fathom sweep`` reports."""

    tasks: list[str]
    points: list[SweepPoint]
    scores: dict[str, dict[str, Estimate]]
    """task → policy → score over the curve of fixed depth, in the manner of ELUE."""
    verdicts: dict[str, str]
    """task → does leaving early beat the best fixed layer? "better", "worse", …"""
    missing: list[str]
    notes: list[str]
    json: dict[str, Any] = field(repr=False)
    html: str = field(repr=False)

    @classmethod
    def of(cls, json: dict[str, Any], page: str, notes: list[str]) -> SweepResult:
        tasks = json["tasks"]
        keys = ("score", "low", "high", "flops", "flops_share", "mean_layer", "above_curve")
        return cls(
            tasks=[t["task"] for t in tasks],
            points=[
                SweepPoint(t["task"], p["policy"], x["setting"], p["metric"],
                           *(_number(x[k]) for k in keys))
                for t in tasks for p in t["policies"] for x in p["points"]
            ],
            scores={t["task"]: {p["policy"]: Estimate.of(p["elue"]) for p in t["policies"]}
                    for t in tasks},
            verdicts={t["task"]: t["answer"]["verdict"] for t in tasks},
            missing=list(json["missing"]),
            notes=list(dict.fromkeys([n for t in tasks for n in t["notes"]] + notes)),
            json=json,
            html=page,
        )

    def to_pandas(self) -> pandas.DataFrame:
        """One row an operating point: the rows of results.csv."""
        return _frame([asdict(p) for p in self.points])


# --- advise


@dataclass(frozen=True)
class AdviceFigures:
    """What to expect, of some rows."""

    n: int
    saving: Estimate
    """Share of full depth's FLOPs."""
    loss: Estimate
    """Share of full depth's quality; below 0 is a gain."""
    differs: Estimate
    """Mean loss of answers against full depth."""

    @classmethod
    def of(cls, json: dict[str, Any]) -> AdviceFigures:
        return cls(json["n"], *(Estimate.of(json[k]) for k in ("saving", "loss", "differs")))


@dataclass(frozen=True)
class Advice(_Report):
    """The cheapest depth policy that keeps a task's quality: what ``fathom advise`` finds."""

    task: str
    policy: str
    """"exit:entropy", "fixed", "full depth"."""
    setting: str
    """"threshold 0.87", "layer 3"."""
    kind: str
    """Of the policy file: "exit", "mask" or "route"."""
    output: str | None
    """The policy file, for ``encode(depth=f"{kind}:{output}")``."""
    chosen_on: AdviceFigures
    """The calibration rows; with ``optimistic`` the half that the choice was made on."""
    held_out: AdviceFigures | None
    """With ``optimistic`` the other half."""
    evaluated: AdviceFigures
    """The split that the task is reported on."""
    warnings: list[str]
    """A loss above the limit on rows that did not choose, nothing certified, nothing saved."""
    notes: list[str]
    json: dict[str, Any] = field(repr=False)
    html: str = field(repr=False)

    @classmethod
    def of(cls, json: dict[str, Any], page: str, notes: list[str], output: str | None) -> Advice:
        return cls(
            task=json["task"],
            policy=json["policy"],
            setting=json["setting"],
            kind=json["kind"],
            output=output,
            chosen_on=AdviceFigures.of(json["chosen_on"]),
            held_out=AdviceFigures.of(json["held_out"]) if "held_out" in json else None,
            evaluated=AdviceFigures.of(json["evaluated"]),
            warnings=json["warnings"],
            notes=list(dict.fromkeys([*json["notes"], *notes])),
            json=json,
            html=page,
        )

    def to_pandas(self) -> pandas.DataFrame:
        """One row a set of rows."""
        rows = []
        for name in ("chosen_on", "held_out", "evaluated"):
            f: AdviceFigures | None = getattr(self, name)
            if f is None:
                continue
            row: dict[str, Any] = {"rows": name, "n": f.n}
            for key in ("saving", "loss", "differs"):
                e: Estimate = getattr(f, key)
                row |= {key: e.value, f"{key}_low": e.low, f"{key}_high": e.high}
            rows.append(row)
        return _frame(rows)


# --- prune


@dataclass(frozen=True)
class PruneResult(_Report):
    """Sublayers that a model can do without: what ``fathom prune`` finds."""

    method: str
    objective: str
    blocks: str
    """What is left of every block: A both sublayers, t time mix, c channel mix, - none; see the file."""
    flops_share: float
    """That is left of the blocks' FLOPs."""
    loss_fitted: float
    loss: float
    """On texts that the search has not seen."""
    truncated_loss: float
    """Of as much removed from the end."""
    random_loss: float
    """Mean of random masks of the same size."""
    output: str | None
    """The policy file, for ``encode(depth=f"mask:{output}")``."""
    steps: list[dict[str, Any]] = field(repr=False)
    notes: list[str] = field(repr=False)
    json: dict[str, Any] = field(repr=False)
    html: str = field(repr=False)

    @classmethod
    def of(cls, json: dict[str, Any], page: str, notes: list[str],
           output: str | None) -> PruneResult:
        found = json["found"]
        return cls(
            method=json["method"],
            objective=json["objective"],
            blocks=json["blocks"],
            flops_share=found["flops_share"],
            loss_fitted=_number(found["loss_fitted"]),
            loss=_number(found["loss"]),
            truncated_loss=_number(json["truncated"]["loss"]),
            random_loss=_number(json["random"]["loss"]),
            output=output,
            steps=json["steps"],
            notes=list(dict.fromkeys([*json["notes"], *notes])),
            json=json,
            html=page,
        )

    def to_pandas(self) -> pandas.DataFrame:
        """The mask beside the whole model, truncation and random masks, one row each."""
        return _frame([
            {"mask": name,
             **{k: _number(self.json[name][k]) for k in ("flops_share", "loss_fitted", "loss")}}
            for name in ("found", "whole", "truncated", "random")
        ])
