# SPDX-License-Identifier: Apache-2.0
"""dvm-hostd on the fake hypervisor, with the real relay and the real agent: each method, again, and after each death."""

import base64
import contextlib
import json
import os
import pathlib
import signal
import sys
import threading
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import hosttest
import rfb
import rpc
from hosttest import wait_for

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "lib"))
import peer  # noqa: E402

SESSION, VM = "s-1", "v-1"
AGENT = {
    "hostname": "dvm", "keys": [], "lease_s": 600, "stacks": ["base", "disk"],
    "targets": [{"vm": VM, "name": "patient"}],
}


@pytest.fixture
def host():
    with hosttest.Host() as h:
        hosttest.image_make(h.state / "images")
        yield h


@pytest.fixture
def target(host):
    return host.fake.call("script.define", name="patient", disks=[{"dev": "vda"}, {"dev": "sda", "cdrom": True}])["uuid"]


def ensure(host, **changes):
    params = dict(session=SESSION, image="default", stacks=["base", "disk"], memory_mib=256, vcpus=1,
                  boot_timeout_ms=20000, agent=AGENT)
    params.update(changes)
    return host.call("dvm.ensure", **params)


def fault_of(function, *args, **params):
    with pytest.raises(rpc.Fault) as caught:
        function(*args, **params)
    assert caught.value.message and "/" not in caught.value.message, "no path in a fault's text"
    return caught.value.code


def power(host, uuid, verb):
    return host.call("domain.power", domain=uuid, vm=VM, verb=verb)["state"]


def test_domains_are_shown(host, target):
    assert host.call("domain.list")["domains"] == [
        {"uuid": target, "name": "patient", "state": "off", "dvm_session": None}]
    domain = host.call("domain.get", domain="patient")
    assert domain["uuid"] == target
    assert [d["kind"] for d in domain["disks"]] == ["disk", "cdrom"]
    assert fault_of(host.call, "domain.get", domain="nobody") == "vm-gone"
    assert fault_of(host.call, "domain.get") == "bad-value"
    assert fault_of(host.call, "no.such") == "not-supported"


def test_hello_comes_first(host):
    peer = rpc.Peer(host.state / "run/hostd.sock", hello=False)
    assert fault_of(peer.call, "host.info") == "protocol"
    assert fault_of(peer.call, "hello", protocol=99, program="dvmd") == "protocol"
    peer.close()


def test_power_converges(host, target):
    for verb, state in [("on", "running"), ("on", "running"), ("pause", "paused"), ("pause", "paused"),
                        ("resume", "running"), ("resume", "running"), ("reset", "running"), ("reboot", "running"),
                        ("nmi", "running"), ("off", "off"), ("off", "off"), ("shutdown", "off")]:
        assert power(host, target, verb) == state, verb
    for verb in ("reset", "pause", "resume", "nmi", "reboot"):
        assert fault_of(power, host, target, verb) == "vm-not-running"
    assert fault_of(power, host, target, "explode") == "bad-value"


def test_held_before_its_first_instruction(host, target):
    host.call("console.ensure", vm=VM, domain=target)

    def held(verb):
        return host.call("domain.power", domain=target, vm=VM, verb=verb, hold=True)["state"]

    assert held("on") == "paused"
    assert host.console(VM)["up"], "its console is there already"
    assert power(host, target, "resume") == "running"
    assert host.read_console(VM, b"login: ").startswith(b"Firmware 1.0")
    assert held("reset") == "paused"
    assert power(host, target, "resume") == "running"
    host.read_console(VM, b"login: ", times=2)


def test_console_has_every_byte_from_power_on(host, target):
    assert host.call("console.ensure", vm=VM, domain=target) == {"up": False, "offset": 0}
    assert host.call("console.ensure", vm=VM, domain=target) == {"up": False, "offset": 0}
    assert power(host, target, "on") == "running"
    data = host.read_console(VM, b"login: ")
    assert data.startswith(b"Firmware 1.0, press F12 for menu\r\nBooting")
    assert host.call("console.ensure", vm=VM, domain=target)["up"]
    assert host.console(VM)["offset"] == len(data)


def test_console_follows_a_start_behind_our_back(host, target):
    host.call("console.ensure", vm=VM, domain=target)
    for _ in range(3):
        for verb in ("on", "resume"):
            host.fake.call("domain.power", domain=target, verb=verb)
        host.peer.wait_notice("domain.changed", uuid=target, event="started")
        wait_for(lambda: host.console(VM)["up"], "the console")
        host.fake.call("script.print", domain=target, text="after the start")
        host.read_console(VM, b"after the start")
        host.fake.call("domain.power", domain=target, verb="off")
        wait_for(lambda: not host.console(VM)["up"], "the console's end")


