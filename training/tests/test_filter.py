# SPDX-License-Identifier: Apache-2.0
"""Planted leaks must go, their neighbours must stay."""

import io
import sys
import tempfile
import unittest
from collections import Counter
from contextlib import redirect_stderr
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import corpus
import filter as leak_filter

LONG = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
EVALUATED = [
    "A man is playing a large flute in the old park.",
    "He does n't fit the company 's plan .",
    "Yes",
    LONG,
    "First of the two sentences here. Second of the two sentences here.",
]


def index():
    return leak_filter.Evaluated(EVALUATED)


def rule(text):
    return index().rule_for(leak_filter.words_of(text))


class Rules(unittest.TestCase):
    def test_equal_ignores_case_punctuation_and_tokenisation(self):
        self.assertEqual(rule("a MAN is playing a large flute -- in the old park"), "equal")
        self.assertEqual(rule("He doesn't fit the company's plan."), "equal")
        self.assertEqual(rule("yes!"), "equal")
        self.assertEqual(rule("Second of the two sentences here"), "equal")

    def test_jaccard_from_one_half_on(self):
        # 9 three-grams evaluated; 6 shared of 9 + 9 - 6 = 12 is 1/2, 5 of 13 is not.
        self.assertEqual(rule("A man is playing a large flute in b c d"), "jaccard")
        self.assertIsNone(rule("A man is playing a large flute b c d e"))

    def test_jaccard_with_a_much_shorter_or_longer_sentence(self):
        self.assertIsNone(rule("A man is"))
        self.assertIsNone(rule("A man is playing a large flute in the old park " + "a b c d e f g h i j k l m"))

    def test_13_words_in_a_row(self):
        words = LONG.split()
        other = " a b c d e f g h i j k l m n o p q r s t u v w x y z"
        self.assertEqual(rule(" ".join(words[:13]) + other), "13-gram")
        self.assertIsNone(rule(" ".join(words[:12]) + other))

    def test_other_sentences_stay(self):
        self.assertIsNone(rule("Nothing of this was ever in a test."))


class Lines(unittest.TestCase):
    def test_only_the_leaking_sentence_goes(self):
        counts = Counter()
        line = "Nice day it was and we all went out for a long walk by the river. A man is playing a large flute in the old park. Rain came later."
        kept = leak_filter.filter_line(index(), line, counts)
        self.assertEqual(kept, ["Nice day it was and we all went out for a long walk by the river.", "Rain came later."])
        self.assertEqual(counts, {"sentences": 3, "equal": 1})

    def test_13_words_across_two_sentences(self):
        words = LONG.split()
        line = " ".join(["Aa bb"] + words[:7]) + ". " + " ".join(words[7:] + ["cc dd ee."])
        line = "Kept it is since all of these words are new and there are many many more of them. " + line + " Kept too."
        self.assertEqual(leak_filter.filter_line(index(), line, Counter()),
                         ["Kept it is since all of these words are new and there are many many more of them.", "Kept too."])


class Images(unittest.TestCase):
    def test_all_captions_and_the_same_image_elsewhere(self):
        leak = EVALUATED[0]
        first = "Somebody makes music near some very tall trees."
        second = "The music maker stands between two green benches."
        rows = [
            ("flickr8k_5captions", [("same", [first, second]), ("same", ["A cat sleeps."])]),
            ("multi30k_5captions", [("same", [leak, first, second])]),
            ("cad_nli", [("neutral", [first, "A woman reads."]), ("neutral", ["Dogs run.", "x"])]),
        ]
        kept, counts, _ = leak_filter.filter_pairs(index(), rows)
        self.assertEqual(kept["flickr8k_5captions"], [("same", ["A cat sleeps."])])
        self.assertEqual(kept["multi30k_5captions"], [])
        self.assertEqual(kept["cad_nli"], [("neutral", ["Dogs run.", "x"])])
        self.assertEqual(counts["multi30k_5captions"]["equal"], 3)
        self.assertEqual(counts["flickr8k_5captions"]["image"], 2)


class Permissive(unittest.TestCase):
    def test_captions_for_research_are_not_written_but_name_the_images(self):
        first = "Somebody makes music near some very tall trees."
        with tempfile.TemporaryDirectory() as folder:
            data, output = Path(folder) / "data", Path(folder) / "out"
            (data / "text" / "pairs").mkdir(parents=True)
            (data / "MANIFEST.tsv").write_text(
                "path\tlicence\ntext/pairs/flickr8k_5captions.tsv\tresearch use\n"
                "text/pairs/cad_nli.tsv\tApache-2.0\n")
            (data / "text" / "pairs" / "flickr8k_5captions.tsv").write_text(
                f"1.jpg\t{EVALUATED[0]}\t{first}\n")
            (data / "text" / "pairs" / "cad_nli.tsv").write_text(
                f"{first}\tA woman reads.\tneutral\nDogs run.\tA cat sleeps.\tneutral\n")
            evaluated = [("mrpc", text) for text in EVALUATED]
            with mock.patch.object(corpus, "evaluated_sentences", lambda data: evaluated), \
                    redirect_stderr(io.StringIO()):
                report = leak_filter.run(data, output, permissive=True)
            self.assertEqual((output / "pairs" / "cad_nli.tsv").read_text(),
                             "neutral\tDogs run.\tA cat sleeps.\n")
            self.assertEqual([p.name for p in (output / "pairs").iterdir()], ["cad_nli.tsv"])
            self.assertEqual(sorted(report["sources"]), ["all", "cad_nli"])
            self.assertEqual(report["sources"]["cad_nli"]["image"], 2)


class Licences(unittest.TestCase):
    def test_permissive(self):
        for licence in ("public domain (US)", "GFDL 1.1+ (FOLDOC)", "CC BY-SA 4.0 (Wikipedia)"):
            self.assertTrue(corpus.licence_permits(licence), licence)
        for licence in ("CC BY-NC 4.0 (ASSET)", "Flickr8k, research use", "unknown", "",
                        "Quora Question Pairs terms (non-commercial)", "Brown: non-commercial",
                        "Flickr30k captions, research use; Multi30k CC BY-NC-SA 4.0"):
            self.assertFalse(corpus.licence_permits(licence), licence)


if __name__ == "__main__":
    unittest.main()
