# SPDX-License-Identifier: Apache-2.0
"""dvm console and dvm proxy against a gate and a relay that the test plays, frame by frame (PROTOCOL.tunnel)."""
import base64
import fcntl
import hashlib
import json
import os
import pathlib
import random
import re
import socket
import struct
import subprocess
import termios
import threading
import time

import pytest
from terminal import Terminal

TREE = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DVM_BUILD", TREE / "build"))
DVM = BUILD / "src/cli/dvm"
HELLO, OPEN, OPENED, REFUSED, DATA, GAP, CREDIT, EOF, CLOSE, CTL, PING, PONG, SCREEN = range(1, 14)
KEPT, LIVE, FROM_SCREEN = 2**64 - 1, 2**64 - 2, 2**64 - 3
BREAK, WINSIZE, WRITER, TAKE, SOURCE, BROKE, INPUT, PACE = range(1, 9)
UNKNOWN = 2**64 - 1


class Closed(Exception):
    pass


class Tunnel:
    """A relay's end of one WebSocket."""

    def __init__(self, conn, rest):
        self.conn, self.raw, self.bytes, self.sent, self.input = conn, rest, b"", 0, b""
        self.named, self.inputs = None, {}  # how much was had of each input; the gate keeps them from scene to scene

    def fill(self, n):
        while len(self.raw) < n:
            more = self.conn.recv(65536)
            if not more:
                raise Closed
            self.raw += more

    def message(self):
        self.fill(2)
        opcode, length = self.raw[0] & 15, self.raw[1] & 127
        at = 2
        if length == 126:
            self.fill(4)
            length, at = struct.unpack(">H", self.raw[2:4])[0], 4
        elif length == 127:
            self.fill(10)
            length, at = struct.unpack(">Q", self.raw[2:10])[0], 10
        self.fill(at + 4 + length)
        mask, data = self.raw[at : at + 4], self.raw[at + 4 : at + 4 + length]
        self.raw = self.raw[at + 4 + length :]
        if opcode == 8:
            raise Closed
        if opcode in (0, 2):
            self.bytes += bytes(b ^ mask[i % 4] for i, b in enumerate(data))

    def frame(self, until_named=False):
        """The next frame: type, channel, payload. CREDIT and PING are dealt with here."""
        while True:
            while len(self.bytes) < 8 or len(self.bytes) < 8 + struct.unpack(">I", self.bytes[4:8])[0]:
                self.message()
            kind, _, channel, length = struct.unpack(">BBHI", self.bytes[:8])
            payload, self.bytes = self.bytes[8 : 8 + length], self.bytes[8 + length :]
            if kind == PING:
                self.send(PONG, 0, payload)
            elif kind == CTL and payload[0] == INPUT:
                self.named, _ = struct.unpack(">QQ", payload[1:])
                self.had(self.inputs.get(self.named, UNKNOWN))
                self.inputs.setdefault(self.named, 0)
                if until_named:
                    return None
            elif kind != CREDIT:
                if kind == DATA and self.named:
                    self.inputs[self.named] += len(payload) - 8
                    self.had(self.inputs[self.named])
                return kind, channel, payload

    def had(self, count):
        self.send(CTL, self.channel, struct.pack(">BQQ", INPUT, self.named, count))

    def send(self, kind, channel, payload):
        data = struct.pack(">BBHI", kind, 0, channel, len(payload)) + payload
        while data:  # messages' borders mean nothing
            part, data = data[:60000], data[60000:]
            self.conn.sendall(struct.pack(">BBH", 0x82, 126, len(part)) + part if len(part) > 125 else bytes([0x82, len(part)]) + part)

    def accept(self, start=None, mode=None):
        """HELLO and OPEN; what was asked for: service, from, mode."""
        kind, _, payload = self.frame()
        assert kind == HELLO and payload[:8] == b"DVMTUN\r\n"
        self.send(HELLO, 0, payload[:8] + struct.pack(">HHQQ", 1, 2, 4711, struct.unpack(">Q", payload[12:20])[0]))
        kind, self.channel, payload = self.frame()
        assert kind == OPEN
        from_, _, asked, n = struct.unpack(">QQBB", payload[:18])
        if start is None:
            start = 0 if from_ >= FROM_SCREEN else from_
        self.sent = start
        self.send(OPENED, self.channel, struct.pack(">QQB", start, 1 << 20, (asked & 3) if mode is None else mode))
        return payload[18 : 18 + n].decode(), from_, asked

    def data(self, text):
        self.send(DATA, self.channel, struct.pack(">Q", self.sent) + text)
        self.sent += len(text)

    def screen(self, text, last=True):
        self.send(SCREEN, self.channel, bytes([last]) + text)

    def gap(self, length):
        self.send(GAP, self.channel, struct.pack(">QQ", self.sent, length))
        self.sent += length

    def ctl(self, op, on):
        self.send(CTL, self.channel, bytes([op, on]))

    def take_break(self, done=1):
        """Waits for BREAK and answers it; what was typed before it stands in `input`."""
        while True:
            kind, _, payload = self.frame()
            if kind == DATA:
                self.input += payload[8:]
            elif kind == CTL and payload[0] == BREAK:
                self.ctl(BROKE, done)
                return

    def close(self, reason=b""):
        self.send(CLOSE, self.channel, bytes([len(reason)]) + reason)

    def read(self, until):
        """Collects what is typed until it holds `until`; returns the control messages on the way."""
        seen = []
        while until not in self.input:
            kind, _, payload = self.frame()
            if kind == DATA:
                self.input += payload[8:]
            elif kind == CTL:
                seen.append(payload[0])
        return seen

    def wait_ctl(self, op):
        while True:
            kind, _, payload = self.frame()
            if kind == CTL and payload[0] == op:
                return payload

    def wait_end(self):
        try:
            while True:
                kind, _, payload = self.frame()
                if kind == DATA:
                    self.input += payload[8:]
                elif kind in (EOF, CLOSE):
                    return
        except Closed:
            pass


