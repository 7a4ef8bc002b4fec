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
import block_cpu
import model as finch
import product_cpu
import wkv_cpu
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


class WkvCpu(unittest.TestCase):
    """The C++ form against the loop in float64, with gradients."""

    def setUp(self):
        if not wkv_cpu.available(32):
            self.skipTest("g++ is not installed")

    def compare(self, size, decay, starts=None):
        torch.manual_seed(2)
        r, k, v, w = torch.randn(4, 2, 37, 3, size, dtype=torch.float64)
        inputs = [r, k, v, -decay * torch.exp(w), torch.randn(3, size, dtype=torch.float64)]
        weight = torch.randn(2, 37, 3, size, dtype=torch.float64)
        theirs = [x.clone().requires_grad_() for x in inputs]
        pieces = []  # the loop has no starts: each sequence alone
        for b in range(2):
            inner = [] if starts is None else starts[b].nonzero()[:, 0].tolist()
            cuts = sorted({0, *inner, 37})
            pieces.append(torch.cat([
                finch.wkv_loop(*(x[b : b + 1, a:e] for x in theirs[:4]), theirs[4])
                for a, e in zip(cuts, cuts[1:])], dim=1))
        wanted = torch.cat(pieces)
        ours = [x.float().requires_grad_() for x in inputs]
        got = wkv_cpu.wkv(*ours, starts)
        of_ours = torch.autograd.grad((got * weight.float()).sum(), ours)
        of_theirs = torch.autograd.grad((wanted * weight).sum(), theirs)
        # The gradient of log_w is a difference of sums of k dk: their rounding stays.
        sums = (inputs[1] * of_theirs[1]).abs().sum(dim=1).max().item()
        for name, a, b in zip(("y", "r", "k", "v", "log_w", "u"), [got, *of_ours],
                              [wanted, *of_theirs]):
            scale = max(b.abs().max().item(), sums if name == "log_w" else 0)
            torch.testing.assert_close(a.double(), b, rtol=0, atol=2e-6 * scale, msg=name)

    def test_head_sizes_and_decays(self):
        for size in wkv_cpu.HEAD_SIZES:
            for decay in (0.01, 0.5, 50.0):
                with self.subTest(size=size, decay=decay):
                    self.compare(size, decay)

    def test_sequences_behind_each_other(self):
        starts = torch.zeros(2, 37, dtype=torch.bool)
        starts[0, [0, 5, 6, 36]] = True
        starts[1, 20] = True
        self.compare(64, 0.5, starts)

    def test_other_head_sizes_are_refused(self):
        x = torch.zeros(1, 2, 1, 16)
        with self.assertRaisesRegex(ValueError, "head size 16"):
            wkv_cpu.wkv(x, x, x, x, torch.zeros(1, 16))


class BlockCpu(unittest.TestCase):
    """The block with its gradient written out against model.Block by autograd."""

    def setUp(self):
        if not block_cpu.available(32):
            self.skipTest("g++ is not installed")
        torch.manual_seed(4)
        self.model = finch.Rwkv6(finch.make_config(2, 64, 7, head_size=32))
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
        self.x = torch.randn(1, 29, 64)
        self.weight = torch.randn(1, 29, 64)
        self.starts = torch.zeros(1, 29, dtype=torch.bool)
        self.starts[0, [0, 1, 9, 28]] = True

    def gradients(self, sublayers, fused):
        x = self.x.clone().requires_grad_()
        y = x
        for block in self.model.rwkv.blocks:
            y = block(y, wkv_cpu.wkv, self.starts, *sublayers, fused)
        self.model.zero_grad()
        (y * self.weight).sum().backward()
        named = {n: p.grad for n, p in self.model.rwkv.blocks.named_parameters()
                 if p.grad is not None}
        return {"y": y.detach(), "x": x.grad, **{n: g.clone() for n, g in named.items()}}

    def compare(self, tolerance):
        for sublayers in ((True, True), (True, False), (False, True)):
            got, wanted = self.gradients(sublayers, True), self.gradients(sublayers, False)
            self.assertEqual(got.keys(), wanted.keys())
            for name, b in wanted.items():
                self.assertGreater(b.abs().max().item(), 0, name)
                torch.testing.assert_close(got[name], b, rtol=0,
                                           atol=tolerance * b.abs().max().item(),
                                           msg=f"{name} {sublayers}")

    def test_values_and_gradients(self):
        self.model.eval()
        self.compare(1e-4)

    def test_training_by_tiles(self):
        if product_cpu.library() is None:
            self.skipTest("this processor has no tiles of bfloat16")
        self.compare(3e-3)

    def test_the_first_token_begins_a_sequence(self):
        self.starts[0, 0] = False
        without = self.gradients((True, True), True)
        self.starts[0, 0] = True
        for name, b in self.gradients((True, True), True).items():
            self.assertTrue(torch.equal(without[name], b), name)


class ProductCpu(unittest.TestCase):
    """Products by tiles against float64, every way in which matrices lie, with odd sizes."""

    def test_products(self):
        if product_cpu.library() is None:
            self.skipTest("this processor has no tiles of bfloat16")
        torch.manual_seed(5)
        for M, N, K in ((1, 1, 1), (33, 17, 40), (64, 96, 32), (50, 200, 129)):
            a, b, plus, row = (torch.randn(*s) for s in ((M, K), (K, N), (M, N), (N,)))
            whole = torch.full((M, N + 3), 7.0)
            wanted, size = a.double() @ b.double(), a.abs().double() @ b.abs().double()
            for x in (a, a.t().contiguous().t()):
                for y in (b, b.t().contiguous().t()):
                    for more in (None, plus, row):
                        got = product_cpu.tiled(x, y, more, whole[:, 1 : N + 1])
                        error = (got - wanted - (0 if more is None else more)).abs()
                        self.assertLess((error / (size + 1)).max().item(), 2**-16)
            self.assertTrue((whole[:, [0, -2, -1]] == 7).all())


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
