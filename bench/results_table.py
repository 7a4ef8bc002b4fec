# SPDX-License-Identifier: Apache-2.0
"""What the tables of measurements share: the CPU's name, and a table with what must be and what was."""
import pathlib
import re


def cpu_name():
    """None where /proc/cpuinfo has none."""
    found = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return found and found[1]


def markdown(rows, versions, head=lambda row: row["what"]):
    """The table, the versions behind it, and the commands of each row under its head."""
    lines = ["| what | must | measured | |", "|---|---|---|---|"]
    lines += [f"| {r['what']} | {r['must']} | {r['measured']} | {'yes' if r['ok'] else 'NO'} |" for r in rows]
    lines += ["", "; ".join(f"{k} {v}" for k, v in versions.items()) + "."]
    for r in rows:
        lines += ["", f"{head(r)}:", ""] + [f"    {c}" for c in r["commands"]]
    return "\n".join(lines) + "\n"
