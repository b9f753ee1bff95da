# SPDX-License-Identifier: Apache-2.0
"""The other side of dvm's own protocols, for tests: RPC (PROTOCOL.host §1) and tunnel frames (PROTOCOL.tunnel).

Written from the protocol pages alone, so that the C code is tested against them and not against itself.
"""

import array
import collections
import json
import os
import select
import socket
import struct
import time

TIMEOUT = 20.0


class Fault(Exception):
    def __init__(self, fault):
        super().__init__(fault["code"] + ": " + fault["message"])
        self.code = fault["code"]


class Rpc:
    """One RPC connection: calls, and what the other side calls and notifies."""

    def __init__(self, sock, program="dvm-hostd"):
        self.sock = sock
        self.bytes = b""
        self.next_id = 1
        self.notices = collections.deque()
        self.calls = collections.deque()
        self.hello = self.call("hello", protocol=1, program=program)

    def close(self):
        self.sock.close()

    def _send(self, message, fds=()):
        body = json.dumps(message).encode()
        data = struct.pack(">I", len(body)) + body
        ancillary = []
        if fds:
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        sent = self.sock.sendmsg([data], ancillary)
        if sent < len(data):
            self.sock.sendall(data[sent:])

    def _receive(self, deadline):
        while True:
            if len(self.bytes) >= 4:
                length = struct.unpack(">I", self.bytes[:4])[0]
                if len(self.bytes) >= 4 + length:
                    body, self.bytes = self.bytes[4 : 4 + length], self.bytes[4 + length :]
                    return json.loads(body)
            self.sock.settimeout(max(0.01, deadline - time.monotonic()))
            data = self.sock.recv(65536)
            if not data:
                raise EOFError("the other side has closed the connection")
            self.bytes += data

    def _dispatch(self, message):
        (self.calls if "id" in message else self.notices).append(message)

    def call(self, method, fds=(), **params):
        call_id = self.next_id
        self.next_id += 1
        self._send({"id": call_id, "method": method, "params": params}, fds)
        deadline = time.monotonic() + TIMEOUT
        while True:
            message = self._receive(deadline)
            if "method" in message:
                self._dispatch(message)
                continue
            assert message["id"] == call_id
            if "fault" in message:
                raise Fault(message["fault"])
            return message["result"]

    def answer(self, call, result):
        self._send({"id": call["id"], "result": result})

    def answer_fault(self, call, code, message, hint):
        self._send({"id": call["id"], "fault": {"code": code, "message": message, "hint": hint}})

    def wait_notice(self, method):
        return self._wait(self.notices, method)["params"]

    def wait_call(self, method):
        return self._wait(self.calls, method)

    def _wait(self, queue, method):
        deadline = time.monotonic() + TIMEOUT
        while True:
            for message in list(queue):
                if message["method"] == method:
                    queue.remove(message)
                    return message
            message = self._receive(deadline)
            assert "method" in message
            self._dispatch(message)


HELLO, OPEN, OPENED, REFUSED, DATA, GAP, CREDIT, EOF, CLOSE, CTL, PING, PONG, SCREEN = range(1, 14)
BREAK, WINSIZE, WRITER, TAKE, SOURCE, BROKE, INPUT, PACE = range(1, 9)
KEPT = 2**64 - 1
LIVE = 2**64 - 2
FROM_SCREEN = 2**64 - 3
DIALER, LISTENER = 1, 2


class Channel:
    """What arrived on a channel: `data`, with gaps in it as "<N>"."""

    def __init__(self, number):
        self.number = number
        self.start = None
        self.mode = None
        self.refused = None
        self.closed = None
        self.eof = False
        self.data = b""
        self.screen = b""
        self.screen_whole = False
        self.gaps = []
        self.rx = None
        self.tx = 0
        self.tx_limit = 0
        self.writer = None
        self.source = True
        self.broke = []
        self.had = None  # of our input
        self.window = 0