def test_console_outlives_hostd_and_its_own_relay(host, target):
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    before = host.read_console(VM, b"login: ")
    pid = host.relay_pids()[VM]
    host.restart()
    assert host.relay_pids()[VM] == pid
    wait_for(lambda: host.console(VM)["up"], "the console")
    host.fake.call("script.print", domain=target, text="[one]")
    assert host.read_console(VM, b"[one]").startswith(before)
    os.kill(pid, signal.SIGKILL)
    host.peer.wait_notice("relay.lost", vm=VM)
    host.peer.wait_notice("relay.back", vm=VM)
    wait_for(lambda: host.console(VM)["up"], "the console")
    host.fake.call("script.print", domain=target, text="[two]")
    assert host.read_console(VM, b"[two]").startswith(before)
    assert host.relay_pids()[VM] != pid


def test_relay_that_died_while_hostd_was_away(host, target):
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    host.read_console(VM, b"login: ")
    host.hostd.kill()
    os.kill(host.relay_pids()[VM], signal.SIGKILL)
    host.start()
    wait_for(lambda: host.console(VM)["up"], "the console")


def test_session_from_start_to_end(host):
    first = ensure(host)
    assert first["host_key"].startswith("ssh-ed25519 ")
    assert ensure(host) == first
    assert host.session(SESSION) == {
        "session": SESSION, "dvm": "running", "relay": True, "agent": True, "host_key": first["host_key"],
        "disks": [], "consoles": [], "displays": [], "gdbs": [], "ports": [], "memories": []}
    assert host.call("dvm.config", session=SESSION, agent=AGENT) == {}
    assert host.call("session.release", session=SESSION) == {}
    assert host.call("session.release", session=SESSION) == {}
    assert host.session(SESSION) is None
    assert fault_of(host.call, "dvm.config", session=SESSION, agent=AGENT) == "not-found"


def test_session_outlives_hostd(host):
    first = ensure(host)
    pid = host.relay_pids()[SESSION]
    host.restart()
    assert ensure(host) == first
    host.restart(kill=False)
    assert ensure(host) == first
    assert host.relay_pids()[SESSION] == pid


def test_session_outlives_its_relay(host, target):
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    first = ensure(host)
    host.call("attach.console", session=SESSION, vm=VM, name="patient", mode="rw", record=True)
    wait_for(lambda: b"login: " in recording(host), "the recording")
    os.kill(host.relay_pids()[SESSION], signal.SIGKILL)
    host.peer.wait_notice("relay.lost", session=SESSION)
    host.peer.wait_notice("relay.back", session=SESSION)
    wait_for(lambda: host.session(SESSION)["agent"], "the agent")
    assert ensure(host) == first
    host.fake.call("script.print", domain=target, text="[later]")
    wait_for(lambda: b"[later]" in recording(host), "the recording to go on")


def test_break_goes_to_the_hypervisor(host, target):
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    host.read_console(VM, b"login: ")
    ticket = os.urandom(32).hex()[:43]
    granted = host.call("stream.grant", relay=VM, ticket=ticket, service="console", mode="rw", raw=False, ttl_ms=5000)
    sock, _ = peer.show_ticket(granted["path"], ticket)
    tunnel = peer.Tunnel(sock, peer.DIALER)
    channel = tunnel.open("console", mode=3)
    tunnel.ctl(channel, peer.BREAK)
    tunnel.wait(lambda: channel.broke == [True])
    tunnel.wait(lambda: channel.data.endswith(b"[break]"))
    host.fake.call("script.fail", method="domain.break", count=1, code="not-supported")
    tunnel.ctl(channel, peer.BREAK)
    tunnel.wait(lambda: channel.broke == [True, False])
    tunnel.close()


def console_mode(host, ask=7):
    """What a user gets of the console through the session's relay."""
    ticket = os.urandom(32).hex()[:43]
    granted = host.call("stream.grant", relay=SESSION, ticket=ticket, service="console/patient", mode="take", raw=False, ttl_ms=5000)
    sock, answer = peer.show_ticket(granted["path"], ticket)
    assert answer == "OK frames"
    tunnel = peer.Tunnel(sock, peer.DIALER)
    channel = tunnel.open("console/patient", mode=ask)
    tunnel.close()
    return channel.refused or channel.mode


