# SPDX-License-Identifier: Apache-2.0
"""What is kept of consoles: how much of it, through changes of its size, damage and full disks."""

import base64
import contextlib
import itertools
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import hosttest  # noqa: E402
import rpc  # noqa: E402
from hosttest import wait_for  # noqa: E402

VM = "v-1"
HEADER = 4096


@contextlib.contextmanager
def small_disk(folder, size):
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def host():
    with hosttest.Host() as h:
        hosttest.image_make(h.state / "images")
        yield h


@pytest.fixture
def target(host):
    uuid = host.fake.call("script.define", name="patient", disks=[])["uuid"]
    host.call("console.ensure", vm=VM, domain=uuid)
    host.call("domain.power", domain=uuid, vm=VM, verb="on")
    host.read_console(VM, b"login: ")
    return uuid


def configure(host, text):
    (host.state / "dvm.ini").write_text("[console]\n" + text)


def restart(host):
    host.restart()
    wait_for(lambda: (host.console(VM) or {}).get("up"), "the console")


def ring(host):
    return host.state / "consoles" / VM / "ring"


def ring_bytes(host):
    return ring(host).stat().st_size - HEADER


def say(host, target, text):
    for at in range(0, len(text), 4096):
        host.fake.call("script.print", domain=target, text=text[at:at + 4096])
    return host.read_console(VM, text[-8:].encode())


def lines(data):
    return re.findall(rb"\n(\d{7};)", data)


def numbered(first, count):
    return "".join("\r\n%07d;" % n for n in range(first, first + count))


def test_scrollback_of_another_size(host, target):
    """The newest stays, whether the relay lives or not, and nothing else is left beside it."""
    said = lines(say(host, target, numbered(0, 20000)))
    assert ring_bytes(host) == 1 << 20
    for turn, (size, dead) in enumerate([("64K", False), ("300K", False), ("96K", True), ("2M", True)], 1):
        configure(host, f"scrollback = {size}\n")
        pid = host.relay_pids()[VM]
        if dead:
            host.hostd.kill()
            os.kill(pid, signal.SIGKILL)
            host.start()
            wait_for(lambda: (host.console(VM) or {}).get("up"), "the console")
        else:
            restart(host)
            assert host.relay_pids()[VM] == pid
        want = int(size[:-1]) << {"K": 10, "M": 20}[size[-1]]
        assert ring_bytes(host) == want
        assert [p.name for p in ring(host).parent.iterdir() if p.name.startswith("ring")] == ["ring"]
        kept = lines(host.read_console(VM, said[-1]))
        # The guest of the test says other things now and then.
        assert kept == said[-len(kept):] and (len(kept) - 1) * 10 > min(want, len(said) * 10) - 4096, size
        said = lines(say(host, target, numbered(100000 * turn, 10)))
        assert said[-len(kept) - 10:-10] == kept[-len(said) + 10:]
        assert said[-10:] == lines(numbered(100000 * turn, 10).encode())


def test_scrollback_changed_back_while_nobody_looked(host, target):
    """A second file that the relay went on with is the one, also under the first one's size."""
    say(host, target, numbered(0, 1000))
    folder = ring(host).parent
    first = ring(host).read_bytes()
    configure(host, "scrollback = 128K\n")
    restart(host)
    said = lines(say(host, target, numbered(5000, 10)))
    host.hostd.kill()
    os.kill(host.relay_pids()[VM], signal.SIGKILL)
    # as if dvm-hostd had died before it could give the file its name
    ring(host).rename(folder / "ring.new")
    ring(host).write_bytes(first)
    configure(host, "scrollback = 1M\n")
    host.start()
    wait_for(lambda: (host.console(VM) or {}).get("up"), "the console")
    assert len(said) == 1010
    assert lines(host.read_console(VM, said[-1])) == said
    assert ring_bytes(host) == 1 << 20
    assert not (folder / "ring.new").exists()


