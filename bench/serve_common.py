# SPDX-License-Identifier: Apache-2.0
"""A `fathom serve` of its own, on loopback, for the scripts that put load on it."""
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import urllib.request


class Server:
    """Started with these arguments and ready, or SystemExit with its log."""

    def __init__(self, fathom, *arguments, name="fathom serve"):
        self.command = [str(fathom), "serve", *map(str, arguments), "--port", "0"]
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        start = time.perf_counter()
        self.process = subprocess.Popen(self.command, stderr=self.log)
        address = None
        while self.process.poll() is None and time.perf_counter() - start < 900:
            text = self.text()
            address = re.search(r"listening at http://([^:]+):(\d+)", text)
            if address and "ready after" in text:
                break
            time.sleep(0.02)
        else:
            self.process.kill()
            raise SystemExit(f"{name} did not become ready:\n{self.text()}")
        self.seconds_to_ready = time.perf_counter() - start
        self.host, self.port = address[1], int(address[2])
        self.url = f"http://{self.host}:{self.port}"

    def text(self):
        return pathlib.Path(self.log.name).read_text(errors="replace")

    def _status_kb(self, field):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(field + r":\s+(\d+)", status)[1])

    def rss_mb(self):
        return self._status_kb("VmRSS") / 1024

    def peak_mb(self):
        return self._status_kb("VmHWM") / 1024

    def metrics(self):
        """Numbers by series, labels included."""
        with urllib.request.urlopen(self.url + "/metrics") as reply:
            lines = reply.read().decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line[:1] != "#"}

    def stop(self, timeout=60):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
