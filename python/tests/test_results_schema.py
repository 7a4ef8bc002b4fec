# SPDX-License-Identifier: Apache-2.0
"""What `fathom eval` writes into results.json is what docs/reference/results.schema.json says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "docs" / "reference" / "results.schema.json"

RUNS = {
    "pairs": ["--task", "sample", "--split", "test", "--data", "samples", "--no-timing"],
    "probes": ["--task-file", "samples/topics.csv", "--text", "text", "--label", "topic", "--no-timing"],
    "baselines": [
        *("--task-file", "samples/own_pairs.csv", "--text1", "first", "--text2", "second"),
        *("--score", "score", "--bag", "models/bag", "--compare-to", "models/bag"),
        *("--glove", "models/words-50d.txt.xz", "--layers", "0,3", "--repeats", "1"),
    ],
    "policy": [
        *("--task", "sample", "--split", "test", "--data", "samples", "--no-timing"),
        *("--depth", "fixed:2"),
    ],
}


def results_of(run: str, folder: Path) -> Any:
    command = [sys.executable, "-m", "fathom", "eval", "models/finch-embed", *RUNS[run]]
    command += ["--bootstrap", "50", "-o", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "results.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("run", RUNS)
def test_results_follow_the_schema(run: str, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    results = results_of(run, tmp_path)
    assert [e.message for e in validator.iter_errors(results)] == []

    # The schema is no empty promise: what is wrong is found.
    for path, wrong in ((("rows", 0, "value"), "0.5"), (("rows", 0, "layer"), "last"), (("fathom",), 2)):
        place = results
        for step in path[:-1]:
            place = place[step]
        kept, place[path[-1]] = place[path[-1]], wrong
        assert not validator.is_valid(results), path
        place[path[-1]] = kept


def test_the_page_names_every_field() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "reference" / "results-json.md").read_text(encoding="utf-8")
    fields = [*schema["properties"], *schema["properties"]["rows"]["items"]["properties"]]
    assert [f for f in fields if f"`{f}`" not in page] == []
