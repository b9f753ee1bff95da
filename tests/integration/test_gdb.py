# SPDX-License-Identifier: Apache-2.0
"""A VM's gdb stub on the fake hypervisor, through the real relay: switched on and off, rights, who controls, who dies."""

import contextlib
import os
import pathlib
import signal
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/lib"), str(ROOT / "tests/integration/lib"), str(ROOT / "tests/integration")]
import rpc  # noqa: E402
from gdbremote import Gdb  # noqa: E402
from hosttest import wait_for  # noqa: E402
from test_hostd import SESSION, VM, ensure, fault_of, host, power, raw_stream, target  # noqa: E402, F401

# What reaches a stub of ours, and nothing else does.
GREETING = ["qSupported:xmlRegisters=i386", "qXfer:features:read:target.xml:0,1", "?"]


@pytest.fixture
def running(host, target):  # noqa: F811
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    return target


def attach(host, mode="rw", relay=VM, service="gdb"):  # noqa: F811
    return Gdb(raw_stream(host, relay, service, mode))


def stub(host, uuid):  # noqa: F811
    return host.fake.call("script.gdb", domain=uuid)


def state(host, uuid):  # noqa: F811
    return host.fake.call("domain.get", domain=uuid)["state"]


def is_off(host, uuid):  # noqa: F811
    """The stub is off, no breakpoint is left, the VM runs."""
    wait_for(lambda: not stub(host, uuid)["on"], "the stub to be off")
    wait_for(lambda: state(host, uuid) == "running", "the VM to run")
    assert stub(host, uuid)["breakpoints"] == 0


def test_on_and_off(host, running):  # noqa: F811
    gdb = attach(host)
    assert gdb.ask("?") == "T05thread:01;"
    assert state(host, running) == "paused"
    assert gdb.ask("qfThreadInfo") == "m01,02" and gdb.ask("qsThreadInfo") == "l"
    assert gdb.ask("M1004,4:01020304") == "OK"
    assert gdb.ask("m1000,8") == "0000000001020304"
    assert len(gdb.memory(0x1000, 4096)) == 4096
    assert gdb.ask("Z0,1010,1") == "OK" and gdb.ask("Z1,1020,1") == "OK"
    assert stub(host, running)["breakpoints"] == 2
    gdb.put("vCont;c")
    wait_for(lambda: state(host, running) == "running", "it to run")
    host.fake.call("script.gdb_hit", domain=running)
    assert gdb.get() == "T05thread:01;"
    assert gdb.ask("m1000,1") == "01"
    assert gdb.ask("vCont;s:1;c") == "T05thread:01;"
    gdb.put("c")
    gdb.interrupt()
    assert gdb.get() == "T02thread:01;"
    assert host.console(VM)["debugger"] == "stopped"
    gdb.close()
    is_off(host, running)
    host.peer.wait_notice("vm.debugger", vm=VM, state="stopped")
    host.peer.wait_notice("vm.debugger", vm=VM, state="off")
    # and again, and by saying so
    gdb = attach(host)
    assert gdb.ask("D") == "OK"
    assert gdb.gone()
    is_off(host, running)


def test_what_never_reaches_the_stub(host, running):  # noqa: F811
    gdb = attach(host)
    for body in ("qRcmd,71756974", "vKill;1", "R00", "vRun;", "vAttach;1", "vFile:open:2f", "!", "vMustReplyEmpty", "X1000,0:",
                 "qSymbol::", "unheard-of", "qXfer:features:read:../x:0,1"):
        assert gdb.ask(body) == ""
    assert gdb.ask("?") == "T05thread:01;"
    gdb.put("k")
    assert gdb.gone()
    is_off(host, running)
    assert stub(host, running)["seen"] == GREETING + ["vCont;c"]


