# SPDX-License-Identifier: Apache-2.0
"""What a bulk job has to do and has done: units of its inputs, files of its outputs, the manifest."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

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
    """A part of an input that becomes a file, or several where it has many rows: of parquet row groups,
    of lines those that begin in a range of bytes, of everything else a whole file."""

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
        stem = os.path.basename(self.file).split(".")[0][:100] or "input"
        return f"{stem}-{_digest([self.file, self.format, self.begin, self.end])[:12]}"


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def expand(inputs: Sequence[str], output: str = "") -> list[str]:
    """Files of patterns, folders and names, each once, in order. Names in folders that begin with a dot
    or an underscore are left out, and so is what lies in the output's folder."""
    inside_output = os.path.join(os.path.realpath(output), "") if output else "\0"
    files: dict[str, None] = {}
    for one in inputs:
        is_name = os.path.exists(one)
        found = [one] if is_name else sorted(glob.glob(one, recursive=True))
        if not found:
            raise FileError(f"{one}: no file matches; expected one at least")
        paths = []
        for path in found:
            if os.path.isdir(path):
                inside = sorted(_files_in(path))
                if not inside:
                    raise FileError(f"{path}: a folder without a file in it")
                paths += inside
            else:
                paths.append(path)
        own = [p for p in paths if os.path.realpath(p).startswith(inside_output)]
        if own and len(own) == len(paths):
            raise FileError(f"{one}: lies in the folder of the output; expected another place")
        files.update(dict.fromkeys(os.path.abspath(p) for p in paths if p not in set(own)))
    return list(files)


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
    stamp = stamp_of(path)
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
    # A line end may lie within quotes, an array or an object within a .json file.
    is_whole = kind in ("csv", "tsv") or is_packed or path.lower().endswith(".json")
    if kind == "jsonl" and not is_whole:
        with open(path, "rb") as file:
            is_whole = begins_with_bracket(file)
    if is_whole:
        return [Unit(path, kind, 0, -1, stamp)]
    ends = [*range(UNIT_BYTES, info.st_size, UNIT_BYTES), info.st_size]
    return [
        Unit(path, kind, begin, end, stamp) for begin, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def stamp_of(path: str) -> str:
    """Another one when a file was written to."""
    info = os.stat(path)
    return f"{info.st_size}-{info.st_mtime_ns}"


def begins_with_bracket(file: BinaryIO) -> bool:
    """Whether the first byte of the text, behind a byte order mark and white space, opens an array."""
    return file.read(1 << 16).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"["


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

    job.json has the options and the model of the job; NAME.json appears when the files of a unit have
    their names, and holds their rows, sizes and checksums, NAME.N.part those of its file N until then;
    manifest.json has all of them when all are there, and bad_rows.jsonl the rows that were left out or
    have no vector.
    """

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)
        self.notes = os.path.join(self.folder, "_fathom")
        self._lock = -1

    def begin(self, job: dict[str, Any]) -> None:
        """Makes the folder, or checks that it is this job's, and that no other process is at work on it.
        Raises FileError, OptionError: of another one."""
        try:
            os.makedirs(self.notes, exist_ok=True)
            self._take_lock()
        except OSError as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"{self.notes}: cannot write: {error.strerror}") from None
        for path in glob.glob(os.path.join(glob.escape(self.notes), "*.tmp.*")):
            with contextlib.suppress(OSError):  # what a process that was killed left
                os.unlink(path)
        path = os.path.join(self.notes, "job.json")
        try:
            with open(path, encoding="utf-8") as file:
                there = json.load(file)
        except (FileNotFoundError, ValueError):
            there = None
        here = json.loads(json.dumps(job))
        if there is None or _may_follow(there, here):
            write_whole(path, json.dumps(job, indent=2).encode() + b"\n", self.notes)
            return
        for key in sorted(set(there) | set(here)):
            if there.get(key) != here.get(key):
                raise OptionError(
                    f"{path}: of a job with {key} {there.get(key)!r}, this one has "
                    f"{here.get(key)!r}; expected the same options, or another folder"
                )

    def _take_lock(self) -> None:
        path = os.path.join(self.notes, "lock")
        self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise FileError(
                f"{path}: another process is at work on this job; expected it to have ended"
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                raise  # a file system without locks has none

    def close(self) -> None:
        """Others may work on the job."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

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
            for made in record["files"]:
                if os.path.getsize(os.path.join(self.folder, made["file"])) != made["bytes"]:
                    return None
        except OSError:
            return None
        return record

    def part(self, unit: Unit, number: int) -> dict[str, Any] | None:
        """What keep_part() returned for it, perhaps in a process that was killed; None: it is still to be
        done."""
        try:
            with open(self._part_note(unit, number), encoding="utf-8") as file:
                part: dict[str, Any] = json.load(file)
            made = part["file"]
            is_there = os.path.getsize(os.path.join(self.folder, made["file"])) == made["bytes"]
        except (OSError, ValueError):
            return None
        return part if is_there and part["unit"] == asdict(unit) else None

    def keep_part(
        self, unit: Unit, number: int, ending: str, content: bytes, facts: dict[str, Any]
    ) -> dict[str, Any]:
        """A file of the unit's, the first of which is number 0, then what says that it is there."""
        name = _part_name(unit.name, number) + ending
        write_whole(os.path.join(self.folder, name), content, self.notes)
        part = {
            "unit": asdict(unit),
            "file": {
                "file": name,
                "rows": facts.pop("rows"),
                "bytes": len(content),
                "blake2b": hashlib.blake2b(content, digest_size=16).hexdigest(),
            },
            **facts,
        }
        write_whole(self._part_note(unit, number), json.dumps(part).encode() + b"\n", self.notes)
        return part

    def _part_note(self, unit: Unit, number: int) -> str:
        return os.path.join(self.notes, f"{unit.name}.{number}.part")

    def keep(
        self, unit: Unit, files: Sequence[dict[str, Any]], facts: dict[str, Any]
    ) -> dict[str, Any]:
        """All of a unit's files are there."""
        record = {"unit": asdict(unit), "files": list(files), **facts}
        write_whole(
            os.path.join(self.notes, f"{unit.name}.json"),
            json.dumps(record).encode() + b"\n",
            self.notes,
        )
        for number in range(len(files)):
            with contextlib.suppress(OSError):
                os.unlink(self._part_note(unit, number))
        return record

    def finish(
        self, records: Sequence[dict[str, Any]], note: Callable[[str], None] | None = None
    ) -> dict[str, Any]:
        """The manifest and the list of bad rows, whose numbers count through their file. Files of what
        the inputs were before, or that were begun and never finished, go: their rows would be there
        twice."""
        before: dict[str, int] = {}
        bad = []
        for record in records:
            file = record["unit"]["file"]
            for row in record["bad"]:
                bad.append({"file": file, "row": before.get(file, 0) + row["row"], "why": row["why"]})
            before[file] = before.get(file, 0) + record["rows_in"]
        self._remove_stale(records, note)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in bad)
        write_whole(os.path.join(self.notes, "bad_rows.jsonl"), lines.encode(), self.notes)
        files = [made for record in records for made in record["files"]]
        manifest = {
            "files": files,
            "rows": sum(made["rows"] for made in files),
            "bad_rows": len(bad),
        }
        write_whole(
            os.path.join(self.notes, "manifest.json"),
            json.dumps(manifest, indent=2).encode() + b"\n",
            self.notes,
        )
        return manifest

    def _remove_stale(
        self, records: Sequence[dict[str, Any]], note: Callable[[str], None] | None
    ) -> None:
        units = {Unit(**record["unit"]).name for record in records}
        inputs = {record["unit"]["file"] for record in records}
        wanted = {made["file"] for record in records for made in record["files"]}
        others = 0
        for path in sorted(glob.glob(os.path.join(glob.escape(self.notes), "*.json"))):
            name = os.path.basename(path).removesuffix(".json")
            if not _OWN.fullmatch(name) or name in units:
                continue
            with open(path, encoding="utf-8") as file:
                record = json.load(file)
            if record["unit"]["file"] in inputs:
                os.unlink(path)
            else:
                others += 1
                wanted.update(made["file"] for made in record["files"])
        for path in glob.glob(os.path.join(glob.escape(self.notes), "*.part")):
            os.unlink(path)
        for name in sorted(os.listdir(self.folder)):
            stem, ending = os.path.splitext(name)
            if ending in (".parquet", ".npy") and _OWN.fullmatch(stem) and name not in wanted:
                os.unlink(os.path.join(self.folder, name))
        if note and others:
            note(f"{others} parts of inputs that this run was not given stay in {self.folder}")


_OWN = re.compile(r".+-[0-9a-f]{12}(-[1-9][0-9]*)?", re.DOTALL)
"""Names of what is made, without their endings."""


def _part_name(unit: str, number: int) -> str:
    return unit if number == 0 else f"{unit}-{number}"


def _may_follow(there: dict[str, Any], here: dict[str, Any]) -> bool:
    """Whether what a job has made is what another one would have: files without a bad row are the same
    however bad rows are taken."""
    if there == here or there.get("options", {}).get("on_error") != "fail":
        return False
    options = {**there["options"], "on_error": here.get("options", {}).get("on_error")}
    return {**there, "options": options} == here


def write_whole(path: str, content: bytes, beside: str) -> None:
    """The file appears whole or not at all, also when two write it at once. `beside`: a folder of the
    same file system for the file until then, where no reader of the others looks."""
    name = f"{os.path.basename(path)}.tmp.{os.uname().nodename}.{os.getpid()}"
    temporary = os.path.join(beside, name)
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise FileError(f"{path}: cannot write: {error.strerror}") from None
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