def test_scrollback_without_room(host):
    if os.geteuid() != 0:
        pytest.skip("needs a small file system")
    with small_disk(host.state / "consoles", "2m"):
        uuid = host.fake.call("script.define", name="patient", disks=[])["uuid"]
        host.call("console.ensure", vm=VM, domain=uuid)
        host.call("domain.power", domain=uuid, vm=VM, verb="on")
        said = lines(say(host, uuid, numbered(0, 3000)))
        configure(host, "scrollback = 16M\n")
        restart(host)
        assert ring_bytes(host) == 1 << 20
        assert not (ring(host).parent / "ring.new").exists()
        assert "keeps its size" in (host.folder / "log").read_text()
        assert lines(say(host, uuid, numbered(5000, 3))) == said + lines(numbered(5000, 3).encode())
        host.call("console.drop", vm=VM)


@pytest.mark.parametrize("damage", [b"", b"\0" * 9000, b"DVMRING\0" + b"\xff" * 70000], ids=["empty", "zeros", "lies"])
def test_damaged_scrollback(host, target, damage):
    """What is no ring is made anew; the console goes on."""
    host.hostd.kill()
    os.kill(host.relay_pids()[VM], signal.SIGKILL)
    ring(host).write_bytes(damage)
    (ring(host).parent / "ring.new").write_bytes(damage)
    host.start()
    wait_for(lambda: (host.console(VM) or {}).get("up"), "the console")
    assert say(host, target, "after the damage").endswith(b"after the damage")
    assert ring_bytes(host) == 1 << 20
    assert not (ring(host).parent / "ring.new").exists()


