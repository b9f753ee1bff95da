# SPDX-License-Identifier: Apache-2.0
"""dvmd's engine against a scripted dvm-hostd: the straight way, every fault on it, and the death of either at any moment."""
import contextlib
import http.client
import pathlib
import random
import subprocess
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))
from dvmd import KEY, Dvmd, Problem, wait_for  # noqa: E402
from fake_hostd import HOST_KEY, IMAGE, FakeHostd, Fault  # noqa: E402

ACTIONS = ["authorize", "place", "choose-image", "provision", "attach", "release"]


@pytest.fixture
def world(tmp_path):
    (tmp_path / "run").mkdir()
    dvmd, host = Dvmd(tmp_path), FakeHostd(tmp_path / "run/hostd.sock")
    dvmd.configure("[session]\nprovision-deadline = 2\n")
    dvmd.bootstrap()
    yield dvmd, host
    host.stop()
    if dvmd.process and dvmd.process.poll() is None:
        dvmd.stop()


@pytest.fixture
def up(world):
    dvmd, host = world
    host.start()
    dvmd.start()
    host.uuid = host.domain("patient")
    host.vm = wait_for(lambda: adopt(dvmd), what="the host")
    return dvmd, host


def adopt(dvmd):
    try:
        return dvmd.adopt("patient")
    except Problem as problem:
        assert problem.code == "host-away"
        return None


def states(dvmd, session):
    return [step["state"] for step in dvmd.session(session)["timeline"]]


def attachment(row, kind):
    (found,) = [a for a in row["attachments"] if a["kind"] == kind and a["state"] != "gone"]
    return found


def nothing_left(dvmd, host):
    """What every end must come to."""
    assert host.sessions == {}
    assert [v["fenced"] for v in dvmd.ask("GET", "/v1/vms")["items"]] == [False]
    assert dvmd.ask("GET", "/v1/vms")["items"][0]["session"] is None


def test_straight_way(up):
    dvmd, host = up
    session = dvmd.create("patient", stacks=["disk"])
    row = dvmd.wait_state(session, "ready")
    assert row["image"] == IMAGE and row["host_key"] == HOST_KEY and row["fault"] is None
    assert attachment(row, "console")["state"] == "attached" and attachment(row, "console")["mode"] == "rw"
    assert host.sessions[session]["console_modes"] == {host.vm: "rw"}
    assert dvmd.ask("GET", f"/v1/vms/{host.vm}")["session"] == session
    assert host.consoles[host.vm]["up"]
    agent = host.sessions[session]["config"]
    assert agent["hostname"] == session and agent["targets"] == [{"vm": host.vm, "name": "patient"}]
    assert agent["stacks"] == ["disk"] and len(agent["keys"]) == 1 and 3500 < agent["lease_s"] <= 3600
    dvmd.end(session)
    row = dvmd.wait_state(session, "ended")
    assert row["end_reason"] == "user" and row["ended"]
    assert states(dvmd, session) == ["requested", "authorized", "placed", "provisioning", "attaching", "ready",
                                     "detaching", "ended"]
    nothing_left(dvmd, host)
    assert host.recordings[session]  # the recording stays
    assert dvmd.end(session)["state"] == "ended"


def test_disk(up):
    dvmd, host = up
    session = dvmd.create("patient")
    dvmd.wait_state(session, "ready")
    path = f"/v1/sessions/{session}/attachments"
    with pytest.raises(Problem, match="vm-running"):
        dvmd.ask("POST", path, {"kind": "disk", "mode": "rw"})
    assert dvmd.ask("POST", f"/v1/vms/{host.vm}/actions", {"action": "off"})["state"] == "off"
    disk = dvmd.ask("POST", path, {"kind": "disk", "mode": "rw"})
    assert disk["state"] == "attached" and disk["devices"] == ["t0-vda"]
    assert dvmd.ask("POST", path, {"kind": "disk", "mode": "rw"})["id"] == disk["id"]
    with pytest.raises(Problem, match="already-attached"):
        dvmd.ask("POST", path, {"kind": "disk", "mode": "ro"})
    assert dvmd.ask("GET", f"/v1/vms/{host.vm}")["fenced"]
    for action in ("on", "reboot", "reset", "resume"):
        with pytest.raises(Problem, match="vm-fenced"):
            dvmd.ask("POST", f"/v1/vms/{host.vm}/actions", {"action": action})
    assert host.count("domain.power") == 1
    gone = dvmd.ask("DELETE", f"{path}/{disk['id']}")
    assert gone["state"] == "gone" and gone["fault"] is None
    assert not dvmd.ask("GET", f"/v1/vms/{host.vm}")["fenced"]
    assert dvmd.ask("POST", f"/v1/vms/{host.vm}/actions", {"action": "on"})["state"] == "running"
    dvmd.end(session)
    dvmd.wait_state(session, "ended")
    nothing_left(dvmd, host)


