# SPDX-License-Identifier: Apache-2.0
"""A VM's display through its relay, and through a session's: who may watch, who may type, and what neither gets to see."""

import os
import pathlib
import socket
import struct
import sys
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/lib"), str(ROOT / "tests/integration/lib"), str(ROOT / "tests/integration")]
from peer import DIALER, TIMEOUT, Fault, Tunnel, show_ticket  # noqa: E402
from rfb import Viewer  # noqa: E402
from test_relay import SANITIZED, console, expect, ready, relays, session  # noqa: E402, F401

NAME = b"QEMU (canary-hypervisor-guest)"
KEY = b"\4\1\0\0\0\0\0a"
REQUEST = b"\3\0\0\0\0\0\0\x40\0\x30"


class Display:
    """The emulator's end of one viewer's connection."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(TIMEOUT)

    def greet(self):
        self.sock.sendall(b"RFB 003.008\n")
        assert self.read(12) == b"RFB 003.008\n"
        self.sock.sendall(b"\2\x10\1")
        assert self.read(1) == b"\1"
        self.sock.sendall(b"\0\0\0\0")
        assert self.read(1) == b"\1", "shared, whatever the viewer said"
        self.sock.sendall(struct.pack(">HHBBBBHHHBBB3xI", 64, 48, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0, len(NAME)) + NAME)
        return self

    def read(self, n):
        data = b""
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            assert more, f"ended after {data!r}"
            data += more
        return data

    def gone(self):
        return self.sock.recv(1) == b""


class ChannelSocket:
    """A tunnel's channel as a socket, for a Viewer."""

    def __init__(self, tunnel, channel):
        self.tunnel, self.channel = tunnel, channel

    def sendall(self, data):
        self.tunnel.send(self.channel, data)

    def recv(self, n):
        self.tunnel.wait(lambda: self.channel.data or self.channel.closed is not None)
        data, self.channel.data = self.channel.data[:n], self.channel.data[n:]
        return data


def hand_over(relay):
    """Answers the relay's next wish for a display as dvm-hostd does."""
    call = relay.rpc.wait_call("display.open")
    ours, theirs = socket.socketpair()
    relay.rpc._send({"id": call["id"], "result": {}}, [theirs.fileno()])
    theirs.close()
    return Display(ours)


def view(relay, mode="r", ask=None, service="vnc", server=None, version="003.008"):
    """A viewer that has been let in, and the display behind it."""
    tunnel = Tunnel(relay.connect_stream(service=service, mode=mode), DIALER)
    channel = tunnel.open(service, mode=ask or (1 if mode == "r" else 3), wait=False)
    display = hand_over(server or relay)
    tunnel.wait(lambda: channel.start is not None or channel.refused)
    assert not channel.refused, channel.refused
    threading.Thread(target=display.greet, daemon=True).start()
    return Viewer(ChannelSocket(tunnel, channel), version), display, channel


@pytest.mark.parametrize("version", ["003.003", "003.007", "003.008"])
def test_picture_and_keys(console, version):  # noqa: F811
    relay, _ = console
    viewer, display, channel = view(relay, "rw", version=version)
    assert (viewer.width, viewer.height, viewer.name) == (64, 48, "v-console")
    assert channel.mode == 3
    viewer.request()
    assert display.read(10) == REQUEST
    update = b"\0\0\0\1" + struct.pack(">HHHHi", 0, 0, 2, 1, 0) + b"pixels!!"
    display.sock.sendall(update)
    assert viewer.update() == [(0, 0, 2, 1, 0, b"pixels!!")]
    viewer.key(ord("a"))
    assert display.read(16) == KEY + b"\4\0\0\0\0\0\0a"
    viewer.pointer(1, 2, 1)
    assert display.read(6) == b"\5\1\0\1\0\2"
    viewer.cut_text(b"pasted")
    assert display.read(14) == b"\6\0\0\0\0\0\0\6pasted"
    assert relay.status()["displays"] == 1


def test_watching_only(console):  # noqa: F811
    """Enforced where the bytes pass: neither the viewer nor the display has a say in it."""
    relay, _ = console
    # a ticket for reading, and one for writing that is used for reading
    for mode, ask in (("r", 1), ("r", 3), ("rw", 1)):
        viewer, display, channel = view(relay, mode, ask)
        assert channel.mode == 1
        viewer.key(ord("a"))
        viewer.pointer(3, 3, 1)
        viewer.cut_text(b"x" * 100000)
        viewer.sock.sendall(b"\xff\0\0\1\0\0\0a\0\0\0\x1e")
        viewer.encodings(0, 7)
        viewer.request()
        assert display.read(12 + 10) == b"\2\0\0\2\0\0\0\0\0\0\0\7" + REQUEST


