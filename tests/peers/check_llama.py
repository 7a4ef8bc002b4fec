# SPDX-License-Identifier: Apache-2.0
"""llama.cpp (PyPI's llama-cpp-python) runs what `fathom convert` wrote: embeddings, tokens."""
import ctypes
import json
import os
import subprocess

import llama_cpp as llama
import numpy as np
import rwkv

from common import FATHOM, IDS, SHARED, WORK, check, check_true, fathom, finish, trace

NONE, MEAN, LAST = 0, 1, 3


@llama.llama_log_callback
def quiet(level, text, data):
    pass


llama.llama_log_set(quiet, ctypes.c_void_p(0))
llama.llama_backend_init()


def load(path, vocab_only=False):
    params = llama.llama_model_default_params()
    params.vocab_only = vocab_only
    model = llama.llama_model_load_from_file(path.encode(), params)
    if not model:
        raise SystemExit(f"llama.cpp does not load {path}")
    return model


def embed(path, ids, pooling):
    """Embeddings with the pooling that the file names: (C), or (T, C) for none."""
    model = load(path)
    params = llama.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = 512
    params.n_threads = params.n_threads_batch = 1
    params.embeddings = True
    context = llama.llama_init_from_model(model, params)
    assert llama.llama_pooling_type(context) == pooling, llama.llama_pooling_type(context)
    batch = llama.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
        batch.seq_id[i][0] = 0
        batch.logits[i] = 1
    assert llama.llama_decode(context, batch) == 0
    width = llama.llama_model_n_embd(model)
    read = lambda pointer: np.ctypeslib.as_array(pointer, shape=(width,)).copy()
    if pooling == NONE:
        out = np.stack([read(llama.llama_get_embeddings_ith(context, i)) for i in range(len(ids))])
    else:
        out = read(llama.llama_get_embeddings_seq(context, 0))
    llama.llama_batch_free(batch)
    llama.llama_free(context)
    llama.llama_model_free(model)
    return out


def compare(name, model, dtype="f32", tolerance=1e-4, ids=IDS):
    for pooling, word in ((MEAN, "mean"), (LAST, "last"), (NONE, "none")):
        path = os.path.join(WORK, f"llama_{word}.gguf")
        fathom("convert", model, path, "--dtype", dtype, "--pooling", word)
        final = trace(path, ids)["final"]
        want = {MEAN: final.mean(0), LAST: final[-1], NONE: final}[pooling]
        check(f"{name} {dtype}: final embedding, pooling {word}",
              embed(path, ids, pooling), want, tolerance)


print(f"llama-cpp-python {llama.__version__}")
for version in (6, 7):
    path = os.path.join(WORK, f"v{version}.pth")
    compare(f"v{version}", path)
    compare(f"v{version}", path, ids=IDS[:1])
    # llama.cpp rounds activations to the type of the weights: a wide tolerance.
    for dtype, tolerance in (("f16", 1e-2), ("bf16", 5e-2), ("q8_0", 1e-1)):
        compare(f"v{version}", path, dtype, tolerance)
shared = [("tiny v6 of rwkv.cpp", "data/models/rwkv.cpp-tiny/tiny-rwkv-6v0-1m-FP32.bin"),
          ("tiny v7 of rwkv.cpp", "data/models/rwkv.cpp-tiny/tiny-rwkv-7v0-834K-FP32.bin"),
          ("fla v7", "golden/v7_fla"), ("Finch", "golden/v6_hf"),
          ("rescaled GGUF", "golden/v6_gguf/model-f32.gguf")]
# With AVX-512, llama.cpp's RWKV-7 takes 64 numbers of a head at a time, whatever the head size: it
# is wrong for 32, for GGUF files of any origin. Without AVX-512, the epsilon that convert folds
# into the weights for fla's head size 32 can be checked.
if os.environ.get("PEERS_NO_AVX512"):
    shared.append(("fla v7, head size 32", "golden/v7_fla_n32"))
for name, path in shared:
    if SHARED and os.path.exists(os.path.join(SHARED, path)):
        compare(name, os.path.join(SHARED, path))

# The vocabulary inside the file: llama.cpp's tokens of the same text.
vocabulary = os.path.join(os.path.dirname(rwkv.__file__), "rwkv_vocab_v20230424.txt")
big = os.path.join(WORK, "words.gguf")
fathom("convert", os.path.join(WORK, "words.pth"), big, "--vocab", vocabulary)
model = load(big)
words = llama.llama_model_get_vocab(model)
texts = ["Hello, World!\n\nQ: ?", "a  b   c\tfoo", "naïve café", "你好，世界 🌍", "'\"\\ \r\n",
         "The Eiffel Tower is in the city of", "don't \"quote\" \\x00 \x7f\x01"]
n_same = 0
for text in texts:
    data = text.encode()
    tokens = (llama.llama_token * 256)()
    n = llama.llama_tokenize(words, data, len(data), tokens, 256, True, False)
    ours = json.loads(subprocess.run([FATHOM, "tokenize", big, "--json", text],
                                     capture_output=True, text=True, check=True).stdout)
    n_same += list(tokens[:n]) == ours
check_true("World vocabulary in GGUF: the same tokens", n_same == len(texts),
           f"{n_same} of {len(texts)} texts")
finish()
