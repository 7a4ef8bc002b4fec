#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Copies the training text and pairs without anything that is evaluated.

A sentence is dropped if, lower-cased and with alphanumerics only, it
  equal      equals a sentence of a validation or test row,
  jaccard    has word-3-gram Jaccard >= 0.5 with one,
  13-gram    shares 13 words in a row with one,
  image      is a caption of an image that one of these rules met, or repeats a dropped caption.
Long fields are compared whole and sentence by sentence, on both sides. One dropped sentence drops
its whole row of pairs; of a paragraph of text only the sentence goes, and the line ends there.

Output, under --output (default training/data): text/NAME.txt (a paragraph a line),
pairs/NAME.tsv (label, then sentences), heldout.txt (about 0.5 % of the lines of text, chosen by
their words, so that no line stands on both sides), filter.json (the counts).
"""

import argparse
import json
import re
import shutil
import sys
import time
import zlib
from collections import Counter, defaultdict
from pathlib import Path

import corpus

RULES = ("equal", "jaccard", "13-gram", "image")
GRAM = 13
CAPTION_WORDS = 6  # shorter captions may be of two images by chance
HELDOUT_OF = 200

CONTRACTION = re.compile(r" (?=n ?'t\b|'(?:s|re|ve|ll|d|m)\b)")
WORD = re.compile(r"[^\W_]+")
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\bMr\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\bMrs\.)\s+"
                          r"|(?<=[.!?][\"'”)])\s+")


def words_of(text):
    """Lower-case alphanumeric words; don't, do n't and don ’t are the same words."""
    text = text.lower().replace("’", "'")
    if "'" in text:
        text = CONTRACTION.sub("", text).replace("n 't", "n't").replace("'", "")
    return WORD.findall(text)


def split_sentences(text):
    return [piece for piece in SENTENCE_END.split(text) if piece]


def trigrams_of(words):
    return list(zip(words, words[1:], words[2:]))


class Evaluated:
    """Index of the evaluated sentences: finds the rule that forbids a sentence."""

    def __init__(self, sentences):
        self.keys = set()
        self.texts = []  # " words of the sentence ", by id
        self.sizes = []  # distinct 3-grams, by id
        self.postings = defaultdict(list)  # 3-gram: ids
        for text in sentences:
            pieces = split_sentences(text)
            for piece in [text] + (pieces if len(pieces) > 1 else []):
                self._add(words_of(piece))

    def _add(self, words):
        key = "".join(words)
        if not words or key in self.keys:
            return
        self.keys.add(key)
        grams = set(trigrams_of(words))
        for gram in grams:
            self.postings[gram].append(len(self.texts))
        self.texts.append(" " + " ".join(words) + " ")
        self.sizes.append(len(grams))

    def rule_for(self, words):
        """"equal", "jaccard", "13-gram" or None, in this order."""
        if "".join(words) in self.keys:
            return "equal"
        grams = trigrams_of(words)
        known = [gram in self.postings for gram in grams]
        if self._is_similar(grams, known):
            return "jaccard"
        return "13-gram" if self._shared_runs(words, grams, known) else None

    def shared_spans(self, words):
        """Start of every run of 13 words that an evaluated sentence also has."""
        grams = trigrams_of(words)
        return self._shared_runs(words, grams, [gram in self.postings for gram in grams])

    def _is_similar(self, grams, known):
        found = {gram for gram, is_known in zip(grams, known) if is_known}
        if not found:
            return False
        size = len(set(grams))
        # Jaccard >= 1/2 needs at least half of these 3-grams, so one of any size - half + 1.
        half = (size + 1) // 2
        if len(found) < half:
            return False
        rarest = sorted(found, key=lambda gram: len(self.postings[gram]))
        candidates = {i for gram in rarest[: len(found) - half + 1] for i in self.postings[gram]}
        for candidate in candidates:
            if not size <= 2 * self.sizes[candidate] <= 4 * size:
                continue
            other = set(trigrams_of(self.texts[candidate].split()))
            common = len(found & other)
            if 2 * common >= size + len(other) - common:
                return True
        return False

    def _shared_runs(self, words, grams, known):
        starts, run = [], 0
        for end, is_known in enumerate(known):
            run = run + 1 if is_known else 0
            if run < GRAM - 2:
                continue
            start = end - (GRAM - 3)
            rarest = min(grams[start : end + 1], key=lambda gram: len(self.postings[gram]))
            text = " " + " ".join(words[start : start + GRAM]) + " "
            if any(text in self.texts[i] for i in self.postings[rarest]):
                starts.append(start)
        return starts


def rule_for_field(index, text):
    """The first rule that forbids a field, whole or in any of its sentences, or None."""
    pieces = split_sentences(text)
    for piece in [text] + (pieces if len(pieces) > 1 else []):
        rule = index.rule_for(words_of(piece))
        if rule:
            return rule
    return None


def filter_line(index, line, counts):
    """The lines that are left of a paragraph: it is cut where sentences are dropped."""
    pieces = split_sentences(line)
    words = [words_of(piece) for piece in pieces]
    counts["sentences"] += len(pieces)
    rule = index.rule_for([w for piece in words for w in piece]) if len(pieces) > 1 else None
    if rule in ("equal", "jaccard"):
        counts[rule] += len(pieces)
        return []
    rules = [index.rule_for(piece) for piece in words]
    if rule == "13-gram":  # perhaps across two sentences: both go
        owner = [i for i, piece in enumerate(words) for _ in piece]
        for start in index.shared_spans([w for piece in words for w in piece]):
            for i in range(owner[start], owner[start + GRAM - 1] + 1):
                rules[i] = rules[i] or "13-gram"
    kept, run = [], []
    for piece, rule in zip(pieces + [""], rules + ["end"]):
        if rule is None:
            run.append(piece)
            continue
        if run:
            kept.append(" ".join(run))
        run = []
        if rule != "end":
            counts[rule] += 1
    return kept


def long_keys(sentences):
    """Normal forms of the captions that are long enough to tell images apart."""
    words = (words_of(s) for s in sentences)
    return {"".join(w) for w in words if len(w) >= CAPTION_WORDS}


def filter_pairs(index, sources):
    """Rows that are left and counts, by source: ({name: rows}, {name: counts}, dropped captions).

    sources: (name, list of (label, sentences)).
    """
    rules = {name: [None] * len(rows) for name, rows in sources}
    for name, rows in sources:
        for i, (_, sentences) in enumerate(rows):
            rules[name][i] = next(filter(None, (rule_for_field(index, s) for s in sentences)), None)

    captions = set()
    captioned = [(n, i, long_keys(s)) for n, rows in sources if corpus.PAIRS[n].images
                 for i, (_, s) in enumerate(rows)]
    changed = True
    while changed:  # the two caption sets share images: two equal captions mean one image
        changed = False
        for name, i, keys in captioned:
            if rules[name][i] is None and len(keys & captions) >= 2:
                rules[name][i] = "image"
            if rules[name][i] and not keys <= captions:
                captions |= keys
                changed = True

    kept, counts = {}, {}
    for name, rows in sources:
        kept[name], counts[name] = [], Counter()
        for rule, (label, sentences) in zip(rules[name], rows):
            counts[name]["rows"] += 1
            counts[name]["sentences"] += len(sentences)
            if rule is None and not corpus.PAIRS[name].images and long_keys(sentences) & captions:
                rule = "image"
            if rule:
                counts[name][rule] += len(sentences)
                counts[name]["rows removed"] += 1
            else:
                kept[name].append((label, sentences))
    return kept, counts, captions


def is_heldout(line):
    return zlib.crc32("".join(words_of(line)).encode()) % HELDOUT_OF == 0


def filter_text(index, captions, path, output, heldout):
    """Filters one file of text into output and heldout; returns its counts."""
    counts = Counter()
    for line in corpus.read_lines(path):
        if not line.strip() or line.startswith("00-database"):
            continue
        counts["rows"] += 1
        for kept in filter_line(index, " ".join(line.split()), counts):
            if long_keys([kept]) & captions:
                counts["image"] += 1
            else:
                (heldout if is_heldout(kept) else output).write(kept + "\n")
    return counts


def table(report):
    columns = ["rows", "sentences", *RULES]
    lines = ["%-26s" % "source" + "".join("%11s" % column for column in columns)]
    for name, counts in report.items():
        lines.append("%-26s" % name + "".join("%11d" % counts.get(c, 0) for c in columns))
    return "\n".join(lines)


def run(data, output, permissive):
    """Writes the filtered copy to a fresh folder and renames it to output. Returns the report."""
    index = Evaluated(text for _, text in corpus.evaluated_sentences(data))
    print(f"{len(index.texts)} distinct evaluated sentences", file=sys.stderr)
    every = corpus.training_sources(data)
    sources = [s for s in every if not permissive or corpus.licence_permits(s[3])]
    used = [name for _, name, _, _ in sources]
    # Captions that are not trained on still say which sentences of others are of one image.
    pairs = [(name, list(corpus.read_pairs(name, path)))
             for kind, name, path, _ in every
             if kind == "pairs" and (name in used or corpus.PAIRS[name].images)]
    kept, report, captions = filter_pairs(index, pairs)
    kept, report = ({n: x for n, x in d.items() if n in used} for d in (kept, report))

    fresh = output.with_name(output.name + ".tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / "pairs").mkdir(parents=True)
    (fresh / "text").mkdir()
    for name, rows in kept.items():
        with open(fresh / "pairs" / f"{name}.tsv", "w", encoding="utf-8") as file:
            file.writelines("\t".join([label, *sentences]) + "\n" for label, sentences in rows)
    with open(fresh / "heldout.txt", "w", encoding="utf-8") as heldout:
        for kind, name, path, _ in sources:
            if kind == "text":
                print(f"filtering {name}", file=sys.stderr)
                with open(fresh / "text" / f"{name}.txt", "w", encoding="utf-8") as file:
                    report[name] = filter_text(index, captions, path, file, heldout)
    report["all"] = sum(report.values(), Counter())
    result = {"permissive": permissive, "evaluated sentences": len(index.texts),
              "licences": {name: licence for _, name, _, licence in sources}, "sources": report}
    (fresh / "filter.json").write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    shutil.rmtree(output, ignore_errors=True)
    fresh.rename(output)
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=corpus.TRAINING / "data")
    parser.add_argument("--permissive", action="store_true",
                        help="only sources whose licence permits any use, by MANIFEST.tsv")
    arguments = parser.parse_args()
    start = time.monotonic()
    print(table(run(corpus.shared_data(), arguments.output, arguments.permissive)["sources"]))
    print(f"{time.monotonic() - start:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
