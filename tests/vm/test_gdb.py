# SPDX-License-Identifier: Apache-2.0
"""A running, unprepared VM's kernel in a stock gdb, and that it runs on whoever dies."""

import contextlib
import os
import signal
import subprocess

import dvmtest
import pytest
import targets
from dvmtest import wait_for

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


def test_held_before_its_first_instruction(cloud, tiny):
    cloud.dvm("boot", tiny.name, "--hold")
    offset = tiny.offset()
    cloud.dvm("power", "off", tiny.name)
    cloud.dvm("power", "on", tiny.name)
    for verb in ("on", "reset"):
        assert cloud.json("vm", "show", tiny.name)["state"] == "paused"
        with forwarded(cloud, tiny.name) as port:
            steps = ["stepi", "print/x $pc"] if verb == "reset" else []
            output = gdb_start(port, "print/x $pc", *steps, "detach").communicate(timeout=60)[0]
        places = [line.split("= ")[1] for line in output.splitlines() if line.startswith("$")]
        assert places[0] == "0xfff0" and places[-1] == (places[0] if verb == "on" else "0xe05b"), output
        shown = debugger(cloud, tiny, None)
        if verb == "on":
            # it was not let run: it waits on
            assert shown["state"] == "paused" and not shown["hold"]
            cloud.dvm("boot", tiny.name, "--hold")
            cloud.dvm("power", "reset", tiny.name)
    said = cloud.dvm("console", tiny.name, "--read-only", "--from", offset, "--until", "tiny>", "--timeout", 90).stdout
    assert "tiny: start" in said


def test_in_the_d_vm(cloud, tiny):
    session = cloud.json("debug", tiny.name)["session"]
    try:
        why = r"exec 3<>/dev/tcp/localhost/1234 && printf '$?#3f' >&3 && head -c 18 <&3"
        assert cloud.dvm("ssh", session, "--", why).stdout == "+$T05thread:01;#07"
        runs_on(cloud, tiny)
        without = cloud.dvm("ssh", session, "--", "target gdb", check=False)
        assert without.returncode != 0 and "stack `kernel`" in without.stderr
    finally:
        cloud.dvm("session", "end", session)