def test_console_that_the_session_may_only_watch(host, target):
    """It stays so when either relay is killed, and changes with another attach."""
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    ensure(host)
    attach = {"session": SESSION, "vm": VM, "name": "patient", "record": True}
    for bad in ({}, {"mode": "take"}, {"mode": "ro"}):
        assert fault_of(host.call, "attach.console", **attach, **bad) == "bad-value"
    host.call("attach.console", mode="r", **attach)
    assert console_mode(host) == 1 and console_mode(host, ask=2) == "forbidden"
    for relay, kind in ((SESSION, "session"), (VM, "vm")):
        os.kill(host.relay_pids()[relay], signal.SIGKILL)
        host.peer.wait_notice("relay.back", **{kind: relay})
        wait_for(lambda: console_mode(host) not in ("relay-lost", "not-attached", "not-found"), "the link")
        assert console_mode(host) == 1
    host.call("attach.console", mode="rw", **attach)
    assert console_mode(host) == 7
    host.call("attach.console", mode="r", **attach)
    assert console_mode(host) == 1


def recording(host):
    """All output in the session's recording, once each byte."""
    with contextlib.suppress(rpc.Fault):
        text, eof = b"", False
        while not eof:
            part = host.call("recording.read", session=SESSION, name="patient", offset=len(text), length=100)
            text += base64.b64decode(part["data"])
            eof = part["eof"]
        lines = [json.loads(line) for line in text.splitlines()[1:]]
        return "".join(line[2] for line in lines if line[1] == "o").encode()
    return b""


def test_recording(host, target):
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    shown = host.read_console(VM, b"login: ")
    ensure(host)
    for _ in range(2):
        assert host.call("attach.console", session=SESSION, vm=VM, name="patient", mode="rw", record=True) == {}
    wait_for(lambda: recording(host) == shown, "the recording")
    assert [r["name"] for r in host.call("recording.list", session=SESSION)["recordings"]] == ["patient"]
    for name in ("..", "../../store", "patient/x", "nothing"):
        assert fault_of(host.call, "recording.read", session=SESSION, name=name, offset=0, length=10) in (
            "not-found", "bad-value")
    host.call("session.release", session=SESSION)
    assert recording(host) == shown, "recordings stay when the session ends"
    host.call("recording.remove", session=SESSION)
    assert host.call("recording.list", session=SESSION)["recordings"] == []


def test_two_relays_die_with_links_between_them(host, target):
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    ensure(host)
    host.call("attach.console", session=SESSION, vm=VM, name="patient", mode="rw", record=True)
    os.kill(host.relay_pids()[VM], signal.SIGKILL)
    host.peer.wait_notice("relay.back", vm=VM)
    wait_for(lambda: host.console(VM)["up"], "the console")
    host.fake.call("script.print", domain=target, text="[again]")
    wait_for(lambda: b"[again]" in recording(host), "the recording to go on")


def test_disks_come_and_go(host, target):
    ensure(host)
    params = dict(session=SESSION, vm=VM, domain=target, index=0, mode="rw")
    power(host, target, "on")
    assert fault_of(host.call, "attach.disk", **params) == "vm-running"
    assert fault_of(host.call, "attach.disk", **dict(params, mode="ro")) == "vm-running"
    power(host, target, "off")
    owner = [os.stat(d["source"]).st_uid for d in disks(host, target)]
    for _ in range(2):
        assert host.call("attach.disk", **params) == {"devices": ["t0-vda"]}
    assert fault_of(host.call, "attach.disk", **dict(params, mode="ro")) == "already-attached"
    assert host.session(SESSION)["disks"] == [{"vm": VM, "mode": "rw", "index": 0, "devices": ["t0-vda"]}]
    if os.geteuid() == 0:
        assert os.stat(disks(host, target)[0]["source"]).st_uid >= 63352
    assert fault_of(power, host, target, "on") == "vm-fenced"
    host.restart()
    assert host.session(SESSION)["disks"][0]["devices"] == ["t0-vda"]
    for _ in range(2):
        assert host.call("detach.disk", session=SESSION, vm=VM) == {}
    assert [os.stat(d["source"]).st_uid for d in disks(host, target)] == owner
    assert host.session(SESSION)["disks"] == []
    assert power(host, target, "on") == "running"


def disks(host, target):
    return host.fake.call("domain.get", domain=target)["disks"]


