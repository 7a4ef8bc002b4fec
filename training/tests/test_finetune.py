# SPDX-License-Identifier: Apache-2.0
"""Rows and packing, losses, exact resume, and the engine's answers ($FATHOM) of a tuned model."""

import csv
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import exits
import finetune
import model as finch
import tasks
from vocabulary import Tokenizer

PLACES = ("Rome", "Oslo", "Lima", "Bonn")


def write_data(folder):
    """A few rows of each kind of file, as they are published."""
    def table(name, head, rows):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\r\n".join(b"\t".join(row) for row in [head, *rows]) + b"\r\n")

    def pair(i):
        a, b = f"A man sees dog {i}".encode(), f"Dog {i % 7} runs".encode()
        return a, b

    trec = folder / "senteval/TREC"
    trec.mkdir(parents=True)
    labels = tasks.TASKS["trec"].labels
    for name, n in (("train_5500.label", 60), ("TREC_10.label", 18)):
        trec.joinpath(name).write_bytes(b"".join(
            f"{labels[i % 6]}:x{i} What is {PLACES[i % 4]} {i} ?\n".encode() for i in range(n)))
    sick = [(b"1", *pair(i), b"%.1f" % (1 + i % 5), (b"NEUTRAL", b"ENTAILMENT",
             b"CONTRADICTION")[i % 3]) for i in range(40)]
    for file in tasks.SICK_FILES.values():
        table(f"sick/{file}", (b"pair_ID", b"sentence_A", b"sentence_B", b"relatedness_score",
                               b"entailment_judgment"), sick)
    mrpc = [(b"%d" % (i % 2), b"1", b"2", *pair(i)) for i in range(40)]
    for file in ("train.tsv", "dev.tsv", "msr_paraphrase_test.txt"):
        table(f"glue/MRPC/{file}", (b"\xef\xbb\xbfQuality", b"#1 ID", b"#2 ID", b"#1 String",
                                    b"#2 String"), mrpc)