def test_disk_from_the_start_and_at_the_end(up):
    dvmd, host = up
    with pytest.raises(Problem, match="vm-running"):
        dvmd.create("patient", attach=["console", "disk"])
    host.set_state(host.uuid, "off")
    wait_for(lambda: dvmd.ask("GET", f"/v1/vms/{host.vm}")["state"] == "off")
    session = dvmd.create("patient", attach=["console", "disk"])
    row = dvmd.wait_state(session, "ready")
    assert attachment(row, "disk")["devices"] == ["t0-vda"]
    dvmd.end(session)
    dvmd.wait_state(session, "ended")
    order = [m for m, _ in host.calls if m in ("detach.disk", "session.release")]
    assert order == ["detach.disk", "session.release"]
    nothing_left(dvmd, host)


def test_ports(up):
    dvmd, host = up
    session = dvmd.create("patient", attach=["serial0"])
    row = dvmd.wait_state(session, "ready")
    assert attachment(row, "serial0")["devices"] == ["ttyS0"] and attachment(row, "serial0")["mode"] == "rw"
    path = f"/v1/sessions/{session}/attachments"
    port = dvmd.ask("POST", path, {"kind": "serial1", "mode": "rw"})
    assert port["state"] == "attached" and port["devices"] == ["ttyS1"]
    assert dvmd.ask("POST", path, {"kind": "serial1", "mode": "rw"})["id"] == port["id"]
    with pytest.raises(Problem, match="already-attached"):
        dvmd.ask("POST", path, {"kind": "serial1", "mode": "ro"})
    # a printer answers nothing, whoever asks for it
    assert dvmd.ask("POST", path, {"kind": "parallel0", "mode": "rw"})["mode"] == "ro"
    assert dvmd.ask("POST", path, {"kind": "serial2"})["mode"] == "ro"
    assert host.sessions[session]["port_modes"] == {"serial0": "rw", "serial1": "rw", "serial2": "r", "parallel0": "r"}
    with pytest.raises(Problem, match="console-unsupported"):
        dvmd.ask("POST", path, {"kind": "serial3"})
    for kind in ("console", "vnc"):
        with pytest.raises(Problem, match="bad-value"):
            dvmd.ask("POST", path, {"kind": kind})
    # one that the host has lost is attached again
    host.sessions[session]["ports"] = host.sessions[session]["ports"][1:]
    host.notify("hypervisor", up=True)
    wait_for(lambda: {"vm": host.vm, "port": "serial0"} in host.sessions[session]["ports"], what="serial0 again")
    host.notify("port.dropped", session=session, name="t0-serial1", bytes=4096)

    def dropped():
        return [e["data"] for e in dvmd.ask("GET", f"/v1/sessions/{session}/timeline")["items"] if e["type"] == "port.dropped"]
    assert wait_for(dropped, what="the event") == [{"port": "t0-serial1", "bytes": 4096}]
    assert dvmd.ask("DELETE", f"{path}/{port['id']}")["state"] == "gone"
    assert {"vm": host.vm, "port": "serial1"} not in host.sessions[session]["ports"]
    # running or not, a port is no reason to keep a VM from starting
    for action in ("off", "on"):
        dvmd.ask("POST", f"/v1/vms/{host.vm}/actions", {"action": action})
    dvmd.end(session)
    dvmd.wait_state(session, "ended")
    nothing_left(dvmd, host)
    # asked for at the start, it is a condition
    failed = dvmd.wait_state(dvmd.create("patient", attach=["serial3"]), "failed")
    assert failed["fault"]["code"] == "console-unsupported"
    nothing_left(dvmd, host)


