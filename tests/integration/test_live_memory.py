# SPDX-License-Identifier: Apache-2.0
"""A target's live memory: what nbdkit and our plugin serve of a process, whatever dies, and what they never serve."""

import os
import pathlib
import signal
import struct
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import elfcore
import hosttest
import nbd
from hosttest import wait_for
from test_hostd import SESSION, VM, ensure, fault_of

SERVER = "m-1-0"
MIB = 1 << 20


@pytest.fixture
def host():
    with hosttest.Host() as h:
        hosttest.image_make(h.state / "images")
        yield h


@pytest.fixture
def target(host):
    uuid = host.fake.call("script.define", name="patient", memory_mib=16, vcpus=3)["uuid"]
    host.fake.call("domain.power", domain=uuid, verb="on")
    return uuid


def attach(host, target):
    return host.call("attach.memory", session=SESSION, vm=VM, domain=target, index=0)


def memory_of(host, target):
    return pathlib.Path(host.fake.call("domain.memory", domain=target)["path"])


def client(host):
    return nbd.Client(host.state / "run/relay" / SERVER / "nbd.sock")


def server_pid(host):
    return int((host.state / "run/relay" / SERVER / "pid").read_text())


def put(path, offset, data):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def error_of(function, *args):
    with pytest.raises(nbd.Error) as caught:
        function(*args)
    return caught.value.number


@pytest.fixture
def attached(host, target):
    ensure(host)
    for _ in range(2):
        assert attach(host, target) == {"devices": ["t0-memory"]}
    return memory_of(host, target)


def test_it_is_an_elf_core_of_what_is_there_now(host, target, attached):
    assert host.session(SESSION)["memories"] == [VM]
    put(attached, 0x9F000, b"below the hole")
    put(attached, 15 * MIB, b"near the end")
    with client(host) as c:
        assert c.flags & nbd.READ_ONLY
        core = elfcore.Core(c.read)
        assert [load[1:] for load in core.loads] == [(0, 0xA0000), (MIB, 15 * MIB)]
        assert c.size == core.loads[-1].offset + core.loads[-1].length
        assert core.memory(0x9F000, 14) == b"below the hole"
        assert core.memory(15 * MIB, 12) == b"near the end"
        put(attached, 15 * MIB, b"and now this")
        assert core.memory(15 * MIB, 12) == b"and now this"
        # across the hole, and the head, in one request
        whole = c.read(0, c.size)
        assert whole[core.loads[0].offset + 0x9F000 :][:14] == b"below the hole"
        assert whole[core.loads[1].offset + 14 * MIB :][:12] == b"and now this"
        assert whole[core.loads[1].offset :] == attached.read_bytes()[MIB:]


def test_registers_are_those_of_now(host, target, attached):
    with client(host) as c:
        core = elfcore.Core(c.read)
        first = core.cpus()
        assert len(first) == 3
        for i, cpu in enumerate(first):
            base = i << 8
            assert cpu["rbx"] == base | 1 and cpu["rflags"] == base | 17
            assert cpu["cs"] == (base | 18, base | 19, base | 20, base | 21)
            assert cpu["idt"] == (base | 54, base | 55, base | 56, base | 57)
            assert (cpu["cr0"], cpu["cr4"]) == (base | 58, base | 62)
        status = [n for n in core.notes() if n.name == "CORE"]
        assert [n.type for n in status] == [elfcore.PRSTATUS] * 3
        for i, note in enumerate(status):
            assert struct.unpack_from("<I", note.desc, 32)[0] == i + 1
            registers = struct.unpack_from("<27Q", note.desc, 112)
            assert registers[16] == i << 8 | 16 and registers[19] == i << 8 | 6  # rip, rsp
        # rax counts how often the hypervisor was asked: again when it is old, not at every read
        wait_for(lambda: core.cpus()[0]["rax"] > first[0]["rax"], "newer registers")
        asked = core.cpus()[0]["rax"]
        for _ in range(300):
            c.read(64, 64)
        assert core.cpus()[0]["rax"] - asked < 100


def test_memory_that_is_unplugged(host, target, attached):
    with client(host) as c:
        at = elfcore.Core(c.read).loads[-1].offset
        host.fake.call("script.unplug", domain=target, memory_mib=16)  # something else: all is still there
        host.fake.call("script.unplug", domain=target, memory_mib=8)
        wait_for(lambda: refused(c, at), "the memory to be closed")
        with pytest.raises(nbd.Error):
            c.read(at + 10 * MIB, 4096)
    host.call("detach.memory", session=SESSION, vm=VM)
    attach(host, target)
    with client(host) as c:
        assert elfcore.Core(c.read).loads[-1].length == 7 * MIB


def refused(c, offset):
    try:
        c.read(offset, 512)
    except nbd.Error as error:
        return error.number == nbd.EIO
    return False


