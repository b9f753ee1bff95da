# SPDX-License-Identifier: Apache-2.0
"""A running, unprepared VM's kernel in a stock gdb, and that it runs on whoever dies."""

import contextlib
import os
import signal
import socket
import subprocess

import dvmtest
import pytest
import targets
from dvmtest import wait_for
from gdbremote import Gdb

# What runs when the guest's `uptime` is asked for.
FUNCTION = "uptime_proc_show"


@pytest.fixture(scope="module")
def address(cloud, tiny):
    """Where the kernel, which chose its own place, has the function."""
    tiny.boot() if tiny.state() == "shut off" else None
    return int(tiny.type(f"symbol {FUNCTION}\r", "tiny>").split(f"symbol {FUNCTION}")[1].split()[0], 16)


@contextlib.contextmanager
def forwarded(cloud, name, *args):
    """`dvm gdb --print`: yields its port."""
    process = cloud.popen("gdb", name, "--print", *args, stdout=subprocess.PIPE, text=True)
    try:
        yield int(process.stdout.readline().rsplit(":", 1)[1])
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def gdb_start(port, *commands):
    argv = ["gdb", "-nx", "-batch", "-ex", f"target remote 127.0.0.1:{port}"]
    for command in commands:
        argv += ["-ex", command]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)


def debugger(cloud, vm, wanted):
    """Waits until the cloud shows it so."""
    return wait_for(lambda: (shown := cloud.json("vm", "show", vm.name))["debugger"] == wanted and shown, f"the debugger {wanted}")


def runs_on(cloud, vm):
    debugger(cloud, vm, None)
    assert cloud.json("vm", "show", vm.name)["state"] == "running"
    assert vm.answers("alive")


def stop_at(cloud, vm, gdb):
    """The gdb has let it run; the guest runs into its breakpoint."""
    debugger(cloud, vm, "running")
    vm.type("uptime\r", "uptime")
    return debugger(cloud, vm, "stopped")


def test_a_breakpoint_in_the_kernel(cloud, tiny, address, tmp_path):
    wait = tmp_path / "wait"
    wait.touch()
    run = targets.virsh("domid", tiny.name)
    with forwarded(cloud, tiny.name) as port:
        gdb = gdb_start(port, f"hbreak *{address:#x}", "continue", f"shell while [ -e {wait} ]; do sleep 0.1; done",
                        "print/x $pc", "x/2i $pc", "stepi", "print/x $pc",
                        "info threads", "monitor info version", "detach")
        assert stop_at(cloud, tiny, gdb)["state"] == "paused"
        wait.unlink()
        output = gdb.communicate(timeout=120)[0]
    assert gdb.returncode == 0, output
    places = [int(line.split("= ")[1], 16) for line in output.splitlines() if line.startswith("$")]
    assert places[0] == address and address < places[1] < address + 16, output
    assert "Thread 1" in output and "not support" in output, output
    assert "QEMU" not in output and "7." not in output.split("info threads")[-1].split("Detaching")[0].replace("Thread 1", "")
    runs_on(cloud, tiny)
    assert targets.virsh("domid", tiny.name) == run, "it was not restarted for this"


def test_whoever_dies_it_runs_on(cloud, tiny, address):
    vm = cloud.json("vm", "show", tiny.name)["id"]
    with forwarded(cloud, tiny.name) as port:
        for who in ("gdb", "relay"):
            gdb = gdb_start(port, f"break *{address:#x}", "continue", "shell sleep 600")
            stop_at(cloud, tiny, gdb)
            assert targets.virsh("domstate", tiny.name).strip() == "paused"
            if who == "gdb":
                os.kill(gdb.pid, signal.SIGKILL)
            else:
                cloud.kill_relay(vm)
            wait_for(lambda: targets.virsh("domstate", tiny.name).strip() == "running", "it to run", step=0.1)
            os.killpg(gdb.pid, signal.SIGKILL)
            gdb.communicate()
            runs_on(cloud, tiny)
            assert "." in tiny.type("uptime\r", "tiny>"), "without the breakpoint"