def test_serial_ports_are_as_many_as_the_dvm_has_room_for(up):
    dvmd, host = up
    for name in ("two", "three"):
        host.domain(name)
        dvmd.adopt(name)
    kinds = ["serial0", "serial1", "serial2"]
    with pytest.raises(Problem, match="quota"):
        dvmd.ask("POST", "/v1/sessions", {"targets": ["patient", "two", "three"], "ssh_key": KEY, "attach": kinds})
    body = {"targets": ["patient", "two", "three"], "ssh_key": KEY, "attach": kinds[:2]}
    session = dvmd.ask("POST", "/v1/sessions", body)["id"]
    dvmd.wait_state(session, "ready")
    path = f"/v1/sessions/{session}/attachments"
    for vm in ("patient", "two"):
        dvmd.ask("POST", path, {"kind": "serial2", "vm": vm})
    with pytest.raises(Problem, match="quota"):
        dvmd.ask("POST", path, {"kind": "serial2", "vm": "three"})
    assert dvmd.ask("POST", path, {"kind": "parallel0", "vm": "three"})["state"] == "attached"


def test_verbs_from_the_dvm(up):
    dvmd, host = up
    other = host.domain("other")
    dvmd.adopt("other")
    session = dvmd.create("patient")
    dvmd.wait_state(session, "ready")
    assert host.verb(session, "power", "off", "patient") == "off"
    assert '"t0-vda"' in host.verb(session, "disk", "attach", "patient", "rw")
    with pytest.raises(Fault, match="vm-fenced"):
        host.verb(session, "power", "on", "patient")
    assert f'"{session}"' in host.verb(session, "info")
    assert '"ttyS1"' in host.verb(session, "port", "attach", "patient", "serial1")
    host.verb(session, "port", "detach", "patient", "serial1")
    with pytest.raises(Fault, match="not-attached"):
        host.verb(session, "port", "detach", "patient", "serial1")
    for name in ("serial9", "disk", "console"):
        with pytest.raises(Fault, match="bad-value"):
            host.verb(session, "port", "attach", "patient", name)
    host.verb(session, "session", "renew")
    with pytest.raises(Fault, match="not-found"):
        host.verb(session, "port", "attach", "other", "serial0")
    with pytest.raises(Fault, match="not-found"):
        host.verb(session, "power", "off", "other")
    assert host.domains[other]["state"] == "running"
    with pytest.raises(Fault, match="not-supported"):
        host.verb(session, "format", "patient")
    host.verb(session, "disk", "detach", "patient")
    with pytest.raises(Fault, match="not-attached"):
        host.verb(session, "disk", "detach", "patient")
    host.verb(session, "session", "end")
    assert dvmd.wait_state(session, "ended")["end_reason"] == "session"
    with pytest.raises(Fault, match="session-ended|not-found"):
        host.verb(session, "session", "renew")


def test_one_session_a_vm(up):
    dvmd, host = up
    session = dvmd.create("patient")
    with pytest.raises(Problem, match=f"vm-in-session.*{session}"):
        dvmd.create("patient")
    with pytest.raises(Problem, match="vm-in-session"):
        dvmd.ask("DELETE", f"/v1/vms/{host.vm}")
    dvmd.end(session)
    dvmd.wait_state(session, "ended")
    session = dvmd.create("patient")
    dvmd.wait_state(session, "ready")


@pytest.mark.parametrize("method,code,expected", [
    ("dvm.ensure", "dvm-timeout", "dvm-timeout"),
    ("dvm.ensure", "image-damaged", "image-damaged"),
    ("dvm.ensure", "hypervisor-away", "hypervisor-away"),
    ("image.list", "internal", "internal"),
])
def test_faults_fail_the_session(up, method, code, expected):
    dvmd, host = up
    host.fault(method, code, None)
    session = dvmd.create("patient")
    row = dvmd.wait_state(session, "failed")
    assert row["fault"]["code"] == expected and row["fault"]["hint"]
    assert row["end_reason"] == "fault"
    assert "detaching" in states(dvmd, session)
    nothing_left(dvmd, host)


