# SPDX-License-Identifier: Apache-2.0
"""Vectors of whole words, as targets and as the first blocks' distillation examples, on toy data."""

import io
import sys
import unittest
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import distill
import distillation
import model as finch
import starts
import train_words
import words
from test_embedder import Toy
from vocabulary import Tokenizer


class WordTargets(Toy):
    def setUp(self):
        super().setUp()
        self.words = words.Words.read(self.folder / "words")
        self.tokenizer = Tokenizer.read(self.folder / "vocab.txt")  # bytes are its tokens

    def test_units_are_whole_words_and_whole_tokens(self):
        known = words.Words([b"two", b"cats", b"no", b"dogs", b"'", b"s", b"don", b"t"])
        tokens = [b"Two", b" ca", b"ts", b" \xe2", b"\x80\x94", b" ", b"no", b" dogs"]
        of_token, of_word, ids = known.units(tokens)
        self.assertEqual(of_token.tolist(), [0, 1, 1, -1, -1, -1, 5, 6])
        self.assertEqual(of_word.tolist(), [0, 1, 5, 6])
        self.assertEqual(ids.tolist(), [1, 2, 3, 4])
        # One token of two words, and a word that is not known.
        of_token, of_word, ids = known.units([b"Two", b" ca", b"ts", b"'s", b" x", b" no"])
        self.assertEqual(of_token.tolist(), [0, 1, 1, 2, -1, 4])
        self.assertEqual(of_word.tolist(), [0, 1, 2, 2, 4])
        self.assertEqual(ids.tolist(), [1, 2, 5, 6, 3])

    def test_targets_are_the_words_vectors_and_sums_are_of_their_tokens(self):
        texts = [np.array(self.tokenizer.encode(t)) for t in (b"a cat zebra runs", b"Big dog")]
        target = words.WordTarget(self.words, texts, self.tokenizer, 2 * torch.eye(64))
        ones = target.sums(torch.ones(sum(map(len, texts)), 1))[:, 0]
        of_words = {name: 2 * self.words.vectors[self.words.ids[name.encode()]]
                    for name in ("a", "cat", "runs", "big", "dog")}
        kept = (ones > 0).nonzero()[:, 0]
        self.assertEqual(ones[kept].tolist(), [1, 3, 4, 3, 3])  # without the blanks, and zebra
        torch.testing.assert_close(target.target[kept], torch.stack(list(of_words.values())))
        left = target.target.clone()
        left[kept] = 0
        self.assertEqual(left.abs().max(), 0)

    def test_the_loss_is_0_for_the_words_vectors_and_knows_directions_and_lengths(self):
        texts = [np.array(self.tokenizer.encode(t)) for t in (b"a cat", b"big dog")]
        target = words.WordTarget(self.words, texts, self.tokenizer, torch.eye(64))
        lengths = torch.bincount(target.unit, minlength=len(target.target)).clamp(min=1)
        layer = torch.zeros(sum(map(len, texts)), 64)
        layer[target.kept] = (target.target / lengths[:, None])[target.unit]
        self.assertLess(target.loss(layer).item(), 1e-5)
        self.assertAlmostEqual(target.loss(-layer).item(), 2, places=5)
        self.assertAlmostEqual(target.loss(0.7 * layer).item(),
                               words.LENGTH_WEIGHT * np.log(0.7) ** 2, places=5)
        self.assertTrue(np.isfinite(target.loss(0 * layer).item()))

    def test_the_turn_is_found_again(self):
        torch.manual_seed(1)
        turn = 3 * torch.linalg.qr(torch.randn(8, 8))[0]
        vectors = torch.randn(50, 8)
        torch.testing.assert_close(words.fit_turn(vectors, vectors @ turn), turn,
                                   atol=1e-5, rtol=1e-5)

    def test_lists_hold_known_words_as_they_stand_in_sentences(self):
        lists = words.WordLists(self.words, self.tokenizer, ["a big tree", "The zebra eats", "no!"])
        drawn = [self.tokenizer.decode(ids) for ids in lists.draw(np.random.default_rng(1), 40, 3)]
        self.assertEqual({w for text in drawn for w in text.split()},
                         {b"a", b"big", b"tree", b"The", b"eats"})
        self.assertFalse([text for text in drawn if text.startswith(b" ")])

    def test_words_of_one_token_have_their_share_and_can_be_left_out(self):
        # " a" is the one token that is a word.
        tokenizer = Tokenizer([bytes([b]) for b in range(256)] + [b" a"])
        lists = words.WordLists(self.words, tokenizer, ["a big tree"] * 50 + ["a a a dog"])
        self.assertAlmostEqual(lists.share.sum(), 1)
        alone = lists.share[~lists.several].sum()
        self.assertAlmostEqual(alone, words.ALONE / (1 + words.ALONE))
        self.assertEqual(lists.of_several()[~lists.several].tolist(), [0])
        self.assertAlmostEqual(lists.of_several().max(), 50 / 101)

    def test_the_assistant_learns_the_examples(self):
        a = words.parse(["--data", str(self.folder), "--least", "2", "--passes", "60", "--batch",
                         "12", "--near", "0", "--width", "64", "--lr", "0.05"])
        with redirect_stderr(io.StringIO()):
            words.run(a)
        learned = words.Words.read(self.folder / "words")
        self.assertEqual(learned.vectors.shape, (len(learned.names) + 1, 64))
        self.assertIn(b"cat", learned.ids)
        data = distillation.Examples(self.folder / "teacher", learned)
        rows = [i for group in data.groups for i in group]
        teacher = torch.from_numpy(np.float32(data.teacher[rows]))
        mapped = torch.nn.functional.normalize(
            teacher @ distill.teacher_map(data.teacher, 64))
        got = torch.nn.functional.normalize(
            torch.stack([learned.vectors[data.ids[i]].mean(0) for i in rows]))
        self.assertGreater((got * mapped).sum(1).mean().item(), 0.3)


