#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Load on a running server, on loopback, with the standard library alone.

  bench/serve_load.py URL throughput -c 64 -s 20 -i sentences.txt   closed loop: requests a second
  bench/serve_load.py URL open -r 200 -s 30 -i sentences.txt        open loop, Poisson arrivals: median, p99
  bench/serve_load.py URL many -n 5000 -c 10000 -i sentences.txt    all at once over many connections
  bench/serve_load.py URL slow -c 1000 -s 30                        clients that send one byte a second
  bench/serve_load.py URL until-end -c 64 -i sentences.txt          closed loop until the server goes

Requests are POST /embed, or POST /v1/embeddings with --openai MODEL, of a text each. Latencies of the
open loop count from when a request was due, not from when it was sent. Replies are 200 or 429;
anything else is an error and ends with exit code 1. Each text's reply is compared with the first that
came for it: no reply may be another's. With --expect FILE.npy, what `fathom embed` wrote for the same
file of texts, each vector has to be that one to the bit.

Prints one JSON object. `refused` counts connections that closed in front of a request's first byte of
reply, `broken` those that closed inside a reply.
"""
import argparse
import array
import asyncio
import base64
import json
import random
import resource
import socket
import statistics
import struct
import sys
import time
from urllib.parse import urlsplit


def read_npy(path):
    """Rows of a two-dimensional float32 file."""
    with open(path, "rb") as file:
        assert file.read(6) == b"\x93NUMPY", path
        major = file.read(2)[0]
        size = struct.unpack("<H" if major == 1 else "<I", file.read(2 if major == 1 else 4))[0]
        header = file.read(size).decode()
        assert "'<f4'" in header and "False" in header, header
        n, dim = (int(x) for x in header.split("(")[1].split(")")[0].split(",")[:2])
        return [file.read(4 * dim) for _ in range(n)]


class Load:
    def __init__(self, args):
        url = urlsplit(args.url)
        self.args, self.host, self.port = args, url.hostname, url.port or 80
        self.texts = ["The cat sat."]
        if args.input:
            with open(args.input, encoding="utf-8") as file:
                self.texts = [line.rstrip("\r\n") for line in file if line.strip()]
        self.bytes = {text: self.request(text) for text in self.texts}
        self.replies = {}  # the first for each text
        self.reset()

    def reset(self):
        self.start = time.perf_counter()
        self.seconds, self.status = [], {}
        self.mixed = self.refused = self.broken = 0

    def request(self, text):
        if self.args.openai:
            path, body = "/v1/embeddings", {"model": self.args.openai, "input": text,
                                            "encoding_format": self.args.encoding}
        else:
            path, body = "/embed", {"inputs": text}
        body = json.dumps(body).encode()
        return (f"POST {path} HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    async def connect(self):
        return await asyncio.open_connection(self.host, self.port)

    async def ask(self, stream, text, due=None):
        """Whether the connection may be used again."""
        reader, writer = stream
        start = due or time.perf_counter()
        got = b""
        try:
            writer.write(self.bytes[text])
            await writer.drain()
            header = got = await reader.readuntil(b"\r\n\r\n")
            lower = header.lower()
            length = int(lower.split(b"content-length:")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
        except asyncio.IncompleteReadError as e:
            self.broken += bool(got or e.partial)
            self.refused += not (got or e.partial)
            return False
        except OSError:
            self.broken += bool(got)
            self.refused += not got
            return False
        status = int(header.split(b" ", 2)[1])
        self.seconds.append(time.perf_counter() - start)
        self.status[status] = self.status.get(status, 0) + 1
        if status == 200:
            first = self.replies.setdefault(text, body)
            self.mixed += first != body and not self.args.no_compare
        return b"connection: close" not in lower

    async def closed_loop(self, seconds):
        end = time.perf_counter() + seconds

        async def client(seed):
            draw, stream = random.Random(seed), await self.connect()
            while time.perf_counter() < end:
                if not await self.ask(stream, draw.choice(self.texts)):
                    stream[1].close()
                    stream = await self.connect()

        await asyncio.gather(*(client(i) for i in range(self.args.connections)))

    async def throughput(self):
        if self.args.warm_up > 0:
            await self.closed_loop(self.args.warm_up)
            self.reset()
        await self.closed_loop(self.args.seconds)

    async def until_end(self):
        async def client(seed):
            draw, stream = random.Random(seed), await self.connect()
            while await self.ask(stream, draw.choice(self.texts)):
                pass
            stream[1].close()

        await asyncio.gather(*(client(i) for i in range(self.args.connections)))

    async def open(self):
        draw, free, tasks = random.Random(1), [], []

        async def one(text, due):
            stream = free.pop() if free else await self.connect()
            if await self.ask(stream, text, due):
                free.append(stream)

        due = time.perf_counter()
        end = due + self.args.seconds
        while due < end:
            due += draw.expovariate(self.args.rate)
            await asyncio.sleep(max(0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(draw.choice(self.texts), due)))
        await asyncio.gather(*tasks)

    async def many(self):
        streams = []
        while len(streams) < self.args.connections:
            n = min(200, self.args.connections - len(streams))
            streams += await asyncio.gather(*(self.connect() for _ in range(n)))
        self.reset()
        await asyncio.gather(*(self.ask(s, self.texts[i % len(self.texts)])
                               for i, s in enumerate(streams[:self.args.requests])))

    async def slow(self):
        """Each of them is there all the time: one that is ended comes again. Plain sockets, since these
        clients must not cost the machine what others need."""
        request, n, ticks = self.request("slow"), self.args.connections, 50
        sockets, sent = [None] * n, [0] * n
        end, turn = time.perf_counter() + self.args.seconds, 0
        while time.perf_counter() < end:
            due = time.perf_counter() + 1 / ticks
            for i in range(turn % ticks, n, ticks):
                try:
                    if sockets[i] is None:
                        sockets[i], sent[i] = socket.create_connection((self.host, self.port)), 0
                        sockets[i].setblocking(False)
                    sockets[i].send(request[sent[i]:sent[i] + 1])
                    sent[i] += 1
                    if sent[i] < len(request) and not self.answered(sockets[i]):
                        continue
                except OSError:
                    pass
                if sockets[i]:
                    sockets[i].close()
                sockets[i] = None
            turn += 1
            await asyncio.sleep(max(0, due - time.perf_counter()))

    @staticmethod
    def answered(sock):
        try:
            sock.recv(1, socket.MSG_PEEK)  # a reply, or b"" of the end
        except BlockingIOError:
            return False
        return True

    def vector(self, body):
        """The reply's floats as bytes."""
        reply = json.loads(body)
        values = reply["data"][0]["embedding"] if self.args.openai else reply[0]
        return base64.b64decode(values) if isinstance(values, str) else array.array("f", values).tobytes()

    def report(self):
        seconds = time.perf_counter() - self.start
        out = {"status": {str(k): v for k, v in sorted(self.status.items())}, "mixed_up": self.mixed,
               "refused": self.refused, "broken": self.broken, "seconds": round(seconds, 2)}
        if self.seconds:
            ordered = sorted(self.seconds)
            out |= {"requests_per_second": round(len(ordered) / seconds, 2),
                    "mean_ms": round(1000 * statistics.fmean(ordered), 3),
                    "median_ms": round(1000 * statistics.median(ordered), 3),
                    "p99_ms": round(1000 * ordered[int(0.99 * (len(ordered) - 1))], 3)}
        bad = self.mixed > 0 or self.broken > 0 or not set(self.status) <= {200, 429}
        if self.args.expect:
            expected = dict(zip(self.texts, read_npy(self.args.expect)))
            wrong = sum(self.vector(body) != expected[text] for text, body in self.replies.items())
            out |= {"texts": len(self.replies), "other_bits": wrong}
            bad = bad or wrong > 0
        print(json.dumps(out), flush=True)
        return 1 if bad else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("what", choices=["throughput", "open", "many", "slow", "until-end"])
    parser.add_argument("-c", "--connections", type=int, default=64)
    parser.add_argument("-n", "--requests", type=int, default=5000)
    parser.add_argument("-r", "--rate", type=float, default=100)
    parser.add_argument("-s", "--seconds", type=float, default=20)
    parser.add_argument("-w", "--warm-up", type=float, default=1, help="seconds that do not count [1]")
    parser.add_argument("-i", "--input", help="texts, one a line")
    parser.add_argument("--expect", help=".npy with the vectors of these texts")
    parser.add_argument("--openai", metavar="MODEL", help="ask /v1/embeddings")
    parser.add_argument("--encoding", default="base64", choices=["float", "base64"],
                        help="of OpenAI's replies [base64, as its client asks for]")
    parser.add_argument("--no-compare", action="store_true", help="replies to a text may differ")
    load = Load(parser.parse_args())
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(getattr(load, load.args.what.replace("-", "_"))())
    return load.report()


if __name__ == "__main__":
    sys.exit(main())