@pytest.mark.parametrize("method", ["host.info", "image.list", "dvm.ensure", "attach.console", "session.release"])
@pytest.mark.parametrize("code", ["host-away", "hypervisor-away", "timeout", "relay-lost"])
def test_what_passes_is_tried_again(up, method, code):
    dvmd, host = up
    host.fault(method, code, 2)
    session = dvmd.create("patient")
    dvmd.wait_state(session, "ready")
    dvmd.end(session)
    dvmd.wait_state(session, "ended")
    assert host.count(method) >= 3
    nothing_left(dvmd, host)


def test_wrong_wishes(up):
    dvmd, host = up
    for body, code in [({"image": "nonesuch"}, "image-missing"), ({"stacks": ["nonesuch"]}, "stack-missing"),
                       ({"placement": "other"}, "no-capacity")]:
        session = dvmd.create("patient", **body)
        assert dvmd.wait_state(session, "failed")["fault"]["code"] == code
    host.memory_free_mib = 10
    session = dvmd.create("patient")
    assert dvmd.wait_state(session, "failed")["fault"]["code"] == "no-capacity"
    with pytest.raises(Problem, match="bad-value"):
        dvmd.create("patient", ssh_key="ssh-ed25519 AAAA\nssh-ed25519 BBBBBBBBBBBBBBBBBBBB")
    with pytest.raises(Problem, match="not-found"):
        dvmd.create("nonesuch")


def test_console_that_cannot_be_had(up):
    """A target without a console is still worth a session."""
    dvmd, host = up
    host.fault("attach.console", "console-unsupported")
    session = dvmd.create("patient")
    row = dvmd.wait_state(session, "ready")
    console = next(a for a in row["attachments"] if a["kind"] == "console")
    assert console["state"] == "gone" and console["fault"]["code"] == "console-unsupported"
    assert attachment(row, "vnc")["state"] == "attached"


def test_disk_that_cannot_be_had(up):
    dvmd, host = up
    session = dvmd.create("patient")
    dvmd.wait_state(session, "ready")
    dvmd.ask("POST", f"/v1/vms/{host.vm}/actions", {"action": "off"})
    host.fault("attach.disk", "hypervisor-failed")
    with pytest.raises(Problem, match="hypervisor-failed"):
        dvmd.ask("POST", f"/v1/sessions/{session}/attachments", {"kind": "disk", "mode": "rw"})
    assert not dvmd.ask("GET", f"/v1/vms/{host.vm}")["fenced"]
    assert dvmd.session(session)["state"] == "ready"
    host.fault("attach.disk", "hypervisor-failed")
    dvmd.end(session)
    dvmd.wait_state(session, "ended")
    # asked for at the start, it is a condition
    session = dvmd.create("patient", attach=["disk"])
    assert dvmd.wait_state(session, "failed")["fault"]["code"] == "hypervisor-failed"
    nothing_left(dvmd, host)


def test_started_behind_our_back(up):
    dvmd, host = up
    session = dvmd.create("patient")
    dvmd.wait_state(session, "ready")
    dvmd.ask("POST", f"/v1/vms/{host.vm}/actions", {"action": "off"})
    dvmd.ask("POST", f"/v1/sessions/{session}/attachments", {"kind": "disk", "mode": "rw"})
    host.set_state(host.uuid, "running")
    wait_for(lambda: not dvmd.ask("GET", f"/v1/vms/{host.vm}")["fenced"], what="the fence to go")
    disk = [a for a in dvmd.session(session)["attachments"] if a["kind"] == "disk"][0]
    assert disk["state"] == "gone" and disk["fault"]["code"] == "vm-running"
    events = dvmd.ask("GET", f"/v1/sessions/{session}/timeline")["items"]
    assert any(e["type"] == "vm.unfenced" for e in events)


def test_end_at_any_time(up):
    dvmd, host = up
    for method in ("host.info", "image.list", "dvm.ensure", "attach.console"):
        host.delays = {method: 1}
        before = host.count(method)
        session = dvmd.create("patient")
        wait_for(lambda: host.count(method) > before, what=method)
        dvmd.end(session)
        host.delays = {}
        assert dvmd.wait_state(session, "ended")["fault"] is None
        time.sleep(1.2)  # what was under way comes to its end and makes a D-VM nobody asked for
        host.notify("hypervisor", up=True)
        wait_for(lambda: not host.sessions, what="the orphan to go")
        nothing_left(dvmd, host)


