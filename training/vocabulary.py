#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Finds a vocabulary of byte tokens on the filtered text, and tokenizes with it.

Byte-pair merges are counted over words (a space may only lead a word), a third more than asked
for; then the tokens that greedy longest match uses least are dropped, since that is how the
engine's trie tokenizer applies them. The file has the form of rwkv_vocab_v20230424.txt: ids 1 to
256 are the bytes, 0 (not in the file) is the end of text.
"""

import argparse
import ast
import os
import re
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import corpus

WORD = re.compile(rb"'(?:s|t|re|ve|ll|d|m)(?![a-z])| ?[A-Za-z]+| ?[0-9]{1,3}"
                  rb"| ?[^\sA-Za-z0-9]+|\s")
# No token has a space but in front, so longest match never crosses the place before a space.
CHUNK = re.compile(rb" ?[^ ]*")
WORD_TYPES = 80_000


class Tokenizer:
    """Greedy longest match over byte tokens; id = place in the list + 1."""

    def __init__(self, tokens):
        self.tokens = tokens
        self.ids = {token: i + 1 for i, token in enumerate(tokens)}
        self.longest = max(map(len, tokens))
        self.spaces_lead = all(b" " not in token[1:] for token in tokens)
        self.cache = {}

    @classmethod
    def read(cls, path):
        tokens = []
        for line in Path(path).read_text(encoding="utf-8").splitlines():
            number, rest = line.split(" ", 1)
            literal, size = rest.rsplit(" ", 1)
            token = ast.literal_eval(literal)
            token = token.encode() if isinstance(token, str) else token
            if int(number) != len(tokens) + 1 or int(size) != len(token):
                raise ValueError(f"{path}: line {len(tokens) + 1}: {line!r}")
            tokens.append(token)
        return cls(tokens)

    def write(self, path):
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            for i, token in enumerate(self.tokens):
                try:
                    literal = repr(token.decode())
                except UnicodeDecodeError:
                    literal = repr(token)
                file.write(f"{i + 1} {literal} {len(token)}\n")

    def encode(self, data):
        """Ids of bytes."""
        if not self.spaces_lead:
            return self._match(data)
        ids = []
        for chunk in CHUNK.findall(data):
            known = self.cache.get(chunk)
            if known is None:
                known = self._match(chunk)
                if len(self.cache) < 1_000_000:
                    self.cache[chunk] = known
            ids.extend(known)
        return ids

    def decode(self, ids):
        return b"".join(self.tokens[i - 1] for i in ids if i > 0)

    def _match(self, data):
        ids, start = [], 0
        while start < len(data):
            for end in range(min(len(data), start + self.longest), start, -1):
                token = self.ids.get(data[start:end])
                if token is not None:
                    ids.append(token)
                    start = end
                    break
        return ids


def merge_pairs(words, merges):
    """Byte-pair encoding: the merged tokens, most frequent pair first (ties: smaller bytes).

    words: {bytes: count}.
    """
    parts = [[bytes([b]) for b in word] for word in words]
    counts = list(words.values())
    pairs, places = Counter(), defaultdict(set)
    for i, word in enumerate(parts):
        for pair in zip(word, word[1:]):
            pairs[pair] += counts[i]
            places[pair].add(i)
    tokens = []
    while pairs and len(tokens) < merges:
        best = min(pairs.items(), key=lambda item: (-item[1], item[0]))[0]
        merged = best[0] + best[1]
        tokens.append(merged)
        for i in places.pop(best):
            old = parts[i]
            new, j = [], 0
            while j < len(old):
                if j + 1 < len(old) and old[j] == best[0] and old[j + 1] == best[1]:
                    new.append(merged)
                    j += 2
                else:
                    new.append(old[j])
                    j += 1
            for pair in zip(old, old[1:]):
                pairs[pair] -= counts[i]
                if pairs[pair] == 0:
                    del pairs[pair]
            for pair in zip(new, new[1:]):
                pairs[pair] += counts[i]
                places[pair].add(i)
            parts[i] = new
        pairs.pop(best, None)
    return tokens


def find_vocabulary(words, size):
    """size tokens (the 256 bytes first) for a {bytes: count} of words."""
    tokens = [bytes([b]) for b in range(256)]
    merged = list(dict.fromkeys(merge_pairs(words, (size - 256) * 4 // 3)))
    for surplus in ((len(merged) + 256 - size) // 2, None):
        tokenizer = Tokenizer(tokens + merged)
        used = Counter()
        for word, count in words.items():
            for token in tokenizer.encode(word):
                used[token] += count
        merged.sort(key=lambda token: (-used[tokenizer.ids[token]], token))
        merged = merged[: len(merged) - surplus if surplus is not None else size - 256]
    return tokens + sorted(merged)


def count_words(paths):
    """{word: count} of the most frequent words of files, in a fixed order."""
    words = Counter()
    for path in paths:
        with open(path, "rb") as file:
            for line in file:
                words.update(WORD.findall(line))
    return dict(sorted(words.items(), key=lambda item: (-item[1], item[0]))[:WORD_TYPES])


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=corpus.TRAINING / "data")
    parser.add_argument("--size", type=int, default=4096, help="tokens in the file [4096]")
    parser.add_argument("--output", type=Path, help="[DATA/vocab.txt]")
    arguments = parser.parse_args()
    if not 300 <= arguments.size <= 65535:
        parser.error("--size: 300 to 65535")
    start = time.monotonic()
    paths = sorted(arguments.data.glob("text/*.txt")) + sorted(arguments.data.glob("pairs/*.tsv"))
    tokenizer = Tokenizer(find_vocabulary(count_words(paths), arguments.size))
    output = arguments.output or arguments.data / "vocab.txt"
    tokenizer.write(output.with_name(output.name + ".tmp"))
    os.replace(output.with_name(output.name + ".tmp"), output)
    heldout = (arguments.data / "heldout.txt").read_bytes()
    ids = tokenizer.encode(heldout)
    print(f"{output}: {len(tokenizer.tokens)} tokens; held-out text: "
          f"{len(heldout) / len(ids):.3f} bytes a token, "
          f"{len(ids) / len(heldout.split()):.3f} tokens a word")
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
