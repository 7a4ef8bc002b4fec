#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Teaches the first blocks what words of several tokens mean, before train_embedder.py.

Layer 0 takes over a static bag (train_bag.py), and words of one token get the vectors of words.py.
Then the first --depth blocks learn, from lists of words drawn at random, that the tokens of a word
add up to the word's vector; what all blocks put out is 0 at the start, so that a word of one token
stays what it is. Lists, not sentences: four of five words of a sentence are one token.

--output holds checkpoint.pt, curve.csv (mean cosine of words of several tokens with their vectors,
by layer, as often as they are in sentences) and model/, the start of train_embedder.py. The same
command after a kill goes on from the last checkpoint. Several processes: ranks.py.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

import corpus
import distillation
import loop
import model as finch
import starts
from ranks import Ranks
from train_embedder import token_layers
from vocabulary import Tokenizer
from words import WORDS_OF_LIST, WordLists, WordTarget, Words, turn_to


class Run:
    """A training run: state in memory, its checkpoint in a folder."""

    def __init__(self, a):
        self.a, self.ranks = a, Ranks()
        torch.manual_seed(a.seed)
        self.tokenizer = Tokenizer.read(a.start / "vocab.txt")
        self.words = Words.read(a.words or a.data / "words")
        sentences = distillation.read_sentences(a.data / "teacher")
        self.lists = WordLists(self.words, self.tokenizer, sentences)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = finch.load(a.start).to(self.device)
        if not 0 < a.depth <= len(self.model.rwkv.blocks):
            raise SystemExit(f"--depth: expected 1 to {len(self.model.rwkv.blocks)}, the blocks of "
                             f"{a.start}, got {a.depth}")
        self.path = a.output / "checkpoint.pt"
        self.step, self.seconds, self.curve, self.loss = 0, 0.0, [], float("nan")
        names = ("depth", "lists", "lr", "warmup", "spare", "seed", "early")
        self.settings = {name: getattr(a, name) for name in names}
        blocks = [p for block in self.model.rwkv.blocks[: a.depth]
                  for part in (block.attention, block.feed_forward, block.ln1, block.ln2)
                  for p in part.parameters()]
        for parameter in self.model.parameters():
            parameter.requires_grad_(False)
        for parameter in blocks:
            parameter.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(blocks, lr=a.lr, betas=(0.9, 0.98), weight_decay=0,
                                           fused=True)
        if self.path.exists():
            self.resume()
        else:
            self.first_layer(sentences)

    @torch.no_grad()
    def first_layer(self, sentences):
        starts.take_bag(self.model, self.a.bag_table, self.a.spare)
        some = sentences[:: max(1, len(sentences) // 5000)]
        ids = [np.array(self.tokenizer.encode(s.encode()) or [0]) for s in some]
        layer = token_layers(self.model, ids, False, 0)[0]
        self.turn = turn_to(layer, self.words, ids, self.tokenizer)
        starts.take_words(self.model, self.words, self.turn, self.tokenizer, ids)
        starts.silence_blocks(self.model)

    def resume(self):
        state = torch.load(self.path, weights_only=True, map_location="cpu")
        loop.check_settings(self.path, state["settings"], self.settings)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds, self.curve = state["step"], state["seconds"], state["curve"]
        self.turn = state["turn"].to(self.device)
        print(f"going on from step {self.step}", file=sys.stderr)

    def layers(self, texts):
        return (token_layers(self.model, texts, False, self.a.depth),
                WordTarget(self.words, texts, self.tokenizer, self.turn))

    @torch.no_grad()
    def cosines(self):
        """Mean cosine by layer of words of several tokens, drawn as they are in sentences."""
        random = np.random.default_rng(self.a.seed)
        texts = self.lists.draw(random, 200, WORDS_OF_LIST, self.lists.of_several())
        layers, target = self.layers(texts)
        return [target.cosines(layer)[0].mean().item() for layer in layers]

    def save(self):
        if self.ranks.own:
            return
        cosines = self.cosines()
        self.curve.append([self.step, round(self.seconds, 1), round(self.loss, 5),
                           *(round(c, 4) for c in cosines)])
        loop.save_checkpoint(self.path, {
            "settings": self.settings, "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(), "turn": self.turn, "step": self.step,
            "seconds": self.seconds, "curve": self.curve})
        head = ["step", "seconds", "loss", *(f"cosine_{i}" for i in range(len(cosines)))]
        loop.write_curve(self.a.output / "curve.csv", head, self.curve)
        finch.export(self.model, self.a.start / "vocab.txt", self.a.output / "model")
        print(f"step {self.step}: cosines by layer " + " ".join(f"{c:.3f}" for c in cosines),
              flush=True)

    def train_step(self):
        for group in self.optimizer.param_groups:
            group["lr"] = self.a.lr * loop.rate_factor(self)
        random = np.random.default_rng([self.a.seed, self.step, self.ranks.own])
        texts = self.lists.draw(random, self.a.lists, WORDS_OF_LIST)
        layers, target = self.layers(texts)
        early = [target.loss(layer) for layer in layers[1:-1]] if self.a.early else []
        last = target.loss(layers[-1])
        self.loss = last.item()
        loop.update(self, last + self.a.early * sum(early))
        return sum(map(len, texts))

    def train(self):
        loop.run(self)


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    runs = corpus.TRAINING / "runs"
    parser.add_argument("--data", type=Path, default=corpus.TRAINING / "data")
    parser.add_argument("--start", type=Path, default=runs / "lm" / "model",
                        help="the language model's folder")
    parser.add_argument("--bag-table", type=Path, default=runs / "bag", help="the bag's folder")
    parser.add_argument("--spare", type=int, default=4, help="dimensions of layer 0 that keep the "
                        "lengths of tokens; an even number")
    parser.add_argument("--words", type=Path, help="folder of words.py [DATA/words]")
    parser.add_argument("--output", type=Path, default=runs / "words")
    parser.add_argument("--depth", type=int, default=3, help="blocks that learn")
    parser.add_argument("--early", type=float, default=0.1,
                        help="weight of the loss of each layer before the last of them")
    parser.add_argument("--steps", type=int, default=6500)
    parser.add_argument("--lists", type=int, default=30,
                        help=f"lists of {WORDS_OF_LIST} words a step")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--warmup", type=int, default=50)
    loop.add_arguments(parser, save_every=200)
    return parser.parse_args(argv)


def main(argv=None):
    return loop.main(Run, parse(argv))


if __name__ == "__main__":
    main()
