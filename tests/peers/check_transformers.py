# SPDX-License-Identifier: Apache-2.0
"""transformers' RwkvModel and RwkvForCausalLM on the folder that `fathom convert` wrote for v4."""
import os

import torch
import transformers

from common import IDS, WORK, check, check_true, finish, trace

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
finish()
