# SPDX-License-Identifier: Apache-2.0
"""Fathom in LlamaIndex.

    from fathom.llama_index import FathomEmbedding
    Settings.embed_model = FathomEmbedding(path="models/finch-embed", layer=3)
"""

from __future__ import annotations

import asyncio
from typing import Any, List, Optional, Union

from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.bridge.pydantic import Field, PrivateAttr

from ._shared import shared_model


class FathomEmbedding(BaseEmbedding):  # type: ignore[misc, unused-ignore]
    """BaseEmbedding of LlamaIndex, from one layer of an RWKV model or under a depth policy.

    An empty text gives zeros. Texts of a batch run together: ``embed_batch_size`` of hundreds is
    faster than the default of ten.
    """

    path: str = Field(description="as fathom.Model's")
    layer: Optional[Union[int, str]] = Field(default=None, description="None: the final one")
    depth: Optional[str] = Field(default=None, description="a policy, instead of a layer")
    pooling: str = Field(default="mean")
    normalize: bool = Field(default=True)
    query_prompt: str = Field(default="", description="in front of queries")
    text_prompt: str = Field(default="", description="in front of documents")
    dtype: str = Field(default="auto")
    threads: Optional[int] = Field(default=None)
    _model: Any = PrivateAttr(default=None)

    def __init__(self, **data: Any) -> None:
        data.setdefault("model_name", str(data.get("path", "")))
        data.setdefault("embed_batch_size", 256)
        super().__init__(**data)
        self._model = shared_model(self.path, dtype=self.dtype, threads=self.threads)
        self._embed([])  # refuses options that the model has not

    @classmethod
    def class_name(cls) -> str:
        return "FathomEmbedding"

    def _embed(self, texts: List[str]) -> List[List[float]]:
        vectors = self._model.encode(
            texts, layers=None if self.depth else self.layer, depth=self.depth,
            pooling=self.pooling, normalize=self.normalize, empty="zero", show_progress_bar=False,
        )
        rows: List[List[float]] = vectors.tolist()
        return rows

    def _get_query_embedding(self, query: str) -> List[float]:
        return self._embed([self.query_prompt + query])[0]

    def _get_text_embedding(self, text: str) -> List[float]:
        return self._embed([self.text_prompt + text])[0]

    def _get_text_embeddings(self, texts: List[str]) -> List[List[float]]:
        return self._embed([self.text_prompt + t for t in texts])

    async def _aget_query_embedding(self, query: str) -> List[float]:
        return await asyncio.to_thread(self._get_query_embedding, query)

    async def _aget_text_embedding(self, text: str) -> List[float]:
        return await asyncio.to_thread(self._get_text_embedding, text)

    async def _aget_text_embeddings(self, texts: List[str]) -> List[List[float]]:
        return await asyncio.to_thread(self._get_text_embeddings, texts)
