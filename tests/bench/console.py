#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A console with three readers and a recording, against the least that can be done with its bytes, and against
conserver.

usage: tests/bench/console.py [--rounds N]
"""

import argparse
import json
import os
import pathlib
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))
import bench  # noqa: E402
import peers  # noqa: E402
import relay  # noqa: E402
from peer import DIALER, LIVE, Tunnel  # noqa: E402

RING_BYTES = 64 << 20  # a reader that lags by so much does not lose
BYTES = 64 << 20
CONSERVER_BYTES = 8 << 20
READERS = 3


def load(kind, offset, guest, state, readers, size=BYTES):
    fds = [guest.fileno(), state, *(r.fileno() for r in readers)]
    command = [bench.BUILD / "tests/bench/console_load", kind, size, offset, *fds]
    done = subprocess.run([str(w) for w in command], pass_fds=[fd for fd in fds if fd >= 0], stdout=subprocess.PIPE,
                          check=True, timeout=120)
    return json.loads(done.stdout)


class Console:
    """A console's relay, and a session's that records it, as dvm-hostd makes them."""

    def __init__(self, folder):
        self.folder = folder
        self.console = relay.Relay(folder + "/v", "v-bench")
        self.session = relay.Relay(folder + "/s", "s-bench")
        ring = os.open(folder + "/ring", os.O_RDWR | os.O_CREAT, 0o600)
        self.console.call("hub.open", fds=[ring], size_bytes=RING_BYTES, writable=True)
        os.close(ring)
        self.guest, end = socket.socketpair()
        self.console.call("hub.source", fds=[end.fileno()], kind="stream", writable=True, fresh=True)
        end.close()
        link = self.console.connect("console", "take", False)
        self.session.call("upstream.link", fds=[link.fileno()], service="console", name="web", mode="rw")
        link.close()
        self.recordings = 0

    def record(self):
        """A new recording, of what comes from now on: its state page."""
        fds = [os.open(f"{self.folder}/web.{kind}{self.recordings}", os.O_RDWR | os.O_CREAT, 0o600)
               for kind in ("cast", "state")]
        self.session.call("record.open", fds=fds, name=f"web{self.recordings}", upstream="web", columns=80, rows=25)
        os.close(fds[0])
        self.recordings += 1
        return fds[1]

    def reader(self):
        tunnel = Tunnel(self.console.connect("console", "r", False), DIALER)
        tunnel.open("console", source=LIVE, window=1 << 50)
        return tunnel.sock

    def offset(self):
        return self.console.call("status")["hub"]["offset"]

    def stop(self):
        self.session.stop()
        self.console.stop()


class Minimal:
    """Programs that do nothing but what has to be done."""

    def __init__(self, command, fds):
        self.process = subprocess.Popen([str(w) for w in [bench.BUILD / "tests/bench" / command, *fds]], pass_fds=fds)

    def stop(self):
        self.process.kill()
        self.process.wait()


def fan_out(folder):
    """To three readers and a file."""
    guest, source = socket.socketpair()
    pairs = [socket.socketpair() for _ in range(READERS)]
    log = os.open(folder + "/log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    minimal = Minimal("fan_out", [source.fileno(), *(end.fileno() for _, end in pairs), log])
    got = load("raw", 0, guest, -1, [near for near, _ in pairs])
    minimal.stop()
    os.close(log)
    for sock in [guest, source, *(end for pair in pairs for end in pair)]:
        sock.close()
    return got


def splice():
    """To one reader."""
    near, a = socket.socketpair()
    far, b = socket.socketpair()
    minimal = Minimal("splice_relay", [a.fileno(), b.fileno()])
    got = load("raw", 0, near, -1, [far])
    minimal.stop()
    for sock in (near, a, far, b):
        sock.close()
    return got


class Conserver:
    """conserver with its log, and three of its clients that watch."""

    PORT = 7782

    def __init__(self, folder):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(folder + "/guest")
        listener.listen(1)
        listener.settimeout(20)
        with open(folder + "/conserver.cf", "w") as f:
            f.write(f"""
