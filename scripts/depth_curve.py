#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws docs/images/depth.svg, the picture of README.md: accuracy against depth, fixed depths beside
early exits, from the CSV that `fathom sweep` writes.

    scripts/depth_curve.py             writes the picture
    scripts/depth_curve.py --check     fails if the picture is not what this script writes
"""
import csv
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
POINTS = ROOT / "docs/results/sweep/trec_points.csv"
PICTURE = ROOT / "docs/images/depth.svg"
WIDTH, HEIGHT = 720, 392
LEFT, RIGHT, TOP, BOTTOM = 64, 700, 76, 316
LOW, HIGH = 0.64, 0.84
FULL_DEPTH = 12

STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-size: 16px; font-weight: 600 }
  .small { font-size: 12px; fill: #57606a }
  .paper { fill: #ffffff; stroke: #d0d7de }
  .grid { stroke: #d8dee4 }
  .band { fill: #0969da; opacity: .14 }
  .fixed { stroke: #0969da; fill: none; stroke-width: 2 }
  .fixed-point { fill: #0969da }
  .exit { stroke: #bc4c00; fill: none; stroke-width: 2; stroke-dasharray: 6 4 }
  .exit-point { fill: #bc4c00 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9da7b1 }
    .paper { fill: #0d1117; stroke: #30363d } .grid { stroke: #262c34 }
    .band { fill: #58a6ff } .fixed { stroke: #58a6ff } .fixed-point { fill: #58a6ff }
    .exit { stroke: #f0883e } .exit-point { fill: #f0883e }
  }
"""


def at(share, score):
    """The place of a share of full depth's FLOPs and an accuracy."""
    x = LEFT + share * (RIGHT - LEFT)
    y = BOTTOM - (score - LOW) / (HIGH - LOW) * (BOTTOM - TOP)
    return f"{x:.1f},{y:.1f}"


def rows_of(policy):
    with open(POINTS, newline="", encoding="utf-8") as f:
        rows = [r for r in csv.DictReader(f) if r["policy"] == policy]
    values = [tuple(float(r[k]) for k in ("flops_share", "score", "low", "high")) for r in rows]
    return sorted(values)


def points(rows, name, radius):
    return [
        f'<circle class="{name}" cx="{x}" cy="{y}" r="{radius}"/>'
        for x, y in (at(r[0], r[1]).split(",") for r in rows)
    ]


def axes():
    out = []
    for tick in (0.65, 0.70, 0.75, 0.80):
        y = at(0, tick).split(",")[1]
        out.append(f'<line class="grid" x1="{LEFT}" x2="{RIGHT}" y1="{y}" y2="{y}"/>')
        out.append(f'<text x="{LEFT - 8}" y="{float(y) + 4:.1f}" text-anchor="end">{tick:.2f}</text>')
    for layer in range(0, FULL_DEPTH + 1, 2):
        x = at(layer / FULL_DEPTH, LOW).split(",")[0]
        out.append(f'<text x="{x}" y="{BOTTOM + 20}" text-anchor="middle">{layer}</text>')
    middle = (LEFT + RIGHT) / 2
    out.append(f'<text x="{middle}" y="{BOTTOM + 42}" text-anchor="middle">FLOPs per text, in layers run</text>')
    return out


def picture():
    fixed = rows_of("embedding") + rows_of("fixed")
    exits = rows_of("exit:margin")
    band = " ".join([at(r[0], r[3]) for r in fixed] + [at(r[0], r[2]) for r in reversed(fixed)])
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>TREC accuracy against depth: fixed layers and early exits of models/finch-lm</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" x=".5" y=".5" width="{WIDTH - 1}" height="{HEIGHT - 1}" rx="8"/>',
        f'<text class="title" x="{LEFT - 40}" y="28">What each depth gives: TREC accuracy, RWKV-6 of 12 layers</text>',
        *axes(),
        f'<polygon class="band" points="{band}"/>',
        f'<polyline class="fixed" points="{" ".join(at(r[0], r[1]) for r in fixed)}"/>',
        *points(fixed, "fixed-point", 3.5),
        f'<polyline class="exit" points="{" ".join(at(r[0], r[1]) for r in exits)}"/>',
        *points(exits, "exit-point", 3),
        f'<line class="fixed" x1="{LEFT - 40}" x2="{LEFT - 12}" y1="48" y2="48"/>',
        f'<text x="{LEFT - 6}" y="52">every text stops at one layer (band: 95 % interval)</text>',
        f'<line class="exit" x1="{LEFT + 330}" x2="{LEFT + 358}" y1="48" y2="48"/>',
        f'<text x="{LEFT + 364}" y="52">each text exits when its head is sure</text>',
        f'<text class="small" x="{LEFT - 40}" y="{HEIGHT - 10}">models/finch-lm, 500 test questions, seed 1; plain heads. docs/results/sweep</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main():
    if sys.argv[1:] == ["--check"]:
        if PICTURE.read_text(encoding="utf-8") != picture():
            sys.exit(f"depth_curve.py: {PICTURE} is stale: run scripts/depth_curve.py")
    elif not sys.argv[1:]:
        PICTURE.write_text(picture(), encoding="utf-8")
    else:
        sys.exit("usage: scripts/depth_curve.py [--check]")


if __name__ == "__main__":
    main()
