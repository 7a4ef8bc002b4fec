# SPDX-License-Identifier: Apache-2.0
"""Vectors of tables of any size, on one machine or many, by Ray (``pip install .[ray]``).

As a program:

    python -m fathom.bulk MODEL --input 'data/*.parquet' --column text --output vectors/ --layers 3

Within a Ray Data pipeline of your own:

    ray.data.read_parquet("data/").map_batches(
        fathom.bulk.Embed, fn_constructor_args=["models/finch-embed", "text"],
        fn_constructor_kwargs={"layers": 3}, batch_format="pyarrow", concurrency=8, num_cpus=4)
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Union

import numpy as np

from . import _fathom
from ._bulk_ray import Pool
from ._bulk_read import Batch, as_file_error, read_unit, text_values
from ._bulk_store import Store, Unit, expand, model_hash, stamp_of, units_of
from ._errors import Error, FileError, OptionError, TextError
from ._model import Model, Trace

ON_ERROR = ("fail", "skip", "null")
Layers = Union[None, int, str, Sequence[Union[int, str]]]


class Embed:
    """An actor for Ray Data's ``map_batches`` with ``batch_format="pyarrow"``: tables in, the same
    tables with vectors out.

    Parameters
    ----------
    model, column
        The model's path, as ``fathom.Model`` takes it, and the column of the texts.
    layers, depth, and any other option of ``Model.encode``
        One layer, or ``depth``, becomes the column "embedding", several "embedding_1", ...; under
        ``depth`` there is "exit_layer", too.
    vector_column
        Another name for "embedding".
    threads
        None: the CPUs that Ray gave to the actor, without Ray all that the process may use.
    cache
        A folder on each machine that keeps packed weights: the first actor packs, the others map.
    on_error
        What becomes of a row that is null, empty or not text: "fail" (TextError), "skip", or "null"
        in the place of its vector.
    """

    def __init__(
        self,
        model: str,
        column: str = "text",
        *,
        layers: Layers = None,
        depth: str | None = None,
        threads: int | None = None,
        cache: str | None = None,
        on_error: str = "fail",
        vector_column: str = "embedding",
        model_options: dict[str, Any] | None = None,
        **encode: Any,
    ) -> None:
        if on_error not in ON_ERROR:
            raise OptionError(f"on_error: expected fail, skip or null, got {on_error!r}")
        self.column, self.on_error, self.depth = column, on_error, depth
        self.vector_column = vector_column
        self.encode: dict[str, Any] = {"show_progress_bar": False, **encode}
        if depth is None:
            self.encode["layers"] = layers
        self.model = Model(
            model, threads=threads or _actor_cpus(), cache=cache, **(model_options or {})
        )
        self.layers = _layer_names(layers, self.model) if depth is None else []

    def vectors(self, texts: list[str]) -> tuple[list[Any], Any]:
        """One array (n, d) a column of vectors, and exit layers or None."""
        if self.depth is not None:
            trace = self.model.encode(texts, depth=self.depth, return_trace=True, **self.encode)
            assert isinstance(trace, Trace)
            return [trace.vectors], trace.exit_layers
        x = self.model.encode(texts, **self.encode)
        return (list(x) if x.ndim == 3 else [x]), None

    def names(self) -> list[str]:
        """Of the columns of vectors."""
        if len(self.layers) < 2:
            return [self.vector_column]
        return [f"{self.vector_column}_{layer}" for layer in self.layers]

    def check(self, columns: Sequence[str]) -> None:
        """Raises OptionError: of these columns none is the texts', or one has the name of a new one."""
        if columns.count(self.column) != 1:
            got = "no column" if self.column not in columns else "several columns"
            raise OptionError(
                f"column: {got} {self.column!r}; expected one of {', '.join(columns)}"
            )
        for name in [*self.names(), *(["exit_layer"] if self.depth is not None else [])]:
            if name in columns:
                raise OptionError(
                    f"vector_column: the input has a column {name!r}; expected another name"
                )

    def embed(
        self, table: Any, known_bad: Mapping[int, str] | None = None, first: int = 0
    ) -> tuple[Any, dict[int, str]]:
        """The table with its vectors, and its bad rows, of which some may be known. `first`: the number
        of its first row, for messages."""
        import pyarrow as pa

        self.check(table.column_names)
        values, found = text_values(table.column(self.column))
        bad = dict(sorted({**found, **(known_bad or {})}.items()))
        if bad and self.on_error == "fail":
            row, why = next(iter(bad.items()))
            raise TextError(
                f"row {first + row} of {self.column!r}: {why}; expected a text (or on_error)"
            )
        good = np.array([i not in bad for i in range(len(values))], dtype=bool)
        texts = [value for i, value in enumerate(values) if i not in bad]
        if self.on_error == "skip" and bad:
            table = table.filter(pa.array(good))
            good = good[good]
        arrays, exits = self.vectors(texts) if texts else self._no_vectors()
        for name, x in zip(self.names(), arrays, strict=True):
            table = table.append_column(name, _vector_column(x, good))
        if self.depth is not None:
            layers = np.zeros(len(good), dtype=np.uint32)
            layers[good] = exits
            table = table.append_column("exit_layer", pa.array(layers, mask=~good))
        return table, bad

    def _no_vectors(self) -> tuple[list[Any], Any]:
        arrays, exits = self.vectors(["x"])
        return [x[:0] for x in arrays], exits if exits is None else exits[:0]

    def __call__(self, table: Any) -> Any:
        return self.embed(table)[0]


