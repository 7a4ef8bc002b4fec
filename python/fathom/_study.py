# SPDX-License-Identifier: Apache-2.0
"""fathom.evaluate, fit, sweep, advise, prune: what depth gives and what it costs.

Each opens the model once more for as long as it runs (a ``cache=`` folder makes that quick and
shares the memory), and works like the program's command of the same name.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Union, overload

from . import _fathom
from ._errors import FileError, OptionError
from ._model import Model, PathLike, reading_of, source_of, whole
from ._progress import Stages
from ._results import Advice, EvalResult, FitResult, PruneResult, SweepResult

Names = Union[str, Sequence[str]]


def tasks() -> list[str]:
    """The names of all tasks that ``evaluate``, ``fit``, ``sweep`` and ``advise`` know."""
    return [name.strip() for name in _fathom.task_names().split(",")]


@overload
def evaluate(
    model: Model | PathLike,
    task: str,
    *,
    data: PathLike | None = ...,
    split: str | None = ...,
    layers: str | Sequence[int | str] = ...,
    depth: str | None = ...,
    pooling: str | None = ...,
    norm: str | None = ...,
    scan: str | None = ...,
    bos: int | None = ...,
    eos: int | None = ...,
    batch_tokens: int = ...,
    sample: int | None = ...,
    train_sample: int | None = ...,
    seed: int = ...,
    bootstrap: int = ...,
    timing: bool = ...,
    repeats: int = ...,
    compare_to: PathLike | Sequence[PathLike] = ...,
    keep_case: bool = ...,
    split_punctuation: bool = ...,
    progress: bool | None = ...,
) -> EvalResult: ...
@overload
def evaluate(
    model: Model | PathLike,
    task: list[str] | tuple[str, ...],
    *,
    data: PathLike | None = ...,
    split: str | None = ...,
    layers: str | Sequence[int | str] = ...,
    depth: str | None = ...,
    pooling: str | None = ...,
    norm: str | None = ...,
    scan: str | None = ...,
    bos: int | None = ...,
    eos: int | None = ...,
    batch_tokens: int = ...,
    sample: int | None = ...,
    train_sample: int | None = ...,
    seed: int = ...,
    bootstrap: int = ...,
    timing: bool = ...,
    repeats: int = ...,
    compare_to: PathLike | Sequence[PathLike] = ...,
    keep_case: bool = ...,
    split_punctuation: bool = ...,
    progress: bool | None = ...,
) -> dict[str, EvalResult]: ...
def evaluate(
    model: Model | PathLike,
    task: str | list[str] | tuple[str, ...],
    *,
    data: PathLike | None = None,
    split: str | None = None,
    layers: str | Sequence[int | str] = "all",
    depth: str | None = None,
    pooling: str | None = None,
    norm: str | None = None,
    scan: str | None = None,
    bos: int | None = None,
    eos: int | None = 65535,
    batch_tokens: int = 1024,
    sample: int | None = None,
    train_sample: int | None = None,
    seed: int = 1,
    bootstrap: int = 2000,
    timing: bool = True,
    repeats: int = 5,
    compare_to: PathLike | Sequence[PathLike] = (),
    keep_case: bool = False,
    split_punctuation: bool = False,
    progress: bool | None = None,
) -> EvalResult | dict[str, EvalResult]:
    """Quality and cost at every depth on a task of sentence pairs: ``fathom eval``.

    task: a name of ``fathom.tasks()``, or several: a dict by name, of those that have data. data:
    the folder that holds glue/, sts/, sick/ (None: $FATHOM_SHARED/data, else ../shared/data).
    split: "train", "validation" or "test" (None: the one that the task is reported on).
    train_sample: pairs that thresholds and the layer are chosen on (None: up to 1000; 0: none, and
    figures that need them are left out). depth: a
    policy instead of layers. compare_to: files of word vectors, or folders of static token
    embeddings. timing: False leaves out time and peak memory. repeats: passes of a timing. Peak
    memory is that of a process of its own for each system, of the program that came with this
    package. Raises FileError where data are missing, OptionError.
    """
    several = not isinstance(task, str)
    wanted = list(task) if several else [str(task)]
    whole("sample", sample, 1)
    whole("train_sample", train_sample, 0)
    whole("repeats", repeats, 1)
    from .__main__ import program  # not at the top: `python -m fathom` would find it imported

    own = program()
    reading = reading_of(pooling, norm, scan, bos, eos, batch_tokens)
    opened = _model(model)
    with _stages(progress) as stages:
        reports, missing = _fathom.evaluate(
            source=source_of(opened),
            reading=reading,
            layers=_layers(layers),
            depth=depth or "full",
            tasks=wanted,
            data=_path(data),
            split=split or "",
            sample=sample or 0,
            train_sample=train_sample,
            seed=seed,
            n_resample=bootstrap,
            timing=timing,
            n_repeat=repeats,
            program=own if os.access(own, os.X_OK) else "",
            compare_to=_paths(compare_to),
            keep_case=keep_case,
            split_punctuation=split_punctuation,
            command=_command("evaluate", opened, wanted),
            progress=stages.progress,
            note=stages.note,
        )
    results = [EvalResult.of(json.loads(j), page, stages.notes) for j, page in reports]
    if several:
        return {r.task: r for r in results}
    if not results:
        raise FileError(missing[0])
    return results[0]


def fit(
    model: Model | PathLike,
    task: str | None = None,
    *,
    texts: PathLike | None = None,
    data: PathLike | None = None,
    output: PathLike | None = None,
    heads: PathLike | None = None,
    features: PathLike | None = None,
    measure: str | None = None,
    exits: str = "all",
    loss: str = "consistency",
    streak: int = 1,
    alpha: float = 1,
    tolerance: float = 0.05,
    target_speed: float | None = None,
    max_loss: float | None = None,
    risk_control: float | None = None,
    guarantee: tuple[float, float] | None = None,
    post: str = "none",
    calibration: int = 2,
    seed: int = 1,
    bootstrap: int = 2000,
    compare_to: PathLike | Sequence[PathLike] = (),
    keep_case: bool = False,
    split_punctuation: bool = False,
    pooling: str | None = None,
    norm: str | None = None,
    scan: str | None = None,
    bos: int | None = None,
    eos: int | None = 65535,
    batch_tokens: int = 1024,
    progress: bool | None = None,
) -> FitResult:
    """Heads at every layer of a task, and an early-exit policy: ``fathom fit``.

    task: a name, or texts: a file of sentences without labels. output: where the policy goes;
    without it, and with ``calibration=0``, heads alone are fitted. heads: a safetensors file of all
    heads. features: a folder that keeps vectors for a second run (None: thrown away). At most one
    target: target_speed (2: half the work), max_loss, risk_control, or guarantee (delta, epsilon):
    loss at most delta with probability 1 - epsilon; None: (0.05, 0.05). calibration: tenths of the
    training rows kept for thresholds. Raises FileError where data are missing, OptionError, and
    Error where no threshold meets the target.
    """
    if (task is None) == (texts is None):
        raise OptionError("fit: expected either a task or texts")
    target, value, epsilon = _target(target_speed, max_loss, risk_control, guarantee)
    whole("calibration", calibration, 0, 8)
    reading = reading_of(pooling, norm, scan, bos, eos, batch_tokens)
    opened = _model(model)
    with _stages(progress) as stages, _folder(features) as vectors:
        report, page = _fathom.fit(
            source=source_of(opened),
            reading=reading,
            task=task or "",
            texts=_path(texts),
            data=_path(data),
            output=_path(output),
            heads=_path(heads),
            features=vectors,
            compare_to=_paths(compare_to),
            keep_case=keep_case,
            split_punctuation=split_punctuation,
            post=post,
            calibration=calibration,
            seed=seed,
            n_resample=bootstrap,
            policy=output is not None or calibration > 0,
            measure=measure or "",
            exits=exits,
            loss=loss,
            streak=streak,
            alpha=alpha,
            tolerance=tolerance,
            target=target,
            target_value=value,
            epsilon=epsilon,
            command=_command("fit", opened, task or _path(texts)),
            progress=stages.progress,
            note=stages.note,
        )
    return FitResult.of(
        json.loads(report), page, stages.notes, _path(output) or None, _path(heads) or None
    )


def sweep(
    model: Model | PathLike,
    tasks: Names,
    *,
    policies: Names = "all",
    data: PathLike | None = None,
    folder: PathLike | None = None,
    features: PathLike | None = None,
    post: str = "none",
    max_train: int | None = None,
    calibration: int = 2,
    seed: int = 1,
    points: int = 12,
    streak: int = 2,
    bootstrap: int = 2000,
    timing: bool = True,
    pooling: str | None = None,
    norm: str | None = None,
    scan: str | None = None,
    bos: int | None = None,
    eos: int | None = 65535,
    batch_tokens: int = 1024,
    progress: bool | None = None,
) -> SweepResult:
    """Depth policies at many operating points against fixed depth: ``fathom sweep``.

    tasks, policies: names, in a list or with commas between; policies: "all", "exit",
    "exit:MEASURE", "embedding", "fixed", "best-fixed", "random", "oracle", "mask:FILE", …
    folder: where results.json, results.csv and report.html go, and the parts with which a sweep
    that was stopped goes on; None: nowhere.
    """
    whole("points", points, 8, 60)
    whole("calibration", calibration, 1, 8)
    reading = reading_of(pooling, norm, scan, bos, eos, batch_tokens)
    opened = _model(model)
    place = _path(folder)
    kept = features if features is not None or not place else os.path.join(place, "features")
    with _stages(progress) as stages, _folder(kept) as vectors:
        report, page = _fathom.sweep(
            source=source_of(opened),
            reading=reading,
            tasks=_names(tasks),
            policies=_names(policies),
            data=_path(data),
            folder=place,
            features=vectors,
            parts=os.path.join(place, "parts") if place else "",
            post=post,
            max_train=max_train or 0,
            calibration=calibration,
            seed=seed,
            n_point=points,
            streak=streak,
            n_resample=bootstrap,
            timing=timing,
            command=_command("sweep", opened, _names(tasks)),
            progress=stages.progress,
            note=stages.note,
        )
    return SweepResult.of(json.loads(report), page, stages.notes)


def advise(
    model: Model | PathLike,
    task: str,
    *,
    max_loss: float = 0.01,
    confidence: float = 0.95,
    guarantee: float | None = None,
    optimistic: bool = False,
    policies: Names = ("fixed", "exit"),
    data: PathLike | None = None,
    output: PathLike | None = None,
    features: PathLike | None = None,
    post: str = "none",
    max_train: int | None = None,
    calibration: int = 2,
    seed: int = 1,
    bootstrap: int = 2000,
    pooling: str | None = None,
    norm: str | None = None,
    scan: str | None = None,
    bos: int | None = None,
    eos: int | None = 65535,
    batch_tokens: int = 1024,
    progress: bool | None = None,
) -> Advice:
    """The cheapest depth policy that keeps a task's quality: ``fathom advise``.

    max_loss: share of the quality of full depth that may be lost, which holds with probability
    ``confidence`` for rows like the calibration rows. guarantee: epsilon; instead, answers differ
    from those of full depth by at most max_loss with probability 1 - epsilon. optimistic: promise
    nothing, and choose by the mean loss on one half of the calibration rows. output: where the
    policy file goes. What a reader must know first is in ``warnings``.
    """
    if not 0 <= max_loss < 1:
        raise OptionError(f"max_loss: expected a share from 0 to below 1, got {max_loss!r}")
    if guarantee is not None and not (0 < guarantee <= 0.5 and max_loss > 0):
        raise OptionError(
            f"guarantee: expected a number above 0, at most 0.5, and a max_loss above 0, "
            f"got {guarantee!r}"
        )
    if not 0.5 <= confidence < 1:
        raise OptionError(f"confidence: expected a number from 0.5 to below 1, got {confidence!r}")
    if optimistic and guarantee is not None:
        raise OptionError("optimistic: expected no guarantee beside it")
    if not optimistic and max_loss == 0:
        raise OptionError("max_loss: expected a share above 0, or optimistic=True, got 0")
    promise = "none" if optimistic else "quality" if guarantee is None else "answers"
    whole("calibration", calibration, 1, 8)
    reading = reading_of(pooling, norm, scan, bos, eos, batch_tokens)
    opened = _model(model)
    with _stages(progress) as stages, _folder(features) as vectors:
        report, page = _fathom.advise(
            source=source_of(opened),
            reading=reading,
            task=task,
            policies=_names(policies),
            max_loss=max_loss,
            promise=promise,
            epsilon=round(1 - confidence, 9) if guarantee is None else guarantee,
            data=_path(data),
            output=_path(output),
            features=vectors,
            post=post,
            max_train=max_train or 0,
            calibration=calibration,
            seed=seed,
            n_resample=bootstrap,
            command=_command("advise", opened, task),
            progress=stages.progress,
            note=stages.note,
        )
    return Advice.of(json.loads(report), page, stages.notes, _path(output) or None)


def prune(
    model: Model | PathLike,
    *,
    texts: PathLike | None = None,
    tasks: Names = (),
    data: PathLike | None = None,
    output: PathLike | None = None,
    keep: float | None = None,
    remove: int | None = None,
    unit: str = "sublayer",
    protect: int = 0,
    method: str = "greedy",
    objective: str = "cosine",
    rows: str = "token",
    reference: str | None = None,
    sample: int = 256,
    held_out: int = 256,
    seed: int = 1,
    pooling: str | None = None,
    norm: str | None = None,
    scan: str | None = None,
    bos: int | None = None,
    eos: int | None = 65535,
    batch_tokens: int = 1024,
    progress: bool | None = None,
) -> PruneResult:
    """Blocks, or sublayers, that a model can do without: ``fathom prune``.

    texts: a file of sentences, or tasks, whose train splits are taken. keep: share of the blocks'
    FLOPs that is left, or remove: units. unit: "sublayer" (or "half", its name in version 0.1) or "block". method: "bi", "angular",
    "greedy", "cem", "random". objective: "cosine", "rsa", "label". output: the policy file.
    """
    names = _names(tasks)
    if (texts is None) == (not names):
        raise OptionError("prune: expected either texts or tasks")
    if (keep is None) == (remove is None):
        raise OptionError("prune: expected either keep or remove")
    if keep is not None and not 0 < keep <= 1:
        raise OptionError(f"keep: expected a share above 0, at most 1, got {keep!r}")
    for name, value, among in (("unit", unit, ("sublayer", "half", "block")), ("rows", rows, ("token", "pooled"))):
        if value not in among:
            raise OptionError(f"{name}: expected {' or '.join(among)}, got {value!r}")
    whole("remove", remove, 1)
    reading = reading_of(pooling, norm, scan, bos, eos, batch_tokens)
    opened = _model(model)
    with _stages(progress) as stages:
        report, page = _fathom.prune(
            source=source_of(opened),
            reading=reading,
            texts=_path(texts),
            tasks=names,
            data=_path(data),
            output=_path(output),
            method=method,
            objective=objective,
            unit=unit,
            keep=keep or 0,
            n_remove=remove or 0,
            n_protected=protect,
            reference=reference or "",
            pooled_rows=rows == "pooled",
            sample=sample,
            held_out=held_out,
            seed=seed,
            command=_command("prune", opened, _path(texts) or names),
            progress=stages.progress,
            note=stages.note,
        )
    return PruneResult.of(json.loads(report), page, stages.notes, _path(output) or None)


# -- within


class _Named(Model):
    """A model that only the study opens."""

    def __init__(self, path: PathLike) -> None:
        text = os.fspath(path)
        self._path = os.path.abspath(text) if os.path.exists(text) else text
        self._options = {
            "dtype": "auto", "threads": None, "vocabulary": None, "backend": None, "n_block": None,
            "cache": None, "cache_verify": False, "small_as_asked": False, "exceed_memory": False,
            "adapter": None, "adapter_alpha": None, "ignore_tensors": [], "ln_x_eps": None,
            "ln_eps": None,
        }
        self._core = None


def _model(model: Model | PathLike) -> Model:
    return model if isinstance(model, Model) else _Named(model)


@contextlib.contextmanager
def _stages(show: bool | None) -> Iterator[Stages]:
    stages = Stages(show)
    try:
        yield stages
    finally:
        stages.close()


@contextlib.contextmanager
def _folder(path: PathLike | None) -> Iterator[str]:
    if path is not None:
        yield _path(path)
        return
    with tempfile.TemporaryDirectory(prefix="fathom-") as folder:
        yield folder


def _path(path: PathLike | None) -> str:
    return "" if path is None else os.fspath(path)


def _paths(paths: PathLike | Sequence[PathLike]) -> list[str]:
    if isinstance(paths, (str, os.PathLike)):
        return [os.fspath(paths)]
    return [os.fspath(p) for p in paths]


def _names(names: Names) -> list[str]:
    return names.split(",") if isinstance(names, str) else list(names)


def _layers(layers: str | Sequence[int | str]) -> str:
    return layers if isinstance(layers, str) else ",".join(str(layer) for layer in layers)


def _command(name: str, model: Model, what: object) -> str:
    return f"fathom.{name}({model.path!r}, {what!r})"


def _target(
    speed: float | None, loss: float | None, risk: float | None,
    guarantee: tuple[float, float] | None,
) -> tuple[str, float, float]:
    given = [
        (name, value)
        for name, value in (("target_speed", speed), ("max_loss", loss), ("risk_control", risk),
                            ("guarantee", guarantee))
        if value is not None
    ]
    if len(given) > 1:
        raise OptionError(f"{given[0][0]}: expected one target, got {given[1][0]} beside it")
    if speed is not None and not speed >= 1:
        raise OptionError(f"target_speed: expected at least 1, got {speed!r}")
    for name, value in (("max_loss", loss), ("risk_control", risk)):
        if value is not None and not 0 <= value <= 1:
            raise OptionError(f"{name}: expected 0 to 1, got {value!r}")
    delta, epsilon = guarantee or (0.05, 0.05)
    if not (0 < delta < 1 and 0 < epsilon < 1):
        raise OptionError(
            f"guarantee: expected two numbers between 0 and 1 (loss, chance to fail), "
            f"got {guarantee!r}"
        )
    if speed is not None:
        return "target_speed", speed, 0
    if loss is not None:
        return "max_loss", loss, 0
    if risk is not None:
        return "risk_control", risk, 0
    return "guarantee", delta, epsilon
