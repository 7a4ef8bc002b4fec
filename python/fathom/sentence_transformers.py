# SPDX-License-Identifier: Apache-2.0
"""Fathom in sentence-transformers 5 and 6.

    from sentence_transformers import SentenceTransformer
    from fathom.sentence_transformers import Fathom

    m = SentenceTransformer(modules=[Fathom("models/finch-embed", layer=3)])
    m.encode(["a sentence"])                  # as any SentenceTransformer
    m.encode(["a sentence"], layer=2)         # another depth, the same weights
    m.encode(["a sentence"], depth="exit:sst2.policy")

A folder with modules.json that names this class, as models/finch-embed has it and ``m.save(folder)``
writes it, opens with ``SentenceTransformer(folder)``.
"""

from __future__ import annotations

import fnmatch
import json
import os
import shutil
from collections.abc import Sequence
from typing import Any

import torch

try:  # 6
    from sentence_transformers.base.modules import InputModule
except ImportError:  # 5
    from sentence_transformers.models import InputModule

from ._errors import FileError, OptionError
from ._hub import FILES, download
from ._model import Layers, PathLike
from ._shared import shared_model

_OPENING = ("dtype", "threads", "vocabulary", "cache")
_BESIDE = ("eos", "depth", "dtype")  # in fathom.json beside the recommended reading


