#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fathom beside PyTorch on the same RWKV-4, 5, 6 or 7 model: sentence embeddings with mean pooling
of ln_out, PyTorch running BlinkDL's own inference code (PyPI's rwkv) one sentence a pass.

  bench/compare_torch.py RWKV-x060-World-1B6.pth --vocab rwkv_vocab_v20230424.txt
  bench/compare_torch.py model-blink.safetensors --vocab vocab.txt --venv venv/ --strategies bf16

The model is in BlinkDL's names: .pth, or .safetensors. Its copy for PyTorch, in --work, has the
identity for its head, so that the package returns ln_out, and is spared the head.
"""
import json
import os
import sys

from compare_common import child, compare, parse_arguments, token_ids


def without_head(flags):
    """The copy, written if it is not there; and whether it is RWKV-7."""
    import torch
    path = os.path.join(flags.work, "torch.pth")
    if flags.model.endswith(".safetensors"):
        from safetensors.torch import load_file
        weights = load_file(flags.model)
    else:
        weights = torch.load(flags.model, map_location="cpu", mmap=True, weights_only=True)
    if "blocks.0.ln1.weight" not in weights:
        raise SystemExit(f"{flags.model}: expected BlinkDL's names: blocks.0.ln1.weight, ...")
    if not os.path.exists(path):
        width = weights["emb.weight"].shape[1]
        head = torch.eye(width, dtype=weights["emb.weight"].dtype)
        torch.save({**weights, "head.weight": head}, path)
    return path, "blocks.0.att.r_k" in weights


def measure(path, is_v7, strategy, threads, ids_path):
    """One timed pass over all sentences, after a short one."""
    import contextlib
    import io
    import time
    os.environ["RWKV_JIT_ON"] = "1"
    os.environ["RWKV_CUDA_ON"] = "0"
    if is_v7:
        os.environ["RWKV_V7_ON"] = "1"
    import torch
    torch.set_num_threads(threads)
    with contextlib.redirect_stdout(io.StringIO()):
        from rwkv.model import RWKV
        model = RWKV(model=path[:-len(".pth")], strategy=f"cpu {strategy}")
    with open(ids_path, encoding="utf-8") as file:
        ids = [json.loads(line) for line in file]

    def embed(tokens):
        rows, _ = model.forward(tokens, None, full_output=True)
        return rows.float().reshape(len(tokens), -1).mean(0)

    with torch.no_grad():
        for tokens in ids[:3]:  # TorchScript optimises at the second call
            embed(tokens)
        begin = time.perf_counter()
        vectors = [embed(tokens) for tokens in ids]
        seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "embedding": vectors[0].tolist()}))


def peer_flags(parser):
    parser.add_argument("--strategies", default="fp32,bf16", help="of the package [fp32,bf16]")


def main():
    flags = parse_arguments(__doc__, peer_flags)
    ids, ids_path = token_ids(flags)
    path, is_v7 = without_head(flags)
    peers = {f"PyTorch {s}": lambda s=s: child(__file__, path, int(is_v7), s, flags.threads,
                                               ids_path)
             for s in flags.strategies.split(",")}
    compare(flags, ids, ids_path, peers)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        measure(sys.argv[2], sys.argv[3] == "1", sys.argv[4], int(sys.argv[5]), sys.argv[6])
    else:
        main()
