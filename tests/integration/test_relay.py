# SPDX-License-Identifier: Apache-2.0
"""dvm-relay as it is, started and fed with fds as dvm-hostd does it."""

import base64
import collections
import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
import tty

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/integration/lib"))
from peer import (  # noqa: E402
    BREAK, CREDIT, DATA, DIALER, EOF, FROM_SCREEN, GAP, HELLO, INPUT, KEPT, LISTENER, LIVE, OPEN, OPENED, PACE,
    REFUSED, TAKE, WINSIZE, Fault, Rpc, Tunnel, receive_to_end, show_ticket,
)

BUILD = os.environ.get("DVM_BUILD", ROOT / "build")
RELAY = os.path.join(BUILD, "src/relay/dvm-relay")
SANITIZED = os.path.exists(RELAY) and b"__asan_init" in pathlib.Path(RELAY).read_bytes()
RUN_AS = 65534 if os.geteuid() == 0 else os.geteuid()


def ticket():
    return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


class Relay:
    """One relay process and its control connection."""

    def __init__(self, folder, name):
        self.folder = str(folder)
        self.name = name
        os.makedirs(self.folder, exist_ok=True)
        self.control_path = os.path.join(self.folder, "control.sock")
        self.stream_path = os.path.join(self.folder, "stream.sock")
        self.listening = self._listen(self.control_path)
        self.streams = self._listen(self.stream_path)
        self.process = None
        self.rpc = None

    @staticmethod
    def _listen(path):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        sock.listen(64)
        return sock

    def start(self):
        pid_file = os.open(os.path.join(self.folder, "pid"), os.O_RDWR | os.O_CREAT, 0o600)
        env = {"ASAN_OPTIONS": "detect_leaks=0"}
        self.process = subprocess.Popen(
            [RELAY, "--name", self.name, "--control", str(self.listening.fileno()),
             "--run-as", str(RUN_AS), "--pid-file", str(pid_file)],
            pass_fds=[self.listening.fileno(), pid_file], env=env,
        )
        os.close(pid_file)
        self.connect()
        self.rpc.call("listen", fds=[self.streams.fileno()])
        return self

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.control_path)
        self.rpc = Rpc(sock)
        return self.rpc

    def call(self, method, fds=(), **params):
        return self.rpc.call(method, fds=fds, **params)

    def status(self):
        return self.call("status")

    def wait_status(self, condition):
        deadline = time.monotonic() + 20
        while True:
            status = self.status()
            if condition(status):
                return status
            assert time.monotonic() < deadline, status
            time.sleep(0.02)

    def ring(self, size=65536, writable=True):
        fd = os.open(os.path.join(self.folder, "ring"), os.O_RDWR | os.O_CREAT, 0o600)
        answer = self.call("hub.open", fds=[fd], size_bytes=size, writable=writable)
        os.close(fd)
        return answer["offset"]

    def source(self, fd, kind="stream", writable=True, fresh=True):
        self.call("hub.source", fds=[fd], kind=kind, writable=writable, fresh=fresh)

    def grant(self, service="console", mode="r", raw=False, ttl_ms=60000):
        secret = ticket()
        self.call("grant", ticket=secret, service=service, mode=mode, raw=raw, ttl_ms=ttl_ms)
        return secret

    def connect_stream(self, **grant):
        sock, answer = show_ticket(self.stream_path, self.grant(**grant))
        if grant.get("service", "").startswith("pipe/"):
            assert answer == "OK socket"
        else:
            assert answer == ("OK raw" if grant.get("raw") else "OK frames")
        return sock

    def reader(self, mode="r", ask=None, source=KEPT, service="console", window=1 << 20):
        tunnel = Tunnel(self.connect_stream(service=service, mode=mode), DIALER)
        asked = ask or {"r": 1, "rw": 3, "take": 7}[mode]
        channel = tunnel.open(service, mode=asked, source=source, window=window)
        return tunnel, channel

    def memory_kib(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.rpc.close()

    def stop(self):
        """Ends it in order; it must do so at once, with status 0."""
        if self.process is None or self.process.returncode is not None:
            return
        self.call("shutdown")
        assert self.process.wait(timeout=20) == 0
        self.rpc.close()


@pytest.fixture
def relays(tmp_path):
    made = []

    def make(name):
        relay = Relay(tmp_path / name, name).start()
        made.append(relay)
        return relay

    yield make
    for relay in made:
        if relay.process.poll() is None:
            relay.stop()
        else:
            assert relay.process.returncode in (0, -signal.SIGKILL), "the relay died by itself"
        relay.listening.close()
        relay.streams.close()


@pytest.fixture
def console(relays):
    """A console's relay with a socket as its source: relay, guest's end."""
    relay = relays("v-console")
    assert relay.ring() == 0
    guest, end = socket.socketpair()
    relay.source(end.fileno())
    end.close()
    guest.settimeout(20)
    yield relay, guest
    guest.close()


def expect(tunnel, channel, data):
    tunnel.wait(lambda: len(channel.data) >= len(data))
    assert channel.data == data


# The room


def test_room(console):
    relay, _ = console
    with open(f"/proc/{relay.process.pid}/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    assert status["Seccomp"].strip() == "2"
    assert status["NoNewPrivs"].strip() == "1"
    for caps in ("CapBnd", "CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert int(status[caps], 16) == 0, caps
    assert status["Uid"].split() == [str(RUN_AS)] * 4
    if os.geteuid() == 0:
        assert status["Gid"].split() == [str(RUN_AS)] * 4
        assert status["Groups"].strip() == ""
        for space in ("net", "mnt", "ipc"):
            theirs = os.readlink(f"/proc/{relay.process.pid}/ns/{space}")
            assert theirs != os.readlink(f"/proc/self/ns/{space}"), space
        assert os.listdir(f"/proc/{relay.process.pid}/root/") == []
        with open(f"/proc/{relay.process.pid}/limits") as f:
            assert re.search(r"Max core file size\s+0\s", f.read())


def test_a_second_relay_of_the_name_does_not_start(console):
    relay, _ = console
    pid_file = os.open(os.path.join(relay.folder, "pid"), os.O_RDWR)
    assert os.read(pid_file, 16) == b"%d\n" % relay.process.pid
    second = subprocess.run(
        [RELAY, "--name", relay.name, "--control", str(relay.listening.fileno()), "--run-as",
         str(RUN_AS), "--pid-file", str(pid_file)],
        pass_fds=[relay.listening.fileno(), pid_file], stderr=subprocess.PIPE, timeout=20,
    )
    os.close(pid_file)
    assert second.returncode == 1
    assert b"another relay" in second.stderr


@pytest.mark.parametrize("arguments", [
    [], ["--name", "x"], ["--name", "../x", "--control", "0", "--pid-file", "0"],
    ["--name", "v-x", "--control", "99", "--pid-file", "0"], ["--bogus"],
])
def test_bad_arguments(arguments):
    done = subprocess.run([RELAY, *arguments], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and b"usage:" in done.stderr


# The control


def test_status_and_faults(console):
    relay, _ = console
    status = relay.status()
    assert status["name"] == "v-console" and status["pid"] == relay.process.pid
    assert status["hub"] == {"offset": 0, "size_bytes": 65536, "keep": True, "kept": 0, "source": True, "writable": True,
                             "readers": 0, "writer": False, "file": None}
    assert status["agent"] == "none" and status["host_key"] is None
    assert status["upstreams"] == [] and status["records"] == [] and status["grants"] == 0
    for method, params, code in [
        ("no.such", {}, "not-supported"),
        ("grant", {}, "bad-value"),
        ("grant", {"ticket": ticket(), "service": "console", "mode": "x", "ttl_ms": 5}, "bad-value"),
        ("hub.source", {"kind": "stream"}, "bad-value"),
        ("listen", {}, "bad-value"),
        ("agent.config", {"config": {}}, "conflict"),
        ("record.open", {"name": "a"}, "bad-value"),
    ]:
        with pytest.raises(Fault) as fault:
            relay.call(method, **params)
        assert fault.value.code == code, method
    assert relay.ring() == 0  # again: the same


def test_a_new_control_connection_replaces_the_old(console):
    relay, _ = console
    old = relay.rpc
    relay.connect()
    assert relay.status()["name"] == "v-console"
    with pytest.raises((EOFError, ConnectionError)):
        old.call("status")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_another_user_has_no_control(console):
    relay, _ = console
    os.chmod(relay.control_path, 0o777)
    folder = relay.folder
    while folder != "/tmp" and folder != "/":
        os.chmod(folder, 0o755)
        folder = os.path.dirname(folder)
    script = f"""
import os, socket
os.setresuid(12345, 12345, 12345)
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect({relay.control_path!r})
raise SystemExit(0 if s.recv(1) == b"" else 1)
"""
    done = subprocess.run(["/usr/bin/python3", "-c", script], timeout=30)
    assert done.returncode == 0
    assert relay.status()["pid"] == relay.process.pid


def test_sigterm_ends_it_in_order(console):
    relay, guest = console
    guest.sendall(b"kept")
    relay.wait_status(lambda s: s["hub"]["offset"] == 4)
    relay.process.terminate()
    assert relay.process.wait(timeout=20) == 0
    relay.start()
    assert relay.ring() == 4


# The console


def test_readers_and_writer(console):
    relay, guest = console
    guest.sendall(b"Booting...\r\n")
    relay.wait_status(lambda s: s["hub"]["offset"] == 12)
    first, a = relay.reader("rw")
    assert a.start == 0 and a.mode == 3
    second, b = relay.reader("r", source=8)
    assert b.start == 8 and b.mode == 1
    third, c = relay.reader("rw", source=LIVE)
    assert c.start == 12 and c.mode == 1  # somebody writes already
    guest.sendall(b"login: ")
    expect(first, a, b"Booting...\r\nlogin: ")
    expect(second, b, b"..\r\nlogin: ")
    expect(third, c, b"login: ")
    first.send(a, b"root\r")
    assert guest.recv(16) == b"root\r"
    status = relay.status()
    assert status["hub"]["readers"] == 3 and status["hub"]["writer"]

    # asking is not enough for one who may not take over
    third.ctl(c, TAKE)
    third.wait(lambda: c.writer is False)
    fourth, d = relay.reader("take")
    assert d.mode == 7
    first.wait(lambda: a.writer is False)
    fourth.send(d, b"x")
    assert guest.recv(16) == b"x"
    # handing back: the writer leaves, the other asks
    fourth.close_channel(d)
    relay.wait_status(lambda s: not s["hub"]["writer"])
    third.ctl(c, TAKE)
    third.wait(lambda: c.writer is True and c.tx_limit > c.tx)
    third.send(c, b"y")
    assert guest.recv(16) == b"y"
    for tunnel in (first, second, third, fourth):
        tunnel.close()
    relay.wait_status(lambda s: s["hub"]["readers"] == 0)


def wait_broke(relay, tunnel, channel, count, answers):
    """Waits for that many BROKE; `answers` takes the relay's next `break` call and answers it."""
    while len(channel.broke) < count:
        answers(relay.rpc.wait_call("break"))
        tunnel.wait(lambda n=len(channel.broke): len(channel.broke) > n)


def test_break_in_its_place(console):
    """Nothing typed after a break reaches the guest before dvm-hostd has made it, and what was typed before it does."""
    relay, guest = console
    tunnel, channel = relay.reader("rw")
    tunnel.send(channel, b"before")
    tunnel.ctl(channel, BREAK)
    tunnel.send(channel, b"h")
    tunnel.ctl(channel, BREAK)
    tunnel.send(channel, b"after")
    call = relay.rpc.wait_call("break")
    assert call["params"] == {}
    assert guest.recv(100) == b"before"
    relay.status()
    guest.setblocking(False)
    with pytest.raises(BlockingIOError):
        guest.recv(100)
    guest.settimeout(20)
    relay.rpc.answer(call, {})
    tunnel.wait(lambda: channel.broke == [True])
    assert guest.recv(100) == b"h"
    relay.rpc.answer_fault(relay.rpc.wait_call("break"), "not-supported", "It has none.", "")
    tunnel.wait(lambda: channel.broke == [True, False])
    assert guest.recv(100) == b"after"


def test_break_that_cannot_be(console):
    relay, guest = console
    writer, w = relay.reader("rw")
    reader, r = relay.reader("r")
    reader.ctl(r, BREAK)  # has not the right
    reader.wait(lambda: r.broke == [False])
    second, s = relay.reader("rw")
    second.ctl(s, BREAK)  # somebody else holds writing
    second.wait(lambda: s.broke == [False])
    # the source goes while breaks wait: they are over, and what was typed with them
    writer.ctl(w, BREAK)
    writer.send(w, b"x")
    for _ in range(20):
        writer.ctl(w, BREAK)
    call = relay.rpc.wait_call("break")
    relay.call("hub.lost")
    writer.wait(lambda: w.broke == [False] * 21)
    writer.ctl(w, BREAK)
    writer.wait(lambda: w.broke == [False] * 22)
    other, end = socket.socketpair()
    relay.source(end.fileno())
    end.close()
    writer.send(w, b"y")
    relay.rpc.answer(call, {})
    other.settimeout(20)
    assert other.recv(10) == b"y"
    # dvm-hostd goes under a break, and while there is none
    writer.ctl(w, BREAK)
    relay.rpc.wait_call("break")
    relay.rpc.close()
    writer.wait(lambda: w.broke == [False] * 23)
    writer.ctl(w, BREAK)
    writer.wait(lambda: w.broke == [False] * 24)
    writer.close()
    relay.connect()
    assert relay.status()["hub"]["source"]


def named(tunnel, channel, number):
    channel.had = None
    tunnel.ctl(channel, INPUT, struct.pack(">QQ", number, 0))
    # what was typed under the name before is told when it has gone: also now
    tunnel.wait(lambda: channel.had and channel.had[0] == number)
    return channel.had[1]


UNKNOWN = 2**64 - 1


def test_input_goes_on(console):
    """The writer's connection breaks unnoticed; his next one takes over, and each byte is had once."""
    relay, guest = console
    first, f = relay.reader("rw")
    assert named(first, f, 4711) == UNKNOWN
    first.send(f, b"abc")
    first.wait(lambda: f.had == (4711, 3))
    second, s = relay.reader("rw")
    assert s.mode == 1
    assert named(second, s, 4711) == 3
    assert s.writer is True
    first.wait(lambda: f.writer is False)
    first.frame(DATA, f.number, struct.pack(">Q", 3) + b"late")  # was under way when the connection broke
    second.send(s, b"de")
    second.wait(lambda: s.had == (4711, 5))
    assert guest.recv(100) == b"abcde"
    # a third one that does not know the name is somebody else
    third, t = relay.reader("rw")
    assert named(third, t, 1) == UNKNOWN and t.writer is None and t.mode == 1
    third.close()
    # after a normal end, too
    second.close()
    relay.wait_status(lambda x: not x["hub"]["writer"])
    fourth, g = relay.reader("rw")
    assert g.mode == 3 and named(fourth, g, 4711) == 5
    fourth.send(g, b"f")
    assert guest.recv(100) == b"f"
    # he who only reads takes nothing
    watcher, w = relay.reader("r")
    assert named(watcher, w, 4711) == 6
    fourth.wait(lambda: g.writer is None)
    assert relay.status()["hub"]["writer"]


def test_inputs_are_forgotten(console):
    relay, _ = console
    tunnel, channel = relay.reader("rw")
    assert named(tunnel, channel, 1) == UNKNOWN
    tunnel.send(channel, b"x")
    for number in range(2, 17):
        assert named(tunnel, channel, number) == UNKNOWN
    assert named(tunnel, channel, 1) == 1
    for number in range(100, 116):
        named(tunnel, channel, number)
    assert named(tunnel, channel, 1) == UNKNOWN


def test_paced(console):
    """Slower than they come, in small pieces, and none lost; the next writer is not slowed."""
    relay, guest = console
    tunnel, channel = relay.reader("take")
    tunnel.ctl(channel, PACE, struct.pack(">I", 2000))
    data = bytes(i % 251 for i in range(1000))
    start = time.monotonic()
    tunnel.send(channel, data)
    got, pieces = b"", 0
    while len(got) < len(data):
        got += guest.recv(4096)
        pieces += 1
    assert got == data
    assert time.monotonic() - start > 0.4  # never sooner: 1000 bytes are half a second of this line
    other, o = relay.reader("take")
    other.send(o, b"z" * 100000)
    got = b""
    while len(got) < 100000:
        got += guest.recv(65536)


def test_pty(relays):
    relay = relays("v-pty")
    relay.ring()
    master, slave = pty.openpty()
    tty.setraw(slave)
    relay.source(slave)
    os.close(slave)
    tunnel, channel = relay.reader("rw")
    os.write(master, "Grüße vom Gast\r\n".encode())
    expect(tunnel, channel, "Grüße vom Gast\r\n".encode())
    tunnel.send(channel, b"ls\r")
    assert os.read(master, 16) == b"ls\r"
    os.close(master)
    relay.rpc.wait_notice("hub.lost")
    tunnel.wait(lambda: channel.source is False)
    assert relay.status()["hub"]["source"] is False


def test_source_goes_and_comes(console):
    relay, guest = console
    tunnel, channel = relay.reader("rw")
    guest.sendall(b"one")
    expect(tunnel, channel, b"one")
    guest.close()
    relay.rpc.wait_notice("hub.lost")
    tunnel.wait(lambda: channel.source is False)
    # typed at nobody: must not reach the next guest
    tunnel.send(channel, b"lost" * 10000)
    guest, end = socket.socketpair()
    relay.source(end.fileno(), fresh=False)
    tunnel.wait(lambda: channel.source is True)
    guest.sendall(b"two")
    expect(tunnel, channel, b"one<0>two")
    tunnel.send(channel, b"!")
    guest.settimeout(20)
    assert guest.recv(100) == b"!"
    relay.call("hub.lost")
    tunnel.wait(lambda: channel.source is False)
    relay.source(end.fileno(), fresh=True)
    guest.sendall(b"three")
    expect(tunnel, channel, b"one<0>twothree")
    late, other = relay.reader("r")
    expect(late, other, b"one<0>twothree")


def test_late_reader_is_told_that_there_is_no_source(relays):
    relay = relays("v-off")
    relay.ring()
    tunnel, channel = relay.reader("r")
    tunnel.wait(lambda: channel.source is False)


def test_file_source(relays, tmp_path):
    relay = relays("v-file")
    relay.ring()
    path = tmp_path / "console.log"
    path.write_bytes(b"from the start\n")
    reading = os.open(path, os.O_RDONLY)
    relay.source(reading, kind="file")
    tunnel, channel = relay.reader("rw")
    with open(path, "ab") as f:
        f.write(b"more\n")
    expect(tunnel, channel, b"from the start\nmore\n")
    assert channel.mode == 1  # what is typed would go nowhere

    # A new relay goes on at the very byte, whatever was written meanwhile.
    relay.kill()
    with open(path, "ab") as f:
        f.write(b"meanwhile\n")
    relay.start()
    assert relay.ring() == 20
    relay.source(reading, kind="file", fresh=False)
    tunnel, channel = relay.reader("r", source=20)
    expect(tunnel, channel, b"meanwhile\n")

    # Cut and begun anew: something may be lost.
    with open(path, "wb") as f:
        f.write(b"new\n")
    expect(tunnel, channel, b"meanwhile\n<0>new\n")

    # The next file: all of it, after the rest of this one.
    with open(path, "ab") as f:
        f.write(b"rest\n")
    other = tmp_path / "console.log.1"
    other.write_bytes(b"other\n")
    next_file = os.open(other, os.O_RDONLY)
    relay.source(next_file, kind="file", fresh=True)
    expect(tunnel, channel, b"meanwhile\n<0>new\nrest\nother\n")
    os.close(next_file)
    os.close(reading)


def test_file_that_was_cut_is_found_out_whatever_its_length(relays, tmp_path):
    relay = relays("v-cut")
    relay.ring()
    path = tmp_path / "console.log"
    path.write_bytes(b"old " * 300)
    reading = os.open(path, os.O_RDONLY)
    relay.source(reading, kind="file")
    tunnel, channel = relay.reader("r")
    expect(tunnel, channel, b"old " * 300)
    status = relay.call("status")["hub"]
    assert status["file"] == {"device": os.stat(path).st_dev, "inode": os.stat(path).st_ino}
    # Longer than it was, before anybody looks again.
    relay.kill()
    with open(path, "wb") as f:
        f.write(b"new " * 500)
    relay.start()
    relay.ring()
    relay.source(reading, kind="file", fresh=True)
    tunnel, channel = relay.reader("r", source=1200)
    expect(tunnel, channel, b"<0>" + b"new " * 500)
    # As long as it was.
    with open(path, "r+b") as f:
        f.write(b"odd " * 500)
    expect(tunnel, channel, b"<0>" + b"new " * 500 + b"<0>" + b"odd " * 500)

    # A stream in between: where the file was left is no place in it any more.
    guest, end = socket.socketpair()
    relay.source(end.fileno(), fresh=True)
    end.close()
    guest.sendall(b"x" * 100)
    relay.wait_status(lambda st: st["hub"]["offset"] == 1200 + 4000 + 100)
    assert relay.call("status")["hub"]["file"] is None
    relay.source(reading, kind="file", fresh=False)
    relay.wait_status(lambda st: st["hub"]["offset"] == 1200 + 4000 + 100 + 2000)
    guest.close()
    os.close(reading)


def test_always_drained(console):
    """A reader that never reads costs nothing, and neither source nor others wait for it."""
    relay, guest = console
    stuck, s = relay.reader("r", window=1 << 40)
    poor, p = relay.reader("r", window=10)
    poor.reading = False
    good, g = relay.reader("r", window=1 << 20)
    before = relay.memory_kib()
    total = 64 * 1024 * 1024
    block = bytes(range(256)) * 256

    def feed():
        for _ in range(total // len(block)):
            guest.sendall(block)

    feeder = threading.Thread(target=feed)
    feeder.start()
    good.wait(lambda: g.rx >= total, timeout=120)
    feeder.join()
    relay.wait_status(lambda st: st["hub"]["offset"] == total)
    assert relay.memory_kib() - before < (100000 if SANITIZED else 4096)
    # the reader without credit: what it had, a gap, then the kept end once it gives some
    poor.pump(0.5)
    assert p.data == block[:10]
    poor.reading = True
    p.window = 1 << 20
    poor.credit(p, total)
    poor.wait(lambda: p.rx == total)
    assert len(p.gaps) == 1 and p.gaps[0] == (10, total - 65536 - 10)
    assert p.data.endswith(block)
    # the one that never read its socket comes back late, and the offsets still add up
    stuck.wait(lambda: s.rx == total, timeout=60)
    assert sum(n for _, n in s.gaps) > 0


# The screen

# What a full-screen program says: its own screen, colours, a region that scrolls, a box, a hidden cursor.
MONITOR = (
    b"booting\r\nlogin: root\r\n# top\r\n\x1b[?1049h\x1b[?25l\x1b[?1h\x1b=\x1b[H\x1b[2J\x1b[1;37;44m top - 12:34:56 \x1b[K\x1b[m"
    b"\x1b[2;1H\x1b(0lqqqqk\x1b(B \xc3\xa9\xe4\xb8\xad\x1b[3;1H\x1b[38;5;208mPID\x1b[0;7m USER \x1b[m\x1b[38;2;10;200;30mrgb\x1b[m"
    b"\x1b[4;23r\x1b[23;1H\x1b[4mone\x1b[m\r\ntwo\r\nthree\x1b[24;1H\x1b[41mstatus line\x1b[m\x1b[10;40H"
)


def shown(data, rows=24, columns=80):
    """What a terminal shows that was given the bytes; a model that shares nothing with the relay's."""
    tool = os.path.join(BUILD, "tests/integration/screen_dump")
    return subprocess.run([tool, str(rows), str(columns)], input=data, stdout=subprocess.PIPE, check=True).stdout.decode()


def late_reader(relay, **options):
    tunnel, channel = relay.reader("r", source=FROM_SCREEN, **options)
    tunnel.wait(lambda: channel.screen_whole)
    return tunnel, channel


def test_late_reader_gets_the_screen(console):
    relay, guest = console
    guest.sendall(MONITOR)
    relay.wait_status(lambda s: s["hub"]["offset"] == len(MONITOR))
    tunnel, channel = late_reader(relay)
    assert channel.start == len(MONITOR) and channel.data == b""
    seen = shown(MONITOR)
    assert "PID USER rgb" in seen and "hidden" in seen and "booting" not in seen
    assert shown(channel.screen) == seen

    # live bytes go on with the very next, in the midst of a sequence; then the program ends
    more = b"\x1b[5;5H\x1b[3"
    guest.sendall(more)
    tunnel.wait(lambda: channel.rx == len(MONITOR + more))
    other, late = late_reader(relay)
    rest = b"2mgreen\x1b[m\x1b[4;1H\x1b[2Mgone\n"
    guest.sendall(rest)
    other.wait(lambda: late.data == rest)
    tunnel.wait(lambda: channel.data == more + rest)
    assert shown(late.screen + late.data) == shown(channel.screen + channel.data) == shown(MONITOR + more + rest)
    end = b"\x1b[r\x1b[?1049l\x1b[?25h# "
    guest.sendall(end)
    other.wait(lambda: late.data == rest + end)
    assert shown(late.screen + late.data) == shown(MONITOR + more + rest + end)
    assert "login: root" in shown(late.screen + late.data)


def test_screen_of_a_relay_started_anew(console):
    relay, guest = console
    guest.sendall(b"x" * 70000 + MONITOR)
    relay.wait_status(lambda s: s["hub"]["offset"] == 70000 + len(MONITOR))
    relay.kill()
    relay.start()
    assert relay.ring() == 70000 + len(MONITOR)
    _, channel = late_reader(relay)
    assert channel.start == 70000 + len(MONITOR)
    assert shown(channel.screen) == shown(MONITOR)


def test_screen_has_the_size_that_the_writer_says(console):
    relay, guest = console
    tunnel, writer = relay.reader("rw")
    tunnel.ctl(writer, WINSIZE, struct.pack(">HH", 30, 120))
    wide = b"\x1b[30;1Hlast\x1b[1;110Hright\x1b[5;1H" + b"y" * 120
    guest.sendall(wide)
    tunnel.wait(lambda: writer.data == wide)
    _, channel = late_reader(relay)
    assert shown(channel.screen, 30, 120) == shown(wide, 30, 120)


def test_screen_needs_credit(console):
    """A reader that gives no credit keeps nobody from anything, and gets the screen as it was when he came."""
    relay, guest = console
    guest.sendall(MONITOR)
    relay.wait_status(lambda s: s["hub"]["offset"] == len(MONITOR))
    slow = Tunnel(relay.connect_stream(), DIALER)
    slow.reading = False
    channel = slow.open("console", source=FROM_SCREEN, window=10)
    slow.wait(lambda: len(channel.screen) == 10)
    guest.sendall(b"later")
    relay.wait_status(lambda s: s["hub"]["offset"] == len(MONITOR) + 5)
    slow.pump(0.2)
    assert len(channel.screen) == 10 and channel.data == b""
    slow.credit(channel, channel.start + 100000)
    slow.wait(lambda: channel.data == b"later")
    assert channel.screen_whole and shown(channel.screen) == shown(MONITOR)


def test_kill_and_restart(console):
    relay, guest = console
    guest.sendall(b"0123456789" * 1000)
    tunnel, channel = relay.reader("r")
    tunnel.wait(lambda: channel.rx == 10000)
    relay.kill()
    with pytest.raises((EOFError, ConnectionError)):
        tunnel.wait(lambda: False, timeout=5)
    relay.start()
    assert relay.ring() == 10000
    other, end = socket.socketpair()
    relay.source(end.fileno(), fresh=False)
    other.sendall(b"after")
    tunnel, channel = relay.reader("r", source=9995)
    expect(tunnel, channel, b"56789<0>after")
    assert channel.start == 9995


def test_kill_at_random_moments(console):
    """The ring is right whenever the relay dies."""
    relay, guest = console
    relay_head = 0
    pattern = b"".join(b"%07d\n" % n for n in range(20000))
    for turn in range(8):
        stop = threading.Event()

        def feed(sock=guest):
            try:
                while not stop.is_set():
                    sock.sendall(pattern)
            except OSError:
                pass

        feeder = threading.Thread(target=feed)
        feeder.start()
        time.sleep(0.02 + 0.01 * turn)
        relay.kill()
        stop.set()
        guest.close()
        feeder.join()
        relay.start()
        head = relay.ring()
        assert head >= relay_head
        relay_head = head
        tunnel, channel = relay.reader("r")
        tunnel.wait(lambda: channel.rx == head)
        runs = channel.data.split(b"<0>")
        for run in runs:
            # whole lines of the pattern, in order
            lines = run.split(b"\n")[1:-1]
            for one, two in zip(lines, lines[1:]):
                assert int(two) == (int(one) + 1) % 20000
        tunnel.close()
        guest, end = socket.socketpair()
        relay.source(end.fileno(), fresh=False)
        end.close()
    guest.close()


def test_readers_while_the_size_changes(relays):
    """Who is behind what the smaller one keeps sees a gap; who is not sees nothing of it."""
    relay = relays("v-size")
    guest, end = socket.socketpair()
    relay.ring(65536)
    relay.source(end.fileno())
    end.close()
    text = b"0123456789abcdef" * 4096
    guest.sendall(text)
    relay.wait_status(lambda s: s["hub"]["offset"] == len(text))
    slow_tunnel = Tunnel(relay.connect_stream(service="console", mode="r"), DIALER)
    slow_tunnel.reading = False
    slow = slow_tunnel.open("console", window=100)
    fast_tunnel, fast = relay.reader(window=1 << 20)
    slow_tunnel.wait(lambda: len(slow.data) == 100)
    fast_tunnel.wait(lambda: len(fast.data) == len(text))
    first = os.open(relay.folder + "/ring", os.O_RDWR)
    second = os.open(relay.folder + "/second", os.O_RDWR | os.O_CREAT, 0o600)
    answer = relay.call("hub.open", fds=[first, second], size_bytes=8192, writable=True)
    assert answer == {"offset": len(text), "size_bytes": 8192, "keep": True, "next": True}
    assert relay.status()["hub"]["size_bytes"] == 8192
    assert relay.call("hub.open", fds=[first, second], size_bytes=8192, writable=True)["next"] is False
    guest.sendall(b"end")
    fast_tunnel.wait(lambda: fast.data.endswith(b"end"))
    assert fast.data == text + b"end"
    slow_tunnel.credit(slow, 1 << 20)
    slow_tunnel.wait(lambda: slow.data.endswith(b"end"))
    lost = len(text) + 3 - 8192 - 100
    assert slow.data == text[:100] + b"<%d>" % lost + (text + b"end")[-8192:]
    os.close(first)
    os.close(second)
    guest.close()


def test_read_only_console(relays):
    relay = relays("v-ro")
    relay.ring(writable=False)
    tunnel, channel = relay.reader("take")
    assert channel.mode == 1
    refused = tunnel.open("console", mode=2)
    assert refused.refused == "console-read-only"


# Tickets


def test_tickets(console):
    relay, _ = console
    secret = relay.grant()
    assert relay.status()["grants"] == 1
    sock, answer = show_ticket(relay.stream_path, secret)
    assert answer == "OK frames"
    _, answer = show_ticket(relay.stream_path, secret)
    assert answer == "NO ticket-invalid"
    secret = relay.grant(ttl_ms=1)
    time.sleep(0.05)
    assert show_ticket(relay.stream_path, secret)[1] == "NO ticket-invalid"
    assert show_ticket(relay.stream_path, ticket())[1] == "NO ticket-invalid"
    assert show_ticket(relay.stream_path, "x" * 100)[1] == "NO ticket-invalid"
    sock.close()


def test_a_ticket_is_for_one_service_and_mode(console):
    relay, _ = console
    tunnel = Tunnel(relay.connect_stream(service="console", mode="r"), DIALER)
    assert tunnel.open("ssh").refused == "forbidden"
    assert tunnel.open("console", mode=2).refused == "forbidden"
    assert tunnel.open("console", mode=7).mode == 1
    channels = [tunnel.open("console") for _ in range(16)]
    assert [c.refused for c in channels] == [None] * 15 + ["quota"]


def test_strangers(console):
    relay, _ = console
    silent = []
    for _ in range(32):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(relay.stream_path)
        sock.settimeout(30)
        silent.append(sock)
    silent[0].sendall(b"DVM1 half a li")
    # They keep nobody out, and are thrown out after a while.
    sock, answer = show_ticket(relay.stream_path, relay.grant())
    assert answer == "OK frames"
    for stranger in silent:
        assert receive_to_end(stranger) == b""


def test_flood_of_strangers(console):
    """10,000 connections without a ticket: few are kept, the first go first, and nobody else is harmed."""
    relay, guest = console
    reader, channel = relay.reader("r")
    before = relay.memory_kib()
    kept = collections.deque()
    for number in range(10000):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(relay.stream_path)
        kept.append(sock)
        if len(kept) > 1000:
            assert receive_to_end(kept.popleft()) == b""
        if number % 1000 == 0:
            guest.sendall(b"x")
            expect(reader, channel, b"x" * (number // 1000 + 1))
            user, answer = show_ticket(relay.stream_path, relay.grant())
            assert answer == "OK frames"
            user.close()
    assert len(os.listdir(f"/proc/{relay.process.pid}/fd")) < 100
    assert relay.memory_kib() - before < (100000 if SANITIZED else 1024)
    for sock in kept:
        sock.close()


@pytest.fixture
def many_files():
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limits[1], limits[1]))
    yield limits[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_thousands_leave_at_once(console, many_files):
    """Readers of the console, each in a connection of its own, that all go in one moment."""
    relay, guest = console
    count = min(5000, many_files // 2 - 100)
    good, g = relay.reader("r")
    hello = whole(HELLO, 0, b"DVMTUN\r\n" + struct.pack(">HHQQ", 1, DIALER, 4711, 0))
    with contextlib.ExitStack() as users:
        sockets = []
        for _ in range(count):
            sock = users.enter_context(relay.connect_stream())
            sock.sendall(hello + whole(OPEN, 1, struct.pack(">QQBB", KEPT, 1000, 1, 7) + b"console"))
            sockets.append(sock)
        relay.wait_status(lambda s: s["hub"]["readers"] == count + 1)
        guest.sendall(b"to all")
        for sock in sockets:
            data = b""
            while not data.endswith(b"to all"):
                part = sock.recv(1000)
                assert part
                data += part
        expect(good, g, b"to all")
    relay.wait_status(lambda s: s["hub"]["readers"] == 1)
    guest.sendall(b" who stayed")
    expect(good, g, b"to all who stayed")


def test_first_line_in_pieces_with_frames_behind(console):
    relay, guest = console
    guest.sendall(b"hi")
    relay.wait_status(lambda s: s["hub"]["offset"] == 2)
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(relay.stream_path)
    for byte in b"DVM1 " + relay.grant(raw=True).encode():
        sock.sendall(bytes([byte]))
    sock.sendall(b"\n")
    data = b""
    while len(data) < 9:
        data += sock.recv(100)
    assert data == b"OK raw\nhi"


@pytest.mark.parametrize("garbage", [
    b"\0" * 100, b"\xff" * 100, os.urandom(1000),
    # a HELLO that counts, then a frame of an unknown type
    struct.pack(">BBHI", 1, 0, 0, 28) + b"DVMTUN\r\n" + struct.pack(">HHQQ", 1, 1, 1, 0) + b"\xee" * 8,
], ids=["zeros", "ones", "noise", "bad-frame"])
def test_garbage_from_a_user(console, garbage):
    relay, guest = console
    sock = relay.connect_stream()
    sock.sendall(garbage)
    sock.shutdown(socket.SHUT_WR)
    receive_to_end(sock)
    assert relay.status()["hub"]["source"]


def header(kind, number, length):
    return struct.pack(">BBHI", kind, 0, number, length)


def whole(kind, number, payload):
    return header(kind, number, len(payload)) + payload


# What a writer on channel 1, who has sent 3 bytes, may not say; `w` is his channel.
LIES = {
    "longer-than-any": lambda w: header(DATA, 1, 65537),
    "longest": lambda w: header(DATA, 1, 2**32 - 1),
    "shorter-than-its-kind": lambda w: whole(CREDIT, 1, b"\0" * 4),
    "longer-than-its-kind": lambda w: whole(CREDIT, 1, b"\0" * 9),
    "data-without-offset": lambda w: whole(DATA, 1, b"\0" * 7),
    "data-without-data": lambda w: whole(DATA, 1, struct.pack(">Q", 3)),
    "name-beyond-its-frame": lambda w: whole(OPEN, 3, struct.pack(">QQBB", 0, 0, 1, 90) + b"console"),
    "flags": lambda w: b"\x05\1\0\1" + struct.pack(">IQ", 9, 3) + b"x",
    "beyond-its-credit": lambda w: b"".join(
        whole(DATA, 1, struct.pack(">Q", 3 + i * 65528) + b"x" * 65528) for i in range(8)),
    "offset-from-the-future": lambda w: whole(DATA, 1, struct.pack(">Q", 4) + b"x"),
    "offset-from-the-past": lambda w: whole(DATA, 1, struct.pack(">Q", 2) + b"x"),
    "end-in-the-future": lambda w: whole(EOF, 1, struct.pack(">Q", 4)),
    "gap-in-the-future": lambda w: whole(GAP, 1, struct.pack(">QQ", 4, 1)),
    "gap-around-the-world": lambda w: whole(GAP, 1, struct.pack(">QQ", 3, 2**64 - 1)),
    "data-behind-the-end": lambda w: whole(EOF, 1, struct.pack(">Q", 3)) + whole(
        DATA, 1, struct.pack(">Q", 3) + b"x"),
    "no-such-channel": lambda w: whole(DATA, 5, struct.pack(">Q", 0) + b"x"),
    "channel-beyond-all": lambda w: whole(OPEN, 1001, struct.pack(">QQBB", 0, 0, 1, 7) + b"console"),
    "a-number-of-ours": lambda w: whole(OPEN, 2, struct.pack(">QQBB", 0, 0, 1, 7) + b"console"),
    "the-same-number-again": lambda w: whole(OPEN, 1, struct.pack(">QQBB", 0, 0, 1, 7) + b"console"),
    "answer-unasked": lambda w: whole(OPENED, 1, struct.pack(">QQB", 0, 0, 1)),
}


@pytest.mark.parametrize("lie", LIES)
def test_frames_that_lie(console, lie):
    """The connection ends; what was right before it counts, and others are not disturbed."""
    relay, guest = console
    good, g = relay.reader("r")
    liar, w = relay.reader("rw")
    liar.send(w, b"abc")
    assert guest.recv(10) == b"abc"
    before = relay.memory_kib()
    with contextlib.suppress(ConnectionError):
        liar.sock.sendall(LIES[lie](w))
    receive_to_end(liar.sock)
    relay.wait_status(lambda s: s["hub"]["readers"] == 1 and not s["hub"]["writer"])
    guest.sendall(b"goes on")
    expect(good, g, b"goes on")
    again, a = relay.reader("rw")
    again.send(a, b"d")
    got = guest.recv(1 << 20)
    while not got.endswith(b"d"):
        got += guest.recv(1 << 20)
    assert set(got[:-1]) <= {ord("x")} and len(got) <= 1 << 17  # no more than he had credit for
    assert relay.memory_kib() - before < (100000 if SANITIZED else 1024)


def test_offsets_that_have_not_been(console):
    """A reader from the future knows another stream: it gets this one from what is kept."""
    relay, guest = console
    guest.sendall(b"all of it")
    relay.wait_status(lambda s: s["hub"]["offset"] == 9)
    for source in (10, 2**63, 2**64 - 4):
        tunnel, channel = relay.reader("r", source=source)
        assert channel.start == 0
        expect(tunnel, channel, b"all of it")


def test_credit_without_end(console):
    """Credit for all there will ever be is no promise to keep it."""
    relay, guest = console
    reader, r = relay.reader("r", window=2**64 - 1)
    reader.reading = False
    reader.credit(r, 2**64 - 1)
    reader.credit(r, 5)  # less than before: ignored
    stuck, _ = relay.reader("r", window=2**64 - 1)
    before = relay.memory_kib()
    total = 8 << 20
    feeder = threading.Thread(target=lambda: [guest.sendall(b"z" * 65536) for _ in range(total >> 16)])
    feeder.start()
    reader.wait(lambda: r.rx >= total, timeout=60)
    feeder.join()
    assert relay.memory_kib() - before < (100000 if SANITIZED else 2048)
    guest.sendall(b"goes on")
    reader.wait(lambda: r.data.endswith(b"goes on"))


def test_half_closed_users(console):
    """Who speaks frames must be able to answer; who is served raw may have said all he had to say."""
    relay, guest = console
    framed, f = relay.reader("rw")
    raw = relay.connect_stream(mode="rw", raw=True)
    raw.sendall(b"")
    relay.wait_status(lambda s: s["hub"]["readers"] == 2)
    framed.sock.shutdown(socket.SHUT_WR)
    receive_to_end(framed.sock)
    relay.wait_status(lambda s: s["hub"]["readers"] == 1)
    raw.shutdown(socket.SHUT_WR)
    guest.sendall(b"still heard")
    raw.settimeout(20)
    assert raw.recv(100) == b"still heard"
    raw.close()
    relay.wait_status(lambda s: s["hub"]["readers"] == 0)


def test_raw(console):
    relay, guest = console
    guest.sendall(b"scrollback ")
    relay.wait_status(lambda s: s["hub"]["offset"] == 11)
    sock = relay.connect_stream(mode="rw", raw=True)
    sock.settimeout(20)
    data = b""
    while b"scrollback" not in data:
        data += sock.recv(4096)
    guest.sendall(b"live")
    while not data.endswith(b"live"):
        data += sock.recv(4096)
    assert data == b"scrollback live"
    sock.sendall(b"typed")
    assert guest.recv(100) == b"typed"
    sock.close()
    relay.wait_status(lambda s: s["hub"]["readers"] == 0)
    # view only: what is typed goes nowhere
    sock = relay.connect_stream(mode="r", raw=True)
    sock.sendall(b"nothing")
    guest.setblocking(False)
    time.sleep(0.2)
    with pytest.raises(BlockingIOError):
        guest.recv(10)
    # a slow one is ended, for it could not be told what it missed
    guest.settimeout(20)
    for _ in range(400):
        guest.sendall(b"x" * 16384)
    assert len(receive_to_end(sock)) < 400 * 16384


def test_raw_is_heard_out(console):
    """Who said something and left has said it, as far as the guest takes it."""
    relay, guest = console
    text = bytes(range(256)) * 600
    sock = relay.connect_stream(mode="rw", raw=True)
    sock.settimeout(20)
    sock.sendall(text)
    sock.close()
    got = b""
    while len(got) < len(text):
        got += guest.recv(65536)
    assert got == text
    relay.wait_status(lambda s: s["hub"]["readers"] == 0)
    # a guest that takes nothing does not keep the next one out
    sock = relay.connect_stream(mode="rw", raw=True)
    sock.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            sock.send(text)
            time.sleep(0.01)
    sock.close()
    relay.wait_status(lambda s: s["hub"]["readers"] == 0)
    _, channel = relay.reader("rw")
    assert channel.mode == 3


# A session's relay: the agent, and consoles switched through


CONFIG = {
    "session": "s-test", "hostname": "debug-1", "keys": ["ssh-ed25519 AAAA user", "ssh-rsa BBBB two"],
    "lease_s": 3600, "targets": [{"vm": "v-1", "name": "web"}], "stacks": ["base", "disk"],
}


class Agent:
    """The D-VM's side of the tunnel port."""

    def __init__(self, sock):
        self.tunnel = Tunnel(sock, LISTENER)
        self.config = None

    def start(self, ready=True):
        self.tunnel.wait(lambda: self.tunnel.opens)
        number, service, mode, _ = self.tunnel.opens.popleft()
        assert service == "config" and mode == 3
        self.config = self.tunnel.accept(number, window=64)  # a config in many small pieces
        self.wait_config()
        self.say("agent 1")
        self.say("hostkey ssh-ed25519 HOSTKEY root@debug-1")
        if ready:
            self.say("ready")

    def wait_config(self):
        self.tunnel.wait(lambda: self.config.data.endswith(b"\nend\n"))
        lines = self.config.data.decode().splitlines()
        self.config.data = b""
        return lines

    def say(self, line):
        self.tunnel.send(self.config, line.encode() + b"\n")

    def verb(self, line):
        channel = self.tunnel.open("verb", mode=3)
        if channel.refused:
            return channel
        self.tunnel.send(channel, line)
        return channel

    def ask(self, line):
        channel = self.verb(line)
        self.tunnel.wait(lambda: channel.closed is not None)
        return channel.data.decode()


@pytest.fixture
def session(relays):
    relay = relays("s-test")
    port, end = socket.socketpair()
    relay.call("agent.link", fds=[end.fileno()], config=CONFIG)
    end.close()
    return relay, port


@pytest.fixture
def ready(session):
    relay, port = session
    agent = Agent(port)
    agent.start()
    relay.rpc.wait_notice("agent.up")
    return relay, agent


def upstream(session_relay, console_relay, name="web", mode="rw"):
    """Links the session's relay to the console's as dvm-hostd does."""
    secret = console_relay.grant(mode="take")
    sock, answer = show_ticket(console_relay.stream_path, secret)
    assert answer == "OK frames"
    session_relay.call("upstream.link", fds=[sock.fileno()], service="console", name=name, mode=mode)
    sock.close()


def test_agent_config_and_ready(session):
    relay, port = session
    assert relay.status()["agent"] == "wait"
    agent = Agent(port)
    agent.tunnel.wait(lambda: agent.tunnel.opens)
    number, service, _, _ = agent.tunnel.opens.popleft()
    agent.config = agent.tunnel.accept(number, window=100)
    lines = agent.wait_config()
    assert lines[:3] == ["session s-test", "hostname debug-1", "lease 3600"]
    assert lines[3:8] == ["key ssh-ed25519 AAAA user", "key ssh-rsa BBBB two", "target 0 web",
                          "stack base", "stack disk"]
    assert re.fullmatch(r"clock \d+\.\d{6}", lines[8])
    assert abs(float(lines[8].split()[1]) - time.time()) < 60
    assert re.fullmatch(r"seed [0-9a-f]{64}", lines[9])
    agent.say("ready")  # before its version: not heard
    agent.say("agent 1")
    agent.say("ready")  # without a key: not heard
    agent.say("hostkey rubbish")
    agent.say("hostkey ssh-ed25519 KEY")
    agent.say("later-version words")
    agent.say("ready")
    assert relay.rpc.wait_notice("agent.up") == {"host_key": "ssh-ed25519 KEY"}
    status = relay.status()
    assert status["agent"] == "up" and status["host_key"] == "ssh-ed25519 KEY"

    relay.call("agent.config", config={**CONFIG, "lease_s": 60, "keys": []})
    lines = agent.wait_config()
    assert "lease 60" in lines and not any(line.startswith("key") for line in lines)
    for bad in ({"hostname": "a b"}, {"keys": ["a\nb"]}, {"keys": "x"}, {"lease_s": -1},
                {"targets": [{"name": "a/b"}]}, {"stacks": ["\u001b"]}, {"session": None}):
        with pytest.raises(Fault) as fault:
            relay.call("agent.config", config={**CONFIG, **bad})
        assert fault.value.code == "bad-value"


def test_agent_fails(session):
    relay, port = session
    agent = Agent(port)
    agent.start(ready=False)
    agent.say("failed no /dev/vda")
    assert relay.rpc.wait_notice("agent.failed") == {"text": "no /dev/vda"}
    assert relay.status()["failed"] == "no /dev/vda"


def test_agent_starts_again(ready):
    """The agent dies and is started again in the D-VM: the port knows nothing of it."""
    relay, agent = ready
    agent.tunnel.sock.sendall(b"half a frame of the one that died"[:7])
    again = Agent(agent.tunnel.sock)
    again.tunnel._hello(0)
    again.start()
    relay.rpc.wait_notice("agent.down")
    relay.rpc.wait_notice("agent.up")
    assert relay.status()["agent"] == "up"


def test_port_is_lost_and_linked_anew(ready):
    relay, agent = ready
    agent.tunnel.close()
    relay.rpc.wait_notice("agent.down")
    assert relay.status()["agent"] == "none"
    port, end = socket.socketpair()
    relay.call("agent.link", fds=[end.fileno()], config=CONFIG)
    agent = Agent(port)
    agent.start()
    relay.rpc.wait_notice("agent.up")


def test_nobody_on_the_port_yet(session):
    """The guest's kernel says something, the agent comes late; what was sent before is lost."""
    relay, port = session
    port.sendall(b"Linux version 6.1\r\n")
    time.sleep(2.5)
    port.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            port.recv(65536)
    port.setblocking(True)
    Agent(port).start()
    relay.rpc.wait_notice("agent.up")


@pytest.mark.parametrize("garbage", [b"\xee" * 64, os.urandom(100000), b"\0" * 200000],
                         ids=["bad-frame", "noise", "zeros"])
def test_garbage_from_the_agent(ready, garbage):
    relay, agent = ready
    agent.tunnel.sock.sendall(garbage)
    again = Agent(agent.tunnel.sock)
    again.start()
    relay.wait_status(lambda s: s["agent"] == "up")


def test_agent_line_too_long(ready):
    relay, agent = ready
    agent.tunnel.send(agent.config, b"x" * 8000)
    try:
        agent.tunnel.send(agent.config, b"x" * 8000)
    except KeyError:
        pass
    relay.rpc.wait_notice("agent.down")


def test_ssh(ready):
    relay, agent = ready
    user = Tunnel(relay.connect_stream(service="ssh", mode="rw"), DIALER)
    channel = user.open("ssh", mode=3, source=0, window=1000, wait=False)
    agent.tunnel.wait(lambda: agent.tunnel.opens)
    number, service, mode, source = agent.tunnel.opens.popleft()
    assert (service, mode, source) == ("ssh", 3, 0)
    ssh = agent.tunnel.accept(number, window=5000)
    user.wait(lambda: channel.start == 0)
    assert channel.tx_limit == 5000  # end to end
    assert ssh.tx_limit == 1000
    up, down = os.urandom(300000), os.urandom(400000)
    while len(ssh.data) < len(up) or len(channel.data) < len(down):
        for tunnel, ch, data in ((user, channel, up), (agent.tunnel, ssh, down)):
            n = min(ch.tx_limit - ch.tx, 4096, len(data) - ch.tx)
            if n > 0:
                part = data[ch.tx : ch.tx + n]
                tunnel.frame(DATA, ch.number, struct.pack(">Q", ch.tx) + part)
                ch.tx += n
        user.pump(0.005)
        agent.tunnel.pump(0.005)
    assert ssh.data == up and channel.data == down
    user.eof(channel)
    agent.tunnel.wait(lambda: ssh.eof)
    agent.tunnel.close_channel(ssh)
    user.wait(lambda: channel.closed == "")


def test_ssh_raw(ready):
    relay, agent = ready
    sock = relay.connect_stream(service="ssh", mode="rw", raw=True)
    sock.sendall(b"SSH-2.0-client\r\n")
    agent.tunnel.wait(lambda: agent.tunnel.opens)
    number, _, _, _ = agent.tunnel.opens.popleft()
    ssh = agent.tunnel.accept(number)
    agent.tunnel.wait(lambda: ssh.data == b"SSH-2.0-client\r\n")
    agent.tunnel.send(ssh, b"SSH-2.0-server\r\n")
    assert sock.recv(100) == b"SSH-2.0-server\r\n"
    sock.shutdown(socket.SHUT_WR)
    agent.tunnel.wait(lambda: ssh.eof)
    agent.tunnel.send(ssh, b"last words")
    agent.tunnel.close_channel(ssh)
    assert receive_to_end(sock) == b"last words"


def test_ssh_before_the_agent_is_ready(session):
    relay, _ = session
    tunnel = Tunnel(relay.connect_stream(service="ssh", mode="rw"), DIALER)
    assert tunnel.open("ssh", mode=3).refused == "session-not-ready"


def test_ssh_refused_and_closed(ready):
    relay, agent = ready
    user = Tunnel(relay.connect_stream(service="ssh", mode="rw"), DIALER)
    channel = user.open("ssh", mode=3, wait=False)
    agent.tunnel.wait(lambda: agent.tunnel.opens)
    number, *_ = agent.tunnel.opens.popleft()
    reason = b"no-capacity"
    agent.tunnel.frame(REFUSED, number, bytes([len(reason)]) + reason)
    user.wait(lambda: channel.refused == "no-capacity")
    # the D-VM dies under an open connection
    channel = user.open("ssh", mode=3, wait=False)
    agent.tunnel.wait(lambda: agent.tunnel.opens)
    agent.tunnel.accept(agent.tunnel.opens.popleft()[0])
    user.wait(lambda: channel.start == 0)
    agent.tunnel.close()
    user.wait(lambda: channel.closed == "relay-lost")


def test_verbs(ready):
    relay, agent = ready
    channel = agent.verb(b"disk attach web ro\n")
    call = relay.rpc.wait_call("verb")
    assert call["params"] == {"verb": "disk", "words": ["attach", "web", "ro"]}
    relay.rpc.answer(call, {"text": '{"devices":["t0-vda"]}'})
    agent.tunnel.wait(lambda: channel.closed == "")
    assert channel.data == b'ok {"devices":["t0-vda"]}\n'

    channel = agent.verb(b"power on web\n")
    relay.rpc.answer_fault(relay.rpc.wait_call("verb"), "vm-fenced", "It is fenced.", "Wait.")
    agent.tunnel.wait(lambda: channel.closed == "")
    assert channel.data == b"fault vm-fenced It is fenced.|Wait.\n"

    assert agent.ask(b"rm -rf /\n").startswith("fault not-supported ")
    assert agent.ask(b"power on $(id)\n").startswith("fault protocol ")
    assert agent.ask(b"x" * 8192).startswith("fault too-large ")
    assert not relay.rpc.calls

    running = [agent.verb(b"info\n") for _ in range(5)]
    assert running[4].refused == "quota"
    calls = [relay.rpc.wait_call("verb") for _ in range(4)]
    agent.tunnel.close_channel(running[0])  # does not wait for its answer
    for call in calls:
        relay.rpc.answer(call, {"text": "{}"})
    for channel in running[1:4]:
        agent.tunnel.wait(lambda c=channel: c.closed == "")
        assert channel.data == b"ok {}\n"
    # dvm-hostd goes away under a verb, and while there is none
    channel = agent.verb(b"info\n")
    relay.rpc.wait_call("verb")
    relay.rpc.close()
    agent.tunnel.wait(lambda: channel.closed == "")
    assert channel.data.startswith(b"fault host-away ")
    assert agent.ask(b"info\n").startswith("fault host-away ")
    relay.connect()
    assert relay.status()["agent"] == "up"


def test_agent_may_open_nothing_else(ready):
    relay, agent = ready
    for service in ("ssh", "config", "console", "verb/x"):
        assert agent.tunnel.open(service, mode=3).refused == "forbidden", service
    assert agent.tunnel.open("console/other", mode=3).refused == "not-attached"


def test_console_switched_through(ready, console):
    relay, agent = ready
    vm, guest = console
    guest.sendall(b"scrollback ")
    vm.wait_status(lambda s: s["hub"]["offset"] == 11)
    upstream(relay, vm)
    assert relay.status()["upstreams"] == [{"service": "console", "name": "web", "mode": "rw"}]
    inside = agent.tunnel.open("console/web", mode=7, source=5)
    assert inside.start == 5 and inside.mode == 7
    user, outside = relay.reader("take", service="console/web")
    agent.tunnel.wait(lambda: inside.writer is False)
    guest.sendall(b"live")
    expect(agent.tunnel, inside, b"lback live")
    expect(user, outside, b"scrollback live")
    user.send(outside, b"typed")
    assert guest.recv(10) == b"typed"
    agent.tunnel.ctl(inside, TAKE)
    user.wait(lambda: outside.writer is False)
    agent.tunnel.wait(lambda: inside.writer is True)

    # one who comes late gets the screen, through both relays
    late = agent.tunnel.open("console/web", mode=1, source=FROM_SCREEN)
    agent.tunnel.wait(lambda: late.screen_whole)
    assert late.start == 15 and shown(late.screen) == shown(b"scrollback live")
    agent.tunnel.close_channel(late)
    agent.tunnel.wait(lambda: late.closed is not None)

    # the console's relay dies: who reads is told, and comes back to where he was
    vm.kill()
    assert relay.rpc.wait_notice("upstream.lost") == {"service": "console", "name": "web"}
    user.wait(lambda: outside.closed == "relay-lost")
    again = user.open("console/web")
    assert again.refused == "not-attached"
    vm.start()
    assert vm.ring() == 15
    other, end = socket.socketpair()
    vm.source(end.fileno(), fresh=False)
    upstream(relay, vm)
    other.sendall(b"!")
    again = user.open("console/web", source=15)
    expect(user, again, b"<0>!")


def test_console_that_the_session_can_only_watch(ready, console):
    """The console's relay would let it type (its ticket says so): the session's relay does not."""
    relay, agent = ready
    vm, guest = console
    for mode in ("take", "x", None):
        with pytest.raises(Fault) as fault:
            upstream(relay, vm, mode=mode)
        assert fault.value.code == "bad-value"
    upstream(relay, vm, mode="r")
    assert relay.status()["upstreams"] == [{"service": "console", "name": "web", "mode": "r"}]
    user, outside = relay.reader("take", service="console/web")
    for tunnel, channel in ((user, outside), (agent.tunnel, agent.tunnel.open("console/web", mode=7))):
        assert channel.mode == 1 and channel.tx_limit == 0
        tunnel.ctl(channel, TAKE)
        tunnel.wait(lambda c=channel: c.writer is False)
        assert channel.tx_limit == 0
        assert tunnel.open("console/web", mode=2).refused == "forbidden"
        guest.sendall(b"seen")
        tunnel.wait(lambda c=channel: c.data.endswith(b"seen"))
    assert not vm.status()["hub"]["writer"]
    # bytes that there is no credit for end the D-VM's connection, and do not arrive
    agent.tunnel.frame(DATA, 1, struct.pack(">Q", 0) + b"reboot\n")
    relay.rpc.wait_notice("agent.down")
    mine, channel = vm.reader("rw")
    mine.send(channel, b"!")
    assert guest.recv(100) == b"!"
    # given more, it has more
    upstream(relay, vm, mode="rw")
    user, outside = relay.reader("take", service="console/web")
    assert outside.mode == 7


def test_slow_user_hurts_nobody(ready, console):
    """One who gives endless credit and reads nothing stops neither the D-VM nor the recording."""
    relay, agent = ready
    vm, guest = console
    upstream(relay, vm)
    stuck, s = relay.reader("r", service="console/web", window=1 << 50)
    inside = agent.tunnel.open("console/web", mode=1, window=1 << 20)
    before = relay.memory_kib()
    total = 16 << 20
    feeder = threading.Thread(target=lambda: [guest.sendall(b"z" * 65536) for _ in range(256)])
    feeder.start()
    agent.tunnel.wait(lambda: inside.rx >= total, timeout=60)
    feeder.join()
    assert relay.memory_kib() - before < (100000 if SANITIZED else 4096)
    stuck.wait(lambda: s.rx >= total)
    assert sum(n for _, n in s.gaps) > 0


def test_agent_that_does_not_read(ready, console):
    relay, agent = ready
    vm, guest = console
    upstream(relay, vm)
    for _ in range(10):
        agent.tunnel.open("console/web", mode=1, window=1 << 50, wait=False)
    user, channel = relay.reader("r", service="console/web")
    assert channel.refused is None
    before = relay.memory_kib()
    feeder = threading.Thread(target=lambda: [guest.sendall(b"z" * 65536) for _ in range(256)])
    feeder.start()
    user.wait(lambda: channel.rx >= 16 << 20, timeout=60)
    feeder.join()
    assert relay.memory_kib() - before < (100000 if SANITIZED else 8192)


def record_open(relay, folder, name="web"):
    cast = os.open(folder / (name + ".cast"), os.O_RDWR | os.O_CREAT, 0o600)
    state = os.open(folder / (name + ".state"), os.O_RDWR | os.O_CREAT, 0o600)
    relay.call("record.open", fds=[cast, state], name=name, upstream="web", columns=80, rows=25)
    os.close(cast)
    os.close(state)


def play(path):
    """Checks every line; returns output with markers as "<…>"."""
    with open(path, "rb") as f:
        lines = f.read().decode().splitlines()
    header = json.loads(lines[0])
    assert header["version"] == 2 and header["width"] == 80 and header["height"] == 25
    assert abs(header["timestamp"] - time.time()) < 600
    last, out = 0.0, ""
    for line in lines[1:]:
        at, kind, text = json.loads(line)
        assert at >= last and kind in ("o", "m")
        last = at
        out += text if kind == "o" else "<" + text + ">"
    return out


def wait_play(path, expected):
    deadline = time.monotonic() + 20
    while play(path) != expected:
        assert time.monotonic() < deadline, play(path)
        time.sleep(0.05)


def test_recording(relays, console, tmp_path):
    relay = relays("s-rec")
    vm, guest = console
    guest.sendall(b"before ")
    vm.wait_status(lambda s: s["hub"]["offset"] == 7)
    record_open(relay, tmp_path)
    upstream(relay, vm)
    guest.sendall("Grüße ".encode())
    guest.sendall(b"\xe2\x82")
    wait_play(tmp_path / "web.cast", "before Grüße ")
    guest.sendall(b"\xac\xff\x1b[0m ")
    wait_play(tmp_path / "web.cast", "before Grüße €\ufffd\x1b[0m ")
    record_open(relay, tmp_path)  # again: nothing changes

    # the session's relay dies in the middle of a character
    guest.sendall(b"x\xe2\x82")
    wait_play(tmp_path / "web.cast", "before Grüße €\ufffd\x1b[0m x")
    relay.kill()
    guest.sendall(b"\xac meanwhile")
    with open(tmp_path / "web.cast", "ab") as f:
        f.write(b'[9.9, "o", "half a li')
    relay.start()
    record_open(relay, tmp_path)
    upstream(relay, vm)
    wait_play(tmp_path / "web.cast", "before Grüße €\ufffd\x1b[0m x€ meanwhile")

    # the console's relay dies; and what it lost is marked
    vm.kill()
    relay.rpc.wait_notice("upstream.lost")
    vm.start()
    vm.ring()
    other, end = socket.socketpair()
    vm.source(end.fileno(), fresh=False)
    upstream(relay, vm)
    other.sendall(b"\r\nafter")
    wait_play(tmp_path / "web.cast", "before Grüße €\ufffd\x1b[0m x€ meanwhile"
              "<bytes lost, number unknown>\r\nafter")
    end.close()
    other.close()
    vm.rpc.wait_notice("hub.lost")
    wait_play(tmp_path / "web.cast", "before Grüße €\ufffd\x1b[0m x€ meanwhile"
              "<bytes lost, number unknown>\r\nafter<the console is gone>")
    records = relay.status()["records"]
    assert records == [{"name": "web", "bytes": os.stat(tmp_path / "web.cast").st_size, "stopped": None}]


def test_recording_has_the_size_that_the_writer_says(relays, console, tmp_path):
    relay = relays("s-size")
    vm, guest = console
    record_open(relay, tmp_path)
    upstream(relay, vm)
    tunnel, writer = vm.reader("rw")
    watcher_tunnel, watcher = vm.reader("r")
    tunnel.ctl(writer, WINSIZE, struct.pack(">HH", 30, 120))
    watcher_tunnel.ctl(watcher, WINSIZE, struct.pack(">HH", 10, 10))
    guest.sendall(b"after")
    wait_for_lines(tmp_path / "web.cast", [["r", "120x30"], ["o", "after"]])
    # one that begins later has it at its start
    other = relays("s-later")
    (tmp_path / "later").mkdir()
    record_open(other, tmp_path / "later")
    upstream(other, vm)
    wait_for_lines(tmp_path / "later" / "web.cast", [["r", "120x30"], ["o", "after"]])


def wait_for_lines(path, expected):
    deadline = time.monotonic() + 20
    while True:
        lines = [json.loads(line)[1:] for line in path.read_text().splitlines()[1:]]
        if lines == expected:
            return
        assert time.monotonic() < deadline, lines
        time.sleep(0.05)


def test_recording_on_a_full_disk(relays, console, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs a small file system")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(small)], check=True)
    try:
        relay = relays("s-full")
        vm, guest = console
        record_open(relay, small)
        upstream(relay, vm)
        for _ in range(8):
            guest.sendall(b"0123456789abcdef" * 1024)
            time.sleep(0.05)
        assert relay.rpc.wait_notice("record.stopped") == {"name": "web", "code": "disk-full"}
        assert relay.status()["records"][0]["stopped"] == "disk-full"
        assert play(small / "web.cast").startswith("0123456789")
        relay.stop()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_record_files_that_do_not_match(relays, tmp_path):
    relay = relays("s-bad")
    (tmp_path / "web.cast").write_bytes(b"something else")
    with pytest.raises(Fault) as fault:
        record_open(relay, tmp_path)
    assert fault.value.code == "conflict"
    assert (tmp_path / "web.cast").read_bytes() == b"something else"


# Pipes


def pipe(relay, name="vnc"):
    """The user's end and the other, of a pipe that is in use."""
    far, end = socket.socketpair()
    relay.call("pipe.open", fds=[end.fileno()], name=name)
    end.close()
    near = relay.connect_stream(service="pipe/" + name, mode="rw", raw=True)
    far.settimeout(20)
    near.settimeout(20)
    return near, far


def test_pipe(relays):
    relay = relays("s-pipe")
    far, end = socket.socketpair()
    far.sendall(b"RFB 003.008\n")  # stays where it is until somebody comes
    relay.call("pipe.open", fds=[end.fileno()], name="vnc")
    near = relay.connect_stream(service="pipe/vnc", mode="rw", raw=True)
    assert os.fstat(near.fileno()).st_ino == os.fstat(end.fileno()).st_ino, "the socket itself"
    end.close()
    assert near.recv(100) == b"RFB 003.008\n"
    assert relay.status()["pipes"] == 1
    near.sendall(b"the last")
    near.shutdown(socket.SHUT_WR)
    assert receive_to_end(far) == b"the last"
    far.sendall(b"and the answer")
    far.close()
    assert receive_to_end(near) == b"and the answer"
    near.close()
    assert relay.rpc.wait_notice("pipe.ended") == {"name": "vnc"}
    assert relay.status()["pipes"] == 0


def test_pipe_is_for_one(relays):
    relay = relays("s-pipe")
    near, far = pipe(relay)
    sock, answer = show_ticket(relay.stream_path, relay.grant(service="pipe/vnc", mode="rw", raw=True))
    assert answer == "NO not-attached"
    sock, answer = show_ticket(relay.stream_path, relay.grant(service="pipe/other", mode="rw", raw=True))
    assert answer == "NO not-attached"
    sock, answer = show_ticket(relay.stream_path, relay.grant(service="pipe/vnc", mode="rw"))
    assert answer == "NO not-supported"
    near.sendall(b"not disturbed")
    assert far.recv(100) == b"not disturbed"
    # another socket of the name: the first user is sent away
    second, other = pipe(relay)
    assert receive_to_end(near) == b"" and receive_to_end(far) == b""
    assert receive_to_end(near.hold) == b""
    second.sendall(b"new")
    assert other.recv(100) == b"new"
    reading, writing = os.pipe()
    with pytest.raises(Fault) as fault:
        relay.call("pipe.open", fds=[reading], name="no-socket")
    assert fault.value.code == "bad-value"
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("way", ["leaves", "talks", "relay-ends"])
def test_a_pipe_ends_for_all_who_hold_it(relays, way):
    relay = relays("s-pipe")
    near, far = pipe(relay)
    copy = near.dup()
    copy.sendall(b"last words")
    if way == "leaves":
        near.hold.close()
    elif way == "talks":
        near.hold.sendall(b"x")
    else:
        relay.call("shutdown")
        assert relay.process.wait(timeout=20) == 0
        relay.start()
    assert receive_to_end(far) == b"last words"
    with pytest.raises(BrokenPipeError):
        copy.sendall(b"nobody hears it")
    if way != "relay-ends":
        assert relay.rpc.wait_notice("pipe.ended") == {"name": "vnc"}


# The real agent


# (linked statically, which the sanitizers cannot be)
AGENT = os.path.join(
    os.environ.get("DVM_AGENT_BUILD", os.environ.get("DVM_BUILD", ROOT / "build")), "guest/agent/agent"
)


def agent_process(port, folder):
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [AGENT, "--fd", str(port.fileno()), "--run", str(folder), "--no-config-apply",
         "--ssh-exec", "cat"], pass_fds=[port.fileno()],
    )


def echo_through(relay, size):
    """`size` bytes to the D-VM's end of an ssh channel, which sends them back, and to the end."""
    sock = relay.connect_stream(service="ssh", mode="rw", raw=True)
    data = os.urandom(size)
    sender = threading.Thread(target=lambda: (sock.sendall(data), sock.shutdown(socket.SHUT_WR)))
    sender.start()
    assert receive_to_end(sock) == data
    sender.join()


def test_real_agent(relays, console, tmp_path):
    relay = relays("s-agent")
    outside, inside = socket.socketpair()  # the port: there as long as the D-VM, whoever is at its ends
    agent = agent_process(inside, tmp_path / "run")
    try:
        relay.call("agent.link", fds=[outside.fileno()], config=CONFIG)
        key = relay.rpc.wait_notice("agent.up")["host_key"]
        assert key.startswith("ssh-ed25519 ")
        echo_through(relay, 1000)
        echo_through(relay, 3 << 20)

        agent.kill()
        agent.wait()
        agent = agent_process(inside, tmp_path / "run")
        relay.rpc.wait_notice("agent.down")
        assert relay.rpc.wait_notice("agent.up")["host_key"] == key
        echo_through(relay, 100000)

        relay.kill()
        relay.start()
        relay.call("agent.link", fds=[outside.fileno()], config=CONFIG)
        assert relay.rpc.wait_notice("agent.up")["host_key"] == key
        echo_through(relay, 100000)
    finally:
        agent.kill()
        agent.wait()


# Ports of targets in the D-VM


def link_port(console, session, name="t0-serial0", mode="rw"):
    sock = console.connect_stream(service="console", mode="take" if mode == "rw" else "r")
    session.call("port.link", fds=[sock.fileno()], name=name, mode=mode)
    sock.close()
    return session.wait_status(lambda st: st["ports"] and st["ports"][0]["linked"])


def open_port(session, name="t0-serial0"):
    """The D-VM's end of a port, with a buffer as small as dvm-hostd makes it."""
    near, end = socket.socketpair()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    session.call("port.open", fds=[end.fileno()], name=name)
    end.close()
    near.settimeout(20)
    return near


def received(sock, length):
    data = b""
    while len(data) < length:
        more = sock.recv(65536)
        assert more, data
        data += more
    return data


def readers(relay, count):
    relay.wait_status(lambda st: st["hub"]["readers"] == count)


def test_port_both_ways_beside_other_readers(console, relays):
    relay, guest = console
    guest.sendall(b"before anybody was attached\n")
    relay.wait_status(lambda st: st["hub"]["offset"] == 28)
    session = relays("s-port")
    tty_end = open_port(session)
    link_port(relay, session)
    readers(relay, 1)
    watcher, w = relay.reader("rw", source=LIVE)
    assert w.mode == 3  # a port that is only there keeps nobody from typing
    every = bytes(range(256))
    guest.sendall(every)
    assert received(tty_end, 256) == every
    expect(watcher, w, every)
    # what the D-VM sends takes writing over, and is handed on when it is quiet
    tty_end.sendall(every)
    assert received(guest, 256) == every
    watcher.wait(lambda: w.writer is False)
    relay.wait_status(lambda st: not st["hub"]["writer"])
    watcher.ctl(w, TAKE)
    watcher.wait(lambda: w.writer)
    watcher.send(w, b"typed\n")
    assert received(guest, 6) == b"typed\n"
    tty_end.sendall(b"again")
    assert received(guest, 5) == b"again"


def test_port_that_is_only_to_be_watched(console, relays):
    relay, guest = console
    session = relays("s-port")
    tty_end = open_port(session)
    link_port(relay, session, mode="r")
    readers(relay, 1)
    tty_end.sendall(b"x" * (1 << 20))  # is taken, so that nothing in the D-VM hangs, and goes nowhere
    guest.sendall(b"said\n")
    assert received(tty_end, 5) == b"said\n"
    guest.setblocking(False)
    with pytest.raises(BlockingIOError):
        guest.recv(1)


def test_port_whose_source_cannot_be_written_to(relays):
    relay = relays("v-parallel")
    relay.ring()
    guest, end = socket.socketpair()
    relay.source(end.fileno(), writable=False)
    session = relays("s-port")
    tty_end = open_port(session)
    link_port(relay, session)
    readers(relay, 1)
    tty_end.sendall(b"x" * (1 << 20))
    guest.sendall(b"page\f")
    assert received(tty_end, 5) == b"page\f"
    guest.close()
    end.close()


def test_port_that_nobody_reads_loses_the_oldest_bytes(console, relays):
    relay, guest = console
    session = relays("s-port")
    tty_end = open_port(session)
    link_port(relay, session)
    readers(relay, 1)
    before = session.memory_kib()
    total = 8 << 20
    numbers = b"".join(b"%07d\n" % i for i in range(total // 8))
    guest.sendall(numbers)
    def in_socket():
        return struct.unpack("i", fcntl.ioctl(tty_end, termios.FIONREAD, bytes(4)))[0]

    # all has come when the port has given up all but what it and the socket hold
    lost = session.wait_status(lambda st: st["ports"][0]["lost"] == total - 65536 - in_socket())
    assert session.memory_kib() - before < (100000 if SANITIZED else 4096)
    held = total - lost["ports"][0]["lost"]
    data = received(tty_end, held)
    assert data.endswith(numbers[-65536:])  # the newest are there
    head = len(data) - 65536
    assert data[:head] == numbers[:head]  # before them, what stood in the socket
    assert session.rpc.wait_notice("port.dropped") == {"name": "t0-serial0", "bytes": lost["ports"][0]["lost"]}
    guest.sendall(b"and on")
    assert received(tty_end, 6) == b"and on"


def test_port_goes_on_after_the_hubs_relay_died(console, relays):
    relay, guest = console
    session = relays("s-port")
    tty_end = open_port(session)
    link_port(relay, session)
    readers(relay, 1)
    guest.sendall(b"one,")
    assert received(tty_end, 4) == b"one,"
    relay.kill()
    assert session.rpc.wait_notice("port.lost") == {"name": "t0-serial0", "end": "hub"}
    relay.start()
    relay.ring()
    mine, end = socket.socketpair()
    relay.source(end.fileno())
    end.close()
    mine.sendall(b"two,")
    relay.wait_status(lambda st: st["hub"]["offset"] == 8)
    link_port(relay, session)
    assert received(tty_end, 4) == b"two,"
    assert session.status()["ports"][0]["lost"] == 0
    tty_end.sendall(b"back")
    mine.settimeout(20)
    assert received(mine, 4) == b"back"
    mine.close()


def test_port_whose_d_vm_goes(console, relays):
    relay, guest = console
    session = relays("s-port")
    tty_end = open_port(session)
    link_port(relay, session)
    readers(relay, 1)
    tty_end.close()
    assert session.rpc.wait_notice("port.lost") == {"name": "t0-serial0", "end": "dvm"}
    guest.sendall(b"unheard")
    session.wait_status(lambda st: st["ports"] == [
        {"name": "t0-serial0", "open": False, "linked": True, "mode": "rw", "lost": 7}])
    again = open_port(session)
    guest.sendall(b"heard")
    assert received(again, 5) == b"heard"
    session.call("port.close", name="t0-serial0")
    assert again.recv(10) == b""
    readers(relay, 0)
    session.call("port.close", name="t0-serial0")
    assert session.status()["ports"] == []
