# SPDX-License-Identifier: Apache-2.0
"""A further stack for a D-VM that runs, on the fake hypervisor."""

import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import hosttest
import rpc

SHAPE = dict(image="default", stacks=[], memory_mib=256, vcpus=1)


def agent(*stacks):
    return {"hostname": "dvm", "keys": [], "lease_s": 600, "stacks": list(stacks), "targets": []}


@pytest.fixture
def host():
    with hosttest.Host() as h:
        hosttest.image_make(h.state / "images", stacks=("disk", "net"))
        yield h


def ensure(host, session="s-1", stacks=(), **changes):
    return host.call("dvm.ensure", session=session, agent=agent(*stacks), **{"boot_timeout_ms": 20000, **SHAPE, **changes})


def add(host, *stacks, session="s-1"):
    """The last of them is the new one."""
    return host.call("dvm.stack", session=session, stack=stacks[-1], agent=agent(*stacks))


def disks(host, session="s-1"):
    return [d["serial"] for d in host.fake.call("dvm.get", session=session)["disks"]]


def fault_of(function, *args, **params):
    with pytest.raises(rpc.Fault) as caught:
        function(*args, **params)
    assert "/" not in caught.value.message, "no path in a fault's text"
    return caught.value.code


def test_one_after_the_other(host):
    ensure(host)
    assert add(host, "disk") == {}
    assert add(host, "disk") == {}, "it is there already"
    assert add(host, "disk", "net") == {}
    assert disks(host) == ["stack-disk", "stack-net"]
    assert host.fake.call("dvm.get", session="s-1")["disks"][0]["readonly"]
    host.restart()
    assert add(host, "disk", "net") == {}
    host.call("session.release", session="s-1")


def test_base_is_everywhere(host):
    ensure(host)
    assert add(host, "base") == {}
    assert disks(host) == []


def test_what_cannot_be(host):
    ensure(host)
    assert fault_of(add, host, "java") == "stack-missing"
    assert fault_of(add, host, "../x") == "bad-value"
    assert fault_of(add, host, "disk", session="s-2") == "not-found"
    assert fault_of(host.call, "dvm.stack", session="s-1", stack="disk") == "bad-value"
    host.fake.call("script.fail", method="dvm.disk.attach", count=1, code="hypervisor-failed")
    assert fault_of(add, host, "disk") == "hypervisor-failed"
    assert add(host, "disk") == {}


def test_a_damaged_stack_is_not_plugged_in(host):
    ensure(host)
    ((host.state / "images/default").resolve() / "stack-disk").write_text("something else")
    assert fault_of(add, host, "disk") == "image-damaged"
    assert disks(host) == []


def test_an_image_that_takes_none(host):
    hosttest.image_make(host.state / "images", name="old", stacks_plugged=False)
    ensure(host, image="old")
    assert fault_of(add, host, "disk") == "not-supported"


@pytest.mark.parametrize("point", ["recorded", "attached"])
def test_killed_meanwhile(host, point):
    ensure(host)
    host.arm(f"hostd.stack.{point}=kill")
    with pytest.raises(rpc.Fault):
        add(host, "disk")
    host.hostd.process.wait(10)
    host.arm("")
    host.start()
    assert add(host, "disk") == {}
    assert disks(host) == ["stack-disk"]
