#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the sentence embedder from what train_words.py made; every layer is an exit.

Layer i of a sentence is the mean of the residual stream after block i (0: after ln0) over its
tokens, as `fathom embed` computes it. Losses (distill.py), at every layer, weighed by --depths: the
teacher's vector through a linear map, its similarities in the batch, and contrast of pairs; with
--word-weight also that the tokens of a word add up to its vector (words.py), on the sentences and on
lists of words. --bag more sentences a step are for layer 0 alone, which costs nearly nothing.

--output holds checkpoint.pt, curve.csv (STS-B dev by layer, on --dev-pairs of its pairs) and
model/ (Hugging Face folder). The same command after a kill goes on from the last checkpoint and
gives the weights of an unbroken run. Several processes: ranks.py. The learning rate is constant,
then falls in the last 40 % of --steps; --steps may be changed before that, and --lr, --lr-table,
--depths and --run-depths at any time.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

import corpus
import distill
import distillation
import loop
import model as finch
import starts
from ranks import Ranks
from vocabulary import Tokenizer
from words import WORDS_OF_LIST, WordLists, WordTarget, Words, turn_to

WIDTH_STEP = 8  # lengths are rounded up to a multiple; short, so that strong decays stay exact


def by_width(lengths):
    """{width: places} of lengths, each rounded up to a multiple of WIDTH_STEP."""
    widths = np.maximum(1, -(-np.asarray(lengths) // WIDTH_STEP)) * WIDTH_STEP
    return {int(w): np.flatnonzero(widths == w) for w in np.unique(widths)}


def device_of(model):
    return model.rwkv.embeddings.weight.device


def token_layers(model, sentences, bf16, depth=None):
    """Layers 0 to depth of lists of ids, all tokens behind each other: arrays (tokens, C)."""
    device = device_of(model)
    wkv, packs = finch.fastest_wkv(model.config, device, WIDTH_STEP)
    autocast = torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16)
    if packs:
        sizes = torch.tensor([len(ids) for ids in sentences])
        ids = torch.from_numpy(np.concatenate(sentences).astype(np.int64))
        starts = torch.zeros(len(ids), dtype=torch.bool)
        starts[torch.cumsum(sizes, 0) - sizes] = True
        with autocast:
            return [x[0].float() for x in model.hidden(ids[None], wkv, starts[None], depth)]
    parts, places = [], []
    ends = np.cumsum([len(ids) for ids in sentences])
    for width, rows in by_width([len(ids) for ids in sentences]).items():
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        real = torch.zeros(len(rows), width, dtype=torch.bool)
        for row, i in enumerate(rows):
            ids[row, : len(sentences[i])] = torch.from_numpy(sentences[i].astype(np.int64))
            real[row, : len(sentences[i])] = True
            places.append(np.arange(ends[i] - len(sentences[i]), ends[i]))
        with autocast:
            layers = model.hidden(ids.to(device), wkv, depth=depth)
        parts.append([x[real.to(device)].float() for x in layers])
    back = torch.from_numpy(np.argsort(np.concatenate(places))).to(device)
    return [torch.cat(of_layer)[back] for of_layer in zip(*parts)]


def pooled(layers, sizes):
    """Means over the tokens of each sentence: (layers, sentences, C)."""
    sizes = torch.tensor(sizes, device=layers[0].device)
    owner = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
    empty = layers[0].new_zeros(len(sizes), layers[0].shape[-1])
    return torch.stack([empty.index_add(0, owner, x) for x in layers]) / sizes[:, None]


def pooled_layers(model, sentences, bf16, depth=None):
    """Means of the layers 0 to depth of lists of ids: (depth + 1, sentences, C), float32."""
    return pooled(token_layers(model, sentences, bf16, depth), [len(ids) for ids in sentences])


@torch.no_grad()
def layer_scores(model, tokenizer, pairs, bf16):
    """Spearman of every layer on scored pairs."""
    sentences = list(dict.fromkeys(pairs[0] + pairs[1]))
    ids = [np.array(tokenizer.encode(s.encode()) or [0]) for s in sentences]
    layers = torch.cat([pooled_layers(model, ids[i : i + 128], bf16)
                        for i in range(0, len(ids), 128)], dim=1).cpu().numpy()
    place = {s: i for i, s in enumerate(sentences)}
    return [distill.score(lambda texts, x=x: x[[place[t] for t in texts]], pairs) for x in layers]


def depth_weights(spec, n_layer):
    """Weights of the layers 0 to L from "0.1,6:0.5,12:1": the first is for all others."""
    weights = None
    for item in spec.split(","):
        layer, _, value = item.rpartition(":")
        if layer:
            weights[int(layer)] = float(value)
        else:
            weights = torch.full((n_layer + 1,), float(value))
    return weights


def make_optimizer(model, a):
    table = [model.rwkv.embeddings.weight]
    blocks = [p for name, p in model.named_parameters()
              if "rwkv.blocks" in name]
    return torch.optim.AdamW([{"params": blocks, "peak": a.lr, "weight_decay": 0.01},
                              {"params": table, "peak": a.lr_table, "weight_decay": 0.0}],
                             lr=a.lr, betas=(0.9, 0.98), fused=True)


class Run:
    """A training run: state in memory, its checkpoint in a folder."""

    def __init__(self, a):
        self.a = a
        self.ranks = Ranks()
        torch.manual_seed(a.seed)
        self.tokenizer = Tokenizer.read(a.start / "vocab.txt")
        self.path = a.output / "checkpoint.pt"
        state = None
        if self.path.exists():
            state = torch.load(self.path, weights_only=True, map_location="cpu")
        limit = a.examples or (state and state["lessons"])
        self.data = distillation.Examples(a.data / "teacher", self.tokenizer, a.max_tokens, limit,
                                          a.pairs)
        self.words = Words.read(a.words or a.data / "words") if a.word_weight else None
        if self.words:
            self.lists = WordLists(self.words, self.tokenizer,
                                   distillation.read_sentences(a.data / "teacher"))
        self.turn = torch.zeros(0)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = finch.load(a.start).to(self.device)
        self.optimizer = make_optimizer(self.model, a)
        layers = self.model.config["num_hidden_layers"]
        self.depths = depth_weights(a.depths, layers)
        if max(a.run_depths) > layers:
            raise SystemExit(f"--run-depths: the model has {layers} blocks, not {max(a.run_depths)}")
        self.weights = torch.tensor(a.weights, device=self.device)
        dev = distill.evaluation_sets()["stsb-dev"] if a.dev_pairs else ((), (), ())
        step = max(1, len(dev[0]) // max(1, a.dev_pairs))
        self.dev = tuple(part[::step] for part in dev)
        self.step, self.seconds, self.curve, self.loss = 0, 0.0, [], float("nan")
        self.parts = torch.zeros(5)
        names = ("lr", "lr_table", "batch", "bag", "bag_weight", "weights", "depths", "seed",
                 "bf16", "max_tokens", "run_depths", "word_weight", "word_lists", "near", "pairs",
                 "warmup")
        self.settings = {n: getattr(a, n) for n in names}
        self.epochs = {}
        if state:
            self.resume(state)
        else:
            self.mapping = self.first_mapping()

    def first_mapping(self):
        mapping = distill.teacher_map(self.data.teacher, self.model.config["hidden_size"])
        mapping = mapping.to(self.device)
        rows = range(0, len(self.data.ids), max(1, len(self.data.ids) // 5000))
        vectors = torch.from_numpy(np.asarray(self.data.teacher[rows], dtype=np.float32))
        vectors = vectors.to(self.device)
        ids = [self.data.ids[i] for i in rows]
        with torch.no_grad():
            mapping = distill.turned(mapping, vectors, starts.table_means(self.model, ids))
            if self.words:
                layer = token_layers(self.model, ids, False, 0)[0]
                self.turn = turn_to(layer, self.words, ids, self.tokenizer)
        return mapping

    def resume(self, state):
        free = ("lr", "lr_table", "run_depths", "depths")
        changeable = {n: getattr(self.a, n) for n in free}
        loop.check_settings(self.path, {**state["settings"], **changeable}, self.settings)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for group, peak in zip(self.optimizer.param_groups, (self.a.lr, self.a.lr_table)):
            group["peak"] = peak
        torch.set_rng_state(state["rng"])
        self.step, self.seconds, self.curve = state["step"], state["seconds"], state["curve"]
        self.mapping, self.turn = (state[n].to(self.device) for n in ("mapping", "turn"))
        print(f"going on from step {self.step}", file=sys.stderr)

    def save(self):
        if self.ranks.own:
            return
        scores = [float("nan")]
        if self.dev[0]:
            scores = layer_scores(self.model, self.tokenizer, self.dev, self.a.bf16)
        self.curve.append([self.step, round(self.seconds, 1), round(self.loss, 5),
                           *(round(s, 4) for s in scores)])
        loop.save_checkpoint(self.path, {
            "settings": self.settings, "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(), "rng": torch.get_rng_state(),
            "mapping": self.mapping, "turn": self.turn,
            "lessons": len(self.data.labels),  # the name that older checkpoints have
            "step": self.step, "seconds": self.seconds, "curve": self.curve})
        head = ["step", "seconds", "loss", *(f"dev_{i}" for i in range(len(scores)))]
        loop.write_curve(self.a.output / "curve.csv", head, self.curve)
        finch.export(self.model, self.a.start / "vocab.txt",
                     self.a.output / "model")
        print(f"step {self.step}: STS-B dev " + " ".join(f"{s:.3f}" for s in scores), flush=True)

    def batch_at(self, step, size, stream):
        """This rank's batch of a step: (index, group) pairs; streams have orders of their own."""
        step = step * self.ranks.count + self.ranks.own
        per_epoch = self.epochs.get((stream, "n"))
        if per_epoch is None:
            per_epoch = len(self.data.epoch(self.a.seed + stream, 0, size)) * 9 // 10
            self.epochs[stream, "n"] = per_epoch = max(1, per_epoch)
        epoch, place = divmod(step, per_epoch)
        if self.epochs.get((stream, "epoch")) != epoch:
            self.epochs[stream, "epoch"] = epoch
            self.epochs[stream] = self.data.epoch(self.a.seed + stream, epoch, size, self.a.near)
        return self.epochs[stream][place % len(self.epochs[stream])]

    def depth_at(self, step):
        """How many blocks a step runs."""
        return int(np.random.default_rng([self.a.seed, step]).choice(self.a.run_depths))

    def train_step(self):
        factor = loop.rate_factor(self)
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * factor
        batch = self.batch_at(self.step, self.a.batch, 0)
        target = distill.target_of(self.data, batch, self.mapping)
        depth = self.depth_at(self.step)
        ids = [self.data.ids[i] for i, _ in batch]
        texts, words = ids, None
        if self.words:
            random = np.random.default_rng([self.a.seed, self.step, 1 + self.ranks.own])
            texts = ids + self.lists.draw(random, self.a.word_lists, WORDS_OF_LIST)
            words = WordTarget(self.words, texts, self.tokenizer, self.turn)
        layers = token_layers(self.model, texts, self.a.bf16, depth)
        means = pooled([layer[: sum(map(len, ids))] for layer in layers], [len(s) for s in ids])
        depths = self.depths[: depth + 1].clone()
        depths[depth] = self.depths[-1]
        loss, of_words = 0.0, means.new_zeros(())
        for layer, weight in enumerate(depths.tolist()):
            if weight:
                parts = distill.losses(means[layer], target)
                of_layer = (parts * self.weights).sum()
                if words and layer:  # layer 0 cannot know
                    of_words = words.loss(layers[layer])
                    of_layer = of_layer + self.a.word_weight * of_words
                loss = loss + weight / depths.sum() * of_layer
        parts = torch.cat([parts, of_words[None]])
        self.parts = parts.detach()
        self.loss = loss.item()
        if self.a.bag:
            more = self.batch_at(self.step, self.a.bag, 1)
            means = starts.table_means(self.model, [self.data.ids[i] for i, _ in more])
            parts = distill.losses(means, distill.target_of(self.data, more, self.mapping))
            loss = loss + self.a.bag_weight * (parts * self.weights).sum()
        loop.update(self, loss)
        return sum(len(self.data.ids[i]) for i, _ in batch)

    def train(self):
        loop.run(self, lambda: " last layer " + " ".join(f"{p:.3f}" for p in self.parts))


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=corpus.TRAINING / "data")
    parser.add_argument("--start", type=Path, default=corpus.TRAINING / "runs" / "words" / "model",
                        help="folder of the model to start from (train_words.py)")
    parser.add_argument("--output", type=Path, default=corpus.TRAINING / "runs" / "embedder")
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=64, help="sentences a step")
    distillation.add_arguments(parser)
    parser.add_argument("--bag", type=int, default=0, help="sentences more for layer 0")
    parser.add_argument("--bag-weight", type=float, default=0.3)
    parser.add_argument("--examples", "--lessons", dest="examples", type=int,
                        help="sentences [the checkpoint's, else all that teacher.py has done]")
    parser.add_argument("--depths", default="0.15,0:0.05,12:1.0",
                        help="weights of the layers: of all, then of some")
    parser.add_argument("--run-depths", type=int, nargs="+", default=[3, 6],
                        help="how many blocks a step runs, drawn from these; its last layer "
                        "has the weight of the last of --depths. Fewer make steps cheaper")
    distill.add_weights(parser)
    parser.add_argument("--word-weight", type=float, default=1.0,
                        help="of the loss of the words' vectors (words.py); 0: without")
    parser.add_argument("--words", type=Path, help="folder of words.py [DATA/words]")
    parser.add_argument("--word-lists", type=int, default=15,
                        help=f"lists of {WORDS_OF_LIST} words a step, for this loss alone")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--lr-table", type=float, default=3e-4, help="of the embedding table")
    parser.add_argument("--warmup", type=int, default=50)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--bf16", action="store_true", help="matrix products in bfloat16")
    parser.add_argument("--dev-pairs", type=int, default=500, help="of STS-B dev, for the curve")
    loop.add_arguments(parser, save_every=100)
    return parser.parse_args(argv)


def main(argv=None):
    return loop.main(Run, parse(argv))


if __name__ == "__main__":
    main()