def _layer_names(layers: Layers, model: Model) -> list[str]:
    """As the program calls them."""
    n = model.info().n_layer
    if layers is None:
        return ["final"]
    text = layers if isinstance(layers, str) else ",".join(
        str(v) for v in ([layers] if isinstance(layers, int) else layers)
    )
    names: list[str] = []
    for part in (["0-" + str(n), "final"] if text == "all" else text.split(",")):
        first, dash, last = part.partition("-")
        numbers = range(int(first), int(last) + 1) if dash and last else [part]
        for number in numbers:
            name = "final" if str(number) == str(n + 1) else str(number)
            if name not in names:
                names.append(name)
    return names


def _actor_cpus() -> int | None:
    if "ray" not in sys.modules:
        return None
    import ray

    if not ray.is_initialized():
        return None
    cpus = ray.get_runtime_context().get_assigned_resources().get("CPU", 0)
    return max(int(cpus), 1)


def _vector_column(x: Any, good: Any) -> Any:
    """A column of fixed-size lists, null where `good` is not."""
    import pyarrow as pa

    n, dim = len(good), x.shape[1]
    kind = pa.float16() if x.dtype == np.float16 else pa.float32()
    whole = x
    if len(x) != n:
        whole = np.zeros((n, dim), dtype=x.dtype)
        whole[good] = x
    numbers = pa.array(np.ascontiguousarray(whole).reshape(-1), type=kind)
    mask = None if good.all() else pa.array(~good)
    column_type = pa.list_(pa.field("element", kind), dim)
    return pa.FixedSizeListArray.from_arrays(numbers, type=column_type, mask=mask)


