# SPDX-License-Identifier: Apache-2.0
"""The chunked form against the loop, with gradients; export against the engine ($FATHOM)."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import model as finch
from vocabulary import Tokenizer


class Wkv(unittest.TestCase):
    def compare(self, decay):
        torch.manual_seed(1)
        r, k, v, w = torch.randn(4, 2, 11, 2, 4, dtype=torch.float64)
        inputs = [r, k, v, -decay * torch.exp(w), torch.randn(2, 4, dtype=torch.float64)]
        weight = torch.randn(2, 11, 2, 4, dtype=torch.float64)
        results = []
        for wkv in (finch.wkv_loop, finch.wkv_masked,
                    lambda *x: finch.wkv_chunked(*x, chunk=4)):
            leaves = [x.clone().requires_grad_() for x in inputs]
            y = wkv(*leaves)
            results.append([y, *torch.autograd.grad((y * weight).sum(), leaves)])
        for loop, *others in zip(*results):
            for other in others:
                torch.testing.assert_close(other, loop, rtol=1e-9, atol=1e-9)

    def test_usual_decays(self):
        self.compare(0.5)

    def test_decays_that_leave_float32(self):
        self.compare(50.0)


class Export(unittest.TestCase):
    def test_engine_reads_the_same_hidden_states(self):
        program = os.environ.get("FATHOM")
        if not program:
            self.skipTest("$FATHOM, the program to compare with, is not set")
        torch.manual_seed(1)
        model = finch.Rwkv6(finch.make_config(2, 64, 257, head_size=32))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        with tempfile.TemporaryDirectory() as folder:
            vocabulary = Path(folder) / "vocab.txt"
            Tokenizer([bytes([b]) for b in range(256)]).write(vocabulary)
            finch.export(model, vocabulary, Path(folder) / "model")
            trace = Path(folder) / "t.safetensors"
            subprocess.run([program, "trace", Path(folder) / "model", "--text", "Hello, depth",
                            "-o", trace], check=True, capture_output=True)
            theirs = load_file(trace)
            with torch.no_grad():
                ours = finch.load(Path(folder) / "model").hidden(theirs["ids"].long()[None])
        ours = torch.cat(ours)
        self.assertLess(((ours - theirs["hidden"]).abs().max() / ours.abs().max()).item(), 1e-4)


if __name__ == "__main__":
    unittest.main()
