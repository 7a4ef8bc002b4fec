# SPDX-License-Identifier: Apache-2.0
"""Fathom: RWKV sentence embeddings at any depth.

    import fathom
    m = fathom.Model("models/finch-embed")
    x = m.encode(["a sentence", "another"], layers=[1, 3], normalize=True)   # (2, n, d)

``help(fathom.Model.encode)`` has all options. ``evaluate``, ``fit``, ``sweep``, ``advise`` and
``prune`` measure what depth gives and costs. Adapters to other packages are modules of their own:
``fathom.sentence_transformers``, ``fathom.mteb``, ``fathom.langchain``, ``fathom.llama_index``,
``fathom.haystack``, ``fathom.sklearn``.
"""

from . import _fathom
from ._errors import Error, FileError, OptionError, TextError
from ._hub import download
from ._model import Model, ModelInfo, Policy, Trace
from ._results import (
    Advice,
    AdviceFigures,
    Cost,
    Estimate,
    EvalResult,
    FitResult,
    LayerFigures,
    Metric,
    PruneResult,
    SweepPoint,
    SweepResult,
)
from ._study import advise, evaluate, fit, prune, sweep, tasks

__version__ = _fathom.version()

__all__ = [
    "Advice",
    "AdviceFigures",
    "Cost",
    "Error",
    "Estimate",
    "EvalResult",
    "FileError",
    "FitResult",
    "LayerFigures",
    "Metric",
    "Model",
    "ModelInfo",
    "OptionError",
    "Policy",
    "PruneResult",
    "SweepPoint",
    "SweepResult",
    "TextError",
    "Trace",
    "__version__",
    "advise",
    "download",
    "evaluate",
    "fit",
    "prune",
    "sweep",
    "tasks",
]
