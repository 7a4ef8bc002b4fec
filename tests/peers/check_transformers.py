# SPDX-License-Identifier: Apache-2.0
"""transformers' RwkvModel and RwkvForCausalLM on the folder that `fathom convert` wrote for v4; its
own RWKV-7 on the golden models of its layout, as soon as the package has it."""
import json
import os
import shutil

import torch
import transformers

from common import (IDS, WORK, Worst, blinkdl_weights, check, check_true, finish, goldens, trace,
                    try_trace)

transformers.utils.logging.disable_progress_bar()
print(f"transformers {transformers.__version__}")
folder = os.path.join(WORK, "hf_v4")
model, loading = transformers.RwkvForCausalLM.from_pretrained(
    folder, dtype=torch.float32, output_loading_info=True)
check_true("v4: no weight missing or unexpected",
           not loading["missing_keys"] and not loading["unexpected_keys"])
model.eval()
with torch.no_grad():
    out = model(torch.tensor([IDS]), output_hidden_states=True, use_cache=True)
got = trace(os.path.join(WORK, "v4.pth"))
every = model.config.rescale_every
for i, hidden in enumerate(out.hidden_states[:-1]):  # output of block i, halved every 6 blocks
    true = hidden[0].numpy() * 2.0 ** ((i + 1) // every)
    check(f"v4: hidden state after block {i + 1}", got["hidden"][i + 1], true, 1e-4)
check("v4: ln_out of the last", got["final"], out.hidden_states[-1][0].numpy(), 1e-4)
check("v4: logits", got["logits"], out.logits[0].numpy(), 1e-4)

# ---- RWKV-7. The goldens' config.json says what their tensors do not; the class wants the rest.


def load_native(golden):
    z, _ = blinkdl_weights(golden.model)
    folder = os.path.join(WORK, golden.name)
    shutil.copytree(golden.folder, folder)
    with open(os.path.join(folder, "config.json")) as f:
        config = json.load(f)
    head_size = golden.manifest["head_size"]
    config.update(vocab_size=z["emb.weight"].shape[0], hidden_size=z["emb.weight"].shape[1],
                  num_hidden_layers=golden.manifest["n_layer"],
                  intermediate_size=z["blocks.0.ffn.key.weight"].shape[0],
                  attention_hidden_size=z["blocks.0.att.key.weight"].shape[0],
                  head_dim=head_size, head_size=head_size, tie_word_embeddings=False,
                  layer_norm_epsilon=1e-5, group_norm_epsilon=golden.manifest["ln_x_eps"])
    with open(os.path.join(folder, "config.json"), "w") as f:
        json.dump(config, f)
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, output_loading_info=True)


if not hasattr(transformers, "Rwkv7ForCausalLM"):
    print(f"  skipped: transformers {transformers.__version__} has no Rwkv7ForCausalLM")
    finish()
for golden in goldens("golden_native/v7_native", "golden_native/v7_native_fused"):
    model, loading = load_native(golden)
    check_true(f"{golden.name}: no weight missing or unexpected",
               not loading["missing_keys"] and not loading["unexpected_keys"])
    model.eval()
    against_golden, against_fathom = Worst(), Worst()
    for _, ids, arrays, tolerance in golden.runs():
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0].numpy()
        against_golden.add("logits_last", logits[-1], arrays["logits_last"],
                           tolerance["logits_last"])
        mine = try_trace(f"{golden.name}: fathom reads it", golden.folder, ids)
        if mine:
            against_fathom.add("logits", mine["logits"], logits, 1e-4)
    against_golden.report(f"{golden.name}: the peer against the golden")
    against_fathom.report(f"{golden.name}: fathom against the peer")
finish()
