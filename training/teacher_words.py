#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The teacher's vectors of the words of the lessons, for the embedder's word loss.

The teacher's sentence vector is the mean of its last hidden states. What a word (text between
blanks) has in that sum is the target here: the states of its pieces, and its part of the two marks
around the sentence. After teacher.py; writes DATA/teacher/words/NNNN.npy, (words, 384) float16 for
each BLOCK lessons. Goes on where it stopped; --lessons ends it earlier.
"""

import argparse
import bisect
import os
import re
import sys
import time
from pathlib import Path

import numpy as np
import torch

import corpus
from lessons import read_sentences
from teacher import DIMENSION, Teacher, find_model

BLOCK = 2048
WORD = re.compile(r"[^ \t]+")


def word_starts(sentence):
    """Places where the words of a text (str or bytes) start, at least one."""
    pattern = WORD if isinstance(sentence, str) else re.compile(WORD.pattern.encode())
    return [m.start() for m in pattern.finditer(sentence)] or [0]


def word_of(starts, place):
    return max(0, bisect.bisect_right(starts, place) - 1)


def token_words(tokens, sentence):
    """The word of each token: the one that its last byte lies in. tokens: lists of bytes."""
    starts, end, words = word_starts(sentence), 0, []
    for token in tokens:
        end += len(token)
        words.append(word_of(starts, end - 1))
    return np.array(words, dtype=np.int64)


@torch.no_grad()
def words_of(teacher, sentences):
    """List of (words, 384) arrays, whose sum is the sum of the teacher's hidden states."""
    encoded = teacher.tokenizer.encode_batch(sentences)
    hidden = teacher.hidden(encoded)
    results = []
    for e, states, sentence in zip(encoded, hidden, sentences):
        starts = word_starts(sentence)
        rows = np.zeros((len(starts), DIMENSION), dtype=np.float32)
        marks = np.zeros(DIMENSION, dtype=np.float32)
        for state, (begin, end), counts in zip(states.numpy(), e.offsets, e.attention_mask):
            if begin < end:
                rows[word_of(starts, begin)] += state
            elif counts:
                marks += state
        results.append(rows + marks / len(rows))
    return results


class Words:
    """What this program has written: rows(i) are the (words, 384) vectors of lesson i < done."""

    def __init__(self, folder):
        sentences = read_sentences(folder)
        self.blocks = []
        while (path := folder / "words" / f"{len(self.blocks):04}.npy").exists():
            self.blocks.append(np.load(path, mmap_mode="r"))
        self.done = min(len(sentences), BLOCK * len(self.blocks))
        counts = [len(word_starts(s)) for s in sentences[: self.done]]
        self.starts = [np.concatenate([[0], np.cumsum(counts[i : i + BLOCK])])
                       for i in range(0, self.done, BLOCK)]
        for block, starts in zip(self.blocks, self.starts):
            if len(block) != starts[-1]:
                raise SystemExit(f"{folder}/words: made from other lessons, remove it")

    def rows(self, i):
        block, place = divmod(i, BLOCK)
        starts = self.starts[block]
        return self.blocks[block][starts[place] : starts[place + 1]]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=corpus.TRAINING / "data")
    parser.add_argument("--model", type=Path, help="folder of the teacher's files")
    parser.add_argument("--lessons", type=int, help="no more than these [all]")
    a = parser.parse_args()
    torch.set_num_threads(1)
    folder = a.data / "teacher"
    sentences = read_sentences(folder)[: a.lessons]
    teacher = Teacher(a.model or find_model())
    (folder / "words").mkdir(exist_ok=True)
    begun, made = time.monotonic(), 0
    for number, start in enumerate(range(0, len(sentences), BLOCK)):
        path = folder / "words" / f"{number:04}.npy"
        block = sentences[start : start + BLOCK]
        if path.exists() or (len(block) < BLOCK and a.lessons):
            continue
        order = sorted(range(len(block)), key=lambda i: len(block[i]))
        rows = [None] * len(block)
        for some in range(0, len(block), 64):
            chosen = order[some : some + 64]
            for i, words in zip(chosen, words_of(teacher, [block[i] for i in chosen])):
                rows[i] = words
        temporary = path.with_suffix(".tmp")
        with open(temporary, "wb") as file:
            np.save(file, np.concatenate(rows).astype(np.float16))
        os.replace(temporary, path)
        made += len(block)
        speed = made / (time.monotonic() - begun)
        print(f"{start + len(block)}/{len(sentences)} sentences {speed:.0f}/s "
              f"{(len(sentences) - start - len(block)) / speed / 60:.1f} min left",
              file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