class Tunnel:
    """One end of a tunnel connection over a socket. Credit is given as data is taken, `window` bytes ahead."""

    def __init__(self, sock, role):
        self.sock = sock
        self.role = role
        self.bytes = b""
        self.nonce = int.from_bytes(os.urandom(8), "big") | 1
        self.channels = {}
        self.next_number = 1 if role == DIALER else 2
        self.opens = collections.deque()
        self.up = False
        self.reading = True
        if role == DIALER:
            self._hello(0)
            self.wait(lambda: self.up)

    def _hello(self, echo):
        self.frame(HELLO, 0, b"DVMTUN\r\n" + struct.pack(">HHQQ", 1, self.role, self.nonce, echo))

    def frame(self, kind, number, payload=b""):
        self.sock.settimeout(TIMEOUT)
        self.sock.sendall(struct.pack(">BBHI", kind, 0, number, len(payload)) + payload)

    def open(self, service, mode=1, source=KEPT, window=1 << 20, wait=True):
        channel = Channel(self.next_number)
        self.next_number += 2
        channel.window = window
        self.channels[channel.number] = channel
        name = service.encode()
        self.frame(
            OPEN, channel.number, struct.pack(">QQBB", source, window, mode, len(name)) + name
        )
        if wait:
            self.wait(lambda: channel.start is not None or channel.refused)
        return channel

    def accept(self, number, start=0, window=1 << 20, mode=3):
        channel = self.channels[number]
        channel.start = 0
        channel.rx = 0
        channel.tx = start
        channel.tx_limit += start
        channel.window = window
        self.frame(OPENED, number, struct.pack(">QQB", start, window, mode))
        return channel

    def send(self, channel, data):
        """Sends all of it, waiting for credit."""
        while data:
            self.wait(lambda: channel.tx_limit > channel.tx)
            part = data[: min(channel.tx_limit - channel.tx, 65528)]
            self.frame(DATA, channel.number, struct.pack(">Q", channel.tx) + part)
            channel.tx += len(part)
            data = data[len(part) :]

    def ctl(self, channel, op, payload=b""):
        self.frame(CTL, channel.number, bytes([op]) + payload)

    def credit(self, channel, limit):
        self.frame(CREDIT, channel.number, struct.pack(">Q", limit))

    def eof(self, channel):
        self.frame(EOF, channel.number, struct.pack(">Q", channel.tx))

    def close_channel(self, channel, reason=""):
        self.frame(CLOSE, channel.number, bytes([len(reason)]) + reason.encode())

    def close(self):
        self.sock.close()

    def wait(self, condition, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError()
            self.pump(left)

    def pump(self, timeout=0.0):
        """Takes what has come, waiting at most `timeout` for it."""
        readable, _, _ = select.select([self.sock], [], [], timeout)
        if not readable:
            return
        data = self.sock.recv(262144)
        if not data:
            raise EOFError("the other side has closed the connection")
        self.bytes += data
        while self._take():
            pass

    def _take(self):
        if not self.up:
            at = self.bytes.find(struct.pack(">BBHI", HELLO, 0, 0, 28) + b"DVMTUN\r\n")
            if at < 0:
                self.bytes = self.bytes[-15:]
                return False
            self.bytes = self.bytes[at:]
        if len(self.bytes) < 8:
            return False
        kind, flags, number, length = struct.unpack(">BBHI", self.bytes[:8])
        assert 1 <= kind <= 13 and flags == 0 and length <= 65536, "not a frame"
        if len(self.bytes) < 8 + length:
            return False
        payload, self.bytes = self.bytes[8 : 8 + length], self.bytes[8 + length :]
        self._handle(kind, number, payload)
        return True

    def _handle(self, kind, number, p):
        if kind == HELLO:
            role, nonce, echo = struct.unpack(">10xHQQ", p)
            if self.role == DIALER:
                self.up = role == LISTENER and echo == self.nonce
            elif role == DIALER:
                self.channels.clear()
                self.up = True
                self._hello(nonce)
            return
        if kind == PING:
            self.frame(PONG, 0, p)
            return
        if kind == OPEN:
            source, limit, mode, _ = struct.unpack(">QQBB", p[:18])
            channel = Channel(number)
            channel.tx_limit = limit
            self.channels[number] = channel
            self.opens.append((number, p[18:].decode(), mode, source))
            return
        channel = self.channels[number]
        if kind == OPENED:
            channel.start, channel.tx_limit, channel.mode = struct.unpack(">QQB", p)
            channel.rx = channel.start
        elif kind == REFUSED:
            channel.refused = p[1:].decode()
        elif kind == DATA:
            assert struct.unpack(">Q", p[:8])[0] == channel.rx, "offset"
            channel.data += p[8:]
            channel.rx += len(p) - 8
            self._credit_again(channel)
        elif kind == SCREEN:
            assert not channel.data and not channel.screen_whole, "a screen out of place"
            channel.screen += p[1:]
            channel.screen_whole = bool(p[0])
            self._credit_again(channel)
        elif kind == GAP:
            offset, length = struct.unpack(">QQ", p)
            assert offset == channel.rx, "offset"
            channel.gaps.append((offset, length))
            channel.data += b"<%d>" % length
            channel.rx += length
            self._credit_again(channel)
        elif kind == CREDIT:
            channel.tx_limit = max(channel.tx_limit, struct.unpack(">Q", p)[0])
        elif kind == EOF:
            channel.eof = True
        elif kind == CLOSE:
            channel.closed = p[1:].decode()
            self.frame(CLOSE, number, b"\0")
        elif kind == CTL and p[0] == WRITER:
            channel.writer = bool(p[1])
        elif kind == CTL and p[0] == SOURCE:
            channel.source = bool(p[1])
        elif kind == CTL and p[0] == BROKE:
            channel.broke.append(bool(p[1]))
        elif kind == CTL and p[0] == INPUT:
            channel.had = struct.unpack(">QQ", p[1:])

    def _credit_again(self, channel):
        if self.reading:
            self.credit(channel, channel.rx + len(channel.screen) + channel.window)


def receive_to_end(sock):
    """All that comes until the other side ends it, in whatever way."""
    sock.settimeout(TIMEOUT)
    data = b""
    try:
        while part := sock.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


class Stream(socket.socket):
    """The socket of a stream that a relay has handed over; closing it ends the stream."""

    def close(self):
        self.hold.close()
        super().close()


def show_ticket(path, ticket):
    """Connects to a stream socket; returns the socket behind the first line and the answer. With "OK socket" that is the
    stream, and .hold of it the connection."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(TIMEOUT)
    sock.connect(path)
    sock.sendall(b"DVM1 " + ticket.encode() + b"\n")
    line, stream = b"", None
    while not line.endswith(b"\n"):
        byte, fds, _, _ = socket.recv_fds(sock, 1, 1)
        if not byte:
            break
        line += byte
        if fds:
            stream = Stream(fileno=fds[0])
            stream.hold = sock
    return stream or sock, line.decode().strip()