def test_reading_only(host, running):  # noqa: F811
    """A reader stops nothing and changes nothing; several read."""
    with pytest.raises((EOFError, ConnectionError)):
        attach(host, "r")
    assert state(host, running) == "running"
    gdb = attach(host)
    reader, other = attach(host, "r"), attach(host)
    for who in (reader, other):
        assert who.ask("m1004,2") == "0000"
        for body in ("Z0,1000,1", "vCont;c", "c", "s", "M1000,1:ff", "P0=00", "G00", "Qqemu.sstep=7"):
            assert who.ask(body) == "E01", body
        who.interrupt()
    assert "Z0,1000,1" not in stub(host, running)["seen"]
    gdb.put("vCont;c")
    wait_for(lambda: state(host, running) == "running", "it to run")
    assert reader.ask("g") == "E0b"
    assert state(host, running) == "running", "asked, not stopped"
    with pytest.raises((EOFError, ConnectionError)):
        attach(host, "r")
    host.fake.call("script.gdb_hit", domain=running)
    assert gdb.get() == "T05thread:01;"
    assert reader.ask("p0") == "0010000000000000"
    gdb.close()
    wait_for(lambda: state(host, running) == "running", "it to run on though others look")
    assert stub(host, running)["on"]
    reader.close()
    other.close()
    is_off(host, running)


def test_a_reader_of_a_paused_vm(host, running):  # noqa: F811
    power(host, running, "pause")
    reader = attach(host, "r")
    assert reader.ask("m1000,1") == "00"
    reader.close()
    wait_for(lambda: not stub(host, running)["on"], "the stub to be off")
    assert state(host, running) == "paused", "as it was"
    gdb = attach(host)
    assert gdb.ask("Z0,1000,1") == "OK"
    gdb.close()
    wait_for(lambda: not stub(host, running)["on"], "the stub to be off")
    assert state(host, running) == "paused" and stub(host, running)["breakpoints"] == 0


def test_taking_over(host, running):  # noqa: F811
    first = attach(host)
    assert first.ask("Z0,1010,1") == "OK"
    second = attach(host, "take")
    assert second.ask("?") == "T05thread:01;"
    assert stub(host, running)["breakpoints"] == 0
    assert first.ask("vCont;c") == "E01"
    assert second.ask("vCont;s:1;c") == "T05thread:01;"
    second.close()
    wait_for(lambda: state(host, running) == "running", "it to run")
    first.close()
    is_off(host, running)


@pytest.mark.parametrize("how", ["stopped", "running"])
def test_the_relay_dies(host, running, how):  # noqa: F811
    gdb = attach(host)
    assert gdb.ask("Z0,1010,1") == "OK"
    if how == "running":
        gdb.put("vCont;c")
        wait_for(lambda: state(host, running) == "running", "it to run")
    os.kill(host.relay_pids()[VM], signal.SIGKILL)
    assert gdb.gone()
    is_off(host, running)
    wait_for(lambda: host.console(VM)["up"], "the relay")
    gdb = attach(host)
    assert gdb.ask("?") == "T05thread:01;"
    gdb.close()
    is_off(host, running)


def test_a_paused_vm_whose_relay_dies_stays_paused(host, running):  # noqa: F811
    power(host, running, "pause")
    gdb = attach(host)
    assert gdb.ask("Z0,1010,1") == "OK"
    os.kill(host.relay_pids()[VM], signal.SIGKILL)
    wait_for(lambda: not stub(host, running)["on"] and stub(host, running)["breakpoints"] == 0, "the stub to be off")
    assert state(host, running) == "paused"
    # once it was let run it is to run
    wait_for(lambda: host.console(VM)["up"], "the relay")
    gdb = attach(host)
    assert gdb.ask("vCont;s:1;c") == "T05thread:01;"
    wait_for(lambda: (host.state / "run/relay" / VM / "gdb").read_text() == "resume\n", "it to be noted")
    os.kill(host.relay_pids()[VM], signal.SIGKILL)
    is_off(host, running)


