# SPDX-License-Identifier: Apache-2.0
"""The order of the study, its driver with made-up runs, and its endpoints on made-up answers."""

import contextlib
import dataclasses
import io
import json
import os
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import finetune_analysis as analysis
import finetune_page as page
import finetune_study as study
import finetune_times as times
import heal_study
import tasks


class Folder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.runs = Path(temporary.name)
        (self.runs / "logs").mkdir()


class Plan(unittest.TestCase):
    def test_what_a_part_needs_comes_before_it(self):
        done = set()
        for part in study.plan():
            self.assertNotIn(part.name, done)
            for need in part.needs:
                if "/masks/" not in need:
                    self.assertIn(need.removesuffix("/result.json"), done)
            done.add(part.name)
        self.assertIn("trec/depth12-3", done)
        self.assertIn("trec/greedy50-1", done)
        self.assertEqual(len([p for p in study.plan(5) if p.name.startswith("sst2/alternate")]), 5)

    def test_commands_of_masks(self):
        told = study.mask_command("fathom", Path("runs/trec/masks/greedy50.json"))
        self.assertIn("--tasks trec --method greedy --keep 0.5", " ".join(told))


class Made(study.Part):
    """Writes a result, or fails."""

    def command(self):
        result = {"seconds": 1, "splits": {"test": {"accuracy": [0.5]}}}
        write = f"open('{self.name}/result.json', 'w').write({json.dumps(result)!r})"
        return ["-c", write if self.kind != "broken" else "raise SystemExit(3)", "--"]


class Driver(Folder):
    def test_parts_run_once_and_a_failure_stops_nothing(self):
        parts = [Made("trec", "a", 1), Made("trec", "broken", 1),
                 Made("trec", "b", 1, needs=["trec/a-1/result.json"]),
                 Made("trec", "c", 1, needs=["trec/broken-1/result.json"])]
        driver = study.Driver(self.runs, parts, 2, 1)
        driver.say = lambda text: None
        self.assertFalse(driver.run())
        self.assertEqual([driver.done(p) for p in parts], [True, False, True, False])
        again = study.Driver(self.runs, parts[::2], 2, 1)
        again.start = lambda part: self.fail("it was done")
        self.assertTrue(again.run())


class Times(unittest.TestCase):
    def test_points_of_a_sweep(self):
        def time(point, share):
            both = {"p50_seconds": 1, "p99_seconds": 2}
            return {"point": point, "predicted_share": share, "batches": [
                {"batch": n, "policy": both, "full_depth": both} for n in (1, 8, 32)]}

        fixed = {"policy": "fixed", "points": [{"setting": f"layer {n}"} for n in (0, 3, 12)],
                 "times": [time(1, 0.25), time(2, 1)]}
        results = {"tasks": [{"policies": [fixed, {"policy": "exit:x", "times": [time(0, 0.4)]}]}]}
        self.assertEqual([times.layer_of(results, t) for t in times.timed(results, "fixed")],
                         [3, 12])
        told = times.shares(times.timed(results, "exit:x")[-1])
        self.assertEqual(told["flops_share"], 0.4)
        self.assertEqual([b["batch"] for b in told["batches"]], [1, 32])
        self.assertEqual(told["batches"][0]["full_p99"], 2)
        with self.assertRaisesRegex(SystemExit, "no times of exit:y"):
            times.timed(results, "exit:y")