def test_release_gives_disks_back(host, target):
    ensure(host)
    owner = os.stat(disks(host, target)[0]["source"]).st_uid
    host.call("attach.disk", session=SESSION, vm=VM, domain=target, index=0, mode="rw")
    host.call("session.release", session=SESSION)
    assert os.stat(disks(host, target)[0]["source"]).st_uid == owner
    assert power(host, target, "on") == "running"


def test_attach_that_fails_leaves_nothing(host, target):
    ensure(host)
    host.fake.call("script.fail", method="dvm.disk.attach", count=1)
    params = dict(session=SESSION, vm=VM, domain=target, index=0, mode="rw")
    assert fault_of(host.call, "attach.disk", **params) == "hypervisor-failed"
    assert host.session(SESSION)["disks"] == []
    assert power(host, target, "on") == "running"


def test_dvm_that_goes_away(host):
    ensure(host)
    host.fake.call("script.dvm_end", session=SESSION, how="crash")
    host.peer.wait_notice("dvm.lost", session=SESSION, reason="crashed")
    assert host.session(SESSION)["dvm"] == "none"
    assert fault_of(ensure, host) == "dvm-lost"
    host.call("session.release", session=SESSION)
    ensure(host)


def test_dvm_that_went_away_unseen(host):
    ensure(host)
    host.hostd.kill()
    host.fake.call("script.dvm_end", session=SESSION, how="off")
    host.start()
    host.peer.wait_notice("dvm.lost", session=SESSION)


def test_agent_that_starts_again(host):
    first = ensure(host)
    host.fake.call("script.dvm_end", session=SESSION, how="agent")
    assert ensure(host)["image"] == first["image"]
    wait_for(lambda: host.session(SESSION)["agent"], "the agent")


def test_boot_that_never_ends(host):
    host.fake.call("script.agent", silent=True)
    assert fault_of(ensure, host, boot_timeout_ms=300) == "dvm-timeout"
    assert host.session(SESSION)["dvm"] == "running" and not host.session(SESSION)["agent"]
    begun = host.peer.start("dvm.ensure", session=SESSION, image="default", stacks=[], memory_mib=256, vcpus=1,
                            boot_timeout_ms=20000, agent=AGENT)
    time.sleep(0.3)
    host.call("session.release", session=SESSION)
    assert fault_of(host.peer.finish, begun) in ("cancelled", "dvm-lost")
    host.fake.call("script.agent")
    ensure(host)


def test_release_while_it_boots(host):
    host.fake.call("script.delay", method="dvm.create", count=1, ms=500)
    begun = host.peer.start("dvm.ensure", session=SESSION, image="default", stacks=[], memory_mib=256, vcpus=1,
                            boot_timeout_ms=20000, agent=AGENT)
    host.call("session.release", session=SESSION)
    with contextlib.suppress(rpc.Fault):
        host.peer.finish(begun)
    assert host.session(SESSION) is None


def test_hypervisor_away(host, target):
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    first = ensure(host)
    host.fake.call("script.away", away=True)
    host.peer.wait_notice("hypervisor", up=False)
    assert fault_of(power, host, target, "off") == "hypervisor-away"
    assert fault_of(host.call, "domain.list") == "hypervisor-away"
    assert fault_of(host.call, "session.release", session=SESSION) == "hypervisor-away"
    assert host.call("host.info")["hypervisor"] == "down"
    host.fake.call("script.print", domain=target, text="still here")
    host.read_console(VM, b"still here")
    host.fake.call("script.away", away=False)
    host.peer.wait_notice("hypervisor", up=True)
    assert ensure(host) == first


def test_images(host):
    listed = host.call("image.list")["images"]
    assert [(i["name"], i["default"], [s["name"] for s in i["stacks"]]) for i in listed] == [
        ("default", True, ["disk"])]
    image = listed[0]["id"]
    for which in (image, image[:8], "default"):
        assert host.call("image.verify", image=which) == {}
    for which in ("nothing", image[:7], "0" * 64):
        assert fault_of(host.call, "image.verify", image=which) == "image-missing"
    assert fault_of(ensure, host, image="nothing") == "image-missing"
    assert fault_of(ensure, host, stacks=["java"]) == "stack-missing"
    host.call("session.release", session=SESSION)
    root = host.state / "images" / image / "root"
    good = root.read_bytes()
    for bad in (good[:-1], good[:-1] + b"?", b""):
        root.write_bytes(bad)
        assert fault_of(host.call, "image.verify", image="default") == "image-damaged"
        assert fault_of(ensure, host) == "image-damaged"
        assert host.call("session.list")["sessions"][0]["dvm"] == "none"
    root.write_bytes(good)
    assert ensure(host)["image"] == image
    manifest = host.state / "images" / image / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert fault_of(host.call, "image.verify", image="default") == "image-damaged"
    assert host.call("image.list")["images"] == []