class Fathom(InputModule):  # type: ignore[misc, unused-ignore]
    """Text in, one vector a text out: tokenizer, blocks and pooling in one module.

    path: as fathom.Model's, or a Model. layer: None is the final one. The other options are those of
    fathom.Model and Model.encode. ``encode(..., layer=, depth=)`` of the SentenceTransformer override
    them for one call; with ``depth`` the policy chooses the layer. An empty text gives zeros.
    """

    config_file_name = "fathom.json"
    config_keys = ["layer", "pooling", "norm", "scan", "bos", "eos", "normalize", "depth", "dtype"]
    forward_kwargs = {"layer", "depth"}
    save_in_root = True

    def __init__(
        self,
        path: PathLike,
        layer: int | str | None = None,
        pooling: str = "mean",
        *,
        norm: str = "none",
        scan: str = "forward",
        bos: int | None = None,
        eos: int | None = 65535,
        normalize: bool = False,
        depth: str | None = None,
        dtype: str = "auto",
        threads: int | None = None,
        vocabulary: PathLike | None = None,
        cache: PathLike | None = None,
    ) -> None:
        super().__init__()
        self.layer = layer
        self.pooling = pooling
        self.norm = norm
        self.scan = scan
        self.bos = bos
        self.eos = eos
        self.normalize = normalize
        self.depth = depth
        self.dtype = dtype
        self.model = shared_model(
            path, dtype=dtype, threads=threads, vocabulary=vocabulary, cache=cache
        )
        self.max_seq_length: int | None = None  # no limit
        self._embed([], layer, depth)  # refuses options that the model has not

    # -- what sentence-transformers calls

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        texts = [t if isinstance(t, str) else self._text_of(t) for t in inputs]
        return {"texts": [prompt + t for t in texts] if prompt else texts}

    def tokenize(self, texts: Sequence[Any], **kwargs: Any) -> dict[str, Any]:
        return self.preprocess(texts, **kwargs)

    def forward(
        self,
        features: dict[str, Any],
        layer: int | str | None = None,
        depth: str | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        if layer is not None and depth is not None:
            raise OptionError(f"layer: depth {depth} chooses the layer itself; expected one of them")
        if layer is None and depth is None:
            layer, depth = self.layer, self.depth
        features["sentence_embedding"] = torch.from_numpy(
            self._embed(features["texts"], layer, depth)
        )
        return features

    def get_embedding_dimension(self) -> int:
        return int(self._embed([], self.layer, self.depth).shape[-1])

    get_sentence_embedding_dimension = get_embedding_dimension  # 5

    @property
    def tokenizer(self) -> Any:
        return self.model

    @tokenizer.setter
    def tokenizer(self, value: Any) -> None:
        raise OptionError("tokenizer: a model of Fathom has its own; expected vocabulary= instead")

    # -- save and load

    def get_config_dict(self) -> dict[str, Any]:
        """What fathom.json holds: the reading as `fathom embed` takes it, and the rest beside it."""
        return {
            "recommended": {
                "layers": "final" if self.layer is None else str(self.layer),
                "pool": self.pooling,
                "norm": self.norm,
                "scan": self.scan,
                "bos": "none" if self.bos is None else str(self.bos),
                "normalize": self.normalize,
            },
            **{key: getattr(self, key) for key in _BESIDE},
        }

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        """Copies the model's files and writes fathom.json, with layer, pooling and the rest."""
        source = self.model.path
        if not os.path.exists(source):
            source = os.path.dirname(self.model.info().path)
        if os.path.isdir(source):
            for name in sorted(os.listdir(source)):
                kept = any(fnmatch.fnmatch(name, p) for p in FILES if "/" not in p)
                mine = name in ("fathom.json", "modules.json", "config_sentence_transformers.json")
                if kept and not mine:
                    _copy(os.path.join(source, name), output_path)
        else:
            _copy(source, output_path)
        vocabulary = self.model.info().vocabulary
        if os.path.isfile(vocabulary):
            _copy(vocabulary, output_path)
        others = _other_keys(source)  # before the file is written anew: it may be this one
        self.save_config(output_path)
        if others:
            written = os.path.join(output_path, self.config_file_name)
            with open(written, encoding="utf-8") as file:
                config = json.load(file)
            with open(written, "w", encoding="utf-8") as file:
                json.dump({**others, **config}, file, indent=2)

    @classmethod
    def load(cls, model_name_or_path: str, subfolder: str = "", **kwargs: Any) -> Fathom:
        hub = {k: kwargs.get(k) for k in ("token", "cache_folder", "revision")}
        config = cls.load_config(
            model_name_or_path, subfolder=subfolder,
            local_files_only=bool(kwargs.get("local_files_only")), **hub,
        )
        known = _options_of(config)
        known |= {k: v for k, v in (kwargs.get("model_kwargs") or {}).items()
                  if k in (*cls.config_keys, *_OPENING)}
        path = model_name_or_path
        if not os.path.exists(path):
            path = download(path, kwargs.get("revision"), cache_dir=kwargs.get("cache_folder"))
        return cls(os.path.join(path, subfolder) if subfolder else path, **known)

    # -- within

    def _embed(self, texts: list[str], layer: Layers, depth: str | None) -> Any:
        return self.model.encode(
            texts,
            layers=None if depth else layer,
            depth=depth,
            pooling=self.pooling,
            norm=self.norm,
            scan=self.scan,
            bos=self.bos,
            eos=self.eos,
            normalize=self.normalize,
            empty="zero",
            show_progress_bar=False,
        )

    @staticmethod
    def _text_of(item: Any) -> str:
        if isinstance(item, dict) and len(item) == 1:
            item = next(iter(item.values()))
        if not isinstance(item, str):
            raise TypeError(f"inputs: expected str, got {type(item).__name__}")
        return item


def _other_keys(source: str) -> dict[str, Any]:
    """What the model's own fathom.json holds for other readers, such as prompts for the server."""
    folder = source if os.path.isdir(source) else os.path.dirname(source)
    path = os.path.join(folder, Fathom.config_file_name)
    if not os.path.isfile(path):
        return {}
    with open(path, encoding="utf-8-sig") as file:
        config = json.load(file)
    return {k: v for k, v in config.items() if k not in ("recommended", "why", *_BESIDE)}


def _options_of(config: dict[str, Any]) -> dict[str, Any]:
    """Arguments of Fathom() from what fathom.json holds."""
    options = {key: config[key] for key in _BESIDE if key in config}
    reading = dict(config.get("recommended") or {})
    if "layers" in reading:
        layer = reading.pop("layers")
        if not isinstance(layer, str):
            raise FileError(f"fathom.json: recommended.layers: expected a text, got {layer!r}")
        options["layer"] = int(layer) if layer.isdigit() else layer
    if "pool" in reading:
        options["pooling"] = reading.pop("pool")
    if "bos" in reading:
        bos = reading.pop("bos")
        options["bos"] = None if bos == "none" else int(bos)
    return options | {k: v for k, v in reading.items() if k in Fathom.config_keys}


def _copy(path: str, folder: str) -> None:
    target = os.path.join(folder, os.path.basename(path))
    if not os.path.exists(target) or not os.path.samefile(path, target):
        shutil.copyfile(path, target)