def test_what_a_display_is_never_asked_for(console):  # noqa: F811
    relay, _ = console
    viewer, display, _ = view(relay, "rw")
    viewer.encodings(16, -307, -308, -309, -312, -313, -258, 0xC0A1E5CE - 2**32)
    assert display.read(12) == b"\2\0\0\2" + struct.pack(">ii", 16, -258)


@pytest.mark.parametrize("bytes_sent", [b"\xfa\0\1\2", b"\xfb\0\0\1", b"\x96", b"\6\0\0\0\xff\xff\xff\0", b"\1"])
def test_messages_that_end_the_connection(console, bytes_sent):  # noqa: F811
    relay, _ = console
    viewer, display, channel = view(relay, "rw")
    viewer.sock.sendall(bytes_sent)
    viewer.sock.tunnel.wait(lambda: channel.closed is not None)
    assert channel.closed == "protocol"
    assert display.gone()
    assert relay.wait_status(lambda s: s["displays"] == 0)


def test_nothing_of_the_display_s_name_is_shown(console):  # noqa: F811
    relay, _ = console
    secret = relay.grant(service="vnc", mode="r", raw=True)
    sock, answer = show_ticket(relay.stream_path, secret)
    assert answer == "OK raw"
    display = hand_over(relay)
    threading.Thread(target=display.greet, daemon=True).start()
    sock.sendall(b"RFB 003.008\n\1\1")
    expected = 12 + 2 + 4 + 24 + len("v-console")
    data = b""
    while len(data) < expected:
        data += sock.recv(4096)
    assert b"QEMU" not in data and b"canary" not in data and data.endswith(b"\0\0\0\x09v-console")
    sock.sendall(KEY + REQUEST)  # raw, and only to be watched
    assert display.read(10) == REQUEST
    sock.close()
    assert display.gone()


@pytest.mark.parametrize("said, reason", [
    (b"RFB 003.008\n\0\0\0\0\x15canary-hypervisor: no", "display-unsupported"),
    (b"RFB 003.008\n\1\2", "display-unsupported"),
    (b"RFB 003.003\n", "display-unsupported"),
    (b"", ""),
])
def test_displays_that_do_not_let_us_in(console, said, reason):  # noqa: F811
    relay, _ = console
    tunnel = Tunnel(relay.connect_stream(service="vnc", mode="r"), DIALER)
    channel = tunnel.open("vnc", wait=False)
    display = hand_over(relay)
    display.sock.sendall(said)
    if not said:
        display.sock.close()
    tunnel.wait(lambda: channel.closed is not None)
    assert channel.closed == reason
    assert channel.data == b"RFB 003.008\n"


def test_refusals(console, ready):  # noqa: F811
    relay, _ = console
    other, agent = ready
    tunnel = Tunnel(relay.connect_stream(service="vnc", mode="r"), DIALER)
    assert tunnel.open("console").refused == "forbidden"
    channel = tunnel.open("vnc", wait=False)
    call = relay.rpc.wait_call("display.open")
    relay.rpc.answer_fault(call, "vm-not-running", "The VM is off", "")
    tunnel.wait(lambda: channel.refused)
    assert channel.refused == "vm-not-running"
    channel = tunnel.open("vnc", wait=False)
    relay.rpc.answer(relay.rpc.wait_call("display.open"), {})  # and no fd
    tunnel.wait(lambda: channel.refused)
    assert channel.refused == "protocol"
    # a session's relay has no display of its own, and switches to none that is not attached
    for service, code in (("vnc", "not-found"), ("vnc/web", "not-attached")):
        assert Tunnel(other.connect_stream(service=service, mode="r"), DIALER).open(service).refused == code
    assert agent.tunnel.open("vnc/web").refused == "not-attached"
    assert agent.tunnel.open("vnc").refused == "forbidden"


def test_at_most_so_many(console):  # noqa: F811
    relay, _ = console
    tunnels = [Tunnel(relay.connect_stream(service="vnc", mode="r"), DIALER) for _ in range(3)]
    for tunnel in tunnels[:2]:
        for _ in range(8):
            tunnel.open("vnc", wait=False)
        assert tunnel.open("vnc").refused == "quota", "one connection does not take all there are"
    assert tunnels[2].open("vnc").refused == "quota"
    displays = [hand_over(relay) for _ in range(16)]
    assert relay.status()["displays"] == 16
    tunnels[0].close()
    relay.wait_status(lambda s: s["displays"] == 8)
    assert sum(1 for d in displays[:8] if d.gone()) == 8
    tunnels[2].open("vnc", wait=False)
    hand_over(relay)


