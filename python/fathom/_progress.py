# SPDX-License-Identifier: Apache-2.0
"""Bars of tqdm, where it is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ._errors import OptionError


def _tqdm() -> Any:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm


@contextmanager
def texts_bar(n_text: int, show: bool | None) -> Iterator[Callable[[int], None] | None]:
    """Yields what takes the number of texts done, or None where nobody would see it.

    show: True, False, or None: after two seconds, where standard error is a terminal or a notebook.
    """
    few = 256  # done before a bar is made
    if show is False or (show is None and n_text <= few):
        yield None
        return
    tqdm = _tqdm()
    if tqdm is None:
        if show:
            raise OptionError("show_progress_bar: expected tqdm to be installed (pip install tqdm)")
        yield None
        return
    options = {} if show else {"disable": None, "delay": 2}
    with tqdm(total=n_text, desc="embedding", unit=" texts", **options) as bar:

        def at(done: int) -> None:
            bar.update(done - bar.n)

        yield at
        at(n_text)


class Stages:
    """Shows the stages of a study, such as "mrpc heads", each as a bar; notes go through print.

    Called as progress(stage, done, total, over) and note(line), from any thread, one at a time.
    """

    def __init__(self, show: bool | None) -> None:
        tqdm = None if show is False else _tqdm()
        if show and tqdm is None:
            raise OptionError("progress: expected tqdm to be installed (pip install tqdm)")
        self._tqdm = tqdm
        self._options: dict[str, Any] = {} if show else {"disable": None, "delay": 1}
        self._bars: dict[str, Any] = {}
        self.notes: list[str] = []

    def progress(self, stage: str, done: int, total: int, over: bool) -> None:
        if self._tqdm is None:
            return
        bar = self._bars.get(stage)
        if bar is None:
            bar = self._bars[stage] = self._tqdm(total=total, desc=stage, **self._options)
        bar.update(done - bar.n)
        if over:
            self._bars.pop(stage).close()

    def note(self, text: str) -> None:
        self.notes.append(text)

    def close(self) -> None:
        for bar in self._bars.values():
            bar.close()
        self._bars.clear()
