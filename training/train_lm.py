#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the language model on the filtered text; goes on where it stopped.

--output holds checkpoint.pt (weights, optimiser, RNG, position in the data; written by rename),
curve.csv (bits per byte of a sample of the held-out text) and model/ (the Hugging Face folder of
the last checkpoint). The same command after a kill goes on from the last checkpoint and gives the
weights that an unbroken run gives on the same machine with the same number of threads. The learning
rate is constant until the last two fifths of --steps, so --steps may be changed before that point;
it is the one setting that may differ from the checkpoint's.
"""

import argparse
import hashlib
import math
import os
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import corpus
import loop
import model as finch
from ranks import Ranks
from vocabulary import Tokenizer


def encode_file(tokenizer, path):
    """uint16 ids of a text file, line ends included; kept beside it until text or tokens change."""
    text = path.read_bytes()
    digest = hashlib.sha256(b"\0".join(tokenizer.tokens) + text).hexdigest()[:16]
    kept = path.with_name(f"{path.stem}.{digest}.npy")
    if not kept.exists():
        ids = [i for line in text.splitlines(keepends=True) for i in tokenizer.encode(line)]
        temporary = path.with_name(f"{path.stem}.tmp.npy")
        np.save(temporary, np.array(ids, dtype=np.uint16))
        os.replace(temporary, kept)
    return np.load(kept)


CHUNK = 16  # of the recurrence, where it is taken by chunks
# Times that a source is read in a pass over the text; 1 for the others. Less for what is least like
# the sentences that the model is for: etymologies and markup, prices, menus, programs. More for
# reviews, the one source of opinions.
WEIGHTS = {
    "nltk_movie_reviews": 4.0,
    "bbc_news": 2.0, "nltk_abc": 2.0, "brown": 1.5, "nltk_state_union": 1.5, "wordnet_glosses": 1.5,
    "dict_gcide": 0.3, "reuters21578": 0.6, "debian_docs_html": 0.3, "perl_doc": 0.3,
    "dict_foldoc": 0.5,
}


class Windows:
    """Batches of windows of length + 1 tokens: a new order and offset every pass, by seed.

    sources: arrays of ids. weights: how often each is read in a pass. A window that starts behind
    the end of a line starts with id 0 in its place.
    """

    def __init__(self, sources, batch, length, seed, weights=None, line_end=None):
        self.batch, self.length, self.seed, self.line_end = batch, length, seed, line_end
        self.ids = np.concatenate(sources)
        windows = (len(self.ids) - 1) // length - 1
        ends = np.cumsum([len(ids) for ids in sources])
        source = np.searchsorted(ends, np.arange(windows) * length, side="right")
        self.rows = [np.flatnonzero(source == i) for i in range(len(sources))]
        weights = weights or [1.0] * len(sources)
        self.counts = [round(w * len(rows)) for w, rows in zip(weights, self.rows)]
        self.per_pass = sum(self.counts) // batch
        if self.per_pass < 1:
            raise ValueError(f"{len(self.ids)} tokens are too few for {batch} windows of {length}")
        self.order_of = None

    def _order(self, random):
        chosen = []
        for rows, count in zip(self.rows, self.counts):
            copies = [random.permutation(rows) for _ in range(-(-count // max(1, len(rows))))]
            chosen += [np.concatenate(copies)[:count]] if copies else []
        return random.permutation(np.concatenate(chosen))

    def at(self, step):
        """Batch of a step (from 0): (batch, length + 1) ids."""
        epoch, place = divmod(step, self.per_pass)
        if self.order_of != epoch:
            random = np.random.default_rng([self.seed, epoch])
            self.offset = random.integers(self.length)
            self.order = self._order(random)
            self.order_of = epoch
        rows = self.order[place * self.batch : (place + 1) * self.batch]
        starts = self.offset + rows * self.length
        window = self.ids[starts[:, None] + np.arange(self.length + 1)]
        if self.line_end is not None:
            window[window[:, 0] == self.line_end, 0] = 0
        return torch.from_numpy(window.astype(np.int64))


def make_optimizer(model, peak):
    """AdamW; weight decay on the matrices of linear layers only."""
    matrices = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Linear)}
    groups = [[p for p in model.parameters() if (id(p) in matrices) == wanted]
              for wanted in (True, False)]
    return torch.optim.AdamW(
        [{"params": groups[0], "weight_decay": 0.1}, {"params": groups[1], "weight_decay": 0.0}],
        lr=peak, betas=(0.9, 0.99), fused=True)


def loss_of(model, window, bf16, reduction="mean"):
    wkv, _ = finch.fastest_wkv(model.config, window.device, CHUNK)
    with torch.autocast(window.device.type, dtype=torch.bfloat16, enabled=bf16):
        logits = model(window[:, :-1], wkv)
    return F.cross_entropy(logits.float().flatten(0, 1), window[:, 1:].flatten(),
                           reduction=reduction)


@torch.no_grad()
def bits_per_byte(model, ids, n_bytes, length, bf16, device):
    """Of a text given as ids, in windows that start with an empty state."""
    total = 0.0
    n = (len(ids) - 1) // length
    full = torch.from_numpy(ids[: n * length + 1].astype(np.int64)).unfold(0, length + 1, length)
    rest = torch.from_numpy(ids[n * length :].astype(np.int64))[None]
    for windows in [*full.split(16)] + ([rest] if rest.shape[1] > 1 else []):
        total += loss_of(model, windows.to(device), bf16, "sum").item()
    return total / math.log(2) / n_bytes


def sample_lines(path, limit):
    """About limit bytes of the lines of a file, spread evenly over it; all where limit is 0."""
    lines = path.read_bytes().splitlines(keepends=True)
    size = sum(map(len, lines))
    step = max(1, round(size / limit)) if limit else 1
    return lines[::step]


class Run:
    """A training run: state in memory, its checkpoint in a folder."""

    def __init__(self, arguments, data, heldout, heldout_bytes, vocabulary, vocab_size):
        self.a, self.heldout, self.heldout_bytes = arguments, heldout, heldout_bytes
        self.vocabulary = vocabulary
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(arguments.seed)
        config = finch.make_config(arguments.layers, arguments.width, vocab_size)
        self.model = finch.load(arguments.start) if arguments.start else finch.Rwkv6(config)
        if {**self.model.config, **config} != self.model.config:
            raise SystemExit(f"{arguments.start}: expected {config}, got {self.model.config}")
        self.model.to(self.device)
        self.optimizer = make_optimizer(self.model, arguments.lr)
        self.compiled = torch.compile(self.model) if arguments.compile else self.model
        self.data = data
        self.ranks = Ranks()
        self.step, self.seconds, self.curve, self.loss = 0, 0.0, [], float("nan")
        names = ("layers", "width", "batch", "length", "seed", "lr", "warmup", "bf16", "compile")
        self.settings = {name: getattr(arguments, name) for name in names}
        self.settings["data"] = hashlib.sha256(data.ids.tobytes()).hexdigest()
        self.path = arguments.output / "checkpoint.pt"
        if self.path.exists():
            self.resume()

    def resume(self):
        state = torch.load(self.path, map_location=self.device, weights_only=True)
        loop.check_settings(self.path, state["settings"], self.settings)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"].cpu())
        self.step, self.seconds = state["step"], state["seconds"]
        self.curve, self.loss = state["curve"], state["loss"]
        print(f"going on from step {self.step}", file=sys.stderr)

    def save(self):
        if self.ranks.own:
            return
        self.model.eval()
        bpb = bits_per_byte(self.model, self.heldout, self.heldout_bytes, self.a.length,
                            self.a.bf16, self.device)
        self.model.train()
        tokens = self.step * self.ranks.count * self.a.batch * self.a.length
        self.curve.append([self.step, tokens, round(self.seconds, 1), self.loss, bpb])
        loop.save_checkpoint(self.path, {
            "settings": self.settings, "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(), "rng": torch.get_rng_state(),
            "step": self.step, "seconds": self.seconds, "curve": self.curve, "loss": self.loss})
        head = ["step", "tokens", "seconds", "train_loss", "heldout_bits_per_byte"]
        loop.write_curve(self.a.output / "curve.csv", head, self.curve)
        finch.export(self.model, self.vocabulary, self.a.output / "model")
        print(f"step {self.step}: held-out text {bpb:.4f} bits per byte")

    def train_step(self):
        for group in self.optimizer.param_groups:
            group["lr"] = self.a.lr * loop.rate_factor(self)
        windows = self.data.at(self.step * self.ranks.count + self.ranks.own).to(self.device)
        loss = loss_of(self.compiled, windows, self.a.bf16)
        self.loss = loss.item()
        loop.update(self, loss)
        return self.a.batch * self.a.length

    def train(self):
        loop.run(self)


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=corpus.TRAINING / "data")
    parser.add_argument("--output", type=Path, default=corpus.TRAINING / "runs" / "lm")
    parser.add_argument("--start", type=Path, help="folder of a model whose weights to start from, "
                        "instead of random ones; as large as --layers and --width say")
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=192, help="d_model, a multiple of 64")
    parser.add_argument("--batch", type=int, default=16, help="windows a step")
    parser.add_argument("--length", type=int, default=128, help="tokens a window")
    parser.add_argument("--steps", type=int, default=3_000)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--warmup", type=int, default=100, help="steps")
    parser.add_argument("--bf16", action="store_true", help="matrix products in bfloat16")
    parser.add_argument("--compile", action="store_true", help="torch.compile: a tenth faster")
    parser.add_argument("--heldout-bytes", type=int, default=60_000,
                        help="bytes of held-out text for the curve, 0: all of it")
    loop.add_arguments(parser, save_every=200)
    return parser.parse_args(argv)


def main(argv=None):
    arguments = parse(argv)
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    arguments.output.mkdir(parents=True, exist_ok=True)
    vocabulary = arguments.data / "vocab.txt"
    tokenizer = Tokenizer.read(vocabulary)
    texts = sorted((arguments.data / "text").glob("*.txt"))
    data = Windows([encode_file(tokenizer, path) for path in texts], arguments.batch,
                   arguments.length, arguments.seed, [WEIGHTS.get(p.stem, 1.0) for p in texts],
                   tokenizer.ids[b"\n"])
    lines = sample_lines(arguments.data / "heldout.txt", arguments.heldout_bytes)
    heldout = np.array([i for line in lines for i in tokenizer.encode(line)], dtype=np.uint16)
    print(f"{len(data.ids)} tokens to train on, {data.per_pass} steps a pass, {len(heldout)} held "
          "out", file=sys.stderr)
    run = Run(arguments, data, heldout, sum(map(len, lines)), vocabulary,
              len(tokenizer.tokens) + 1)
    run.train()
    return run


if __name__ == "__main__":
    main()
