#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A running target's live memory: how fast it is read, against the emulator's own dump, and what that costs the target.

usage: tests/bench/memory.py [--rounds N]
"""

import argparse
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parents[1] / "lib"), str(pathlib.Path(__file__).resolve().parent / "lib")]
import bench  # noqa: E402
import dvmtest  # noqa: E402
import targets  # noqa: E402

MEMORY_MIB = 512
WORK_MS = 2000


def seconds(*argv):
    start = time.monotonic()
    dvmtest.run(*argv)
    return time.monotonic() - start


def worked(vm):
    """How much the guest gets done in a while, by its own count."""
    return int(re.search(r"worked (\d+)", vm.type(f"work {WORK_MS}\r", "done working", "--take"))[1])


class Reader:
    """Reads the whole memory again and again, as one D-VM does: one connection. It goes last where processors are short."""

    def __init__(self, uri):
        self.uri, self.process = uri, None

    def __enter__(self):
        script = 'while :; do nbdcopy --connections=1 "$0" null:; done'
        self.process = subprocess.Popen(["nice", "-n", "10", "sh", "-c", script, self.uri], process_group=0)
        return self

    def __exit__(self, *_):
        os.killpg(self.process.pid, 9)
        self.process.wait()


def measure(rounds):
    raw = {"live_s": [], "dump_s": [], "work_alone": [], "work_read": []}
    with dvmtest.Cloud(uri=targets.URI, images=dvmtest.images_for_everyone()) as cloud, \
            targets.Tiny(cloud, "bench-memory", memory_mib=MEMORY_MIB) as vm, \
            tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        os.chmod(folder, 0o777)
        vm.boot()
        session = cloud.json("debug", vm.name, "--attach", "memory")["session"]
        uri = f"nbd+unix:///?socket={cloud.state}/run/relay/m{session[1:]}-0/nbd.sock"
        for number in range(rounds):
            print(f"memory: round {number + 1} of {rounds}", file=sys.stderr)
            live, dump = f"{folder}/live", f"{folder}/dump"
            raw["live_s"].append(seconds("nbdcopy", uri, live))
            raw["dump_s"].append(seconds("virsh", "-c", targets.URI, "-q", "dump", vm.name, dump, "--memory-only", "--format", "elf"))
            os.unlink(live)
            os.unlink(dump)
            raw["work_alone"].append(worked(vm))
            with Reader(uri):
                raw["work_read"].append(worked(vm))
        cloud.dvm("session", "end", session)
    median = {key: statistics.median(values) for key, values in raw.items()}
    return [
        bench.row("memory-throughput", "a running target's memory, read to tmpfs", "MiB/s", MEMORY_MIB / median["live_s"],
                  "the emulator's own dump of it to tmpfs", MEMORY_MIB / median["dump_s"], ">= 0.5",
                  ratio=bench.rounds_ratio(raw["dump_s"], raw["live_s"])),
        bench.row("memory-target-work", f"what the target gets done in {WORK_MS} ms while its memory is read", "steps",
                  median["work_read"], "while nobody reads it", median["work_alone"], ">= 0.95",
                  ratio=bench.rounds_ratio(raw["work_read"], raw["work_alone"])),
    ], raw


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    found, _ = measure(parser.parse_args().rounds)
    bench.table(found)


if __name__ == "__main__":
    main()