def test_nothing_else_can_be_read(host, target, attached):
    secret = b"the process's other memory"
    put(attached, 0xA0000, secret)  # the hole: of the process, not of the guest
    with attached.open("ab") as file:
        file.write(secret)
    with client(host) as c:
        core = elfcore.Core(c.read)
        assert secret not in c.read(0, c.size)
        for offset, length in ((c.size, 512), (c.size - 512, 1024), (1 << 40, 4096), (1 << 63, 4096), ((1 << 64) - 512, 512)):
            assert error_of(c.read, offset, length) == nbd.EINVAL
        assert error_of(c.ask, nbd.WRITE, core.loads[0].offset, 4, b"evil") == nbd.EPERM
        assert error_of(c.ask, nbd.TRIM, core.loads[0].offset, 4096) == nbd.EPERM
        assert core.memory(0, 4) != b"evil"
    pid = server_pid(host)
    # what it could open, it cannot
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    assert "\nSeccomp:\t2\n" in status and "\nNoNewPrivs:\t1\n" in status
    assert "\nCapEff:\t0000000000000000\n" in status and "\nCapBnd:\t0000000000000000\n" in status
    if os.geteuid() == 0:
        assert os.stat(f"/proc/{pid}/root/").st_dev != os.stat("/").st_dev
        assert "\nUid:\t0" not in status
        assert pathlib.Path(f"/proc/{pid}/environ").read_bytes().count(b"\0") <= 3


def test_it_survives_each_death(host, target, attached):
    put(attached, MIB, b"before")
    with client(host) as c:
        assert elfcore.Core(c.read).memory(MIB, 6) == b"before"
        pid = server_pid(host)
        host.restart()
        assert server_pid(host) == pid
        put(attached, MIB, b"after!")
        wait_for(lambda: host.session(SESSION)["memories"] == [VM], "the attachment")
        core = elfcore.Core(c.read)
        assert core.memory(MIB, 6) == b"after!"
        wait_for(lambda: core.cpus()[2]["rbx"] == 0x201, "registers")
        size = c.size
    os.kill(pid, signal.SIGKILL)

    def back():
        try:
            with client(host) as again:
                return again.size == size and elfcore.Core(again.read).memory(MIB, 6) == b"after!"
        except (OSError, nbd.Error):
            return False

    wait_for(back, "another server")
    assert server_pid(host) != pid
    host.hostd.kill()
    os.kill(server_pid(host), signal.SIGKILL)
    host.start()
    wait_for(back, "a third server")


def test_a_target_that_goes_and_comes_back(host, target, attached):
    with client(host) as c:
        core = elfcore.Core(c.read)
        start = core.loads[0].offset
        host.fake.call("domain.power", domain=target, verb="off")
        wait_for(lambda: error_or_none(c, start) == nbd.EIO, "the end of its memory")
        wait_for(lambda: error_or_none(c, 0) == nbd.EIO, "the end of its head")
        assert fault_of(host.call, "attach.memory", session=SESSION, vm="v-2", domain=target, index=1) == "vm-not-running"
        assert host.session(SESSION)["memories"] == [VM]
        host.fake.call("domain.power", domain=target, verb="on")
        again = memory_of(host, target)
        put(again, 0x5000, b"of the second run")
        wait_for(lambda: error_or_none(c, start) is None, "its memory")
        assert core.memory(0x5000, 17) == b"of the second run"


def error_or_none(c, offset):
    try:
        c.read(offset, 512)
    except nbd.Error as e:
        return e.number
    return None


def test_detach_and_attach_anew(host, target, attached):
    with client(host) as c:
        for _ in range(2):
            assert host.call("detach.memory", session=SESSION, vm=VM) == {}
        with pytest.raises(ConnectionError):
            c.read(0, 512)
    assert host.session(SESSION)["memories"] == []
    assert not (host.state / "run/relay" / SERVER).exists()
    assert attach(host, target) == {"devices": ["t0-memory"]}
    host.call("session.release", session=SESSION)
    assert not (host.state / "run/relay" / SERVER).exists()


@pytest.mark.parametrize("step", ["begin", "noted", "plugged"])
@pytest.mark.parametrize("how", ["error:EIO", "kill"])
def test_attach_broken_off_at_each_step(host, target, step, how):
    ensure(host)
    host.arm(f"hostd.attach.memory.{step}={how}")
    with pytest.raises(Exception):
        attach(host, target)
    host.arm("")
    if how == "kill":
        host.hostd.process.wait()
        host.start()
    assert attach(host, target) == {"devices": ["t0-memory"]}
    with client(host) as c:
        elfcore.Core(c.read)


def test_a_server_of_no_session_ends(host, target, attached):
    host.hostd.kill()
    state = host.state / "run/dvm" / SESSION / "session.json"
    state.write_text(state.read_text().replace('"memories"', '"former"'))
    host.start()
    wait_for(lambda: not (host.state / "run/relay" / SERVER).exists(), "its end")
