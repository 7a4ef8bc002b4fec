# SPDX-License-Identifier: Apache-2.0
"""What an embedder starts from: the table of its layer 0, and blocks that add nothing yet."""

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from words import WordTarget


def table_means(model, sentences):
    """Layer 0 of lists of ids, by way of the whole table: cheap for many sentences."""
    table = model.rwkv.blocks[0].pre_ln(model.rwkv.embeddings.weight)
    ids = torch.from_numpy(np.concatenate(sentences).astype(np.int64)).to(table.device)
    sizes = np.array([len(s) for s in sentences])
    starts = torch.from_numpy(np.cumsum(sizes) - sizes).to(table.device)
    return F.embedding_bag(ids, table, starts, mode="mean")


@torch.no_grad()
def take_bag(model, folder, spare):
    """Makes layer 0 what a static bag gives, in all but its `spare` least directions.

    ln0 would make all tokens equally long, and a bag's lengths are what it knows of how much a
    token matters. So `spare` dimensions get no gain in ln0, and what a token lacks in length goes
    there. The others are turned towards the embeddings that the blocks know.
    """
    norm, table = model.rwkv.blocks[0].pre_ln, model.rwkv.embeddings.weight
    bag = load_file(folder / "model.safetensors")["emb.weight"].to(table)
    size = table.shape[1]
    kept = size - spare
    # Sums over the dimensions are 0, as ln0 would make them.
    ones = torch.full((kept, 1), kept**-0.5).to(table)
    basis = torch.linalg.svd(torch.eye(kept).to(table) - ones @ ones.T)[0][:, : kept - 1]
    directions = torch.linalg.eigh(bag.T @ bag)[1].flip(1)[:, : kept - 1]
    small, known = bag @ directions, norm(table)[:, :kept] @ basis
    u, _, v = torch.linalg.svd(small.T @ known)
    norm.weight.fill_(1)
    norm.weight[kept:] = 0
    norm.bias.zero_()
    set_layer_0(model, F.pad(small @ u @ v @ basis.T, (0, spare)))


@torch.no_grad()
def set_layer_0(model, wanted):
    """The table with which ln0 gives the vectors wanted (tokens, C), up to one factor for all.

    ln0 must have dimensions without gain, an even number, where the lengths are made equal.
    """
    norm, table = model.rwkv.blocks[0].pre_ln, model.rwkv.embeddings.weight
    free = norm.weight.abs() < 0.1 * norm.weight.abs().max()
    spare, size = int(free.sum()), table.shape[1]
    inner = (wanted - norm.bias) / torch.where(free, 1.0, norm.weight)
    inner[:, free] = 0
    inner[:, ~free] -= inner[:, ~free].mean(dim=1, keepdim=True)
    lengths = inner.norm(dim=1, keepdim=True)
    longest = lengths.max()
    rest = (longest.square() - lengths.square()).clamp(min=0).div(spare).sqrt()
    inner[:, free] = rest * (1 - 2 * (torch.arange(spare) % 2)).to(table)
    table.copy_(inner * (size**0.5 / longest))
    norm.weight *= torch.where(free, 1.0, longest / size**0.5)


@torch.no_grad()
def take_words(model, words, turn, tokenizer, texts):
    """Gives tokens that are mostly whole words the vectors of these words, at layer 0."""
    sums = turn.new_zeros(len(tokenizer.tokens) + 1, turn.shape[1])
    whole, all_ = (turn.new_zeros(len(sums)) for _ in range(2))
    for ids in texts:
        target = WordTarget(words, [ids], tokenizer, turn)
        of_token = torch.from_numpy(np.asarray(ids, dtype=np.int64)).to(turn.device)
        all_ += torch.bincount(of_token, minlength=len(all_))
        alone = torch.bincount(target.unit, minlength=len(target.target))[target.unit] == 1
        place = of_token[target.kept][alone]
        whole += torch.bincount(place, minlength=len(all_))
        sums.index_add_(0, place, target.target[target.unit[alone]])
    share = (whole / all_.clamp(min=1))[:, None]
    table = model.rwkv.blocks[0].pre_ln(model.rwkv.embeddings.weight)
    set_layer_0(model, (1 - share) * table + share * sums / whole.clamp(min=1)[:, None])


@torch.no_grad()
def silence_blocks(model):
    """Makes every block add nothing; what it reads and how it remembers stays."""
    for block in model.rwkv.blocks:
        block.attention.output.weight.zero_()
        block.feed_forward.value.weight.zero_()