def test_not_enough_memory(host):
    assert fault_of(ensure, host, memory_mib=65536) == "no-capacity"
    assert host.session(SESSION)["dvm"] == "none"


@pytest.mark.parametrize("bad", [
    {"session": "../x"}, {"session": "v-1"}, {"memory_mib": 0}, {"memory_mib": "256"}, {"vcpus": -1}, {"stacks": "base"},
    {"stacks": ["../.."]}, {"agent": None}, {"image": "../default"}, {"boot_timeout_ms": 0},
])
def test_bad_values(host, bad):
    assert fault_of(ensure, host, **bad) == "bad-value"
    assert host.call("session.list")["sessions"] == []


def test_verbs_of_the_dvm_reach_dvmd(host):
    """Nobody asks in this test; the way there is a call like any other."""
    calls = []
    peer = host.connect(methods={"session.verb": lambda p: calls.append(p) or {"text": "done"}})
    host.peer.close()
    host.peer = peer
    ensure(host)
    agent = next((host.folder / "fakevirt.d").glob(f"agent-{SESSION}"))
    assert agent.is_dir()


def test_grants(host, target):
    host.call("console.ensure", vm=VM, domain=target)
    good = dict(relay=VM, ticket="a" * 43, service="console", mode="r", raw=True, ttl_ms=1000)
    assert host.call("stream.grant", **good)["path"].endswith("/relay/v-1/stream.sock")
    for change in ({"relay": "x"}, {"ticket": "short"}, {"service": "Console"}, {"mode": "w"}, {"ttl_ms": 0}):
        assert fault_of(host.call, "stream.grant", **dict(good, **change)) == "bad-value"
    assert fault_of(host.call, "stream.grant", **dict(good, relay="v-2")) == "relay-lost"


def raw_stream(host, relay, service, mode):
    """A stream, with a ticket that dvmd would have asked for."""
    ticket = os.urandom(32).hex()[:43]
    path = host.call("stream.grant", relay=relay, ticket=ticket, service=service, mode=mode, raw=True, ttl_ms=5000)["path"]
    sock, answer = peer.show_ticket(path, ticket)
    assert answer == "OK raw"
    return sock


def raw_viewer(host, relay, service="vnc", mode="r"):
    return rfb.Viewer(raw_stream(host, relay, service, mode))


def test_display(host, target):
    """Each viewer has a connection of its own; what one may not do does not get there."""
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    watching, typing = raw_viewer(host, VM), raw_viewer(host, VM, mode="rw")
    assert watching.name == VM and watching.width == 64
    wait_for(lambda: host.fake.call("script.display", domain=target)["viewers"] == 2, "both")
    for viewer in (watching, typing):
        viewer.key(ord("a"))
        viewer.pointer(1, 1)
        assert viewer.picture() == b"\xa5" * 64 * 48 * 4
    seen = host.fake.call("script.display", domain=target)
    assert seen["exclusive"] == 0
    assert seen["seen"] == {"0": 2, "2": 2, "3": 2, "4": 2, "5": 1}
    # the VM's end is the viewers' end, and of nothing else
    power(host, target, "off")
    for viewer in (watching, typing):
        with pytest.raises(EOFError):
            viewer.update()
    power(host, target, "on")
    assert raw_viewer(host, VM).name == VM
    # a relay that died
    os.kill(host.relay_pids()[VM], signal.SIGKILL)
    wait_for(lambda: host.console(VM)["up"], "the relay")
    assert raw_viewer(host, VM).name == VM


def test_display_in_a_session(host, target):
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    ensure(host)
    assert fault_of(host.call, "attach.vnc", session=SESSION, vm=VM, name="patient", mode="take") == "bad-value"
    assert fault_of(host.call, "attach.vnc", session=SESSION, vm="v-2", name="other", mode="r") == "not-attached"
    for mode, keys in (("r", None), ("rw", 2), ("rw", 4)):
        host.call("attach.vnc", session=SESSION, vm=VM, name="patient", mode=mode)
        viewer = raw_viewer(host, SESSION, "vnc/patient", "rw")
        viewer.key(ord("a"))
        viewer.picture()
        assert host.fake.call("script.display", domain=target)["seen"].get("4") == keys
    assert sorted(host.session(SESSION)["displays"]) == [VM, "v-2"]
    # all of it is brought back: dvm-hostd, the VM's relay, the session's
    host.restart()
    assert raw_viewer(host, SESSION, "vnc/patient").name == VM
    for name in (VM, SESSION):
        pid = host.relay_pids()[name]
        os.kill(pid, signal.SIGKILL)

        def again():
            with contextlib.suppress(rpc.Fault, EOFError, AssertionError, OSError):
                return raw_viewer(host, SESSION, "vnc/patient").name == VM

        wait_for(again, f"the display without {name} {pid}")


