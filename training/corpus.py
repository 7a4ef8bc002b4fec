# SPDX-License-Identifier: Apache-2.0
"""The texts under shared/data: what is evaluated, what may be trained on, and how to read it.

Needs only the standard library and the programs zstd and xz.
"""

import csv
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

TRAINING = Path(__file__).resolve().parent


def shared_data():
    """The folder of the data sets: $FATHOM_SHARED/data, else ../shared/data of the repository."""
    shared = Path(os.environ.get("FATHOM_SHARED", TRAINING.parent.parent / "shared"))
    return shared / "data"


def read_lines(path):
    """Yields the lines of a file (plain, .zst or .xz) without their ends, as UTF-8 text."""
    path = str(path)
    if path.endswith(".zst"):
        command = ["zstd", "-dc", "--long=27", path]
    elif path.endswith(".xz"):
        command = ["xz", "-dc", path]
    else:
        with open(path, encoding="utf-8-sig", errors="replace", newline="\n") as file:
            for line in file:
                yield line.rstrip("\r\n")
        return
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    for line in process.stdout:
        yield line.decode("utf-8", errors="replace").rstrip("\r\n")
    if process.wait() != 0:
        raise RuntimeError(f"{' '.join(command)}: exit status {process.returncode}")


# Evaluated files: set, pattern under shared/data, columns of the sentences (from 0, negative from
# the end). Heads of tables are read as sentences too: they remove nothing. GLUE's training rows
# of QQP are here since `fathom eval` has no other QQP rows. The last group is not in the issue's
# list; probes run on it, so it is kept apart in the same way.
EVALUATED = [
    ("MRPC", "glue/MRPC/dev.tsv", (-2, -1)),
    ("MRPC", "glue/MRPC/test.tsv.xz", (-2, -1)),
    ("MRPC", "glue/MRPC/msr_paraphrase_test.txt", (-2, -1)),
    ("MRPC", "mrpc_original/msr_paraphrase_test.txt", (-2, -1)),
    ("STS12-15", "sts/STS1?/STS.input.*.txt", (0, 1)),
    ("STS-B", "glue/STS-B/dev.tsv", (7, 8)),
    ("STS-B", "glue/STS-B/test.tsv.xz", (7, 8)),
    ("STS-B", "glue/STS-B/original/sts-dev.tsv", (5, 6)),
    ("STS-B", "glue/STS-B/original/sts-test.tsv", (5, 6)),
    ("SICK", "sick/SICK_trial.txt", (1, 2)),
    ("SICK", "sick/SICK_test_annotated.txt", (1, 2)),
    ("SNLI", "senteval/SNLI/s?.dev.xz", (0,)),
    ("SNLI", "senteval/SNLI/s?.test.xz", (0,)),
    ("GLUE", "glue/CoLA/dev.tsv", (3,)),
    ("GLUE", "glue/CoLA/test.tsv.xz", (1,)),
    ("GLUE", "glue/QNLI/dev.tsv", (1, 2)),
    ("GLUE", "glue/QNLI/test.tsv.xz", (1, 2)),
    ("GLUE", "glue/QQP/train_sample.tsv.xz", (3, 4)),
    ("GLUE", "glue/RTE/dev.tsv", (1, 2)),
    ("GLUE", "glue/RTE/test.tsv.xz", (1, 2)),
    ("GLUE", "glue/SST-2/dev.tsv", (0,)),
    ("GLUE", "glue/SST-2/test.tsv.xz", (0,)),
    ("GLUE", "glue/WNLI/dev.tsv", (1, 2)),
    ("GLUE", "glue/WNLI/test.tsv.xz", (1, 2)),
    ("GLUE", "glue/diagnostic/diagnostic.tsv", (1, 2)),
    ("probes", "senteval/MR/rt-polarity.*", (0,)),
    ("probes", "senteval/CR/custrev.*", (0,)),
    ("probes", "senteval/MPQA/mpqa.*", (0,)),
    ("probes", "senteval/SUBJ/subj.*", (0,)),
    ("probes", "senteval/SST/*/sentiment-*", (0,)),
    ("probes", "senteval/TREC/TREC_10.label", (0,)),
    ("LAMBADA", "lambada/lambada_test.jsonl", (0,)),
]


def evaluated_sentences(data):
    """Yields (set, sentence) of every evaluated row. Throws if a pattern matches no file."""
    for name, pattern, columns in EVALUATED:
        paths = sorted(data.glob(pattern))
        if not paths:
            raise FileNotFoundError(f"{data}/{pattern}: no such file")
        for path in paths:
            if path.name == "sentiment-train":
                continue
            for line in read_lines(path):
                if name == "LAMBADA":
                    fields = [json.loads(line)["text"]]
                else:
                    fields = line.split("\t")
                    if path.name == "TREC_10.label" or "/fine/" in str(path):
                        fields = [line.split(" ", 1)[-1]]
                for column in columns:
                    if -len(fields) <= column < len(fields) and fields[column].strip():
                        yield name, fields[column]


@dataclass
class PairSource:
    """How the rows of a file of sentence groups are read."""

    first: int  # column of the first sentence
    last: int | None = None  # one past the last; None: to the end of the row
    label: int | None = None  # column of the label; None: all sentences mean the same
    images: bool = False  # the sentences of a row are captions of one image


PAIRS = {
    "asset_simplification": PairSource(0),
    "cad_nli": PairSource(0, 2, label=2),
    "flickr8k_5captions": PairSource(1, images=True),
    "multi30k_5captions": PairSource(0, images=True),
    "pan_paraphrase": PairSource(2, 4, label=1),
    "quora_duplicates": PairSource(1, 3),
    "turkcorpus": PairSource(0),
    "wikisplit": PairSource(0, 2),
}


def read_pairs(name, path):
    """Yields (label, sentences) of a file of PAIRS; the label is "same" where the file has none."""
    source = PAIRS[name]
    for line in read_lines(path):
        fields = line.split("\t")
        label = "same" if source.label is None else fields[source.label]
        if label == "gold_label":
            continue
        sentences = (s.replace("<::::>", " ") for s in fields[source.first : source.last])
        yield label, [" ".join(s.split()) for s in sentences if s.strip()]


def licence_permits(licence):
    """Whether a MANIFEST.tsv licence lets anyone use and pass on what is made from the text.

    Unknown licences do not. Share-alike and copyleft licences do, with their own terms.
    """
    if re.search(r"non-?commercial|research|\bNC\b|Quora|Pang", licence, re.IGNORECASE):
        return False
    return bool(
        re.search(
            r"public domain|Apache|\bMIT\b|BSD|CC BY|\bGPL|GFDL|WordNet|Artistic",
            licence,
            re.IGNORECASE,
        )
    )


def training_sources(data):
    """Sorted (kind, name, path, licence) of MANIFEST.tsv's text; kind is "text" or "pairs"."""
    sources = []
    with open(data / "MANIFEST.tsv", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            path = row["path"]
            if not path.startswith("text/"):
                continue
            kind = "pairs" if path.startswith("text/pairs/") else "text"
            sources.append((kind, Path(path).name.split(".")[0], data / path, row["licence"]))
    return sorted(sources)
