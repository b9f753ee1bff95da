# SPDX-License-Identifier: Apache-2.0
"""A dvm-relay process with its walls up, fed with fds as dvm-hostd does it."""

import base64
import os
import pathlib
import re
import socket
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
BUILD = pathlib.Path(os.environ.get("DVM_BUILD", ROOT / "build"))
sys.path.insert(0, str(ROOT / "tests/integration/lib"))
from peer import Rpc, show_ticket  # noqa: E402


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"^Pss:\s+(\d+)", f.read(), re.M).group(1))


class Relay:
    def __init__(self, folder, name):
        os.makedirs(folder)
        self.folder, self.name = str(folder), name
        self.control = self._listen("control.sock")
        self.streams = self._listen("stream.sock")
        pid_file = os.open(os.path.join(self.folder, "pid"), os.O_RDWR | os.O_CREAT, 0o600)
        self.process = subprocess.Popen(
            [BUILD / "src/relay/dvm-relay", "--name", name, "--control", str(self.control.fileno()),
             "--run-as", str(65534 if os.geteuid() == 0 else os.geteuid()), "--pid-file", str(pid_file)],
            pass_fds=[self.control.fileno(), pid_file])
        os.close(pid_file)
        self.pid = self.process.pid
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.control.getsockname())
        self.rpc = Rpc(sock)
        self.call("listen", fds=[self.streams.fileno()])

    def _listen(self, name):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(os.path.join(self.folder, name))
        sock.listen(64)
        return sock

    def call(self, method, fds=(), **params):
        return self.rpc.call(method, fds=fds, **params)

    def connect(self, service, mode, raw):
        """A user's connection, behind its ticket."""
        ticket = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
        self.call("grant", ticket=ticket, service=service, mode=mode, raw=raw, ttl_ms=60000)
        sock, answer = show_ticket(self.streams.getsockname(), ticket)
        if answer != (("OK socket" if service.startswith("pipe/") else "OK raw") if raw else "OK frames"):
            raise RuntimeError(answer)
        return sock

    def pipe(self, name):
        """Both ends of a stream without a policy."""
        far, end = socket.socketpair()
        self.call("pipe.open", fds=[end.fileno()], name=name)
        end.close()
        return self.connect(f"pipe/{name}", "rw", True), far

    def stop(self):
        self.call("shutdown")
        self.process.wait(timeout=20)
        for sock in (self.rpc.sock, self.control, self.streams):
            sock.close()