class Gate:
    """Gives tickets to whoever asks; each connection is served by the next of `scenes`."""

    def __init__(self, *scenes):
        self.scenes, self.asked, self.errors, self.inputs = list(scenes), [], [], {}
        self.not_ready = 0  # so often the session is not ready for a ticket
        self.recordings = {}  # name -> (item of the list, what a download has)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.loop, daemon=True).start()

    def loop(self):
        while True:
            conn, _ = self.listener.accept()
            threading.Thread(target=self.guard, args=[conn], daemon=True).start()

    def guard(self, conn):
        try:
            with conn:
                self.serve(conn)
        except (Closed, OSError):
            pass
        except Exception as e:  # shown by the test that made the scene
            self.errors.append(e)

    def serve(self, conn):
        data = b""
        while b"\r\n\r\n" not in data:
            more = conn.recv(65536)
            if not more:
                return
            data += more
        head, rest = data.split(b"\r\n\r\n", 1)
        if head.startswith(b"POST "):
            length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
            while len(rest) < length:
                rest += conn.recv(65536)
            body = json.loads(rest)
            self.asked.append((head.split()[1].decode(), body))
            if self.not_ready:
                self.not_ready -= 1
                answer = json.dumps({"type": "about:blank", "title": "No", "status": 409, "code": "session-not-ready",
                                     "detail": "Session is provisioning", "hint": "Wait."}).encode()
                conn.sendall(b"HTTP/1.1 409 X\r\nConnection: close\r\nContent-Type: application/problem+json\r\n"
                             b"Content-Length: %d\r\n\r\n" % len(answer) + answer)
                return
            ticket = f"{len(self.asked):043d}"
            service = "ssh" if body["kind"] == "ssh" else "console"
            answer = json.dumps({"ticket": ticket, "url": f"/v1/streams/{ticket}", "service": service, "raw": False,
                                 "expires": "2999-01-01T00:00:00.000Z", "mode": body.get("mode", "r")}).encode()
            conn.sendall(b"HTTP/1.1 201 Created\r\nConnection: close\r\nContent-Type: application/json\r\n"
                         b"Content-Length: %d\r\n\r\n" % len(answer) + answer)
            return
        path = head.split()[1].decode()
        if path.startswith("/v1/vms/patient/recordings"):
            name = path.partition("/recordings/")[2]
            self.asked.append((path, None))
            code, kind, answer = 200, "application/x-asciicast", self.recordings.get(name, (None, None))[1]
            if not name:
                kind, answer = "application/json", json.dumps({"items": [item for item, _ in self.recordings.values()]}).encode()
            if answer is None:
                code, kind, answer = 404, "application/problem+json", json.dumps(
                    {"type": "about:blank", "title": "No", "status": 404, "code": "not-found", "detail": "no", "hint": "no"}).encode()
            conn.sendall(b"HTTP/1.1 %d X\r\nConnection: close\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
                         % (code, kind.encode(), len(answer)) + answer)
            return
        key = re.search(rb"(?i)sec-websocket-key: (\S+)", head)[1]
        accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
        conn.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                     b"Sec-WebSocket-Protocol: dvm.tunnel.v1\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n")
        tunnel = Tunnel(conn, rest)
        tunnel.inputs = self.inputs
        self.scenes.pop(0)(tunnel)