class TrainWords(Toy):
    def setUp(self):
        super().setUp()
        (self.folder / "bag").mkdir()
        torch.manual_seed(3)
        save_file({"emb.weight": torch.randn(257, 64)}, self.folder / "bag" / "model.safetensors")

    def test_tokens_that_are_words_get_their_vectors_at_layer_0(self):
        model = finch.load(self.folder / "lm")
        starts.take_bag(model, self.folder / "bag", 4)
        known = words.Words.read(self.folder / "words")
        tokenizer = Tokenizer.read(self.folder / "vocab.txt")  # bytes are its tokens
        a, z = (np.array(tokenizer.encode(text)) for text in (b"a", b"z"))
        with torch.no_grad():
            before = starts.table_means(model, [a, z])
            starts.take_words(model, known, torch.eye(64), tokenizer,
                              [np.array(tokenizer.encode(b"a a!")), z])
            after = starts.table_means(model, [a, z])
        nearness = torch.nn.functional.cosine_similarity
        wanted = known.vectors[known.ids[b"a"]]
        self.assertLess(nearness(before[0], wanted, dim=0), 0.5)
        self.assertGreater(nearness(after[0], wanted, dim=0), 0.9)  # less 5 of 64 directions
        self.assertGreater(nearness(before[1], after[1], dim=0), 0.999)

    def train(self, output, *more):
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            run = train_words.main(
                ["--data", str(self.folder), "--start", str(self.folder / "lm"), "--bag-table",
                 str(self.folder / "bag"), "--output", str(self.folder / output), "--depth", "1",
                 "--steps", "40", "--lists", "6", "--save-every", "15", *more])
        return run, (self.folder / output / "model" / "model.safetensors").read_bytes()

    def test_the_blocks_learn_the_words_and_the_others_add_nothing(self):
        run, _ = self.train("whole")
        first, last = run.curve[0], run.curve[-1]
        self.assertGreater(last[-1], first[-1] + 0.05)  # cosine of layer 1
        self.assertAlmostEqual(last[3], first[3])  # layer 0 stays
        self.assertGreater(last[4], last[3] + 0.1)
        weights = load_file(self.folder / "whole" / "model" / "model.safetensors")
        for name in ("attention.output", "feed_forward.value"):
            self.assertEqual(weights[f"rwkv.blocks.1.{name}.weight"].abs().max(), 0)

    def test_resume_gives_the_unbroken_runs_weights(self):
        _, whole = self.train("whole")
        self.train("parts", "--minutes", "0.0001")
        self.assertEqual(whole, self.train("parts")[1])
        with self.assertRaisesRegex(SystemExit, "made with"):
            self.train("parts", "--depth", "2")
        with self.assertRaisesRegex(SystemExit, "--depth: expected 1 to 2, .* got 3"):
            self.train("other", "--depth", "3")


if __name__ == "__main__":
    unittest.main()