def test_relay_lost(up):
    dvmd, host = up
    session = dvmd.create("patient")
    dvmd.wait_state(session, "ready")
    host.lose_relay(session)
    wait_for(lambda: states(dvmd, session)[-2:] == ["attaching", "ready"], what="ready again")
    assert host.sessions[session]["consoles"] == [host.vm]


def test_dvm_lost(up):
    dvmd, host = up
    session = dvmd.create("patient")
    dvmd.wait_state(session, "ready")
    host.lose_dvm(session)
    assert dvmd.wait_state(session, "failed")["fault"]["code"] == "dvm-lost"
    nothing_left(dvmd, host)


def test_lease(world):
    dvmd, host = world
    host.start()
    host.domain("patient")
    dvmd.start()
    wait_for(lambda: adopt(dvmd))
    session = dvmd.create("patient", lease_s=1)
    row = dvmd.wait_state(session, "ready")
    assert row["lease_s"] == 60  # the shortest
    first = row["lease_expires"]
    renewed = dvmd.ask("POST", f"/v1/sessions/{session}/renew", {"lease_s": 7200})
    assert renewed["lease_s"] == 7200 and renewed["lease_expires"] > first
    wait_for(lambda: host.sessions[session]["config"]["lease_s"] > 7000, what="the D-VM to know")
    dvmd.stop()
    # the lease ran out while nobody looked
    subprocess.run(["sqlite3", str(dvmd.state / "store.sqlite"),
                    "UPDATE sessions SET lease_expires = lease_expires - 7200 * 1000000"], check=True)
    dvmd.start()
    row = dvmd.wait_state(session, "ended")
    assert row["end_reason"] == "lease-expired"
    assert host.sessions == {}
    with pytest.raises(Problem, match="lease-expired"):
        dvmd.ask("POST", f"/v1/sessions/{session}/renew", {})


def test_lease_warning(up):
    dvmd, host = up
    session = dvmd.create("patient", lease_s=60)
    dvmd.wait_state(session, "ready")
    dvmd.stop()
    subprocess.run(["sqlite3", str(dvmd.state / "store.sqlite"),
                    "UPDATE sessions SET lease_expires = lease_expires - 46 * 1000000"], check=True)
    dvmd.start()

    def warned():
        events = dvmd.ask("GET", f"/v1/sessions/{session}/timeline")["items"]
        return any(e["type"] == "session.lease-warning" for e in events)
    wait_for(warned, what="the warning")
    assert dvmd.session(session)["state"] == "ready"


def test_host_comes_late_and_goes(world):
    dvmd, host = world
    dvmd.start()
    status, health = dvmd.request("GET", "/healthz")
    assert status == 503 and health["components"]["host"] == "down"
    host.domain("patient")
    host.start()
    wait_for(lambda: adopt(dvmd), what="the host")
    session = dvmd.create("patient")
    dvmd.wait_state(session, "ready")
    host.stop()
    wait_for(lambda: dvmd.request("GET", "/healthz")[0] == 503)
    assert dvmd.session(session)["state"] == "ready"  # nobody lost anything
    dvmd.end(session)
    time.sleep(0.3)
    assert dvmd.session(session)["state"] == "detaching"
    host.start()
    dvmd.wait_state(session, "ended")
    nothing_left(dvmd, host)


def test_host_never_comes(world):
    dvmd, host = world
    host.domain("patient")
    host.start()
    dvmd.start()
    wait_for(lambda: adopt(dvmd))
    host.stop()
    session = dvmd.create("patient")
    wait_for(lambda: dvmd.session(session)["state"] == "detaching", what="giving up")
    assert dvmd.session(session)["fault"]["code"] == "host-away"
    host.start()
    dvmd.wait_state(session, "failed")