def environment(gate):
    return {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "DVM_URL": gate.url, "DVM_TOKEN": "x"}


def terminal(gate, *args):
    return Terminal([DVM, *args], environment(gate))


def dvm(gate, *args, input=b"", timeout=60):
    r = subprocess.run([DVM, *args], env=environment(gate), input=input, capture_output=True, timeout=timeout, check=False)
    assert not gate.errors, gate.errors
    return r


def test_filter_until_a_text():
    def scene(t):
        assert t.accept() == ("console", KEPT, 3)
        t.data(b"booting\r\nlog")
        t.read(b"root\r")
        t.data(b"in: and more")
        t.wait_end()

    gate = Gate(scene)
    r = dvm(gate, "console", "patient", "--until", "login:", input=b"root\r")
    assert (r.returncode, r.stdout, r.stderr) == (0, b"booting\r\nlogin:", b"")
    assert gate.asked == [("/v1/vms/patient/streams", {"kind": "console", "mode": "rw"})]


def test_filter_ends_when_input_ended_and_the_guest_is_quiet():
    typed = []

    def scene(t):
        t.accept()
        t.read(b"ls\r")
        t.data(b"a b c\r\n")
        t.wait_end()
        typed.append(t.input)

    gate = Gate(scene)
    r = dvm(gate, "console", "patient", input=b"ls\r")
    assert (r.returncode, r.stdout) == (0, b"a b c\r\n")


def test_until_that_does_not_come():
    def scene(t):
        t.accept()
        t.data(b"hang")
        t.wait_end()

    r = dvm(Gate(scene), "console", "patient", "--read-only", "--until", "login:", "--timeout", "2s")
    assert r.returncode == 6 and r.stdout == b"hang" and b"did not come in time" in r.stderr


def test_timeout_alone_is_no_failure():
    def scene(t):
        t.accept()
        t.data(b"x")
        t.wait_end()

    assert dvm(Gate(scene), "console", "patient", "--read-only", "--timeout", "2s").returncode == 0


def test_offset_and_from():
    def scene(t):
        assert t.accept(start=4242)[1] == LIVE
        t.wait_end()

    assert dvm(Gate(scene), "console", "patient", "--offset").stdout == b"4242\n"

    def scene_from(t):
        assert t.accept(start=5000)[1:] == (4242, 1)
        t.data(b"tiny>")
        t.wait_end()

    r = dvm(Gate(scene_from), "console", "patient", "--read-only", "--from", "4242", "--until", "tiny>")
    assert r.stdout == b"tiny>" and b"758 bytes before this are no longer kept" in r.stderr


def recorded(gate, begun, *events, offset=None, more=b"", there=True):
    """A recording of the gate's VM that begins `begun` seconds after 2026-11-27T20:00:00Z, as does the time of its events."""
    start = 1795809600
    text = json.dumps({"version": 2, "width": 80, "height": 24, "timestamp": start + begun}) + "\n"
    text += "".join(json.dumps([at - begun, kind, words]) + "\n" for at, kind, words in events)
    item = {"name": f"{len(gate.recordings) + 1:06d}-20261127t200000z", "size_bytes": len(text.encode()), "format": "asciicast-v2",
            "begun": time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(start + begun))}
    if offset is not None:
        item["offset"] = offset
    gate.recordings[item["name"]] = (item, text.encode() + more if there else None)


def past(offset=77):
    """Three recordings; the last is written now, and has more than the list tells of."""
    def scene(t):
        assert t.accept(start=offset or 500)[1] == (offset or LIVE)
        t.data(b"live\r\n")
        t.wait_end()

    gate = Gate(scene)
    recorded(gate, 0, (1, "o", "one\r\n"), (2.5, "o", "two\r\nthr"), (3, "m", "the console goes on in the next recording"))
    recorded(gate, 10, (10, "o", "ee\r\n"), (11, "m", "12 bytes lost"), (11, "r", "80x25"), (12, "o", "four\r\n"))
    recorded(gate, 20, (21, "o", "five\r\n"), offset=offset, more=b'[9.5, "o", "live\\r\\n"]\n[9.6, "o", "half')
    return gate