def test_a_viewer_that_leaves_while_it_is_let_in(console):  # noqa: F811
    relay, _ = console
    for leave in ("channel", "connection"):
        tunnel = Tunnel(relay.connect_stream(service="vnc", mode="r"), DIALER)
        channel = tunnel.open("vnc", wait=False)
        call = relay.rpc.wait_call("display.open")
        tunnel.close_channel(channel) if leave == "channel" else tunnel.close()
        relay.status()
        ours, theirs = socket.socketpair()
        relay.rpc._send({"id": call["id"], "result": {}}, [theirs.fileno()])
        theirs.close()
        ours.settimeout(TIMEOUT)
        assert ours.recv(1) == b"", "nobody keeps the display"
        relay.wait_status(lambda s: s["displays"] == 0)
    # and dvm-hostd leaves
    tunnel = Tunnel(relay.connect_stream(service="vnc", mode="r"), DIALER)
    channel = tunnel.open("vnc", wait=False)
    relay.rpc.wait_call("display.open")
    relay.rpc.close()
    tunnel.wait(lambda: channel.refused)
    relay.connect()
    assert relay.status()["displays"] == 0


def test_a_slow_viewer_stops_only_its_own_display(console):  # noqa: F811
    relay, guest = console
    slow, slow_display, _ = view(relay)
    quick, quick_display, _ = view(relay)
    slow.sock.tunnel.reading = False  # gives no more credit
    before = relay.memory_kib()
    slow_display.sock.setblocking(False)
    sent = 0
    try:
        while sent < 64 << 20:
            sent += slow_display.sock.send(b"\0" * 65536)
    except BlockingIOError:
        pass
    assert sent < 8 << 20, "somebody keeps what nobody reads"
    assert relay.memory_kib() - before < (65536 if SANITIZED else 4096)
    quick_display.sock.sendall(b"\2")
    assert quick.read(1) == b"\2"
    guest.sendall(b"console")
    relay.wait_status(lambda s: s["hub"]["offset"] == 7)


def upstream(session_relay, vm_relay, mode):
    """Links the session's relay to the display as dvm-hostd does."""
    secret = vm_relay.grant(service="vnc", mode="r" if mode == "r" else "take")
    sock, answer = show_ticket(vm_relay.stream_path, secret)
    assert answer == "OK frames"
    session_relay.call("upstream.link", fds=[sock.fileno()], service="vnc", name="web", mode=mode)
    sock.close()


@pytest.mark.parametrize("mode", ["r", "rw"])
def test_through_a_session(ready, console, mode):  # noqa: F811
    relay, agent = ready
    vm, _ = console
    for service in ("ssh", "", None):
        with pytest.raises(Fault) as fault:
            sock, end = socket.socketpair()
            relay.call("upstream.link", fds=[end.fileno()], service=service, name="web", mode="r")
        assert fault.value.code == "bad-value"
    upstream(relay, vm, mode)
    assert relay.status()["upstreams"] == [{"service": "vnc", "name": "web", "mode": mode}]
    # the D-VM asks for all there is; a user too
    inside = agent.tunnel.open("vnc/web", mode=3, wait=False)
    display = hand_over(vm)
    agent.tunnel.wait(lambda: inside.start is not None)
    assert inside.mode == (1 if mode == "r" else 3)
    threading.Thread(target=display.greet, daemon=True).start()
    viewer = Viewer(ChannelSocket(agent.tunnel, inside))
    assert viewer.name == "v-console"
    user, user_display, outside = view(relay, "rw", service="vnc/web", server=vm)
    assert outside.mode == (1 if mode == "r" else 3)
    for v, d in ((viewer, display), (user, user_display)):
        v.key(ord("a"))
        v.request()
        keys = b"" if mode == "r" else KEY + b"\4\0\0\0\0\0\0a"
        assert d.read(len(keys) + 10) == keys + REQUEST
    # a bulk of pictures, both at once
    data = os.urandom(1 << 20)
    sender = threading.Thread(target=lambda: display.sock.sendall(data))
    sender.start()
    assert viewer.read(len(data)) == data
    sender.join()
    vm.kill()
    assert relay.rpc.wait_notice("upstream.lost") == {"service": "vnc", "name": "web"}
    agent.tunnel.wait(lambda: inside.closed == "relay-lost")
