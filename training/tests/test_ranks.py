# SPDX-License-Identifier: Apache-2.0
"""Gradients of several processes."""

import os
import subprocess
import sys
import unittest
from pathlib import Path

TRAINING = Path(__file__).resolve().parents[1]
PROGRAM = """
import torch
from ranks import Ranks
ranks = Ranks()
with_gradient, without = (torch.nn.Parameter(torch.zeros(2, 3)) for _ in range(2))
with_gradient.grad = torch.full((2, 3), float(ranks.own))
ranks.share_gradients([without, with_gradient])
assert without.grad is None
print(ranks.own, with_gradient.grad.unique().tolist())
"""


def run(environment):
    return subprocess.Popen([sys.executable, "-c", PROGRAM], cwd=TRAINING, stdout=subprocess.PIPE,
                            text=True, env={**os.environ, **environment})


class RanksTest(unittest.TestCase):
    def test_every_rank_gets_the_mean(self):
        common = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29637"}
        processes = [run({**common, "RANK": str(rank)}) for rank in range(2)]
        self.assertEqual(sorted(p.communicate()[0] for p in processes), ["0 [0.5]\n", "1 [0.5]\n"])

    def test_one_process_keeps_its_own(self):
        self.assertEqual(run({"WORLD_SIZE": "1"}).communicate()[0], "0 [0.0]\n")


if __name__ == "__main__":
    unittest.main()
