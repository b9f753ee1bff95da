# SPDX-License-Identifier: Apache-2.0
"""dvmd, dvm-hostd, relays and the agent together, on the fake hypervisor: each of them dies in each state of a session, and it
always comes to `ready` or to a clean end."""
import contextlib
import os
import pathlib
import signal
import sys

import pytest

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "lib"), str(TESTS / "integration/lib")]
import hosttest  # noqa: E402
from dvmd import Dvmd, Problem, wait_for  # noqa: E402

# Where dvmd can be held, so that another program can be killed in that state.
HOLDS = ["before.authorize", "before.place", "before.choose-image", "before.provision", "after.provision",
         "before.attach", "after.attach", "ready", "before.release", "after.release"]


class Stack:
    def __init__(self, host):
        self.host = host
        self.dvmd = Dvmd(host.state)
        self.dvmd.failpoints = host.folder / "dvmd-failpoints"
        self.dvmd.bootstrap()
        self.dvmd.start()
        self.uuid = host.fake.call("script.define", name="patient", disks=[{"dev": "vda"}], ports=["serial1"])["uuid"]
        self.vm = wait_for(self.adopt, what="the host")

    def adopt(self):
        try:
            return self.dvmd.adopt("patient")
        except Problem as problem:
            assert problem.code == "host-away"
            return None

    def relay(self, name):
        return self.host.relay_pids().get(name)

    def nothing_left(self):
        assert self.host.call("session.list")["sessions"] == []
        assert set(self.host.relay_pids()) <= {self.vm}
        assert not list((self.host.state / "run/dvm").glob("s-*"))
        # One that is to become a memory image is no session's.
        assert not [d for d in self.host.fake.call("domain.list")["domains"] if d["session"].startswith("s-")]
        assert not self.dvmd.ask("GET", f"/v1/vms/{self.vm}")["fenced"]

    def finish(self, session):
        self.dvmd.end(session)
        row = self.dvmd.wait_state(session, "ended", "failed", timeout=60)
        self.nothing_left()
        return row


@pytest.fixture
def stack():
    with hosttest.Host() as host:
        hosttest.image_make(host.state / "images")
        s = Stack(host)
        yield s
        with contextlib.suppress(Problem):
            s.dvmd.ask("DELETE", f"/v1/vms/{s.vm}")
        s.dvmd.stop()


def test_dvm_started_anew_has_another_key(stack):
    """Its user reboots it: the key it then makes is the one that is shown, also where nobody listened."""
    session = stack.dvmd.create("patient")
    first = stack.dvmd.wait_state(session, "ready", "failed")["host_key"]

    def restart():
        for key in (stack.host.folder / "fakevirt.d" / f"agent-{session}").glob("host_key*"):
            key.unlink()
        stack.host.fake.call("script.dvm_end", session=session, how="agent")

    def key():
        return stack.dvmd.ask("GET", f"/v1/sessions/{session}")["host_key"]

    restart()
    wait_for(lambda: key() != first, what="the new key")
    second = key()
    events = stack.dvmd.ask("GET", f"/v1/sessions/{session}/timeline")["items"]
    assert [e["data"] for e in events if e["type"] == "session.host-key"] == [{"host_key": second}]
    stack.dvmd.kill()
    restart()
    wait_for(lambda: (stack.host.session(session) or {}).get("host_key") not in (None, second), what="the third key")
    stack.dvmd.start()
    wait_for(lambda: key() not in (first, second), what="dvmd to hear of it")
    stack.finish(session)


def test_memory_images_are_made_whenever_the_host_comes(stack):
    """One for a D-VM without stacks, one with the image's only stack."""
    folder = stack.host.state / "memory"

    def made():
        return len([p for p in folder.iterdir() if not p.name.endswith(".part")]) == 2

    for _ in range(3):
        wait_for(made, what="the memory images", timeout=60)
        for path in folder.iterdir():
            path.unlink()
        stack.host.restart()
    wait_for(made, what="the memory images", timeout=60)


def test_straight_way(stack):
    session = stack.dvmd.create("patient", stacks=["disk"], attach=["console", "disk", "serial1"])
    row = stack.dvmd.wait_state(session, "ready", "failed")
    assert row["state"] == "ready", row["fault"]
    assert sorted((a["kind"], a["state"]) for a in row["attachments"]) == [("console", "attached"), ("disk", "attached"), ("gdb", "attached"),
                                                                           ("serial1", "attached"), ("vnc", "attached")]
    disk = [a for a in row["attachments"] if a["kind"] == "disk"][0]
    stack.dvmd.ask("DELETE", f"/v1/sessions/{session}/attachments/{disk['id']}")
    assert stack.dvmd.ask("POST", f"/v1/vms/{stack.vm}/actions", {"action": "on"})["state"] == "running"
    assert b"login: " in stack.host.read_console(stack.vm, b"login: ")
    assert stack.finish(session)["state"] == "ended"
    names = [r["name"] for r in stack.dvmd.ask("GET", f"/v1/sessions/{session}/recordings")["items"]]
    assert names == ["patient"]


def hold(stack, where):
    """A session that stands there, with dvmd asleep; for `ready`, awake."""
    ending = where.endswith("release")
    if ending or where == "ready":
        session = stack.dvmd.create("patient", attach=["disk", "serial1"])
        stack.dvmd.wait_state(session, "ready")
        if where == "ready":
            return session
    stack.dvmd.arm(f"engine.{where}=once-sleep:1500")
    if ending:
        stack.dvmd.end(session)
    else:
        session = stack.dvmd.create("patient", attach=["disk", "serial1"])
    wait_for(lambda: not stack.dvmd.failpoints.exists(), what="dvmd to be there")
    return session


def kill(stack, program, session):
    if program == "dvmd":
        stack.dvmd.kill()
        stack.dvmd.start()
    elif program == "dvm-hostd":
        stack.host.restart()
    else:
        pid = stack.relay(session if program == "session relay" else stack.vm)
        if not pid:
            assert program == "session relay"
            return
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("program", ["dvmd", "dvm-hostd", "session relay", "console relay"])
@pytest.mark.parametrize("where", HOLDS)
def test_killed(stack, where, program):
    session = hold(stack, where)
    kill(stack, program, session)
    if not where.endswith("release"):
        row = stack.dvmd.wait_state(session, "ready", "failed", timeout=60)
        assert row["state"] == "ready", row["fault"]

        def attached():
            rows = stack.dvmd.session(session)
            return rows["state"] == "ready" and all(a["state"] == "attached" for a in rows["attachments"])
        wait_for(attached, what="everything attached")
        wait_for(lambda: stack.host.session(session)["relay"], what="the relay")
    row = stack.finish(session)
    assert row["state"] == "ended", row["fault"]


def test_a_stack_for_a_session_that_runs(stack):
    session = stack.dvmd.create("patient")
    stack.dvmd.wait_state(session, "ready")
    path = f"/v1/sessions/{session}/stacks"
    assert stack.dvmd.ask("POST", path, {"name": "disk"})["stacks"] == ["disk"]
    assert stack.dvmd.ask("POST", path, {"name": "disk"})["stacks"] == ["disk"], "it is there already"
    events = stack.dvmd.ask("GET", f"/v1/sessions/{session}/timeline")["items"]
    assert [e["data"]["detail"] for e in events if e["data"].get("step") == "stack"] == ["Stack disk was added"]
    stack.finish(session)
