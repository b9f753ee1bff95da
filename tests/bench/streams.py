#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Throughput and echo of streams without a policy, through dvm-relay and through what else does that.

usage: tests/bench/streams.py [--rounds N]
"""

import argparse
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))
import bench  # noqa: E402
import peers  # noqa: E402

KINDS = [peers.Direct, peers.Splice, peers.Dvm, peers.Socat, peers.Nginx, peers.Haproxy, peers.Websockify, peers.Ssh]
COUNTS = (1, 64)
SLICE_MS = 250
WARM_UP_MS = 100  # as in stream_load.c
ECHO_CPU = max(peers.ALL_CPUS)


def throughput(peer, count, raw):
    before = peer.cpu()
    got = bench.load("throughput", SLICE_MS, peer.streams(count), ws=peer.ws)
    raw.setdefault(f"mib_s x{count}", {}).setdefault(peer.name, []).append(got["mib_s"])
    raw.setdefault(f"cpu_s_gib x{count}", {}).setdefault(peer.name, []).append(
        round((peer.cpu() - before) / (got["bytes"] / 2**30), 4))


def echo(peer, raw):
    streams = peer.streams(1)
    peer.pin({ECHO_CPU})
    got = bench.load("echo", SLICE_MS, streams, ws=peer.ws, cpu=ECHO_CPU)
    peer.pin(peers.ALL_CPUS)
    for key in ("p50_us", "p99_us"):
        raw.setdefault(f"echo {key}", {}).setdefault(peer.name, []).append(got[key])


def rows(raw):
    result = []
    for count, limit in ((1, 0.85), (64, 0.75)):
        values = raw[f"mib_s x{count}"]
        ours = values["dvm-relay"]
        for name, goal in (("socket pair", limit), ("socat", 1), ("nginx stream", 1), ("HAProxy", 1),
                           ("websockify", 1), ("ssh -L", 1)):
            result.append(bench.row(
                f"relay-throughput-{count}-{name.replace(' ', '-').lower()}",
                f"handed over by the relay, unix to unix, 64 KiB writes, {count} stream{'s' * (count > 1)}", "MiB/s",
                statistics.median(ours), name, statistics.median(values[name]), f">= {goal}",
                bench.rounds_ratio(ours, values[name])))
    values = raw["echo p50_us"]

    def added(name):
        return [v - d for v, d in zip(values[name], values["socket pair"])]

    for name, goal in (("minimal splice relay", 1.6), ("socat", 1), ("nginx stream", 1), ("HAProxy", 1)):
        result.append(bench.row(
            f"relay-echo-{name.replace(' ', '-').lower()}",
            "handed over by the relay, echo of one byte, added to a socket pair's, one core, p50", "us",
            statistics.median(added("dvm-relay")), name, statistics.median(added(name)), f"<= {goal}"))
    return result


def measure(rounds):
    raw = {}
    with tempfile.TemporaryDirectory() as folder, peers.started(KINDS, folder) as all_peers:
        for number in range(rounds):
            print(f"streams: round {number + 1} of {rounds}", file=sys.stderr)
            for count in COUNTS:
                for peer in all_peers:
                    throughput(peer, count, raw)
            for peer in all_peers:
                echo(peer, raw)
    return rows(raw), raw


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    found, raw = measure(parser.parse_args().rounds)
    for key, values in raw.items():
        for name, numbers in values.items():
            print(f"{key:16} {name:22} {statistics.median(numbers):10.3f}")
    bench.table(found)


if __name__ == "__main__":
    main()
