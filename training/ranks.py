# SPDX-License-Identifier: Apache-2.0
"""Several processes that train one model, each on batches of its own: the mean of their gradients.

    export MASTER_ADDR=127.0.0.1 MASTER_PORT=29500 WORLD_SIZE=2
    for rank in 0 1; do RANK=$rank python train_embedder.py ... & done; wait

Every process has --batch sentences or windows a step; the first one saves.
"""

import os

import torch
import torch.distributed as dist


class Ranks:
    def __init__(self):
        self.count = int(os.environ.get("WORLD_SIZE", 1))
        self.own = int(os.environ.get("RANK", 0))
        if self.count > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")

    def share_gradients(self, parameters):
        """Every rank has the same parameters with gradients."""
        if self.count == 1:
            return
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in gradients])
        dist.all_reduce(flat)
        flat /= self.count
        for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients])):
            gradient.copy_(part.view_as(gradient))
