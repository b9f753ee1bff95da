# SPDX-License-Identifier: Apache-2.0
"""kill -9 of each program, with real VMs: a session goes on or ends clean, and nothing is left over."""

import json
import os
import signal
import subprocess

import pytest
import targets
from dvmtest import wait_for


def show(cloud, session):
    """The session, or None while the control plane is on its way back."""
    result = cloud.dvm("session", "show", session, "--json", check=False)
    return None if result.returncode else json.loads(result.stdout)


def state(cloud, session):
    return (show(cloud, session) or {}).get("state")


def settled(cloud, session):
    return wait_for(
        lambda: state(cloud, session) in ("ready", "ended", "failed") and state(cloud, session), f"{session} to settle", seconds=180
    )


def goes_on(cloud, session):
    """It is ready, or soon is again, and one can log in."""
    assert settled(cloud, session) == "ready"
    return cloud.dvm("ssh", session, "--", "echo alive").stdout.strip() == "alive"


class TestReady:
    """One session, which outlives all of this."""

    @pytest.fixture(scope="class")
    def session(self, cloud, tiny):
        tiny.on()
        made = cloud.json("debug", tiny.name)
        yield made["session"]
        cloud.dvm("session", "end", made["session"])

    @pytest.mark.parametrize("program", ["dvmd", "dvm-hostd", "dvm-gate"])
    def test_program(self, cloud, tiny, session, program):
        cloud.kill(program)
        assert goes_on(cloud, session)
        assert tiny.answers(f"after-{program}")

    def test_session_relay(self, cloud, tiny, session):
        cloud.kill_relay(session)
        assert goes_on(cloud, session)
        out = cloud.dvm("ssh", session, "--", "printf 'echo of-a-new-relay\\r' | target console --until of-a-new-relay --timeout 60")
        assert "of-a-new-relay" in out.stdout

    def test_console_relay_keeps_the_history(self, cloud, tiny, session):
        assert tiny.answers("before-the-kill")
        cloud.kill_relay(cloud.json("vm", "show", tiny.name)["id"])
        assert tiny.answers("after-the-kill")
        text = cloud.dvm("console", tiny.name, "--read-only", "--from", 0, "--until", "\nafter-the-kill", "--timeout", 60).stdout
        assert text.count("before-the-kill") == 2  # typed and answered: neither lost nor twice
        assert goes_on(cloud, session)

    def test_libvirtd(self, cloud, tiny, session):
        targets.kill_libvirtd()
        assert goes_on(cloud, session)
        wait_for(lambda: cloud.dvm("power", "pause", tiny.name, check=False).returncode == 0, "the hypervisor to be back", seconds=90)
        cloud.dvm("power", "resume", tiny.name)
        assert tiny.answers("after-libvirtd")

    def test_supervisor_then_up_again(self, cloud, tiny, session):
        cloud.kill("up")
        cloud.up()
        assert goes_on(cloud, session)
        assert tiny.answers("after-up")


def test_d_vm_killed_ends_the_session(cloud, tiny, nothing_left):
    session = cloud.json("debug", tiny.name)["session"]
    os.kill(targets.qemu_pid(f"dvm-{session}"), signal.SIGKILL)
    wait_for(lambda: state(cloud, session) == "failed", "the session to end")
    assert show(cloud, session)["fault"]["code"] == "dvm-lost"


@pytest.mark.parametrize("program", ["dvmd", "dvm-hostd", "dvm-gate", "libvirtd", "relay"])
def test_killed_while_the_session_starts(cloud, tiny, nothing_left, program):
    """The command that waits for the session is not disturbed either."""
    with cloud.popen("debug", tiny.name, "--json", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as debug:
        session = wait_for(lambda: cloud.json("session", "list"), "the session to be made")[0]["id"]
        wait_for(lambda: state(cloud, session) == "provisioning", "the D-VM to be made")
        if program == "libvirtd":
            targets.kill_libvirtd()
        elif program == "relay":
            cloud.kill_relay(session)
        else:
            cloud.kill(program)
        out, err = debug.communicate(timeout=240)
    assert debug.returncode == 0, err
    assert json.loads(out)["session"] == session
    assert goes_on(cloud, session)


@pytest.mark.parametrize("program", ["dvmd", "dvm-hostd", "libvirtd"])
def test_killed_while_the_session_ends(cloud, tiny, nothing_left, program):
    session = cloud.json("debug", tiny.name)["session"]
    cloud.dvm("session", "end", session, "--no-wait")
    if program == "libvirtd":
        targets.kill_libvirtd()
    else:
        cloud.kill(program)
    assert settled(cloud, session) == "ended"


def test_disk_is_given_back_when_the_relay_and_dvmd_die(cloud, tiny, nothing_left):
    tiny.off()
    session = cloud.json("debug", tiny.name, "--stack", "disk")["session"]
    cloud.dvm("ssh", session, "--", "target disk attach")
    os.kill(cloud.relay_pid(session), signal.SIGKILL)
    cloud.kill("dvmd")
    assert settled(cloud, session) == "ready"
    assert "t0-vda" in cloud.dvm("ssh", session, "--", "cat /sys/block/*/serial").stdout
    cloud.dvm("session", "end", session)
    tiny.on()
    assert tiny.state() == "running"
