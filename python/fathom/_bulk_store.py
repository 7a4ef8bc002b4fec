# SPDX-License-Identifier: Apache-2.0
"""What a bulk job has to do and has done: units of its inputs, files of its outputs, the manifest."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ._errors import FileError, OptionError

FORMATS = {
    "parquet": (".parquet", ".pq"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "csv": (".csv",),
    "tsv": (".tsv", ".tab"),
}
UNIT_BYTES = 64 << 20
"""Of a unit of lines."""


@dataclass(frozen=True)
class Unit:
    """A part of an input that becomes one file: of parquet row groups, of lines those that begin in a
    range of bytes, of everything else a whole file."""

    file: str
    format: str
    """"parquet", "jsonl", "csv", "tsv" or "text"."""
    begin: int
    end: int
    """Row groups of parquet, bytes of lines; -1: to the end."""
    stamp: str
    """Of the file's size and time of change."""

    @property
    def name(self) -> str:
        """Of its output, without an ending: the same for the same part of the same file."""
        stem = os.path.basename(self.file).split(".")[0] or "input"
        return f"{stem}-{_digest([self.file, self.format, self.begin, self.end])[:12]}"


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def expand(inputs: Sequence[str]) -> list[str]:
    """Files of patterns, folders and names, in order; names in folders that begin with a dot or an
    underscore are left out."""
    files: list[str] = []
    for one in inputs:
        if os.path.exists(one):
            found = [one]
        else:
            found = sorted(glob.glob(one, recursive=True))
        if not found:
            raise FileError(f"{one}: no file matches; expected one at least")
        for path in found:
            inside = sorted(_files_in(path)) if os.path.isdir(path) else [path]
            if not inside:
                raise FileError(f"{path}: a folder without a file in it")
            files.extend(os.path.abspath(p) for p in inside)
    return files


def _files_in(folder: str) -> Iterator[str]:
    for at, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if f[0] not in "._"]
        yield from (os.path.join(at, name) for name in names if name[0] not in "._")


def format_of(path: str) -> str:
    """By the name, without .gz, .xz, .zst."""
    name = os.path.basename(path).lower()
    for packed in (".gz", ".xz", ".zst"):
        name = name.removesuffix(packed)
    for kind, endings in FORMATS.items():
        if name.endswith(endings):
            return kind
    return "text"


def units_of(path: str, rows: int) -> list[Unit]:
    """Parts of a file, of about `rows` rows where it is parquet. Needs pyarrow for that."""
    kind = format_of(path)
    info = os.stat(path)
    stamp = f"{info.st_size}-{info.st_mtime_ns}"
    is_packed = path.lower().endswith((".gz", ".xz", ".zst"))
    if kind == "parquet":
        import pyarrow.parquet as pq

        metadata = pq.ParquetFile(path).metadata
        units, begin, n = [], 0, 0
        for group in range(metadata.num_row_groups):
            n += metadata.row_group(group).num_rows
            if n >= rows or group + 1 == metadata.num_row_groups:
                units.append(Unit(path, kind, begin, group + 1, stamp))
                begin, n = group + 1, 0
        return units
    if kind in ("csv", "tsv") or is_packed:  # a line end may lie within quotes
        return [Unit(path, kind, 0, -1, stamp)]
    if kind == "jsonl" and path.lower().endswith(".json"):  # perhaps one array
        return [Unit(path, kind, 0, -1, stamp)]
    ends = [*range(UNIT_BYTES, info.st_size, UNIT_BYTES), info.st_size]
    return [
        Unit(path, kind, begin, end, stamp) for begin, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def model_hash(path: str) -> str:
    """Of the bytes of a model's files: weights, configuration and vocabulary."""
    hasher = hashlib.blake2b(digest_size=16)
    names = sorted(_files_in(path)) if os.path.isdir(path) else [path]
    for name in names:
        hasher.update(os.path.relpath(name, path).encode())
        with open(name, "rb") as file:
            while part := file.read(1 << 20):
                hasher.update(part)
    return hasher.hexdigest()


class Store:
    """The folder of a bulk job: its files, and beside them, in `_fathom`, what they are.

    job.json has the options and the model of the job; NAME.json appears when NAME's file has its
    name, and holds its rows, size and checksum; manifest.json has all of them when all are there, and
    bad_rows.jsonl the rows that were left out or have no vector.
    """

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)
        self.notes = os.path.join(self.folder, "_fathom")

    def begin(self, job: dict[str, Any]) -> None:
        """Makes the folder, or checks that it is this job's. Raises OptionError: of another one."""
        os.makedirs(self.notes, exist_ok=True)
        path = os.path.join(self.notes, "job.json")
        if not os.path.exists(path):
            write_whole(path, json.dumps(job, indent=2).encode() + b"\n")
            return
        with open(path, encoding="utf-8") as file:
            there = json.load(file)
        here = json.loads(json.dumps(job))
        for key in sorted(set(there) | set(here)):
            if there.get(key) != here.get(key):
                raise OptionError(
                    f"{path}: of a job with {key} {there.get(key)!r}, this one has "
                    f"{here.get(key)!r}; expected the same options, or another folder"
                )

    def record(self, unit: Unit) -> dict[str, Any] | None:
        """What a unit became; None: it is still to be done."""
        try:
            with open(os.path.join(self.notes, f"{unit.name}.json"), encoding="utf-8") as file:
                record: dict[str, Any] = json.load(file)
        except (FileNotFoundError, ValueError):
            return None
        if record["unit"] != asdict(unit):
            return None  # the input is another by now
        try:
            if os.path.getsize(os.path.join(self.folder, record["file"])) != record["bytes"]:
                return None
        except OSError:
            return None
        return record

    def keep(self, unit: Unit, ending: str, content: bytes, facts: dict[str, Any]) -> dict[str, Any]:
        """The unit's file, then what says that it is there."""
        name = unit.name + ending
        write_whole(os.path.join(self.folder, name), content)
        record = {
            "unit": asdict(unit),
            "file": name,
            "bytes": len(content),
            "blake2b": hashlib.blake2b(content, digest_size=16).hexdigest(),
            **facts,
        }
        write_whole(
            os.path.join(self.notes, f"{unit.name}.json"), json.dumps(record).encode() + b"\n"
        )
        return record

    def finish(self, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The manifest and the list of bad rows, whose numbers count through their file."""
        before: dict[str, int] = {}
        bad = []
        for record in records:
            file = record["unit"]["file"]
            for row in record["bad"]:
                bad.append({"file": file, "row": before.get(file, 0) + row["row"], "why": row["why"]})
            before[file] = before.get(file, 0) + record["rows_in"]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in bad)
        write_whole(os.path.join(self.notes, "bad_rows.jsonl"), lines.encode())
        manifest = {
            "files": [
                {key: r[key] for key in ("file", "rows", "bytes", "blake2b")} for r in records
            ],
            "rows": sum(r["rows"] for r in records),
            "bad_rows": len(bad),
        }
        write_whole(
            os.path.join(self.notes, "manifest.json"), json.dumps(manifest, indent=2).encode() + b"\n"
        )
        return manifest


def write_whole(path: str, content: bytes) -> None:
    """The file appears whole or not at all, also when two write it at once."""
    temporary = f"{path}.tmp.{os.uname().nodename}.{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