class Folder(unittest.TestCase):
    """A tiny model and data."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.folder = Path(temporary.name)
        cls.data = cls.folder / "data"
        write_data(cls.data)
        torch.manual_seed(3)
        cls.body = finch.Rwkv6(finch.make_config(3, 64, 257, head_size=32))
        with torch.no_grad():
            for parameter in cls.body.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        vocabulary = cls.folder / "vocab.txt"
        Tokenizer([bytes([b]) for b in range(256)]).write(vocabulary)
        finch.export(cls.body, vocabulary, cls.folder / "model")

    def run_(self, output, *more, task="trec"):
        arguments = ["--task", task, "--data", self.data, "--start", self.folder / "model",
                     "--output", self.folder / output, "--exits", "1,2,3", "--batch", "8",
                     "--epochs", "2", "--seed", "4", *more]
        return finetune.main([str(x) for x in arguments])


class Rows(Folder):
    def test_files_as_the_engine_reads_them(self):
        trec = tasks.load(tasks.TASKS["trec"], "test", self.data)
        self.assertEqual(trec.a[3], b"What is Bonn 3 ?")
        self.assertEqual(trec.gold[:3].tolist(), [0, 1, 2])
        mrpc = tasks.load(tasks.TASKS["mrpc"], "validation", self.data)
        self.assertEqual((mrpc.a[9], mrpc.b[9], mrpc.gold[9]), (b"A man sees dog 9",
                                                              b"Dog 2 runs", 1))
        sick = tasks.load(tasks.TASKS["sickr"], "train", self.data)
        self.assertEqual(sick.gold[:3].tolist(), [1, 2, 3])

    def test_calibration_rows_are_not_trained_on(self):
        train, calibration = tasks.cut(tasks.TASKS["trec"], 1, data=self.data)
        self.assertEqual(sorted([*train.number, *calibration.number]), list(range(60)))
        self.assertEqual(np.bincount(calibration.gold.astype(int)).tolist(), [1] * 6)
        other = tasks.cut(tasks.TASKS["trec"], 2, data=self.data)[1]
        self.assertNotEqual(other.number.tolist(), calibration.number.tolist())

    def test_no_phrase_of_a_calibration_sentence(self):
        folder = self.folder / "sst"
        (folder / "glue/SST-2").mkdir(parents=True)
        (folder / "senteval/SST/fine").mkdir(parents=True)
        (folder / "glue/SST-2/train.tsv").write_text(
            "sentence\tlabel\ngood fun \t1\nlong \t0\na dog \t0\nfun \t1\n")
        (folder / "senteval/SST/fine/sentiment-train").write_text(
            "4 Very good fun indeed .\n2 a dog\n0 too long .\n")
        train, calibration = tasks.cut(tasks.TASKS["sst2"], 1, data=folder)
        self.assertEqual(train.a, [b"a dog "])
        self.assertEqual(calibration.a, [b"Very good fun indeed . ", b"too long . "])
        self.assertEqual(calibration.gold.tolist(), [1, 0])


class Model(Folder):
    def test_packed_texts_are_as_alone(self):
        task = tasks.TASKS["sicke"]
        model = exits.ExitModel(self.body, task, [1, 3], dropout=0.0)
        texts = [np.arange(1, n + 1) for n in (3, 17, 1, 9)]
        with torch.no_grad():
            together = model(texts)
            for i in (0, 1):
                torch.testing.assert_close(together[:, i : i + 1], model(texts[2 * i : 2 * i + 2]),
                                           rtol=1e-4, atol=1e-5)

    def test_padded_texts_are_as_packed(self):
        """By chunks, as on a GPU."""
        model = exits.ExitModel(self.body, tasks.TASKS["trec"], [1, 3], dropout=0.0)
        texts = [np.arange(1, n + 1) for n in (3, 17, 1, 9, 8)]
        chunks = partial(finch.wkv_chunked, chunk=8), False
        with torch.no_grad():
            packed = model(texts)
            with mock.patch.object(finch, "fastest_wkv", return_value=chunks):
                torch.testing.assert_close(model(texts), packed, rtol=1e-4, atol=1e-5)

    def test_features(self):
        u, v = torch.tensor([[3.0, 0.0]]), torch.tensor([[1.0, 1.0]])
        pair = [2, 1, 3, 0, 0.5**0.5]
        for kind, wanted in (("symmetric-pair", pair), ("ordered-pair", [3, 0, 1, 1, *pair])):
            torch.testing.assert_close(exits.build_features(kind, u, v), torch.tensor([wanted]))

    def test_half_a_block_left_out(self):
        sublayers = [(True, False), (False, True), (True, True)]
        model = exits.ExitModel(finch.load(self.folder / "model"), tasks.TASKS["trec"], [3],
                                sublayers, 0.0)
        texts = [np.arange(1, 9)]
        with torch.no_grad():
            masked = model(texts)
            self.assertGreater((model(texts, sublayers=[(True, True)] * 3) - masked).abs().max(), 1e-3)
            exits.silence(model.body, sublayers)
            torch.testing.assert_close(model(texts, sublayers=[(True, True)] * 3), masked)


class Losses(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        self.logits = torch.randn(3, 5, 4)
        self.gold = torch.tensor([0, 1, 2, 3, 0])

    def loss(self, objective, step, teacher=None):
        return finetune.loss_of(objective, step, self.logits, self.gold, [1, 2, 3], teacher).item()

    def test_alternate(self):
        each = finetune.task_losses(self.logits, self.gold)
        self.assertAlmostEqual(self.loss("alternate", 1), each[2].item(), 6)
        self.assertAlmostEqual(self.loss("last", 2), each[2].item(), 6)
        self.assertAlmostEqual(self.loss("uniform", 1), each.mean().item(), 6)
        weighted = (each * torch.tensor([1, 2, 3]) / 6).sum()
        self.assertAlmostEqual(self.loss("layerdrop", 1), weighted.item(), 6)
        p = torch.softmax(self.logits / 2, dim=-1)
        kl = [4 * (p[2] * (p[2] / p[i]).log()).sum(dim=1).mean() for i in (0, 1)]
        self.assertAlmostEqual(self.loss("alternate", 2),
                               (each.mean() + 0.5 * (kl[0] + kl[1]) / 2).item(), 5)

    def test_the_last_exit_learns_nothing_from_the_others(self):
        self.logits.requires_grad_()
        finetune.loss_of("alternate", 2, self.logits, self.gold, [1, 2, 3]).backward()
        alone = torch.autograd.grad(
            finetune.task_losses(self.logits, self.gold)[2] / 3, self.logits)[0]
        torch.testing.assert_close(self.logits.grad[2], alone[2])

    def test_temperature(self):
        random = np.random.default_rng(1)
        z = random.normal(size=(4000, 3))
        p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
        gold = (random.random((4000, 1)) > p.cumsum(axis=1)).sum(axis=1)
        self.assertAlmostEqual(finetune.fit_temperature(3 * z, gold), 3, delta=0.2)

    def test_leaves(self):
        margins = np.array([[0.9, 0.1, 0.2], [0.1, 0.8, 0.3], [0.0, 0.0, 0.0]])
        self.assertEqual(finetune.leaves_at(margins, 0.5).tolist(), [0, 1, 2])

    def test_rank_correlation(self):
        self.assertAlmostEqual(finetune.spearman([1, 2, 2, 3], [1, 5, 5, 9]), 1)


class Resume(Folder):
    def same(self, name, *more, task="trec"):
        whole = self.run_(f"{name}-whole", *more, task=task)
        self.assertIsNone(self.run_(f"{name}-parts", *more, "--minutes", "0.0001", task=task))
        parts = self.run_(f"{name}-parts", *more, task=task)
        for key in ("steps", "tokens", "splits", "temperatures", "threshold"):
            self.assertEqual(whole[key], parts[key])
        a, b = ((self.folder / f"{name}-{x}" / "model" / "model.safetensors").read_bytes()
                for x in ("whole", "parts"))
        self.assertEqual(a, b)
        return whole

    def test_alternate(self):
        result = self.same("alternate")
        self.assertEqual(result["steps"], 14)
        self.assertFalse((self.folder / "alternate-whole" / "checkpoint.pt").exists())
        with self.assertRaisesRegex(SystemExit, "made with"):
            self.run_("alternate-other", "--minutes", "0.0001")
            self.run_("alternate-other", "--lr", "0.1")

    def test_layerdrop(self):
        self.same("layerdrop", "--objective", "layerdrop")

    def test_truncated_and_distilled(self):
        self.run_("teacher", "--objective", "last", "--exits", "3")
        result = self.same("distilled", "--objective", "last", "--depth", "2", "--exits", "2",
                           "--teacher", str(self.folder / "teacher"))
        config = json.loads((self.folder / "distilled-whole/model/config.json").read_text())
        self.assertEqual(config["num_hidden_layers"], 2)
        self.assertEqual(len(result["splits"]["test"]["accuracy"]), 1)

    def test_all_rows(self):
        result = self.run_("all", "--objective", "last", "--exits", "3", "--all-rows")
        self.assertEqual(result["training_rows"], 60)

    def test_scores(self):
        result = self.same("scores", task="sickr")
        self.assertFalse(math.isnan(result["splits"]["test"]["pearson"][0]))


class Engine(Folder):
    """Of every exit: the vectors that the engine pools, and the class and margin of its policy."""

    def setUp(self):
        self.program = os.environ.get("FATHOM")
        if not self.program:
            self.skipTest("$FATHOM, the program to compare with, is not set")

    def fathom(self, *arguments):
        return subprocess.run([self.program, *map(str, arguments)], check=True, text=True,
                              capture_output=True)

    def texts_of(self, task, rows):
        parts = [rows.a] if rows.b is None else [rows.a, rows.b]
        path = self.folder / f"{task.name}.txt"
        path.write_bytes(b"".join(t + b"\n" for texts in zip(*parts) for t in texts))
        return path

    def check(self, name, *more):
        task = tasks.TASKS[name]
        output = self.folder / f"engine-{name}"
        self.run_(output, *more, task=name)
        rows = tasks.load(task, "test", self.data)
        path = self.texts_of(task, rows)
        saved = np.load(output / "logits.npz")
        logits, layers = saved["test.logits"], saved["layers"].tolist()
        policy, arrays = exits.read_policy(output / "exit.policy")
        width = 2 if task.is_pair else 1

        # The engine's vectors through the arrays of the file.
        vectors = self.folder / "v.safetensors"
        self.fathom("embed", output / "model", "-i", path, "-o", vectors, "--norm", "ln_out",
                    "--layers", ",".join(map(str, layers)))
        for layer, wanted in zip(layers, logits):
            e = load_file(vectors)[f"layer.{layer}"]
            e = (e - arrays[f"layer.{layer}.post.mean"]) * arrays[f"layer.{layer}.post.scale"]
            x = exits.build_features(task.features, *(e[i::width] for i in range(width)))
            z = x @ arrays[f"exit.{layer}.head.weight"].T + arrays[f"exit.{layer}.head.bias"]
            if task.n_class == 1:
                z = (z - task.lowest) / (task.highest - task.lowest)
            z = np.pad(z.numpy(), ((0, 0), (1, 0))) if task.n_class == 2 else z.numpy()
            np.testing.assert_allclose(z, wanted, atol=1e-4, rtol=1e-4)
        if task.n_class == 1:
            return

        # The engine's own answers at each exit: all texts leave there.
        model = finetune.load_run(output, task)
        margins = finetune.margins_of(logits, saved["temperatures"])
        for i, layer in enumerate(layers):
            thresholds = [exits.NEVER] * len(layers)
            thresholds[i] = -1.0
            one, log = self.folder / "one.policy", self.folder / "log.csv"
            exits.write_policy(one, model, saved["temperatures"], thresholds, {})
            self.fathom("embed", output / "model", "-i", path, "-o", self.folder / "e.npy",
                        "--depth", f"exit:{one}", "--depth-log", log)
            told = list(csv.DictReader(log.open()))[::width]
            self.assertEqual([int(t["exit_layer"]) for t in told], [layer] * len(rows))
            self.assertEqual([int(t["class"]) for t in told], logits[i].argmax(axis=1).tolist())
            np.testing.assert_allclose([float(t["confidence"]) for t in told], margins[i],
                                       atol=1e-4)

    def test_classes(self):
        self.check("trec")

    def test_ordered_pairs(self):
        self.check("sicke")

    def test_symmetric_pairs(self):
        self.check("mrpc")

    def test_scores(self):
        self.check("sickr")

    def test_mask(self):
        sublayers = [(True, True), (False, True), (True, False)]
        mask = self.folder / "mask.json"
        exits.write_mask(mask, self.body, sublayers, {})
        output = self.folder / "masked"
        self.run_(output, "--objective", "last", "--exits", "3", "--mask", mask)
        rows = tasks.load(tasks.TASKS["trec"], "test", self.data)
        path = self.texts_of(tasks.TASKS["trec"], rows)
        vectors = []
        for more in ((), ("--depth", f"mask:{output / 'mask.policy'}")):
            self.fathom("embed", output / "model", "-i", path, "-o", self.folder / "m.npy",
                        "--norm", "ln_out", *(more or ("--layers", "3")))
            vectors.append(np.load(self.folder / "m.npy").reshape(len(rows), -1))
        np.testing.assert_allclose(*vectors, atol=1e-5)
        model = finetune.load_run(output, tasks.TASKS["trec"])
        texts = finetune.encoded(Tokenizer.read(self.folder / "vocab.txt"), rows)
        with torch.no_grad():
            np.testing.assert_allclose(model.pooled(texts)[0].numpy(), vectors[1], atol=1e-4)


if __name__ == "__main__":
    unittest.main()
