# SPDX-License-Identifier: Apache-2.0
"""What the embedder and the bag have in common: the losses, and scores of sentence pairs."""

import numpy as np
import torch
import torch.nn.functional as F

import corpus

KL_TEMPERATURE = 0.05
CONTRASTIVE_TEMPERATURE = 0.05
# A sentence of another group that the teacher finds this near is no negative.
TOO_NEAR = 0.8
# Pairs that the teacher finds at least this near count by themselves: a batch has few of them, and
# they are what scored pairs are like.
CLOSE = 0.35
CLOSE_WEIGHT = 2.0


def add_weights(parser):
    parser.add_argument("--weights", type=float, nargs=4, default=[1.0, 5.0, 0.2, 0.05],
                        help="of the losses: vector, similarity, kl, contrastive")


def teacher_map(vectors, dim):
    """(384, dim): the teacher's main directions, so that short vectors keep its similarities."""
    sample = np.asarray(vectors[:: max(1, len(vectors) // 20000)], dtype=np.float64)
    _, directions = np.linalg.eigh(sample.T @ sample)
    return torch.from_numpy(directions[:, ::-1][:, :dim].copy()).float()


class Target:
    """The teacher's side of a batch, shared by the losses of all layers."""

    def __init__(self, teacher, groups, labels, mapping):
        """teacher (B, 384) of length 1; groups, labels (B,) of distillation.Examples."""
        self.vectors = F.normalize(teacher @ mapping, dim=1)
        self.near = teacher @ teacher.T
        size = len(groups)
        self.off = ~torch.eye(size, dtype=torch.bool, device=teacher.device)
        self.close = self.off & (self.near > CLOSE)
        masked = (self.near / KL_TEMPERATURE).masked_fill(~self.off, -1e4)
        self.log_p = F.log_softmax(masked, dim=1)
        together = groups[:, None] == groups[None]
        same = together & (labels[:, None] == 1) & (labels[None] == 1) & self.off
        self.anchors = same.any(dim=1)
        self.positive = same
        # Of the own group only what does not mean the same is a negative.
        negative = torch.where(together, labels[:, None] != labels[None], self.near < TOO_NEAR)
        self.candidates = same | (negative & self.off)


def losses(pooled, target):
    """(vector, similarity, kl, contrastive) losses of pooled vectors (B, D) of any length."""
    s = F.normalize(pooled.float(), dim=1)
    near = s @ s.T
    vector = (1 - (s * target.vectors).sum(dim=1)).mean()
    error = (near - target.near).square()
    close = (error * target.close).sum() / target.close.sum().clamp(min=1)
    similarity = (error * target.off).sum() / target.off.sum() + CLOSE_WEIGHT * close
    log_q = F.log_softmax((near / KL_TEMPERATURE).masked_fill(~target.off, -1e4), dim=1)
    kl = (target.log_p.exp() * (target.log_p - log_q)).sum(dim=1).mean()
    logits = (near / CONTRASTIVE_TEMPERATURE).masked_fill(~target.candidates, -1e4)
    log_r = F.log_softmax(logits, dim=1)
    of_anchor = (log_r * target.positive).sum(dim=1) / target.positive.sum(dim=1).clamp(min=1)
    contrastive = -(of_anchor * target.anchors).sum() / target.anchors.sum().clamp(min=1)
    return torch.stack([vector, similarity, kl, contrastive])


def target_of(data, batch, mapping):
    """The teacher's side of a batch of (index, group) pairs."""
    rows = [i for i, _ in batch]
    teacher = torch.from_numpy(np.asarray(data.teacher[rows], dtype=np.float32))
    arrays = teacher, torch.tensor([g for _, g in batch]), torch.from_numpy(data.labels[rows])
    return Target(*(x.to(mapping.device) for x in arrays), mapping)


def turned(mapping, vectors, pooled):
    """mapping turned so that the targets lie nearest to what the model gives at the start."""
    targets = F.normalize(vectors @ mapping, dim=1)
    u, _, v = torch.linalg.svd(targets.T @ F.normalize(pooled, dim=1))
    return mapping @ (u @ v)


def ranks(values):
    """Ranks from 1, the mean rank for equal values."""
    values = np.asarray(values, dtype=np.float64)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def spearman(a, b):
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def read_scored(path, columns):
    """(sentences 1, sentences 2, scores) of a tab-separated file; columns: their three places."""
    rows = [line.split("\t") for line in corpus.read_lines(path)]
    first, second, score = columns
    kept = []
    for row in rows:
        try:
            kept.append((row[first], row[second], float(row[score])))
        except (ValueError, IndexError):
            continue  # the table's head, or no score
    return tuple(zip(*kept))


def evaluation_sets(data=None):
    """{name: (sentences 1, sentences 2, scores)} of STS-B, SICK-R, STS12 to 15 and MRPC.

    STS12 to 15 by part: sts12/MSRpar and so on.
    """
    data = data or corpus.shared_data()
    stsb = data / "glue" / "STS-B" / "original"
    sets = {"stsb-dev": read_scored(stsb / "sts-dev.tsv", (5, 6, 4)),
            "stsb-test": read_scored(stsb / "sts-test.tsv", (5, 6, 4)),
            "sickr-test": read_scored(data / "sick" / "SICK_test_annotated.txt", (1, 2, 3)),
            "mrpc-dev": read_scored(data / "glue" / "MRPC" / "dev.tsv", (3, 4, 0))}
    for path in sorted(data.glob("sts/STS1[2-5]/STS.input.*.txt")):
        pairs = [line.split("\t") for line in corpus.read_lines(path)]
        gold = list(corpus.read_lines(path.with_name(path.name.replace(".input.", ".gs."))))
        rows = [(p[0], p[1], float(g)) for p, g in zip(pairs, gold) if g.strip() and len(p) >= 2]
        name = f"{path.parent.name.lower()}/{path.name[len('STS.input.'):-len('.txt')]}"
        sets[name] = tuple(zip(*rows))
    return sets


def score(embed, pairs):
    """Spearman of the cosines; embed: list of sentences to (n, D) array."""
    first, second, gold = pairs
    a, b = (np.asarray(embed(list(s)), dtype=np.float64) for s in (first, second))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return spearman((a * b).sum(axis=1) / np.maximum(norms, 1e-12), gold)
