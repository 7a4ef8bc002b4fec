#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every measurement of `fathom serve` under load and faults, as one Markdown table with the commands
and versions behind it: throughput beside `fathom bench`, latency beside the engine's own time, open
loop, thousands of connections, slow clients, mixed traffic, SIGTERM and SIGKILL, llama-cpp-python.

  bench/serve_table.py build/release/fathom MODEL
  bench/serve_table.py build/release/fathom MODEL --short --only throughput,latency
  bench/serve_table.py build/release/fathom MODEL --big MODEL_1B6 --gguf MODEL.gguf --llama-python venv/bin/python

What is compared takes turns in one run, so that others who use the machine disturb both alike. --short
takes seconds instead of minutes: to see that it works, not for figures. Loopback alone; the standard
library alone. Ends with 1 if something is not as it must be.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

import results_table
from serve_common import Server

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SHARED = pathlib.Path(os.environ.get("FATHOM_SHARED", ROOT.parent / "shared"))


def shown(command):
    """A command as one types it in the repository's root."""
    text = " ".join(map(str, command)).replace(str(ROOT) + "/", "").replace(sys.executable + " ", "")
    return re.sub(r"http://127\.0\.0\.1:\d+", "URL", text)


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise SystemExit(f"{shown(command)}\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return done.stdout


def delta(before, after, series):
    return after.get(series, 0) - before.get(series, 0)


class Table:
    def __init__(self, flags):
        self.flags, self.rows, self.highest = flags, [], None
        self.work = pathlib.Path(flags.work)
        self.texts = self.work / "sentences.txt"
        self.texts.write_text("\n".join(self.sentences()) + "\n", encoding="utf-8")

    def sentences(self):
        if self.flags.input:
            lines = pathlib.Path(self.flags.input).read_text(encoding="utf-8").splitlines()
        else:
            table = (SHARED / "data/glue/MRPC/dev.tsv").read_text(encoding="utf-8-sig").splitlines()
            rows = [line.split("\t") for line in table[1:]]
            lines = [text for row in rows if len(row) >= 5 for text in row[3:5]]
        return [line for line in lines if line.strip()][:self.flags.n]

    def seconds(self, whole, short):
        return short if self.flags.short else whole

    def serve(self, *more, model=None):
        return Server(self.flags.fathom, model or self.flags.model, "--dtype", self.flags.dtype, *more)

    def load_command(self, url, what, *more):
        return [sys.executable, HERE / "serve_load.py", url, what, "-i", self.texts, *map(str, more)]

    def load(self, url, what, *more):
        """What serve_load.py found, and its command."""
        command = self.load_command(url, what, *more)
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if not done.stdout.startswith("{"):
            raise SystemExit(f"{shown(command)}\n{done.stderr[-2000:]}")
        found = json.loads(done.stdout)
        found["failed"] = done.returncode != 0
        return found, command

    def add(self, what, must, measured, ok, *commands):
        self.rows.append({"what": what, "must": must, "measured": measured, "ok": ok,
                          "commands": [shown(c) for c in commands]})
        print(f"{what}: {measured}", file=sys.stderr, flush=True)

    # ---- the measurements

    def throughput(self):
        bench = [self.flags.fathom, "bench", self.flags.model, "--dtype", self.flags.dtype, "--tokens", "none",
                 "-i", self.texts, "--no-ceiling", "--repeats", 1,
                 "--min-seconds", self.seconds(15, 4), "--json"]
        benched, served, worst = [], [], 0
        with self.serve() as server:
            for _ in range(self.seconds(3, 2)):
                benched.append(self.bench_rate(json.loads(run(*bench))))
                before = server.metrics()
                found, command = self.load(server.url, "throughput", "-c", 64, "-s", self.seconds(20, 6))
                after = server.metrics()
                per_text = (delta(before, after, "fathom_tokens_total") /
                            delta(before, after, "fathom_texts_total"))
                served.append((found["requests_per_second"] * per_text, found["requests_per_second"]))
                worst = max(worst, found["failed"])
        tokens = statistics.median(t for t, _ in served)
        self.highest = statistics.median(r for _, r in served)
        ratio = tokens / statistics.median(benched)
        self.add("throughput, 64 connections", "≥ 95 % of `fathom bench`",
                 f"{100 * ratio:.1f} %: {self.highest:.1f} requests/s, {tokens:.0f} tokens/s beside "
                 f"{statistics.median(benched):.0f}", ratio >= 0.95 and not worst, server.command, bench, command)

    @staticmethod
    def bench_rate(report):
        """Tokens a second of the file's workload, median repeat."""
        return report["runs"][0]["tokens_per_second"]

    def latency(self):
        with self.serve() as server:
            self.load(server.url, "throughput", "-c", 1, "-s", 2)
            before = server.metrics()
            found, command = self.load(server.url, "throughput", "-c", 1, "-w", 0, "-s", self.seconds(20, 5))
            after = server.metrics()
        name = "te_request_inference_duration"
        engine = 1000 * delta(before, after, name + "_sum") / delta(before, after, name + "_count")
        more = found["mean_ms"] - engine
        self.add("latency, one connection", "within 1 ms of the engine's own time",
                 f"{more:.2f} ms more: {found['mean_ms']:.2f} ms beside {engine:.2f} ms in the engine",
                 more <= 1 and not found["failed"], server.command, command)

    def rate(self, server):
        """Half of the highest throughput, requests a second."""
        if not self.highest:
            found, _ = self.load(server.url, "throughput", "-c", 64, "-s", self.seconds(20, 6))
            self.highest = found["requests_per_second"]
        return round(self.highest / 2, 2)

    def open_loop(self):
        with self.serve() as server:
            found, command = self.load(server.url, "open", "-r", self.rate(server), "-s", self.seconds(60, 10))
        ratio = found["p99_ms"] / found["median_ms"]
        self.add("p99 at half of it, Poisson arrivals", "≤ 3 x the median",
                 f"{ratio:.2f} x: {found['p99_ms']:.1f} ms beside {found['median_ms']:.1f} ms", ratio <= 3 and
                 not found["failed"], server.command, command)

    def many(self):
        vectors = self.work / "vectors.npy"
        embed = [self.flags.fathom, "embed", self.flags.model, "--dtype", self.flags.dtype, "-i", self.texts,
                 "-o", vectors, "--layers", "final", "--normalize"]
        run(*embed)
        connections, requests = self.seconds((10000, 5000), (2000, 300))
        with self.serve("--layer", "final") as server:
            before = server.rss_mb()
            found, command = self.load(server.url, "many", "-c", connections, "-n", requests,
                                       "--expect", vectors)
            after = server.peak_mb()
        lost = requests - sum(found["status"].values())
        self.add(f"{connections} connections, {requests} requests at once",
                 "each 200 or 429, the bits of `fathom embed`, memory ≤ model + 300 MB",
                 f"{found['status']}, {lost} lost, {found['mixed_up']} mixed up, {found['other_bits']} of "
                 f"{found['texts']} texts with other bits; {after - before:.0f} MB above the model's {before:.0f}",
                 not found["failed"] and lost == 0 and after - before <= 300, server.command, embed, command)

    def slow(self):
        alone, beside = [], []
        seconds = self.seconds(40, 10)
        with self.serve() as server:
            rate = self.rate(server)
            slow = self.load_command(server.url, "slow", "-c", 1000, "-s", 2 * seconds)
            for _ in range(self.seconds(3, 1)):
                found, command = self.load(server.url, "open", "-r", rate, "-s", seconds)
                alone.append(found["p99_ms"])
                clients = subprocess.Popen([str(c) for c in slow], stdout=subprocess.DEVNULL)
                time.sleep(3)
                n_connection = server.metrics()["fathom_connections"]
                found, command = self.load(server.url, "open", "-r", rate, "-s", seconds)
                beside.append(found["p99_ms"])
                clients.terminate()
                clients.wait()
        ratio = statistics.median(beside) / statistics.median(alone)
        self.add("1,000 slow clients (1 byte/s)", "others' p99 within 1.5 x",
                 f"{ratio:.2f} x: {statistics.median(beside):.1f} ms beside {statistics.median(alone):.1f} ms, "
                 f"{n_connection:.0f} connections", ratio <= 1.5 and n_connection > 800, server.command, slow,
                 command)

    def mixed(self):
        command = [sys.executable, HERE / "serve_faults.py", self.flags.fathom, self.flags.small or self.flags.model,
                   "-s", self.seconds(600, 20)]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
        if not done.stdout.startswith("{"):
            raise SystemExit(f"{shown(command)}\n{done.stderr[-2000:]}")
        found = json.loads(done.stdout)
        n = sum(found["replies"].values())
        self.add("mixed traffic, misbehaving clients", "no leak, no crash, no 5xx",
                 f"{n} replies in {self.seconds(600, 20)} s, exit {found['exit']}, problems {found['problems']}, "
                 f"RSS {found['rss_mb'][0]} MB, at the end {found['rss_mb'][1]} MB", done.returncode == 0, command)

    def sigterm(self):
        with self.serve() as server:
            command = self.load_command(server.url, "until-end", "-c", 64)
            clients = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True)
            time.sleep(self.seconds(10, 5))
            start = time.perf_counter()
            code = server.stop()
            seconds = time.perf_counter() - start
            found = json.loads(clients.communicate(timeout=60)[0])
        self.add("SIGTERM under load, 64 connections", "every accepted request answered, exit 0, in 30 s",
                 f"exit {code} after {seconds:.2f} s; {found['status']}, {found['broken']} broken off, "
                 f"{found['refused']} connections closed before they were asked",
                 code == 0 and seconds <= 30 and clients.returncode == 0, server.command, command)

    def restart(self):
        model = self.flags.big or self.flags.model
        cache = self.work / "cache"
        options = ["--cache", cache]
        with self.serve(*options, model=model) as server:
            cold = server.seconds_to_ready
        bench = [self.flags.fathom, "bench", model, "--dtype", self.flags.dtype, "--cache", cache, "--tokens", 1,
                 "--repeats", 1, "--min-seconds", 0, "--no-ceiling", "--json"]
        loads, times = [], []
        for _ in range(self.seconds(3, 2)):
            with self.serve(*options, model=model) as server:
                clients = subprocess.Popen([str(c) for c in self.load_command(server.url, "until-end", "-c", 8)],
                                           stdout=subprocess.DEVNULL)
                time.sleep(2)
                server.process.send_signal(signal.SIGKILL)
                server.process.wait()
                clients.wait()
            loads.append(self.bench_load(json.loads(run(*bench))))
            with self.serve(*options, model=model) as server:
                times.append(server.seconds_to_ready)
                found, _ = self.load(server.url, "throughput", "-c", 1, "-s", 1)
        more = statistics.median(times) - statistics.median(loads)
        self.add("kill -9, and restart with --cache", "ready within 0.5 s + load",
                 f"ready after {statistics.median(times):.2f} s, {more:.2f} s more than loading "
                 f"({statistics.median(loads):.2f} s); {cold:.1f} s without the cache",
                 more <= 0.5 and not found["failed"], server.command, bench)

    @staticmethod
    def bench_load(report):
        return report["loads"][0]["seconds"]

    def llama(self):
        """Both servers on the same GGUF file, in turns."""
        gguf, python = self.flags.gguf, self.flags.llama_python
        if not gguf or not python:
            return
        threads = len(os.sched_getaffinity(0))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        command = [python, "-m", "llama_cpp.server", "--model", gguf, "--embedding", "True", "--n_ctx", 2048,
                   "--n_batch", 2048, "--n_threads", threads, "--n_threads_batch", threads, "--port", port,
                   "--host", "127.0.0.1"]
        log = open(self.work / "llama.log", "w")
        process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log)
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(600):
                try:
                    reply = json.load(urllib.request.urlopen(url + "/v1/models"))
                    break
                except OSError:
                    if process.poll() is not None:
                        raise SystemExit((self.work / "llama.log").read_text()[-3000:]) from None
                    time.sleep(0.2)
            name = reply["data"][0]["id"]
            ours, theirs = [], []
            with self.serve(model=gguf) as server:
                mine = ["--openai", pathlib.Path(gguf).name]
                other = ["--openai", name, "--encoding", "float", "--no-compare"]
                for _ in range(self.seconds(3, 1)):
                    for where, all_, more in ((server.url, ours, mine), (url, theirs, other)):
                        found, load = self.load(where, "throughput", "-c", 64, "-s", self.seconds(20, 8), *more)
                        rate = round(found["requests_per_second"] / 2, 2)
                        half, _ = self.load(where, "open", "-r", rate, "-s", self.seconds(30, 8), *more)
                        all_.append((found["requests_per_second"], found["p99_ms"], half["p99_ms"],
                                     found["failed"]))
        finally:
            process.terminate()
            process.wait()
        middle = [[statistics.median(r[i] for r in all_) for i in range(3)] for all_ in (ours, theirs)]
        told = [f"{m[0]:.1f} requests/s, p99 {m[1]:.0f} ms, at half of its own load {m[2]:.0f} ms" for m in middle]
        self.add("beside llama-cpp-python, same GGUF, 64 connections", "side by side",
                 f"fathom {told[0]}; llama-cpp-python {told[1]}; {middle[0][0] / middle[1][0]:.2f} x",
                 not any(r[3] for r in ours), server.command, command, load)

    # ---- the table

    def versions(self):
        out = {"fathom": run(self.flags.fathom, "--version").split()[-1], "python": platform.python_version(),
               "kernel": platform.release(), "cpus": str(len(os.sched_getaffinity(0))),
               "load average when it began": f"{self.flags.load_average:.2f}"}
        if cpu := results_table.cpu_name():
            out["cpu"] = cpu
        if self.flags.llama_python:
            out["llama-cpp-python"] = run(self.flags.llama_python, "-c",
                                          "import llama_cpp; print(llama_cpp.__version__)").strip()
        return out


