# SPDX-License-Identifier: Apache-2.0
"""D-VMs that start from a memory image, on the fake hypervisor: made, used, damaged, and every step broken off."""

import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import hosttest
import rpc
from hosttest import wait_for

SHAPE = dict(image="default", stacks=["base", "disk"], memory_mib=256, vcpus=1)
AGENT = {"hostname": "dvm", "keys": [], "lease_s": 600, "stacks": [], "targets": []}


@pytest.fixture
def host():
    with hosttest.Host() as h:
        hosttest.image_make(h.state / "images")
        yield h


def ensure(host, session="s-1", **changes):
    return host.call("dvm.ensure", session=session, agent=AGENT, **{"boot_timeout_ms": 20000, **SHAPE, **changes})


def fault_of(function, *args, **params):
    with pytest.raises(rpc.Fault) as caught:
        function(*args, **params)
    assert "/" not in caught.value.message, "no path in a fault's text"
    return caught.value.code


def dvms(host):
    """{session: started from memory} of what the hypervisor has."""
    return {d["session"]: d["from_memory"] for d in host.fake.call("domain.list")["domains"] if d["session"]}


def kept(host):
    return sorted(p.name for p in (host.state / "memory").iterdir())


def nothing_on_the_way(host):
    assert not [name for name in dvms(host) if name.startswith("t-")]
    assert not list((host.state / "run/dvm").glob("t-*"))
    assert not list((host.state / "memory").glob("*.part"))


def test_sessions_start_from_it(host):
    ensure(host)
    assert dvms(host) == {"s-1": False}, "without an image it boots"
    assert host.call("dvm.prepare", **SHAPE) == {"made": True}
    assert host.call("dvm.prepare", **SHAPE) == {"made": False}
    nothing_on_the_way(host)
    keys = {ensure(host, session)["host_key"] for session in ("s-2", "s-3")}
    assert dvms(host) == {"s-1": False, "s-2": True, "s-3": True}
    assert len(keys) == 2
    # asked again, nothing is made again
    ensure(host, "s-2")
    assert not list((host.state / "run/dvm").glob("*/memory")), "no copy is left"
    # of another shape: it boots
    ensure(host, "s-4", memory_mib=512)
    ensure(host, "s-5", stacks=[])
    assert not dvms(host)["s-4"] and not dvms(host)["s-5"]
    host.restart()
    ensure(host, "s-6")
    assert dvms(host)["s-6"], "images outlive dvm-hostd"
    host.call("session.release", session="s-6")
    assert len(kept(host)) == 1


@pytest.mark.parametrize("bad", [{"memory_mib": 0}, {"vcpus": 65}, {"stacks": None}, {"image": "../x"}, {"stacks": ["../x"]}])
def test_bad_values(host, bad):
    assert fault_of(host.call, "dvm.prepare", **{**SHAPE, **bad}) == "bad-value"
    assert kept(host) == []


def test_faults_of_the_host(host):
    assert fault_of(host.call, "dvm.prepare", **{**SHAPE, "image": "nothing"}) == "image-missing"
    assert fault_of(host.call, "dvm.prepare", **{**SHAPE, "stacks": ["java"]}) == "stack-missing"
    assert fault_of(host.call, "dvm.prepare", **{**SHAPE, "memory_mib": 65536}) == "no-capacity"
    host.fake.call("script.fail", method="dvm.save", count=1, code="hypervisor-failed")
    assert fault_of(host.call, "dvm.prepare", **SHAPE) == "hypervisor-failed"
    nothing_on_the_way(host)
    assert kept(host) == []


def test_an_image_of_before_would_share_its_host_key(host):
    hosttest.image_make(host.state / "images", name="old", memory_images=False)
    assert fault_of(host.call, "dvm.prepare", **{**SHAPE, "image": "old"}) == "not-supported"
    assert not dvms(host) and kept(host) == []
    ensure(host, image="old")


def test_damaged(host):
    host.call("dvm.prepare", **SHAPE)
    (name,) = kept(host)
    (host.state / "memory" / name).write_text("something else")
    ensure(host)
    assert dvms(host) == {"s-1": False}
    assert kept(host) == [], "it would not be any better the next time"


def test_the_hypervisor_refuses_it(host):
    host.call("dvm.prepare", **SHAPE)
    host.fake.call("script.fail", method="dvm.create", count=1, code="hypervisor-failed")
    ensure(host)
    assert dvms(host) == {"s-1": False}
    assert kept(host) == []
    assert host.call("dvm.prepare", **SHAPE) == {"made": True}
    host.fake.call("script.fail", method="dvm.create", count=1, code="hypervisor-away")
    assert fault_of(ensure, host, "s-2") == "hypervisor-away"
    assert len(kept(host)) == 1, "that one's fault it was not"
    ensure(host, "s-2")
    assert dvms(host)["s-2"]


def test_one_that_does_not_get_ready(host):
    host.call("dvm.prepare", **SHAPE)
    host.fake.call("script.agent", silent=True)
    assert fault_of(ensure, host, boot_timeout_ms=300) == "dvm-timeout"
    wait_for(lambda: kept(host) == [], "the image to go")
    host.call("session.release", session="s-1")
    host.fake.call("script.agent")
    ensure(host)
    assert dvms(host) == {"s-1": False}


def test_no_room_for_a_copy(host):
    """Starting is more than starting fast."""
    host.call("dvm.prepare", **SHAPE)
    folder = host.state / "run/dvm/s-1/memory"
    folder.mkdir(parents=True)
    ensure(host)
    assert dvms(host) == {"s-1": False}
    assert len(kept(host)) == 1
    folder.rmdir()


def test_killed_while_it_makes_one(host):
    host.arm("hostd.prepare.created=kill")
    with pytest.raises(rpc.Fault):
        host.call("dvm.prepare", **SHAPE)
    host.hostd.process.wait(10)
    assert [name for name in dvms(host) if name.startswith("t-")]
    host.arm("")
    host.start()
    wait_for(lambda: not dvms(host), "what was begun to be tidied up")
    wait_for(lambda: not list((host.state / "run/dvm").glob("t-*")), "its folder to go")
    nothing_on_the_way(host)
    assert host.call("dvm.prepare", **SHAPE) == {"made": True}


def test_told_to_stop_while_it_makes_one(host):
    host.fake.call("script.agent", silent=True)
    host.peer.start("dvm.prepare", **SHAPE)
    wait_for(lambda: dvms(host), "it to begin")
    host.hostd.process.send_signal(signal.SIGTERM)
    assert host.hostd.process.wait(20) == 0
    assert not dvms(host)
    host.fake.call("script.agent")
    host.start()
    nothing_on_the_way(host)


def test_sessions_are_listed_without_it(host):
    host.fake.call("script.agent", silent=True)
    begun = host.peer.start("dvm.prepare", **SHAPE)
    wait_for(lambda: dvms(host), "it to begin")
    assert host.call("session.list")["sessions"] == []
    (name,) = dvms(host)
    host.fake.call("dvm.destroy", session=name)
    assert fault_of(host.peer.finish, begun) == "dvm-lost"
    nothing_on_the_way(host)