@pytest.mark.parametrize("text", ["scrollback = 1K\n", "scrollback = 1T\n", "scrollback = -1\n", "scrollbuck = 1M\n"])
def test_configuration_that_is_refused(tmp_path, text):
    (tmp_path / "dvm.ini").write_text("[console]\n" + text)
    done = subprocess.run(
        [hosttest.BUILD / "src/hostd/dvm-hostd", "--state", tmp_path, "--uri", "fake:/nowhere"],
        env=dict(os.environ, DVM_LIBEXEC=str(hosttest.BUILD / "src/relay")), capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "line 2" in done.stderr and text.split()[0] in done.stderr


# Recordings


def recordings(host, vm=VM):
    return host.call("recording.list", vm=vm)["recordings"]


def recording(host, name, vm=VM):
    """As much of it as the list tells of: behind that, half a line may be on its way."""
    size = sum(item["size_bytes"] for item in recordings(host, vm) if item["name"] == name)
    data = b""
    while len(data) < size:
        part = host.call("recording.read", vm=vm, name=name, offset=len(data), length=min(size - len(data), 262144))
        data += base64.b64decode(part["data"])
    return data


def play(data):
    """Checks every line; the output, with markers as "<…>"."""
    header, *events = [json.loads(line) for line in data.decode().splitlines()]
    assert header["version"] == 2 and abs(header["timestamp"] - time.time()) < 600
    last, out = 0, ""
    for at, kind, text in events:
        assert at >= last and kind in "om"
        last = at
        out += text if kind == "o" else f"<{text}>"
    return out


def play_all(host, vm=VM):
    text = "".join(play(recording(host, item["name"], vm)) for item in recordings(host, vm))
    return text.replace("<the console goes on in the next recording>", "")


def play_newest(host, vm):
    """Two of them: the next may just have been begun."""
    text = ""
    for item in recordings(host, vm)[-2:]:
        with contextlib.suppress(rpc.Fault):  # its turn to go came
            data = recording(host, item["name"], vm)
            text += play(data) if data else ""
    return text


def wait_recorded(host, text, vm=VM):
    wait_for(lambda: text in play_newest(host, vm), f"{text!r} in the recording")


def test_console_is_recorded(host, target):
    host.fake.call("script.print", domain=target, text="Gr\u00fc\u00dfe\r\n")
    wait_recorded(host, "Gr\u00fc\u00dfe\r\n")
    (item,) = recordings(host)
    assert item["format"] == "asciicast-v2" and item["begun"].endswith("Z") and item["name"].startswith("000001-")
    data = recording(host, item["name"])
    # byte `size_bytes` of the recording is byte `offset` of the stream
    kept = host.read_console(VM, "Gr\u00fc\u00dfe\r\n".encode())
    assert re.sub("<[^>]*>", "", play(data)).encode() == kept[:item["offset"]]
    shown = host.call("console.get", vm=VM)
    assert shown["up"] and shown["history"] == {"bytes": len(data), "since": item["begun"], "stopped": None}
    host.call("domain.power", domain=target, vm=VM, verb="off")
    wait_recorded(host, "<the console is gone>")
    host.call("domain.power", domain=target, vm=VM, verb="on")
    wait_recorded(host, "<the console is back>")
    for bad in [dict(vm="v-2", name=item["name"]), dict(vm=VM, name="ring"), dict(vm=VM, name="000002-20260101t000000z"),
                dict(vm=VM, name="../v-1/ring"), dict(vm="../x", name=item["name"])]:
        with pytest.raises(rpc.Fault) as fault:
            host.call("recording.read", offset=0, length=100, **bad)
        assert fault.value.code in ("not-found", "bad-value")


def test_recording_goes_on_whoever_dies(host, target):
    """Each byte once, through the deaths of dvm-hostd and of the relay, in the middle of a character too."""
    expected = []
    for turn in range(6):
        text = numbered(turn * 1000, 200)
        expected += lines(text.encode())
        host.fake.call("script.print", domain=target, text=text)
        host.read_console(VM, text[-8:].encode())
        pid = host.relay_pids()[VM]
        if turn % 2:
            host.hostd.kill()
        if turn % 3 != 2:
            os.kill(pid, signal.SIGKILL)
        if turn % 2:
            host.start()
        wait_for(lambda: (host.console(VM) or {}).get("up") and host.relay_pids().get(VM) is not None, "the console")
        wait_recorded(host, text[-8:])
    assert lines(play_all(host).encode()) == expected
    assert len(recordings(host)) == 1


def rotated(host, target, bytes_, first=0, vm=VM):
    """Says so much that it is recorded without a gap."""
    number = first
    while number * 10 < first * 10 + bytes_:
        text = numbered(number, 8000)
        host.fake.call("script.print", domain=target, text=text)
        number += 8000
        wait_recorded(host, text[-8:], vm)
    return number


def test_recordings_rotate(host, target):
    configure(host, "scrollback = 4M\nhistory = 1M\n")
    say(host, target, numbered(90000, 20000))  # more than a file may be then
    wait_recorded(host, "0109999;")
    restart(host)
    first = recordings(host)[0]["name"]
    last = rotated(host, target, 1_500_000)
    items = recordings(host)
    folder = ring(host).parent
    assert sum(p.stat().st_size for p in folder.glob("*.cast")) <= 1 << 20
    assert 3 <= len(items) <= 4 and all(i["size_bytes"] <= 1 << 18 for i in items)
    assert first not in [i["name"] for i in items]
    numbers = [int(i["name"].split("-")[0]) for i in items]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(list(folder.glob("*.state"))) == 1
    said = [int(line[:-1]) for line in lines(play_all(host).encode())]
    assert said == list(range(said[0], last)), "the newest, whole"
    assert "goes on in the next" in play(recording(host, items[0]["name"]))


def test_limit_of_all_recordings(host, target):
    """The oldest of all goes, whoever's it is, but not what is being written."""
    configure(host, "scrollback = 4M\nhistory = 1M\nhistory-total = 1M\n")
    restart(host)
    rotated(host, target, 700_000)
    assert len(recordings(host)) >= 3
    other = host.fake.call("script.define", name="other", disks=[])["uuid"]
    host.call("console.ensure", vm="v-2", domain=other)
    host.call("domain.power", domain=other, vm="v-2", verb="on")
    host.read_console("v-2", b"login: ")
    rotated(host, other, 700_000, vm="v-2")
    total = sum(p.stat().st_size for p in (host.state / "consoles").glob("*/*.cast"))
    assert total <= 1 << 20
    assert len(recordings(host)) == 1 and len(recordings(host, "v-2")) >= 2
    assert "limit of all consoles" in (host.folder / "log").read_text()
    # more VMs than there is room for: not recorded, and told
    for i in range(3, 7):
        uuid = host.fake.call("script.define", name=f"more-{i}", disks=[])["uuid"]
        host.call("console.ensure", vm=f"v-{i}", domain=uuid)
    host.peer.wait_notice("history.stopped", code="quota")
    assert sum(1 for i in range(1, 7) if recordings(host, f"v-{i}")) == 4


@pytest.mark.parametrize("what", ["cut", "state", "both"])
def test_damaged_recording(host, target, what):
    """The damaged one stays as it is, the next is begun; the console goes on."""
    say(host, target, "before the damage")
    wait_recorded(host, "before the damage")
    (item,) = recordings(host)
    cast = ring(host).parent / (item["name"] + ".cast")
    state = cast.with_suffix(".state")
    host.hostd.kill()
    os.kill(host.relay_pids()[VM], signal.SIGKILL)
    if what != "state":
        cast.write_bytes(cast.read_bytes()[:50])
    if what != "cut":
        state.write_bytes(b"\xff" * 4096)
    damaged = cast.read_bytes()
    host.start()
    wait_for(lambda: (host.console(VM) or {}).get("up"), "the console")
    say(host, target, "after the damage")
    wait_for(lambda: len(recordings(host)) == 2, "the next recording")
    wait_for(lambda: "after the damage" in play(recording(host, recordings(host)[1]["name"])), "it in the recording")
    assert cast.read_bytes() == damaged and not state.exists()
    assert "is damaged" in (host.folder / "log").read_text()


def fill(path):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with contextlib.suppress(OSError):
        while True:
            os.write(fd, b"x" * 4096)
    os.close(fd)


def test_recordings_on_a_full_disk(host):
    """The oldest goes; where none is left the console goes on unrecorded, and is recorded again when there is room."""
    if os.geteuid() != 0:
        pytest.skip("needs a small file system")
    configure(host, "history = 4M\n")
    host.restart()
    with small_disk(host.state / "consoles", "3m"):
        uuid = host.fake.call("script.define", name="patient", disks=[])["uuid"]
        host.call("console.ensure", vm=VM, domain=uuid)
        host.call("domain.power", domain=uuid, vm=VM, verb="on")
        first = recordings(host)[0]["name"]
        last = rotated(host, uuid, 2_500_000)
        assert first not in [i["name"] for i in recordings(host)]
        assert "the disk is full" in (host.folder / "log").read_text()
        said = [int(line[:-1]) for line in lines(play_all(host).encode())]
        assert said == list(range(said[0], last)), "the newest, whole"

        # somebody else fills it
        junk = host.state / "consoles/junk"
        count = itertools.count(500000, 100)

        def told():
            fill(junk)
            host.fake.call("script.print", domain=uuid, text=numbered(next(count), 100))
            return any(name == "history.stopped" for name, _ in host.peer.notices)

        wait_for(told, "it to be told")
        host.peer.wait_notice("history.stopped", vm=VM, code="disk-full")
        fill(junk)
        wait_for(lambda: host.call("console.get", vm=VM)["history"]["stopped"] == "disk-full", "it to be said")
        say(host, uuid, "unrecorded")
        junk.unlink()
        wait_recorded(host, "unrecorded")
        assert host.call("console.get", vm=VM)["history"]["stopped"] is None
        host.call("console.drop", vm=VM)


def test_limits_that_become_less(host, target):
    """What is there is brought below them at the next start, but for what is being written."""
    configure(host, "scrollback = 4M\nhistory = 2M\n")
    restart(host)
    rotated(host, target, 1_500_000)
    assert len(recordings(host)) >= 6
    newest = recordings(host)[-1]["name"]
    configure(host, "scrollback = 4M\nhistory = 2M\nhistory-total = 2M\n")
    host.restart(kill=False)
    configure(host, "scrollback = 4M\nhistory = 1M\nhistory-total = 1M\n")
    host.restart(kill=False)
    wait_for(lambda: sum(i["size_bytes"] for i in recordings(host)) <= 1 << 20, "less")
    assert recordings(host)[-1]["name"] == newest


def test_recordings_go_with_the_vm(host, target):
    assert list((host.state / "consoles").glob("*/*.cast"))
    host.call("console.drop", vm=VM)
    assert list((host.state / "consoles").iterdir()) == []
    assert recordings(host) == []


# Nothing of it


def keep(host, target, on):
    return host.call("console.ensure", vm=VM, domain=target, keep=on)


def on_disk(host, text):
    """Files of the state folder that have the text."""
    return [p for p in host.state.rglob("*") if p.is_file() and text in p.read_bytes()]


def attend(host, vm=VM):
    """A reader, until it is closed."""
    ticket = os.urandom(32).hex()[:43]
    path = host.call("stream.grant", relay=vm, ticket=ticket, service="console", mode="r", raw=True, ttl_ms=5000)["path"]
    stream = socket.socket(socket.AF_UNIX)
    stream.settimeout(20)
    stream.connect(path)
    stream.sendall(f"DVM1 {ticket}\n".encode())
    assert stream.recv(7) == b"OK raw\n"
    return stream


def read_until(stream, text):
    data = b""
    while text not in data:
        piece = stream.recv(65536)
        assert piece, data
        data += piece
    return data


def hear(host, target, stream, text):
    """Said until it is heard: who has just come in may not be listening yet."""
    data, end = b"", time.monotonic() + 20
    stream.settimeout(0.1)
    while text.encode() not in data:
        assert time.monotonic() < end, data
        host.fake.call("script.print", domain=target, text=text)
        with contextlib.suppress(TimeoutError):
            data += stream.recv(65536)
    return data


def readers(host):
    """Connections to the relay's stream socket."""
    path = str(host.state / "run/relay" / VM / "stream.sock")
    with open("/proc/net/unix") as f:
        return sum(1 for line in f if line.rstrip().endswith(path)) - 1


@pytest.mark.parametrize("dead", ["nobody", "hostd", "relay", "both"])
def test_nothing_is_kept(host, target, dead):
    say(host, target, "Secret1 ")
    wait_recorded(host, "Secret1")
    before = keep(host, target, False)["offset"]
    assert not on_disk(host, b"Secret1") and recordings(host) == []
    assert sorted(p.name for p in ring(host).parent.iterdir()) == ["ring"]
    assert host.console(VM)["keep"] is False
    host.fake.call("script.print", domain=target, text="Secret2 ")
    wait_for(lambda: host.console(VM)["offset"] >= before + 8, "it to be drained")
    pid = host.relay_pids()[VM]
    if dead in ("hostd", "both"):
        host.hostd.kill()
    if dead in ("relay", "both"):
        os.kill(pid, signal.SIGKILL)
    if dead in ("hostd", "both"):
        host.start()
    elif dead == "relay":
        host.peer.wait_notice("relay.back", vm=VM)
    wait_for(lambda: (host.console(VM) or {}).get("up") and VM in host.relay_pids(), "the console")
    assert host.console(VM)["keep"] is False and host.console(VM)["offset"] >= before + 8
    with attend(host) as reader:
        said = hear(host, target, reader, "Heard3 ")
        assert b"Secret" not in said
        with attend(host) as second:
            assert b"Heard3" in read_until(second, b"Heard3 "), "it is there while somebody reads"
    assert not on_disk(host, b"Heard3") and not on_disk(host, b"Secret")
    wait_for(lambda: not readers(host), "the readers to leave")
    with attend(host) as reader:
        assert b"Heard3" not in hear(host, target, reader, "Heard4 ")
    assert keep(host, target, True)["offset"] >= before
    say(host, target, "Kept5 ")
    wait_recorded(host, "Kept5 ")
    assert b"Secret2" not in host.read_console(VM, b"Kept5 ")


def test_adopted_without_history(host):
    uuid = host.fake.call("script.define", name="patient", disks=[])["uuid"]
    keep(host, uuid, False)
    host.call("domain.power", domain=uuid, vm=VM, verb="on")
    wait_for(lambda: host.console(VM)["offset"] > 100, "it to be drained")
    assert not on_disk(host, b"Firmware") and recordings(host) == []
    assert ring_bytes(host) == 0
    for _ in range(2):
        assert keep(host, uuid, False)["up"]


def test_kept_again_or_not_while_readers_are_there(host, target):
    with attend(host) as reader:
        read_until(reader, b"login: ")
        for turn in range(4):
            keep(host, target, turn % 2 == 1)
            host.fake.call("script.print", domain=target, text=f"Turn{turn} ")
            read_until(reader, f"Turn{turn} ".encode())
