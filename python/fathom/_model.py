# SPDX-License-Identifier: Apache-2.0
"""fathom.Model: sentences to vectors, at any depth of an RWKV model."""

from __future__ import annotations

import itertools
import operator
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, cast, overload

import numpy as np
import numpy.typing as npt

from . import _fathom
from ._errors import Error, OptionError
from ._fathom import Policy
from ._progress import texts_bar

PathLike = Union[str, "os.PathLike[str]"]
Vectors = npt.NDArray[np.floating[Any]]
Ids = Union[Sequence[int], npt.NDArray[np.integer[Any]]]
Text = Union[str, Ids]
Texts = Union[str, Ids, Sequence[str], Sequence[Ids], npt.NDArray[Any]]
Layers = Union[None, int, str, Sequence[Union[int, str]], npt.NDArray[np.integer[Any]]]


@dataclass(frozen=True)
class ModelInfo:
    """What a model is. All fields: ``dataclasses.asdict(model.info())``."""

    path: str
    """The first weight file."""
    version: str
    """"4", "5.0", "5.1", "5.2", "6", "7" or "7a"."""
    layout: str
    """Whose names its tensors have."""
    stored_dtype: str
    """Of the large matrices in the file, such as "BF16"."""
    dtype: str
    """What it is computed in: "f32", "bf16" or "int8"."""
    backend: str
    """"cpu" or "reference"."""
    n_layer: int
    """Blocks."""
    n_block: int
    """Of them, those that were kept: the deepest layer to be asked for."""
    d_model: int
    """Numbers of a vector that pools rows."""
    n_vocab: int
    """Token ids are below it."""
    n_parameter: int
    weight_bytes: int
    """Of the packed blocks, in memory."""
    vocabulary: str
    """Where the tokenizer came from; "" without one."""
    heads: tuple[str, ...]
    """That ``encode(head=...)`` may name."""
    notes: tuple[str, ...]
    """Oddities that were handled, one sentence each."""
    messages: tuple[str, ...]
    """What opening did otherwise than asked for, one line each."""


@dataclass(frozen=True)
class Trace:
    """Vectors under a depth policy, with what the policy did with each of the n texts."""

    vectors: Vectors
    """(n, d)."""
    exit_layers: npt.NDArray[np.uint32]
    """(n) where each text was pooled, 0 to n_layer."""
    confidence: npt.NDArray[np.float32]
    """(n) of the last decision, larger is surer; NaN: none was computed."""
    predicted_classes: npt.NDArray[np.int32]
    """(n) of the exit's head; -1: it has no classes."""
    predicted_values: npt.NDArray[np.float32]
    """(n) of a regression, or the cosine of a pair; NaN: none was computed."""
    n_time_mix: npt.NDArray[np.uint32]
    """(n) time mixes that ran, of n_layer."""
    n_channel_mix: npt.NDArray[np.uint32]
    """(n) channel mixes that ran, of n_layer."""
    routes: npt.NDArray[np.int32]
    """(n) the mask that a router chose; -1: none did."""


def _open(path: str, options: dict[str, Any]) -> Model:
    return Model(path, **options)


