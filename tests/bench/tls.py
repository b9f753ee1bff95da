#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Echo from a user's program through dvm-gate (TLS, WebSocket) and dvm-relay, against `ssh -L`.

usage: tests/bench/tls.py [--rounds N]
"""

import argparse
import base64
import json
import os
import pathlib
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))
import bench  # noqa: E402
import peers  # noqa: E402
import relay  # noqa: E402

SLICE_MS = 300
ECHO_CPU = max(peers.ALL_CPUS)


class Tickets:
    """dvmd's side of the gate: every ticket is for a raw stream of one relay."""

    def __init__(self, path, stream):
        self.stream = stream
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        os.chmod(path, 0o666)
        self.listener.listen(8)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            with conn:
                while len(head := conn.recv(4, socket.MSG_WAITALL)) == 4:
                    call = json.loads(conn.recv(struct.unpack(">I", head)[0], socket.MSG_WAITALL))
                    result = {"path": self.stream, "raw": True}
                    if call["method"] == "hello":
                        result = {"protocol": 1, "program": "dvmd"}
                    body = json.dumps({"id": call["id"], "result": result}).encode()
                    conn.sendall(struct.pack(">I", len(body)) + body)


class Gate(peers.Peer):
    name = "dvm-gate and dvm-relay"

    def start(self):
        state = str(self.folder)
        os.makedirs(state + "/run/relay")
        os.chmod(os.path.dirname(state), 0o711)
        for folder in (state, state + "/run", state + "/run/relay"):
            os.chmod(folder, 0o711)
        (self.folder / "dvm.ini").write_text("[gate]\n")
        self.relay = relay.Relay(state + "/run/relay/s-bench", "s-bench")
        os.chmod(state + "/run/relay/s-bench", 0o711)
        os.chmod(state + "/run/relay/s-bench/stream.sock", 0o666)
        self.tickets = Tickets(state + "/run/ticket.sock", state + "/run/relay/s-bench/stream.sock")
        self.run(bench.BUILD / "src/gate/dvm-gate", "--state", state)
        port = self.folder / "run/gate.port"
        peers.wait_for(lambda: port.exists() and peers.Ssh._answers(int(port.read_text())), "dvm-gate does not listen")
        self.port = int(port.read_text())

    def pids(self):
        return super().pids() + [self.relay.pid]

    def echo(self, milliseconds, cpu):
        """A stream of its own each time: the handshakes are the program's."""
        far, end = socket.socketpair()
        self.relay.call("pipe.open", fds=[end.fileno()], name="echo")
        end.close()
        ticket = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        self.relay.call("grant", ticket=ticket, service="pipe/echo", mode="rw", raw=True, ttl_ms=60000)
        near = socket.create_connection(("127.0.0.1", self.port))
        near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with near, far:
            fds = [near.fileno(), far.fileno()]
            done = subprocess.run(
                ["taskset", "-c", str(cpu), bench.BUILD / "tests/bench/tls_echo", str(milliseconds),
                 *(str(fd) for fd in fds), f"/v1/streams/{ticket}"], pass_fds=fds, stdout=subprocess.PIPE, check=True,
                timeout=60)
        return json.loads(done.stdout)

    def stop(self):
        super().stop()
        self.tickets.listener.close()
        self.relay.stop()


def measure(rounds):
    raw = {"p50_us": {}, "p99_us": {}}
    with tempfile.TemporaryDirectory() as folder, peers.started([Gate, peers.Ssh], folder) as (gate, ssh):
        for number in range(rounds):
            print(f"tls: round {number + 1} of {rounds}", file=sys.stderr)
            for peer in (gate, ssh):
                streams = None if peer is gate else ssh.streams(1)
                peer.pin({ECHO_CPU})
                got = gate.echo(SLICE_MS, ECHO_CPU) if peer is gate else bench.load("echo", SLICE_MS, streams, cpu=ECHO_CPU)
                for key, values in raw.items():
                    values.setdefault(peer.name, []).append(got[key])
    ours, theirs = raw["p50_us"][gate.name], raw["p50_us"][ssh.name]
    return [bench.row(
        "tls-echo", "echo of one byte over TLS, gate and relay, one core, p50", "us", statistics.median(ours), "ssh -L",
        statistics.median(theirs), "<= 0.5", bench.rounds_ratio(ours, theirs))], raw


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    found, _ = measure(parser.parse_args().rounds)
    bench.table(found)


if __name__ == "__main__":
    main()
