# SPDX-License-Identifier: Apache-2.0
"""What is kept of consoles: how much of it, through changes of its size, damage and full disks."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import hosttest  # noqa: E402
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