class Model:
    """An RWKV model, opened.

    Parameters
    ----------
    path
        A folder of Hugging Face, a weight file (safetensors, .pth, GGUF, rwkv.cpp), an index.json,
        or a model of the hub's local cache by its name, ORG/NAME (see ``fathom.download``).
    dtype
        What matrices are multiplied in: "f32", "bf16", "int8", or "auto": bf16 where the CPU has
        it, int8 where memory is short. Models narrower than 256 are computed in f32, unless
        ``small_as_asked``. ``info().dtype`` says what it came to.
    threads
        Of one call, 1 to 1024. None: all that the process may use.
    vocabulary
        rwkv_vocab_v20230424.txt or tokenizer.json. None: the one in the model's file or beside it,
        else $FATHOM_VOCAB. Without any, only token ids work.
    n_block
        Blocks to keep, from the first: deeper layers can then not be asked for.
    cache
        A folder that keeps packed weights, to be mapped at the next start.

    Opening takes from milliseconds to a minute. Raises FileError (an OSError) naming the file and
    tensor, OptionError (a ValueError) naming the option.

    A Model does not change: any number of threads may call it at once; calls on one model or on
    several run side by side, without the GIL. Where many threads call, open it with ``threads=1``.
    It is pickled by its path and options, and opened again where it arrives; a process may fork
    after use. Vectors never depend on the other texts, on ``batch_tokens`` or on threads: they have
    the bits of ``fathom embed``.

    >>> m = fathom.Model("models/finch-embed")
    >>> m.encode(["The cat sat.", "A dog ran off."], layers=3).shape
    (2, 192)
    """

    def __init__(
        self,
        path: PathLike,
        *,
        dtype: str = "auto",
        threads: int | None = None,
        vocabulary: PathLike | None = None,
        backend: str | None = None,
        n_block: int | None = None,
        cache: PathLike | None = None,
        cache_verify: bool = False,
        small_as_asked: bool = False,
        exceed_memory: bool = False,
        adapter: PathLike | None = None,
        adapter_alpha: float | None = None,
        ignore_tensors: Sequence[str] = (),
        ln_x_eps: float | None = None,
        ln_eps: float | None = None,
    ) -> None:
        text = os.fspath(path)
        # Where it is a place, the same place after os.chdir() and in other processes.
        self._path = os.path.abspath(text) if os.path.exists(text) else text
        whole("threads", threads, 1)
        whole("n_block", n_block, 0)
        self._options: dict[str, Any] = {
            "dtype": dtype,
            "threads": threads,
            "vocabulary": _absolute(vocabulary),
            "backend": backend,
            "n_block": n_block,
            "cache": _absolute(cache),
            "cache_verify": cache_verify,
            "small_as_asked": small_as_asked,
            "exceed_memory": exceed_memory,
            "adapter": _absolute(adapter),
            "adapter_alpha": adapter_alpha,
            "ignore_tensors": list(ignore_tensors),
            "ln_x_eps": ln_x_eps,
            "ln_eps": ln_eps,
        }
        self._hows: dict[Any, _fathom.How] = {}
        self._policies: dict[Any, Policy] = {}
        self._core: _fathom.Embedder | None = _fathom.Embedder(source_of(self))

    # -- what it is

    @property
    def path(self) -> str:
        """As given; absolute where it is a file or folder."""
        return self._path

    def info(self) -> ModelInfo:
        """Its dimensions, where everything came from, and what was noticed on the way."""
        return ModelInfo(**self._engine().info())

    def __repr__(self) -> str:
        if self._core is None:
            return f"<fathom.Model {self._path!r}, closed>"
        i = self.info()
        return (
            f"<fathom.Model {self._path!r}, RWKV-{i.version}, {i.n_layer} layers of {i.d_model}, "
            f"{i.dtype}>"
        )

    # -- vectors

    @overload
    def encode(
        self,
        texts: Texts,
        *,
        layers: Layers = ...,
        pooling: str | None = ...,
        normalize: bool = ...,
        norm: str | None = ...,
        scan: str | None = ...,
        bos: int | None = ...,
        eos: int | None = ...,
        head: str | None = ...,
        depth: str | Policy | None = ...,
        return_trace: Literal[False] = ...,
        empty: str = ...,
        allow_nonfinite: bool = ...,
        batch_tokens: int = ...,
        output_dtype: str = ...,
        out: Vectors | None = ...,
        show_progress_bar: bool | None = ...,
    ) -> Vectors: ...

    @overload
    def encode(
        self,
        texts: Texts,
        *,
        depth: str | Policy,
        return_trace: Literal[True],
        pooling: str | None = ...,
        normalize: bool = ...,
        norm: str | None = ...,
        scan: str | None = ...,
        bos: int | None = ...,
        eos: int | None = ...,
        empty: str = ...,
        allow_nonfinite: bool = ...,
        batch_tokens: int = ...,
        output_dtype: str = ...,
        out: Vectors | None = ...,
        show_progress_bar: bool | None = ...,
    ) -> Trace: ...

    def encode(
        self,
        texts: Texts,
        *,
        layers: Layers = None,
        pooling: str | None = None,
        normalize: bool = False,
        norm: str | None = None,
        scan: str | None = None,
        bos: int | None = None,
        eos: int | None = 65535,
        head: str | None = None,
        depth: str | Policy | None = None,
        return_trace: bool = False,
        empty: str = "error",
        allow_nonfinite: bool = False,
        batch_tokens: int = 1024,
        output_dtype: str = "float32",
        out: Vectors | None = None,
        show_progress_bar: bool | None = None,
    ) -> Vectors | Trace:
        """The vectors of texts, at one layer or several, in one pass.

        Parameters
        ----------
        texts
            A list of n str, or of n lists (or integer arrays) of token ids. A single str, or a
            single list of ids, gives a result without the axis n.
        layers
            0 is the output of ln0, i the residual stream after block i, n_layer + 1 or "final"
            ln_out of the last block. A number, a list such as [1, 3, "final"], or a str such as
            "1,3,5-8" or "all". None: the final layer. With ``depth``, leave it out.
        pooling
            How the rows of a text, one a token, become one vector: "mean" (None), "last", "max",
            "weighted" (by position), "eos"; or, of the recurrent state at layers 1 to n_layer,
            "state", "state-rows", "state-cols".
        normalize
            Every vector to length 1; zeros stay zeros.
        norm
            What is pooled: "none" (the residual stream; None) or "ln_out" of it.
        scan
            How a text is read: "forward" (None), "reverse", "both" (averaged), "echo" (twice).
        bos
            A token id in front of every text. None: none.
        eos
            Of pooling "eos": the token id put behind every text and pooled there. None: nothing is
            put there, and the last token is pooled.
        head
            EmbeddingRWKV's task head: "cls", "sts" or "retr".
        depth
            How deep each text goes: "full" (None), "fixed:L", a policy file of ``fathom.fit``,
            ``prune`` or ``advise``: "exit:FILE", "mask:FILE", "route:FILE"; or a Policy.
        return_trace
            With ``depth``: a Trace, which has the vectors, exit layers, confidence and predicted
            classes.
        empty
            A text without a byte: "error", or "zero": a vector of zeros.
        allow_nonfinite
            Otherwise a vector with NaN or infinity is an Error.
        batch_tokens
            Tokens in one packed batch, 1 to 1048576. Changes memory and speed, no bit of a result.
        output_dtype
            "float32", or "float16", which are converted block by block.
        out
            A C-contiguous float32 array of the result's shape, to be written and returned. After an
            error its contents are arbitrary.
        show_progress_bar
            A bar of tqdm. None: after two seconds, on a terminal or in a notebook.

        Returns
        -------
        numpy.ndarray, float32 (float16)
            (n_layers, n, d); with one layer, or under ``depth``, (n, d). d is d_model, or what the
            state or head has. Or a Trace of it.

        Raises
        ------
        OptionError (ValueError)
            Options that exclude each other, or that the model has not; names the option.
        TextError (ValueError)
            A text that is empty, is not UTF-8 (a lone surrogate) or has an id beyond the
            vocabulary; names its index.
        TypeError
            Something that is neither text nor ids, or both mixed.
        Error
            A vector that is not finite; an odd number of texts under a policy that decides by pair.
        KeyboardInterrupt
            Ctrl-C stops within one batch.

        The GIL is released while it computes.

        >>> m.encode("A sentence.", layers=[1, 3, 11]).shape
        (3, 2048)
        """
        how, policy = self._how(
            layers, pooling, normalize, norm, scan, bos, eos, head, depth, empty, allow_nonfinite,
            batch_tokens, output_dtype,
        )
        if out is not None:
            _check_out(out, output_dtype)
        if return_trace and policy is None:
            raise OptionError("return_trace: expected a depth policy beside it, got none")
        with texts_bar(_length(texts), show_progress_bar) as progress:
            vectors, trace = self._engine().encode(texts, how, out, progress)
        return Trace(vectors, **trace) if return_trace else vectors

    def encode_iter(
        self, texts: Iterable[Text], *, batch: int = 4096, **options: Any
    ) -> Iterator[Vectors]:
        """The same of a stream: takes ``batch`` texts at a time and yields their vectors.

        Memory does not grow with the number of texts. ``options`` are those of ``encode``; with
        ``return_trace=True`` it yields Traces. Blocks have the shapes of ``encode``, the last one
        may be shorter; texts after an error are not taken. Text indices in messages count from the
        beginning of the stream's block.

        >>> for block in m.encode_iter(open("lines.txt"), layers="all"):
        ...     index.add(block[3])
        """
        whole("batch", batch, 1)
        if isinstance(texts, str):
            raise TypeError("texts: expected an iterable of str, got one str")
        return self._blocks(iter(texts), batch, options)

    def _blocks(
        self, texts: Iterator[Text], batch: int, options: dict[str, Any]
    ) -> Iterator[Vectors]:
        options.setdefault("show_progress_bar", False)
        while block := list(itertools.islice(texts, batch)):
            vectors: Vectors = self.encode(block, **options)  # type: ignore[arg-type]
            yield vectors

    def hidden_states(self, text: Text) -> npt.NDArray[np.float32]:
        """All hidden states of one text, or of one list of token ids: what ``fathom trace`` gives.

        Returns (n_layer + 1, n_token, d_model), float32: layer 0 is the output of ln0, layer i the
        residual stream after block i. No BOS is put in front. Raises Error for an empty text or an
        id beyond the vocabulary.
        """
        return cast("npt.NDArray[np.float32]", self._engine().hidden_states(text))

    # -- text

    @overload
    def tokenize(self, text: str) -> list[int]: ...  # type: ignore[overload-overlap]
    @overload
    def tokenize(self, text: Sequence[str]) -> list[list[int]]: ...
    def tokenize(self, text: str | Sequence[str]) -> list[int] | list[list[int]]:
        """Token ids of a text, or of each of a list; no BOS. Raises Error without a vocabulary."""
        engine = self._engine()
        if isinstance(text, str):
            return engine.tokenize(text)
        return [engine.tokenize(t) for t in text]

    def decode(self, ids: Ids, errors: str = "replace") -> str:
        """The text of token ids. A token may end within a character: ``errors`` as in
        bytes.decode(). Raises Error without a vocabulary, or for an id that it has not."""
        return self._engine().decode(ids).decode("utf-8", errors)

    # -- depth

    def policy(self, depth: str | PathLike) -> Policy:
        """A depth policy by name, for ``encode(depth=...)``: "full", "fixed:L", "exit:FILE",
        "mask:FILE", "route:FILE". Raises OptionError for another form or a depth that the model
        has not; FileError for a file that cannot be used, or was fitted to another model."""
        return self._engine().policy(os.fspath(depth))

    # -- life

    def close(self) -> None:
        """Lets go of the weights, once no call uses them. Later calls raise Error."""
        self._core = None
        self._hows.clear()
        self._policies.clear()

    def __enter__(self) -> Model:
        self._engine()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _open, (self._path, self._options)

    def __copy__(self) -> Model:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Model:
        return self

    # -- within

    def _engine(self) -> _fathom.Embedder:
        if self._core is None:
            raise Error(f"{self._path}: the model is closed")
        return self._core

    def _layers(self, layers: Layers) -> tuple[list[int], bool]:
        if layers is None:
            return [], True
        if isinstance(layers, str):
            found = self._engine().layers(layers)
            return found, len(found) == 1
        if not isinstance(layers, list):
            return [_layer(layers)], True
        found = []
        for layer in layers:
            found.extend(self._engine().layers(layer) if isinstance(layer, str) else [_layer(layer)])
        if not found:
            raise OptionError("layers: expected at least one, got an empty list")
        return found, len(found) == 1

    def _policy(self, depth: str | Policy | None) -> Policy | None:
        """None: full depth."""
        if depth is None or depth == "full":
            return None
        if isinstance(depth, Policy):
            return None if depth.name == "full" else depth
        key: Any = depth
        _, _, file = depth.partition(":")
        try:  # a file that was written anew is read anew
            status = os.stat(file)
            key = (depth, os.getcwd(), status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            pass
        policy = self._policies.get(key)
        if policy is None:
            _make_room(self._policies)
            policy = self._policies[key] = self._engine().policy(depth)
        return policy

    def _how(
        self, layers: Layers, pooling: str | None, normalize: bool, norm: str | None,
        scan: str | None, bos: int | None, eos: int | None, head: str | None,
        depth: str | Policy | None, empty: str, allow_nonfinite: bool, batch_tokens: int,
        output_dtype: str,
    ) -> tuple[_fathom.How, Policy | None]:
        policy = self._policy(depth)
        if layers is None or isinstance(layers, str):
            chosen: Any = layers
        elif hasattr(layers, "__index__") and np.ndim(layers) == 0:
            chosen = (type(layers), layers)  # True is no layer, though it equals 1
        else:
            layers = list(cast("Sequence[int | str]", layers))
            chosen = tuple((type(layer), layer) for layer in layers)
        key = (chosen, pooling, normalize, norm, scan, bos, eos, head, policy, empty,
               allow_nonfinite, batch_tokens, output_dtype)
        how = self._hows.get(key)
        if how is None:
            how = self._new_how(layers, *key[1:])
            _make_room(self._hows)
            self._hows[key] = how
        return how, policy

    def _new_how(
        self, layers: Layers, pooling: str | None, normalize: bool, norm: str | None,
        scan: str | None, bos: int | None, eos: int | None, head: str | None,
        policy: Policy | None, empty: str, allow_nonfinite: bool, batch_tokens: int,
        output_dtype: str,
    ) -> _fathom.How:
        if output_dtype not in ("float32", "float16"):
            raise OptionError(
                f"output_dtype: expected float32 or float16, got {output_dtype!r}"
            )
        if layers is not None and policy is not None:
            raise OptionError(
                f"layers: depth {policy.name} chooses the layer itself; expected one of them"
            )
        numbers, one = self._layers(layers)
        if head is not None and layers is not None and numbers != self._engine().layers("final"):
            raise OptionError("layers: a head reads the final layer; expected one of them")
        return _fathom.How(
            layers=numbers,
            one_layer=one,
            reading=reading_of(
                "eos" if head and pooling is None else pooling, norm, scan, bos, eos, batch_tokens
            ),
            head=head or "",
            normalize=bool(normalize),
            depth=policy if policy is not None else self._engine().policy("full"),
            empty=empty,
            allow_nonfinite=bool(allow_nonfinite),
            half=output_dtype == "float16",
        )


def source_of(model: Model) -> _fathom.Source:
    """Which model, for the engine."""
    o = model._options
    return _fathom.Source(
        model._path,
        dtype=o["dtype"],
        threads=o["threads"] or 0,
        vocabulary=o["vocabulary"] or "",
        backend=o["backend"] or "",
        cache=o["cache"] or "",
        cache_verify=o["cache_verify"],
        small_as_asked=o["small_as_asked"],
        exceed_memory=o["exceed_memory"],
        adapter=o["adapter"] or "",
        adapter_alpha=o["adapter_alpha"],
        ignore_tensors=o["ignore_tensors"],
        ln_x_eps=o["ln_x_eps"],
        ln_eps=o["ln_eps"],
        n_block=o["n_block"],
    )


def reading_of(
    pooling: str | None, norm: str | None, scan: str | None, bos: int | None, eos: int | None,
    batch_tokens: int,
) -> _fathom.Reading:
    for name, token in (("bos", bos), ("eos", eos)):
        whole(name, token, 0, 2**32 - 1)
    whole("batch_tokens", batch_tokens, 1, 2**20)
    return _fathom.Reading(
        pooling=pooling or "mean",
        norm=norm or "none",
        scan=scan or "forward",
        bos=bos,
        eos=eos,
        batch_tokens=batch_tokens,
    )


def whole(name: str, value: Any, least: int, most: int | None = None) -> None:
    """Raises OptionError unless value is None or a whole number in the range."""
    if value is None:
        return
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if number < least or (most is not None and number > most):
        between = f"at least {least}" if most is None else f"{least} to {most}"
        raise OptionError(f"{name}: expected a whole number, {between}, got {value!r}")


def _absolute(path: PathLike | None) -> str | None:
    return None if path is None else os.path.abspath(os.fspath(path))


def _layer(value: Any) -> int:
    try:
        layer = operator.index(value)
    except TypeError:
        layer = -1
    if layer < 0 or isinstance(value, bool):
        raise OptionError(f"layers: expected numbers from 0 on or 'final', got {value!r}")
    return layer


def _length(texts: Any) -> int:
    return len(texts) if hasattr(texts, "__len__") and not isinstance(texts, str) else 1


def _check_out(out: Any, output_dtype: str) -> None:
    if output_dtype != "float32":
        raise OptionError(f"out: expected output_dtype float32 beside it, got {output_dtype}")
    ok = isinstance(out, np.ndarray) and out.dtype == np.float32 and out.flags.c_contiguous
    if not (ok and out.flags.writeable):
        what = f"{out.dtype} array" if isinstance(out, np.ndarray) else type(out).__name__
        raise OptionError(f"out: expected a writable C-contiguous float32 array, got a {what}")


def _make_room(kept: dict[Any, Any], most: int = 64) -> None:
    if len(kept) >= most:
        kept.clear()


__all__ = ["Model", "ModelInfo", "Policy", "Trace"]
