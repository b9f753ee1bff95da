# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: rows of the table, and ratios out of rounds in which everybody had a turn."""

import json
import os
import pathlib
import statistics
import subprocess

BUILD = pathlib.Path(os.environ.get("DVM_BUILD", pathlib.Path(__file__).resolve().parents[3] / "build"))


def row(id, metric, unit, value, against, peer, goal, ratio=None):
    """`goal`: ">= X" or "<= X", of the ratio of `value` to `peer`."""
    ratio = value / peer if ratio is None else ratio
    sign, limit = goal.split()
    return {
        "id": id,
        "metric": metric,
        "unit": unit,
        "value": round(value, 4),
        "against": f"{against}: {peer:.4g} {unit}",
        "ratio": round(ratio, 3),
        "goal": goal,
        "met": ratio >= float(limit) if sign == ">=" else ratio <= float(limit),
    }


def rounds_ratio(ours, peers):
    """The median of each round's own ratio: what else the machine does meets both sides of it."""
    return statistics.median(a / b for a, b in zip(ours, peers))


def load(mode, milliseconds, streams, ws=False, cpu=None):
    """Runs stream_load on pairs of sockets."""
    fds = [end.fileno() for stream in streams for end in stream]
    command = [str(BUILD / "tests/bench/stream_load"), mode, str(milliseconds)] + ["ws"] * ws
    command = (["taskset", "-c", str(cpu)] if cpu is not None else []) + command
    done = subprocess.run(command + [str(fd) for fd in fds], pass_fds=fds, stdout=subprocess.PIPE, check=True,
                          timeout=60)
    return json.loads(done.stdout)


def table(rows):
    for r in rows:
        mark = "met" if r["met"] else "NOT met"
        print(f"{r['metric']}: {r['value']} {r['unit']}, against {r['against']}: ratio {r['ratio']} "
              f"(goal {r['goal']}, {mark})")
