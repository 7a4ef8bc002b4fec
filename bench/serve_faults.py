#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients that behave badly, beside others that do not, against a `fathom serve` of its own.

  bench/serve_faults.py FATHOM MODEL [-s SECONDS] [-c CLIENTS]

Disconnects at any byte, oversize, bad JSON, bad ids, deep nesting, pipelining, chunked bodies, Expect:
100-continue, nonsense. Fails if the server ends, gives a 5xx, an answer that is another's, or does
not end with 0 on SIGTERM; and if its resident memory has grown, from the most of the second minute (of
shorter runs: of the second sixth) to the mean of the last sixth, by more than --growth MB. Prints one
JSON object. With a build that has a sanitizer, memory means nothing: --growth 0.
"""
import argparse
import json
import random
import re
import socket
import statistics
import sys
import threading
import time

from serve_common import Server

TEXTS = ["The cat sat.", "A dog ran off.", "x" * 3000, "é" * 40]


def post(target, body, more=""):
    return (f"POST {target} HTTP/1.1\r\nHost: x\r\n{more}Content-Length: {len(body)}\r\n\r\n").encode() + body


def embed(text):
    return post("/embed", json.dumps({"inputs": text}).encode())


def read(connection, rest=b""):
    """(status, body, what follows)."""
    while b"\r\n\r\n" not in rest:
        part = connection.recv(65536)
        if not part:
            return 0, b"", b""
        rest += part
    header, rest = rest.split(b"\r\n\r\n", 1)
    found = re.search(rb"(?i)content-length: (\d+)", header)
    length = int(found[1]) if found else 0
    while len(rest) < length:
        part = connection.recv(65536)
        if not part:
            return 0, b"", b""
        rest += part
    return int(header.split()[1]), rest[:length], rest[length:]


def requests_of(draw):
    """Bytes to send, and how many replies to wait for; 0: leave at once."""
    text = draw.choice(TEXTS)
    whole = embed(text)
    chunked = (b"POST /embed HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" +
               b"".join(b"1\r\n%c\r\n" % c for c in json.dumps({"inputs": "abc"}).encode()) + b"0\r\n\r\n")
    return draw.choice([
        (whole, 1), (whole, 1), (whole[:draw.randrange(len(whole))], 0), (whole, 0), (whole * 3, 3), (chunked, 1),
        (post("/embed", b'{"inputs": '), 1), (post("/v1/embeddings", b"[" * 5000), 1),
        (post("/v1/embeddings", b'{"input": [4000000000, -1]}'), 1), (post("/embed", b"\xff\xfe{}"), 1),
        (b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 1),
        (b"POST /embed HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 1),
        (draw.randbytes(200) + b"\r\n\r\n", 1), (b"GET /" + b"a" * 40000 + b" HTTP/1.1\r\n\r\n", 1),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 1),
        (post("/embed", json.dumps({"inputs": text}).encode(), "Expect: 100-continue\r\n"), 1)])


class Run:
    def __init__(self, args):
        self.args, self.problems, self.status = args, [], {}
        self.server = Server(args.fathom, args.model, "--body-seconds", "2", "--header-seconds", "2")
        self.port = self.server.port
        self.expected = {t: self.ask(embed(t))[1] for t in TEXTS}

    def ask(self, request):
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            connection.sendall(request)
            return read(connection)

    def client(self, seed, end):
        draw = random.Random(seed)
        while time.time() < end:
            data, n = requests_of(draw)
            try:
                with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
                    connection.sendall(data)
                    rest = b""
                    for _ in range(n):
                        status, _, rest = read(connection, rest)
                        if status == 100:
                            status, _, rest = read(connection, rest)
                        self.status[status] = self.status.get(status, 0) + 1
                        if status >= 500:
                            self.problems.append((status, data[:200]))
            except OSError:
                self.status["closed"] = self.status.get("closed", 0) + 1

    def honest(self, end):
        draw = random.Random(0)
        while time.time() < end:
            text = draw.choice(TEXTS)
            status, body, _ = self.ask(embed(text))
            if status not in (200, 429) or (status == 200 and body != self.expected[text]):
                self.problems.append((status, body[:200]))

    def run(self):
        end = time.time() + self.args.seconds
        threads = [threading.Thread(target=self.client, args=(i, end)) for i in range(self.args.clients)]
        threads += [threading.Thread(target=self.honest, args=(end,))]
        for t in threads:
            t.start()
        samples = []  # (seconds, MB)
        begin = time.time()
        while time.time() < end and self.server.process.poll() is None:
            samples.append((time.time() - begin, self.server.rss_mb()))
            time.sleep(self.args.seconds / 120)
        for t in threads:
            t.join()
        died = self.server.process.poll()
        code = died if died is not None else self.server.stop()
        part = min(60, self.args.seconds / 6)
        early = max((mb for at, mb in samples if part <= at < 2 * part), default=0)
        late = statistics.fmean([mb for at, mb in samples if at >= self.args.seconds * 5 / 6] or [0])
        grown = self.args.growth > 0 and late > early + self.args.growth
        if died is not None:
            self.problems.append(("the server ended", self.server.text()[-2000:]))
        print(json.dumps({"replies": {str(k): v for k, v in self.status.items()},
                          "rss_mb": [round(early, 1), round(late, 1)], "grown": grown,
                          "exit": code, "problems": [str(p) for p in self.problems[:5]]}))
        return 1 if self.problems or code or grown else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fathom")
    parser.add_argument("model")
    parser.add_argument("-s", "--seconds", type=float, default=600)
    parser.add_argument("-c", "--clients", type=int, default=8)
    parser.add_argument("--growth", type=float, default=16, help="MB that memory may grow by; 0: any [16]")
    return Run(parser.parse_args()).run()


if __name__ == "__main__":
    sys.exit(main())
