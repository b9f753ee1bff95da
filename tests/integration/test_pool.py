# SPDX-License-Identifier: Apache-2.0
"""D-VMs that wait for a session, on the fake hypervisor: how many, whose, and every step of handing one over broken off."""

import json
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import hosttest
import rpc
from hosttest import wait_for

SHAPE = dict(image="default", stacks=[], memory_mib=256, vcpus=1)
POOL = dict(image="default", memory_mib=256, vcpus=1, min=2, max=2, budget_mib=4096, refill_ms=100)
AGENT = {"hostname": "dvm", "keys": [], "lease_s": 600, "stacks": [], "targets": []}


@pytest.fixture(scope="module")
def memory():
    """The memory image of SHAPE: its name says what is in it."""
    with hosttest.Host() as h:
        hosttest.image_make(h.state / "images")
        h.call("dvm.prepare", **SHAPE)
        (image,) = (h.state / "memory").iterdir()
        return image.name, image.read_bytes()


@pytest.fixture
def host(memory):
    with hosttest.Host() as h:
        hosttest.image_make(h.state / "images")
        (h.state / "memory" / memory[0]).write_bytes(memory[1])
        yield h


def ensure(host, session="s-1", **changes):
    return host.call("dvm.ensure", session=session, agent=AGENT, **{"boot_timeout_ms": 20000, **SHAPE, **changes})


def domains(host):
    return {d["session"]: d for d in host.fake.call("domain.list")["domains"] if d["session"]}


def members(host):
    return sorted(name for name in domains(host) if name.startswith("p-"))


def waiting(host, n):
    """The ids of n members that wait, once that is how many do."""
    def there():
        found = domains(host)
        names = sorted(name for name in found if name.startswith("p-") and found[name]["state"] == "paused")
        return len(names) == n and names
    return wait_for(there, f"{n} to wait")


def fill(host, n=2, **changes):
    """n members; `changes` count once they are there."""
    settings = {**POOL, "min": n, "max": max(n, POOL["max"])}
    host.call("pool.set", **settings)
    names = waiting(host, n) if n else []
    host.call("pool.set", **{**settings, **changes})
    return names


def folders(host):
    """Of members; a session keeps the folder of the one that it got, with the D-VM's own log."""
    run = host.state / "run/dvm"
    kept = {json.loads(f.read_text()).get("member") for f in run.glob("s-*/session.json")}
    return [f.name for f in run.glob("p-*") if f.name not in kept]


def empty(host):
    wait_for(lambda: not members(host), "the pool to be empty")
    wait_for(lambda: not folders(host), "the members' folders to go")


def drain(host):
    host.call("pool.set", **{**POOL, "min": 0, "max": 0})
    empty(host)


def fault_of(function, *args, **params):
    with pytest.raises(rpc.Fault) as caught:
        function(*args, **params)
    assert "/" not in caught.value.message, "no path in a fault's text"
    return caught.value.code


def test_a_session_takes_one_and_another_follows(host):
    first = fill(host)
    answer = ensure(host)
    assert answer["start"] == "pool" and answer["host_key"].startswith("ssh-ed25519 ")
    assert domains(host)["s-1"]["state"] == "running"
    second = waiting(host, 2)
    assert len(set(first) & set(second)) == 1, "one of them was taken, one is new"
    assert ensure(host)["start"] == "pool", "asked again, nothing is made again"
    assert ensure(host, "s-2")["host_key"] != answer["host_key"]
    host.call("session.release", session="s-1")
    assert "s-1" not in domains(host)
    after = waiting(host, 2)
    assert not set(after) & set(first) or set(after) & set(first) <= set(second), "none comes back"
    host.call("session.release", session="s-2")
    drain(host)


def test_what_is_known_of_them(host):
    fill(host)
    assert host.call("session.list")["sessions"] == []
    assert {d["dvm_session"][:2] for d in host.call("domain.list")["domains"]} == {"p-"}
    ensure(host)
    (session,) = host.call("session.list")["sessions"]
    assert session["session"] == "s-1" and session["dvm"] == "running" and session["agent"]
    drain(host)


def disks(host, session):
    return [d["serial"] for d in host.fake.call("dvm.get", session=session)["disks"]]


def test_stacks_are_plugged_in(host):
    fill(host)
    answer = ensure(host, stacks=["base", "disk"])
    assert answer["start"] == "pool"
    assert disks(host, "s-1") == ["stack-disk"]
    assert ensure(host, "s-2")["start"] == "pool" and disks(host, "s-2") == []
    drain(host)


