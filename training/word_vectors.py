#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes static word vectors in GloVe's text format from the filtered text and pairs.

Counts words within --window (nearer ones weigh more), takes positive pointwise mutual information
with smoothed contexts, and factors it by a truncated SVD. --output: a word and its numbers a line,
the most frequent first; compressed where the name ends in .xz. Takes minutes; a run that is
interrupted starts again, except that the counts are kept in DATA/words.npz.
"""

import argparse
import hashlib
import json
import lzma
import re
import sys
import time
from pathlib import Path

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import svds

import corpus

WORD = re.compile(r"[a-z]+(?=n't\b)|n't\b|'(?:s|re|ve|ll|d|m)\b|[^\W_]+|[^\w\s]")
CHUNK = 1_000_000  # words counted at a time
GAP = 5  # places between two lines


def words_of(line):
    return WORD.findall(line.lower().replace("’", "'"))


def lines_of(data):
    """Lines of the text; of pairs each distinct sentence of a row."""
    for path in sorted(data.glob("text/*.txt")):
        with open(path, encoding="utf-8") as file:
            yield from file
    for path in sorted(data.glob("pairs/*.tsv")):
        with open(path, encoding="utf-8") as file:
            for line in file:
                yield from dict.fromkeys(line.rstrip("\n").split("\t")[1:])


def encode(lines, size):
    """The most frequent words, and the text as their places (size: another word, or no word)."""
    places, order, parts, part = {}, [], [], []
    for line in lines:
        for word in words_of(line):
            place = places.get(word)
            if place is None:
                place = places[word] = len(order)
                order.append(word)
            part.append(place)
        part.extend([-1] * GAP)
        if len(part) > CHUNK:
            parts.append(np.array(part, dtype=np.int32))
            part = []
    text = np.concatenate([*parts, np.array(part, dtype=np.int32)])
    counts = np.bincount(text[text >= 0], minlength=len(order))
    best = sorted(range(len(order)), key=lambda i: (-counts[i], order[i]))[:size]
    new = np.full(len(order) + 1, len(best), dtype=np.int32)
    new[best] = np.arange(len(best))
    return [order[i] for i in best], new[text]  # -1 is the last of `new`


def count_pairs(text, size, window):
    """Sparse symmetric counts of words near each other, 1/distance each."""
    total = sparse.csr_matrix((size, size), dtype=np.float32)
    for start in range(0, len(text), CHUNK):
        part = text[start : start + CHUNK + window]
        for distance in range(1, window + 1):
            a, b = part[:-distance][:CHUNK], part[distance:][:CHUNK]
            known = (a < size) & (b < size)
            weight = np.full(known.sum(), 1 / distance, dtype=np.float32)
            total = total + sparse.coo_matrix((weight, (a[known], b[known])),
                                              shape=(size, size)).tocsr()
        print(f"{min(start + CHUNK, len(text))}/{len(text)} words, {total.nnz} pairs",
              file=sys.stderr)
    return (total + total.T).tocsr()


def ppmi(counts, smoothing=0.75):
    """log(p(a, b) / p(a) p(b)) where it is above 0; p(b) is of counts to a power."""
    rows = np.asarray(counts.sum(axis=1)).ravel()
    context = rows**smoothing
    context /= context.sum()
    result = counts.tocoo()
    value = np.log(np.maximum(result.data, 1e-12) / (rows[result.row] * context[result.col]))
    kept = value > 0
    return sparse.csr_matrix((value[kept].astype(np.float32),
                              (result.row[kept], result.col[kept])), shape=counts.shape)


def factor(matrix, dim, seed, power=1.0):
    """Word vectors: U times the singular values to a power, largest direction first."""
    start = np.random.default_rng(seed).standard_normal(matrix.shape[0])
    u, s, _ = svds(matrix, k=dim, v0=start.astype(matrix.dtype))
    order = np.argsort(-s)
    u = u[:, order] * np.sign(u[np.abs(u).argmax(axis=0), np.arange(dim)])[order]
    return u * s[order] ** power


def write(path, words, vectors, digits):
    opener = lzma.open if path.suffix == ".xz" else open
    with opener(path, "wt", encoding="utf-8", newline="\n") as file:
        for word, vector in zip(words, vectors):
            numbers = " ".join(f"{x:.{digits}f}" for x in vector)
            file.write(f"{word} {numbers}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=corpus.TRAINING / "data")
    parser.add_argument("--output", type=Path, help="[DATA/words-50d.txt.xz]")
    parser.add_argument("--words", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=50)
    parser.add_argument("--window", type=int, default=5)
    parser.add_argument("--digits", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    start = time.monotonic()
    kept = a.data / "words.npz"
    source = (a.data / "filter.json").read_bytes()
    key = hashlib.sha256(source + f"{a.words} {a.window}".encode()).hexdigest()
    if kept.exists() and str(np.load(kept)["key"]) == key:
        stored = np.load(kept)
        words = json.loads(str(stored["words"]))
        counts = sparse.csr_matrix((stored["data"], stored["indices"], stored["indptr"]))
    else:
        words, text = encode(lines_of(a.data), a.words)
        print(f"{len(text)} words, {time.monotonic() - start:.0f} s", file=sys.stderr)
        counts = count_pairs(text, len(words), a.window)
        np.savez(kept, key=key, words=json.dumps(words), data=counts.data,
                 indices=counts.indices, indptr=counts.indptr)
    vectors = factor(ppmi(counts), a.dim, a.seed)
    vectors /= np.abs(vectors).max() / 5
    output = a.output or a.data / "words-50d.txt.xz"
    write(output, words, vectors, a.digits)
    print(f"{output}: {len(words)} words x {a.dim}; {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
