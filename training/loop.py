# SPDX-License-Identifier: Apache-2.0
"""What trainers have in common: steps with a progress line and checkpoints, curves, arguments."""

import csv
import os
import sys
import time

import torch


def run(trainer, status=lambda: ""):
    """trainer: a (steps, minutes, save_every, line_seconds), ranks, step, seconds, loss;
    train_step(), which returns its tokens; save(). status(): more for the progress line."""
    a = trainer.a
    if trainer.ranks.count > 1 and a.minutes is not None:
        raise SystemExit("--minutes: one process only, the clocks of several do not agree")
    begun = last_line = time.monotonic()
    first, tokens = trainer.step, 0
    while trainer.step < a.steps:
        start = time.monotonic()
        tokens += trainer.train_step()
        now = time.monotonic()
        trainer.seconds += now - start
        if now - last_line >= a.line_seconds and not trainer.ranks.own:
            last_line = now
            left = (a.steps - trainer.step) * (now - begun) / (trainer.step - first)
            print(f"step {trainer.step}/{a.steps} loss {trainer.loss:.4f}{status()} "
                  f"{tokens / (now - begun):.0f} tokens/s {left / 60:.1f} min left",
                  file=sys.stderr, flush=True)
        stop = a.minutes is not None and now - begun >= 60 * a.minutes
        if stop or trainer.step % a.save_every == 0 or trainer.step == a.steps:
            trainer.save()
        if stop:
            return


def save_checkpoint(path, state):
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_curve(path, head, rows):
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    os.replace(temporary, path)


def add_arguments(parser, save_every):
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=save_every, help="steps")
    parser.add_argument("--minutes", type=float, help="stop after this long, with a checkpoint")
    parser.add_argument("--line-seconds", type=float, default=10, help="between progress lines")
