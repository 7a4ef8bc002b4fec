# SPDX-License-Identifier: Apache-2.0
"""Fathom in scikit-learn: a transformer from texts to vectors.

    from fathom.sklearn import FathomTransformer
    pipe = make_pipeline(FathomTransformer("models/finch-embed"), LogisticRegression())
    GridSearchCV(pipe, {"fathomtransformer__layer": [0, 1, 2, 3]}).fit(texts, labels)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from ._model import PathLike, Vectors
from ._shared import shared_model


class FathomTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc, unused-ignore]
    """Texts (n) to vectors (n, d) of one layer, or under a depth policy.

    Learns nothing: ``fit`` opens the model. Equal models are opened once a process, so a search over
    ``layer`` or ``pooling`` opens one. Parameters are those of fathom.Model and Model.encode; an
    empty text gives zeros unless ``empty="error"``. X is a list, an array or a Series of str, or
    lists of token ids.
    """

    def __init__(
        self,
        path: PathLike = "",
        *,
        layer: int | str | None = None,
        depth: str | None = None,
        pooling: str = "mean",
        norm: str = "none",
        scan: str = "forward",
        bos: int | None = None,
        eos: int | None = 65535,
        normalize: bool = False,
        empty: str = "zero",
        dtype: str = "auto",
        threads: int | None = None,
    ) -> None:
        self.path = path
        self.layer = layer
        self.depth = depth
        self.pooling = pooling
        self.norm = norm
        self.scan = scan
        self.bos = bos
        self.eos = eos
        self.normalize = normalize
        self.empty = empty
        self.dtype = dtype
        self.threads = threads

    def fit(self, X: Any = None, y: Any = None) -> FathomTransformer:
        self.model_ = shared_model(self.path, dtype=self.dtype, threads=self.threads)
        self.n_features_out_ = int(self._embed([]).shape[-1])
        return self

    def transform(self, X: Any) -> Vectors:
        check_is_fitted(self, "model_")
        return self._embed(list(X))

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[np.object_]:
        check_is_fitted(self, "model_")
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{i}" for i in range(self.n_features_out_)], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags

    def _embed(self, texts: list[Any]) -> Vectors:
        return self.model_.encode(
            texts, layers=None if self.depth else self.layer, depth=self.depth,
            pooling=self.pooling, norm=self.norm, scan=self.scan, bos=self.bos, eos=self.eos,
            normalize=self.normalize, empty=self.empty, show_progress_bar=False,
        )
