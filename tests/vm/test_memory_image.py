# SPDX-License-Identifier: Apache-2.0
"""D-VMs that start from a memory image: they are whole machines of their own, and share no secret."""

import contextlib
import os
import time

import pytest
import targets
from dvmtest import wait_for

def images(cloud):
    return [p.name for p in (cloud.state / "memory").iterdir() if not p.name.endswith(".part")]


@pytest.fixture(scope="module")
def image(cloud):
    """The image that dvm makes of itself once it runs."""
    wait_for(lambda: images(cloud), "the first memory image", 120)
    return images(cloud)


@pytest.fixture(scope="module")
def pair(cloud, image):
    """Two D-VMs from one image, at the same time."""
    with contextlib.ExitStack() as stack:
        sessions = []
        for name in ("memory-1", "memory-2"):
            vm = stack.enter_context(targets.Tiny(cloud, name, disk=False))
            sessions.append(cloud.json("debug", vm.name)["session"])
            stack.callback(cloud.dvm, "session", "end", sessions[-1])
        yield sessions


def test_they_did_not_boot(cloud, pair):
    for session in pair:
        assert "goes on from its memory image" in cloud.dvm("session", "timeline", session).stdout
        assert not list((cloud.state / "run/dvm" / session).glob("memory")), "the copy is used up"


def test_they_share_no_secret(cloud, pair):
    one, two = (cloud.dvm("ssh", session, "--", targets.SECRETS).stdout.splitlines() for session in pair)
    assert len(one) == len(two) == 4
    assert len(one[0]) == 128 and len(one[2]) == 32 and one[3].startswith("ssh-ed25519 ")
    for mine, others in zip(one, two):
        assert mine != others


def test_they_are_who_they_are(cloud, pair):
    for session in pair:
        name, now, random = cloud.dvm(
            "ssh", session, "--", "hostname; date +%s; cat /proc/sys/kernel/randomize_va_space").stdout.split()
        assert name == session
        assert abs(int(now) - time.time()) < 60, "the clock does not stand where the image was made"
        wait_for(lambda: cloud.dvm("ssh", session, "--", "cat /proc/sys/kernel/randomize_va_space").stdout.strip() == "2",
                 "addresses to be random")
    emulators = [line for line in targets.qemu_processes() if any(session in line for session in pair)]
    users = {os.stat(f"/proc/{line.split()[0]}").st_uid for line in emulators}
    assert len(users) == 2 and 0 not in users


def test_one_restarted_inside_boots_and_comes_back(cloud, pair):
    before = cloud.dvm("ssh", pair[0], "--", "cat /proc/sys/kernel/random/boot_id").stdout
    cloud.dvm("ssh", pair[0], "--", "echo b >/proc/sysrq-trigger", check=False)

    def after():
        result = cloud.dvm("ssh", pair[0], "--", "cat /proc/sys/kernel/random/boot_id", check=False)
        return result.returncode == 0 and result.stdout

    assert wait_for(after, "it to be back", 60) != before


def test_damaged_it_boots_and_a_new_one_is_made(cloud, image, tiny):
    for name in images(cloud):
        with open(cloud.state / "memory" / name, "r+b") as file:
            file.seek(1 << 20)
            file.write(b"\0damaged\0")
    damaged = set(images(cloud))
    session = cloud.json("debug", tiny.name)["session"]
    assert "The debug VM boots" in cloud.dvm("session", "timeline", session).stdout
    assert cloud.dvm("ssh", session, "--", "id -u").stdout.strip() == "0"
    wait_for(lambda: set(images(cloud)) - damaged, "another image", 120)
    cloud.dvm("session", "end", session)
