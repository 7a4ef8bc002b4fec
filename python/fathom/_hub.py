# SPDX-License-Identifier: Apache-2.0
"""fathom.download: models of the hub, only the files that Fathom reads."""

from __future__ import annotations

import os

from ._errors import Error, FileError, OptionError

# Weights, dimensions, vocabularies, and what sentence-transformers says of pooling and layer.
FILES = [
    "*.safetensors",
    "*.safetensors.index.json",
    "*.bin",
    "*.bin.index.json",
    "*.pth",
    "*.gguf",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "*vocab*.txt",
    "fathom.json",
    "modules.json",
    "*/config.json",
    "config_sentence_transformers.json",
    "adapter_config.json",
]
# Where a repository has several kinds of weights, one is enough: the first of these.
WEIGHTS = [".safetensors", ".bin", ".pth", ".gguf"]


def download(
    id: str, revision: str | None = None, *, cache_dir: str | os.PathLike[str] | None = None
) -> str:
    """Brings a model of the hub into its local cache and returns the folder, for Model(folder).

    id: "ORG/NAME". revision: a branch, tag or commit. Of several kinds of weights one is fetched:
    safetensors, else .bin, .pth, GGUF; nothing that Fathom does not read. What is there already is
    not fetched again, and where the hub cannot be reached, what is there is used.

    Needs huggingface_hub (``pip install fathom-rwkv[hub]``). Raises FileError naming the model.
    """
    if id.count("/") > 1 or not id or id.startswith(("/", ".")):
        raise OptionError(f"id: expected a model of the hub, ORG/NAME, got {id!r}")
    try:
        import huggingface_hub as hub
    except ImportError as error:
        raise Error(
            "download: expected huggingface_hub to be installed (pip install huggingface_hub)"
        ) from error
    cache = None if cache_dir is None else os.fspath(cache_dir)
    try:
        names = hub.HfApi().list_repo_files(id, revision=revision)
        patterns = [p for p in FILES if not p.endswith(_unwanted(names))]
    except Exception:  # offline, or no such model: what the cache has decides
        patterns = FILES
    try:
        return str(hub.snapshot_download(
            id, revision=revision, cache_dir=cache, allow_patterns=patterns))
    except Exception as error:
        try:
            return str(hub.snapshot_download(
                id, revision=revision, cache_dir=cache, local_files_only=True))
        except Exception:
            first = str(error).strip().splitlines()[0]
            raise FileError(f"{id}: cannot be downloaded, and the cache has it not: {first}") from error


def _unwanted(names: list[str]) -> tuple[str, ...]:
    """Endings of weights that need not be fetched."""
    there = [w for w in WEIGHTS if any(n.endswith(w) for n in names)]
    return tuple(e for w in there[1:] for e in (w, w + ".index.json"))
