# SPDX-License-Identifier: Apache-2.0
"""Windows of the text, the schedule, and exact resume of the language model and the teacher."""

import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import distillation
import loop
import teacher
import train_lm
from vocabulary import Tokenizer


class Windows(unittest.TestCase):
    def test_each_source_as_often_as_its_weight(self):
        sources = [np.full(41, i + 1, dtype=np.uint16) for i in range(3)]
        data = train_lm.Windows(sources, 1, 4, 1, [1.0, 2.0, 0.5])
        starts = [int(data.at(step)[0, 0]) for step in range(data.per_pass)]
        for source, count in ((1, 10), (2, 20), (3, 5)):
            self.assertLessEqual(abs(starts.count(source) - count), 1)

    def test_order_follows_from_seed_and_pass(self):
        ids = [np.arange(1, 100, dtype=np.uint16)]
        data, same, other = (train_lm.Windows(ids, 2, 4, seed) for seed in (1, 1, 2))
        far = data.per_pass + 1
        self.assertTrue(torch.equal(data.at(far), same.at(far)))
        self.assertFalse(torch.equal(data.at(far), other.at(far)))

    def test_a_line_starts_with_id_0(self):
        data = train_lm.Windows([np.full(50, 11, dtype=np.uint16)], 1, 4, 1, line_end=11)
        self.assertEqual(data.at(0).tolist(), [[0, 11, 11, 11, 11]])


class Schedule(unittest.TestCase):
    def test_warm_up_constant_and_a_line_to_zero(self):
        trainer = SimpleNamespace(a=SimpleNamespace(steps=1000, warmup=100))
        factors = []
        for trainer.step in (0, 99, 500, 599, 800, 1000):
            factors.append(loop.rate_factor(trainer))
        np.testing.assert_allclose(factors, [0.01, 1, 1, 1, 0.5, 0], atol=1e-9)


class Resume(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        (self.folder / "text").mkdir()
        text = "".join(f"The cat {i} sees the dog {i * i}.\n" for i in range(80))
        (self.folder / "text" / "brown.txt").write_text(text)
        (self.folder / "heldout.txt").write_text("The dog 7 sees the cat 81.\n" * 4)
        Tokenizer([bytes([b]) for b in range(256)]).write(self.folder / "vocab.txt")

    def train(self, output, *more):
        run = train_lm.main(["--data", str(self.folder), "--output", str(self.folder / output),
                             "--layers", "1", "--width", "64", "--batch", "4", "--length", "16",
                             "--steps", "8", "--save-every", "3", *more])
        return run, (self.folder / output / "model" / "model.safetensors").read_bytes()

    def test_language_model(self):
        _, whole = self.train("whole")
        self.train("parts", "--minutes", "0.0001")
        run, parts = self.train("parts")
        self.assertEqual(whole, parts)
        bits = run.curve[-1][-1]
        self.assertTrue(0 < bits < 9, bits)

    def test_start_from_the_weights_of_another_run(self):
        first, _ = self.train("first")
        more = ["--start", str(self.folder / "first" / "model"), "--seed", "2"]
        second, _ = self.train("second", *more)
        self.assertLess(second.curve[0][-1], first.curve[0][-1])
        with self.assertRaisesRegex(SystemExit, "expected"):
            self.train("third", *more, "--layers", "2")

    def test_teacher(self):
        class Fake:
            calls = 0

            def embed(self, sentences):
                self.calls += 1
                if self.calls == self.stop_at:
                    raise KeyboardInterrupt
                return torch.tensor([[len(s), *[0.5] * 383] for s in sentences])

        fake = Fake()
        fake.stop_at = 2
        with self.assertRaises(KeyboardInterrupt):
            teacher.run(self.folder, fake, 1, 1.0, batch=8)
        fake.stop_at = 0
        teacher.run(self.folder, fake, 1, 1.0, batch=8)
        tokenizer = Tokenizer.read(self.folder / "vocab.txt")
        data = distillation.Examples(self.folder / "teacher", tokenizer)
        self.assertEqual(len(data.labels), 80)
        self.assertEqual([len(ids) for ids in data.ids], data.teacher[:, 0].tolist())

        known = teacher.known_vectors(self.folder / "teacher")
        wanted = (self.folder / "teacher" / "vectors.bin").read_bytes()
        (self.folder / "teacher" / "vectors.done").write_text("0")
        (self.folder / "teacher" / "vectors.bin").unlink()
        teacher.run(self.folder, None, 1, 1.0, known)  # nothing is left for a teacher
        self.assertEqual((self.folder / "teacher" / "vectors.bin").read_bytes(), wanted)


if __name__ == "__main__":
    unittest.main()
