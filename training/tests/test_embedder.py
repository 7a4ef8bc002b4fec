# SPDX-License-Identifier: Apache-2.0
"""Distillation examples, losses, exits and exact resume of both trainings, on toy data."""

import functools
import sys
import tempfile
import unittest
from collections import Counter
from unittest import mock
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import distill
import held_out
import distillation
import model as finch
import starts
import train_bag
import train_embedder
from vocabulary import Tokenizer

WORDS = "a cat dog man sees runs eats the red small house with and in on big tree".split()


def toy_data(folder, sentences=48):
    """Filtered pairs, vocabulary, random teacher vectors and a random small language model."""
    random = np.random.default_rng(1)
    (folder / "pairs").mkdir()
    (folder / "text").mkdir()
    rows = [[" ".join(random.choice(WORDS, random.integers(4, 9))) for _ in range(2)]
            for _ in range(sentences // 4)]
    (folder / "pairs" / "quora_duplicates.tsv").write_text(
        "".join("same\t" + "\t".join(row) + "\n" for row in rows))
    (folder / "pairs" / "cad_nli.tsv").write_text(
        "".join(f"{label}\t{row[0]}\t{row[1]} {label}\n" for row in rows
                for label in ("entailment", "contradiction")))
    (folder / "text" / "brown.txt").write_text("".join(f"{a}. {b}.\n" for a, b in rows))
    Tokenizer([bytes([b]) for b in range(256)]).write(folder / "vocab.txt")
    chosen = distillation.choose(folder, 1)
    (folder / "teacher").mkdir()
    (folder / "teacher" / "lessons.tsv").write_text(
        "".join("\t".join(map(str, row)) + "\n" for row in chosen))
    vectors = random.standard_normal((len(chosen), 384)).astype(np.float16)
    vectors /= np.linalg.norm(vectors.astype(np.float32), axis=1, keepdims=True)
    vectors.tofile(folder / "teacher" / "vectors.bin")
    (folder / "words").mkdir()
    (folder / "words" / "words.txt").write_bytes(b"".join(w.encode() + b"\n" for w in WORDS))
    save_file({"word.weight": torch.from_numpy(
        random.standard_normal((len(WORDS) + 1, 64)).astype(np.float32))},
        folder / "words" / "model.safetensors")
    (folder / "teacher" / "vectors.done").write_text(str(len(chosen)))
    torch.manual_seed(1)
    model = finch.Rwkv6(finch.make_config(2, 64, 257, head_size=32))
    finch.export(model, folder / "vocab.txt", folder / "lm")
    return chosen


class Toy(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.chosen = toy_data(self.folder)
        torch.set_num_threads(1)


class DistillationExamples(Toy):
    def test_labels_of_groups(self):
        labels = {(s, l) for source, _, l, s in self.chosen if source == "cad_nli"}
        self.assertTrue(any(s.endswith("contradiction") and l == 0 for s, l in labels))
        self.assertFalse(any(s.endswith("contradiction") and l == 1 for s, l in labels))
        self.assertFalse(any(s.endswith("entailment") and l == 0 for s, l in labels))

    def test_choice_follows_from_the_seed(self):
        self.assertEqual(self.chosen, distillation.choose(self.folder, 1))
        self.assertNotEqual(self.chosen, distillation.choose(self.folder, 2))

    def test_only_done_groups(self):
        groups = [row[1] for row in self.chosen]
        cut = next(i for i in range(5, len(groups)) if groups[i] == groups[i - 1])
        (self.folder / "teacher" / "vectors.done").write_text(str(cut))
        tokenizer = Tokenizer.read(self.folder / "vocab.txt")
        data = distillation.Examples(self.folder / "teacher", tokenizer)
        self.assertEqual(len(data.labels), groups.index(groups[cut]))
        self.assertEqual(len(data.teacher), len(data.labels))


    def test_pairs_more_often_than_text(self):
        tokenizer = Tokenizer.read(self.folder / "vocab.txt")
        data = distillation.Examples(self.folder / "teacher", tokenizer, pairs=3)
        source = [row[0] for row in self.chosen]
        groups = [batch[0][0] for batch in data.epoch(1, 0, 1)]
        count = Counter(groups)
        self.assertEqual({count[i] for i in count if source[i] == "brown"}, {1})
        self.assertEqual({count[i] for i in count if source[i] != "brown"}, {3})
        self.assertEqual(len(set(map(tuple, data.held_out))), len(data.held_out))


class Losses(unittest.TestCase):
    def setUp(self):
        torch.manual_seed(1)
        self.teacher = torch.nn.functional.normalize(torch.randn(8, 6), dim=1)
        groups = torch.tensor([0, 0, 1, 1, 2, 3, 4, 5])
        labels = torch.tensor([1, 1, 1, 0, 1, 1, 1, 1])
        self.target = distill.Target(self.teacher, groups, labels, torch.eye(6))

    def test_the_teacher_itself_has_no_loss(self):
        vector, similarity, kl, _ = distill.losses(3 * self.teacher, self.target)
        for loss in (vector, similarity, kl):
            self.assertLess(abs(loss.item()), 1e-5)

    def test_a_non_paraphrase_is_a_negative_not_a_positive(self):
        self.assertEqual(self.target.positive.nonzero().tolist(), [[0, 1], [1, 0]])
        self.assertTrue(self.target.candidates[2, 3])
        self.assertFalse(self.target.candidates.diagonal().any())

    def test_spearman(self):
        self.assertAlmostEqual(distill.spearman([1, 2, 3, 4], [10, 20, 30, 25]), 0.8)
        self.assertEqual(distill.ranks([5, 1, 5, 9]).tolist(), [2.5, 1, 2.5, 4])


class Exits(Toy):
    def test_pooling_is_of_each_sentence_alone(self):
        model = finch.load(self.folder / "lm")
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
            sentences = [np.arange(1, n) for n in (4, 30, 9, 18, 80)]
            padded = functools.partial(finch.wkv_chunked, chunk=8), False
            for form in (finch.fastest_wkv(model.config, "cpu"), padded):
                with mock.patch.object(finch, "fastest_wkv", lambda *_, form=form: form):
                    got = train_embedder.pooled_layers(model, sentences, False)
                    first = train_embedder.pooled_layers(model, sentences, False, depth=1)
                torch.testing.assert_close(first, got[:2], rtol=1e-5, atol=1e-5)
                for i, ids in enumerate(sentences):
                    alone = model.hidden(torch.from_numpy(ids)[None], finch.wkv_loop)
                    want = torch.stack([layer[0].mean(dim=0) for layer in alone])
                    torch.testing.assert_close(got[:, i], want, rtol=1e-4, atol=1e-4)
                torch.testing.assert_close(starts.table_means(model, sentences), got[0],
                                           rtol=1e-4, atol=1e-4)

    def test_depth_weights(self):
        self.assertEqual(train_embedder.depth_weights("0.5,0:0,2:1", 3).tolist(), [0, 0.5, 1, 0.5])

    def train(self, output, *more):
        train_embedder.main(["--data", str(self.folder), "--start", str(self.folder / "lm"),
                             "--output", str(self.folder / output), "--batch", "12", "--bag", "12",
                             "--depths", "0.2,2:1", "--steps", "10", "--dev-pairs", "0",
                             "--run-depths", "2", "--word-weight", "0", "--near", "0",
                             "--save-every", "3", *more])
        return (self.folder / output / "model" / "model.safetensors").read_bytes()

    def test_resume_gives_the_unbroken_runs_weights(self):
        whole = self.train("whole")
        self.train("parts", "--minutes", "0.0001")
        self.assertEqual(whole, self.train("parts"))
        self.assertNotEqual(whole, self.train("shallow", "--run-depths", "1", "2"))

    def test_resume_with_words_gives_the_unbroken_runs_weights(self):
        whole = self.train("whole", "--word-weight", "1")
        self.train("parts", "--word-weight", "1", "--minutes", "0.0001")
        self.assertEqual(whole, self.train("parts", "--word-weight", "1"))


class BagTable(Toy):
    def test_layer_0_is_the_bag_less_its_least_directions(self):
        torch.manual_seed(2)
        bag = torch.randn(257, 32) @ torch.randn(32, 64) * torch.rand(257, 1)
        (self.folder / "bag").mkdir()
        save_file({"emb.weight": bag}, self.folder / "bag" / "model.safetensors")
        model = finch.load(self.folder / "lm")
        starts.take_bag(model, self.folder / "bag", 4)
        texts = [np.array([1, 5, 9]), np.array([200, 3]), np.array([77, 78, 79, 80])]
        with torch.no_grad():
            got = starts.table_means(model, texts)
        want = torch.stack([bag[ids].mean(0) for ids in texts])
        torch.testing.assert_close(got @ got.T / (got @ got.T)[0, 0],
                                   want @ want.T / (want @ want.T)[0, 0], atol=2e-3, rtol=2e-3)


class HeldOut(unittest.TestCase):
    def test_correlation_is_1_for_the_teacher_turned_and_0_for_noise(self):
        random = np.random.default_rng(1)
        teacher, noise = (random.standard_normal((600, 16)) for _ in range(2))
        turn = np.linalg.qr(random.standard_normal((16, 16)))[0]
        self.assertAlmostEqual(held_out.correlation(3 * teacher @ turn, teacher), 1, places=4)
        self.assertLess(abs(held_out.correlation(noise, teacher)), 0.02)

    def test_a_bag_has_one_layer_and_a_model_all(self):
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            toy_data(folder)
            ids = [np.array([1, 5, 9]), np.array([200, 3])]
            self.assertEqual(held_out.layers_of(folder / "lm", ids).shape, (3, 2, 64))
            table = torch.randn(257, 8)
            for config in (None, '{"model_type": "token-bag"}'):
                bag = folder / f"bag{config is None}"
                bag.mkdir()
                save_file({"emb.weight": table}, bag / "model.safetensors")
                (bag / "vocab.txt").write_bytes((folder / "vocab.txt").read_bytes())
                if config:
                    (bag / "config.json").write_text(config)
                got = held_out.layers_of(bag, ids)
                self.assertEqual(got.shape, (1, 2, 8))
                np.testing.assert_allclose(got[0, 1], table[[200, 3]].mean(0), rtol=1e-5, atol=1e-6)


class NearBatches(Toy):
    def test_all_groups_once_and_neighbours_together(self):
        tokenizer = Tokenizer.read(self.folder / "vocab.txt")
        data = distillation.Examples(self.folder / "teacher", tokenizer)
        plain, near = (data.epoch(1, 0, 1, n) for n in (0, 4))
        groups = lambda batches: sorted({g for batch in batches for _, g in batch})
        self.assertEqual(groups(near), groups(plain))
        held = {i for group in data.held_out for i in group}
        self.assertFalse(held & {i for batch in near for i, _ in batch})

        def nearness(batches):
            first = [data.teacher[batch[0][0]].astype(np.float32) for batch in batches]
            return np.mean([a @ b for a, b in zip(first, first[1:])])

        self.assertGreater(np.mean([nearness(data.epoch(1, e, 1, 4)) for e in range(8)]),
                           np.mean([nearness(data.epoch(1, e, 1, 0)) for e in range(8)]))


class BagRun(Toy):
    def test_resume_gives_the_unbroken_runs_weights(self):
        def arguments(output):
            return train_bag.parse(["--data", str(self.folder), "--no-dev", "--passes", "3",
                                    "--batch", "12", "--width", "16",
                                    "--output", str(self.folder / output)])

        class Killed(Exception):
            pass

        def kill(_):
            raise Killed

        train_bag.run(arguments("whole"), line=str)
        with self.assertRaises(Killed):
            train_bag.run(arguments("parts"), line=kill)
        train_bag.run(arguments("parts"), line=str)
        self.assertEqual(*((self.folder / output / "model.safetensors").read_bytes()
                           for output in ("whole", "parts")))
        other = arguments("parts")
        other.pairs = 2
        with self.assertRaisesRegex(SystemExit, "made with"):
            train_bag.run(other, line=str)
        self.assertEqual(train_bag.Bag(self.folder / "whole").embed(["a cat", ""]).shape, (2, 16))


if __name__ == "__main__":
    unittest.main()