config * {{ }}
default * {{ logfile {folder}/log; rw *; master 127.0.0.1; }}
console bench {{ type uds; uds {folder}/guest; }}
access * {{ trusted 127.0.0.1; }}
""")
        self.server = subprocess.Popen(
            ["/usr/sbin/conserver", "-C", folder + "/conserver.cf", "-p", str(self.PORT), "-P", "/dev/null", "-M",
             "127.0.0.1"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.guest, _ = listener.accept()
        listener.close()
        peers.wait_for(lambda: peers.Ssh._answers(self.PORT), "conserver does not listen")
        self.clients = [
            subprocess.Popen(["console", "-M", "127.0.0.1", "-p", str(self.PORT), "-l", "root", "-s", "bench"],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            for _ in range(READERS)]
        self._greet()

    def _greet(self):
        """Until each client passes on what the guest says, and has said all it has to say itself."""
        waiting = {client.stdout.fileno(): b"" for client in self.clients}
        deadline = time.monotonic() + 20
        while waiting:
            if time.monotonic() > deadline:
                raise TimeoutError("conserver's clients get nothing")
            self.guest.sendall(b"anybody?")
            for fd in select.select(list(waiting), [], [], 0.1)[0]:
                waiting[fd] += os.read(fd, 4096)
            waiting = {fd: text for fd, text in waiting.items() if b"anybody?" not in text}
        time.sleep(0.2)  # their own words come from another process than the guest's
        self.guest.sendall(b"now\n")
        for client in self.clients:
            text = b""
            while not text.endswith(b"now\n"):
                text += os.read(client.stdout.fileno(), 4096)

    def measure(self):
        return load("raw", 0, self.guest, -1, [client.stdout for client in self.clients], CONSERVER_BYTES)

    def stop(self):
        for process in [*self.clients, self.server]:
            process.terminate()
            process.wait(timeout=20)
        self.guest.close()


def conserver(folder):
    """It loses bytes where the machine is busy: such a run is none."""
    for number in range(5):
        os.mkdir(f"{folder}/{number}")
        server = Conserver(f"{folder}/{number}")
        try:
            return server.measure()
        except subprocess.CalledProcessError:
            print("console: conserver has lost bytes", file=sys.stderr)
        finally:
            server.stop()
    raise RuntimeError("conserver loses bytes each time")


def measure(rounds):
    raw = {"mib_s": {"console": [], "minimal fan-out": [], "minimal splice relay": [], "conserver": []},
           "cpu_s_gib": {"console's relay": [], "session's relay": []}}
    for number in range(rounds):
        print(f"console: round {number + 1} of {rounds}", file=sys.stderr)
        # Anew for each round: a recording has its limit, and begins with what is kept.
        with tempfile.TemporaryDirectory() as folder:
            console = Console(folder)
            state = console.record()
            readers = [console.reader() for _ in range(READERS)]
            # Once around the scrollback: its memory is there then, as after a while of any console.
            warm_up = load("frames", 0, console.guest, state, readers)["bytes"]
            before = [relay.cpu_seconds(r.pid) for r in (console.console, console.session)]
            got = load("frames", warm_up, console.guest, state, readers)
            after = [relay.cpu_seconds(r.pid) for r in (console.console, console.session)]
            raw["mib_s"]["console"].append(got["mib_s"])
            for name, a, b in zip(("console's relay", "session's relay"), before, after):
                raw["cpu_s_gib"][name].append(round((b - a) / (got["bytes"] / 2**30), 4))
            os.close(state)
            for sock in [*readers, console.guest]:
                sock.close()
            console.stop()
            raw["mib_s"]["minimal fan-out"].append(fan_out(folder)["mib_s"])
            raw["mib_s"]["minimal splice relay"].append(splice()["mib_s"])
            raw["mib_s"]["conserver"].append(conserver(folder)["mib_s"])
    values = raw["mib_s"]
    return [bench.row(
        f"console-throughput{suffix}", "console with three readers and a recording", "MiB/s",
        statistics.median(values["console"]), against, statistics.median(values[name]), f">= {goal}",
        bench.rounds_ratio(values["console"], values[name])) for suffix, name, against, goal in (
            ("", "minimal splice relay", "minimal splice relay with one reader and none", 0.6),
            ("-fan-out", "minimal fan-out", "minimal fan-out, three readers and a file", 0.6),
            ("-conserver", "conserver", "conserver, the same", 1))], raw


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
