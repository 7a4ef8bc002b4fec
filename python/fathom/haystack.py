# SPDX-License-Identifier: Apache-2.0
"""Fathom in Haystack 2.

    from fathom.haystack import FathomDocumentEmbedder, FathomTextEmbedder
    FathomDocumentEmbedder("models/finch-embed", layer=3).run(documents=[Document(content="…")])
    FathomTextEmbedder("models/finch-embed", layer=3).run(text="a question")["embedding"]
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional, Union

from haystack import Document, component, default_from_dict, default_to_dict

from ._model import Model
from ._shared import shared_model


class _Embedder:
    """What both components are made from: their options, and a model that warm_up() opens."""

    def __init__(self, **options: Any) -> None:
        self._init = options
        self._model: Model | None = None
        for name, value in options.items():
            setattr(self, name, value)

    def warm_up(self) -> None:
        """Opens the model; run() does it where this was not called."""
        if self._model is None:
            self._model = shared_model(
                self._init["path"], dtype=self._init["dtype"], threads=self._init["threads"]
            )

    def to_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = default_to_dict(self, **self._init)
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Any:
        return default_from_dict(cls, data)

    def _embed(self, texts: list[str]) -> list[list[float]]:
        self.warm_up()
        assert self._model is not None
        o = self._init
        texts = [o["prefix"] + t + o["suffix"] for t in texts]
        vectors: Any = self._model.encode(
            texts, layers=None if o["depth"] else o["layer"], depth=o["depth"],
            pooling=o["pooling"], normalize=o["normalize"], empty="zero",
            show_progress_bar=o.get("progress_bar", False),
        )
        rows: list[list[float]] = vectors.tolist()
        return rows


@component
class FathomTextEmbedder(_Embedder):
    """Embeds one string, such as a query. An empty one gives zeros."""

    def __init__(
        self,
        path: str,
        layer: Optional[Union[int, str]] = None,
        depth: Optional[str] = None,
        pooling: str = "mean",
        normalize: bool = True,
        prefix: str = "",
        suffix: str = "",
        dtype: str = "auto",
        threads: Optional[int] = None,
    ) -> None:
        _Embedder.__init__(  # the decorator makes another class of this one, which super() misses
            self,
            path=path, layer=layer, depth=depth, pooling=pooling, normalize=normalize,
            prefix=prefix, suffix=suffix, dtype=dtype, threads=threads,
        )

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, list[float]]:
        if not isinstance(text, str):
            raise TypeError(
                f"text: expected a str, got {type(text).__name__}; FathomDocumentEmbedder embeds "
                "documents"
            )
        return {"embedding": self._embed([text])[0]}


@component
class FathomDocumentEmbedder(_Embedder):
    """Embeds documents, with the meta fields that are named in front of their content."""

    def __init__(
        self,
        path: str,
        layer: Optional[Union[int, str]] = None,
        depth: Optional[str] = None,
        pooling: str = "mean",
        normalize: bool = True,
        prefix: str = "",
        suffix: str = "",
        dtype: str = "auto",
        threads: Optional[int] = None,
        progress_bar: bool = False,
        meta_fields_to_embed: Optional[list[str]] = None,
        embedding_separator: str = "\n",
    ) -> None:
        _Embedder.__init__(  # the decorator makes another class of this one, which super() misses
            self,
            path=path, layer=layer, depth=depth, pooling=pooling, normalize=normalize,
            prefix=prefix, suffix=suffix, dtype=dtype, threads=threads, progress_bar=progress_bar,
            meta_fields_to_embed=meta_fields_to_embed or [],
            embedding_separator=embedding_separator,
        )

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, list[Document]]:
        if not isinstance(documents, list) or any(not isinstance(d, Document) for d in documents):
            raise TypeError(
                "documents: expected a list of Document; FathomTextEmbedder embeds a str"
            )
        vectors = self._embed([self._text_of(d) for d in documents])
        return {"documents": [replace(d, embedding=v) for d, v in zip(documents, vectors)]}

    def _text_of(self, document: Any) -> str:
        fields = [str(document.meta[f]) for f in self._init["meta_fields_to_embed"]
                  if document.meta.get(f) is not None]
        separator: str = self._init["embedding_separator"]
        return separator.join([*fields, document.content or ""])