@pytest.mark.parametrize("change", ["dvm", "relay", "consoles", "displays", "disks"])
def test_reconcile_finds_what_was_lost(up, change):
    """While dvmd is away the world goes on."""
    dvmd, host = up
    host.set_state(host.uuid, "off")
    session = dvmd.create("patient", attach=["disk"]) if change == "disks" else dvmd.create("patient")
    dvmd.wait_state(session, "ready")
    dvmd.kill()
    if change == "dvm":
        host.lose_dvm(session, tell=False)
    elif change == "relay":
        host.sessions[session].update(relay=False, consoles=[], displays=[])
    else:
        host.sessions[session][change] = []
    calls = len(host.calls)
    dvmd.start()
    if change == "dvm":
        assert dvmd.wait_state(session, "failed")["fault"]["code"] == "dvm-lost"
        nothing_left(dvmd, host)
        return
    if change == "relay":
        dvmd.wait_state(session, "attaching")
        host.sessions[session]["relay"] = True
        host.notify("relay.back", session=session, vm=None)
    wait_for(lambda: host.sessions[session]["consoles"] == [host.vm], what="the console")
    wait_for(lambda: host.sessions[session]["displays"] == [host.vm], what="the display")
    if change == "disks":
        wait_for(lambda: host.sessions[session]["disks"], what="the disk")
    dvmd.wait_state(session, "ready")
    assert not any(m == "session.release" for m, _ in host.calls[calls:])


def test_reconcile_removes_orphans(up):
    dvmd, host = up
    dvmd.kill()
    host.sessions["s-orphan000"] = {"dvm": "running", "relay": True, "agent": True, "disks": [], "consoles": []}
    host.consoles["v-orphan000"] = {"vm": "v-orphan000", "domain": "x", "up": True, "offset": 0}
    host.consoles.pop(host.vm)
    dvmd.start()
    wait_for(lambda: not host.sessions, what="the orphan to go")
    wait_for(lambda: set(host.consoles) == {host.vm}, what="consoles")


def test_dvm_found_lost_while_attaching(up):
    dvmd, host = up
    host.fault("attach.console", "dvm-lost")
    session = dvmd.create("patient")
    assert dvmd.wait_state(session, "failed")["fault"]["code"] == "dvm-lost"
    nothing_left(dvmd, host)


def test_console_relay_was_lost(up):
    dvmd, host = up
    host.consoles.clear()
    session = dvmd.create("patient")
    assert attachment(dvmd.wait_state(session, "ready"), "console")["state"] == "attached"
    assert host.vm in host.consoles
    # a console's relay that died is another one afterwards: linked again
    host.sessions[session].update(consoles=[], displays=[])
    host.notify("relay.back", session=None, vm=host.vm)
    for kind in ("consoles", "displays"):
        wait_for(lambda k=kind: host.sessions[session][k] == [host.vm], what="the link")


def test_vm_gone_and_changed_meanwhile(up):
    dvmd, host = up
    other = host.domain("other")
    vm = dvmd.adopt("other")
    dvmd.kill()
    host.set_state(host.uuid, "paused")
    del host.domains[other]
    dvmd.start()
    wait_for(lambda: dvmd.ask("GET", f"/v1/vms/{host.vm}")["state"] == "paused")
    wait_for(lambda: dvmd.ask("GET", f"/v1/vms/{vm}")["state"] == "gone")
    with pytest.raises(Problem, match="vm-gone"):
        dvmd.ask("POST", f"/v1/vms/{vm}/actions", {"action": "on"})
    with pytest.raises(Problem, match="vm-gone"):
        dvmd.create("other")


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_killed_at_every_action(up, when, action):
    """kill -9 of dvmd, then a new one: ready, or a clean end."""
    dvmd, host = up
    host.set_state(host.uuid, "off")
    wait_for(lambda: dvmd.ask("GET", f"/v1/vms/{host.vm}")["state"] == "off")
    if action == "release":
        session = dvmd.create("patient", attach=["disk"])
        dvmd.wait_state(session, "ready")
        dvmd.arm(f"engine.{when}.{action}=kill")
        dvmd.end(session)
    else:
        dvmd.arm(f"engine.{when}.{action}=kill")
        session = dvmd.create("patient", attach=["disk"])
    dvmd.wait_killed()
    dvmd.disarm()
    dvmd.start()
    if action != "release":
        row = dvmd.wait_state(session, "ready")
        assert attachment(row, "disk")["state"] == "attached"
        assert len(host.sessions) == 1
        dvmd.end(session)
    assert dvmd.wait_state(session, "ended", "failed")["state"] == "ended"
    nothing_left(dvmd, host)


