# SPDX-License-Identifier: Apache-2.0
import pathlib

import dvmtest
import pytest
import targets

# A path no user must ever see; the host's name and address come from tests/lib/host.
STATE = pathlib.Path("/tmp/canary-path-4711")


@pytest.fixture(scope="session")
def images():
    return dvmtest.images_for_everyone()


@pytest.fixture(scope="session")
def cloud(images):
    """One dvm with its libvirt for the whole run; what a test makes, it removes."""
    with dvmtest.Cloud(uri=targets.URI, images=images, state=STATE) as up:
        yield up


@pytest.fixture(scope="session")
def tiny(cloud):
    with targets.Tiny(cloud, "web-1") as vm:
        yield vm


@pytest.fixture
def nothing_left(cloud):
    """A test that uses this leaves no session, D-VM, relay of a session or run folder behind."""
    yield
    for session in cloud.json("session", "list"):
        cloud.dvm("session", "end", session["id"])
    assert not targets.dvms()
    assert not list((cloud.state / "run/dvm").glob("s-*"))
    assert not list((cloud.state / "run/relay").glob("s-*"))
    assert not [line for line in dvmtest.processes(cloud.state).values() if " s-" in line]
