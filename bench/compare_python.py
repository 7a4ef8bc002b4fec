# SPDX-License-Identifier: Apache-2.0
"""fathom.Model.encode beside `fathom embed`: time and peak memory on the sentences of a file, and
what one call of one short sentence costs above the engine's own time.

    python bench/compare_python.py MODEL TEXTS [--layers 3] [--threads 1] [--repeat 5]

Both run alternately, each in a process of its own; medians are printed. Seconds are those of
embedding alone: `fathom embed` prints its own, the package is timed around encode().
"""
import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def program(options):
    from fathom.__main__ import program as path

    with tempfile.TemporaryDirectory() as folder:
        command = [path(), "embed", options.model, "-i", options.texts, "-o", f"{folder}/e.npy",
                   "--layers", options.layers, "--threads", str(options.threads)]
        child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        said = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
    assert status == 0, said
    return float(re.search(r" tokens, ([\d.]+) s ", said)[1]), used.ru_maxrss / 1024


PACKAGE = """
import json, resource, sys, time
import fathom
model, texts, layers, threads, way = sys.argv[1:]
lines = open(texts, encoding="utf-8").read().splitlines()
m = fathom.Model(model, threads=int(threads))
start = time.perf_counter()
if way == "encode":
    x = m.encode(lines, layers=layers, show_progress_bar=False)
else:
    for x in m.encode_iter(lines, layers=layers):
        pass
seconds = time.perf_counter() - start
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def package(options, way):
    done = subprocess.run([sys.executable, "-c", PACKAGE, options.model, options.texts,
                           options.layers, str(options.threads), way],
                          capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def one_call(options):
    """Microseconds of a call on one sentence of ten tokens: with everything, and the engine's part,
    which is what an id list costs in the engine below the Python class."""
    import fathom

    m = fathom.Model(options.model, threads=1)
    ids = (m.tokenize("The cat sat on the mat and the dog ran off over it") * 2)[:10]
    text = m.decode(ids)
    how, _ = m._how(int(options.layers), None, False, None, None, 65535, None, None, None, "error",
                    False, 1024, "float32")
    core = m._engine()

    def time_of(work):
        for _ in range(200):
            work()
        best = []
        for _ in range(20):
            start = time.perf_counter()
            for _ in range(100):
                work()
            best.append((time.perf_counter() - start) / 100)
        return 1e6 * statistics.median(best)

    whole = time_of(lambda: m.encode(text, layers=int(options.layers)))
    below = time_of(lambda: core.encode(text, how, None, None))
    return whole, below


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("texts")
    parser.add_argument("--layers", default="3")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    rows = {"fathom embed": [], "encode": [], "encode_iter": []}
    for _ in range(options.repeat):
        rows["fathom embed"].append(program(options))
        rows["encode"].append(package(options, "encode"))
        rows["encode_iter"].append(package(options, "iter"))
    for name, runs in rows.items():
        print(f"{name:<14} {statistics.median(r[0] for r in runs):8.3f} s   "
              f"peak {statistics.median(r[1] for r in runs):7.1f} MiB")
    whole, below = one_call(options)
    print(f"one sentence of ten tokens: {whole:.1f} us a call, {below:.1f} us below the Python class")


if __name__ == "__main__":
    main()