def test_dvm_hostd_dies(host, running):  # noqa: F811
    """The debugger goes on; what happens meanwhile is put in order afterwards."""
    gdb = attach(host)
    assert gdb.ask("Z0,1010,1") == "OK"
    host.hostd.kill()
    assert gdb.ask("vCont;s:1;c") == "T05thread:01;"
    host.start()
    wait_for(lambda: (host.console(VM) or {}).get("debugger") == "stopped", "it to be known again")
    assert gdb.ask("m1000,1") == "01"
    host.hostd.kill()
    gdb.close()
    wait_for(lambda: state(host, running) == "running", "it to run without dvm-hostd")
    host.start()
    is_off(host, running)
    # both
    gdb = attach(host)
    assert gdb.ask("Z0,1010,1") == "OK"
    pid = host.relay_pids()[VM]
    host.hostd.kill()
    os.kill(pid, signal.SIGKILL)
    assert state(host, running) == "paused"
    host.start()
    is_off(host, running)


@pytest.mark.parametrize("how", ["error", "kill"])
def test_switching_it_on_is_broken_off(host, running, how):  # noqa: F811
    host.arm(f"hostd.gdb.noted={how}")
    with pytest.raises((EOFError, ConnectionError)):
        attach(host)
    host.arm("")
    if how == "kill":
        host.hostd.process.wait(10)
        host.start()
    wait_for(lambda: not (host.state / "run/relay" / VM / "gdb").exists(), "the note to go")
    gdb = attach(host)
    assert gdb.ask("?") == "T05thread:01;"
    gdb.close()
    is_off(host, running)


def test_power_under_a_debugger(host, running):  # noqa: F811
    gdb = attach(host)
    assert gdb.ask("Z0,1010,1") == "OK"
    # somebody else wants it to run: the debugger is sent away
    assert power(host, running, "resume") == "running"
    assert gdb.gone()
    is_off(host, running)
    gdb = attach(host)
    assert gdb.ask("?") == "T05thread:01;"
    power(host, running, "off")
    assert gdb.gone()
    assert fault_of(power, host, running, "resume") == "vm-not-running"
    with pytest.raises((EOFError, ConnectionError)):
        attach(host).ask("?")
    assert not (host.state / "run/relay" / VM / "gdb").exists()


def test_not_too_long(host, running):  # noqa: F811
    (host.state / "dvm.ini").write_text("[debugger]\nstopped-limit = 1s\n")
    host.restart()
    gdb = attach(host)
    assert gdb.ask("Z0,1010,1") == "OK"
    assert gdb.gone()
    is_off(host, running)
    host.peer.wait_notice("vm.debugger", vm=VM, state="running", expired=True)


def test_in_a_session(host, running):  # noqa: F811
    ensure(host)
    assert fault_of(host.call, "attach.gdb", session=SESSION, vm=VM, name="patient", mode="take") == "bad-value"
    for mode in ("r", "rw"):
        host.call("attach.gdb", session=SESSION, vm=VM, name="patient", mode=mode)
        if mode == "r":
            power(host, running, "pause")
        gdb = attach(host, relay=SESSION, service="gdb/patient")
        assert gdb.ask("Z0,1000,1") == ("E01" if mode == "r" else "OK")
        gdb.close()
        wait_for(lambda: not stub(host, running)["on"], "the stub to be off")
        power(host, running, "resume")
    assert host.session(SESSION)["gdbs"] == [VM]
    # the lease's end
    gdb = attach(host, relay=SESSION, service="gdb/patient")
    assert gdb.ask("Z0,1010,1") == "OK"
    host.call("session.release", session=SESSION)
    assert gdb.gone()
    is_off(host, running)


def test_vm_leaves_the_inventory(host, running):  # noqa: F811
    gdb = attach(host)
    assert gdb.ask("Z0,1010,1") == "OK"
    host.call("console.drop", vm=VM)
    assert gdb.gone()
    is_off(host, running)


def test_bytes_that_make_no_sense(host, running):  # noqa: F811
    gdb = attach(host)
    for nonsense in (b"$" + b"a" * 40000, b"$g#00" * 100):
        with contextlib.suppress(OSError):
            gdb.sock.sendall(nonsense)
        assert gdb.gone()
        is_off(host, running)
        gdb = attach(host)
    gdb.close()
    is_off(host, running)
