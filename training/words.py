#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Static vectors of whole words, an assistant between the teacher and the embedder.

A word is often several tokens, and the mean of token vectors cannot know what they mean together.
The mean of word vectors, trained on the same distillation examples with the same losses, is better
by 5 points on STS-B train. So the embedder learns, beside the distillation examples, that the
tokens of a word add up to the word's vector.

This program trains these word vectors and writes DATA/words: words.txt and model.safetensors (word.weight;
row 0 for all words that are rare in the examples).
"""

import argparse
import re
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

import corpus
import distill
import distillation
import train_bag

WORD = re.compile(rb"[a-z0-9]+|[^\sa-z0-9]")
FORM = re.compile(rb" [A-Za-z0-9]+| ?[^\sA-Za-z0-9]")
WORDS_OF_LIST = 12
LENGTH_WEIGHT = 0.5  # WordTarget.loss
ALONE = 0.5  # words of one token in WordLists, as a share of the others


class Words:
    """Words, lower case, and their vectors (n + 1, D). Also a tokenizer for Examples."""

    def __init__(self, names, vectors=None):
        self.names, self.vectors = names, vectors
        self.ids = {name: i + 1 for i, name in enumerate(names)}

    @classmethod
    def read(cls, folder):
        names = (folder / "words.txt").read_bytes().split(b"\n")[:-1]
        return cls(names, load_file(folder / "model.safetensors")["word.weight"])

    @classmethod
    def of_examples(cls, folder, least):
        count = Counter(word for sentence in distillation.read_sentences(folder)
                        for word in WORD.findall(sentence.encode().lower()))
        return cls([word for word, n in sorted(count.items()) if n >= least])

    def encode(self, text):
        return [self.ids.get(word, 0) for word in WORD.findall(text.lower())] or [0]

    def units(self, tokens):
        """The smallest parts of a text that are both whole words and whole tokens.

        tokens: the text's, bytes. Returns the unit of each token, and of each word, with the word's
        id: three arrays. A unit with a word that is not known is -1 for its tokens, and its words
        are left out. Bytes are Latin-1 letters here, as far as words go.
        """
        ends = np.cumsum([len(token) for token in tokens])
        words = list(WORD.finditer(b"".join(tokens).lower()))
        starts = np.array([word.start() for word in words], dtype=np.int64)
        stops = np.array([word.end() for word in words], dtype=np.int64)
        # A cut: where a token ends and no word goes on.
        within = np.searchsorted(starts, ends, "left") - 1
        cut = (within < 0) | (ends >= stops[np.maximum(within, 0)]) if words else ends > 0
        cuts = ends[cut]
        of_token = np.searchsorted(cuts, ends, "left")
        of_word = np.searchsorted(cuts, stops, "left")
        ids = np.array([self.ids.get(word.group(), 0) for word in words], dtype=np.int64)
        whole = np.zeros(len(cuts) + 1, dtype=bool)
        whole[of_word] = True
        whole[of_word[ids == 0]] = False
        return (np.where(whole[of_token], of_token, -1), of_word[whole[of_word]],
                ids[whole[of_word]])


class WordLists:
    """Texts of words drawn at random: nothing but the tokens of a word says what it means.

    A word stands there with the blank before it, as in sentences, but for the first of a list.
    """

    def __init__(self, words, tokenizer, sentences):
        count = Counter(form for sentence in sentences for form in
                        FORM.findall(b" " + sentence.encode()))
        forms = [form for form in sorted(count) if form.strip().lower() in words.ids]
        self.texts = [np.array(tokenizer.encode(form)) for form in forms]
        self.first = [np.array(tokenizer.encode(form.strip())) for form in forms]
        self.count = np.array([count[form] for form in forms], dtype=np.float64)
        self.several = np.array([len(ids) > 1 for ids in self.texts])
        # The rarer ones oftener than in sentences.
        share = self.count**0.75
        alone = share[~self.several].sum()
        if alone:
            share[~self.several] *= ALONE * share[self.several].sum() / alone
        self.share = share / share.sum()

    def draw(self, random, n_list, n_word, share=None):
        """n_list texts of n_word words. share: chances of the words [self.share]."""
        share = self.share if share is None else share
        chosen = random.choice(len(self.texts), (n_list, n_word), p=share)
        return [np.concatenate([self.first[row[0]], *(self.texts[i] for i in row[1:])])
                for row in chosen]

    def of_several(self):
        """The chances of words of several tokens as in sentences."""
        share = self.count * self.several
        return share / share.sum()


def tokens_of(tokenizer, ids):
    return [tokenizer.tokens[i - 1] if i else b"" for i in ids]


class WordTarget:
    """What the words of texts have as vectors (words.py), as targets for a layer of their tokens.

    A layer is judged by its sum over the tokens of a word: the mean over a sentence then points
    where the words' does.
    """

    def __init__(self, words, texts, tokenizer, turn):
        of_tokens, of_words, ids, n = [], [], [], 0
        for text in texts:
            of_token, of_word, word_ids = words.units(tokens_of(tokenizer, text))
            of_tokens.append(np.where(of_token < 0, -1, of_token + n))
            of_words.append(of_word + n)
            ids.append(word_ids)
            n += int(max(of_token.max(initial=0), of_word.max(initial=0))) + 1
        unit = torch.from_numpy(np.concatenate(of_tokens)).to(turn.device)
        self.kept = (unit >= 0).nonzero()[:, 0]
        self.unit = unit[self.kept]
        vectors = words.vectors[torch.from_numpy(np.concatenate(ids))].to(turn.device) @ turn
        place = torch.from_numpy(np.concatenate(of_words)).to(turn.device)
        self.target = vectors.new_zeros(n, turn.shape[1]).index_add(0, place, vectors)

    def sums(self, layer):
        empty = layer.new_zeros(len(self.target), layer.shape[-1])
        return empty.index_add(0, self.unit, layer[self.kept])

    def cosines(self, layer):
        """Of each word (or unit of words) with its target, and the log of the ratio of lengths."""
        there = self.target.square().sum(dim=1) > 0
        sums, target = self.sums(layer)[there], self.target[there]
        lengths, wanted = sums.norm(dim=1).clamp(min=1e-6), target.norm(dim=1)
        return (sums * target).sum(dim=1) / (lengths * wanted), (lengths / wanted).log()

    def loss(self, layer):
        """1 - cosine, and the square of the log ratio of lengths with less weight.

        Not a squared error: what of a word cannot be known would then best be 0, and a word that is
        in both sentences of a pair would count for nothing.
        """
        cosines, ratios = self.cosines(layer)
        return (1 - cosines).mean() + LENGTH_WEIGHT * ratios.square().mean()


def fit_turn(vectors, wanted):
    """The matrix, a turn and a scale, that takes vectors nearest to those wanted."""
    u, s, v = torch.linalg.svd(vectors.T @ wanted, full_matrices=False)
    return u @ v * (s.sum() / vectors.square().sum())


def turn_to(layer, words, texts, tokenizer):
    """The turn with which WordTarget wants what a layer of the texts' tokens is nearest to."""
    target = WordTarget(words, texts, tokenizer, torch.eye(words.vectors.shape[1]).to(layer))
    return fit_turn(target.target, target.sums(layer))


