#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Load on a running `fathom serve`, on loopback, with the standard library alone.

  bench/serve_load.py URL throughput -c 64 -s 20 -i sentences.txt   closed loop: requests a second
  bench/serve_load.py URL open -r 200 -s 30 -i sentences.txt        open loop, Poisson arrivals: median, p99
  bench/serve_load.py URL many -n 5000 -c 10000 -i sentences.txt    all at once over many connections
  bench/serve_load.py URL slow -c 1000 -s 30                        clients that send one byte a second

Latencies of the open loop count from when a request was due, not from when it was sent. Replies are
200 or 429; anything else is an error and ends with exit code 1. Each text's vector is compared with
the first that came for it: no reply may be another's.
"""
import argparse
import asyncio
import json
import random
import statistics
import sys
import time
from urllib.parse import urlsplit


class Load:
    def __init__(self, args):
        url = urlsplit(args.url)
        self.args, self.host, self.port = args, url.hostname, url.port or 80
        self.texts = ["The cat sat."]
        if args.input:
            with open(args.input, encoding="utf-8") as file:
                self.texts = [line.rstrip("\n") for line in file if line.strip()]
        self.seconds, self.status, self.vectors, self.mixed = [], {}, {}, 0

    def request(self, text):
        body = json.dumps({"inputs": text}).encode()
        return (f"POST /embed HTTP/1.1\r\nHost: {self.host}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n").encode() + body

    async def connect(self):
        return await asyncio.open_connection(self.host, self.port)

    async def ask(self, stream, text, due=None):
        reader, writer = stream
        start = due or time.perf_counter()
        writer.write(self.request(text))
        await writer.drain()
        header = await reader.readuntil(b"\r\n\r\n")
        status = int(header.split(b" ", 2)[1])
        length = int(header.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        self.seconds.append(time.perf_counter() - start)
        self.status[status] = self.status.get(status, 0) + 1
        if status == 200:
            self.mixed += self.vectors.setdefault(text, body) != body

    async def throughput(self):
        end = time.perf_counter() + self.args.seconds

        async def client(seed):
            draw, stream = random.Random(seed), await self.connect()
            while time.perf_counter() < end:
                await self.ask(stream, draw.choice(self.texts))

        await asyncio.gather(*(client(i) for i in range(self.args.connections)))

    async def open(self):
        draw, free, tasks = random.Random(1), [], []

        async def one(text, due):
            stream = free.pop() if free else await self.connect()
            await self.ask(stream, text, due)
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
        print(f"{len(streams)} connections are open")
        await asyncio.gather(*(self.ask(s, self.texts[i % len(self.texts)])
                               for i, s in enumerate(streams[:self.args.requests])))

    async def slow(self):
        async def client():
            _, writer = await self.connect()
            end = time.perf_counter() + self.args.seconds
            for byte in self.request("slow"):
                if time.perf_counter() > end or writer.is_closing():
                    break
                writer.write(bytes([byte]))
                await asyncio.sleep(1)
            writer.close()

        await asyncio.gather(*(client() for _ in range(self.args.connections)), return_exceptions=True)

    def report(self, seconds):
        out = {"status": self.status, "mixed_up": self.mixed, "seconds": round(seconds, 2)}
        if self.seconds:
            ordered = sorted(self.seconds)
            out |= {"requests_per_second": round(len(ordered) / seconds, 1),
                    "median_ms": round(1000 * statistics.median(ordered), 2),
                    "p99_ms": round(1000 * ordered[int(0.99 * (len(ordered) - 1))], 2)}
        print(json.dumps(out))
        return 0 if self.mixed == 0 and set(self.status) <= {200, 429} else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("what", choices=["throughput", "open", "many", "slow"])
    parser.add_argument("-c", "--connections", type=int, default=64)
    parser.add_argument("-n", "--requests", type=int, default=5000)
    parser.add_argument("-r", "--rate", type=float, default=100)
    parser.add_argument("-s", "--seconds", type=float, default=20)
    parser.add_argument("-i", "--input", help="texts, one a line")
    load = Load(parser.parse_args())
    start = time.perf_counter()
    asyncio.run(getattr(load, load.args.what)())
    return load.report(time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(main())
