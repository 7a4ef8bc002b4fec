# SPDX-License-Identifier: Apache-2.0
"""Models that several adapters of one process share: equal paths and options, one model."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

from ._model import Model, PathLike

_lock = threading.Lock()
_models: weakref.WeakValueDictionary[Any, Model] = weakref.WeakValueDictionary()


def shared_model(path: PathLike | Model, **options: Any) -> Model:
    """The model as opened with these options, for as long as anybody holds it."""
    if isinstance(path, Model):
        return path
    place = os.fspath(path)
    if os.path.exists(place):
        place = os.path.abspath(place)
    key = (place, tuple(sorted((k, v) for k, v in options.items())))
    with _lock:
        model = _models.get(key)
        if model is None:
            model = _models[key] = Model(place, **options)
        return model


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