def test_since():
    gate = past()
    r = dvm(gate, "console", "patient", "--read-only", "--since", "2026-11-27T20:00:02Z", "--until", "live")
    assert r.stdout == b"two\r\nthree\r\nfour\r\nfive\r\nlive", (r, gate.errors)
    assert r.stderr == b"dvm: 12 bytes lost\n"
    gate = past()
    r = dvm(gate, "console", "patient", "--read-only", "--since", "2026-11-27T20:00:21Z", "--until", "live")
    assert r.stdout == b"five\r\nlive"
    assert [path for path, _ in gate.asked if "/recordings/" in path] == [
        "/v1/vms/patient/recordings/000003-20261127t200000z"], "no more is fetched than is needed"
    # what is waited for may have been said
    r = dvm(past(), "console", "patient", "--read-only", "--since", "2026-11-27T20:00:00Z", "--until", "four")
    assert r.returncode == 0 and r.stdout.endswith(b"\nfour")
    # long ago: nothing of it is of now
    assert dvm(past(), "console", "patient", "--read-only", "--since", "1", "--until", "live").stdout == b"live"


def test_since_where_it_is_not_recorded_now():
    r = dvm(past(offset=None), "console", "patient", "--read-only", "--since", "2026-11-27T20:00:12Z", "--until", "live")
    assert r.stdout == b"four\r\nfive\r\nlive" and b"not recorded now" in r.stderr


def test_since_with_damaged_and_removed_recordings():
    gate = past()
    names = list(gate.recordings)
    gate.recordings[names[0]] = (gate.recordings[names[0]][0], None)
    item, text = gate.recordings[names[1]]
    gate.recordings[names[1]] = (item, text[:-12] + b"\xff" * 12)
    r = dvm(gate, "console", "patient", "--read-only", "--since", "2026-11-27T20:00:00Z", "--until", "live")
    assert r.stdout == b"ee\r\nfive\r\nlive"
    assert r.stderr.splitlines() == [b"dvm: what was recorded here has just been removed", b"dvm: 12 bytes lost",
                                     b"dvm: a recording is damaged here"]
    for bad in (b"", b"garbage\n", b'{"version": 2, "width": 80, "height": 24, "timestamp": -1}\n', b'{"version": 1}\n'):
        gate = past()
        gate.recordings[names[2]] = (gate.recordings[names[2]][0], bad)
        r = dvm(gate, "console", "patient", "--read-only", "--since", "2026-11-27T20:00:20Z", "--until", "live")
        assert r.stdout == b"live" and b"damaged" in r.stderr


def test_timestamps():
    stamped = [b"2026-11-27T20:00:01.000Z one\r", b"2026-11-27T20:00:02.500Z two\r", b"2026-11-27T20:00:02.500Z three\r",
               b"2026-11-27T20:00:12.000Z four\r", b"2026-11-27T20:00:21.000Z five\r"]
    r = dvm(past(), "console", "patient", "--read-only", "--timestamps", "--until", "live")
    *lines, last = r.stdout.split(b"\n")
    assert lines == stamped and re.fullmatch(rb"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z live", last)
    r = dvm(past(), "console", "patient", "--read-only", "--timestamps", "--grep", "^t|live", "--until", "live")
    *lines, last = r.stdout.split(b"\n")
    assert lines == stamped[1:3] and last.endswith(b"Z live")

    def scene(t):
        assert t.accept(start=500)[1] == LIVE
        t.data(b"li")
        t.data(b"ve\r\nend")
        t.wait_end()

    gate = Gate(scene)
    r = dvm(gate, "console", "patient", "--read-only", "--live", "--timestamps", "--until", "end")
    assert re.fullmatch(rb"\S+Z live\r\n\S+Z end", r.stdout) and not gate.recordings


@pytest.mark.parametrize("arguments", [
    ("--since", "yesterday"), ("--since", "10m", "--live"), ("--since", "10m", "--from", "7"), ("--since", "10m", "--history"),
    ("--since", "10m", "--offset"), ("--since", "2026-13-01T00:00:00Z"), ("--since", "")])
def test_since_that_is_refused(arguments):
    r = dvm(Gate(), "console", "patient", *arguments)
    assert r.returncode == 2 and b"--since" in r.stderr and not r.stdout, r


def test_gaps_are_said():
    def scene(t):
        t.accept()
        t.data(b"one")
        t.gap(1234)
        t.data(b"two")
        t.gap(0)
        t.data(b"end")
        t.wait_end()

    r = dvm(Gate(scene), "console", "patient", "--read-only", "--until", "end")
    assert r.stdout == b"onetwoend"
    assert b"1234 bytes lost here" in r.stderr and b"something may be missing" in r.stderr


def test_a_broken_connection_goes_on_where_it_was():
    def first(t):
        t.accept(start=100)
        t.data(b"before")

    def second(t):
        assert t.accept()[1] == 106
        t.data(b" after")
        t.wait_end()

    gate = Gate(first, second)
    r = dvm(gate, "console", "patient", "--read-only", "--until", "after")
    assert (r.returncode, r.stdout) == (0, b"before after")
    assert b"connection lost, reconnecting" in r.stderr and re.search(rb"back after \d+ s, nothing lost", r.stderr)
    assert len(gate.asked) == 2  # a ticket works once


