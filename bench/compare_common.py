# SPDX-License-Identifier: Apache-2.0
"""What the comparisons share: the peers' environment, sentences, running fathom, the table.

Every engine embeds the same sentences, given as token ids, on the same number of threads, in turns
within one run: each measurement is a process of its own that loads the model, warms up and takes
the time of one pass. Of an engine's passes the fastest counts, as for fathom.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHARED = os.environ.get("FATHOM_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))


def parse_arguments(description, peer_flags):
    """Flags; the program is then run by the environment's python. peer_flags adds the peer's own."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="what fathom reads")
    parser.add_argument("--fathom", default=os.path.join(ROOT, "build/release/fathom"))
    parser.add_argument("--dtypes", default="f32,bf16,int8", help="of fathom [f32,bf16,int8]")
    parser.add_argument("-i", "--input", help="sentences, one a line [MRPC of ../shared]")
    parser.add_argument("-n", type=int, default=200, help="sentences [200]")
    parser.add_argument("--vocab", help="vocabulary [the one beside the model]")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=3, help="rounds [3]")
    parser.add_argument("--work", help="folder for converted models, kept [a temporary one]")
    parser.add_argument("--venv", default=os.path.join(ROOT, "build/peers"),
                        help="python environment; made if absent, which takes long [build/peers]")
    parser.add_argument("--json", help="file for the figures")
    peer_flags(parser)
    flags = parser.parse_args()
    python = os.path.join(os.path.abspath(flags.venv), "bin", "python")
    if os.path.abspath(sys.prefix) != os.path.abspath(flags.venv):
        subprocess.run([os.path.join(ROOT, "tests/peers/make_venv.sh"), flags.venv], check=True)
        os.execv(python, [python, *sys.argv])
    if not flags.work:
        # Kept alive by the flags, removed with them.
        flags.temporary = tempfile.TemporaryDirectory(prefix="fathom-compare-")
        flags.work = flags.temporary.name
    os.makedirs(flags.work, exist_ok=True)
    return flags


def run(*command, **more):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **more)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return done.stdout


def sentences(flags):
    if flags.input:
        with open(flags.input, encoding="utf-8") as file:
            lines = [line.rstrip("\r\n") for line in file]
    else:
        with open(os.path.join(SHARED, "data/glue/MRPC/dev.tsv"), encoding="utf-8-sig") as file:
            rows = [line.rstrip("\r\n").split("\t") for line in file][1:]
        lines = [text for row in rows if len(row) >= 5 for text in row[3:5]]
    return [line for line in lines if line][:flags.n]


def token_ids(flags):
    """The sentences' ids, and the file that holds them, a JSON list a line."""
    texts = sentences(flags)
    which = ["--vocab", flags.vocab] if flags.vocab else [flags.model]
    cases = "".join(json.dumps({"name": i, "hex": text.encode().hex()}) + "\n"
                    for i, text in enumerate(texts))
    out = run(flags.fathom, "tokenize", *which, "--jsonl", input=cases)
    ids = [json.loads(line)["ids"] for line in out.splitlines()]
    path = os.path.join(flags.work, "ids.jsonl")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(x) + "\n" for x in ids)
    print(f"{len(ids)} sentences, {sum(map(len, ids))} tokens, {flags.threads} threads")
    return ids, path


def fathom_engine(flags, dtype, ids_path):
    def seconds():
        out = run(flags.fathom, "bench", flags.model, "--dtype", dtype, "--threads", flags.threads,
                  "--tokens", "none", "--ids-file", ids_path, "--json", "--no-ceiling",
                  "--repeats", 1, "--min-seconds", 0)
        return json.loads(out)["seconds"]
    return seconds


def fathom_embedding(flags, ids):
    """Mean of the final layer over one sentence, by the first of the dtypes."""
    import numpy
    from safetensors.numpy import load_file
    path = os.path.join(flags.work, "trace.safetensors")
    run(flags.fathom, "trace", flags.model, "--dtype", flags.dtypes.split(",")[0],
        "--ids", ",".join(map(str, ids)), "-o", path)
    return load_file(path)["final"].astype(numpy.float64).mean(0)


def child(script, *arguments):
    """A measurement of a peer: this script again, in a process of its own."""
    return json.loads(run(sys.executable, script, "--child", *arguments).splitlines()[-1])


def cosine(a, b):
    import numpy
    a, b = numpy.asarray(a, numpy.float64), numpy.asarray(b, numpy.float64)
    return float(a @ b / numpy.sqrt((a @ a) * (b @ b)))


def compare(flags, ids, ids_path, peers):
    """peers: {name: function that measures and returns {"seconds": ..., "embedding": ...}}; the
    embedding is the first sentence's. Prints the tables."""
    ours = {f"fathom {d}": fathom_engine(flags, d, ids_path) for d in flags.dtypes.split(",")}
    want = fathom_embedding(flags, ids[0])
    seconds = {name: [] for name in [*ours, *peers]}
    cosines = {}
    for number in range(flags.repeats):
        for name, measure in ours.items():
            seconds[name].append(measure())
        for name, measure in peers.items():
            found = measure()
            seconds[name].append(found["seconds"])
            cosines[name] = cosine(found["embedding"], want)
        print(f"round {number + 1} of {flags.repeats}", file=sys.stderr)
    n_token = sum(map(len, ids))
    best = {name: min(s) for name, s in seconds.items()}
    width = max(map(len, best))
    print(f"{'':{width}}  {'seconds':>8}  {'tokens/s':>9}  {'sentences/s':>11}  {'cosine':>8}")
    for name, s in best.items():
        same = f"{cosines[name]:8.5f}" if name in cosines else ""
        print(f"{name:{width}}  {s:8.3f}  {n_token / s:9.1f}  {len(ids) / s:11.2f}  {same}".rstrip())
    print(f"\nHow many times as fast\n{'':{width}}" + "".join(f"  {o:>12}" for o in ours))
    for name in peers:
        print(f"{name:{width}}" + "".join(f"  {best[name] / best[o]:12.2f}" for o in ours))
    fastest = min(peers, key=best.get)
    print(f"{'the fastest of these':{width}}"
          + "".join(f"  {best[fastest] / best[o]:12.2f}" for o in ours) + f"  ({fastest})")
    if flags.json:
        with open(flags.json, "w", encoding="utf-8") as file:
            json.dump({"model": flags.model, "threads": flags.threads, "n_sequence": len(ids),
                       "n_token": n_token, "seconds": seconds, "cosine": cosines}, file, indent=2)