def test_killed_at_random(up):
    """Not at places we thought of: 30 deaths at random moments of one session's life."""
    dvmd, host = up
    chance = random.Random(4711)
    host.set_state(host.uuid, "off")
    wait_for(lambda: dvmd.ask("GET", f"/v1/vms/{host.vm}")["state"] == "off")
    session = dvmd.create("patient", attach=["disk"])
    for step in range(30):
        time.sleep(chance.random() * 0.05)
        if step == 15:
            dvmd.wait_state(session, "ready")
            with contextlib.suppress(OSError, http.client.HTTPException):
                dvmd.end(session)
        dvmd.kill()
        dvmd.start()
    assert dvmd.wait_state(session, "ended", "failed")["state"] == "ended"
    nothing_left(dvmd, host)


def test_definition_goes_away(up):
    """libvirt tells that without a state."""
    dvmd, host = up
    host.notify("domain.changed", uuid=host.uuid, state="unknown", event="undefined")
    time.sleep(0.2)
    assert dvmd.ask("GET", f"/v1/vms/{host.vm}")["state"] == "running"
    del host.domains[host.uuid]
    host.notify("domain.changed", uuid=host.uuid, state="unknown", event="undefined")
    wait_for(lambda: dvmd.ask("GET", "/v1/vms")["items"][0]["state"] == "gone")


def test_console_is_only_watched_without_the_right_to_type(up):
    dvmd, host = up
    dvmd.ask("POST", "/v1/users", {"name": "bob"})
    dvmd.ask("PUT", "/v1/projects/default/members/bob", {"rights": ["view", "debug"]})
    token = dvmd.ask("POST", "/v1/tokens", {"user": "bob"})["token"]
    session = dvmd.ask("POST", "/v1/sessions", {"targets": ["patient"], "ssh_key": KEY}, token=token)["id"]
    row = dvmd.wait_state(session, "ready")
    assert attachment(row, "console")["mode"] == "ro" and attachment(row, "console")["state"] == "attached"
    assert host.sessions[session]["console_modes"] == {host.vm: "r"}
    assert attachment(row, "vnc")["mode"] == "ro" and host.sessions[session]["display_modes"] == {host.vm: "r"}
    with pytest.raises(Problem, match="forbidden"):
        dvmd.ask("POST", f"/v1/sessions/{session}/attachments", {"kind": "serial0", "mode": "rw"}, token=token)
    host.verb(session, "port", "attach", "patient", "serial0")
    assert host.sessions[session]["port_modes"] == {"serial0": "r"}
    with pytest.raises(Fault, match="forbidden"):
        host.verb(session, "power", "off", "patient")
    with pytest.raises(Fault, match="forbidden"):
        host.verb(session, "disk", "attach", "patient", "ro")


@pytest.mark.parametrize("method", ["dvm.ensure", "attach.console", "attach.disk", "attach.port", "detach.disk", "session.release"])
def test_host_killed_in_the_middle(up, method):
    """dvm-hostd dies with our question; what it had begun may be done or not."""
    dvmd, host = up
    host.set_state(host.uuid, "off")
    wait_for(lambda: dvmd.ask("GET", f"/v1/vms/{host.vm}")["state"] == "off")
    host.delays = {method: 0.3}
    session = dvmd.create("patient", attach=["disk", "serial1"])
    if method in ("detach.disk", "session.release"):
        dvmd.wait_state(session, "ready")
        dvmd.end(session)
    wait_for(lambda: host.count(method), what=method)
    host.stop()
    time.sleep(0.5)
    host.delays = {}
    host.start()
    if method not in ("detach.disk", "session.release"):
        dvmd.wait_state(session, "ready")
        dvmd.end(session)
    assert dvmd.wait_state(session, "ended", "failed")["state"] == "ended"
    nothing_left(dvmd, host)


def test_store_fails(up):
    """A record that cannot be written: a clear fault, and everything as it was."""
    dvmd, host = up
    dvmd.arm("store.commit=error:ENOSPC")
    with pytest.raises(Problem, match="store-full") as refused:
        dvmd.create("patient")
    assert refused.value.status == 507
    with pytest.raises(Problem, match="store-full"):
        dvmd.ask("POST", f"/v1/vms/{host.vm}/actions", {"action": "off"})
    assert host.domains[host.uuid]["state"] == "running" and host.count("domain.power") == 0
    dvmd.disarm()
    assert dvmd.ask("GET", "/v1/sessions")["items"] == []
    session = dvmd.create("patient")
    dvmd.wait_state(session, "ready")
    dvmd.arm("store.commit=error:ENOSPC")
    with pytest.raises(Problem, match="store-full"):
        dvmd.end(session)
    assert dvmd.session(session)["state"] == "ready" and session in host.sessions
    host.lose_dvm(session)  # nobody can write it down now
    time.sleep(0.5)
    assert dvmd.session(session)["state"] == "ready"
    dvmd.disarm()
    assert dvmd.wait_state(session, "failed")["fault"]["code"] == "dvm-lost"
    nothing_left(dvmd, host)