def test_what_was_lost_with_the_connection_is_said():
    def first(t):
        t.accept(start=100)
        t.data(b"before")

    def second(t):
        t.accept(start=200)
        t.data(b"after")
        t.wait_end()

    r = dvm(Gate(first, second), "console", "patient", "--read-only", "--until", "after")
    assert (r.returncode, r.stdout) == (0, b"beforeafter")
    assert re.search(rb"back after \d+ s, 94 bytes lost here", r.stderr)


def refuse_with(code):
    def scene(t):
        kind, _, payload = t.frame()
        t.send(HELLO, 0, payload[:8] + struct.pack(">HHQQ", 1, 2, 1, struct.unpack(">Q", payload[12:20])[0]))
        _, channel, _ = t.frame()
        t.send(REFUSED, channel, bytes([len(code)]) + code)
        t.wait_end()

    return scene


def test_comes_back_through_passing_troubles_and_ends_at_a_final_one():
    def first(t):
        t.accept()
        t.data(b"one")

    def half(t):
        t.frame()  # the connection breaks before anything is said

    def last(t):
        t.accept()
        t.data(b"two")
        t.wait_end()

    r = dvm(Gate(first, half, refuse_with(b"relay-lost"), refuse_with(b"host-away"), half, last),
            "console", "patient", "--read-only", "--until", "two")
    assert (r.returncode, r.stdout) == (0, b"onetwo") and r.stderr.count(b"reconnecting") == 1
    for code, status in ((b"forbidden", 3), (b"vm-gone", 4), (b"ticket-invalid", 3)):
        gate = Gate(first, refuse_with(code))
        r = dvm(gate, "console", "patient", "--read-only", "--until", "two")
        assert (r.returncode, r.stdout) == (status, b"one") and len(gate.asked) == 2, (code, r.stderr)


def test_gives_up_in_the_end():
    def first(t):
        t.accept()
        t.data(b"one")

    r = dvm(Gate(first), "console", "patient", "--read-only", "--reconnect-for", "0")
    assert (r.returncode, r.stdout) == (6, b"one")
    gate = Gate(first, *[refuse_with(b"relay-lost")] * 100)
    r = dvm(gate, "console", "patient", "--read-only", "--reconnect-for", "2")
    assert (r.returncode, r.stdout) == (6, b"one") and 2 < len(gate.asked) < 20


def test_typed_once_over_broken_connections():
    """The connection breaks after any number of typed bytes; each is had once."""
    text = bytes(range(1, 256)) * 700
    rng = random.Random(5)
    got = bytearray()

    def scene(t):
        t.accept(start=0)
        stop = len(got) + rng.randrange(1, 40000)
        while len(got) < stop:
            kind, _, payload = t.frame()
            if kind == DATA:
                got.extend(payload[8:])
                t.send(CREDIT, t.channel, struct.pack(">Q", 1 << 40))
            if len(got) == len(text):
                t.data(b"done")
                t.wait_end()
                return

    gate = Gate(*[scene] * 100)
    r = dvm(gate, "console", "patient", "--until", "done", input=text)
    assert r.returncode == 0 and bytes(got) == text and len(gate.asked) >= 3
    assert b"typed" not in r.stderr


def test_typed_bytes_that_may_be_lost_are_told():
    def first(t):
        t.accept(start=0)
        t.data(b"go")
        assert t.frame()[0] == DATA
        t.inputs.clear()  # the relay was started anew

    def second(t):
        t.accept(start=2)
        t.frame(until_named=True)
        t.data(b" on")
        t.wait_end()
        assert t.input == b""

    def swallow(t):
        t.had = lambda count: count == UNKNOWN and type(t).had(t, count)
        first(t)

    r = dvm(Gate(swallow, second), "console", "patient", "--until", "on", input=b"abc")
    assert r.returncode == 0 and b"3 typed bytes may be lost" in r.stderr