def parquet_bytes(table: Any, vector_columns: Sequence[str]) -> bytes:
    """A parquet file: vectors as they are, neither a dictionary nor compression on them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    leaves = [column.path for column in _leaves(table.schema)]
    is_vector = {leaf: leaf.split(".")[0] in vector_columns for leaf in leaves}
    out = pa.BufferOutputStream()
    pq.write_table(
        table,
        out,
        use_dictionary=[leaf for leaf in leaves if not is_vector[leaf]],
        compression={leaf: "NONE" if is_vector[leaf] else "ZSTD" for leaf in leaves},
        write_statistics=[leaf for leaf in leaves if not is_vector[leaf]],
    )
    return bytes(out.getvalue())


def _leaves(schema: Any) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), out)
    columns = pq.ParquetFile(pa.BufferReader(out.getvalue())).schema
    return (columns.column(i) for i in range(len(columns)))


def npy_bytes(arrays: Sequence[Any]) -> bytes:
    """(n, d), or (n_layers, n, d) of several."""
    out = io.BytesIO()
    np.save(out, arrays[0] if len(arrays) == 1 else np.stack(arrays))
    return out.getvalue()


class Worker:
    """An actor that makes the files of each unit it gets, unless they are there already: whoever loses an
    actor asks another one for the same unit, which gives the same bytes."""

    def __init__(self, folder: str, file_format: str, rows: int, embed: dict[str, Any]) -> None:
        self.store = Store(folder)
        self.format, self.rows, self.options = file_format, rows, embed
        self.opened: Embed | None = None

    @property
    def embed(self) -> Embed:
        """The model, opened on first use, so that an error in it is an error of a task."""
        if self.opened is None:
            self.opened = Embed(**self.options)
        return self.opened

    def make(self, unit: Unit) -> dict[str, Any]:
        """The record of the unit's file."""
        record = self.store.record(unit)
        if record is not None:
            return record
        files: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        n = 0
        for number, batch in enumerate(read_unit(unit, self.embed.column, self.rows)):
            part = self.store.part(unit, number)
            if part is None or part["rows_in"] != batch.table.num_rows:
                part = self._make_part(unit, number, batch, n)
            files.append(part["file"])
            bad += [{"row": n + row, "why": why} for row, why in part["bad"]]
            n += part["rows_in"]
        if stamp_of(unit.file) != unit.stamp:
            raise FileError(
                f"{unit.file}: was written to while it was in use; expected it to stay as it was"
            )
        return self.store.keep(unit, files, {"rows_in": n, "bad": bad})

    def _make_part(self, unit: Unit, number: int, batch: Batch, first: int) -> dict[str, Any]:
        table = batch.table
        if unit.format == "jsonl" and self.embed.on_error != "fail":
            table = _with_column(table, self.embed.column)
        try:
            out, bad = self.embed.embed(table, batch.bad, first)
        except Error as error:
            raise type(error)(f"{unit.file} from {unit.begin} on: {error}") from None
        facts = {"rows": out.num_rows, "rows_in": table.num_rows, "bad": list(bad.items())}
        return self.store.keep_part(unit, number, f".{self.format}", self.content(out), facts)

    def content(self, table: Any) -> bytes:
        """Of a file."""
        if self.format == "parquet":
            return parquet_bytes(table, self.embed.names())
        dim = [table.schema.field(name).type.list_size for name in self.embed.names()]
        return npy_bytes([
            table.column(name).combine_chunks().values.to_numpy().reshape(-1, d)
            for name, d in zip(self.embed.names(), dim, strict=True)
        ])

    def is_open(self) -> bool:
        """The answer of an actor that has its place and its model."""
        return self.embed is not None


def _with_column(table: Any, column: str) -> Any:
    """A part of JSON in which no object has the field: all of its rows are bad."""
    import pyarrow as pa

    if column in table.column_names:
        return table
    return table.append_column(column, pa.nulls(table.num_rows, type=pa.string()))