def test_audit_and_events(up):
    dvmd, host = up
    session = dvmd.create("patient")
    dvmd.wait_state(session, "ready")
    dvmd.ask("POST", f"/v1/vms/{host.vm}/actions", {"action": "off"}, X_Request_Id="r-42")
    host.set_state(host.uuid, "running")
    dvmd.end(session)
    dvmd.wait_state(session, "ended")
    audit = dvmd.ask("GET", "/v1/audit")["items"]
    assert [a["action"] for a in audit if a["outcome"] == "ok"] == ["vm.adopt", "session.create", "vm.power",
                                                                   "session.end"]
    (power,) = [a for a in audit if a["action"] == "vm.power"]
    assert power["user"] == "admin" and power["object"] == host.vm and power["request"] == "r-42"
    timeline = dvmd.ask("GET", f"/v1/sessions/{session}/timeline")["items"]
    assert {"session.state", "session.progress", "attachment.state"} <= {e["type"] for e in timeline}


def test_tickets(up):
    dvmd, host = up
    session = dvmd.create("patient")
    with pytest.raises(Problem, match="session-not-ready"):
        host.delays = {"dvm.ensure": 0.5}
        dvmd.ask("POST", f"/v1/sessions/{session}/streams", {"kind": "ssh"})
    host.delays = {}
    dvmd.wait_state(session, "ready")
    ssh = dvmd.ask("POST", f"/v1/sessions/{session}/streams", {"kind": "ssh", "raw": True})
    assert ssh["service"] == "ssh" and host.grants[-1] == {"relay": session, "ticket": ssh["ticket"], "service": "ssh",
                                                           "mode": "rw", "raw": True}
    console = dvmd.ask("POST", f"/v1/sessions/{session}/streams", {"kind": "console", "mode": "rw"})
    assert console["service"] == "console/patient" and host.grants[-1]["relay"] == session
    plain = dvmd.ask("POST", f"/v1/vms/{host.vm}/streams", {"kind": "console"})
    assert plain["service"] == "console" and host.grants[-1]["relay"] == host.vm and host.grants[-1]["mode"] == "r"


def test_full_disk(world, tmp_path):
    """A real one: the record on a file system of its own that fills up."""
    dvmd, host = world
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(small)]).returncode != 0:
        pytest.fail("this test mounts a file system: run it as root")
    try:
        dvmd = Dvmd(small)
        (small / "run").mkdir()
        dvmd.log, dvmd.failpoints = tmp_path / "log", tmp_path / "failpoints"
        dvmd.bootstrap()
        host = FakeHostd(small / "run/hostd.sock").start()
        host.domain("patient")
        dvmd.start()
        wait_for(lambda: adopt(dvmd))
        filler = small / "filler"
        with open(filler, "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"x" * 4096)
            except OSError:
                pass
        # what is free inside the record's own files is used up first
        for _ in range(2000):
            try:
                dvmd.ask("POST", "/v1/projects", {"name": f"p{time.monotonic_ns()}"})
            except Problem as problem:
                assert problem.code == "store-full", problem.body
                break
        else:
            pytest.fail("the disk never filled up")
        with pytest.raises(Problem, match="store-full"):
            dvmd.create("patient")
        assert dvmd.ask("GET", "/v1/sessions")["items"] == []
        assert dvmd.ask("GET", "/v1/vms")["items"][0]["session"] is None
        filler.unlink()
        session = dvmd.create("patient")
        dvmd.wait_state(session, "ready")
        dvmd.end(session)
        dvmd.wait_state(session, "ended")
        host.stop()
        dvmd.stop()
    finally:
        if dvmd.process and dvmd.process.poll() is None:
            dvmd.kill()
        subprocess.run(["umount", "-l", str(small)], check=True)