def test_break_and_sysrq():
    seen = []

    def scene(t):
        assert t.accept()[1] == LIVE
        t.take_break()
        seen.append(t.input)
        t.read(b"h")
        t.data(b"sysrq: HELP : ...\r\n")
        t.wait_end()

    r = dvm(Gate(scene), "console", "patient", "--sysrq", "h", input=b"not typed")
    assert (r.returncode, r.stdout) == (0, b"sysrq: HELP : ...\r\n") and seen == [b""]

    def none(t):
        t.accept()
        t.take_break(done=0)
        t.wait_end()
        seen.append(t.input)

    gate = Gate(none)
    r = dvm(gate, "console", "patient", "--sysrq", "b")
    assert r.returncode == 2 and b"no break" in r.stderr
    assert dvm(Gate(none), "console", "patient", "--break").returncode == 2
    assert seen == [b""] * len(seen)  # the key alone is never typed

    def watched(t):
        t.accept(mode=1)
        t.wait_end()

    assert dvm(Gate(watched), "console", "patient", "--break").returncode == 5
    for bad in (["--sysrq", "hh"], ["--sysrq", ""], ["--break", "--read-only"], ["--escape", "xy"], ["--baud", "5"], ["--echo"],
                ["--grep", "("], ["--expect", "["], ["--send", "\\q"], ["--paste", "/nonexistent"], ["--reconnect-for", "x"]):
        assert dvm(Gate(), "console", "patient", *bad).returncode == 2, bad


def test_conversation_in_steps():
    def scene(t):
        assert t.accept()[1] == LIVE
        t.data(b"\r\npatient login: ")
        t.read(b"root\r")
        t.data(b"root\r\nPassword: ")
        t.read(b"root\rsecret\r")
        t.data(b"\r\n# ")
        t.wait_end()

    steps = ["--expect", "^[a-z]+ login: ", "--send", "root\\r", "--expect", "word: $", "--send", "secret\\r", "--expect", "^# "]
    gate = Gate(scene)
    r = dvm(gate, "console", "patient", *steps, "--timeout", "30", input=b"not typed")
    assert r.returncode == 0 and r.stdout.endswith(b"# ") and gate.asked[0][1]["mode"] == "rw"

    def hangs(t):
        t.accept()
        t.data(b"login:")
        t.wait_end()

    r = dvm(Gate(hangs), "console", "patient", "--expect", "log", "--expect", "word", "--timeout", "2s")
    assert r.returncode == 1 and b'"word"' in r.stderr


def test_lines_chosen_and_logged(tmp_path):
    def scene(t):
        t.accept()
        t.data(b"one\r\ntwo err")
        t.data(b"or\r\nthree\r\nerror four\r\n")
        t.data(b"end")
        t.wait_end()

    log = tmp_path / "log"
    for _ in range(2):
        r = dvm(Gate(scene), "console", "patient", "--read-only", "--grep", "err[o]r", "--log", log, "--until", "end")
        assert (r.returncode, r.stdout) == (0, b"two error\r\nerror four\r\n")
    assert log.read_bytes() == r.stdout * 2


def test_paste_is_paced_and_whole(tmp_path):
    data = bytes(range(256)) * 300
    file = tmp_path / "file"
    file.write_bytes(data)
    rates = []

    def scene(t):
        t.accept()
        limit = 16384
        while len(t.input) < len(data):
            kind, _, payload = t.frame()
            if kind == DATA:
                t.input += payload[8:]
                t.send(CREDIT, t.channel, struct.pack(">Q", len(t.input) + limit))
            elif kind == CTL and payload[0] == PACE:
                rates.append(struct.unpack(">I", payload[1:])[0])
        assert t.input == data
        t.data(b"whole")
        t.wait_end()

    for args, rate in (([], 11520), (["--baud", "9600"], 960)):
        assert dvm(Gate(scene), "console", "patient", "--paste", file, "--until", "whole", *args).returncode == 0
        assert rates.pop() == rate and not rates


def test_paste_waits_for_the_echo(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"line of text\n" * 100)

    def scene(t):
        t.accept()
        echoed = 0
        while echoed < 1300:
            kind, _, payload = t.frame()
            if kind == DATA:
                t.input += payload[8:]
                assert len(t.input) - echoed <= 64
                t.data(b"> " + t.input[echoed:].replace(b"\n", b"\r\n"))
                echoed = len(t.input)
        t.wait_end()

    assert dvm(Gate(scene), "console", "patient", "--paste", file, "--echo").returncode == 0


def test_refused_and_closed_with_a_reason():
    def refuse(t):
        kind, _, payload = t.frame()
        t.send(HELLO, 0, payload[:8] + struct.pack(">HHQQ", 1, 2, 1, struct.unpack(">Q", payload[12:20])[0]))
        _, channel, _ = t.frame()
        t.send(REFUSED, channel, b"\x13console-unsupported")
        t.wait_end()

    assert dvm(Gate(refuse), "console", "patient").returncode == 5

    def gone(t):
        t.accept()
        t.data(b"bye")
        t.close(b"vm-gone")
        t.wait_end()

    r = dvm(Gate(gone), "console", "patient", "--read-only")
    assert r.returncode == 4 and r.stdout == b"bye"


