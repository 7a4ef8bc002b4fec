#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Warns of prose: words of ci/vocabulary.txt, sentences of more than 30 words, and what Proselint finds
where it is installed. Never fails.

    ci/prose.py [PROSELINT]        [the program proselint]
"""
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LONG = 30


def pages():
    docs = [p for p in (ROOT / "docs").rglob("*.md") if "results" not in p.parts]
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(docs)]


def prose_of(text):
    """Paragraphs and list items with the number of their first line: no code, tables or headings."""
    fenced, start, lines = False, 0, []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.startswith("```"):
            fenced = not fenced
        is_prose = not fenced and not re.match(r"```|    |\||#|<!--|!\[|\s*$", line)
        if not is_prose or re.match(r"- |\d+\. ", line):
            if lines:
                yield start, " ".join(lines)
            lines = []
        if is_prose:
            if not lines:
                start = number
            lines.append(line)


def plain(text):
    text = re.sub(r"`[^`]*`", "code", text)
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)


def sentences(text):
    return re.split(r"(?<=[.!?;])\s+", plain(text))


def main():
    vocabulary = [
        line.split("\t")
        for line in (ROOT / "ci/vocabulary.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    words = long = 0
    for page in pages():
        name = page.relative_to(ROOT)
        for number, paragraph in prose_of(page.read_text(encoding="utf-8")):
            for pattern, better in vocabulary:
                for found in re.findall(rf"\b(?:{pattern})\b", paragraph, re.IGNORECASE):
                    words += 1
                    print(f"{name}:{number}: warning: {pattern}: better {better}")
            for sentence in sentences(paragraph):
                n = len(re.findall(r"[^\W\d_][\w'’-]*", sentence))
                if n > LONG:
                    long += 1
                    print(f"{name}:{number}: warning: {n} words: {sentence[:60]}…")
    print(f"prose.py: {words} words of the vocabulary, {long} sentences of more than {LONG} words")
    lint = sys.argv[1] if len(sys.argv) > 1 else shutil.which("proselint")
    if lint and pathlib.Path(lint).exists():
        files = [str(p.relative_to(ROOT)) for p in pages()]
        found = subprocess.run([lint, "check", *files], cwd=ROOT, capture_output=True, text=True)
        quiet = ("typography.", "lexical_illusions")  # quotes of code, figures of tables
        lines = [x for x in found.stdout.splitlines() if ".md:" in x and not any(q in x for q in quiet)]
        print(*lines[:20], f"proselint: {len(lines)} lines", sep="\n")


if __name__ == "__main__":
    main()