def run(
    model: str,
    inputs: Sequence[str],
    output: str,
    *,
    column: str = "text",
    file_format: str = "parquet",
    concurrency: int = 1,
    num_cpus: int = 1,
    ray_address: str | None = None,
    use_ray: bool = True,
    rows_per_file: int = 100_000,
    note: Callable[[str], None] | None = None,
    **embed: Any,
) -> dict[str, Any]:
    """The job of the program: every part of the inputs to a file in `output`, but those that are
    there. Returns the manifest. Raises OptionError for a folder of a job with other options, FileError
    for one that another process is at work on."""
    if file_format not in ("parquet", "npy"):
        raise OptionError(f"format: expected parquet or npy, got {file_format!r}")
    for name, value in (("concurrency", concurrency), ("num_cpus", num_cpus),
                        ("rows_per_file", rows_per_file)):
        if value < 1:
            raise OptionError(f"{name}: expected 1 or more, got {value}")
    model_path = os.path.abspath(model) if os.path.exists(model) else model
    units = []
    for file in expand(inputs, output):
        with as_file_error(file):
            units += units_of(file, rows_per_file)
    store = Store(output)
    job = {
        "fathom": _fathom.version(),
        "model": model_hash(model_path) if os.path.exists(model_path) else model_path,
        "column": column,
        "format": file_format,
        "rows_per_file": rows_per_file,
        "options": {
            "on_error": "fail",
            **{k: v for k, v in embed.items() if k not in ("threads", "cache")},
        },
    }
    worker: dict[str, Any] = {
        "folder": store.folder,
        "file_format": file_format,
        "rows": rows_per_file,
        "embed": {"model": model_path, "column": column, **embed},
    }
    try:
        store.begin(job)
        done = {unit: record for unit in units if (record := store.record(unit)) is not None}
        missing = [unit for unit in units if unit not in done]
        if note and done:
            note(f"{len(done)} of {len(units)} parts are there already")
        records: Iterable[dict[str, Any]] = ()
        if missing and use_ray:
            records = Pool(Worker, worker, concurrency, num_cpus, ray_address).make(missing)
        elif missing:
            here = Worker(**worker)
            records = (here.make(unit) for unit in missing)
        start, n_row = time.monotonic(), 0
        for number, record in enumerate(records, 1):
            done[Unit(**record["unit"])] = record
            n_row += sum(made["rows"] for made in record["files"])
            if note:
                seconds = time.monotonic() - start
                left = seconds / number * (len(missing) - number)
                note(
                    f"{number} of {len(missing)} parts, {n_row / seconds:.0f} rows/s, "
                    f"{left:.0f} s left"
                )
        return store.finish([done[unit] for unit in units], note)
    finally:
        store.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fathom.bulk", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("model")
    add("--input", action="append", required=True, metavar="PATTERN",
        help="parquet, JSON lines, CSV or text; a folder; may be given again")
    add("--output", required=True, metavar="FOLDER")
    add("--column", default="text", help="of the texts; what the lines of text files become [text]")
    add("--layers", help="list such as 1,3,final, or all [final]")
    add("--depth", help="a depth policy in the place of --layers: fixed:L, exit:FILE, ...")
    add("--vector-column", default="embedding", help="name of the column of vectors [embedding]")
    add("--pooling")
    add("--normalize", action="store_true")
    add("--output-dtype", default="float32", choices=("float32", "float16"))
    add("--format", default="parquet", choices=("parquet", "npy"))
    add("--on-error", default="fail", choices=ON_ERROR,
        help="rows that are null, empty or not text; all are listed in _fathom/bad_rows.jsonl")
    add("--rows-per-file", type=int, default=100_000, help="of parquet, in whole row groups")
    add("--dtype", default="auto", help="of the products: auto, f32, bf16, int8")
    add("--vocabulary")
    add("--cache", help="folder of packed weights, on each machine")
    add("--concurrency", type=int, default=1, help="actors [1]")
    add("--num-cpus", type=int, default=1, help="of an actor [1]")
    add("--ray-address", help="auto, or HOST:PORT [a Ray of this machine alone, for this run]")
    add("--no-ray", action="store_true", help="in this process; --num-cpus threads")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """The program. Returns its exit code."""
    a = _parser().parse_args(arguments)
    embed: dict[str, Any] = {
        "layers": a.layers, "depth": a.depth, "pooling": a.pooling, "normalize": a.normalize,
        "output_dtype": a.output_dtype, "on_error": a.on_error, "cache": a.cache,
        "vector_column": a.vector_column,
        "model_options": {"dtype": a.dtype, "vocabulary": a.vocabulary},
    }
    if a.no_ray:
        embed["threads"] = a.num_cpus
    try:
        if a.layers and a.depth:
            raise OptionError("layers: --depth chooses the layer itself; expected one of them")
        manifest = run(
            a.model, a.input, a.output, column=a.column, file_format=a.format,
            concurrency=a.concurrency, num_cpus=a.num_cpus, ray_address=a.ray_address,
            use_ray=not a.no_ray, rows_per_file=a.rows_per_file,
            note=lambda text: print(f"fathom: {text}", file=sys.stderr), **embed,
        )
    except (OptionError, Error) as error:
        print(f"fathom: {error}", file=sys.stderr)
        return 2 if isinstance(error, OptionError) else 1
    except KeyboardInterrupt:
        print("fathom: stopped; the same command goes on with what is missing", file=sys.stderr)
        return 130
    print(f"{manifest['rows']} rows in {len(manifest['files'])} files, "
          f"{manifest['bad_rows']} bad rows -> {a.output}")
    return 0


if __name__ == "__main__":
    # The classes of the module and not of this program: actors import them by its name.
    from fathom.bulk import main as program

    sys.exit(program())
