# SPDX-License-Identifier: Apache-2.0
"""Fathom in MTEB: mteb 2, and the protocol of mteb 1.

    import mteb, fathom.mteb
    model = fathom.mteb.model("models/finch-embed", layer=3)
    mteb.evaluate(model, mteb.get_tasks(tasks=["STSBenchmark"]))
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterable
from typing import Any

import mteb.models.model_meta
import numpy as np
import torch

try:  # 2
    from mteb.models.abs_encoder import AbsEncoder
except ImportError:  # 1
    AbsEncoder = object  # type: ignore[assignment, misc, unused-ignore]

from ._model import Model, PathLike
from ._shared import shared_model


class FathomEncoder(AbsEncoder):  # type: ignore[misc, unused-ignore]
    """What mteb evaluates. Made by ``model``."""

    def __init__(self, model: Model, meta: Any, options: dict[str, Any]) -> None:
        self.model = model
        self.mteb_model_meta = meta
        self._options = options

    def encode(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """inputs: mteb 2's batches, dicts with "text"; mteb 1's list of str. (n, d), double."""
        texts = list(_texts_of(inputs))
        progress = kwargs.get("show_progress_bar")
        vectors = self.model.encode(
            texts, empty="zero", show_progress_bar=bool(progress), **self._options
        )
        # mteb works out cosines in the numbers that it is given: in double ranks are fathom's.
        return vectors.astype(np.float64)

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines, in double: (n1, n2). (d) counts as (1, d)."""
        return torch.from_numpy(_unit(embeddings1) @ _unit(embeddings2).T)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:
        """Cosines of rows with the same number, in double: (n)."""
        return torch.from_numpy((_unit(embeddings1) * _unit(embeddings2)).sum(axis=1))


def model(
    path: PathLike | Model,
    layer: int | str | None = None,
    depth: str | None = None,
    *,
    pooling: str = "mean",
    norm: str = "none",
    scan: str = "forward",
    bos: int | None = None,
    eos: int | None = 65535,
    dtype: str = "auto",
    threads: int | None = None,
    name: str | None = None,
    revision: str | None = None,
    **meta: Any,
) -> FathomEncoder:
    """A model of Fathom at one layer, or under a depth policy, for ``mteb.evaluate``.

    name: "ORG/NAME" in mteb's results; None: "fathom/" and the folder's name. revision: None: a
    hash of the weights' first MiB and their size. meta: further fields of mteb's ModelMeta, such as
    license, reference, languages or training_datasets, instead of what is made here.
    """
    opened = shared_model(path, dtype=dtype, threads=threads)
    options: dict[str, Any] = {
        "layers": None if depth else layer, "depth": depth, "pooling": pooling, "norm": norm,
        "scan": scan, "bos": bos, "eos": eos,
    }
    dim = int(opened.encode([], **options).shape[-1])
    how = {k: v for k, v in options.items() if v is not None and k not in ("eos", "layers")}
    if not depth:
        how["layer"] = "final" if layer is None else layer
    return FathomEncoder(opened, _meta(opened, name, revision, dim, how, meta), options)


def _meta(
    model: Model, name: str | None, revision: str | None, dim: int, how: dict[str, Any],
    given: dict[str, Any],
) -> Any:
    info = model.info()
    kinds = {".safetensors": "safetensors", ".gguf": "GGUF"}
    framework = [kinds.get(os.path.splitext(info.path)[1], "PyTorch")]
    folder = model.path if os.path.isdir(model.path) else os.path.splitext(model.path)[0]
    fields = {
        "loader": None,
        "loader_kwargs": {},
        "name": name or "fathom/" + os.path.basename(os.path.normpath(folder)),
        "revision": revision or _revision(info.path),
        "release_date": None,
        "languages": ["eng-Latn"],
        "n_parameters": info.n_parameter,
        "n_embedding_parameters": info.n_vocab * info.d_model,
        "memory_usage_mb": round(info.weight_bytes / 2**20, 1),
        "max_tokens": float("inf"),
        "embed_dim": dim,
        "license": None,
        "open_weights": True,
        "public_training_code": None,
        "public_training_data": None,
        "framework": framework,
        "reference": None,
        "similarity_fn_name": "cosine",
        "use_instructions": False,
        "training_datasets": None,
        "modalities": ["text"],
        "model_type": ["dense"],
        "experiment_kwargs": how,
        **given,
    }
    known = mteb.models.model_meta.ModelMeta.model_fields
    return mteb.models.model_meta.ModelMeta(**{k: v for k, v in fields.items() if k in known})


def _revision(path: str) -> str:
    digest = hashlib.sha256(str(os.path.getsize(path)).encode())
    with open(path, "rb") as f:
        digest.update(f.read(1 << 20))
    return digest.hexdigest()[:40]


def _texts_of(inputs: Any) -> Iterable[str]:
    if isinstance(inputs, (list, tuple)) and all(isinstance(t, str) for t in inputs):
        return inputs
    return itertools.chain.from_iterable(batch["text"] for batch in inputs)


def _unit(embeddings: Any) -> Any:
    x = np.atleast_2d(np.asarray(embeddings, dtype=np.float64))
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length == 0, 1, length)
