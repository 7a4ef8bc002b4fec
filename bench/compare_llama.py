#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fathom beside llama.cpp (PyPI's llama-cpp-python) on the same RWKV-6 or RWKV-7 model: sentence
embeddings with mean pooling, one sentence a pass and batched as far as llama.cpp goes.

  bench/compare_llama.py v6-Finch-1B6-HF/ --work /tmp/gguf --json llama.json
  LLAMA_CPP_LIB_PATH=llama.cpp/build/bin bench/compare_llama.py model.pth --venv venv/

The GGUF files are written by `fathom convert`, in --work, and used again where they are there.
"""
import json
import os
import sys

from compare_common import child, compare, parse_arguments, run, token_ids


def load(path, threads, n_seq, n_token):
    """A context that takes n_seq sequences and n_token tokens in one pass."""
    import ctypes

    import llama_cpp as llama

    @llama.llama_log_callback
    def quiet(level, text, data):
        pass

    load.quiet = quiet  # the library keeps a pointer to it
    llama.llama_log_set(quiet, ctypes.c_void_p(0))
    llama.llama_backend_init()
    model = llama.llama_model_load_from_file(path.encode(), llama.llama_model_default_params())
    if not model:
        raise SystemExit(f"llama.cpp does not load {path}")
    params = llama.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = n_token
    params.n_seq_max = n_seq
    params.n_threads = params.n_threads_batch = threads
    params.embeddings = True
    params.pooling_type = 1  # mean
    context = llama.llama_init_from_model(model, params)
    if not context:
        raise SystemExit(f"llama.cpp makes no context for {n_seq} sequences, {n_token} tokens")
    return llama, model, context


def groups_of(ids, n_seq, n_token):
    """Indices of the sentences of each pass. Sorted by length: llama.cpp runs recurrent models on
    pieces of equal length, one of each sequence."""
    groups, size = [[]], 0
    for i in sorted(range(len(ids)), key=lambda i: len(ids[i])):
        if groups[-1] and (len(groups[-1]) == n_seq or size + len(ids[i]) > n_token):
            groups.append([])
            size = 0
        groups[-1].append(i)
        size += len(ids[i])
    return groups


def measure(path, threads, n_seq, ids_path):
    """One timed pass over all sentences, after a short one."""
    import time

    import numpy
    with open(ids_path, encoding="utf-8") as file:
        ids = [json.loads(line) for line in file]
    longest = max(map(len, ids))
    n_token = max(512, longest) if n_seq == 1 else max(2048, longest)
    llama, model, context = load(path, threads, n_seq, n_token)
    memory = llama.llama_get_memory(context)
    width = llama.llama_model_n_embd(model)
    batch = llama.llama_batch_init(n_token, 0, 1)
    vectors = [None] * len(ids)

    def embed(group):
        llama.llama_memory_clear(memory, True)
        at = 0
        for s, i in enumerate(group):
            for position, token in enumerate(ids[i]):
                batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, position, 1
                batch.seq_id[at][0] = s
                batch.logits[at] = 1
                at += 1
        batch.n_tokens = at
        if llama.llama_decode(context, batch) != 0:
            raise SystemExit("llama_decode failed")
        for s, i in enumerate(group):
            pointer = llama.llama_get_embeddings_seq(context, s)
            vectors[i] = numpy.ctypeslib.as_array(pointer, shape=(width,)).copy()

    groups = [[i] for i in range(len(ids))] if n_seq == 1 else groups_of(ids, n_seq, n_token)
    for group in groups[:3]:
        embed(group)
    begin = time.perf_counter()
    for group in groups:
        embed(group)
    seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "embedding": vectors[0].tolist()}))


def peer_flags(parser):
    parser.add_argument("--types", default="f16,bf16,q8_0", help="of the GGUF files")
    parser.add_argument("--batch", default="1,16,64",
                        help="most sequences in a pass of llama.cpp, 1 is one by one [1,16,64]")


def main():
    flags = parse_arguments(__doc__, peer_flags)
    ids, ids_path = token_ids(flags)
    peers = {}
    for dtype in flags.types.split(","):
        path = os.path.join(flags.work, f"llama-{dtype}.gguf")
        if not os.path.exists(path):
            run(flags.fathom, "convert", flags.model, path, "--dtype", dtype, "--pooling", "mean")
        for n_seq in map(int, flags.batch.split(",")):
            how = "one by one" if n_seq == 1 else f"batches of {n_seq}"
            peers[f"llama.cpp {dtype}, {how}"] = (
                lambda path=path, n_seq=n_seq:
                    child(__file__, path, flags.threads, n_seq, ids_path))
    compare(flags, ids, ids_path, peers)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        measure(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5])
    else:
        main()
