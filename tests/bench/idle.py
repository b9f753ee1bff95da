#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a relay costs while nothing happens: with 10,000 streams attached, and a session's.

usage: tests/bench/idle.py [--rounds N]
"""

import argparse
import os
import pathlib
import resource
import socket
import statistics
import struct
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))
import bench  # noqa: E402
import relay  # noqa: E402
from console import Console  # noqa: E402
from peer import HELLO, KEPT, OPEN  # noqa: E402

STREAMS = 10000
QUIET_SECONDS = 5
SAID = b"login: "


def frame(kind, number, payload):
    return struct.pack(">BBHI", kind, 0, number, len(payload)) + payload


class Viewer:
    """A reader of the console, in a connection of its own: all it has to say is said at once."""

    def __init__(self, console):
        self.sock = console.connect("console", "r", False)
        service = b"console"
        self.sock.sendall(frame(HELLO, 0, b"DVMTUN\r\n" + struct.pack(">HHQQ", 1, 1, 4711, 0)) + frame(
            OPEN, 1, struct.pack(">QQBB", KEPT, 1 << 20, 1, len(service)) + service))

    def read_until(self, text):
        got = b""
        while not got.endswith(text):
            part = self.sock.recv(4096)
            if not part:
                raise EOFError("the relay has closed a stream")
            got += part


def attached():
    """PSS in MiB and CPU seconds of a console's relay with its viewers, a while after they all have got a word."""
    with tempfile.TemporaryDirectory() as folder:
        console = relay.Relay(folder + "/v", "v-bench")
        ring = os.open(folder + "/ring", os.O_RDWR | os.O_CREAT, 0o600)
        console.call("hub.open", fds=[ring], size_bytes=65536, writable=True)
        guest, end = socket.socketpair()
        console.call("hub.source", fds=[end.fileno()], kind="stream", writable=True, fresh=True)
        viewers = [Viewer(console) for _ in range(STREAMS)]
        guest.sendall(SAID)
        for viewer in viewers:
            viewer.read_until(SAID)
        readers = console.call("status")["hub"]["readers"]
        if readers != STREAMS:
            raise RuntimeError(f"{readers} streams are attached")
        before = relay.cpu_seconds(console.pid)
        time.sleep(QUIET_SECONDS)
        cpu = relay.cpu_seconds(console.pid) - before
        pss = relay.pss_kib(console.pid) / 1024
        console.stop()
        for sock in [guest, end] + [viewer.sock for viewer in viewers]:
            sock.close()
        os.close(ring)
        return pss, cpu


def session():
    """PSS in MiB of a session's relay that has recorded, switched a console through and joined a pipe."""
    with tempfile.TemporaryDirectory() as folder:
        made = Console(folder)
        state = made.record()
        near, far = made.session.pipe("vnc")
        user = made.session.connect("console/web", "r", False)
        near.sendall(b"x" * 65536)
        left = 65536
        while left > 0:
            left -= len(far.recv(left))
        made.guest.sendall(b"a line of the console\r\n" * 1000)
        # The state page of the recording: src/stream/recorder.c.
        while True:
            page = os.pread(state, 72, 0)
            count = struct.unpack("@Q", page[16:24])[0]
            offset = struct.unpack("@Q", page[24 + count % 2 * 24 :][:8])[0]
            if offset == made.offset() == 23000:
                break
            time.sleep(0.01)
        pss = relay.pss_kib(made.session.pid) / 1024
        for sock in (near, far, user, made.guest):
            sock.close()
        os.close(state)
        made.stop()
        return pss


def measure(rounds):
    raw = {"attached": {"pss_mib": [], "cpu_s": []}, "session": {"pss_mib": []}}
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for number in range(rounds):
        print(f"idle: round {number + 1} of {rounds}", file=sys.stderr)
        pss, cpu = attached()
        raw["attached"]["pss_mib"].append(round(pss, 3))
        raw["attached"]["cpu_s"].append(cpu)
        raw["session"]["pss_mib"].append(round(session(), 3))
    memory = statistics.median(raw["attached"]["pss_mib"])
    cpu = statistics.median(raw["attached"]["cpu_s"])
    small = statistics.median(raw["session"]["pss_mib"])
    what = f"a relay with {STREAMS} attached streams, idle"
    return [
        bench.row("idle-memory", f"memory of {what}", "MiB", memory, "limit", 40, "<= 1"),
        bench.row("idle-cpu", f"CPU in {QUIET_SECONDS} s of {what}", "s", cpu, "a tick of the clock", 0.01, "<= 1"),
        bench.row("session-relay-memory", "memory of a session's relay", "MiB", small, "limit", 2.5, "<= 1"),
    ], raw


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    found, _ = measure(parser.parse_args().rounds)
    bench.table(found)


if __name__ == "__main__":
    main()