def test_screenshot(host, target):
    assert fault_of(host.call, "domain.screenshot", domain=target) == "vm-not-running"
    power(host, target, "on")
    shot = host.call("domain.screenshot", domain=target)
    assert shot["eof"] and base64.b64decode(shot["data"])[:8] == b"\x89PNG\r\n\x1a\n"
    assert fault_of(host.call, "screenshot.read", shot=shot["shot"], offset=0) == "not-found"
    # one that needs several answers
    data = os.urandom(1400000)
    screen = host.folder / "screen"
    screen.write_bytes(data)
    host.fake.call("script.screen", domain=target, path=str(screen))
    shots = [host.call("domain.screenshot", domain=target) for _ in range(5)]
    assert fault_of(host.call, "screenshot.read", shot=shots[0]["shot"], offset=1) == "not-found", "the oldest gave way"
    for shot in shots[1:]:
        got, eof = base64.b64decode(shot["data"]), shot["eof"]
        while not eof:
            part = host.call("screenshot.read", shot=shot["shot"], offset=len(got))
            got, eof = got + base64.b64decode(part["data"]), part["eof"]
        assert got == data and shot["size_bytes"] == len(data)
        assert fault_of(host.call, "screenshot.read", shot=shot["shot"], offset=0) == "not-found", "read to its end"
    screen.write_bytes(bytes(16 << 20) + b"x")
    assert fault_of(host.call, "domain.screenshot", domain=target) == "hypervisor-failed"


def test_a_vm_that_hangs_takes_no_other_s_turn(host, target):
    """Its emulator answers nobody: pictures of it, its display and breaks are asked for again and again."""
    other = host.fake.call("script.define", name="other")["uuid"]
    host.call("console.ensure", vm=VM, domain=target)
    power(host, target, "on")
    for method in ("domain.screenshot", "domain.display", "domain.break"):
        host.fake.call("script.delay", method=method, count=100, ms=600000)
    answered, asked = [], []

    def ask(method, **params):
        with contextlib.suppress(rpc.Fault):
            host.call(method, **params)
        answered.append(method)

    try:
        for _ in range(20):
            asked.append(threading.Thread(target=ask, args=["domain.screenshot"], kwargs={"domain": target}))
            asked[-1].start()
        viewers = [raw_stream(host, VM, "vnc", "rw") for _ in range(4)]
        assert power(host, other, "on") == "running"
        assert not answered
    finally:
        host.fake.call("script.release")
        for thread in asked:
            thread.join(30)
    assert len(answered) == 20
    for viewer in viewers:
        assert rfb.Viewer(viewer).name == VM


def test_keys(host, target):
    keys = dict(domain=target, chords=[[29, 56, 111], [28]], hold_ms=1)
    assert fault_of(host.call, "domain.keys", **keys) == "vm-not-running"
    power(host, target, "on")
    host.call("domain.keys", **keys)
    assert host.fake.call("script.display", domain=target)["keys"] == [[29, 56, 111], [28]]
    for change in ({"chords": [[1], []]}, {"chords": [[1] * 17]}, {"chords": [[0]]}, {"chords": [[256]]}, {"chords": [["a"]]},
                   {"chords": "a"}, {"chords": [[1]] * 257}, {"hold_ms": 0}, {"hold_ms": 501},
                   {"chords": [[1]] * 100, "hold_ms": 500}):
        assert fault_of(host.call, "domain.keys", **dict(keys, **change)) == "bad-value"
    assert len(host.fake.call("script.display", domain=target)["keys"]) == 2


ENSURE_STEPS = ["hostd.ensure.begin", "hostd.ensure.recorded", "hostd.ensure.relay", "hostd.dvm.verified",
                "hostd.dvm.created", "hostd.ensure.dvm", "hostd.ensure.linked"]
ATTACH_STEPS = ["hostd.attach.disk.begin", "hostd.attach.disk.recorded", "hostd.attach.disk.lent",
                "hostd.attach.disk.attached"]
