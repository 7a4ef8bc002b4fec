# SPDX-License-Identifier: Apache-2.0
"""Labelled tasks as the engine reads them (src/eval/dataset_tasks.cc): rows, classes, features.

Texts are bytes: what the files hold goes to the tokenizer, as in the engine.
"""

import lzma
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import corpus

CALIBRATION = 0.1  # share of the training rows that thresholds and temperatures are chosen on
SST2_CALIBRATION = 1000  # full sentences


@dataclass(frozen=True)
class Task:
    name: str
    features: str  # pooled, symmetric-pair, ordered-pair
    labels: tuple  # of the classes; empty for scores
    lowest: float
    highest: float
    metrics: tuple  # the first one leads
    report: str  # the split that the engine gives figures of
    splits: dict  # split: (file under the data folder, how it is read, columns of a, b, gold)

    @property
    def is_pair(self):
        return self.features != "pooled"

    @property
    def n_class(self):
        return len(self.labels) or 1


@dataclass
class Rows:
    """a, b: lists of bytes, b None for single sentences. gold: class or score. number: of the row
    in its split, from 0."""

    a: list
    b: list | None
    gold: np.ndarray
    number: np.ndarray

    def __len__(self):
        return len(self.a)

    def pick(self, rows):
        b = None if self.b is None else [self.b[i] for i in rows]
        return Rows([self.a[i] for i in rows], b, self.gold[rows], self.number[rows])

    def with_more(self, other):
        b = None if self.b is None else self.b + other.b
        return Rows(self.a + other.a, b, np.concatenate([self.gold, other.gold]),
                    np.concatenate([self.number, other.number]))


MRPC_COLUMNS = "#1 String", "#2 String", "Quality"
SICK_FILES = {"train": "SICK_train.txt", "validation": "SICK_trial.txt",
              "test": "SICK_test_annotated.txt"}


def sick(gold):
    return {split: (f"sick/{file}", "tsv", ("sentence_A", "sentence_B", gold))
            for split, file in SICK_FILES.items()}


TASKS = {task.name: task for task in (
    Task("trec", "pooled", ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"), 0, 5, ("accuracy",),
         "test", {"train": ("senteval/TREC/train_5500.label", "label first", None),
                  "test": ("senteval/TREC/TREC_10.label", "label first", None)}),
    Task("sst2", "pooled", ("0", "1"), 0, 1, ("accuracy",), "validation",
         {"train": ("glue/SST-2/train.tsv", "tsv", ("sentence", None, "label")),
          "validation": ("glue/SST-2/dev.tsv", "tsv", ("sentence", None, "label"))}),
    Task("mrpc", "symmetric-pair", ("0", "1"), 0, 1, ("accuracy", "f1"), "validation",
         {"train": ("glue/MRPC/train.tsv", "tsv", MRPC_COLUMNS),
          "validation": ("glue/MRPC/dev.tsv", "tsv", MRPC_COLUMNS),
          "test": ("glue/MRPC/msr_paraphrase_test.txt", "tsv", MRPC_COLUMNS)}),
    Task("sicke", "ordered-pair", ("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), 0, 2, ("accuracy",),
         "validation", sick("entailment_judgment")),
    Task("sickr", "symmetric-pair", (), 1, 5, ("spearman", "pearson"), "validation",
         sick("relatedness_score")),
    Task("stsb", "symmetric-pair", (), 0, 5, ("pearson", "spearman"), "validation",
         {"train": ("glue/STS-B/train.tsv", "tsv", ("sentence1", "sentence2", "score")),
          "validation": ("glue/STS-B/dev.tsv", "tsv", ("sentence1", "sentence2", "score"))}),
)}


def lines_of(path):
    """The lines of a file, or of PATH.xz, as bytes without their ends; empty ones at the end and a
    byte-order mark are left out."""
    if not path.exists():
        with lzma.open(f"{path}.xz") as file:
            data = file.read()
    else:
        data = path.read_bytes()
    lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    lines = [line.removesuffix(b"\r") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def gold_of(task, label):
    return task.labels.index(label) if task.labels else float(label)


def load(task, split, data=None):
    """The rows of a split. data: the folder that holds glue/, senteval/, sick/."""
    name, how, columns = task.splits[split]
    lines = lines_of(Path(data or corpus.shared_data()) / name)
    a, b, gold = [], [], []
    if how == "label first":
        for line in lines:
            label, text = line.split(b" ", 1)
            a.append(text)
            gold.append(gold_of(task, label.split(b":")[0].decode()))
    else:
        head = lines[0].decode().split("\t")
        for number, line in enumerate(lines[1:], 2):
            fields = line.split(b"\t")
            if len(fields) != len(head):
                raise ValueError(f"{name}:{number}: expected {len(head)} columns, got "
                                 f"{len(fields)}")
            of_a, of_b, of_gold = (fields[head.index(c)] if c else b"" for c in columns)
            a.append(of_a)
            b.append(of_b)
            gold.append(gold_of(task, of_gold.decode()))
    full = [i for i in range(len(a)) if a[i].strip() and (not task.is_pair or b[i].strip())]
    rows = Rows(a, b if task.is_pair else None, np.array(gold, dtype=np.float64),
                np.arange(len(a)))
    return rows.pick(full)


def stratified(gold, share, random):
    """Rows of a share of every class (of all rows where gold is a score), at random, sorted."""
    classes = [gold == g for g in np.unique(gold)] if len(np.unique(gold)) < 10 else [gold == gold]
    chosen = []
    for rows in map(np.flatnonzero, classes):
        chosen.append(random.permutation(rows)[: round(share * len(rows))])
    return np.sort(np.concatenate(chosen))


def full_sentences(data=None):
    """SST's training sentences with a clear label: (text as GLUE's validation rows have it, 0 or
    1)."""
    path = Path(data or corpus.shared_data()) / "senteval/SST/fine/sentiment-train"
    for line in lines_of(path):
        label, text = line.split(b" ", 1)
        if label != b"2":
            yield text.strip() + b" ", float(label > b"2")


def words_of(text):
    return b" " + b" ".join(text.lower().split()) + b" "


def cut(task, seed, limit=0, data=None):
    """(training rows, calibration rows) of a seed; limit: training rows at most, 0: all.

    SST-2's training rows are phrases, what comes are sentences: it is calibrated on sentences, and
    no phrase of such a sentence is trained on.
    """
    rows = load(task, "train", data)
    random = np.random.default_rng([seed, 1])
    if task.name == "sst2":
        sentences = list(full_sentences(data))
        chosen = np.sort(random.permutation(len(sentences))[:SST2_CALIBRATION])
        calibration = Rows([sentences[i][0] for i in chosen], None,
                           np.array([sentences[i][1] for i in chosen]), chosen)
        held = b"\n".join(words_of(text) for text in calibration.a)
        rest = np.array([i for i in range(len(rows)) if words_of(rows.a[i]) not in held])
    else:
        chosen = stratified(rows.gold, CALIBRATION, random)
        calibration = rows.pick(chosen)
        rest = np.setdiff1d(np.arange(len(rows)), chosen)
    if limit and limit < len(rest):
        rest = np.sort(random.permutation(rest)[:limit])
    return rows.pick(rest), calibration
