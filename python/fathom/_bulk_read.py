# SPDX-License-Identifier: Apache-2.0
"""Rows of the inputs of a bulk job as tables, some at a time, and why a row of them is none."""

from __future__ import annotations

import contextlib
import io
import json
import lzma
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from ._bulk_store import Unit, begins_with_bracket
from ._errors import Error, FileError, TextError

BATCH_BYTES = 64 << 20
"""Of texts that are read before their table is given."""
ARRAY_PART = 1 << 20
"""Characters of a JSON array that are read at once."""
MOST_BYTES = 1 << 30
"""Of one value of JSON, which is held whole."""


class Batch:
    """A table, and rows of it that have no text, with the reason."""

    def __init__(self, table: Any, bad: dict[int, str] | None = None) -> None:
        self.table = table
        self.bad = bad or {}


@contextlib.contextmanager
def as_file_error(path: str) -> Iterator[None]:
    """What readers of a file raise becomes one line that names it."""
    try:
        yield
    except Error:
        raise
    except (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError, KeyError) as error:
        # pyarrow's errors are of these kinds, too.
        text = getattr(error, "strerror", None) or str(error)
        raise FileError(f"{path}: {' '.join(text.split())}") from None


def read_unit(unit: Unit, column: str, rows: int) -> Iterator[Batch]:
    """The rows of a unit, about `rows` at a time; one batch without a row of one that has none."""
    import pyarrow as pa

    readers = {"parquet": _parquet, "csv": _csv, "tsv": _csv, "text": _text, "jsonl": _json}
    n = 0
    with as_file_error(unit.file):
        for batch in readers[unit.format](unit, column, rows):
            n += 1
            yield batch
    if n == 0:
        yield Batch(pa.table({column: pa.array([], type=pa.string())}))


def _decoded(line: bytes) -> tuple[str, str]:
    """The text of bytes, and "not UTF-8" where it is not theirs."""
    text = line.decode("utf-8", "replace")
    is_theirs = "\ufffd" not in text or text.encode() == line
    return text, "" if is_theirs else "not UTF-8"


def text_values(column: Any) -> tuple[list[Any], dict[int, str]]:
    """The values of a column, and those that are no text: null, empty, of another kind, or not UTF-8,
    which the column of a file may be that says it was."""
    import pyarrow as pa

    bad: dict[int, str] = {}
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        values = column.cast(pa.large_binary()).to_pylist()
        for i, value in enumerate(values):
            if value is not None:
                values[i], why = _decoded(value)
                if why:
                    bad[i] = why
    for i, value in enumerate(values):
        if value is None:
            bad[i] = "null"
        elif not isinstance(value, str):
            bad[i] = f"not text but {type(value).__name__}"
        elif not value:
            bad[i] = "empty"
    return values, bad


