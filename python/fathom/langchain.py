# SPDX-License-Identifier: Apache-2.0
"""Fathom in LangChain.

    from fathom.langchain import FathomEmbeddings
    FathomEmbeddings("models/finch-embed", layer=3).embed_query("a question")
"""

from __future__ import annotations

from typing import Any, cast

from langchain_core.embeddings import Embeddings

from ._model import Model, PathLike
from ._shared import shared_model


class FathomEmbeddings(Embeddings):
    """Embeddings of LangChain, from one layer of an RWKV model or under a depth policy.

    path: as fathom.Model's, or a Model. layer: None is the final one. query_prompt and
    document_prompt are put in front of queries and documents. options: others of Model.encode.
    An empty text gives zeros.
    """

    def __init__(
        self,
        path: PathLike | Model,
        layer: int | str | None = None,
        *,
        depth: str | None = None,
        pooling: str = "mean",
        normalize: bool = True,
        query_prompt: str = "",
        document_prompt: str = "",
        dtype: str = "auto",
        threads: int | None = None,
        **options: Any,
    ) -> None:
        self.model = shared_model(path, dtype=dtype, threads=threads)
        self.query_prompt, self.document_prompt = query_prompt, document_prompt
        self._options: dict[str, Any] = {
            "layers": None if depth else layer, "depth": depth, "pooling": pooling,
            "normalize": normalize, "empty": "zero", "show_progress_bar": False, **options,
        }
        self.model.encode([], **self._options)  # refuses options that the model has not

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self._embed([self.document_prompt + t for t in texts])

    def embed_query(self, text: str) -> list[float]:
        return self._embed([self.query_prompt + text])[0]

    def _embed(self, texts: list[str]) -> list[list[float]]:
        return cast("list[list[float]]", self.model.encode(texts, **self._options).tolist())
