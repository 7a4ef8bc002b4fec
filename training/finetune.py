#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tunes a Finch model for a task, with heads at several depths; one run.

    python finetune.py --task trec --seed 1 --output runs/trec-1

--objective says what is learned:

    alternate  odd steps: cross-entropy of the last exit; even steps: the mean of all exits'
               cross-entropy + 1/2 mean over the others of t^2 KL(last exit || exit), t = 2
    uniform    the mean of all exits' cross-entropy, every step
    layerdrop  LayerSkip's: blocks left out at random, block l of L with a chance of
               0.2 (2^((l - 1) / (L - 1)) - 1); all exits' cross-entropy, weights rising as l
    last       cross-entropy of the last exit; with --depth L --exits L a model of L blocks; with
               --teacher also 1/2 t^2 KL(teacher || exit)

Scores have squared error for cross-entropy, and the squared difference for KL. AdamW, linear
warm-up over a tenth of the steps, then a line to zero. --mask (a mask file of `fathom prune`)
leaves out sublayers before, while and after the model is tuned.

--output holds checkpoint.pt (written every --save-seconds and at SIGTERM; gone at the end), and at
the end model/ (Hugging Face folder, float32), exit.policy (for --depth exit:FILE; of one exit too),
mask.policy, logits.npz (of the calibration rows and the splits that are evaluated) and result.json.
The same command goes on from the checkpoint and gives what an unbroken run gives on the same
machine with the same number of threads.
"""

import argparse
import json
import math
import os
import platform
import shlex
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import corpus
import exits
import loop
import model as finch
import tasks
from vocabulary import Tokenizer

EXITS = [1, 2, 3, 4, 6, 9, 12]
EPOCHS = {"trec": 5, "sicke": 5, "mrpc": 4, "sst2": 1, "stsb": 4, "sickr": 5}
ROWS = {"sst2": 30_000}
TEMPERATURE = 2.0  # of KL
LAYER_DROP = 0.2
EVALUATED = 64  # examples a batch


def of_kl(of, towards):
    """t^2 KL(towards || of), mean over the examples; for one column, the squared difference."""
    if of.shape[-1] == 1:
        return (of - towards).square().mean()
    p = F.log_softmax(towards / TEMPERATURE, dim=-1)
    q = F.log_softmax(of / TEMPERATURE, dim=-1)
    return TEMPERATURE**2 * (p.exp() * (p - q)).sum(dim=-1).mean()


def task_losses(logits, gold):
    """(exits): cross-entropy, or squared error of scores between 0 and 1."""
    if logits.shape[-1] == 1:
        return (logits[..., 0] - gold).square().mean(dim=1)
    return torch.stack([F.cross_entropy(z, gold) for z in logits])


def loss_of(objective, step, logits, gold, layers, teacher=None):
    """step counts from 1."""
    last = logits[-1]
    if objective == "last" or (objective == "alternate" and step % 2 == 1):
        loss = task_losses(logits[-1:], gold)[0]
        return loss if teacher is None else loss + 0.5 * of_kl(last, teacher)
    losses = task_losses(logits, gold)
    if objective == "layerdrop":
        weights = torch.tensor(layers, dtype=losses.dtype, device=losses.device)
        return (losses * weights).sum() / weights.sum()
    loss = losses.mean()
    if objective == "alternate" and len(layers) > 1:
        loss = loss + 0.5 * torch.stack([of_kl(z, last.detach()) for z in logits[:-1]]).mean()
    return loss


def drop_chance(block, n_layer):
    """That LayerSkip leaves out a block, from 0."""
    return LAYER_DROP * (2 ** (block / max(1, n_layer - 1)) - 1)


def batches_of(n, batch, seed, epoch):
    """Every row once, in an order of the seed and the epoch."""
    order = np.random.default_rng([seed, 2, epoch]).permutation(n)
    return [order[i : i + batch] for i in range(0, n, batch)]


def encoded(tokenizer, rows):
    """Ids of each text; of a pair a and b behind each other."""
    parts = [rows.a] if rows.b is None else [rows.a, rows.b]
    return [np.array(tokenizer.encode(text), dtype=np.int64)
            for texts in zip(*parts) for text in texts]


def texts_at(texts, examples, width):
    return [texts[width * i + j] for i in examples for j in range(width)]


@torch.no_grad()
def predict(model, texts, bf16=False):
    """(exits, examples, classes) as float32, in batches of like lengths."""
    model.eval()
    width = 2 if model.task.is_pair else 1
    n = len(texts) // width
    size = [sum(len(t) for t in texts_at(texts, [i], width)) for i in range(n)]
    order = np.argsort(size, kind="stable")
    parts = [model(texts_at(texts, order[i : i + EVALUATED], width), bf16).float().cpu()
             for i in range(0, n, EVALUATED)]
    model.train()
    return torch.cat(parts, dim=1)[:, np.argsort(order)]


def accuracy(answers, gold):
    return float((answers == gold).mean())


def f1(answers, gold):
    hits = float(((answers == 1) & (gold == 1)).sum())
    return 2 * hits / max(1.0, float((answers == 1).sum() + (gold == 1).sum()))


def ranks_of(x):
    values, place, counts = np.unique(x, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[place]


def pearson(x, y):
    return float(np.corrcoef(x, y)[0, 1]) if np.std(x) > 0 and np.std(y) > 0 else math.nan


def spearman(x, y):
    return pearson(ranks_of(x), ranks_of(y))


METRICS = {"accuracy": accuracy, "f1": f1, "pearson": pearson, "spearman": spearman}


def answers_of(task, logits):
    """(..., classes) to classes, or scores in the units of the task."""
    if task.n_class > 1:
        return logits.argmax(axis=-1)
    return task.lowest + (task.highest - task.lowest) * logits[..., 0]


def negative_log_likelihood(logits, gold, temperature=1.0):
    z = logits.astype(np.float64) / temperature
    z = z - z.max(axis=-1, keepdims=True)
    return float((np.log(np.exp(z).sum(axis=-1)) - z[np.arange(len(gold)), gold.astype(int)]).mean())


def fit_temperature(logits, gold):
    """Minimises the negative log likelihood: golden section on ln T, 1/20 to 20."""
    low, high = -math.log(20), math.log(20)
    golden = (math.sqrt(5) - 1) / 2
    a, b = high - golden * (high - low), low + golden * (high - low)
    f = {x: negative_log_likelihood(logits, gold, math.exp(x)) for x in (a, b)}
    while high - low > 1e-4:
        if f[a] < f[b]:
            high, b = b, a
            a = high - golden * (high - low)
            f[a] = negative_log_likelihood(logits, gold, math.exp(a))
        else:
            low, a = a, b
            b = low + golden * (high - low)
            f[b] = negative_log_likelihood(logits, gold, math.exp(b))
    return math.exp((low + high) / 2)


def margins_of(logits, temperatures):
    """(exits, examples): largest minus second largest probability."""
    z = logits.astype(np.float64) / np.asarray(temperatures)[:, None, None]
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    p = np.sort(p / p.sum(axis=-1, keepdims=True), axis=-1)
    return p[..., -1] - p[..., -2]


def leaves_at(margins, threshold):
    """The exit of each example: the first that is sure, else the last."""
    sure = margins >= threshold
    sure[-1] = True
    return sure.argmax(axis=0)


def choose_threshold(logits, gold, temperatures, layers, loss=0.01):
    """The cheapest threshold on margins that keeps (1 - loss) of the last exit's accuracy, all on
    these rows."""
    margins = margins_of(logits, temperatures)
    right = logits.argmax(axis=-1) == gold
    best = (layers[-1], exits.NEVER)  # (mean layer, threshold)
    grid = np.quantile(margins[:-1], np.linspace(0, 1, 101)) if len(layers) > 1 else []
    for threshold in grid:
        leaves = leaves_at(margins, threshold)
        quality = right[leaves, np.arange(len(gold))].mean()
        cost = float(np.asarray(layers)[leaves].mean())
        if quality >= (1 - loss) * right[-1].mean() and cost < best[0]:
            best = (cost, float(threshold))
    return best[1]


def make_optimizer(model, a):
    """AdamW; weight decay on matrices only. Each group knows its peak rate."""
    matrices = {id(m.weight) for m in model.modules() if isinstance(m, torch.nn.Linear)}
    groups = []
    for part, rate in ((model.body.rwkv, a.lr), (model.exits, a.lr_heads)):
        for decays in (True, False):
            parameters = [p for p in part.parameters() if (id(p) in matrices) == decays]
            groups.append({"params": parameters, "peak": rate, "lr": rate,
                           "weight_decay": a.weight_decay if decays else 0.0})
    return torch.optim.AdamW(groups, fused=True)


class Run:
    """State in memory, its checkpoint in a folder."""

    def __init__(self, a):
        self.a = a
        self.task = tasks.TASKS[a.task]
        self.width = 2 if self.task.is_pair else 1
        self.tokenizer = Tokenizer.read(a.start / "vocab.txt")
        rows, self.calibration = tasks.cut(self.task, a.seed, a.rows, a.data)
        if a.all_rows:
            rows = rows.with_more(self.calibration)
        self.texts = encoded(self.tokenizer, rows)
        self.gold = self.golds(rows)
        self.n = len(rows)
        self.per_epoch = -(-self.n // a.batch)
        self.steps = a.epochs * self.per_epoch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(a.seed)
        body = exits.truncate(finch.load(a.start), a.depth)
        if max(a.exits) != body.config["num_hidden_layers"]:
            raise SystemExit(f"--exits: the last is {max(a.exits)}, the model has "
                             f"{body.config['num_hidden_layers']} blocks")
        sublayers = exits.read_mask(a.mask) if a.mask else None
        self.model = exits.ExitModel(body, self.task, a.exits, sublayers, a.dropout).to(self.device)
        self.optimizer = make_optimizer(self.model, a)
        self.teacher = self.taught() if a.teacher else None
        self.step, self.seconds, self.tokens, self.curve = 0, 0.0, 0, []
        self.loss = float("nan")
        names = ("task", "objective", "depth", "exits", "seed", "epochs", "rows", "batch", "lr",
                 "lr_heads", "weight_decay", "warmup", "clip", "dropout", "bf16", "all_rows")
        self.settings = {name: getattr(a, name) for name in names}
        self.settings |= {"mask": sublayers, "teacher": a.teacher and str(a.teacher),
                          "start": exits.fingerprint(finch.load(a.start))["weights"]}
        self.path = a.output / "checkpoint.pt"
        if self.path.exists():
            self.resume()

    def golds(self, rows):
        if self.task.n_class > 1:
            return torch.from_numpy(rows.gold.astype(np.int64))
        spread = self.task.highest - self.task.lowest
        return torch.from_numpy((rows.gold - self.task.lowest) / spread).float()

    def taught(self):
        """Logits of the teacher's last exit on the training rows: (rows, classes)."""
        path = self.a.output / "teacher.npy"
        if not path.exists():
            teacher = load_run(self.a.teacher, self.task).to(self.device)
            logits = predict(teacher, self.texts, self.a.bf16)[-1].numpy()
            with open(path.with_suffix(".tmp"), "wb") as file:
                np.save(file, logits)
            os.replace(path.with_suffix(".tmp"), path)
        return torch.from_numpy(np.load(path))

    def resume(self):
        state = torch.load(self.path, map_location=self.device, weights_only=True)
        loop.check_settings(self.path, state["settings"], self.settings)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"].cpu())
        if self.device == "cuda":
            torch.cuda.set_rng_state(state["rng_cuda"].cpu())
        for name in ("step", "seconds", "tokens", "curve", "loss"):
            setattr(self, name, state[name])
        print(f"going on from step {self.step}", file=sys.stderr)

    def save(self):
        state = {name: getattr(self, name)
                 for name in ("settings", "step", "seconds", "tokens", "curve", "loss")}
        if self.device == "cuda":
            state["rng_cuda"] = torch.cuda.get_rng_state()
        loop.save_checkpoint(self.path, {
            **state, "model": self.model.state_dict(), "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state()})

    def rate_factor(self):
        warmup = max(1.0, self.a.warmup * self.steps)
        left = (self.steps - self.step) / max(1.0, self.steps - warmup)
        return min((self.step + 1) / warmup, left)

    def dropped(self):
        """The sublayers of this step."""
        if self.a.objective != "layerdrop":
            return None
        layers = self.model.layers[-1]
        keep = [bool(torch.rand(()) >= drop_chance(i, layers)) for i in range(layers)]
        return [(k, k) for k in keep]

    def train_step(self):
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * self.rate_factor()
        epoch, place = divmod(self.step, self.per_epoch)
        examples = batches_of(self.n, self.a.batch, self.a.seed, epoch)[place]
        texts = texts_at(self.texts, examples, self.width)
        logits = self.model(texts, self.a.bf16, self.dropped())
        teacher = None if self.teacher is None else self.teacher[examples].to(self.device)
        loss = loss_of(self.a.objective, self.step + 1, logits, self.gold[examples].to(self.device),
                       self.model.layers, teacher)
        self.loss = loss.item()
        if not math.isfinite(self.loss):
            raise SystemExit(f"step {self.step}: the loss is {self.loss}")
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            [p for p in self.model.parameters() if p.grad is not None], self.a.clip)
        self.optimizer.step()
        self.step += 1
        self.tokens += sum(map(len, texts))
        if self.step % self.per_epoch == 0:
            self.look()

    def look(self):
        """What the calibration rows say after an epoch; nothing follows from it."""
        rng = torch.get_rng_state()
        logits = predict(self.model, encoded(self.tokenizer, self.calibration), self.a.bf16)
        torch.set_rng_state(rng)
        answers = answers_of(self.task, logits.numpy())
        metric = METRICS[self.task.metrics[0]]
        scores = [round(metric(x, self.calibration.gold), 4) for x in answers]
        self.curve.append([self.step, round(self.seconds, 1), round(self.loss, 4), *scores])
        print(f"step {self.step}: calibration rows " + " ".join(f"{s:.3f}" for s in scores),
              flush=True)

    def train(self):
        """Whether it came to its end."""
        stop = []
        before = signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
        begun = saved = told = time.monotonic()
        first = self.step
        try:
            while self.step < self.steps:
                start = time.monotonic()
                self.train_step()
                now = time.monotonic()
                self.seconds += now - start
                if now - told >= self.a.line_seconds:
                    told = now
                    left = (self.steps - self.step) * (now - begun) / (self.step - first)
                    print(f"step {self.step}/{self.steps} loss {self.loss:.4f} "
                          f"{self.tokens / self.seconds:.0f} tokens/s {left / 60:.1f} min left",
                          file=sys.stderr, flush=True)
                if self.a.minutes is not None and now - begun >= 60 * self.a.minutes:
                    stop.append(True)
                if stop or now - saved >= self.a.save_seconds or self.step == self.steps:
                    self.save()
                    saved = now
                if stop:
                    return False
        finally:
            signal.signal(signal.SIGTERM, before)
        return True

    def finish(self):
        a, model, task = self.a, self.model, self.task
        logits, gold, tokens = {}, {}, {}
        for split in ["calibration", *(s for s in task.splits if s != "train")]:
            rows = self.calibration if split == "calibration" else tasks.load(task, split, a.data)
            texts = encoded(self.tokenizer, rows)
            logits[split], gold[split] = predict(model, texts, a.bf16).numpy(), rows.gold
            tokens[split] = np.array([len(ids) for ids in texts]).reshape(-1, self.width).sum(1)
        temperatures, threshold = [1.0] * len(model.layers), 0.0
        if task.n_class > 1:
            temperatures = [fit_temperature(z, gold["calibration"]) for z in logits["calibration"]]
            threshold = choose_threshold(logits["calibration"], gold["calibration"], temperatures,
                                         model.layers)
        if model.sublayers:
            exits.silence(model.body, model.sublayers)
        result = {
            "settings": self.settings, "command": shlex.join(["training/finetune.py", *a.told]),
            "training_rows": self.n, "calibration_rows": len(self.calibration),
            "steps": self.steps, "tokens": self.tokens, "seconds": round(self.seconds, 1),
            "torch": torch.__version__, "threads": torch.get_num_threads(),
            "machine": "cuda" if self.device == "cuda" else platform.machine(),
            "layers": model.layers, "temperatures": [round(t, 4) for t in temperatures],
            "threshold": threshold, "curve": self.curve,
            "splits": {split: self.figures(logits[split], gold[split], temperatures)
                       for split in logits}}
        a.output.mkdir(parents=True, exist_ok=True)
        finch.export(model.body, a.start / "vocab.txt", a.output / "model", torch.float32)
        fitted = {"task": task.name, "command": result["command"], "rows": self.n,
                  "calibration_rows": len(self.calibration), "target": "on the calibration rows "
                  "at least 99 % of the last exit's accuracy, without a guarantee"}
        exits.write_policy(a.output / "exit.policy", model, temperatures,
                           [threshold] * len(model.layers), fitted)
        if model.sublayers:
            exits.write_mask(a.output / "mask.policy", model.body, model.sublayers, fitted)
        temporary = a.output / "logits.tmp"
        with open(temporary, "wb") as file:
            np.savez_compressed(file, layers=model.layers, temperatures=temperatures, **{
                f"{split}.{name}": value for split in logits for name, value in (
                    ("logits", logits[split]), ("gold", gold[split]), ("tokens", tokens[split]))})
        os.replace(temporary, a.output / "logits.npz")
        exits.write(a.output / "result.json", json.dumps(result, indent=1) + "\n")
        self.path.unlink(missing_ok=True)
        return result

    def figures(self, logits, gold, temperatures):
        answers = answers_of(self.task, logits)
        figures = {"rows": len(gold)}
        for name in self.task.metrics:
            figures[name] = [round(METRICS[name](x, gold), 4) for x in answers]
        if self.task.n_class > 1:
            figures["nll"] = [round(negative_log_likelihood(z, gold, t), 4)
                              for z, t in zip(logits, temperatures)]
        return figures


def load_run(folder, task):
    """The model of a finished run, with its exits."""
    policy, arrays = exits.read_policy(folder / "exit.policy")
    layers = [e["layer"] for e in policy["exit"]["exits"]]
    model = exits.ExitModel(finch.load(folder / "model"), task, layers)
    with torch.no_grad():
        for layer, head in zip(layers, model.exits):
            head.mean.copy_(torch.from_numpy(arrays[f"layer.{layer}.post.mean"]))
            head.scale.copy_(torch.from_numpy(arrays[f"layer.{layer}.post.scale"]))
            weight, bias = (torch.from_numpy(arrays[f"exit.{layer}.head.{name}"])
                            for name in ("weight", "bias"))
            if task.n_class == 1:
                spread = task.highest - task.lowest
                weight, bias = weight / spread, (bias - task.lowest) / spread
            head.head.weight.copy_(weight)
            head.head.bias.copy_(bias)
    return model


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=tasks.TASKS, required=True)
    parser.add_argument("--objective", choices=["alternate", "uniform", "layerdrop", "last"],
                        default="alternate")
    parser.add_argument("--data", type=Path, help="folder with glue/, senteval/, sick/ "
                        "[$FATHOM_SHARED/data]")
    parser.add_argument("--start", type=Path,
                        default=corpus.TRAINING.parent / "models" / "finch-lm")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--depth", type=int, help="blocks [all]")
    parser.add_argument("--exits", type=lambda s: [int(x) for x in s.split(",")],
                        default=EXITS, help="blocks behind which there is a head [1,2,3,4,6,9,12]")
    parser.add_argument("--mask", type=Path, help="mask file of the engine")
    parser.add_argument("--teacher", type=Path, help="folder of a finished run, for its last exit")
    parser.add_argument("--epochs", type=int, help="[5; mrpc, stsb 4; sst2 1]")
    parser.add_argument("--rows", type=int, help="training rows at most [all; sst2 30000]")
    parser.add_argument("--all-rows", action="store_true", help="train on the calibration rows, "
                        "too: for models that choose nothing on them")
    parser.add_argument("--batch", type=int, default=32, help="examples a step")
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--lr-heads", type=float, default=2.5e-3)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    parser.add_argument("--warmup", type=float, default=0.1, help="share of the steps")
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--dropout", type=float, default=0.1, help="of what heads see")
    parser.add_argument("--bf16", action="store_true", help="matrix products in bfloat16")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save-seconds", type=float, default=90, help="between checkpoints")
    parser.add_argument("--line-seconds", type=float, default=20, help="between progress lines")
    parser.add_argument("--minutes", type=float, help="stop after this long, with a checkpoint")
    a = parser.parse_args(argv)
    a.told = sys.argv[1:] if argv is None else list(argv)
    a.epochs = a.epochs or EPOCHS[a.task]
    a.rows = ROWS.get(a.task, 0) if a.rows is None else a.rows
    return a


def main(argv=None):
    a = parse(argv)
    torch.set_num_threads(a.threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # all of it is written anyway
    loop.keep_memory()
    a.output.mkdir(parents=True, exist_ok=True)
    run = Run(a)
    return run.finish() if run.train() else None


if __name__ == "__main__":
    main()