def run(a):
    torch.manual_seed(a.seed)
    words = Words.of_examples(a.data / "teacher", a.least)
    data = distillation.Examples(a.data / "teacher", words, pairs=a.pairs)
    mapping = distill.teacher_map(data.teacher, a.width)
    table = torch.nn.EmbeddingBag(len(words.names) + 1, a.width, mode="mean", sparse=True)
    torch.nn.init.normal_(table.weight, std=0.1)
    optimizer = torch.optim.SparseAdam(table.parameters(), lr=a.lr)
    scheduler = train_bag.make_scheduler(optimizer, data, a)
    for epoch in range(a.passes):
        parts = train_bag.train_pass(table, optimizer, data, mapping, a, epoch, scheduler)
        print(f"{len(words.names)} words, pass {epoch + 1}/{a.passes} losses "
              + " ".join(f"{p:.4f}" for p in parts), file=sys.stderr, flush=True)
    a.output.mkdir(parents=True, exist_ok=True)
    (a.output / "words.txt").write_bytes(b"".join(name + b"\n" for name in words.names))
    save_file({"word.weight": table.weight.detach().clone()}, a.output / "model.safetensors")


def parse(argv=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=corpus.TRAINING / "data")
    parser.add_argument("--output", type=Path, help="folder [DATA/words]")
    parser.add_argument("--least", type=int, default=3, help="times that a word must be there")
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--batch", type=int, default=256, help="sentences a step")
    distillation.add_arguments(parser)
    parser.add_argument("--passes", type=int, default=4, help="over the examples")
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seed", type=int, default=1)
    distill.add_weights(parser)
    a = parser.parse_args(argv)
    a.output = a.output or a.data / "words"
    return a


if __name__ == "__main__":
    torch.set_num_threads(1)
    run(parse())
