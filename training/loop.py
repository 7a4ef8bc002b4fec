# SPDX-License-Identifier: Apache-2.0
"""Steps of a trainer with a progress line and checkpoints, until all are done or the time is up."""

import sys
import time


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