class Endpoints(Folder):
    """Depth 1 is right on 60 %, depth 12 on 90 %; exits are sure where layer 1 is right."""

    def setUp(self):
        super().setUp()
        self.task = tasks.TASKS["trec"]
        random = np.random.default_rng(1)
        for seed in (1, 2):
            gold = random.integers(6, size=400)
            first, last = (self.logits(gold, random.permutation(400) < right)
                           for right in (240, 360))
            self.write(f"alternate-{seed}", [1, 12], np.stack([first, last]), gold)
            self.write(f"depth1-{seed}", [1], first[None], gold)
            self.write(f"depth12-{seed}", [12], last[None], gold)
            self.write(f"full1-{seed}", [1], last[None], gold)
            self.write(f"full12-{seed}", [12], last[None], gold)

    def logits(self, gold, right):
        answer = np.where(right, gold, (gold + 1) % 6)
        return np.eye(6)[answer] * np.where(right, 9.0, 1.0)[:, None]

    def write(self, name, layers, logits, gold):
        folder = self.runs / "trec" / name
        folder.mkdir(parents=True, exist_ok=True)
        folder.joinpath("result.json").write_text("{}")
        splits = {f"{split}.{what}": value for split in ("calibration", "test") for what, value in
                  (("logits", logits), ("gold", gold), ("tokens", np.full(len(gold), 10)))}
        np.savez(folder / "logits.npz", layers=layers, temperatures=np.ones(len(layers)), **splits)

    def test_exits_that_know(self):
        told = analysis.analyse(self.runs, self.task, "test", 200)
        primary = told["primary"]["alternate"]
        gain, low, high = primary["exits - depths"]["mean"]
        self.assertLess(low, gain)
        self.assertLess(gain, high)
        self.assertGreater(low, 0.05)
        self.assertAlmostEqual(primary["own curve - depths"]["mean"][0], 0, 3)
        full = primary["exits - depths tuned on the calibration rows, too"]
        self.assertAlmostEqual(full["mean"][0], primary["height of exits"][0] - 0.9, 3)
        # Straight from 0.6 at a twelfth to 0.9 at 1.
        middle = 0.6 + 0.3 * (0.55 - 1 / 12) / (11 / 12)
        self.assertAlmostEqual(primary["height of depths"][0], middle, 2)
        secondary = told["secondary"]["alternate"]
        self.assertAlmostEqual(secondary["depths"]["cost"][0], 1, 2)
        # All whose first answer is wrong go on.
        self.assertAlmostEqual(secondary["exits"]["cost"][0], 0.6 / 12 + 0.4, 1)
        self.assertEqual(told["accuracy"]["depth1"]["1"][0], 0.6)
        # Where layer 1 is sure: any threshold between the margins of 1 and of 9.
        for threshold in secondary["exits"]["threshold"]:
            self.assertTrue(0.25 < threshold <= 1, threshold)
        self.assertEqual(secondary["depths"]["depth"], [12, 12])
        self.assertEqual(primary["incomplete seeds"], [])

    def test_exits_that_know_nothing(self):
        """Equal answers and no order among margins: nothing to gain, nothing to lose."""
        random = np.random.default_rng(7)
        for seed in (1, 2):
            gold = random.integers(6, size=400)
            first, last = (self.noise(random, gold, right) for right in (240, 360))
            for name, layers, z in (("alternate", [1, 12], np.stack([first, last])),
                                    ("depth1", [1], first[None]), ("depth12", [12], last[None])):
                self.write(f"{name}-{seed}", layers, z, gold)
        gain = analysis.analyse(self.runs, self.task, "test", 400)["primary"]["alternate"]
        value, low, high = gain["exits - depths"]["mean"]
        self.assertLess(low, 0)
        self.assertGreater(high, 0)
        self.assertLess(abs(value), 0.02)

    def noise(self, random, gold, right):
        answer = np.where(random.permutation(400) < right, gold, (gold + 1) % 6)
        return np.eye(6)[answer] * random.uniform(1, 5, size=(400, 1))

    def test_what_is_not_finished(self):
        """A seed without all depths of the others is left out and named; so is a task."""
        (self.runs / "trec" / "depth1-2" / "result.json").unlink()
        (self.runs / "trec" / "depth12-2" / "result.json").unlink()
        told = analysis.analyse(self.runs, self.task, "test", 100)
        primary = told["primary"]["alternate"]
        self.assertEqual((primary["seeds"], primary["incomplete seeds"]), ([1], [2]))
        (self.runs / "trec" / "depth1-1" / "result.json").unlink()
        told = analysis.analyse(self.runs, self.task, "test", 100)
        self.assertEqual(told["primary"], {})
        self.assertEqual(told["accuracy"]["depth12"]["12"][0], 0.9)
        self.assertIsNone(analysis.analyse(self.runs, tasks.TASKS["mrpc"], "test", 100))

    def test_page(self):
        times = self.runs / "times"
        times.mkdir()
        batches = [{"batch": n, "policy_p50": 1, "full_p50": 4, "policy_p99": 3, "full_p99": 4}
                   for n in (1, 32)]
        times.joinpath("trec.alternate-1.json").write_text(json.dumps(
            {"exits": {"flops_share": 0.2, "batches": batches}}))
        out = self.runs / "out" / "summary.json"
        path = self.runs / "README.md"
        analysis.main(["--runs", str(self.runs), "--tasks", "trec,mrpc", "--bootstrap", "100",
                       "--output", str(out), "--page", str(path)])
        self.assertEqual(list(json.loads(out.read_text())), ["trec test"])
        text = path.read_text()
        self.assertIn("**trec test, alternate, 2 seeds**: exits less separately tuned depths 1, 12: "
                      "+0.", text)
        self.assertIn(", better. 99 % of the tuned 12 blocks: exits with 0.4", text)
        self.assertIn("Missing: trec/alternate-3, ", text)
        self.assertIn("| trec.alternate-1 | exits | 0.200 | 0.250 | 0.250 | 0.750 | 0.750 |", text)
        self.assertIn("| alternate | exits - depths | +0.", text)

    def test_f1_beside_accuracy(self):
        for seed, value in ((1, 0.5), (2, 0.7)):
            path = self.runs / "trec" / f"depth1-{seed}" / "result.json"
            path.write_text(json.dumps({"splits": {"test": {"rows": 400, "f1": [value]}}}))
        both = dataclasses.replace(self.task, metrics=("accuracy", "f1"))
        told = analysis.analyse(self.runs, both, "test", 100)
        self.assertEqual(told["f1"], {"depth1": {"1": 0.6}})
        self.assertIn("| depth1 | 0.600 |  |", page.markdown({"trec": told}))

    def test_cost(self):
        costs = analysis.Costs(study.MODEL)
        self.assertEqual(costs.layers, 12)
        C, F, R, D, N = 192, 672, 32, 64, 64
        self.assertEqual(costs.time_mix, 5 * C * C + 10 * C * R + 2 * C * D + 3 * C * N)
        self.assertEqual(costs.channel_mix, 2 * C * F + C * C)
        leaving = costs.leaving(self.task, [1, 12], np.array([10]))
        heads = 2 * C + 2 * 6 * C
        self.assertEqual(leaving[0, 0], costs.block * 10 + heads + 2 * C)
        self.assertEqual(leaving[1, 0], costs.block * 120 + 2 * heads + 10 * C + 2 * C)
        half = [(True, False)] * 12
        self.assertEqual(costs.under(self.task, half, np.array([10]))[0],
                         2 * 12 * costs.time_mix * 10 + heads + 2 * C)


