# SPDX-License-Identifier: Apache-2.0
"""What trainers have in common: steps with a progress line and checkpoints, curves, arguments."""

import csv
import ctypes
import math
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


def update(trainer, loss):
    """One step of the optimiser, by the mean of all ranks' gradients. trainer.loss is checked."""
    trainer.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    trainer.ranks.share_gradients(trainer.model.parameters())
    torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
    trainer.optimizer.step()
    if not math.isfinite(trainer.loss):
        raise SystemExit(f"step {trainer.step}: the loss is {trainer.loss}")
    trainer.step += 1


def rate_factor(trainer):
    """Of the learning rate: linear warm-up, constant, a straight line to zero in the last 40 %."""
    a = trainer.a
    left = (a.steps - trainer.step) / max(1.0, 0.4 * a.steps)
    return min(1.0, (trainer.step + 1) / a.warmup, left)


def main(make, arguments):
    torch.set_num_threads(arguments.threads)
    arguments.output.mkdir(parents=True, exist_ok=True)
    trainer = make(arguments)
    trainer.train()
    return trainer


def save_checkpoint(path, state):
    temporary = path.with_name(path.name + ".tmp")
    with open(temporary, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def check_settings(path, made_with, settings):
    """A checkpoint goes on only as it was begun."""
    if made_with != settings:
        raise SystemExit(f"{path}: made with {made_with}, not {settings}")


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


def keep_memory(size=1 << 30):
    """Freed memory stays with the process, and the first `size` bytes lie in huge pages (Linux with
    glibc; elsewhere nothing): steps take and free the same sizes again, and a page that the
    processor has to look up costs more than reading it. Call it before memory is used."""
    try:
        libc = ctypes.CDLL(None)
        mallopt, madvise = libc.mallopt, libc.madvise
    except (AttributeError, OSError):
        return
    mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
    mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD
    libc.malloc.restype = ctypes.c_void_p
    begin = libc.malloc(ctypes.c_size_t(size - 4096))
    if begin:
        huge = 2 << 20
        first = -(-begin // huge) * huge
        madvise(ctypes.c_void_p(first), ctypes.c_size_t((begin + size - first) // huge * huge - huge),
                14)  # MADV_HUGEPAGE
        libc.free(ctypes.c_void_p(begin))
