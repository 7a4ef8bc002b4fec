# SPDX-License-Identifier: Apache-2.0
"""The vocabulary file, and the engine's tokenizer against ours ($FATHOM: the program)."""

import json
import os
import random
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import vocabulary

TEXT = b"the cat sat on the mat. the other cat's mat isn't there, the end 12 123 caf\xc3\xa9\n"


def make_tokenizer():
    words = {}
    for word in vocabulary.WORD.findall(TEXT):
        words[word] = words.get(word, 0) + 1
    return vocabulary.Tokenizer(vocabulary.find_vocabulary(words, 280))


class Vocabulary(unittest.TestCase):
    def test_size_bytes_and_round_trip(self):
        tokenizer = make_tokenizer()
        self.assertEqual(len(tokenizer.tokens), 280)
        self.assertEqual(len(set(tokenizer.tokens)), 280)
        self.assertEqual(tokenizer.tokens[:256], [bytes([b]) for b in range(256)])
        ids = tokenizer.encode(TEXT)
        self.assertEqual(tokenizer.decode(ids), TEXT)
        self.assertLess(len(ids), len(TEXT))
        self.assertEqual(ids, tokenizer._match(TEXT))

    def test_file_form(self):
        tokenizer = make_tokenizer()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vocab.txt"
            tokenizer.write(path)
            self.assertEqual(vocabulary.Tokenizer.read(path).tokens, tokenizer.tokens)
            lines = path.read_text().splitlines()
            self.assertEqual(lines[0], "1 '\\x00' 1")
            self.assertEqual(lines[255], "256 b'\\xff' 1")

    def test_engine_gives_the_same_ids(self):
        program = os.environ.get("FATHOM")
        if not program:
            self.skipTest("$FATHOM, the program to compare with, is not set")
        tokenizer = make_tokenizer()
        source = random.Random(1)
        words = TEXT.split() + [b"  ", b"\xff", b"x\ny", b"\0"]
        cases = [b" ".join(source.choices(words, k=12)) for _ in range(3000)]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "vocab.txt"
            tokenizer.write(path)
            lines = "".join(json.dumps({"name": str(i), "hex": case.hex()}) + "\n"
                            for i, case in enumerate(cases))
            output = subprocess.run([program, "tokenize", "--vocab", path, "--jsonl"], input=lines,
                                    capture_output=True, text=True, check=True).stdout
        theirs = [json.loads(line)["ids"] for line in output.splitlines()]
        self.assertEqual(theirs, [tokenizer.encode(case) for case in cases])


if __name__ == "__main__":
    unittest.main()