def test_a_stack_that_cannot_be_plugged_in(host):
    fill(host)
    host.fake.call("script.fail", method="dvm.disk.attach", count=1, code="hypervisor-failed")
    assert ensure(host, stacks=["disk"])["start"] == "boot", "it has it from the start then"
    drain(host)


def test_an_image_whose_agent_takes_no_stacks(host):
    hosttest.image_make(host.state / "images", name="old", stacks_plugged=False)
    host.call("dvm.prepare", **{**SHAPE, "image": "old"})
    before = fill(host, image="old")
    wait_for(lambda: not set(members(host)) & set(before), "those of the other image to go")
    waiting(host, 2)
    assert ensure(host, "s-1", image="old", stacks=["disk"])["start"] == "boot"
    assert ensure(host, "s-2", image="old")["start"] == "pool"
    drain(host)


def test_of_another_kind_there_is_none(host):
    fill(host)
    assert ensure(host, "s-1", memory_mib=512)["start"] == "boot"
    assert ensure(host, "s-2", vcpus=2)["start"] == "boot"
    assert len(waiting(host, 2)) == 2
    drain(host)


def test_empty_it_is_a_start_as_ever(host):
    fill(host, 1, max=1, refill_ms=60000)
    assert [ensure(host, f"s-{i}")["start"] for i in range(3)] == ["pool", "memory", "memory"]
    drain(host)


@pytest.mark.parametrize("bad", [
    {"min": 3, "max": 2}, {"max": 65}, {"min": -1}, {"refill_ms": 0}, {"memory_mib": 0}, {"vcpus": 65}, {"image": "../x"}, {"budget_mib": None}])
def test_bad_values(host, bad):
    assert fault_of(host.call, "pool.set", **{**POOL, **bad}) == "bad-value"
    assert members(host) == []


def test_no_memory_for_it(host):
    host.call("pool.set", **{**POOL, "budget_mib": 0})
    assert ensure(host)["start"] == "memory"
    assert members(host) == []
    # for one of the two; 128 MiB each are the emulator's
    host.call("pool.set", **{**POOL, "budget_mib": 400})
    waiting(host, 1)
    # taken away again, what is there goes
    host.call("pool.set", **{**POOL, "budget_mib": 0})
    empty(host)


def test_it_follows_the_demand(host):
    fill(host, 0, min=0, max=3)
    for i in range(2):
        assert ensure(host, f"s-{i}")["start"] == "memory"
    waiting(host, 2)
    for i in range(2, 6):
        ensure(host, f"s-{i}")
    waiting(host, 3)
    drain(host)


def test_a_new_image_replaces_them(host):
    before = fill(host)
    (host.state / "images/default").unlink()
    hosttest.image_make(host.state / "images", name="default", stacks=("other",))
    host.call("dvm.prepare", **SHAPE)
    wait_for(lambda: not set(members(host)) & set(before), "those of the old image to go")
    waiting(host, 2)
    assert ensure(host)["start"] == "pool"
    drain(host)


def test_without_its_image_there_is_none(host):
    fill(host)
    image = (host.state / "images/default").resolve()
    (image / "root").write_text("something else")
    host.call("pool.set", **POOL)
    empty(host)
    assert fault_of(ensure, host) == "image-damaged"
    host.call("session.release", session="s-1")


def test_a_damaged_memory_image_makes_no_member(host):
    (kept,) = (host.state / "memory").iterdir()
    kept.write_text("something else")
    host.call("pool.set", **POOL)
    wait_for(lambda: not kept.exists(), "the image to go")
    assert ensure(host)["start"] == "boot"
    assert members(host) == []
    host.call("dvm.prepare", **SHAPE)
    waiting(host, 2)
    drain(host)


@pytest.mark.parametrize("point", ["taken", "adopted", "resumed"])
def test_killed_while_one_is_handed_over(host, point):
    before = fill(host)
    host.arm(f"hostd.pool.{point}=kill")
    with pytest.raises(rpc.Fault):
        ensure(host)
    host.hostd.process.wait(10)
    host.arm("")
    host.start()
    assert ensure(host)["start"] in ("memory", "boot"), "nobody gets one that may be another's"
    wait_for(lambda: not members(host), "what waited to be removed")
    assert not set(domains(host)) & set(before)
    wait_for(lambda: not folders(host), "the folders to go")
    assert list(domains(host)) == ["s-1"]
    host.call("session.release", session="s-1")
    assert not domains(host)


