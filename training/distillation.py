# SPDX-License-Identifier: Apache-2.0
"""The sentences that the embedder and the bag learn from, in groups, and batches of them.

A group is a row of pairs (or the rows of one premise), or one sentence of the text. In a group,
label 1 marks sentences that mean the same as the first, 0 those that do not (non-paraphrases,
hypotheses that are not entailed). File lessons.tsv: source, group, label, sentence.
"""

import csv
import zlib
from collections import defaultdict

import numpy as np

import filter as rules

# Groups of a source of pairs, and sentences taken of a group (captions and simplifications have
# many). Captions of one image are as near as sentences of one paraphrase: both are label 1.
PAIR_GROUPS = {
    "asset_simplification": (2302, 4), "cad_nli": (4000, 7), "flickr8k_5captions": (4252, 5),
    "multi30k_5captions": (21045, 5), "pan_paraphrase": (12789, 2), "quora_duplicates": (29461, 2),
    "turkcorpus": (1000, 2), "wikisplit": (8000, 2),
}
# Sentences of a source of text: of any usable length, and short ones beside them.
TEXT_SENTENCES = {
    "bbc_news": (10000, 6000), "nltk_abc": (8000, 6000), "brown": (5000, 14000),
    "reuters21578": (9000, 40000), "nltk_state_union": (1500, 3000),
    "wordnet_glosses": (9000, 45000), "nltk_movie_reviews": (4000, 12000),
    "books_classic_part": (7000, 35000), "fortunes": (2000, 8000), "nltk_webtext": (2000, 10000),
    "debian_docs_html": (1500, 4000), "dict_foldoc": (1000, 2000),
}
WORDS = (4, 22)
SHORT_WORDS = 14
PAIR_WORDS = 28


def read_groups(name, path):
    """Lists of (label, sentence): the rows of a filtered file of pairs."""
    by_premise = defaultdict(list)
    groups = []
    for line in path.read_text(encoding="utf-8").splitlines():
        label, *sentences = line.split("\t")
        if name == "cad_nli":
            by_premise[sentences[0]].append((int(label == "entailment"), sentences[1]))
        else:
            same = int(label in ("same", "1"))
            groups.append([(1, sentences[0])] + [(same, s) for s in sentences[1:]])
    for premise, rest in by_premise.items():
        groups.append([(1, premise)] + list(dict.fromkeys(rest)))
    return groups


def usable(sentence):
    words = sentence.split()
    letters = sum(c.isalpha() or c == " " for c in sentence)
    return WORDS[0] <= len(words) <= WORDS[1] and letters >= 0.75 * len(sentence)


def text_sentences(path):
    """Whole sentences of a filtered text, each once, in the file's order."""
    found = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        for sentence in rules.split_sentences(line):
            if usable(sentence):
                found[sentence] = None
    return list(found)


def pick(sentences, order, count, short):
    """The first `count` of an order, then `short` more of those that are short."""
    rest = [i for i in order[count:] if len(sentences[i].split()) <= SHORT_WORDS]
    return [sentences[i] for i in [*order[:count], *rest[:short]]]


def choose(data, seed, share=1.0):
    """Rows (source, group, label, sentence), groups in random order: any first part is a fair one.

    Sources that data lacks are left out.
    """
    groups = []
    for name, (count, size) in sorted(PAIR_GROUPS.items()):
        path = data / "pairs" / f"{name}.tsv"
        if not path.exists():
            continue
        random = np.random.default_rng([seed, zlib.crc32(name.encode())])
        rows = read_groups(name, path)
        for i in random.permutation(len(rows))[: int(count * share)]:
            row = [rows[i][0]] + [rows[i][1:][j] for j in random.permutation(len(rows[i]) - 1)]
            row = [(label, s) for label, s in row if len(s.split()) <= PAIR_WORDS]
            groups.append((name, row[:size]))
    for name, (count, short) in sorted(TEXT_SENTENCES.items()):
        path = data / "text" / f"{name}.txt"
        if not path.exists():
            continue
        random = np.random.default_rng([seed, zlib.crc32(name.encode())])
        sentences = text_sentences(path)
        chosen = pick(sentences, random.permutation(len(sentences)), int(count * share),
                      int(short * share))
        groups += [(name, [(1, sentence)]) for sentence in chosen]
    order = np.random.default_rng([seed, 0]).permutation(len(groups))
    return [(groups[i][0], number, label, sentence) for number, i in enumerate(order)
            for label, sentence in groups[i][1]]


