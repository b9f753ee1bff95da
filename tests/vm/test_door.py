# SPDX-License-Identifier: Apache-2.0
"""Through the SSH door into a real D-VM, with OpenSSH's programs only: a dvm of its own on the hypervisor that the others use."""

import doortest
import dvmtest
import pytest
import targets
from terminal import Terminal


@pytest.fixture
def door(cloud, images):
    """`cloud` keeps libvirt up."""
    with doortest.account() as stage, dvmtest.Cloud(uri=targets.URI, images=images, stage=stage, options=("--ssh-port", "0")) as up:
        yield up


def test_from_the_list_to_a_shell_in_the_dvm(door):
    with targets.Tiny(door, "door-1") as tiny:
        tiny.on()
        user = doortest.User(door)
        door.dvm("key", "add", user.public())
        assert "door-1" in user.ssh().stdout
        term = Terminal(user.argv("console", "door-1", options=("-t", "-e", "none")), user.env)
        term.wait(b"tiny>", seconds=120)
        term.type(b"\r~.")
        assert term.end() == 0
        session = user.ssh("debug", "door-1", timeout=240).stdout.strip()
        # The key is the session's own, and pinned; nothing is asked and nothing is written down.
        known = " ".join(["/usr/bin/ssh", *user.options, user.gate, "known-hosts", "%H"])
        pinned = ("-o", f"KnownHostsCommand={known}", "-o", "UserKnownHostsFile=/dev/null", "-o", "StrictHostKeyChecking=yes",
                  "-o", "HostKeyAlgorithms=ssh-ed25519")
        said = user.inner(session, "id -u; hostname; target info", options=pinned, timeout=180).stdout
        assert said.splitlines()[:2] == ["0", session] and "door-1" in said
        assert user.ssh("end", session, timeout=240).stdout == f"{session} is ended\n"