@pytest.mark.parametrize("point", ["taken", "adopted", "resumed"])
def test_killed_and_then_released(host, point):
    fill(host)
    host.arm(f"hostd.pool.{point}=kill")
    with pytest.raises(rpc.Fault):
        ensure(host)
    host.hostd.process.wait(10)
    host.arm("")
    host.start()
    host.call("session.release", session="s-1")
    wait_for(lambda: not domains(host), "all of it to go")
    wait_for(lambda: not list((host.state / "run/dvm").iterdir()), "the folders to go")


def test_killed_while_one_is_made(host):
    host.arm("hostd.pool.made=kill")
    host.call("pool.set", **POOL)
    host.hostd.process.wait(10)
    assert members(host)
    host.arm("")
    host.start()
    empty(host)


@pytest.mark.parametrize("point", ["taken", "adopted", "resumed"])
def test_a_step_that_fails_costs_only_time(host, point):
    fill(host)
    host.arm(f"hostd.pool.{point}=error")
    assert ensure(host)["start"] == "memory"
    host.arm("")
    waiting(host, 2)
    assert sorted(name[:2] for name in domains(host)) == ["p-", "p-", "s-"]
    assert ensure(host, "s-2")["start"] == "pool"
    drain(host)


def test_the_hypervisor_refuses(host):
    before = fill(host, refill_ms=60000)
    host.fake.call("script.fail", method="dvm.adopt", count=1, code="hypervisor-failed")
    assert ensure(host)["start"] == "memory"
    assert len(set(before) & set(members(host))) == 1, "the one that could not be used is gone"
    drain(host)


def test_the_hypervisor_goes_away_meanwhile(host):
    """As libvirtd does that is started anew: the session's start fails for now, and nothing is left of what was tried."""
    fill(host, refill_ms=60000)
    host.fake.call("script.fail", method="dvm.adopt", count=1, code="hypervisor-away")
    assert fault_of(ensure, host) == "hypervisor-away"
    assert ensure(host)["start"] == "pool", "the other one"
    assert list(domains(host)) == ["s-1"]
    drain(host)


def test_they_outlive_the_hypervisors_service(host):
    before = fill(host)
    host.fake.call("script.away", away=True)
    wait_for(lambda: host.call("host.info")["hypervisor"] == "down", "it to be missed")
    host.fake.call("script.away", away=False)
    wait_for(lambda: host.call("host.info")["hypervisor"] == "up", "it to be back")
    assert ensure(host)["start"] == "pool"
    assert set(before) & set(members(host))
    drain(host)


def test_one_that_dies_waiting(host):
    first, second = fill(host)
    host.fake.call("dvm.destroy", session=first)
    wait_for(lambda: len(set(waiting(host, 2)) - {first, second}) == 1, "another in its place")
    drain(host)


def test_a_session_cancelled_while_it_starts(host):
    host.fake.call("script.agent", silent=True)
    fill(host)
    begun = host.peer.start("dvm.ensure", session="s-1", agent=AGENT, boot_timeout_ms=20000, **SHAPE)
    wait_for(lambda: "s-1" in domains(host), "it to be handed over")
    host.call("session.release", session="s-1")
    assert fault_of(host.peer.finish, begun) in ("cancelled", "dvm-lost")
    assert "s-1" not in domains(host)
    drain(host)
    assert not list((host.state / "run/dvm").iterdir())


def test_told_to_stop_it_leaves_none(host):
    fill(host)
    ensure(host)
    host.hostd.process.send_signal(signal.SIGTERM)
    assert host.hostd.process.wait(20) == 0
    assert list(domains(host)) == ["s-1"], "the session's goes on, the others were nobody's"
    host.start()
    assert ensure(host)["start"] == "pool"
    host.call("session.release", session="s-1")
    empty(host)


def test_another_dvm_of_the_hypervisor_keeps_its_own(host):
    before = fill(host)
    with hosttest.Host(uri=host.uri) as other:
        assert sorted(members(host)) == before
        assert other.call("session.list")["sessions"] == []
    assert sorted(members(host)) == before
    drain(host)


def test_twenty_at_once(host):
    fill(host, 8, max=8, refill_ms=60000)
    calls = [host.peer.start("dvm.ensure", session=f"s-{i}", agent=AGENT, boot_timeout_ms=60000, **SHAPE) for i in range(20)]
    answers = [host.peer.finish(call) for call in calls]
    assert sorted(a["start"] for a in answers) == ["memory"] * 12 + ["pool"] * 8
    assert len({a["host_key"] for a in answers}) == 20
    assert sorted(domains(host)) == sorted(f"s-{i}" for i in range(20))
    drain(host)