def read_sentences(folder):
    """The sentences of lessons.tsv, in its order."""
    text = (folder / "lessons.tsv").read_text(encoding="utf-8")
    return [line.split("\t")[3] for line in text.split("\n") if line]


def add_arguments(parser):
    """How a program passes over the examples: Examples' pairs, and near of its epochs."""
    parser.add_argument("--near", type=int, default=16, help="groups of a batch that are "
                        "neighbours for the teacher, so many at a time; 0: none")
    parser.add_argument("--pairs", type=int, default=1, help="times that a pass reads the pairs")


HELD_OUT = 64  # one group of so many is never trained on, but judged on (held_out.py)
MOST_CENTRES = 1024


class Examples:
    """lessons.tsv with its teacher vectors; only the groups whose vectors are done (teacher.py).

    pairs: how often a pass reads the groups that are from pairs, where text has most of the groups.
    Copies of a group in one batch count as groups of their own.
    """

    def __init__(self, folder, tokenizer, max_tokens=64, limit=None, pairs=1):
        with open(folder / "lessons.tsv", encoding="utf-8", newline="") as file:
            rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        done = int((folder / "vectors.done").read_text())
        done = min(done, limit or done)
        while 0 < done < len(rows) and rows[done][1] == rows[done - 1][1]:
            done -= 1  # no half group
        size = (folder / "vectors.bin").stat().st_size // 2 // len(rows)
        vectors = np.memmap(folder / "vectors.bin", np.float16, "r", shape=(len(rows), size))
        rows, self.teacher = rows[:done], vectors[:done]
        self.labels = np.array([int(row[2]) for row in rows])
        self.ids = [np.array(tokenizer.encode(row[3].encode())[:max_tokens]) for row in rows]
        groups = defaultdict(list)
        for i, row in enumerate(rows):
            groups[int(row[1])].append(i)
        self.groups, self.held_out = [], []
        for members in groups.values():
            held = zlib.crc32(rows[members[0]][3].encode()) % HELD_OUT == 0
            if held:
                self.held_out.append(members)
            else:
                times = pairs if rows[members[0]][0] in PAIR_GROUPS else 1
                self.groups.extend([members] * times)

    def near_each_other(self, order, random, size):
        """The same groups, in pieces of `size` that the teacher finds near, pieces in any order."""
        first = np.array([self.groups[g][0] for g in order])
        chosen = first[random.permutation(len(first))[: min(MOST_CENTRES, len(first) // size + 1)]]
        centres = np.asarray(self.teacher[np.sort(chosen)], dtype=np.float32)
        nearest = np.concatenate([
            np.argmax(np.asarray(self.teacher[part], dtype=np.float32) @ centres.T, axis=1)
            for part in np.array_split(first, len(first) // 4096 + 1)])
        order = order[np.argsort(nearest, kind="stable")]
        pieces = [order[i : i + size] for i in range(0, len(order), size)]
        return np.concatenate([pieces[i] for i in random.permutation(len(pieces))])

    def epoch(self, seed, epoch, sentences, near=0):
        """Batches of about so many sentences: indices, groups mixed over all sources.

        Of a group at most four sentences: the first and three others. near: so many groups at a
        time are neighbours for the teacher, other ones in every epoch.
        """
        random = np.random.default_rng([seed, epoch])
        order = random.permutation(len(self.groups))
        if near:
            order = self.near_each_other(order, random, near)
        batch, batches = [], []
        for g in order:
            members = self.groups[g]
            if len(members) > 4:
                members = [members[0], *random.permutation(members[1:])[:3]]
            batch += [(int(i), int(g)) for i in members]
            if len(batch) >= sentences:
                batches.append(batch)
                batch = []
        return batches
