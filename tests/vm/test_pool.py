# SPDX-License-Identifier: Apache-2.0
"""D-VMs that wait for a session: real machines, each of its own."""

import contextlib
import os
import re
import shutil
import time

import pytest
import targets
from dvmtest import Cloud, run, wait_for

CONFIG = "[dvm]\npool-min = 2\npool-max = 2\npool-refill = 1\n"


def emulators():
    """{D-VM's name: its emulator's user} of those that run or wait."""
    found = {}
    for line in targets.qemu_processes():
        name = re.search(r"guest=dvm-([^,]+)", line)
        if name:
            found[name[1]] = os.stat(f"/proc/{line.split()[0]}").st_uid
    return found


def ready(cloud):
    """How many dvm itself counts."""
    metrics = run("curl", "-sS", "--unix-socket", cloud.state / "run/api.sock", "http://dvm/metrics").stdout
    found = re.search(r'^dvm_pool_members\{what="ready"\} (\d+)$', metrics, re.MULTILINE)
    return int(found[1]) if found else 0


def waiting(cloud, n=2):
    def there():
        paused = targets.virsh("list", "--name", "--state-paused").split()
        names = {name: uid for name, uid in emulators().items() if f"dvm-{name}" in paused and name.startswith("p-")}
        return len(names) == n and ready(cloud) == n and names
    return wait_for(there, f"{n} to wait", 120)


@pytest.fixture(scope="module")
def warm(cloud, images):
    """A dvm of its own with a pool of two, and two sessions that took the first two; the memory image is the other dvm's."""
    made = wait_for(lambda: memory_images(cloud), "a memory image", 120)
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(Cloud(uri=targets.URI, images=images, config=CONFIG))
        for path in made:
            shutil.copy(path, up.state / "memory")
        before = waiting(up)
        vms = [stack.enter_context(targets.Tiny(up, name, disk=False)) for name in ("warm-1", "warm-2")]
        sessions = [up.json("debug", vms[0].name)["session"], up.json("debug", vms[1].name, "--stack", "disk")["session"]]
        yield up, before, sessions
        after = waiting(up)
        for session in sessions:
            up.dvm("session", "end", session)
        assert not set(emulators()) & set(before), "whoever was in a session is gone with it"
        assert set(waiting(up)) == set(after)
    assert not [name for name in emulators() if name.startswith("p-")], "they end with their dvm"


def memory_images(cloud):
    return [p for p in (cloud.state / "memory").iterdir() if not p.name.endswith(".part")]


def test_sessions_took_them(warm):
    cloud, before, sessions = warm
    assert len(set(before.values())) == 2 and 0 not in before.values(), "a user each, from the start"
    for session in sessions:
        assert "A debug VM that was waiting goes on" in cloud.dvm("session", "timeline", session).stdout
    running = {name: uid for name, uid in emulators().items() if name in before}
    assert running == before, "the same processes, which are the sessions' now"
    assert not set(waiting(cloud)) & set(before), "others have their places"


def test_stacks_are_laid_over_the_one_that_asked(warm):
    cloud, _, sessions = warm
    look = "ls /usr/share/dvm; command -v lvm; touch /usr/bin/mine /etc/mine && ls /usr/bin/mine /etc/mine; hostname; cat /etc/hostname"
    without, having = (cloud.dvm("ssh", session, "--", look, check=False).stdout.split() for session in sessions)
    assert "packages-disk" in having and any(word.endswith("/lvm") for word in having)
    assert "packages-disk" not in without and not any(word.endswith("/lvm") for word in without)
    for words, session in ((without, sessions[0]), (having, sessions[1])):
        assert "/usr/bin/mine" in words and "/etc/mine" in words, "it can be written to as ever"
        assert words[-2:] == [session, session]


def test_they_share_no_secret(warm):
    cloud, _, sessions = warm
    one, two = (cloud.dvm("ssh", session, "--", targets.SECRETS).stdout.splitlines() for session in sessions)
    assert len(one) == len(two) == 4 and len(one[0]) == 128 and one[3].startswith("ssh-ed25519 ")
    for mine, others in zip(one, two):
        assert mine != others
    name, now = cloud.dvm("ssh", sessions[0], "--", "hostname; date +%s").stdout.split()
    assert name == sessions[0] and abs(int(now) - time.time()) < 60


def test_they_are_the_sessions_after_a_death_of_the_hosts_program(warm):
    cloud, before, sessions = warm
    others = waiting(cloud)
    cloud.kill("dvm-hostd")
    wait_for(lambda: len(set(waiting(cloud)) - set(others)) == 2, "those of before to be replaced", 60)
    for session in sessions:
        assert cloud.json("session", "show", session)["state"] == "ready"
        assert cloud.dvm("ssh", session, "--", "id -u").stdout.strip() == "0"
    assert set(before) <= set(emulators())


def test_a_stack_is_added_while_it_runs(warm):
    cloud, _, sessions = warm
    assert cloud.dvm("ssh", sessions[0], "--", "lvm version", check=False).returncode != 0
    assert "disk is in the D-VM" in cloud.dvm("stack", "add", sessions[0], "disk").stdout
    assert "LVM" in cloud.dvm("ssh", sessions[0], "--", "lvm version; ls /usr/bin/mine /etc/mine").stdout
    assert cloud.json("session", "show", sessions[0])["stacks"] == ["disk"]
