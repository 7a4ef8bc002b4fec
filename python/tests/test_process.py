# SPDX-License-Identifier: Apache-2.0
"""Threads, signals, processes: what Python programs do to a model."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fathom
from conftest import FINCH
from fathom.__main__ import program

TEXTS = ["The cat sat on the mat.", "A dog ran off."]


def python(code: str, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(FINCH), *arguments],
        capture_output=True, text=True, timeout=timeout, check=False,
    )


def test_the_gil_is_free(sentences: list[str]) -> None:
    """Both of two calls are within the engine at once: each waits, in its progress, for the other."""
    models = [fathom.Model(FINCH, threads=1) for _ in range(2)]
    both = threading.Barrier(2, timeout=60)
    texts = sentences * 10

    def work(m: fathom.Model) -> Any:
        met = False

        def progress(done: int) -> None:
            nonlocal met
            if not met:
                both.wait()
                met = True

        how, _ = m._how(3, None, False, None, None, None, None, None, None, "error", False, 64,
                        "float32")
        return m._engine().encode(texts, how, None, progress)[0], met

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, models))
    assert all(met for _, met in results)
    assert np.array_equal(results[0][0], results[1][0])


def test_many_threads_on_one_model(finch: fathom.Model, sentences: list[str]) -> None:
    want = finch.encode(sentences, layers=[1, 3])
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: finch.encode(sentences, layers=[1, 3]), range(24)):
            assert np.array_equal(got, want)


def test_python_runs_beside(finch: fathom.Model, sentences: list[str]) -> None:
    ticks = 0
    over = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not over.is_set():
            ticks += 1
            time.sleep(0.001)

    beside = threading.Thread(target=tick)
    beside.start()
    before = ticks
    finch.encode(sentences * 2, layers=12)
    during = ticks - before
    over.set()
    beside.join()
    assert during > 2  # a call that held the GIL would leave it at 0 or 1


CTRL_C = """
    import os, resource, signal, sys, threading, time
    import fathom
    m = fathom.Model(sys.argv[1], threads=1)
    texts = ["The cat sat on the mat, and the dog ran off over the hills."] * 200_000
    want = m.encode(texts[0], layers=12)
    def interrupt():
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)
    threading.Thread(target=interrupt).start()
    start = time.monotonic()
    try:
        m.encode(texts, layers=12, show_progress_bar=False)
    except KeyboardInterrupt:
        pass
    else:
        sys.exit("it was not stopped")
    print(time.monotonic() - start)
    assert (m.encode(texts[0], layers=12) == want).all()
    assert threading.active_count() == 1
    """


def test_ctrl_c() -> None:
    done = python(CTRL_C)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 20  # all of it takes minutes


def test_ctrl_c_in_a_study(data: Path) -> None:
    done = python(
        """
        import os, signal, sys, threading, time
        import fathom
        started = threading.Event()
        def interrupt():
            time.sleep(1.5)
            os.kill(os.getpid(), signal.SIGINT)
        threading.Thread(target=interrupt).start()
        try:
            fathom.evaluate(sys.argv[1], "stsb", data=sys.argv[2], timing=False,
                            bootstrap=200_000)
        except KeyboardInterrupt:
            print("stopped")
        """,
        str(data),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "stopped"


def test_a_progress_that_raises(finch: fathom.Model, sentences: list[str]) -> None:
    how, _ = finch._how(3, None, False, None, None, None, None, None, None, "error", False, 64,
                        "float32")

    def progress(done: int) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        finch._engine().encode(sentences * 10, how, None, progress)


def test_pickled_by_its_path(finch: fathom.Model) -> None:
    other = pickle.loads(pickle.dumps(finch))
    assert other.path == finch.path and other.info() == finch.info()
    assert np.array_equal(other.encode(TEXTS, layers=3), finch.encode(TEXTS, layers=3))
    assert copy.deepcopy(finch) is finch and copy.copy(finch) is finch


def test_a_relative_path_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FINCH.parent)
    stored = pickle.dumps(fathom.Model("finch-embed", threads=1))
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(stored).info().n_layer == 12


def _layer(task: tuple[fathom.Model, int]) -> Any:
    model, layer = task
    return model.encode(TEXTS, layers=layer)


def test_processes(finch: fathom.Model) -> None:
    want = finch.encode(TEXTS, layers=[1, 2, 3])
    for method in ("spawn", "fork"):
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            got = list(pool.map(_layer, [(finch, layer) for layer in (1, 2, 3)]))
        assert np.array_equal(np.stack(got), want), method


def test_joblib(finch: fathom.Model) -> None:
    joblib = pytest.importorskip("joblib")
    got = joblib.Parallel(n_jobs=2)(joblib.delayed(_layer)((finch, i)) for i in (1, 2))
    assert np.array_equal(np.stack(got), finch.encode(TEXTS, layers=[1, 2]))


def test_fork_after_use() -> None:
    """The child computes with the parent's model, with several threads, and ends in order."""
    done = python(
        """
        import os, sys
        import numpy as np
        import fathom
        m = fathom.Model(sys.argv[1], threads=3)
        texts = ["The cat sat on the mat.", "A dog ran off."] * 40
        want = m.encode(texts, layers=[1, 12])
        for end in ("exit", "finalize"):
            child = os.fork()
            if child == 0:
                ok = np.array_equal(m.encode(texts, layers=[1, 12]), want)
                again = os.fork()  # and its own child
                if again == 0:
                    os._exit(0 if np.array_equal(m.encode(texts, layers=[1, 12]), want) else 1)
                ok = ok and os.waitpid(again, 0)[1] == 0
                if end == "exit":
                    os._exit(0 if ok else 1)
                m.close()
                sys.exit(0 if ok else 1)
            assert os.waitpid(child, 0)[1] == 0, end
        assert np.array_equal(m.encode(texts, layers=[1, 12]), want)
        """
    )
    assert done.returncode == 0, done.stderr


