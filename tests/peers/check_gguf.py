# SPDX-License-Identifier: Apache-2.0
"""PyPI's gguf reads what `fathom convert` wrote: metadata, names, shapes, numbers."""
import os

import gguf
import numpy as np
import torch

from common import WORK, check, check_true, fathom, finish

for version in (6, 7):
    path = os.path.join(WORK, f"v{version}.pth")
    z = {k: x.float().numpy() for k, x in torch.load(path, weights_only=True).items()}
    arch = f"rwkv{version}"
    for dtype in ("f32", "f16", "bf16", "q8_0"):
        out = os.path.join(WORK, f"v{version}_{dtype}.gguf")
        fathom("convert", path, out, "--dtype", dtype)
        reader = gguf.GGUFReader(out)
        field = lambda key: reader.fields[key].contents()
        tensors = {t.name: t for t in reader.tensors}
        check_true(f"v{version} {dtype}: metadata",
                   field("general.architecture") == arch and field(f"{arch}.block_count") == 8
                   and field(f"{arch}.embedding_length") == 128
                   and field(f"{arch}.feed_forward_length") == 448
                   and field(f"{arch}.wkv.head_size") == 64
                   and field(f"{arch}.pooling_type") == 1
                   and field("tokenizer.ggml.model") == "none", f"{len(reader.fields)} fields")
        # Names that llama.cpp's own table gives this architecture.
        known = {f"{base.format(bid=i)}.{end}"
                 for tensor in gguf.MODEL_TENSORS[getattr(gguf.MODEL_ARCH, arch.upper())]
                 for base in [gguf.TENSOR_NAMES[tensor]] for i in range(8)
                 for end in ("weight", "bias")}
        check_true(f"v{version} {dtype}: every tensor's name is llama.cpp's",
                   set(tensors) <= known, f"{len(tensors)} tensors")
        number = lambda name: gguf.quants.dequantize(tensors[name].data, tensors[name].tensor_type)
        key = z["blocks.3.ffn.key.weight"]
        want = key
        if dtype == "q8_0":
            q8 = gguf.GGMLQuantizationType.Q8_0
            want = gguf.quants.dequantize(gguf.quants.quantize(key, q8), q8)
        elif dtype == "f16":
            want = key.astype(np.float16)
        elif dtype == "bf16":
            want = torch.tensor(key).bfloat16().float().numpy()
        check(f"v{version} {dtype}: channel_mix_key against gguf's own rounding",
              number("blk.3.channel_mix_key.weight"), want, 0)
        order = "wkvrg" if version == 6 else "rwkvag"
        prefix = "time_maa_" if version == 6 else "x_"
        fused = np.stack([z[f"blocks.3.att.{prefix}{c}"].reshape(1, 1, -1) for c in order])
        check(f"v{version} {dtype}: time_mix_lerp_fused",
              number("blk.3.time_mix_lerp_fused.weight"), fused, 0)
finish()