DETACH_STEPS = ["hostd.detach.disk.begin", "hostd.detach.disk.gone"]
RELEASE_STEPS = ["hostd.release.begin", "hostd.release.dvm", "hostd.release.disks", "hostd.release.relay"]


def broken(host, step, how, function):
    """The call fails at that step, or dvm-hostd dies there; then it is whole again."""
    host.arm(f"{step}={how}")
    with pytest.raises(rpc.Fault):
        function()
    if how == "kill":
        host.hostd.process.wait(10)
    host.arm("")
    if how == "kill":
        host.start()


@pytest.mark.parametrize("how", ["error", "kill"])
@pytest.mark.parametrize("step", ENSURE_STEPS)
def test_ensure_broken_off(host, step, how):
    broken(host, step, how, lambda: ensure(host))
    ensure(host)
    host.call("session.release", session=SESSION)
    broken(host, step, how, lambda: ensure(host))
    host.call("session.release", session=SESSION)
    assert host.session(SESSION) is None


@pytest.mark.parametrize("how", ["error", "kill"])
@pytest.mark.parametrize("step", ATTACH_STEPS + DETACH_STEPS + RELEASE_STEPS)
def test_disk_and_release_broken_off(host, target, step, how):
    owner = os.stat(disks(host, target)[0]["source"]).st_uid
    ensure(host)

    def attach():
        return host.call("attach.disk", session=SESSION, vm=VM, domain=target, index=0, mode="rw")

    def detach():
        return host.call("detach.disk", session=SESSION, vm=VM)

    def release():
        return host.call("session.release", session=SESSION)

    if step in ATTACH_STEPS:
        broken(host, step, how, attach)
    assert attach() == {"devices": ["t0-vda"]}
    if step in DETACH_STEPS:
        broken(host, step, how, detach)
        detach()
        assert os.stat(disks(host, target)[0]["source"]).st_uid == owner
    if step in RELEASE_STEPS:
        broken(host, step, how, release)
    release()
    assert os.stat(disks(host, target)[0]["source"]).st_uid == owner
    assert host.session(SESSION) is None
    assert power(host, target, "on") == "running"


# Ports


@pytest.fixture
def ported(host):
    return host.fake.call("script.define", name="patient", ports=["serial1", "parallel0"])["uuid"]


def heard(host, **where):
    return host.fake.call("script.port_heard", **where)["text"]


def say(host, text, **where):
    host.fake.call("script.port_say", text=text, **where)


def attach_port(host, target, port, mode="rw"):
    return host.call("attach.port", session=SESSION, vm=VM, domain=target, index=0, port=port, mode=mode)


def port_works(host, target, port, device, token, writes=True):
    """Both ways: what the target says arrives in the D-VM, what the D-VM says at the target."""
    def once():
        say(host, f"<{token}>", domain=target, port=port)
        return f"<{token}>" in heard(host, session=SESSION, port=device)
    wait_for(once, f"{port} to say {token}")
    if writes:
        say(host, f"[{token}]", session=SESSION, port=device)
        wait_for(lambda: f"[{token}]" in heard(host, domain=target, port=port), f"{port} to hear {token}")


def test_ports_come_and_go(host, ported):
    host.call("console.ensure", vm=VM, domain=ported)
    power(host, ported, "on")
    ensure(host)
    host.read_console(VM, b"login: ")
    for bad in ("serial9", "usb0", ""):
        assert fault_of(attach_port, host, ported, bad) == "bad-value"
    assert fault_of(attach_port, host, ported, "serial2") == "console-unsupported"
    assert "v-1.serial2" not in host.relay_pids()
    for _ in range(2):
        assert attach_port(host, ported, "serial0") == {"devices": ["ttyS0"]}
        assert attach_port(host, ported, "serial1") == {"devices": ["ttyS1"]}
        assert attach_port(host, ported, "parallel0") == {"devices": ["lp0"]}
    assert [p["port"] for p in host.session(SESSION)["ports"]] == ["serial0", "serial1", "parallel0"]
    # the console is written to beside all who watch it
    say(host, "typed in the D-VM\r", session=SESSION, port="t0-serial0")
    wait_for(lambda: "typed in the D-VM" in host.fake.call("script.input", domain=ported)["text"], "the target to hear")
    wait_for(lambda: "typed in the D-VM" in heard(host, session=SESSION, port="t0-serial0"), "the echo")
    port_works(host, ported, "serial1", "t0-serial1", "one")
    port_works(host, ported, "parallel0", "t0-parallel0", "page", writes=False)
    say(host, "nothing for a printer", session=SESSION, port="t0-parallel0")
    # it is off and on again, and on behind our back
    power(host, ported, "off")
    power(host, ported, "on")
    port_works(host, ported, "serial1", "t0-serial1", "two")
    assert heard(host, domain=ported, port="parallel0") == ""
    for verb in ("off", "on", "resume"):
        host.fake.call("domain.power", domain=ported, verb=verb)
    port_works(host, ported, "serial1", "t0-serial1", "three")
    for _ in range(2):
        for port in ("serial1", "parallel0", "serial0"):
            assert host.call("detach.port", session=SESSION, vm=VM, port=port) == {}
    assert host.session(SESSION)["ports"] == []
    assert set(host.relay_pids()) == {SESSION, VM}
    with pytest.raises(rpc.Fault):
        heard(host, session=SESSION, port="t0-serial0")
    assert host.fake.call("script.port_heard", domain=ported, port="serial1")["connected"] is False
    assert not (host.state / "consoles/v-1.serial1").exists()