NAMES = ["throughput", "latency", "open_loop", "many", "slow", "mixed", "sigterm", "restart", "llama"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fathom")
    parser.add_argument("model", help="what the server reads: RWKV-7 0.1B")
    parser.add_argument("--dtype", default="bf16")
    parser.add_argument("-i", "--input", help="sentences, one a line [MRPC of $FATHOM_SHARED, else ../shared]")
    parser.add_argument("-n", type=int, default=816, help="sentences [816]")
    parser.add_argument("--small", help="model of the mixed traffic [MODEL]")
    parser.add_argument("--big", help="model of the restart, 1.6B [MODEL]")
    parser.add_argument("--gguf", help="model for both servers")
    parser.add_argument("--llama-python", help="python that has llama-cpp-python[server]")
    parser.add_argument("--only", help="list of " + ", ".join(NAMES))
    parser.add_argument("--short", action="store_true", help="seconds instead of minutes; no figures to keep")
    parser.add_argument("--work", help="folder for what is written, kept [a temporary one]")
    parser.add_argument("-o", "--output", help="file for the table; beside it .json [standard output]")
    flags = parser.parse_args()
    flags.load_average = os.getloadavg()[0]
    names = flags.only.split(",") if flags.only else NAMES
    if not set(names) <= set(NAMES):
        parser.error(f"--only: expected some of {', '.join(NAMES)}")
    temporary = None
    if not flags.work:
        temporary = tempfile.TemporaryDirectory(prefix="fathom-serve-")
        flags.work = temporary.name
    os.makedirs(flags.work, exist_ok=True)
    table = Table(flags)
    for name in names:
        getattr(table, name)()
    text = results_table.markdown(table.rows, table.versions())
    if flags.output:
        pathlib.Path(flags.output).write_text(text, encoding="utf-8")
        pathlib.Path(flags.output).with_suffix(".json").write_text(
            json.dumps({"versions": table.versions(), "rows": table.rows}, indent=1), encoding="utf-8")
    print(text, end="")
    return 0 if all(r["ok"] for r in table.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
