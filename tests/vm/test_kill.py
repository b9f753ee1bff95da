# SPDX-License-Identifier: Apache-2.0
"""kill -9 of each program, with real VMs: a session goes on or ends clean, and nothing is left over."""

import os
import signal

import dvmtest
import pytest
import targets
from dvmtest import wait_for


def state(cloud, session):
    return cloud.json("session", "show", session)["state"]


def settled(cloud, session):
    def look():
        result = cloud.dvm("session", "show", session, "--json", check=False)
        if result.returncode:
            return None  # the control plane is on its way back
        import json

        now = json.loads(result.stdout)["state"]
        return now if now in ("ready", "ended", "failed") else None

    return wait_for(look, f"{session} to settle", seconds=180)


@pytest.fixture
def session(cloud, tiny, nothing_left):
    tiny.on()
    made = cloud.json("debug", tiny.name)
    yield made["session"]
    cloud.dvm("session", "end", made["session"])


@pytest.mark.parametrize("program", ["dvmd", "dvm-hostd", "dvm-gate"])
def test_program_killed_in_ready(cloud, tiny, session, program):
    cloud.kill(program)
    assert settled(cloud, session) == "ready"
    assert cloud.dvm("ssh", session, "--", "echo alive").stdout.strip() == "alive"
    assert "still-here" in tiny.type("echo still-here\r", "still-here")


def test_session_relay_killed_in_ready(cloud, session):
    pid = next(pid for pid, line in cloud.relays().items() if session in line)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in cloud.relays() and any(session in line for line in cloud.relays().values()), "a new relay")
    assert wait_for(lambda: state(cloud, session) == "ready", "the session to be ready again")
    assert cloud.dvm("ssh", session, "--", "echo alive").stdout.strip() == "alive"


def test_console_relay_killed_keeps_the_history(cloud, tiny):
    tiny.on()
    tiny.type("echo before-the-kill\r", "before-the-kill")
    vm = cloud.json("vm", "show", tiny.name)
    pid = next(pid for pid, line in cloud.relays().items() if vm["id"] in line)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid not in cloud.relays() and any(vm["id"] in line for line in cloud.relays().values()), "a new relay")
    assert "after-the-kill" in tiny.type("echo after-the-kill\r", "after-the-kill")
    text = cloud.dvm("console", tiny.name, "--read-only", "--from", 0, "--until", "after-the-kill", "--timeout", 60).stdout
    assert "before-the-kill" in text


def test_libvirtd_killed_in_ready(cloud, tiny, session):
    targets.kill_libvirtd()
    assert settled(cloud, session) == "ready"
    wait_for(lambda: cloud.dvm("power", "pause", tiny.name, check=False).returncode == 0, "the hypervisor to be back", seconds=90)
    cloud.dvm("power", "resume", tiny.name)
    assert cloud.dvm("ssh", session, "--", "echo alive").stdout.strip() == "alive"


def test_d_vm_killed_ends_the_session_clean(cloud, tiny, nothing_left):
    tiny.on()
    session = cloud.json("debug", tiny.name)["session"]
    pid = targets.qemu_pid(f"dvm-{session}")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: state(cloud, session) == "failed", "the session to end")
    assert cloud.json("session", "show", session)["fault"]["code"] == "dvm-lost"


@pytest.mark.parametrize("program", ["dvmd", "dvm-hostd", "dvm-gate", "libvirtd"])
def test_program_killed_while_the_session_starts(cloud, tiny, nothing_left, program):
    tiny.on()
    session = cloud.json("debug", tiny.name, "--no-wait")["session"]
    wait_for(lambda: state(cloud, session) not in ("requested", "authorized"), "the session to be placed")
    if program == "libvirtd":
        targets.kill_libvirtd()
    else:
        cloud.kill(program)
    assert settled(cloud, session) in ("ready", "ended", "failed")
    cloud.dvm("session", "end", session, check=False)


@pytest.mark.parametrize("program", ["dvmd", "dvm-hostd"])
def test_program_killed_while_the_session_ends(cloud, tiny, nothing_left, program):
    tiny.on()
    session = cloud.json("debug", tiny.name)["session"]
    cloud.dvm("session", "end", session, "--no-wait")
    cloud.kill(program)
    assert settled(cloud, session) == "ended"


def test_disk_is_given_back_when_the_relay_and_dvmd_die(cloud, tiny, nothing_left):
    tiny.off()
    session = cloud.json("debug", tiny.name, "--stack", "disk")["session"]
    cloud.dvm("ssh", session, "--", "target disk attach")
    os.kill(next(pid for pid, line in cloud.relays().items() if session in line), signal.SIGKILL)
    cloud.kill("dvmd")
    assert settled(cloud, session) == "ready"
    cloud.dvm("session", "end", session)
    tiny.on()
    assert tiny.state() == "running"


def test_supervisor_killed_then_up_again(cloud, tiny, session):
    cloud.kill("up")
    cloud.up()
    assert settled(cloud, session) == "ready"
    assert cloud.dvm("ssh", session, "--", "echo alive").stdout.strip() == "alive"
