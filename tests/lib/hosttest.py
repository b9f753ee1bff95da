# SPDX-License-Identifier: Apache-2.0
"""A dvm-hostd of the test's own, on a fake or a real hypervisor, without the rest of dvm."""

import contextlib
import json
import os
import pathlib
import hashlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import rpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DVM_BUILD", ROOT / "build"))
# The agent is linked statically, which the sanitizers cannot be.
AGENT_BUILD = pathlib.Path(os.environ.get("DVM_AGENT_BUILD", BUILD))


def wait_for(condition, what, seconds=30):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"gave up waiting for {what}")
        time.sleep(0.02)


class Program:
    """A daemon that tells readiness by sd_notify, and must end in order when told so."""

    def __init__(self, argv, env, log):
        self.notify = tempfile.mktemp(prefix="dvm-notify-")
        ready = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ready.bind(self.notify)
        ready.settimeout(30)
        self.process = subprocess.Popen(
            [str(a) for a in argv], env=dict(env, NOTIFY_SOCKET=self.notify), stderr=open(log, "ab")
        )
        try:
            assert b"READY=1" in ready.recv(4096)
        except TimeoutError:
            raise AssertionError(f"{argv[0]} did not get ready:\n{pathlib.Path(log).read_text()}") from None
        finally:
            ready.close()
            os.unlink(self.notify)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(20) == 0, "it did not end in order"


def image_make(images, name="default", stacks=("disk",), memory_images=True, stacks_plugged=True):
    """An image that nothing boots, but that is what its id says."""
    images.mkdir(parents=True, exist_ok=True)
    work = pathlib.Path(tempfile.mkdtemp(dir=images))

    def entry(file):
        data = f"{name} {file}".encode()
        (work / file).write_bytes(data)
        return {"file": file, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}

    manifest = {"format": 1, "name": name, "created": "2026-11-23T00:00:00Z", "cmdline": "quiet"}
    if memory_images:
        manifest["memory_images"] = True
    if stacks_plugged:
        manifest["stacks_plugged"] = True
    manifest.update((part, entry(part)) for part in ("kernel", "initrd", "root"))
    manifest["stacks"] = [dict(entry(f"stack-{s}"), name=s) for s in stacks]
    text = json.dumps(manifest).encode()
    (work / "manifest.json").write_bytes(text)
    image = hashlib.sha256(text).hexdigest()
    work.chmod(0o755)
    work.rename(images / image)
    (images / name).symlink_to(image)
    return image


class Host:
    def __init__(self, uri=None, env=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="dvm-host-"))
        self.folder.chmod(0o711)
        self.state = self.folder / "state"
        self.uri = uri
        libexec = self.folder / "libexec"
        (libexec / "image").mkdir(parents=True)
        for name, path in {
            "dvm-relay": "src/relay/dvm-relay",
            "dvm-hostd": "src/hostd/dvm-hostd",
            "dvm-fakevirt": "src/fakevirt/dvm-fakevirt",
            "dvm-memory.so": "src/memory/dvm-memory.so",
        }.items():
            (libexec / name).symlink_to(BUILD / path)
        (libexec / "image/agent").symlink_to(AGENT_BUILD / "guest/agent/agent")
        self.libexec = libexec
        self.failpoints = self.folder / "failpoints"
        self.env = dict(os.environ, DVM_LIBEXEC=str(libexec), DVM_FAILPOINT_FILE=str(self.failpoints), **(env or {}))
        self.env.pop("DVM_FAKE_SCRIPT", None)
        self.fakevirt = self.hostd = None
        self.peers = []
        self.sessions, self.vms = set(), set()

    def __enter__(self):
        if not self.uri:
            sock = self.folder / "fakevirt.sock"
            self.uri = f"fake:{sock}"
            self.fakevirt = Program([self.libexec / "dvm-fakevirt", "--socket", sock], self.env, self.folder / "log")
            self.fake = rpc.Peer(sock, hello=False)
        self.start()
        return self

    def __exit__(self, kind, *_):
        self.arm("")
        try:
            # Shown by pytest where the test fails.
            for log in [self.folder / "log", *(self.state / "log").glob("*")]:
                lines = [line for line in log.open(errors="replace") if "list: done" not in line]
                print(f"--- {log.name}\n", *lines[-150:], sep="")
            if self.hostd.process.poll() is not None:
                self.start()
            for session in {s["session"] for s in self.call("session.list")["sessions"]}:
                self.call("session.release", session=session)
            for console in self.call("console.list")["consoles"]:
                self.call("console.drop", vm=console["vm"])
            if not kind:
                self.assert_clean()
        finally:
            for peer in self.peers:
                peer.close()
            try:
                self.hostd.stop()
            finally:
                if self.fakevirt:
                    self.fake.close()
                    self.fakevirt.stop()
        shutil.rmtree(self.folder)

    def start(self, **env):
        self.hostd = Program(
            [self.libexec / "dvm-hostd", "--state", self.state, "--uri", self.uri],
            dict(self.env, **env), self.folder / "log",
        )
        self.peer = self.connect()
        wait_for(lambda: self.call("host.info")["hypervisor"] == "up", "the hypervisor")

    def connect(self, methods=None):
        peer = rpc.Peer(self.state / "run/hostd.sock", program="dvmd", methods=methods)
        self.peers.append(peer)
        return peer

    def restart(self, kill=True):
        if kill:
            self.hostd.kill()
        else:
            self.hostd.stop()
        self.start()

    def arm(self, text):
        """Failpoints for the running dvm-hostd."""
        temporary = self.failpoints.with_suffix(".new")
        temporary.write_text(text)
        temporary.rename(self.failpoints)

    def call(self, method, /, **params):
        return self.peer.call(method, **params)

    def session(self, name):
        for session in self.call("session.list")["sessions"]:
            if session["session"] == name:
                return session
        return None

    def console(self, vm):
        for console in self.call("console.list")["consoles"]:
            if console["vm"] == vm:
                return console
        return None

    def read_console(self, vm, until, seconds=20, times=1):
        """What is kept of a console, as raw bytes, until that text."""
        ticket = os.urandom(32).hex()[:43]
        path = self.call("stream.grant", relay=vm, ticket=ticket, service="console", mode="r", raw=True, ttl_ms=5000)["path"]
        stream = socket.socket(socket.AF_UNIX)
        stream.settimeout(seconds)
        stream.connect(path)
        stream.sendall(f"DVM1 {ticket}\n".encode())
        data = b""
        while data.count(until) < times:
            piece = stream.recv(65536)
            if not piece:
                raise AssertionError(f"console ended after {data!r}")
            data += piece
        stream.close()
        head, data = data.split(b"\n", 1)
        assert head == b"OK raw"
        return data

    def relay_pids(self):
        """Of relays below our state folder, by the name they were started with."""
        result = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                argv = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                if argv[0].decode().startswith(str(self.libexec)) and b"--name" in argv:
                    result[argv[argv.index(b"--name") + 1].decode()] = int(pid)
        return result

    def assert_clean(self):
        assert wait_for(lambda: not self.relay_pids() or None, "relays to end", 5) or True
        assert list((self.state / "run/relay").iterdir()) == []
        # What is to become a memory image, and what waits for a session, is no session's: it goes with dvm-hostd.
        assert [p for p in (self.state / "run/dvm").iterdir() if p.name[:2] not in ("t-", "p-")] == []
        assert list((self.state / "consoles").iterdir()) == []
        assert self.call("session.list")["sessions"] == []
