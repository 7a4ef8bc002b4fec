# SPDX-License-Identifier: Apache-2.0
"""Counts against a plain count, and the vectors of words that are used alike."""

import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
try:
    import word_vectors
except ImportError as error:  # scipy
    raise unittest.SkipTest(str(error))


class WordVectors(unittest.TestCase):
    def test_counts(self):
        words, text = word_vectors.encode(["a b a.\n", "b c"], 3)
        self.assertEqual(words, ["a", "b", "."])
        gap = [3] * word_vectors.GAP
        self.assertEqual(text.tolist(), [0, 1, 0, 2, *gap, 1, 3, *gap])
        got = word_vectors.count_pairs(text, 3, 2).toarray()
        np.testing.assert_allclose(got, [[1, 2, 1], [2, 0, 0.5], [1, 0.5, 0]])

    def test_words(self):
        self.assertEqual(word_vectors.words_of("Don't stop, it's 3!"),
                         ["do", "n't", "stop", ",", "it", "'s", "3", "!"])

    def test_words_used_alike_are_near(self):
        random = np.random.default_rng(1)
        lines = [f"the {random.choice(['cat', 'dog'])} eats meat" if random.random() < 0.5 else
                 f"my {random.choice(['car', 'bus'])} needs oil" for _ in range(400)]
        words, text = word_vectors.encode(lines, 20)
        vectors = word_vectors.factor(word_vectors.ppmi(word_vectors.count_pairs(text, len(words),
                                                                                 3)), 3, 1)
        cos = np.corrcoef(vectors[[words.index(w) for w in ("cat", "dog", "car")]])
        self.assertGreater(cos[0, 1], cos[0, 2] + 0.3)

    def test_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "w.txt"
            word_vectors.write(path, ["a", "b"], np.array([[0.5, -1], [2, 0]]), 2)
            self.assertEqual(path.read_text(), "a 0.50 -1.00\nb 2.00 0.00\n")


if __name__ == "__main__":
    unittest.main()