PROGRAM = """#!{python}
import json, subprocess, sys
a = sys.argv[1:]
of = lambda name: a[a.index(name) + 1]
open({log!r}, "a").write(("heal" if "--heal" in a else "judge") + "\\n")
if "--heal" in a:
    mask = {{"time_mix": [True, False], "channel_mix": [True, True]}}
    open(of("-o"), "w").write(json.dumps({{"mask": mask}}))
    tune = of("--heal").format(mask=of("-o"), folder=of("--healed"))
    if subprocess.run(tune, shell=True).returncode:
        sys.exit(1)
figures = dict(metric="accuracy", split="test", n_train=9, n_evaluated=9, whole=.9, masked=.5,
               healed=.8)
print(json.dumps({{"healed": figures}} if "--heal" in a else figures))
"""
TUNER = """#!{python}
import json, os, sys
folder = sys.argv[-1]
os.makedirs(folder, exist_ok=True)
if os.path.exists({stop!r}):
    os.remove({stop!r})
    sys.exit(3)
told = dict(seconds=1, splits=dict(test=dict(accuracy=[.7])))
json.dump(told, open(folder + "/result.json", "w"))
"""


class Heal(Folder):
    """The hook with a made-up program and a made-up tuner."""

    def setUp(self):
        super().setUp()
        self.log, self.stop = self.runs / "calls", self.runs / "stop"
        fill = {"python": sys.executable, "log": str(self.log), "stop": str(self.stop)}
        self.program, self.tuner = self.runs / "fathom", self.runs / "tuner"
        for path, text in ((self.program, PROGRAM), (self.tuner, TUNER)):
            path.write_text(text.format(**fill))
            os.chmod(path, 0o755)

    def run_(self, *more):
        made_up = mock.patch.object(heal_study, "tuning_command",
                                    lambda a, mask, folder: [str(self.tuner), mask, folder])
        out = io.StringIO()
        with made_up, contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            heal_study.main(["--runs", str(self.runs / "heal"), "--fathom", str(self.program),
                             *more])
        return out.getvalue()

    def test_from_end_to_end_and_once(self):
        table = self.run_()
        self.assertIn("| 75 % | 3 | 0.900 | 0.500 | 0.800 | 0.700 |", table)
        self.assertIn("| 50 % | 3 | 0.900 |", table)
        self.assertEqual(self.log.read_text().split(), ["heal", "heal"])
        self.assertEqual(self.run_(), table)
        self.assertEqual(self.log.read_text().split(), ["heal", "heal"])
        with self.assertRaisesRegex(SystemExit, "made with other settings"):
            self.run_("--rows", "5")

    def test_goes_on_behind_the_mask(self):
        self.stop.touch()
        with self.assertRaisesRegex(SystemExit, "ended with 1, expected 0"):
            self.run_("--keep", "50")
        self.assertIn("| 50 % |", self.run_("--keep", "50"))
        self.assertEqual(self.log.read_text().split(), ["heal", "judge"])


if __name__ == "__main__":
    unittest.main()