def test_typing_where_somebody_else_types():
    def scene(t):
        t.accept(mode=1)
        t.wait_end()

    r = dvm(Gate(scene), "console", "patient", input=b"x")
    assert r.returncode == 5 and b"--take" in r.stderr

    def take(t):
        assert t.accept()[2] == 7
        t.read(b"x")
        t.data(b"ok")
        t.wait_end()

    assert dvm(Gate(take), "console", "patient", "--take", "--until", "ok", input=b"x").returncode == 0


def test_more_input_than_the_window():
    text = os.urandom(3 << 20).replace(b"\0", b"x")
    got = []

    def scene(t):
        t.accept()
        limit = 1 << 20
        while len(t.input) < len(text):
            kind, _, payload = t.frame()
            if kind == DATA:
                t.input += payload[8:]
                if limit - len(t.input) < 1 << 19:
                    limit = len(t.input) + (1 << 20)
                    t.send(CREDIT, t.channel, struct.pack(">Q", limit))
        got.append(t.input)
        t.data(b"done")
        t.wait_end()

    r = dvm(Gate(scene), "console", "patient", "--until", "done", input=text)
    assert r.returncode == 0 and got == [text]


def test_interactive_begins_with_the_screen():
    shown = threading.Event()

    def scene(t):
        assert t.accept(start=1000)[1] == FROM_SCREEN
        t.screen(b"half of it", last=False)

    def again(t):  # it was not whole: asked for anew
        assert t.accept(start=2000)[1] == FROM_SCREEN
        t.screen(b"\x1b[2Jpic", last=False)
        t.screen(b"ture")
        t.data(b" live")
        shown.wait(30)  # what is under way when a connection breaks may be lost

    def later(t):
        assert t.accept()[1] == 2005
        t.data(b" and on")
        t.wait_end()

    gate = Gate(scene, again, later)
    term = terminal(gate, "console", "patient")
    term.wait(b"picture live")
    shown.set()
    term.wait(b" and on")
    term.type(b"\r~.")
    assert term.end() == 0
    assert b"no longer kept" not in term.out
    # the user's terminal is as it was: no other screen, no region, cursor and wrapping on, no mouse
    for left in (b"\x1b[?47l", b"\x1b[r", b"\x1b[?25h", b"\x1b[?7h", b"\x1b[0m", b"1000;"):
        assert left in term.out[term.out.rindex(b" and on"):], left


@pytest.mark.parametrize("args, source", [
    (["--history"], KEPT), (["--live"], LIVE), (["--from", "17"], 17), (["--screen"], FROM_SCREEN),
])
def test_where_a_terminal_begins(args, source):
    def scene(t):
        assert t.accept()[1] == source
        t.data(b"there")
        t.wait_end()

    term = terminal(Gate(scene), "console", "patient", *args)
    term.wait(b"there")
    term.type(b"\r~.")
    assert term.end() == 0


def test_screen_in_a_pipe():
    def scene(t):
        assert t.accept(start=70)[1] == FROM_SCREEN
        t.screen(b"picture")
        t.data(b" end")
        t.wait_end()

    r = dvm(Gate(scene), "console", "patient", "--read-only", "--screen", "--until", "end")
    assert (r.returncode, r.stdout, r.stderr) == (0, b"picture end", b"")


def test_interactive():
    def scene(t):
        assert t.accept()[1] == FROM_SCREEN
        t.screen(b"\x1b[H\x1b[2J")
        t.data(b"login: ")
        t.read(b"root\r")
        t.data(b"\r\n# ")
        t.take_break()
        t.ctl(WRITER, 0)
        assert t.wait_ctl(TAKE)
        t.ctl(WRITER, 1)
        t.read(b"root\r\x03~x")
        t.ctl(SOURCE, 0)
        t.ctl(SOURCE, 1)
        t.data(b"over")
        t.wait_end()

    gate = Gate(scene)
    term = terminal(gate, "console", "patient")
    term.wait(b"login: ")
    term.type(b"root\r")
    term.wait(b"# ")
    term.type(b"~?")
    term.wait(b"send a break")
    term.type(b"~B")
    term.wait(b"you can no longer type")
    term.type(b"~W")
    term.wait(b"you may type now")
    term.type(b"\x03~x")
    term.wait(b"the VM is off")
    term.wait(b"the VM is back")
    term.wait(b"over")
    term.type(b"\r~.")
    assert term.end() == 0
    assert b"left the console" in term.out and not gate.errors