def test_fork_while_another_thread_computes() -> None:
    done = python(
        """
        import os, sys, threading
        import numpy as np
        import fathom
        m = fathom.Model(sys.argv[1], threads=2)
        want = m.encode("The cat sat.", layers=3)
        over = False
        def work():
            while not over:
                m.encode(["A dog ran off over the hills."] * 50, layers=3)
        t = threading.Thread(target=work)
        t.start()
        ok = True
        for _ in range(20):
            child = os.fork()
            if child == 0:
                os._exit(0 if np.array_equal(m.encode("The cat sat.", layers=3), want) else 1)
            ok = ok and os.waitpid(child, 0)[1] == 0
        over = True
        t.join()
        sys.exit(0 if ok else 1)
        """
    )
    assert done.returncode == 0, done.stderr


def test_no_growth() -> None:
    """Opening and closing again and again takes no memory and no threads."""
    cycles = int(os.environ.get("FATHOM_CYCLES", "60"))
    done = python(
        f"""
        import gc, sys
        import fathom
        def used():
            gc.collect()
            rows = dict(line.split(":") for line in open("/proc/self/status"))
            return int(rows["VmRSS"].split()[0]), int(rows["Threads"])
        def cycle():
            m = fathom.Model(sys.argv[1], threads=2, n_block=3)
            m.encode(["The cat sat.", "A dog ran off."], layers=[0, 3])
            m.encode(["The cat sat."], layers=2, output_dtype="float16")
            m.hidden_states  # bound, not called
            try:
                m.encode(["", "a"], layers=1)
            except fathom.TextError:
                pass
        for _ in range(20):
            cycle()
        before = used()
        for _ in range({cycles}):
            cycle()
        after = used()
        print(before, after)
        assert after[1] == before[1]
        assert after[0] - before[0] < 4096, (before, after)
        """,
        timeout=3600,
    )
    assert done.returncode == 0, done.stderr


def test_the_program(run: Callable[..., str]) -> None:
    assert run("--version").strip() == f"fathom {fathom.__version__}"
    for command in ([sys.executable, "-m", "fathom"],):
        done = subprocess.run([*command, "tokenize", "--help"], capture_output=True, text=True)
        assert done.returncode == 0 and "Usage" in done.stdout
        bad = subprocess.run([*command, "nothing"], capture_output=True, text=True)
        assert bad.returncode == 2 and "unknown command" in bad.stderr
    assert os.access(program(), os.X_OK)


def test_errors_leave_nothing(finch: fathom.Model) -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/task"))
    for _ in range(50):
        with pytest.raises(fathom.TextError):
            finch.encode(["a", ""])
    assert len(os.listdir("/proc/self/task")) == before