def _parquet(unit: Unit, column: str, rows: int) -> Iterator[Batch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(unit.file) as file:
        groups = list(range(unit.begin, unit.end))
        n = sum(file.metadata.row_group(group).num_rows for group in groups)
        if n <= 2 * rows:
            yield Batch(file.read_row_groups(groups))
            return
        # Row groups as large as that are not held whole.
        for part in file.iter_batches(batch_size=rows, row_groups=groups):
            yield Batch(pa.Table.from_batches([part]))


def _csv(unit: Unit, column: str, rows: int) -> Iterator[Batch]:
    """All columns as text, as the file has them: whether they are numbers, it does not say, and what the
    first rows look like, the last ones may not."""
    import pyarrow as pa
    import pyarrow.csv as pc

    parse = pc.ParseOptions(
        delimiter="\t" if unit.format == "tsv" else ",", newlines_in_values=True
    )
    with open_unit(unit.file) as file:
        header = file.readline().removeprefix(b"\xef\xbb\xbf")
        while header.count(b'"') % 2 and (line := file.readline()):
            header += line
    if not header.strip():
        raise FileError(f"{unit.file}: empty; expected a header line")
    names = pc.read_csv(io.BytesIO(header), parse_options=parse).column_names
    convert = pc.ConvertOptions(
        column_types={name: pa.binary() for name in names}, strings_can_be_null=False
    )
    with open_unit(unit.file) as file:
        # A row is not longer than a block.
        options = pc.ReadOptions(block_size=BATCH_BYTES)
        reader = pc.open_csv(file, read_options=options, parse_options=parse, convert_options=convert)
        for block in reader:
            table = pa.Table.from_batches([block])
            for begin in range(0, table.num_rows, rows):
                yield _as_text(table.slice(begin, rows), column)


def _as_text(table: Any, column: str) -> Batch:
    """Columns of bytes as text; a row whose text is none is bad."""
    import pyarrow as pa

    bad: dict[int, str] = {}
    arrays = []
    for name, values in zip(table.column_names, table.columns, strict=True):
        try:
            arrays.append(values.cast(pa.string()))
        except pa.ArrowInvalid:
            decoded = [_decoded(value) for value in values.to_pylist()]
            if name == column:
                bad = {i: why for i, (_, why) in enumerate(decoded) if why}
            arrays.append(pa.array([text for text, _ in decoded], type=pa.string()))
    return Batch(pa.table(arrays, names=table.column_names), bad)


def _text(unit: Unit, column: str, rows: int) -> Iterator[Batch]:
    import pyarrow as pa

    for lines in _batches(lines_of(unit), rows):
        decoded = [_decoded(line) for line in lines]
        bad = {i: why for i, (_, why) in enumerate(decoded) if why}
        texts = pa.array([text for text, _ in decoded], type=pa.string())
        yield Batch(pa.table({column: texts}), bad)


def _batches(lines: Iterator[bytes], rows: int) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if len(batch) == rows or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def lines_of(unit: Unit) -> Iterator[bytes]:
    """Those that begin within the unit's bytes, without their ends."""
    with open_unit(unit.file) as file:
        at = unit.begin
        if at > 0:
            file.seek(at - 1)
            at += len(file.readline()) - 1
        while unit.end < 0 or at < unit.end:
            line: bytes = file.readline()
            if not line:
                return
            if at == 0:
                at = len(line)
                line = line.removeprefix(b"\xef\xbb\xbf")
            else:
                at += len(line)
            yield line.removesuffix(b"\n").removesuffix(b"\r")


def _json(unit: Unit, column: str, rows: int) -> Iterator[Batch]:
    items: list[tuple[Any, str]] = []
    size = 0
    for item, why, n in _json_items(unit):
        items.append((item, why))
        size += n
        if len(items) == rows or size >= BATCH_BYTES:
            yield _json_batch(items, column)
            items, size = [], 0
    if items:
        yield _json_batch(items, column)


def _json_batch(items: Sequence[tuple[Any, str]], column: str) -> Batch:
    import pyarrow as pa

    bad = {i: why for i, (_, why) in enumerate(items) if why}
    names = list(dict.fromkeys(name for item, _ in items for name in item))
    if not names:
        names = [column]  # that rows are counted
    columns = {}
    for name in names:
        values = [item.get(name) for item, _ in items]
        if name == column:
            for i, value in enumerate(values):
                if value is not None and not isinstance(value, str):
                    bad.setdefault(i, f"not text but {type(value).__name__}")
            columns[name] = pa.array([_as_json(v) for v in values], type=pa.string())
            continue
        try:
            columns[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):  # of several kinds: as JSON
            columns[name] = pa.array([_as_json(v) for v in values], type=pa.string())
    return Batch(pa.table(columns), bad)


def _as_json(value: Any) -> str | None:
    return value if isinstance(value, str) or value is None else json.dumps(value)


def _json_items(unit: Unit) -> Iterator[tuple[dict[str, Any], str, int]]:
    """Objects, why they are none, and bytes: of lines, or of an array."""
    if unit.begin == 0 and is_json_array(unit.file):
        with open_unit(unit.file) as file:
            for number, item in enumerate(_Array(file, unit.file).items(), 1):
                if not isinstance(item, (dict, str)):
                    raise TextError(f"{unit.file}: item {number}: expected an object or a text")
                yield *_sound({"text": item} if isinstance(item, str) else item), 100
        return
    for line in lines_of(unit):
        if not line:
            yield {}, "null", 0
            continue
        text, why = _decoded(line)
        try:
            item = json.loads(text)
        except (ValueError, RecursionError) as error:
            yield {}, f"not JSON: {error}", len(line)
            continue
        if not isinstance(item, dict):
            yield {}, f"not an object but {type(item).__name__}", len(line)
            continue
        sound, broken = _sound(item) if "\\u" in text else (item, "")
        yield sound, why or broken, len(line)


def _sound(item: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """An object whose texts are UTF-8: JSON may escape halves of characters."""
    text = json.dumps(item, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.loads(text.encode("utf-8", "replace")), "not UTF-8"
    return item, ""


def is_json_array(path: str) -> bool:
    """By its first byte."""
    with as_file_error(path), open_unit(path) as file:
        return begins_with_bracket(file)


class _Array:
    """The items of a JSON array, of which no more is held than one and the part in which it ends."""

    def __init__(self, file: Any, name: str) -> None:
        # A byte that is not UTF-8 becomes half a character, which _sound() finds.
        self.text = io.TextIOWrapper(
            file, encoding="utf-8-sig", errors="surrogateescape", newline=""
        )
        self.name, self.held, self.at, self.n = name, "", 0, 0

    def items(self) -> Iterator[Any]:
        decoder = json.JSONDecoder()
        self._take("[")
        if self._peek() == "]":
            self._take("]")
        else:
            behind = ","
            while behind == ",":
                yield self._item(decoder)
                behind = self._take(",]")
        if self._peek():
            self._refuse("text behind the array")

    def _item(self, decoder: json.JSONDecoder) -> Any:
        self._peek()
        while True:
            try:
                item, end = decoder.raw_decode(self.held, self.at)
            except (ValueError, RecursionError) as error:
                if self._more():
                    continue
                self._refuse(f"item {self.n + 1}: {error}")
            # A number at the end of what is there may go on.
            if end < len(self.held) or not self._more():
                self.at, self.n = end, self.n + 1
                return item

    def _more(self) -> bool:
        n = len(self.held) - self.at
        if n > MOST_BYTES:
            self._refuse(f"item {self.n + 1}: of more than {MOST_BYTES} bytes, which are held in memory")
        part = self.text.read(max(n, ARRAY_PART))
        if part:
            self.held, self.at = self.held[self.at :] + part, 0
        return bool(part)

    def _peek(self) -> str:
        """The next character that is no space; "" behind the last."""
        while True:
            while self.at < len(self.held) and self.held[self.at] in " \t\r\n":
                self.at += 1
            if self.at < len(self.held):
                return self.held[self.at]
            if not self._more():
                return ""

    def _take(self, expected: str) -> str:
        found = self._peek()
        if not found or found not in expected:
            got = repr(found) if found else "the end"
            self._refuse(f"expected {' or '.join(expected)} behind item {self.n}, got {got}")
        self.at += 1
        return found

    def _refuse(self, what: str) -> NoReturn:
        raise FileError(f"{self.name}: not valid JSON: {what}")


def open_unit(path: str) -> Any:
    """A file as bytes, unpacked."""
    name = path.lower()
    if name.endswith(".gz"):
        import gzip

        return gzip.open(path, "rb")
    if name.endswith(".xz"):
        return lzma.open(path, "rb")
    if name.endswith(".zst"):
        import pyarrow as pa

        return io.BufferedReader(pa.CompressedInputStream(pa.OSFile(path), "zstd"))
    return open(path, "rb")  # noqa: SIM115