def test_interactive_sysrq_paste_and_size(tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"pasted\n")

    def scene(t):
        t.accept()
        t.data(b"login: ")
        t.take_break()
        assert t.input == b"ab\r"
        t.read(b"ab\rhcd\r")
        t.read(b" stty rows 33 cols 101\r")
        t.data(b"over")
        t.read(b"pasted\n")
        t.data(b"out")
        t.wait_end()

    gate = Gate(scene)
    term = terminal(gate, "console", "patient", "--escape", "^a")
    fcntl.ioctl(term.master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))
    term.wait(b"login: ")
    term.type(b"ab\r\x01shcd\r")
    term.type(b"\x01w")
    term.wait(b"over")
    term.type(b"\r\x01P")
    term.wait(b"file to paste: ")
    term.type(str(file).encode() + b"\n")
    term.wait(b"out")
    term.type(b"\r~.\r\x01.")
    assert term.end() == 0 and not gate.errors


def test_interactive_goes_on_after_a_break():
    def first(t):
        t.accept()
        t.data(b"one")
        t.read(b"x")

    def second(t):
        assert t.accept()[1] == 3
        t.data(b"two")
        t.wait_end()

    term = terminal(Gate(first, second), "console", "patient")
    term.wait(b"one")
    term.type(b"x")
    term.wait(b"two")
    assert b"connection lost, reconnecting" in term.out
    term.type(b"\r~.")
    assert term.end() == 0


@pytest.mark.parametrize("sig", [15, 1])
def test_a_signal_gives_the_terminal_back(sig):
    def scene(t):
        t.accept()
        t.data(b"hello")
        t.wait_end()

    term = terminal(Gate(scene), "console", "patient")
    term.wait(b"hello")
    os.kill(term.process.pid, sig)
    assert term.end() == 128 + sig
    assert b"left the console" in term.out


def ssh_echo(t):
    assert t.accept()[0] == "ssh"
    while True:
        kind, _, payload = t.frame()
        if kind == DATA:
            t.data(payload[8:])
        elif kind == EOF:
            t.send(EOF, t.channel, struct.pack(">Q", t.sent))
            t.close()
            t.wait_end()
            return


def test_proxy_carries_both_ways():
    text = os.urandom(300_000)
    gate = Gate(ssh_echo)
    r = dvm(gate, "proxy", "s-7m2x9qkd.dvm", input=text)
    assert r.returncode == 0 and r.stdout == text
    assert gate.asked[0][0] == "/v1/sessions/s-7m2x9qkd/streams" and gate.asked[0][1]["kind"] == "ssh"


def test_proxy_waits_for_a_session_that_is_not_ready():
    """As just after its relay died: neither a ticket nor the D-VM behind it is to be had for a moment."""
    text = os.urandom(100_000)
    gate = Gate(refuse_with(b"session-not-ready"), refuse_with(b"session-not-ready"), ssh_echo)
    gate.not_ready = 2
    r = dvm(gate, "proxy", "s-7m2x9qkd.dvm", input=text)
    assert r.returncode == 0 and r.stdout == text
    assert r.stderr.count(b"waiting for it") == 1
    assert len(gate.asked) == 5
    # what is not going to pass is told at once
    r = dvm(Gate(refuse_with(b"not-attached")), "proxy", "s-7m2x9qkd.dvm", input=text)
    assert r.returncode != 0 and b"waiting" not in r.stderr


def test_proxy_ends_with_an_error_when_the_connection_breaks():
    def scene(t):
        t.accept()
        t.data(b"SSH-2.0-x\r\n")

    r = dvm(Gate(scene), "proxy", "s-7m2x9qkd", input=b"SSH-2.0-y\r\n")
    assert r.returncode == 6 and r.stdout == b"SSH-2.0-x\r\n"


def test_display_survives_a_relay_that_says_what_nobody_asked_for():
    def probe(t):
        assert t.accept() == ("console", KEPT, 3)
        t.wait_end()

    def viewer(t):
        t.accept()
        for op in (WRITER, SOURCE, BROKE):
            t.ctl(op, 1)
        t.send(CTL, t.channel, struct.pack(">BQQ", INPUT, 4711, UNKNOWN))
        t.data(b"RFB 003.008\n")
        t.read(b"RFB 003.003\n")
        t.close()

    gate = Gate(probe, viewer)
    with subprocess.Popen([DVM, "vnc", "patient", "--print"], env=environment(gate), stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        host, port = process.stdout.readline().split(b":")
        with socket.create_connection((host.decode(), int(port))) as sock:
            sock.sendall(b"RFB 003.003\n")
            assert sock.makefile("rb").read() == b"RFB 003.008\n"
        process.terminate()
        _, err = process.communicate(timeout=60)
    assert (process.returncode, gate.errors) == (0, []), err
