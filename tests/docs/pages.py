#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands that README.md and the pages of docs/ show are run, page by page, as a reader would
run them: in a folder with models/ and samples/, one block after the other.

    tests/docs/pages.py FATHOM [PAGE...]

Run are blocks of ```sh, and those of ```python that need nothing beside the standard library. A block
behind the line <!-- needs: WHAT --> is not run; what it needs is what a machine of CI has not. Ports
are changed to one that is free. Every `fathom` command line of a page, run or not, has at least to be
one that the program takes.
"""
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
PORT = "8080"


def pages():
    docs = ROOT / "docs"
    return [ROOT / "README.md", *sorted(p for p in docs.rglob("*.md") if "results" not in p.parts)]


def blocks(text):
    """(language, code, needs) of every fenced block."""
    pattern = r"(?:<!-- needs: ([^\n]*) -->\n)?^```(\w*)\n(.*?)^```$"
    return [(m[2], m[3], m[1]) for m in re.finditer(pattern, text, re.MULTILINE | re.DOTALL)]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


def script_of(page):
    parts = []
    for language, code, needs in blocks(page.read_text(encoding="utf-8")):
        if needs:
            continue
        if language == "sh":
            parts.append(code)
        elif language == "python" and "import fathom" not in code and "# needs" not in code:
            if page.name != "python.md":  # python/tests runs that page
                parts.append(f"python3 - << 'END_OF_PYTHON'\n{code}END_OF_PYTHON\n")
    return "\n".join(parts)


def run_page(page, fathom):
    script = script_of(page)
    if page.name == "server.md" or "fathom " not in script:  # tests/serve/examples.sh runs that page
        return 0
    if "curl " in script and not shutil.which("curl"):
        print(f"{page.relative_to(ROOT)}: not run: curl is not installed")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        for name in ("models", "samples"):
            (place / name).symlink_to(ROOT / name)
        (place / "bin").mkdir()
        (place / "bin/fathom").symlink_to(fathom)
        environment = {**os.environ, "PATH": f"{place / 'bin'}:{os.environ['PATH']}"}
        # Job control: %1 is the server. Whatever still runs at the end is ended.
        whole = "set -eum\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n"
        whole += script.replace(PORT, free_port())
        done = subprocess.run(
            ["bash", "-c", whole], cwd=place, env=environment, capture_output=True, text=True, timeout=600
        )
    if done.returncode:
        sys.exit(f"{page.relative_to(ROOT)}: exit code {done.returncode}\n{done.stdout}\n{done.stderr}")
    return len(re.findall(r"^(?:fathom|curl) ", script, re.MULTILINE))


def command_lines(page):
    """What a reader may copy: lines of blocks, indented or fenced, that begin with fathom."""
    for line in page.read_text(encoding="utf-8").splitlines():
        match = re.match(r"(?:    )?(?:\$ )?(?:[^`|]*\| )?(fathom [a-z]+ [^`]*)$", line)
        if match and not match[1].startswith("fathom COMMAND"):
            yield re.split(r" {2,}#|; | > | < | &$", match[1])[0]


def check_command_lines(page, fathom):
    n = 0
    for line in command_lines(page):
        n += 1
        environment = {**os.environ, "FATHOM_PARSE_ONLY": "1"}
        call = f'fathom() {{ "{fathom}" "$@"; }}; {line}'
        done = subprocess.run(["bash", "-c", call], env=environment, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{page.relative_to(ROOT)}: not taken: {line}\n{done.stderr}")
    return n


def main():
    fathom = pathlib.Path(sys.argv[1]).resolve()
    chosen = [pathlib.Path(p).resolve() for p in sys.argv[2:]] or pages()
    ran = sum(run_page(page, fathom) for page in chosen)
    taken = sum(check_command_lines(page, fathom) for page in chosen)
    if not sys.argv[2:] and (ran < 20 or taken < 70):
        sys.exit(f"pages.py: {ran} commands run and {taken} read: some were not found")
    print(f"{len(chosen)} pages, {ran} commands run, {taken} command lines taken")


if __name__ == "__main__":
    main()