def test_port_that_may_only_be_watched(host, ported):
    power(host, ported, "on")
    ensure(host)
    attach_port(host, ported, "serial1", mode="r")
    port_works(host, ported, "serial1", "t0-serial1", "seen", writes=False)
    say(host, "not to be heard", session=SESSION, port="t0-serial1")
    attach_port(host, ported, "serial1", mode="rw")
    port_works(host, ported, "serial1", "t0-serial1", "now")
    assert "not to be heard" not in heard(host, domain=ported, port="serial1")


def test_port_of_a_target_that_is_off(host, ported):
    ensure(host)
    attach_port(host, ported, "serial1")
    power(host, ported, "on")
    port_works(host, ported, "serial1", "t0-serial1", "started")


def test_ports_outlive_all_deaths(host, ported):
    host.call("console.ensure", vm=VM, domain=ported)
    power(host, ported, "on")
    ensure(host)
    attach_port(host, ported, "serial1")
    host.restart()
    port_works(host, ported, "serial1", "t0-serial1", "hostd")
    for relay in (SESSION, "v-1.serial1"):
        os.kill(host.relay_pids()[relay], signal.SIGKILL)
        port_works(host, ported, "serial1", "t0-serial1", relay.replace(".", "-"))
    host.hostd.kill()
    os.kill(host.relay_pids()[SESSION], signal.SIGKILL)
    host.start()
    port_works(host, ported, "serial1", "t0-serial1", "both")
    host.call("session.release", session=SESSION)
    assert set(host.relay_pids()) == {VM}


PORT_STEPS = [f"hostd.attach.port.{step}" for step in ("begin", "recorded", "hub", "plugged", "linked")]


@pytest.mark.parametrize("how", ["error", "kill"])
@pytest.mark.parametrize("step", PORT_STEPS + ["hostd.detach.port.begin", "hostd.detach.port.gone"])
def test_port_broken_off(host, ported, step, how):
    power(host, ported, "on")
    ensure(host)

    def detach():
        return host.call("detach.port", session=SESSION, vm=VM, port="serial1")

    if step in PORT_STEPS:
        broken(host, step, how, lambda: attach_port(host, ported, "serial1"))
        if how == "error":
            assert host.session(SESSION)["ports"] == [] and "v-1.serial1" not in host.relay_pids()
    attach_port(host, ported, "serial1")
    port_works(host, ported, "serial1", "t0-serial1", "attached")
    if step not in PORT_STEPS:
        broken(host, step, how, detach)
    detach()
    assert host.session(SESSION)["ports"] == [] and "v-1.serial1" not in host.relay_pids()
    host.call("session.release", session=SESSION)


def test_power_on_broken_off_while_held(host, target):
    host.call("console.ensure", vm=VM, domain=target)
    broken(host, "hostd.power.held", "kill", lambda: power(host, target, "on"))
    assert power(host, target, "on") == "running"
    assert host.read_console(VM, b"login: ").startswith(b"Firmware")


def test_sigterm_while_it_works(host):
    host.fake.call("script.delay", method="dvm.create", count=1, ms=1000)
    host.peer.start("dvm.ensure", session=SESSION, image="default", stacks=[], memory_mib=256, vcpus=1,
                    boot_timeout_ms=20000, agent=AGENT)
    time.sleep(0.2)
    host.hostd.stop()
    host.start()
    ensure(host)
